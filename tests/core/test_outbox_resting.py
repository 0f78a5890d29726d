"""Rule "resting stop", the gateway's part: never short, whichever of stop and exit sells."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from common.messages import (
    Accepted,
    Alert,
    CancelOrder,
    Fill,
    OrderBook,
    OrderUpdate,
    Purpose,
    SubmitOrder,
)
from common.settings import Limits, Settings
from common.tws import messages as tws
from tests.core.outbox_play import ACCOUNT, Play, order


def held(shares: int = 1000, settings: Settings | None = None) -> Play:
    play = Play(settings)
    play.connect(shares=shares)
    return play


def rested(shares: int = 1000) -> tuple[Play, tws.SendOrder]:
    """A position, and the stop for it at the broker."""
    play = held(shares)
    stop = play.send(order("STOP", shares=shares))
    play.hear(play.opened(stop, "PreSubmitted"))
    return play, stop


def last_cancel(play: Play) -> int:
    """The order id of the newest cancel; 0 when none was sent."""
    found = play.newest(tws.SendCancel)
    return 0 if found is None else int(found.order_id)


def cancel(play: Play, sent: tws.SendOrder) -> None:
    intent_id = sent.order.intent_id
    play.hear(CancelOrder(f"{intent_id}-CANCEL", 0, intent_id, "its level has moved"))
    play.pass_s(0.1, 0.1)


def sold(play: Play, sent: tws.SendOrder, shares: int, left: int, number: int = 1) -> None:
    """An execution, and the position that TWS reports after it."""
    play.hear(play.execution(sent, shares, number))
    play.hear(tws.PositionReport(ACCOUNT, "SMH", left, 100.0))


# --- how the two exclude each other ------------------------------------------------------------


def test_a_stop_opens_a_group_of_its_own_name_and_an_exit_joins_it_whole() -> None:
    play, stop = rested()
    assert stop.oca_group == stop.order_ref
    leave = play.send(order("EXIT"))
    assert (leave.oca_group, leave.order.shares) == (stop.oca_group, 1000)


def test_without_a_stop_an_exit_has_no_group() -> None:
    assert held().send(order("EXIT")).oca_group == ""


def test_an_exit_sent_a_second_time_bears_the_same_group() -> None:
    play, stop = rested()
    leave = play.send(order("EXIT"))
    play.hear(play.status(stop, "Cancelled"))
    play.pass_s(3)
    again = play.sent[-1]
    assert (again.order_id, again.oca_group) == (leave.order_id, leave.oca_group)


def test_the_group_counts_once_when_both_are_proven_and_untouched() -> None:
    play, _ = rested()
    leave = play.send(order("EXIT"))
    play.hear(play.opened(leave))
    assert play.state.working_sells() == 1000


def test_it_counts_as_a_sum_while_a_member_is_on_its_way_and_while_the_link_is_in_doubt() -> None:
    play, _ = rested()
    leave = play.send(order("EXIT"))
    assert play.state.working_sells() == 2000
    play.hear(play.opened(leave))
    play.error(1100)
    assert play.state.working_sells() == 2000


def test_it_counts_as_a_sum_once_the_stop_has_begun_to_fill() -> None:
    play, stop = rested()
    leave = play.send(order("EXIT"))
    play.hear(play.opened(leave))
    sold(play, stop, 400, 600)
    assert play.state.working_sells() == 600 + 1000


def test_a_second_exit_beside_both_is_never_sent() -> None:
    play, _ = rested()
    leave = play.send(order("EXIT"))
    play.hear(play.opened(leave))
    assert "never short" in play.refusal(order("EXIT", 2))


# --- doubt about the stop ----------------------------------------------------------------------


def test_an_exit_waits_for_a_stop_on_its_way_and_joins_it_at_once_when_it_is_there() -> None:
    play = held()
    stop = play.send(order("STOP"))
    answer = play.submit(order("EXIT"))
    assert isinstance(answer, Accepted)
    assert "20240604-STOP-1 at the broker is PendingSubmit" in answer.note
    play.pass_s(1)
    assert play.sent == [stop]
    play.hear(play.opened(stop, "PreSubmitted"))
    play.pass_s(0.1, 0.1)
    assert play.sent[-1].oca_group == stop.oca_group
    assert play.sent[-1].order.purpose == "EXIT"


def test_an_exit_waits_for_a_stop_that_is_being_cancelled_and_goes_alone_afterwards() -> None:
    """IB closes a group with its orders, so nothing may join it now."""
    play, stop = rested()
    cancel(play, stop)
    assert "being cancelled" in play.submit(order("EXIT")).note  # type: ignore[union-attr]  # it is accepted
    play.pass_s(1)
    assert play.sent == [stop]
    play.hear(play.status(stop, "Cancelled"))
    play.pass_s(0.1, 0.1)
    assert (play.sent[-1].order.purpose, play.sent[-1].oca_group) == ("EXIT", "")


def test_an_exit_waits_while_the_stop_sells_and_is_dropped_when_it_has_sold_all() -> None:
    play, stop = rested()
    sold(play, stop, 400, 600)
    assert "selling" in play.submit(order("EXIT", shares=600)).note  # type: ignore[union-attr]  # accepted
    play.pass_s(5)
    assert play.sent == [stop]
    sold(play, stop, 600, 0, number=2)
    play.pass_s(4)
    assert play.status_of(order("EXIT")) == "DENIED"
    assert play.sent == [stop]


def test_after_a_stop_that_ended_half_sold_the_exit_sells_what_is_left() -> None:
    play, stop = rested()
    sold(play, stop, 400, 600)
    play.submit(order("EXIT", shares=600))
    play.hear(play.status(stop, "Cancelled", 400))
    play.pass_s(0.5)
    assert (play.sent[-1].order.shares, play.sent[-1].oca_group) == (600, "")


def test_a_stop_unknown_after_a_death_holds_the_exit_back_until_it_is_proven() -> None:
    play = held()
    stop = play.send(order("STOP"))
    play.crash()
    play.link_up(next_id=stop.order_id)
    play.hear(tws.ContractKnown(1, "SMH", "NASDAQ"))
    play.books(shares=1000)
    play.submit(order("EXIT"))
    play.pass_s(1)
    assert play.sent == [stop]
    assert last_cancel(play) == stop.order_id, "its cancel brings the word that nothing else does"
    for _ in range(4):
        play.pass_s(31)
        play.books(shares=1000)
        if play.status_of(stop.order) == "ABANDONED":
            break
    play.pass_s(0.5)
    assert (play.sent[-1].order.purpose, play.sent[-1].oca_group) == ("EXIT", "")


def test_a_stop_unknown_after_a_death_and_found_again_is_joined() -> None:
    play = held()
    stop = play.send(order("STOP"))
    play.crash()
    play.link_up(next_id=stop.order_id + 1)
    play.hear(tws.ContractKnown(1, "SMH", "NASDAQ"))
    play.submit(order("EXIT"))
    play.books(shares=1000, opened=(play.opened(stop, "PreSubmitted"),))
    play.pass_s(0.5)
    assert play.sent[-1].oca_group == stop.oca_group


def test_a_stop_that_sold_while_the_gateway_was_dead_is_booked_and_no_exit_follows() -> None:
    play, stop = rested()
    play.crash()
    play.link_up(next_id=stop.order_id + 1)
    play.hear(tws.ContractKnown(1, "SMH", "NASDAQ"))
    play.submit(order("EXIT"))
    play.books(executions=(play.execution(stop),))
    play.pass_s(5)
    assert play.newest(Fill).intent_id == stop.order.intent_id
    assert play.sent == [stop]


def test_an_exit_lost_on_its_way_is_proven_absent_though_the_stop_sold_meanwhile() -> None:
    play, stop = rested()
    leave = play.send(order("EXIT"))
    play.crash()
    play.link_up(next_id=leave.order_id)
    play.hear(tws.ContractKnown(1, "SMH", "NASDAQ"))
    for _ in range(5):
        play.books(executions=(play.execution(stop),))
        play.pass_s(31)
        if play.status_of(leave.order) == "ABANDONED":
            break
    assert play.status_of(leave.order) == "ABANDONED"
    assert play.sent == [stop, leave]


def test_after_an_outage_an_exit_waits_for_the_books_because_the_stop_may_have_sold() -> None:
    play, stop = rested()
    play.error(1100)
    play.submit(order("EXIT"))
    play.error(1102)
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 1000, 100.0))
    play.pass_s(0.2, 0.1)
    assert play.sent == [stop]
    play.books(shares=1000, opened=(play.opened(stop, "PreSubmitted"),))
    play.pass_s(0.5)
    assert play.sent[-1].oca_group == stop.oca_group


def test_an_inactive_stop_in_an_exits_way_is_cancelled() -> None:
    play, stop = rested()
    play.hear(play.status(stop, "Inactive"))
    play.submit(order("EXIT"))
    play.pass_s(0.5)
    assert last_cancel(play) == stop.order_id
    assert play.sent == [stop]


def test_nothing_joins_the_group_of_a_stop_whose_session_is_over() -> None:
    play, stop = rested()
    assert play.state.session is not None
    play.market_ns = play.state.session.close_ns + 1
    late = order("EXIT", order_type="LMT", limit_usd=99.0, outside_rth=True, deadline_s=10 * 3600)
    play.submit(late)
    play.pass_s(1)
    assert play.sent == [stop]
    play.hear(play.status(stop, "Cancelled"))
    play.pass_s(0.5)
    assert (play.sent[-1].order, play.sent[-1].oca_group) == (late, "")


def test_a_stop_of_a_past_session_that_the_books_do_not_know_is_over_at_the_first_look() -> None:
    play, stop = rested()
    play.link_down()
    assert play.state.session is not None
    play.market_ns = play.state.session.next_open_ns + 1
    play.connect(next_id=2, shares=1000)
    assert play.status_of(stop.order) == "Cancelled"
    assert play.newest(OrderBook).working == ()


# --- an exit that IB does not take beside the stop ---------------------------------------------


def refused_beside() -> tuple[Play, tws.SendOrder]:
    """A stop at rest, and the first exit in its group refused."""
    play, stop = rested()
    leave = play.send(order("EXIT"))
    assert leave.oca_group == stop.oca_group
    play.error(201, "Order rejected - reason:not beside another order", leave.order_id)
    assert play.status_of(leave.order) == "REJECTED"
    return play, stop


def test_after_an_exit_refused_in_the_stops_group_the_next_goes_alone_once_the_stop_is_gone() -> (
    None
):
    play, stop = refused_beside()
    play.submit(order("EXIT", 2))
    play.pass_s(1)
    assert last_cancel(play) == stop.order_id
    assert play.sent[-1].order.intent_id.endswith("EXIT-1"), "both might sell"
    play.hear(play.status(stop, "Cancelled"))
    play.pass_s(0.1, 0.1)
    assert (play.sent[-1].order.intent_id[-6:], play.sent[-1].oca_group) == ("EXIT-2", "")


def test_the_stop_protects_until_the_next_exit_is_due() -> None:
    play, _ = refused_beside()
    play.pass_s(60)
    assert not last_cancel(play)


def test_the_group_takes_no_more_refuses_a_first_copy_and_proves_nothing_of_a_second() -> None:
    play, stop = rested()
    leave = play.send(order("EXIT"))
    play.error(10326, "OCA group revision is not allowed", leave.order_id)
    assert play.status_of(leave.order) == "REJECTED"
    play.submit(order("EXIT", 2))
    play.pass_s(0.5)
    assert last_cancel(play) == stop.order_id

    play, _ = rested()
    leave = play.send(order("EXIT"))
    play.pass_s(3)
    assert len(play.sent) == 3, "the same id once more"
    play.error(10326, "OCA group revision is not allowed", leave.order_id)
    play.submit(order("EXIT", 2))
    play.pass_s(1)
    assert (play.status_of(leave.order), len(play.sent)) == ("PendingSubmit", 3)


@pytest.mark.parametrize("ended", ["Cancelled", "ApiCancelled"])
def test_an_exit_that_ib_cancels_in_the_stops_group_is_not_followed_into_it(ended: str) -> None:
    play, stop = rested()
    leave = play.send(order("EXIT"))
    play.hear(play.opened(leave))
    play.hear(play.status(leave, ended))
    play.submit(order("EXIT", 2))
    play.pass_s(1)
    assert last_cancel(play) == stop.order_id
    assert play.sent[-1] == leave


def test_after_an_inactive_exit_in_the_stops_group_the_next_goes_alone() -> None:
    play, stop = rested()
    leave = play.send(order("EXIT"))
    play.hear(play.opened(leave, "Inactive"))
    play.pass_s(6)
    assert last_cancel(play) == leave.order_id
    play.hear(play.status(leave, "Cancelled"))
    play.books(shares=1000, opened=(play.opened(stop, "PreSubmitted"),))
    play.submit(order("EXIT", 2))
    play.pass_s(0.5)
    assert last_cancel(play) == stop.order_id
    play.hear(play.status(stop, "Cancelled"))
    play.pass_s(0.5)
    assert (play.sent[-1].order.intent_id[-6:], play.sent[-1].oca_group) == ("EXIT-2", "")


def test_an_exit_that_never_arrived_is_not_followed_into_the_stops_group_either() -> None:
    """Its refusal may be what did not arrive."""
    play, stop = rested()
    leave = play.send(order("EXIT"))
    play.crash()
    play.link_up(next_id=leave.order_id + 1)
    play.hear(tws.ContractKnown(1, "SMH", "NASDAQ"))
    for _ in range(5):
        play.books(shares=1000, opened=(play.opened(stop, "PreSubmitted"),))
        play.pass_s(31)
        if play.status_of(leave.order) == "ABANDONED":
            break
    play.submit(order("EXIT", 2))
    play.pass_s(0.5)
    assert last_cancel(play) == stop.order_id
    assert play.sent == [stop, leave]


def test_a_stop_that_begins_to_sell_after_the_refusal_is_the_exit_and_is_left_to_it() -> None:
    play, stop = refused_beside()
    sold(play, stop, 400, 600)
    play.submit(order("EXIT", 2, shares=600))
    play.pass_s(1)
    assert not last_cancel(play)
    assert len(play.sent) == 2


def test_a_refused_exit_that_lives_after_all_is_never_doubled_by_the_next() -> None:
    play, _ = refused_beside()
    play.submit(order("EXIT", 2))
    play.hear(play.opened(play.sent[-1]))
    play.pass_s(1)
    assert play.status_of(order("EXIT", 2)) == "DENIED"
    assert len(play.sent) == 2


# --- what may rest -----------------------------------------------------------------------------


def test_no_second_stop_and_none_beside_an_exit() -> None:
    play, _ = rested(2000)
    assert "no stop beside 20240604-STOP-1" in play.refusal(order("STOP", 2, shares=500))
    play = held(2000)
    play.send(order("EXIT"))
    assert "no stop beside 20240604-EXIT-1" in play.refusal(order("STOP"))


def test_a_stop_that_waits_is_dropped_when_an_exit_comes() -> None:
    play = held()
    play.error(1100)
    assert isinstance(play.submit(order("STOP")), Accepted)
    assert isinstance(play.submit(order("EXIT")), Accepted)
    play.error(1102)
    play.pass_s(0.5)
    play.books(shares=1000)
    play.pass_s(0.5)
    assert [sent.order.purpose for sent in play.sent] == ["EXIT"]
    assert play.status_of(order("STOP")) == "DENIED"


def test_a_stop_never_covers_more_than_is_held() -> None:
    assert "never short" in held().refusal(order("STOP", shares=1001))
    play = held()
    play.hear(_foreign(400))
    assert "never short" in play.refusal(order("STOP", shares=700))


def _foreign(shares: int) -> tws.OpenOrder:
    return tws.OpenOrder(0, 0, 77, "", ACCOUNT, "SMH", "SELL", shares, "Submitted")


def test_a_stop_at_the_market_would_be_a_sale_and_is_refused() -> None:
    play = held()
    play.hear(tws.OwnPrice(98.5, "live"))
    assert "would sell at once" in play.refusal(order("STOP"))


def test_a_stop_waits_for_books_and_position_and_lapses_at_its_deadline() -> None:
    play = held()
    play.error(1100)
    assert isinstance(play.submit(order("STOP", deadline_s=60)), Accepted)
    play.pass_s(61)
    assert play.status_of(order("STOP")) == "DENIED"
    assert play.sent == []


def test_an_entry_is_refused_while_a_stop_lives() -> None:
    play, _ = rested()
    assert "20240604-STOP-1 is working" in play.refusal(order("ENTRY"))


@pytest.mark.parametrize("purpose", get_args(Purpose))
def test_stop_prices_belong_to_stops_alone(purpose: Purpose) -> None:
    wrong = msgspec.structs.replace(order(purpose), stop_usd=None if purpose == "STOP" else 99.0)
    assert "stop price belongs" in held().refusal(wrong)


def test_stops_never_use_up_the_orders_that_an_exit_needs() -> None:
    play = held(settings=Settings(limits=Limits(orders_per_day_max=2)))
    for attempt in (1, 2):
        stop = play.send(order("STOP", attempt))
        play.hear(play.status(stop, "Cancelled"))
    assert "today already" in play.refusal(order("STOP", 3))
    for attempt in range(1, 5):
        leave = play.send(order("EXIT", attempt))
        play.hear(play.status(leave, "Cancelled"))
    assert "today already" in play.refusal(order("EXIT", 5))


# --- the gateway's own cancels -----------------------------------------------------------------


def test_a_stop_larger_than_the_position_is_cancelled_by_the_gateway_itself() -> None:
    """A person sells half by hand."""
    play, stop = rested()
    by_hand = tws.ExecutionReport(
        "0000e0d5.hand.01.01", 0, 0, 78, "", ACCOUNT, "SMH", "SELL", 500, 100.0, play.market_ns,
        liquidation=False,
    )  # fmt: skip
    play.hear(by_hand)
    play.hear(tws.PositionReport(ACCOUNT, "SMH", 500, 100.0))
    play.pass_s(0.5)
    assert not last_cancel(play)
    play.pass_s(1)
    assert last_cancel(play) == stop.order_id


def test_a_foreign_sell_order_beside_the_stop_cancels_it() -> None:
    play, stop = rested()
    play.hear(_foreign(1))
    play.pass_s(1.5)
    assert last_cancel(play) == stop.order_id


def test_an_exit_that_fills_leaves_the_cancel_to_the_broker_for_a_second() -> None:
    play, stop = rested()
    leave = play.send(order("EXIT"))
    play.hear(play.opened(leave))
    sold(play, leave, 1000, 0)
    play.pass_s(0.5)
    play.hear(play.status(stop, "Cancelled"))
    play.pass_s(5)
    assert not last_cancel(play)


def test_a_stop_that_the_group_did_not_cancel_is_cancelled_and_paged_while_it_lives() -> None:
    play, stop = rested()
    leave = play.send(order("EXIT"))
    play.hear(play.opened(leave))
    sold(play, leave, 1000, 0)
    play.pass_s(1.5)
    assert last_cancel(play) == stop.order_id
    play.pass_s(10)
    assert any(alert.code == "stop_excess" for alert in play.all(Alert))


def test_the_risk_monitors_cancel_is_left_to_the_group_while_an_exit_works_in_it() -> None:
    play, stop = rested()
    play.hear(play.opened(play.send(order("EXIT"))))
    cancel(play, stop)
    play.pass_s(5)
    assert not last_cancel(play)


def test_a_cancel_that_tws_does_not_answer_is_looked_into_and_sent_again() -> None:
    play, stop = rested()
    cancel(play, stop)
    assert len(play.all(tws.SendCancel)) == 1
    play.pass_s(20)
    play.books(shares=1000, opened=(play.opened(stop, "PreSubmitted"),))
    play.pass_s(0.5)
    assert len(play.all(tws.SendCancel)) == 2


def test_a_cancel_that_tws_refuses_for_ever_is_not_sent_for_ever() -> None:
    play, stop = rested()
    cancel(play, stop)
    for _ in range(30):
        play.pass_s(11)
        if play.state.snapshots.pending:
            play.books(shares=1000, opened=(play.opened(stop, "PreSubmitted"),))
    assert len(play.all(tws.SendCancel)) == 10


def test_a_crash_at_any_record_of_a_stops_life_gives_one_order_and_no_other_id() -> None:
    play, stop = rested()
    leave = play.send(order("EXIT"))
    play.hear(play.opened(leave))
    sold(play, leave, 1000, 0)
    play.hear(play.status(stop, "Cancelled"))
    whole = list(play.records)
    for cut in range(len(whole) + 1):
        again = Play()
        again.records = whole[:cut]
        again.crash()
        again.hear(SubmitOrder("k", 0, order("STOP")))
        ids = {out.order.intent_id: out.order_id for out in again.state.orders.values()}
        sent = [out for out in again.state.orders.values() if out.order_id]
        assert len({out.order_id for out in sent}) == len(sent), f"cut {cut}"
        assert ids.get(stop.order.intent_id, 0) in (0, stop.order_id), f"cut {cut}"


def test_what_is_said_of_a_stop_names_its_intent() -> None:
    play, stop = rested()
    assert play.newest(OrderUpdate).intent_id == stop.order.intent_id


def test_once_the_stop_sells_an_entry_buys_nothing_more() -> None:
    # given: half of an entry, and the stop that protects it
    play = Play()
    play.connect()
    entry = play.hold_partly(400)
    stop = play.send(order("STOP", shares=400))
    play.hear(play.opened(stop, "PreSubmitted"))
    play.pass_s(1)
    assert last_cancel(play) == 0, "a stop at rest is no sale"
    # when
    sold(play, stop, 100, 300)
    play.pass_s(1)
    # then
    assert last_cancel(play) == entry.order_id
