"""Rule "resting stop", the risk monitor's part: when it rests, at which level, what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from common.messages import (
    Accepted,
    Alert,
    CancelOrder,
    DaySummary,
    Exited,
    ExitFailed,
    Fill,
    Flatten,
    Message,
    Order,
    OrderState,
    OrderStatus,
    PlaceOrder,
    Refused,
    StopHit,
    SubmitOrder,
)
from common.settings import Settings
from tests.core.risk_play import TUESDAY, WEDNESDAY, RiskDay, held_day, settings
from tests.playbook import instant, of, one

ON = {"resting": True}


def unrested(shares: int = 7500, **stop: Any) -> RiskDay:
    """A held position with today's baseline, one tick before the stop is placed."""
    return held_day(shares, settings(stop={**ON, **stop}))


def placed(day: RiskDay, said: list[Message] | None = None) -> Order:
    """The stop that was asked of the gateway."""
    orders = [ask.order for ask in of(SubmitOrder, day.said if said is None else said)]
    stops = [order for order in orders if order.purpose == "STOP"]
    assert len(stops) == 1, stops
    return stops[0]


def rested(shares: int = 7500, **stop: Any) -> tuple[RiskDay, Order]:
    """The same, with the stop at the broker."""
    day = unrested(shares, **stop)
    order = placed(day)
    rest(day, order)
    day.forget()
    return day, order


def rest(day: RiskDay, order: Order) -> None:
    """The gateway took the order, and the broker has it."""
    day.hear(Accepted(key=order.intent_id, note=""))
    day.update(order, "PreSubmitted")
    day.hear(day.book(working=(order.intent_id,)))


def gone(
    day: RiskDay, order: Order, status: OrderStatus = "Cancelled", reason: str = ""
) -> list[Message]:
    """It is no longer at the broker, and sold nothing."""
    said: list[Message] = day.update(order, status, reason=reason)
    return said + day.hear(day.book())


def stops_asked(said: list[Message]) -> list[Order]:
    return [ask.order for ask in of(SubmitOrder, said) if ask.order.purpose == "STOP"]


# --- when, and where -------------------------------------------------------------------------


def test_it_is_placed_after_the_baseline_at_the_wider_level_rounded_up_to_the_cent() -> None:
    order = placed(unrested())
    assert (order.intent_id, order.action, order.order_type) == ("20260303-STOP-1", "SELL", "STP")
    assert (order.shares, order.stop_usd) == (7500, 396.67)  # 400 - 2.5 % of 1,000,000 / 7,500
    assert not order.outside_rth


def test_it_is_below_the_stop_monitors_own_level() -> None:
    day, order = rested()
    assert order.stop_usd is not None
    said = day.quote(397.3, 0.2)
    one(StopHit, said)
    assert order.stop_usd < 397.3


@pytest.mark.parametrize("stop", [{"resting": False}, {"baseline": "off"}], ids=str)
def test_switched_off_none_rests(stop: dict[str, Any]) -> None:
    day = unrested(**stop)
    assert not stops_asked(day.said + day.ticks(50))
    assert not day.all(Alert)


def test_it_must_be_wider_than_the_stop_monitors() -> None:
    with pytest.raises(ValueError, match="second line"):
        settings(stop={**ON, "resting_loss_fraction": 0.02})
    assert Settings().stop.resting, "it rests as shipped"


def test_after_an_entry_it_is_placed_once_the_whole_entry_is_filled() -> None:
    day = RiskDay(settings(stop=ON), held=0)
    day.open_at()
    order = day.entry_order()
    day.update(order, "Submitted")
    day.fill(order, 3000, 400.0)
    assert not stops_asked(day.ticks(5))
    day.fill(order, order.shares - 3000, 400.0)
    day.update(order, "Filled", order.shares)
    stop = placed(day, day.account() + day.ticks(3))
    assert (stop.shares, stop.stop_usd) == (order.shares, 396.67)


def test_an_entry_that_hangs_half_filled_is_protected_as_far_as_it_is_filled() -> None:
    day = RiskDay(settings(stop=ON), held=0)
    day.open_at()
    order = day.entry_order()
    day.update(order, "Submitted")
    day.fill(order, 3000, 400.0)
    stop = placed(day, day.ticks(60))
    assert stop.shares == 3000
    rest(day, stop)
    day.fill(order, 1000, 400.0)
    assert not of(CancelOrder, day.ticks(10)), "more of the entry is coming"
    day.update(order, "Cancelled", 4000)
    assert one(CancelOrder, day.ticks(10)).intent_id == stop.intent_id


def test_none_rests_when_flat_before_the_open_or_in_the_last_ten_seconds() -> None:
    flat = RiskDay(settings(stop=ON), held=0)
    flat.open_at()
    assert not stops_asked(flat.said + flat.ticks(20))
    early = RiskDay(settings(stop=ON), held=7500)
    assert not stops_asked(early.ticks(20))
    late = RiskDay(settings(stop=ON), held=7500, at="15:59:51")
    late.open_at()
    assert not stops_asked(late.said + late.ticks(20))


def test_it_lapses_ten_seconds_before_the_close() -> None:
    """Held back on its way, a day order must not become the next session's."""
    day = unrested()
    assert placed(day).deadline_ns == day.hours.close_ns - 10 * 10**9


def test_a_price_at_the_level_already_is_the_stop_monitors_to_judge() -> None:
    day = unrested()
    gone(day, placed(day), "REJECTED")
    day.forget()
    assert not stops_asked(day.quote(390.0, 5.0, agree=False) + day.tick())


@pytest.mark.parametrize(
    "trouble",
    [
        lambda day: day.link(state="degraded"),
        lambda day: day.link(state="reconciling"),
        lambda day: day.book(reconciled=False),
        lambda day: day.latch(mode="LOCKED"),
    ],
    ids=["degraded", "reconciling", "not compared", "locked"],
)
def test_it_is_placed_over_a_sound_link_only(trouble: Callable[[RiskDay], Message]) -> None:
    day = RiskDay(settings(stop=ON), held=7500, cash_usd=-2_000_000.0)
    day.hear(trouble(day))
    day.open_at()
    assert not stops_asked(day.said + day.ticks(20))
    day.hear(day.link(), day.book(), day.latch())
    placed(day, day.tick())


def test_halted_it_still_protects() -> None:
    day = RiskDay(settings(stop=ON), held=7500)
    day.hear(day.latch(mode="HALTED", reason="by hand"))
    day.open_at()
    placed(day)


def test_a_position_that_was_not_ours_is_protected_as_well() -> None:
    day = RiskDay(settings(stop=ON), held=7500, adopted=False)
    day.open_at()
    assert placed(day).shares == 7500


def test_sell_orders_that_are_not_ours_are_left_room() -> None:
    day = RiskDay(settings(stop=ON), held=7500)
    day.hear(day.book(foreign_sell_shares=3000))
    day.open_at()
    assert placed(day).shares == 4500


# --- kept in line ----------------------------------------------------------------------------


def test_a_moved_level_is_cancelled_heard_of_and_only_then_placed_anew() -> None:
    day, order = rested()
    day.cash_usd -= 100_000.0  # a withdrawal: the stricter level holds
    day.account(1.0)
    cancel = one(CancelOrder, day.ticks(20))
    assert cancel.intent_id == order.intent_id
    assert not stops_asked(day.ticks(20)), "never two stops"
    anew = placed(day, gone(day, order) + day.quote(400.0) + day.ticks(20))
    assert anew.intent_id == "20260303-STOP-2"
    assert order.stop_usd is not None
    assert anew.stop_usd is not None
    assert anew.stop_usd > order.stop_usd


def test_commissions_do_not_move_it() -> None:
    day = RiskDay(settings(stop=ON), held=0)
    day.open_at()
    order = day.entry_order()
    day.update(order, "Submitted")
    day.fill(order, order.shares, 400.0, commission_usd=37.5)
    day.update(order, "Filled", order.shares)
    day.account()
    day.ticks(3)
    rest(day, placed(day))
    assert not of(CancelOrder, day.ticks(20))


def test_a_fill_that_beats_the_cancel_is_booked_before_anything_is_placed() -> None:
    day, order = rested()
    day.cash_usd -= 100_000.0
    day.account(1.0)
    one(CancelOrder, day.ticks(20))
    day.update(order, "Filled", 7500)
    assert not stops_asked(day.ticks(20))
    day.fill(order, 7500, 396.0)
    assert one(Exited, day.said).reason == "resting_stop"


def test_a_split_cancels_it_and_waits_for_the_shares_to_follow() -> None:
    day, order = rested()
    said = day.quote(200.0, 0.2) + day.tick()
    assert "split" in one(CancelOrder, said).why
    assert not stops_asked(gone(day, order) + day.ticks(20))
    day.held, day.mark_usd = 15_000, 200.0
    day.account(0.5)
    day.account(3.0)
    anew = placed(day, day.quote(200.0, 0.2) + day.ticks(20))
    assert (anew.shares, anew.stop_usd) == (15_000, 198.34)


def test_it_is_placed_a_bounded_number_of_times_and_then_a_person_is_paged() -> None:
    day = unrested()
    order = placed(day)
    for attempt in range(2, 9):
        said = gone(day, order, "REJECTED", "201: no stop orders today")
        for _ in range(800):
            said += day.quote(400.0, 0.5) + day.tick()
            if stops_asked(said):
                break
        order = placed(day, said)
        assert order.intent_id == f"20260303-STOP-{attempt}"
    gone(day, order, "REJECTED", "201: no stop orders today")
    for _ in range(600):
        day.quote(400.0, 1.0)
        assert not stops_asked(day.tick())
    assert "201: no stop orders today" in day.state.alerts["resting-stop"]


def test_one_that_should_rest_and_does_not_pages_after_fifteen_seconds() -> None:
    day = unrested()
    order = placed(day)
    day.update(order, "UNKNOWN", reason="TWS has not acknowledged it")
    day.wait(31, host_s=14)
    day.tick()
    assert "resting-stop" not in day.state.alerts
    day.tick(1.5)
    assert "UNKNOWN" in day.state.alerts["resting-stop"]
    day.update(order, "PreSubmitted")
    day.tick()
    assert "resting-stop" not in day.state.alerts


def test_expiry_at_the_close_is_no_fault_and_the_next_baseline_brings_the_next() -> None:
    day, order = rested()
    day.wait_until(day.hours.close_ns)
    said = gone(day, order) + day.ticks(100)
    assert not stops_asked(said)
    assert not of(ExitFailed, said)
    day.next_session()
    stop = placed(day, day.open_at(400.0) + day.tick())
    assert (stop.intent_id, stop.day) == ("20260304-STOP-1", WEDNESDAY)
    assert "resting-stop" not in day.state.alerts


def test_a_restart_knows_the_stop_and_neither_doubles_nor_cancels_it() -> None:
    day, order = rested()
    day.restart()
    said = day.quote(400.0, 0.5) + day.ticks(30)
    assert not stops_asked(said)
    assert not of(CancelOrder, said)
    assert day.state.resting is not None
    assert day.state.resting.order == order


def test_a_stop_from_before_a_lost_journal_is_cancelled_and_its_number_not_used_again() -> None:
    stray = placed(unrested())
    day = RiskDay(settings(stop=ON), held=7500, cash_usd=-2_000_000.0)
    day.update(stray, "PreSubmitted")
    day.hear(day.book(working=(stray.intent_id,)))
    said = day.open_at() + day.ticks(20)
    assert one(CancelOrder, said).intent_id == stray.intent_id
    assert not stops_asked(said)
    day.update(stray, "Cancelled")
    day.hear(day.book())
    assert placed(day, day.ticks(5)).intent_id == "20260303-STOP-2"


# --- beside an exit --------------------------------------------------------------------------


def test_while_an_exit_is_under_way_it_is_neither_cancelled_nor_moved_nor_placed() -> None:
    day, _ = rested()
    day.stopped_at(397.0)
    day.cash_usd -= 100_000.0
    said = day.account(1.0) + day.ticks(50)
    assert not of(CancelOrder, said)
    assert not stops_asked(said)


def test_an_exit_is_asked_for_whole_though_the_stop_rests() -> None:
    day, _ = rested()
    assert day.stopped_at(397.0).shares == 7500


def test_flatten_leaves_the_stop_to_the_broker_and_places_no_other() -> None:
    day, stop = rested()
    order = one(PlaceOrder, day.hear(Flatten(key="f", deadline_ns=0, by="me")) + day.tick()).order
    day.sold(order, 400.0)
    gone(day, stop)
    assert not stops_asked(day.ticks(50))
    assert not day.all(CancelOrder)


def test_when_it_sells_it_is_the_exit_and_counts_as_a_stop_of_the_day() -> None:
    """The stop monitor was dead, and hears of it afterwards."""
    day, order = rested()
    day.restart()
    day.update(order, "Filled", 7500)
    said = day.fill(order, 7500, 396.5)
    exited = one(Exited, said)
    assert (exited.reason, exited.shares, exited.price_usd) == ("resting_stop", 7500, 396.5)
    assert exited.profit_usd == pytest.approx(-26_250.0)
    assert not of(PlaceOrder, said + gone(day, order, "Filled") + day.account() + day.ticks(20))
    assert day.state.day is not None
    assert (day.state.day.stops, day.state.day.exits) == (1, 1)
    day.wait_until(day.hours.close_ns + 6 * 10**9)
    assert one(DaySummary, day.hear(day.bar(396.0, day.hours.day)) + day.tick()).stops == 1


def test_a_reentry_after_it_is_allowed_and_none_when_it_sold_at_the_entry_time() -> None:
    for clock, allowed in (("11:00", True), ("15:56", False)):
        day, order = rested()
        day.ready_at(clock, 400.0)
        day.fill(order, 7500, 396.5)
        day.update(order, "Filled", 7500)
        day.hear(day.book())
        day.account()
        said = day.asked_at("15:57")
        assert bool(of(PlaceOrder, said)) is allowed


def test_while_it_sells_no_exit_is_sent_beside_it_and_the_rest_goes_afterwards() -> None:
    day, order = rested()
    day.update(order, "Submitted", 2500)
    day.fill(order, 2500, 396.5)
    assert day.state.stop_fired
    assert not of(PlaceOrder, day.quote(395.0, 0.5) + day.ticks(10))
    said = day.update(order, "Cancelled", 2500) + day.ticks(2)
    assert one(Exited, said).shares == 2500
    rest_of_it = one(PlaceOrder, said).order
    assert (rest_of_it.shares, rest_of_it.reason) == (5000, "stop")
    assert day.state.day is not None
    assert day.state.day.stops == 1


def test_an_exit_the_broker_cancelled_for_the_stops_sake_has_not_failed() -> None:
    day, stop = rested()
    order = day.stopped_at(396.6)
    day.update(order, "Submitted")
    day.fill(stop, 7500, 396.5)
    day.update(stop, "Filled", 7500)
    said = day.update(order, "Cancelled", reason="202") + day.account() + day.ticks(20)
    assert not day.all(ExitFailed)
    assert not of(PlaceOrder, said)
    assert day.state.exit is None
    assert (day.state.stop_fired, day.state.day.stops) == (False, 1)
    assert len(day.all(Exited)) == 1


def test_an_exit_refused_as_short_while_the_stop_sells_has_not_failed() -> None:
    day, stop = rested()
    order = day.stopped_at(396.6)
    day.update(stop, "Submitted", 1000)
    denied = OrderState(
        intent_id=order.intent_id, purpose="EXIT", status="DENIED", shares=7500, filled=0,
        average_usd=0.0, reason="never short",
    )  # fmt: skip
    said = day.hear(denied) + day.ticks(10)
    assert not of(ExitFailed, said)
    assert not of(PlaceOrder, said), "the stop is selling"


def test_an_exit_cancelled_beside_a_resting_stop_has_failed_and_goes_again() -> None:
    day, _ = rested()
    order = day.stopped_at(396.9)
    day.update(order, "Cancelled", reason="by hand in TWS")
    one(ExitFailed, day.said)
    one(PlaceOrder, day.ticks(15))


def test_a_correction_of_its_fill_after_a_reentry_fires_nothing() -> None:
    day, order = rested()
    day.ready_at("11:00", 400.0)
    fill = Fill(
        exec_id="E1", revision=0, intent_id=order.intent_id, action="SELL", shares=7500,
        price_usd=396.5, filled_ns=day.now.market_ns, liquidation=False,
    )  # fmt: skip
    day.held, day.cash_usd = 0, day.cash_usd + 7500 * 396.5
    day.hear(fill)
    day.update(order, "Filled", 7500)
    day.hear(day.book())
    day.account()
    day.enter("15:56")
    day.hear(msgspec.structs.replace(fill, revision=1, price_usd=396.4))
    assert not day.state.stop_fired
    assert day.state.day.stops == 1


def test_a_stamp_of_another_zone_makes_no_stop_of_the_morning_one_of_the_evening() -> None:
    """A stop at or after the entry time ends the day's entries; TWS's stamp may be hours late."""
    day, order = rested()
    day.ready_at("11:00", 400.0)
    day.fill(order, 7500, 396.5, filled_ns=instant(TUESDAY, "16:00"))
    day.update(order, "Filled", 7500)
    day.hear(day.book())
    day.account()
    day.enter("15:56")


def test_fills_that_never_come_hold_exits_back_for_a_moment_only() -> None:
    day, stop = rested()
    day.update(stop, "Cancelled", 7500)
    said = day.quote(396.6, 0.1) + day.tick()
    one(StopHit, said)
    assert not of(PlaceOrder, said)
    one(PlaceOrder, day.ticks(30))


def test_while_it_is_unknown_a_breach_says_what_the_exit_waits_for() -> None:
    day, stop = rested()
    day.update(stop, "UNKNOWN", reason="the gateway died")
    day.stopped_at(397.0)
    day.ticks(4, every_s=3)
    assert "20260303-STOP-1 is UNKNOWN" in day.state.alerts["breached"]


# --- what the person sees --------------------------------------------------------------------


def test_status_names_both_stops_and_the_price_of_the_one_at_the_broker() -> None:
    day, stop = rested()
    day.tick()
    said = day.state.said_state
    assert said is not None
    assert said.protected_by == (
        "the stop monitor, at equity $980,000.00, and a stop at the broker, at SMH $396.67"
    )
    assert said.resting_usd == 396.67
    # blind, only the one at the broker protects
    day.tick(after_s=60)
    assert day.state.said_state.protected_by == (
        "only a stop at the broker, at SMH $396.67; not the stop monitor: "
        "it is BLIND, no valid price"
    )
    # and of one that cannot be heard of any more no more is said than what was last heard
    day.hear(day.link(state="down"))
    day.tick()
    assert "at SMH $396.67, as last heard; not the stop" in day.state.said_state.protected_by
    day.hear(day.link())
    gone(day, stop)
    day.tick()
    assert day.state.said_state.resting_usd is None


def test_a_refusal_of_the_cancel_changes_nothing() -> None:
    day, order = rested()
    day.cash_usd -= 100_000.0
    day.account(1.0)
    cancel = one(CancelOrder, day.ticks(20))
    said = day.hear(Refused(key=cancel.key, reason="no such order")) + day.ticks(20)
    assert not of(CancelOrder, said)
    assert not stops_asked(said)
    assert day.state.resting.order == order
