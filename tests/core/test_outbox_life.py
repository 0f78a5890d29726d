"""An order's life: every stage meets every word of TWS; fills, cancels, foreign trades, alerts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import get_args

import msgspec
import pytest

from common.core.gateway.words import BOOKS_PAGE_S
from common.messages import (
    Accepted,
    Alert,
    BrokerLink,
    BrokerNotice,
    CancelOrder,
    Commission,
    Fill,
    HaltLatch,
    JournalDamaged,
    MarginPreview,
    OrderBook,
    PreviewMargin,
    Purpose,
    Refused,
)
from common.tws import messages as tws
from common.tws.link_messages import ClockCompared
from tests.core.outbox_play import ACCOUNT, SESSION, Play, account_rows, order
from tests.playbook import of

Act = Callable[[Play, tws.SendOrder], object]


def ready(shares: int = 0) -> Play:
    play = Play()
    play.connect(shares=shares)
    return play


def report(status: str, filled: int = 0) -> Act:
    return lambda play, sent: play.hear(play.status(sent, status, filled))


def code(number: int) -> Act:
    return lambda play, sent: play.error(number, ref_id=sent.order_id)


def unknown(play: Play, _sent: tws.SendOrder) -> None:
    play.link_down()
    play.connect(next_id=2)


STAGES: dict[str, list[Act]] = {
    "SENDING": [],
    "UNKNOWN": [unknown],
    "WORKING": [report("Submitted")],
    "INACTIVE": [report("Submitted"), report("Inactive")],
    "REJECTED": [code(201)],
    "CANCELLED": [report("Submitted"), report("Cancelled")],
    "FILLED": [report("Filled", 1000)],
}
EVENTS: dict[str, Act] = {
    "PendingSubmit": report("PendingSubmit"),
    "ApiCancelled": report("ApiCancelled"),
    "PreSubmitted": report("PreSubmitted"),
    "Submitted": report("Submitted"),
    "PendingCancel": report("PendingCancel"),
    "Cancelled": report("Cancelled"),
    "Filled": report("Filled", 1000),
    "Inactive": report("Inactive"),
    "fill 400": lambda play, sent: play.hear(play.execution(sent, 400)),
    "fill 1000": lambda play, sent: play.hear(play.execution(sent)),
    "201": code(201),
    "103": code(103),
    "104": code(104),
    "161": code(161),
    "202": code(202),
    "321": code(321),
    "399": code(399),
    "404": code(404),
    "481": code(481),
    "10147": code(10147),
    "10148": code(10148),
    "10326": code(10326),
    "10349": code(10349),
    "54321": code(54321),
}
# stage -> event -> what the order is then; events not listed leave it as it was
AS_REPORTED = {
    "PendingSubmit": "PendingSubmit", "ApiCancelled": "ApiCancelled",
    "PreSubmitted": "PreSubmitted", "Submitted": "Submitted", "PendingCancel": "PendingCancel",
    "Cancelled": "Cancelled", "Filled": "Filled", "Inactive": "Inactive",
    "fill 400": "Submitted", "fill 1000": "Filled",
}  # fmt: skip
TABLE: dict[str, dict[str, str]] = {
    "SENDING": AS_REPORTED
    | {"201": "REJECTED", "321": "REJECTED", "103": "REJECTED", "10326": "REJECTED"},
    "UNKNOWN": AS_REPORTED | {"201": "REJECTED", "321": "REJECTED"},
    "WORKING": AS_REPORTED,
    "INACTIVE": AS_REPORTED,
    "REJECTED": {
        "PendingSubmit": "PendingSubmit",
        "PreSubmitted": "PreSubmitted", "Submitted": "Submitted", "PendingCancel": "PendingCancel",
        "Filled": "Filled", "fill 400": "Submitted", "fill 1000": "Filled",
    },
    "CANCELLED": {"Filled": "Filled", "fill 1000": "Filled"},
    "FILLED": {},
}  # fmt: skip
STAYS = {
    "SENDING": "PendingSubmit", "UNKNOWN": "UNKNOWN", "WORKING": "Submitted",
    "INACTIVE": "Inactive",
    "REJECTED": "REJECTED", "CANCELLED": "Cancelled", "FILLED": "Filled",
}  # fmt: skip


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_meets_every_word(stage: str, event: str) -> None:
    play = ready()
    sent = play.send(order())
    for act in STAGES[stage]:
        act(play, sent)
    EVENTS[event](play, sent)
    out = play.state.orders[sent.order.intent_id]
    assert out.status == TABLE[stage].get(event, STAYS[stage])
    assert len(play.sent) == 1


def test_a_refusal_after_the_acknowledgement_counts_once_the_status_ends_it() -> None:
    play = ready()
    sent = play.send(order())
    play.hear(play.opened(sent, "PreSubmitted"))
    play.error(201, "Order rejected - reason:MARGIN", ref_id=sent.order_id)
    assert play.status_of(sent.order) == "PreSubmitted"
    play.hear(play.status(sent, "Inactive"))
    assert play.status_of(sent.order) == "REJECTED"


@pytest.mark.parametrize(
    ("purpose", "begins"),
    [
        ("ENTRY", "order {}, the entry 20240604-ENTRY-1: IB refused"),
        ("EXIT", "order {}, the exit 20240604-EXIT-1: IB refused"),
        (
            "STOP",
            "order {}, the resting stop 20240604-STOP-1 (no stop of ours rests at the broker now):",
        ),
    ],
)
def test_a_refusal_says_which_order_it_is_of(purpose: Purpose, begins: str) -> None:
    play = ready(shares=0 if purpose == "ENTRY" else 1000)
    sent = play.send(order(purpose))
    play.error(201, "Order rejected", ref_id=sent.order_id)
    (said,) = play.all(BrokerNotice)
    assert said.text.startswith(begins.format(sent.order_id))


def test_after_a_refusal_the_books_are_compared_before_the_next_entry() -> None:
    play = ready()
    sent = play.send(order())
    play.error(201, "Order rejected - reason:MARGIN", ref_id=sent.order_id)
    assert "compared" in play.refusal(order(attempt=2))
    play.books()
    assert play.refusal(order(attempt=3)) == ""


def test_an_inactive_order_without_a_reason_blocks_until_the_books_show_it_done() -> None:
    play = ready()
    sent = play.send(order())
    play.hear(play.status(sent, "Inactive"))
    assert play.newest(OrderBook).working == (sent.order.intent_id,)
    done = tws.CompletedOrder(9001, sent.order_ref, ACCOUNT, "SMH", "BUY", "Inactive", 0, "held")
    play.books(completed=(done,))
    assert play.status_of(sent.order) == "Cancelled"


def inactive(purpose: Purpose = "EXIT") -> tuple[Play, tws.SendOrder]:
    """An order of ours that TWS calls Inactive, without a reason."""
    play = ready(shares=0 if purpose == "ENTRY" else 1000)
    sent = play.send(order(purpose))
    play.hear(play.opened(sent, "PreSubmitted"))
    play.hear(play.status(sent, "Inactive"))
    return play, sent


def listed(play: Play, sent: tws.SendOrder, seconds: float) -> None:
    """Time passes; whenever books are asked for, TWS lists the order as Inactive."""
    held = 0 if sent.order.purpose == "ENTRY" else 1000
    while seconds > 0:
        play.pass_s(0.5)
        seconds -= 0.5
        if play.state.snapshots.pending:
            play.books(held, opened=(play.opened(sent, "Inactive"),))


@pytest.mark.parametrize("purpose", get_args(Purpose))
def test_an_order_that_stays_inactive_is_cancelled_and_the_next_may_go(purpose: Purpose) -> None:
    play, sent = inactive(purpose)
    listed(play, sent, 4.5)
    assert play.all(tws.SendCancel) == [], "it may be for a moment only"
    listed(play, sent, 1.5)
    assert [c.order_id for c in play.all(tws.SendCancel)] == [sent.order_id]
    play.hear(play.status(sent, "Cancelled"))
    play.hear(tws.OwnPrice(100.0, "live"))
    assert play.send(order(purpose, 2)).order_id > sent.order_id


@pytest.mark.parametrize("purpose", ["ENTRY", "EXIT"])
def test_nothing_takes_the_place_of_an_inactive_order_before_its_cancel_is_confirmed(
    purpose: Purpose,
) -> None:
    play, sent = inactive(purpose)
    listed(play, sent, 30)
    assert len(play.all(tws.SendCancel)) > 1, "a cancel without an answer is sent again"
    play.hear(tws.OwnPrice(100.0, "live"))
    assert play.refusal(order(purpose, 2))
    assert play.sent == [sent]


def test_a_cancel_that_ends_no_inactive_order_is_not_sent_for_ever() -> None:
    play, sent = inactive()
    for _ in range(20):
        listed(play, sent, 12)
        play.error(10148, ref_id=sent.order_id)
    assert len(play.all(tws.SendCancel)) == 10
    assert "never short" in play.refusal(order("EXIT", 2))


def test_what_holds_every_exit_for_an_hour_does_not_use_up_the_days_orders() -> None:
    play = ready(shares=1000)
    for _ in range(1800):
        play.pass_s(2, 2)
        living = play.state.open_orders()
        if not living:
            number = len(play.sent) + 1
            sent = play.send(order("EXIT", number, deadline_s=20_000))
            play.hear(play.opened(sent, "Inactive"))
        elif living[0].cancel_sent:
            play.hear(play.status(play.sent[-1], "Cancelled"))
    assert 5 < len(play.sent) < 15
    play.hear(play.status(play.sent[-1], "Submitted"))
    sold = play.execution(play.sent[-1])
    play.hear(sold)
    assert play.status_of(play.sent[-1].order) == "Filled"


def test_an_order_that_is_worked_again_is_left_alone() -> None:
    play, sent = inactive()
    play.pass_s(4)
    play.hear(play.status(sent, "Submitted"))
    play.pass_s(30)
    play.hear(play.status(sent, "Inactive"))
    play.pass_s(4)
    assert play.all(tws.SendCancel) == []


def test_an_order_found_inactive_after_a_death_is_given_its_time_again_then_cancelled() -> None:
    play, sent = inactive()
    play.pass_s(4)
    play.crash()
    play.link_up(next_id=2)
    play.hear(tws.ContractKnown(1, "SMH", "NASDAQ"))
    listed(play, sent, 4)
    assert play.all(tws.SendCancel) == []
    listed(play, sent, 2)
    assert [c.order_id for c in play.all(tws.SendCancel)] == [sent.order_id]


@pytest.mark.parametrize(("offset_s", "status"), [(0.3, "Cancelled"), (86_400.0, "Inactive")])
def test_a_day_order_listed_as_inactive_in_the_next_session_is_over_unless_the_clock_is_wrong(
    offset_s: float, status: str
) -> None:
    play, sent = inactive()
    play.hear(ClockCompared(play.market_ns, offset_s))
    play.market_ns = SESSION.next_open_ns + 1
    play.pass_s(1)
    play.books(1000, opened=(play.opened(sent, "Inactive"),))
    assert play.status_of(sent.order) == status


def test_statuses_out_of_order_never_take_a_fill_back() -> None:
    play = ready()
    sent = play.send(order())
    play.hear(play.status(sent, "Submitted", 600))
    play.hear(play.status(sent, "Submitted", 400))
    out = play.state.orders[sent.order.intent_id]
    assert out.remaining == 400


def test_a_correction_replaces_its_fill_and_is_said_with_its_revision() -> None:
    play = ready()
    sent = play.send(order())
    play.hear(play.execution(sent, 400, revision=1))
    play.hear(play.execution(sent, 300, revision=2))
    play.hear(play.execution(sent, 400, revision=1))
    assert [(f.shares, f.revision) for f in play.all(Fill)] == [(400, 1), (300, 2)]
    assert play.state.position_by_fills == 300


def test_a_commission_is_said_once() -> None:
    play = ready()
    sent = play.send(order())
    execution = play.execution(sent)
    play.hear(execution)
    for _ in range(2):
        play.hear(tws.CommissionCharged(execution.exec_id, 5.0))
    said = play.all(Commission)
    assert [c.commission_usd for c in said] == [5.0]
    assert said[0].exec_id == play.all(Fill)[0].exec_id


def test_the_commission_of_a_fill_that_only_the_books_bring_is_not_lost() -> None:
    play = ready()
    sent = play.send(order())
    play.link_down()
    play.link_up(next_id=sent.order_id + 1)
    done = play.execution(sent)
    charged = tws.CommissionCharged(done.exec_id, 5.25)
    play.hear(charged)
    assert play.newest(Commission) is None
    play.books(shares=1000, executions=(done,))
    play.hear(charged)
    said = play.all(Commission)
    assert [(c.exec_id, c.commission_usd) for c in said] == [(play.newest(Fill).exec_id, 5.25)]


def test_a_cancel_goes_out_once_and_is_believed_only_by_status() -> None:
    play = ready()
    sent = play.send(order())
    play.hear(play.opened(sent))
    for key in ("c", "c"):
        play.hear(CancelOrder(key, 0, sent.order.intent_id, "test"))
    play.pass_s(2)
    assert len(play.all(tws.SendCancel)) == 1
    play.error(202, ref_id=sent.order_id)
    assert play.status_of(sent.order) == "Submitted"
    play.hear(play.status(sent, "Cancelled"))
    assert play.status_of(sent.order) == "Cancelled"


def test_a_cancel_of_an_order_that_still_waits_denies_it_without_a_send() -> None:
    play = ready(shares=1000)
    play.link_down()
    waiting = order("EXIT")
    play.submit(waiting)
    play.hear(CancelOrder("c", 0, waiting.intent_id, "changed my mind"))
    play.connect(shares=1000)
    play.pass_s(2)
    assert play.status_of(waiting) == "DENIED"
    assert play.sent == []


def test_a_cancel_of_nothing_is_refused() -> None:
    assert isinstance(ready().hear(CancelOrder("c", 0, "20240604-EXIT-9", "?"))[0], Refused)


def manual(liquidation: bool = False) -> tws.ExecutionReport:
    return tws.ExecutionReport(
        "00aa.01.01", 0, 0, 555, "", ACCOUNT, "SMH", "SELL", 100, 99.0, 1, liquidation
    )


def test_a_trade_that_is_not_ours_is_said_as_such_and_halts() -> None:
    play = ready(shares=1000)
    play.hear(manual())
    assert play.newest(Fill).intent_id == ""
    assert play.newest(HaltLatch).mode == "HALTED"


def test_a_liquidation_pages_and_halts() -> None:
    play = ready(shares=1000)
    play.hear(manual(liquidation=True))
    assert play.newest(Fill).liquidation
    assert any(a.code == "liquidation" and a.level == "page" for a in play.all(Alert))
    assert play.newest(HaltLatch).mode == "HALTED"


def test_a_forged_reference_is_not_ours() -> None:
    play = ready()
    sent = play.send(order())
    forged = msgspec.structs.replace(
        play.execution(sent), order_ref="20240604-ENTRY-1.00000000", order_id=0, client_id=0
    )
    play.hear(forged)
    assert play.newest(Fill).intent_id == ""


def test_trades_from_before_the_first_start_are_history() -> None:
    play = Play()
    play.link_up()
    play.books(shares=500, executions=(manual(),))
    assert play.all(Fill) == []
    assert play.state.mode == "ACTIVE"
    assert play.state.held_proven == 500


def test_trades_of_others_during_an_outage_are_found_and_halt() -> None:
    play = ready(shares=1000)
    play.error(1100)
    play.error(1102)
    play.books(shares=900, executions=(manual(),))
    assert play.newest(Fill).intent_id == ""
    assert play.newest(HaltLatch).mode == "HALTED"


def test_a_short_position_pages_and_halts_until_it_is_gone() -> None:
    play = ready()
    play.hear(tws.PositionReport(ACCOUNT, "SMH", -5, 100.0))
    assert play.newest(HaltLatch).mode == "HALTED"
    assert play.newest(Alert).raised
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 0, 0.0))
    assert not play.newest(Alert).raised


def test_part_of_a_share_is_told_once_however_often_it_is_reported() -> None:
    play = ready(shares=1000)
    for _ in range(3):
        play.hear(tws.PositionReport(ACCOUNT, "SMH", 1000, 100.0, part=0.4))
    assert [n.text for n in play.all(BrokerNotice)] == [
        "0.4 of a share is held beside the whole ones, and counts as none"
    ]
    assert (play.state.held_proven, play.state.mode) == (1000, "ACTIVE")


def test_other_accounts_and_instruments_are_none_of_ours() -> None:
    play = ready(shares=1000)
    play.hear(tws.PositionReport("DU7654321", "SMH", -5, 100.0))
    play.hear(tws.PositionReport(ACCOUNT, "AAPL", -5, 100.0))
    play.hear(msgspec.structs.replace(manual(), symbol="AAPL"))
    play.hear(tws.OpenOrder(0, 0, 9, "", ACCOUNT, "AAPL", "BUY", 10, "Submitted"))
    assert play.state.mode == "ACTIVE"
    assert play.state.foreign == {}
    assert play.state.held_proven == 1000


def test_foreign_orders_are_counted_until_they_end() -> None:
    play = ready(shares=1000)
    play.hear(tws.OpenOrder(0, 0, 777, "", ACCOUNT, "SMH", "SELL", 300, "Submitted"))
    assert play.newest(OrderBook).foreign_sell_shares == 300
    play.hear(tws.StatusReport(0, 0, 777, "Submitted", 100, 200, 99.0, ""))
    assert play.newest(OrderBook).foreign_sell_shares == 200
    play.hear(tws.StatusReport(0, 0, 777, "Cancelled", 100, 0, 99.0, ""))
    assert play.newest(OrderBook).foreign_sell_shares == 0


def foreign(shares: int, client_id: int = 0, order_id: int = 0, perm_id: int = 0) -> tws.OpenOrder:
    return tws.OpenOrder(
        order_id, client_id, perm_id, "", ACCOUNT, "SMH", "SELL", shares, "PreSubmitted"
    )


def test_foreign_orders_without_a_perm_id_count_each_and_their_statuses_find_them() -> None:
    play = ready(shares=1000)
    for each in (foreign(300, 9, 5), foreign(200, 8, 5), foreign(100, 9, 6)):
        play.hear(each)
        play.hear(each)
    assert play.state.foreign_sells == 600
    play.hear(tws.StatusReport(5, 8, 0, "Submitted", 50, 150, 99.0, ""))
    assert play.state.foreign_sells == 550
    play.hear(tws.StatusReport(6, 9, 0, "Cancelled", 0, 0, 0.0, ""))
    assert play.state.foreign_sells == 450


def test_a_foreign_order_that_gets_its_perm_id_is_still_one_order() -> None:
    play = ready(shares=1000)
    play.hear(foreign(300, 9, 5))
    play.hear(tws.StatusReport(5, 9, 777, "Submitted", 100, 200, 99.0, ""))
    assert play.state.foreign_sells == 200
    play.hear(foreign(300, 9, 5, 777))
    play.hear(tws.StatusReport(5, 9, 777, "Submitted", 100, 200, 99.0, ""))
    assert (len(play.state.foreign), play.state.foreign_sells) == (1, 200)


def test_orders_of_one_client_and_id_are_told_apart_by_their_perm_ids() -> None:
    """Another program's ids may begin anew, while its order of before still lives."""
    play = ready(shares=1000)
    play.hear(foreign(300, 9, 5, 777))
    play.hear(foreign(200, 9, 5, 778))
    assert play.state.foreign_sells == 500


def test_foreign_orders_without_any_name_count_each_in_every_comparison_anew() -> None:
    play = ready(shares=1000)
    nameless = (foreign(300), foreign(300))
    for _ in range(2):
        play.pass_s(61)
        for each in nameless:
            play.hear(each)  # TWS says them, and the books that were asked for hold them
        play.books(1000, opened=nameless)
        assert play.state.foreign_sells == 600
    play.hear(tws.StatusReport(0, 0, 0, "Cancelled", 0, 0, 0.0, ""))
    assert play.state.foreign_sells == 600, "nobody knows whose word that was"
    assert "never short" in play.refusal(order("EXIT", shares=500))


def test_our_own_word_without_a_perm_id_is_not_taken_for_a_foreign_orders() -> None:
    play = ready(shares=1000)
    play.hear(foreign(300, 9, 7))
    sent = play.send(order("EXIT", shares=600))
    play.hear(tws.StatusReport(sent.order_id, 1, 0, "PreSubmitted", 0, 600, 0.0, ""))
    assert play.status_of(sent.order) == "PreSubmitted"
    assert play.state.foreign_sells == 300


@pytest.mark.parametrize(
    ("reported", "mode"),
    [
        (2000, "ACTIVE"),
        (500, "ACTIVE"),
        (333, "ACTIVE"),
        (1500, "ACTIVE"),
        (2997, "HALTED"),
        (900, "HALTED"),
        (0, "HALTED"),
    ],
)
def test_a_position_no_execution_explains_is_believed_and_halts_unless_it_is_a_split(
    reported: int, mode: str
) -> None:
    play = ready(shares=1000)
    play.hear(tws.PositionReport(ACCOUNT, "SMH", reported, 50.0))
    play.pass_s(11)
    play.books(shares=reported)
    assert play.state.held_proven == reported
    assert any(f"{reported} shares" in notice.text for notice in play.all(BrokerNotice))
    assert play.newest(HaltLatch).mode == mode


def test_a_difference_that_an_execution_explains_a_moment_later_halts_nothing() -> None:
    play = ready()
    sent = play.send(order())
    play.hear(play.opened(sent))
    play.link_down()
    play.link_up(next_id=2)
    play.books(shares=1000, opened=(play.opened(sent),))
    play.hear(play.execution(sent))
    assert play.state.held_proven == 1000
    assert play.state.mode == "ACTIVE"


def test_a_burst_of_one_code_is_one_notice() -> None:
    play = ready()
    for _ in range(20):
        play.error(10197, "No market data during competing live session")
    assert len([n for n in play.all(BrokerNotice) if n.code == 10197]) == 1


def test_a_what_if_is_answered_by_its_second_reply() -> None:
    play = ready()
    play.hear(PreviewMargin("p", 0, 500))
    asked = play.newest(tws.AskPreview)
    play.hear(tws.WhatIfReply(asked.order_id, 0.0, 7500.0, 7500.0, 999_990.0, 2.5))
    answer = play.newest(MarginPreview)
    assert (answer.key, answer.shares, answer.init_after_usd, answer.problem) == (
        "p", 500, 7500.0, "",
    )  # fmt: skip
    assert play.send(order()).order_id > asked.order_id


def test_a_refused_what_if_carries_twss_reason() -> None:
    play = ready()
    play.hear(PreviewMargin("p", 0, 500))
    asked = play.newest(tws.AskPreview)
    play.error(201, "Order rejected - reason:MARGIN", ref_id=asked.order_id)
    assert "MARGIN" in play.newest(MarginPreview).problem


def test_a_what_if_without_an_answer_is_given_up() -> None:
    play = ready()
    play.hear(PreviewMargin("p", 0, 500))
    play.pass_s(16)
    assert "did not answer" in play.newest(MarginPreview).problem
    assert isinstance(play.hear(PreviewMargin("q", 0, 500))[0], Accepted)


def test_the_link_is_ready_only_when_all_was_compared() -> None:
    play = Play()
    states = []
    play.link_up()
    states.append(play.newest(BrokerLink).state)
    play.hear(tws.ContractKnown(1, "SMH", "NASDAQ"))
    play.hear(account_rows())
    states.append(play.newest(BrokerLink).state)
    play.books()
    states.append(play.newest(BrokerLink).state)
    play.error(1100)
    states.append(play.newest(BrokerLink).state)
    play.link_down()
    states.append(play.newest(BrokerLink).state)
    assert states == ["reconciling", "reconciling", "ready", "degraded", "down"]


def test_a_missing_end_message_keeps_the_link_reconciling_with_the_reason() -> None:
    play = Play()
    play.link_up()
    play.pass_s(0.1)
    play.hear(tws.ContractKnown(229725622, "SMH", "NASDAQ"))
    play.hear(tws.SnapshotFailed(play.state.snapshots.number, "TWS did not finish: executions"))
    link = play.newest(BrokerLink)
    assert (link.state, link.reason) == ("reconciling", "TWS did not finish: executions")
    play.pass_s(2)
    assert len(play.all(tws.TakeSnapshot)) == 2


def test_books_that_fail_for_a_minute_are_paged_with_their_mend_until_they_come() -> None:
    """Some builds of TWS never end the executions: no entry all day, and nobody was told."""
    play = Play()
    play.link_up()
    play.pass_s(0.1)
    play.hear(tws.ContractKnown(229725622, "SMH", "NASDAQ"))
    reason = "TWS did not finish its answer on: executions; install its newest stable build"
    for _ in range(int(BOOKS_PAGE_S // 5)):
        assert not [alert for alert in play.all(Alert) if alert.code == "books"]
        play.hear(tws.SnapshotFailed(play.state.snapshots.number, reason))
        play.pass_s(5)
    play.pass_s(1)
    paged = [alert for alert in play.all(Alert) if alert.code == "books"]
    assert [(alert.level, alert.raised) for alert in paged] == [("page", True)]
    assert reason in paged[0].text
    play.books()
    assert not play.newest(Alert).raised


def test_books_asked_for_before_an_outage_do_not_count_after_it() -> None:
    play = Play()
    play.link_up()
    play.pass_s(0.1)
    stale = tws.Snapshot(play.state.snapshots.number, play.host_ns, (), (), (), (), ())
    play.error(1100)
    play.error(1102)
    play.hear(stale)
    assert not play.state.link.reconciled


def test_subscriptions_are_renewed_when_tws_lost_them() -> None:
    play = ready()
    before = len(play.all(tws.Subscribe))
    play.error(1102)
    assert len(play.all(tws.Subscribe)) == before
    play.error(1101)
    assert len(play.all(tws.Subscribe)) == before + 1


def test_a_damaged_journal_halts_with_the_offset() -> None:
    play = ready()
    play.hear(JournalDamaged("20240604.journal", 1234, "a wrong checksum"))
    latch = play.newest(HaltLatch)
    assert (latch.mode, "1234" in latch.reason) == ("HALTED", True)


def test_no_link_before_the_open_pages_after_a_resets_silence() -> None:
    play = ready()
    play.link_down()
    play.market_ns = SESSION.open_ns
    play.state.link.since_market_ns = SESSION.open_ns
    play.pass_s(0.5)
    assert not play.all(Alert)
    play.market_ns += 16 * 60 * 1_000_000_000
    play.pass_s(0.5)
    assert play.newest(Alert).code == "no_link"
    play.connect()
    assert not play.newest(Alert).raised


@pytest.mark.parametrize(
    ("hours_before_open", "reminded"),
    [(16.0, False), (15.4, True), (13.4, False), (1.6, False), (1.4, True)],
)
def test_the_weekly_login_is_recalled_on_sunday_evening_and_on_monday_morning(
    hours_before_open: float, reminded: bool
) -> None:
    play = ready()
    monday = msgspec.structs.replace(SESSION, previous_day=date(2024, 5, 31), day=date(2024, 6, 3))
    play.hear(monday)
    play.market_ns = monday.open_ns - 20 * 3600 * 1_000_000_000
    play.link_down()
    play.market_ns = monday.open_ns - int(hours_before_open * 3600) * 1_000_000_000
    play.pass_s(0.5)
    codes = {alert.code: alert.level for alert in play.all(Alert)}
    assert codes.get("weekly_login") == ("notice" if reminded else None)


def test_within_the_week_nobody_is_reminded_of_the_weekly_login() -> None:
    play = ready()
    play.market_ns = SESSION.open_ns - 20 * 3600 * 1_000_000_000
    play.link_down()
    play.market_ns = SESSION.open_ns - 3600 * 1_000_000_000
    play.pass_s(0.5)
    assert "weekly_login" not in {alert.code for alert in play.all(Alert)}


def test_a_start_on_monday_morning_does_not_recall_the_login_before_it_has_tried() -> None:
    play = Play()
    monday = msgspec.structs.replace(SESSION, previous_day=date(2024, 5, 31), day=date(2024, 6, 3))
    play.market_ns = monday.open_ns - 300 * 1_000_000_000
    play.hear(monday)
    play.pass_s(0.5)
    assert "weekly_login" not in {alert.code for alert in play.all(Alert)}


def test_an_instrument_that_was_asked_for_while_tws_had_no_ib_is_asked_for_again() -> None:
    """TWS never answers such a question; without the instrument no exit could ever leave."""
    play = Play()
    play.link_up()
    play.error(1100)
    assert of(tws.Subscribe, play.error(1102))
    play.hear(tws.ContractKnown(1, "SMH", "NASDAQ"))
    play.error(1100)
    assert not of(tws.Subscribe, play.error(1102)), "its data goes on"


def rejected_within_a_look() -> tuple[Play, tws.SendOrder, tws.OpenOrder]:
    """An exit that TWS lists in a look's books and rejects before these books are complete."""
    play = ready(shares=1000)
    play.pass_s(61)
    assert play.state.snapshots.routine
    sent = play.send(order("EXIT"))
    opened = play.opened(sent, "PreSubmitted")
    play.hear(opened)
    play.error(201, "Order rejected", sent.order_id)
    play.hear(play.status(sent, "Inactive"))
    assert play.status_of(sent.order) == "REJECTED"
    return play, sent, opened


def test_books_begun_before_an_order_was_rejected_do_not_call_it_alive() -> None:
    play, sent, opened = rejected_within_a_look()
    play.books(1000, opened=(opened,), statuses=(play.status(sent, "PreSubmitted"),))
    assert play.status_of(sent.order) == "REJECTED"
    assert play.send(order("EXIT", attempt=2)).order.intent_id.endswith("-2")


def test_books_begun_after_an_order_was_rejected_find_it_alive() -> None:
    play, sent, opened = rejected_within_a_look()
    play.books(1000)
    play.books(1000, opened=(opened,))
    assert play.status_of(sent.order) == "PreSubmitted"


def test_a_routine_look_without_an_answer_holds_up_no_entry() -> None:
    play = ready()
    play.pass_s(61)
    number = play.state.snapshots.number
    play.hear(tws.SnapshotFailed(number, "TWS did not finish its answer on: completed orders"))
    play.hear(tws.OwnPrice(100.0, "live"))
    play.pass_s(9)
    assert play.state.snapshots.number == number, "it is not asked again at once"
    assert play.refusal(order()) == ""
    play.pass_s(5)
    assert play.state.snapshots.number == number + 1
