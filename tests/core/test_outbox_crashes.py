"""Whenever the gateway dies or the link breaks, one intent stays one order at the broker."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from common.clock import SECOND_NS
from common.messages import (
    Accepted,
    Alert,
    CancelOrder,
    Fill,
    OrderBook,
    OrderUpdate,
    Refused,
    Session,
    SubmitOrder,
)
from common.tws import messages as tws
from tests.core.outbox_play import ACCOUNT, SESSION, START_NS, Play, order

DAY_NS = 86_400 * SECOND_NS


def ready(shares: int = 0) -> Play:
    play = Play()
    play.connect(shares=shares)
    return play


def order_ids(play: Play) -> set[int]:
    return {sent.order_id for sent in play.sent}


def test_c1_an_order_asked_again_after_a_death_before_it_was_heard_is_sent_once() -> None:
    play = ready()
    play.crash()
    play.connect()
    play.send(order())
    assert len(play.sent) == 1


def test_c2_a_death_before_the_record_leaves_nothing_and_the_repeat_is_sent_once() -> None:
    play = ready()
    outputs = play.judge(SubmitOrder("k", 0, order()))
    assert any(isinstance(o, tws.SendOrder) for o in outputs)
    play.crash()  # nothing was recorded, so nothing had left
    play.connect()
    play.send(order())
    assert len(play.sent) == 1


def test_c3_an_accepted_exit_that_had_to_wait_is_judged_again_after_a_restart() -> None:
    play = ready(shares=1000)
    play.link_down()
    waiting = order("EXIT", deadline_s=60)
    assert isinstance(play.submit(waiting), Accepted)
    play.crash()
    play.pass_s(61)
    assert play.sent == []
    assert play.status_of(waiting) == "DENIED"


def test_c3_an_accepted_exit_leaves_once_the_link_is_compared_again() -> None:
    play = ready(shares=1000)
    play.link_down()
    play.submit(order("EXIT"))
    play.crash()
    play.connect(shares=1000)
    play.pass_s(1)
    assert len(play.sent) == 1


@pytest.mark.parametrize("next_id", [1, 2], ids=["TWS never saw the id", "TWS saw the id"])
def test_c4_c5_an_entry_that_died_on_its_way_is_never_sent_twice(next_id: int) -> None:
    play = ready()
    sent = play.send(order())
    play.crash()
    assert play.status_of(sent.order) == "UNKNOWN"
    play.connect(next_id=next_id)
    play.pass_s(31)
    play.books()
    play.pass_s(11)
    play.books()
    assert play.status_of(sent.order) == ("ABANDONED" if next_id == 1 else "UNKNOWN")
    assert len(play.sent) == 1


def test_c4_one_snapshot_or_two_early_ones_prove_nothing() -> None:
    play = ready()
    sent = play.send(order())
    play.crash()
    play.connect(next_id=1)
    for _ in range(2):
        play.pass_s(11)
        play.books()
    assert play.status_of(sent.order) == "UNKNOWN"
    play.pass_s(11)
    play.books()
    assert play.status_of(sent.order) == "UNKNOWN"


def test_c4_a_changed_position_disproves_that_nothing_arrived() -> None:
    play = ready()
    sent = play.send(order())
    play.crash()
    play.connect(next_id=1, shares=1000)
    for _ in range(4):
        play.pass_s(31)
        play.books(shares=1000)
    assert play.status_of(sent.order) == "UNKNOWN"
    assert len(play.sent) == 1


def test_c4_an_exit_proven_absent_is_sent_again_under_its_old_id() -> None:
    play = ready(shares=1000)
    first = play.send(order("EXIT"))
    play.crash()
    play.connect(next_id=1, shares=1000)
    play.pass_s(31)
    play.books(shares=1000)
    play.pass_s(11)
    play.books(shares=1000)
    play.pass_s(1)
    assert [sent.order_id for sent in play.sent] == [first.order_id, first.order_id]


def looks(play: Play, shares: int, times: int = 2, opened: tuple[tws.OpenOrder, ...] = ()) -> None:
    """So often the broker's books are told, far enough apart to count."""
    for _ in range(times):
        play.pass_s(31)
        play.books(shares=shares, opened=opened)


@pytest.mark.parametrize("how", ["103", "handshake"])
def test_c4_an_exit_whose_id_is_burnt_is_cancelled_then_abandoned_so_that_a_new_one_may_go(
    how: str,
) -> None:
    play = ready(shares=1000)
    sent = play.send(order("EXIT"))
    if how == "handshake":
        play.crash()
        play.connect(next_id=sent.order_id + 1, shares=1000)
    else:
        play.pass_s(3)
        play.error(103, "Duplicate order id", ref_id=sent.order_id)
    looks(play, shares=1000)
    assert play.status_of(sent.order) == "UNKNOWN"
    looks(play, shares=1000)
    assert [cancel.order_id for cancel in play.all(tws.SendCancel)] == [sent.order_id]
    assert play.status_of(sent.order) == "ABANDONED"
    again = play.send(order("EXIT", attempt=2))
    assert again.order_id != sent.order_id


SOLD_BY_OTHERS = tws.OpenOrder(0, 0, 77, "", ACCOUNT, "SMH", "SELL", 400, "Submitted")


def test_c4_an_exit_that_tws_took_and_that_fits_no_more_is_cancelled_before_a_smaller_one() -> None:
    # given: a dialog may hold it, and others may sell some of the shares by now
    play = ready(shares=1000)
    sent = play.send(order("EXIT"))
    play.hear(SOLD_BY_OTHERS)
    looks(play, shares=1000, opened=(SOLD_BY_OTHERS,))
    smaller = order("EXIT", 2, shares=600)
    play.submit(smaller)
    play.pass_s(1)
    # then
    assert [cancel.order_id for cancel in play.all(tws.SendCancel)] == [sent.order_id]
    assert (len(play.sent), play.status_of(sent.order)) == (1, "UNKNOWN")
    # when
    looks(play, shares=1000, opened=(SOLD_BY_OTHERS,))
    play.pass_s(1)
    # then
    assert play.status_of(sent.order) == "ABANDONED"
    assert [again.order.intent_id for again in play.sent[1:]] == [smaller.intent_id]


def test_c4_an_exit_that_never_reached_tws_and_fits_no_more_is_abandoned() -> None:
    play = ready(shares=1000)
    sent = play.send(order("EXIT"))
    play.crash()
    play.connect(next_id=1, shares=1000)
    play.hear(SOLD_BY_OTHERS)
    looks(play, shares=1000, opened=(SOLD_BY_OTHERS,))
    play.pass_s(1)
    assert play.status_of(sent.order) == "ABANDONED"
    assert not play.all(tws.SendCancel)


def test_c4_an_exit_in_doubt_after_a_death_is_not_sent_again_early() -> None:
    play = ready(shares=1000)
    play.send(order("EXIT"))
    play.crash()
    play.connect(next_id=1, shares=1000)
    play.pass_s(25)
    assert len(play.sent) == 1
    assert any("UNKNOWN" in alert.text for alert in play.all(Alert))


def test_c6_an_entry_found_working_after_the_restart_goes_on_under_its_id() -> None:
    play = ready()
    sent = play.send(order())
    play.crash()
    play.link_up(next_id=2)
    play.books(opened=(play.opened(sent),), statuses=(play.status(sent),))
    assert play.status_of(sent.order) == "Submitted"
    assert isinstance(play.submit(sent.order, "again"), Accepted)
    assert len(play.sent) == 1


def test_c7_an_order_is_found_by_its_reference_even_when_it_is_done() -> None:
    play = ready()
    sent = play.send(order())
    play.crash()
    play.link_up(next_id=2)
    done = tws.CompletedOrder(
        9001, sent.order_ref, ACCOUNT, "SMH", "BUY", "Filled", 1000, "Filled Size: 1000"
    )
    play.books(shares=1000, completed=(done,), executions=(play.execution(sent),))
    assert play.status_of(sent.order) == "Filled"
    assert [fill.shares for fill in play.all(Fill)] == [1000]


def test_c8_fills_missed_and_repeated_around_a_death_count_once_each() -> None:
    play = ready()
    sent = play.send(order())
    play.hear(play.opened(sent))
    play.hear(play.execution(sent, 400, number=1))
    play.crash()
    play.link_up(next_id=2)
    both = (play.execution(sent, 400, number=1), play.execution(sent, 600, number=2))
    play.books(shares=1000, executions=both)
    play.hear(play.execution(sent, 600, number=2))
    assert [fill.shares for fill in play.all(Fill)] == [400, 600]
    assert play.status_of(sent.order) == "Filled"


def test_c9_a_cancel_in_flight_waits_for_the_broker_and_a_fill_may_win() -> None:
    play = ready()
    sent = play.send(order())
    play.hear(play.opened(sent))
    play.hear(CancelOrder("c", 0, sent.order.intent_id, "test"))
    play.pass_s(0.5)
    assert len(play.all(tws.SendCancel)) == 1
    play.crash()
    assert play.status_of(sent.order) == "Submitted"
    play.link_up(next_id=2)
    play.books(shares=1000, executions=(play.execution(sent),))
    assert play.status_of(sent.order) == "Filled"


def test_c10_after_a_death_everything_said_is_still_known_as_said() -> None:
    play = ready()
    play.hold()
    fills = len(play.all(Fill))
    play.crash()
    play.connect(next_id=2, shares=1000)
    assert len(play.all(Fill)) == fills


def test_every_cut_of_a_day_leaves_one_order_per_intent_and_no_id_used_twice() -> None:
    whole = ready()
    whole.hold()
    whole.send(order("EXIT"))
    for cut in range(len(whole.records) + 1):
        play = Play()
        play.records = whole.records[:cut]
        play.host_ns, play.market_ns = whole.host_ns, whole.market_ns
        play.crash()
        journaled = {
            out.order_id: intent for intent, out in play.state.orders.items() if out.order_id
        }
        held = play.state.position_by_fills
        play.connect(next_id=1, shares=held)
        for wanted in (order("ENTRY"), order("EXIT")):
            play.submit(wanted, f"after-{wanted.intent_id}")
        play.pass_s(3)
        for sent in play.sent:
            assert journaled.setdefault(sent.order_id, sent.order.intent_id) == (
                sent.order.intent_id
            )
        assert len(journaled) == len(set(journaled.values())), f"cut at {cut}"


def test_an_id_is_never_used_again_even_when_tws_rolls_its_own_back() -> None:
    play = ready()
    play.hold()
    play.crash()
    play.connect(next_id=1, shares=1000)
    sent = play.send(order("EXIT"))
    assert sent.order_id > 1
    assert len(order_ids(play)) == len(play.sent)


def test_a_refused_intent_stays_refused() -> None:
    play = Play()
    assert isinstance(play.submit(order()), Refused)
    play.connect()
    assert isinstance(play.submit(order(), "again"), Refused)
    assert play.sent == []


def test_the_same_intent_with_other_terms_is_refused() -> None:
    play = ready()
    play.send(order(shares=1000))
    assert "other terms" in play.refusal(order(shares=1001))


def test_a_link_lost_in_mid_send_makes_the_order_unknown_and_blocks_entries() -> None:
    play = ready()
    sent = play.send(order())
    play.link_down()
    assert play.status_of(sent.order) == "UNKNOWN"
    play.connect()
    play.pass_s(1)
    assert play.newest(OrderBook).unknown == (sent.order.intent_id,)
    assert "unknown" in play.refusal(order(attempt=2))


def test_a_trade_of_others_before_the_send_that_is_told_after_it_leaves_no_doubt_behind() -> None:
    # given: the position knows of it when the exit leaves, the executions do not yet
    play = ready(shares=1000)
    bought = tws.ExecutionReport(
        "00aa.02.01",
        0,
        0,
        555,
        "",
        ACCOUNT,
        "SMH",
        "BUY",
        300,
        99.0,
        play.market_ns,
        liquidation=False,
    )
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 1300, 100.0))
    sent = play.send(order("EXIT"))
    play.hear(bought)
    # when: a dialog held it, the link was lost meanwhile, and TWS has forgotten it
    play.error(1100)
    assert play.status_of(sent.order) == "UNKNOWN"
    play.link_down()
    play.connect(next_id=sent.order_id + 1, shares=1300)
    looks(play, shares=1300, times=4)
    # then
    assert play.status_of(sent.order) == "ABANDONED"


def test_nothing_is_sent_while_tws_has_lost_ib_and_the_books_come_first_after_it() -> None:
    play = ready(shares=1000)
    play.error(1100)
    play.submit(order("EXIT"))
    play.pass_s(5)
    assert play.sent == []
    play.error(1102)
    play.pass_s(1)
    assert play.sent == []
    play.books(shares=1000)
    play.pass_s(0.5)
    assert len(play.sent) == 1


def test_an_exit_without_an_answer_goes_once_more_with_its_id_on_the_same_sound_link() -> None:
    play = ready(shares=1000)
    sent = play.send(order("EXIT"))
    play.pass_s(4.5)
    assert [s.order_id for s in play.sent] == [sent.order_id, sent.order_id]
    play.pass_s(20)
    assert len(play.sent) == 2


def test_an_entry_without_an_answer_is_unknown_and_paged_after_five_seconds() -> None:
    play = ready()
    sent = play.send(order())
    play.pass_s(6)
    assert play.status_of(sent.order) == "UNKNOWN"
    assert any("dialog" in alert.text for alert in play.all(Alert))
    assert len(play.sent) == 1


def test_a_send_that_provably_never_left_is_tried_again_with_its_id() -> None:
    play = ready()
    sent = play.send(order())
    play.hear(tws.NotSent(sent.order_id, "no room"))
    play.pass_s(1)
    assert [s.order_id for s in play.sent] == [sent.order_id, sent.order_id]


def test_an_order_of_a_past_session_without_a_trace_is_abandoned() -> None:
    play = ready()
    sent = play.send(order())
    play.crash()
    play.market_ns = play.state.session.next_open_ns + 1 if play.state.session else 0
    play.connect(next_id=2)
    play.pass_s(31)
    play.books()
    play.pass_s(11)
    play.books()
    assert play.status_of(sent.order) == "ABANDONED"


def test_an_abandoned_order_that_is_inactive_at_ib_after_all_is_followed_and_cancelled() -> None:
    """Found by the simulation: a dialog of TWS had held it, and IB put it aside."""
    play = ready()
    sent = play.send(order())
    while play.status_of(sent.order) != "ABANDONED":
        play.pass_s(11)
        play.books()
    play.hear(play.status(sent, "Inactive"))
    assert play.status_of(sent.order) == "Inactive"
    play.pass_s(11)
    assert [cancel.order_id for cancel in play.all(tws.SendCancel)] == [sent.order_id]


def test_a_past_sessions_order_in_doubt_ends_though_the_position_has_changed() -> None:
    play = ready(shares=1000)
    sent = play.send(order("EXIT"))
    play.crash()
    play.connect(next_id=2, shares=0)  # sold by hand meanwhile
    play.pass_s(31)
    play.books(shares=0)
    play.pass_s(11)
    play.books(shares=0)
    assert play.status_of(sent.order) == "UNKNOWN"
    play.market_ns = play.state.session.next_open_ns + 1 if play.state.session else 0
    looks(play, shares=0, times=3)
    assert play.status_of(sent.order) == "ABANDONED"


def test_a_working_exit_that_vanished_during_an_outage_ends_so_that_a_new_one_may_go() -> None:
    play = ready(shares=1000)
    sent = play.send(order("EXIT"))
    play.hear(play.opened(sent))
    play.link_down()
    play.pass_s(60)
    play.connect(next_id=sent.order_id + 1, shares=1000)
    assert play.status_of(sent.order) == "Submitted"
    for _ in range(5):
        play.pass_s(11)
        if play.state.snapshots.pending:
            play.books(shares=1000)
    assert play.status_of(sent.order) == "Cancelled"
    play.send(order("EXIT", attempt=2))


def test_an_order_that_is_in_the_books_again_is_asked_about_no_more() -> None:
    play = ready(shares=1000)
    sent = play.send(order("EXIT"))
    play.hear(play.opened(sent))
    play.link_down()
    play.connect(next_id=sent.order_id + 1, shares=1000)
    play.pass_s(11)
    play.books(shares=1000, opened=(play.opened(sent),))
    play.pass_s(60)
    assert not play.state.snapshots.pending
    assert play.status_of(sent.order) == "Submitted"


def test_an_order_held_by_tws_is_looked_at_again_only_now_and_then() -> None:
    play = ready(shares=1000)
    sent = play.send(order("EXIT"))
    held = play.opened(sent, "Inactive")
    play.hear(held)
    before = play.state.snapshots.number
    for _ in range(120):
        play.pass_s(0.5)
        if play.state.snapshots.pending:
            play.books(shares=1000, opened=(held,))
    assert 3 <= play.state.snapshots.number - before <= 8


def test_an_abandoned_order_that_shows_up_after_all_is_alive_again() -> None:
    play = ready()
    sent = play.send(order())
    play.crash()
    play.connect(next_id=1)
    play.pass_s(31)
    play.books()
    play.pass_s(11)
    play.books()
    play.hear(play.opened(sent))
    assert play.status_of(sent.order) == "Submitted"
    assert "working" in play.refusal(order(attempt=2))


def test_updates_are_said_once_though_reports_come_twice() -> None:
    play = ready()
    sent = play.send(order())
    for _ in range(3):
        play.hear(play.opened(sent))
        play.hear(play.status(sent))
    words = [u for u in play.all(OrderUpdate) if u.status == "Submitted"]
    assert len(words) == 1


def test_a_fold_of_the_journal_gives_the_very_same_state() -> None:
    play = ready()
    play.hold()
    play.send(order("EXIT"))
    play.pass_s(6)
    play.error(1100)
    play.error(1101)
    play.link_down()
    play.connect(next_id=2, shares=1000)
    assert play.folded() == play.state


def days_later(days: int) -> Session:
    """The session of `SESSION`'s hours so many days on."""
    ahead, ahead_ns = timedelta(days=days), days * DAY_NS
    return msgspec.structs.replace(
        SESSION,
        previous_day=SESSION.previous_day + ahead,
        day=SESSION.day + ahead,
        open_ns=SESSION.open_ns + ahead_ns,
        close_ns=SESSION.close_ns + ahead_ns,
        next_day=SESSION.next_day + ahead,
        next_open_ns=SESSION.next_open_ns + ahead_ns,
        next_close_ns=SESSION.next_close_ns + ahead_ns,
    )


def test_a_clock_that_runs_twenty_days_ahead_for_a_moment_forgets_no_order_and_no_fill() -> None:
    # given: a position bought today
    play = ready()
    bought = play.hold()
    fill = msgspec.structs.replace(play.execution(bought), executed_ns=START_NS)
    # when: the clock jumps, the feed names the session it leads to, and the clock is set right
    play.market_ns += 20 * DAY_NS
    play.hear(days_later(20))
    play.pass_s(2)
    play.market_ns -= 20 * DAY_NS
    play.hear(SESSION)
    # then: the execution that TWS tells again is known, and so is the order
    play.pass_s(61)
    play.books(shares=1000, executions=(fill,))
    assert len(play.all(Fill)) == 1
    assert play.state.mode == "ACTIVE"
    assert isinstance(play.submit(bought.order), Accepted)
    assert len(play.sent) == 1


def test_what_the_broker_itself_has_left_weeks_behind_is_forgotten() -> None:
    play = ready()
    old = play.hold()
    play.market_ns += 20 * DAY_NS
    play.hear(tws.ExecutionReport(
        "0000e0d5.99990001.01.01", 0, 0, 9999, "", ACCOUNT, "SMH", "SELL", 1000, 100.0,
        play.market_ns, liquidation=False,
    ))  # fmt: skip
    play.hear(days_later(20))
    assert old.order.intent_id not in play.state.orders
    assert list(play.state.fills) == ["0000e0d5.99990001.01"]
