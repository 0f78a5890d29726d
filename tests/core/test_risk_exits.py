"""Rules "bear exit", "exits" and "flatten, manual trades": one exit at a time, until flat."""

from __future__ import annotations

import msgspec
import pytest

from common.messages import (
    Accepted,
    Adopt,
    Commission,
    DaySummary,
    EntryRefused,
    Exited,
    ExitFailed,
    Fill,
    Flatten,
    Halt,
    Message,
    Order,
    OrderState,
    OrderStatus,
    PlaceOrder,
    PreviewMargin,
    Refused,
    Resume,
    StopHit,
    SubmitOrder,
)
from tests.core.risk_play import (
    CASH_USD,
    TUESDAY,
    WEDNESDAY,
    RiskDay,
    held_day,
    session,
    settings,
)
from tests.playbook import instant, of, one


def flatten(key: str = "f1") -> Flatten:
    return Flatten(key=key, deadline_ns=0, by="me")


def resume(key: str = "r1") -> Resume:
    return Resume(key=key, deadline_ns=0, by="me")


def halt(key: str = "h1") -> Halt:
    return Halt(key=key, deadline_ns=0, by="me", reason="lunch")


def accepted_by_executor(day: RiskDay, order: Order) -> None:
    day.hear(Accepted(key=order.intent_id, note=""))


# --- the way to the gateway --------------------------------------------------------------------


def test_an_executor_silent_for_a_second_is_gone_round_with_the_same_order_and_key() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    assert not of(SubmitOrder, day.tick(0.9))
    direct = one(SubmitOrder, day.tick(0.2))
    assert direct.order == order
    assert direct.key == order.intent_id
    assert not of(SubmitOrder, day.ticks(50))


def test_the_second_is_host_time() -> None:
    """A market that is fast-forwarded says nothing about a silent process."""
    day = held_day()
    day.stopped_at(397.0)
    day.wait(60, host_s=0.5)
    assert not of(SubmitOrder, day.tick())
    day.wait(0, host_s=0.6)
    one(SubmitOrder, day.tick())


def test_an_executor_that_answers_is_not_gone_round() -> None:
    day = held_day()
    accepted_by_executor(day, day.stopped_at(397.0))
    assert not of(SubmitOrder, day.ticks(50))


def test_an_exit_needs_no_signal_no_vix_no_account_and_no_executor() -> None:
    """All it heard this morning is the position, the price and the session."""
    day = held_day()
    day.hear(day.link(state="degraded"), day.book(reconciled=False, unknown=("X",)))
    day.hear(day.latch(mode="HALTED", reason="by hand"), day.feed(problem="no VIX"))
    order = day.stopped_at(397.0)
    assert order.shares == 7500


def test_an_open_exit_survives_a_restart_and_is_not_doubled() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.restart()
    said = day.quote(396.0, 0.5) + day.ticks(20)
    assert not of(PlaceOrder, said)
    assert day.state.exit is not None
    assert day.state.exit.order == order


# --- its end -----------------------------------------------------------------------------------


def test_partial_fills_are_one_exit() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    for shares, price in ((2500, 397.0), (2500, 396.0), (2500, 395.0)):
        assert not day.all(Exited)
        day.fill(order, shares, price)
    exited = one(Exited, day.said)
    assert (exited.shares, exited.reason) == (7500, "stop")
    assert exited.price_usd == pytest.approx(396.0)


def test_a_status_that_runs_ahead_of_its_fills_ends_nothing() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "Filled", 7500)
    day.fill(order, 7000, 397.0)
    assert not day.all(Exited)
    day.fill(order, 500, 397.0)
    one(Exited, day.said)


def _sale(order: Order, price_usd: float, revision: int, at_ns: int) -> Fill:
    return Fill(
        exec_id="E1", revision=revision, intent_id=order.intent_id, action="SELL", shares=7500,
        price_usd=price_usd, filled_ns=at_ns, liquidation=False,
    )  # fmt: skip


def test_a_repeated_fill_changes_nothing() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    fill = _sale(order, 397.0, 0, day.now.market_ns)
    day.hear(fill, fill)
    day.restart()
    day.hear(fill)
    assert day.state.shares == 0
    assert len(day.all(Exited)) == 1


def test_a_corrected_fill_replaces_the_one_it_corrects() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    now_ns = day.now.market_ns
    day.hear(_sale(order, 397.0, 0, now_ns), _sale(order, 396.0, 1, now_ns))
    day.hear(_sale(order, 397.0, 0, now_ns))  # the older one, late
    assert day.state.shares == 0
    assert day.state.baseline is not None
    assert day.state.baseline.cash_flow_usd == 7500 * 396.0


def test_a_correction_that_comes_the_next_day_counts_once() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.hear(_sale(order, 397.0, 0, day.now.market_ns))
    day.next_session()
    day.hear(_sale(order, 396.0, 1, day.now.market_ns))
    assert day.state.shares == 0
    assert not day.state.halts


def test_a_commission_that_comes_late_lowers_equity_once() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.hear(_sale(order, 397.0, 0, day.now.market_ns))
    day.tick(30)
    late = Commission(exec_id="E1", commission_usd=37.5)
    day.hear(late, late)
    assert day.state.baseline is not None
    assert day.state.baseline.cash_flow_usd == 7500 * 397.0 - 37.5


def test_a_commission_of_yesterdays_fill_does_not_touch_todays_baseline() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.hear(_sale(order, 397.0, 0, day.now.market_ns))
    day.held, day.cash_usd = 0, 977_500.0
    day.account()
    day.next_session()
    day.open_at(397.0)
    day.account()
    day.tick()
    day.hear(Commission(exec_id="E1", commission_usd=37.5))
    assert day.state.baseline is not None
    assert day.state.baseline.cash_flow_usd == 0.0
    assert day.state.baseline.baseline_usd == 977_500.0


# --- refused, rejected, unsold -----------------------------------------------------------------


def test_a_rejected_exit_is_said_and_tried_again_in_smaller_pieces_later_and_later() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    failed = one(ExitFailed, day.update(order, "REJECTED", code=201, reason="201: margin"))
    assert failed.rejected
    assert failed.shares_left == 7500
    assert not of(PlaceOrder, day.ticks(9))
    second = one(PlaceOrder, day.ticks(3)).order
    assert (second.shares, second.intent_id) == (1875, "20260303-EXIT-2")
    day.update(second, "REJECTED", code=201, reason="201: margin")
    assert not of(PlaceOrder, day.ticks(19))
    assert one(PlaceOrder, day.ticks(3)).order.shares == 468


def _heard_of(order: Order, status: OrderStatus) -> OrderState:
    return OrderState(
        intent_id=order.intent_id, purpose="EXIT", status=status, shares=7500, filled=0,
        average_usd=0.0, reason="late news",
    )  # fmt: skip


@pytest.mark.parametrize("status", ["DENIED", "UNKNOWN", "PendingSubmit"])
def test_what_the_executor_says_late_does_not_undo_what_the_gateway_said(
    status: OrderStatus,
) -> None:
    """Two speakers: the older word of one may come after the newer word of the other."""
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "Submitted")
    said = day.hear(_heard_of(order, status), Refused(key=order.intent_id, reason="late"))
    assert not of(ExitFailed, said + day.ticks(10))
    assert day.state.exit is not None
    assert day.state.exit.status == "Submitted"


def test_an_exit_refused_while_locked_goes_as_soon_as_a_person_unlocks() -> None:
    """Found by the simulation: each refusal put the next try off, up to half a minute."""
    day = held_day()
    day.hear(day.latch(mode="LOCKED", reason="another account"))
    order = day.stopped_at(397.0)
    for _ in range(4):
        said = day.hear(Refused(key=order.intent_id, reason="locked: another account"))
        said += day.ticks(62, every_s=0.5)
        order = of(PlaceOrder, said)[-1].order
    day.hear(Refused(key=order.intent_id, reason="locked: another account"))
    day.ticks(2)
    assert not of(PlaceOrder, day.hear(day.latch(mode="LOCKED", reason="another account")))
    assert of(PlaceOrder, day.hear(day.latch(mode="HALTED", reason="unlocked by a person")))


def test_a_refusal_before_anything_was_sent_is_a_failed_attempt() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    said = day.hear(Refused(key=order.intent_id, reason="never short"))
    assert one(ExitFailed, said).reason == "never short"


def test_the_pause_between_attempts_ends_at_thirty_seconds() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    for _ in range(8):
        day.update(order, "DENIED", reason="not now")
        order = one(PlaceOrder, day.ticks(62, every_s=0.5)).order
    assert order.shares == 7500, "only a rejection by the broker makes pieces"


def test_what_is_unsold_at_the_close_leaves_at_the_next_open() -> None:
    day = held_day()
    day.wait_until(day.hours.close_ns - 5 * 10**9)
    order = day.stopped_at(397.0, 0)
    assert order.deadline_ns == day.hours.close_ns
    day.fill(order, 3000, 397.0)
    day.wait(10)
    said = day.update(order, "Cancelled", 3000) + day.ticks(100)
    one(ExitFailed, said)
    assert not of(PlaceOrder, said)
    day.tick(40)
    assert "BREACHED: the market is shut" in day.state.alerts["breached"]
    assert day.state.said_state is not None
    assert "at the next open" in day.state.said_state.pending
    day.next_session()
    said = day.open_at(390.0)
    assert one(PlaceOrder, said).order.shares == 4500


def test_an_exit_never_sent_before_the_close_is_denied_late_and_leaves_at_the_next_open() -> None:
    """Executor and gateway were away; when they are back the deadline has passed."""
    day = held_day()
    day.wait_until(day.hours.close_ns - 5 * 10**9)
    order = day.stopped_at(397.0, 0)
    day.next_session()
    denied = OrderState(
        intent_id=order.intent_id, purpose="EXIT", status="DENIED", shares=7500, filled=0,
        average_usd=0.0, reason="too late: past its deadline",
    )  # fmt: skip
    day.hear(denied)
    day.ticks(20)
    assert one(PlaceOrder, day.open_at(390.0)).order.day == WEDNESDAY


# --- bear --------------------------------------------------------------------------------------


def bear_close(day: RiskDay) -> list[Message]:
    day.wait_until(day.hours.close_ns + 60 * 10**9)
    return day.hear(day.bar(day=TUESDAY), day.signal("BEAR", TUESDAY)) + day.ticks(5)


def test_a_bear_close_sells_at_the_next_open_by_market_order() -> None:
    day = held_day()
    assert not of(PlaceOrder, bear_close(day))
    day.next_session()
    assert not of(PlaceOrder, day.at("09:29:59"))
    order = one(PlaceOrder, day.at("09:30")).order
    assert (order.reason, order.order_type, order.shares) == ("bear", "MKT", 7500)


def test_a_system_that_is_ready_late_sells_when_it_is_ready() -> None:
    day = held_day()
    bear_close(day)
    day.next_session()
    day.wait_until(instant(WEDNESDAY, "11:00"))
    day.restart()
    assert one(PlaceOrder, day.tick()).order.reason == "bear"


def test_a_provisional_bear_sells_nothing() -> None:
    day = held_day()
    day.hear(msgspec.structs.replace(day.signal("BEAR", TUESDAY), final=False))
    day.next_session()
    assert not of(PlaceOrder, day.open_at(400.0) + day.ticks(10))


def test_a_close_that_is_bull_again_keeps_the_position() -> None:
    day = held_day()
    bear_close(day)
    day.hear(day.signal("BULL", TUESDAY))
    day.next_session()
    assert not of(PlaceOrder, day.open_at(400.0) + day.ticks(10))


def test_after_hours_sells_by_limit_order_outside_regular_hours() -> None:
    day = held_day(given=settings(exit={"bear": "after_hours"}))
    order = one(PlaceOrder, bear_close(day)).order
    assert (order.order_type, order.limit_usd, order.outside_rth) == ("LMT", 398.0, True)


def test_what_after_hours_did_not_sell_leaves_at_the_next_open() -> None:
    day = held_day(given=settings(exit={"bear": "after_hours"}))
    order = one(PlaceOrder, bear_close(day)).order
    day.wait_until(instant(TUESDAY, "20:00"))
    said = day.update(order, "Cancelled") + day.ticks(200)
    assert not of(PlaceOrder, said), "outside regular hours trading ends four hours after the close"
    day.next_session()
    assert one(PlaceOrder, day.open_at(390.0)).order.order_type == "MKT"


def test_a_stop_that_the_close_cut_off_does_not_keep_a_bear_position_over_night() -> None:
    """Found by the simulation: a stop leaves at the next open, so nothing went after hours."""
    day = held_day(given=settings(exit={"bear": "after_hours"}))
    day.wait_until(day.hours.close_ns - 5 * 10**9)
    stop = day.stopped_at(397.0, 0)
    day.wait(10)
    assert not of(PlaceOrder, day.update(stop, "Cancelled") + day.ticks(10))
    order = one(PlaceOrder, bear_close(day)).order
    assert (order.reason, order.order_type, order.outside_rth) == ("bear", "LMT", True)
    day.wait_until(instant(TUESDAY, "20:00"))
    day.update(order, "Cancelled")
    day.next_session()
    order = one(PlaceOrder, day.open_at(390.0)).order
    assert (order.reason, order.order_type) == ("stop", "MKT")


def test_a_bear_exit_not_sent_a_minute_after_the_open_pages() -> None:
    day = held_day()
    bear_close(day)
    day.next_session()
    day.hear(day.book(foreign_sell_shares=7500))  # nothing of ours is left to sell
    day.open_at(400.0)
    day.wait_until(instant(WEDNESDAY, "09:31:01"))
    day.tick()
    assert "bear-late" in day.state.alerts


def test_a_position_that_is_not_ours_is_not_sold_by_the_signal() -> None:
    day = RiskDay(held=7500, cash_usd=-2_000_000.0, adopted=False)
    day.open_at(400.0)
    bear_close(day)
    day.next_session()
    assert not of(PlaceOrder, day.open_at(400.0) + day.ticks(10))
    one(PlaceOrder, day.quote(397.0, 0.2))  # but the stop protects it


# --- flatten, halt, resume ---------------------------------------------------------------------


def test_flatten_sells_now_latches_the_gateway_and_stays_out_until_resumed() -> None:
    day = held_day()
    said = day.hear(flatten())
    assert one(Accepted, said).note == "selling now"
    assert one(Halt, said).by == "risk_monitor"
    order = one(PlaceOrder, day.tick()).order
    assert (order.reason, order.shares) == ("flatten", 7500)
    day.sold(order, 399.0)
    refused = one(EntryRefused, day.asked_at("15:55", 399.0))
    assert "trader resume" in refused.reason
    assert not day.all(PreviewMargin)
    day.hear(resume())
    one(PlaceOrder, day.asked_at("15:56", 399.0))


def test_flatten_out_of_hours_sells_at_the_next_open() -> None:
    day = held_day()
    day.wait_until(instant(TUESDAY, "18:00"))
    assert "next open" in one(Accepted, day.hear(flatten())).note
    assert not of(PlaceOrder, day.ticks(5))
    day.next_session()
    assert one(PlaceOrder, day.at("09:30")).order.reason == "flatten"


def test_flatten_with_nothing_held_only_halts() -> None:
    day = RiskDay()
    day.open_at()
    assert "nothing is held" in one(Accepted, day.hear(flatten())).note
    assert not of(PlaceOrder, day.ticks(5))
    assert day.newest_mode() == "HALTED"


def test_flatten_asked_twice_sells_once() -> None:
    day = held_day()
    day.hear(flatten())
    order = one(PlaceOrder, day.tick()).order
    day.hear(flatten())
    day.sold(order, 399.0)
    one(Accepted, day.hear(flatten()))
    assert not of(PlaceOrder, day.ticks(20))


def test_a_late_repeat_of_flatten_does_not_undo_a_resume() -> None:
    day = RiskDay()
    day.open_at()
    day.hear(flatten(), resume())
    repeated = day.hear(flatten())
    day.tick()
    assert day.newest_mode() == "ACTIVE"
    assert "later resume" in one(Accepted, repeated).note
    assert not of(Halt, repeated)


def test_a_resume_that_calls_off_a_sale_says_what_is_kept() -> None:
    # given: flattened in the evening, to be sold at the next open
    day = held_day()
    day.wait_until(instant(TUESDAY, "18:00"))
    day.hear(flatten())
    # when
    note = one(Accepted, day.hear(resume())).note
    # then: told again it says the same, and nothing is sold
    assert "called off: 7500 shares are held" in note
    assert one(Accepted, day.hear(resume())).note == note
    day.next_session()
    assert not of(PlaceOrder, day.open_at(400.0) + day.ticks(10))


def test_a_resume_names_the_exit_that_it_cannot_call_back() -> None:
    day = held_day()
    day.hear(flatten())
    order = one(PlaceOrder, day.tick()).order
    day.update(order, "Submitted")
    assert f"{order.intent_id}, already sent, still sells" in one(Accepted, day.hear(resume())).note


def test_a_resume_after_the_sale_calls_nothing_off() -> None:
    day = held_day()
    day.hear(flatten())
    day.sold(one(PlaceOrder, day.tick()).order, 399.0)
    assert one(Accepted, day.hear(resume())).note == "entries are allowed again"


class Stranger(RiskDay):
    """A risk monitor that has not heard of the account yet."""

    known = False

    def account(self, after_s: float = 0.0) -> list[Message]:
        return super().account(after_s) if self.known else []


def test_flatten_before_the_position_is_known_sells_it_once_it_is() -> None:
    day = Stranger(at="11:00", held=7500, cash_usd=CASH_USD - 7500 * 400.0)
    assert "not known yet" in one(Accepted, day.hear(flatten())).note
    assert not of(PlaceOrder, day.ticks(5))
    assert day.state.said_state is not None
    assert "position is known" in day.state.said_state.pending
    day.known = True
    day.quote(400.0)
    order = one(PlaceOrder, day.account() + day.ticks(5)).order
    assert (order.reason, order.shares) == ("flatten", 7500)


def test_flatten_before_a_flat_account_is_known_sells_nothing_that_is_bought_later() -> None:
    day = Stranger(at="11:00")
    day.hear(flatten())
    day.known = True
    day.account()
    day.fill(None, 100, 400.0, action="BUY")
    assert not of(PlaceOrder, day.quote(400.0) + day.ticks(10))


def test_flatten_of_a_short_account_says_that_no_sale_mends_it() -> None:
    day = RiskDay(held=-100)
    note = one(Accepted, day.hear(flatten())).note
    assert "cover it in TWS" in note
    assert day.newest_mode() == "HALTED"


def test_a_halt_stops_entries_and_lets_exits_go() -> None:
    day = held_day()
    one(Accepted, day.hear(halt()))
    day.tick()
    assert day.newest_mode() == "HALTED"
    day.sold(day.stopped_at(397.0), 397.0)
    assert "lunch" in one(EntryRefused, day.asked_at("15:55", 397.0)).reason


def test_a_halt_survives_the_night_and_a_restart() -> None:
    day = RiskDay()
    day.hear(halt())
    day.next_session()
    day.restart()
    day.tick()
    assert day.newest_mode() == "HALTED"


def test_the_gateways_latch_alone_halts_as_well() -> None:
    day = RiskDay()
    day.hear(day.latch(mode="HALTED", reason="by hand"))
    day.tick()
    assert day.newest_mode() == "HALTED"


# --- somebody else's hands ---------------------------------------------------------------------


@pytest.mark.parametrize("action", ["BUY", "SELL"])
def test_a_fill_that_is_not_ours_halts_and_pages(action: str) -> None:
    day = held_day()
    day.fill(None, 100, 400.0, action=action)
    day.tick()
    assert day.newest_mode() == "HALTED"
    assert "halt-foreign" in day.state.alerts


def test_a_liquidation_halts_and_pages() -> None:
    day = held_day()
    day.fill(None, 100, 400.0, liquidation=True)
    day.tick()
    assert "halt-liquidation" in day.state.alerts
    assert "liquidated 100 shares" in day.state.halts["liquidation"]


def test_a_position_that_moved_without_a_fill_is_believed_and_halts() -> None:
    day = held_day()
    day.held = 7000
    day.account(1.0)
    assert not day.state.halts, "a fill may still come"
    day.account(3.0)
    assert day.state.shares == 7000
    assert "foreign" in day.state.halts
    assert day.stopped_at(397.0).shares == 7000


def test_while_an_order_of_ours_lives_its_executions_are_waited_for_longer() -> None:
    """A slow TWS, or a fast simulated market: the count is there, the executions are not."""
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "Submitted")
    day.held = 0
    day.account(1.0)
    day.wait(600.0, host_s=5.0)
    day.account()
    assert not day.state.halts
    day.wait(1.0, host_s=6.0)
    day.account()
    assert "foreign" in day.state.halts
    assert day.state.shares == 0


def test_an_exit_of_the_gateway_is_followed_and_none_goes_beside_it() -> None:
    """It sold while the stop monitor was silent; the monitor is back before it is filled."""
    day = held_day()
    own = msgspec.structs.replace(day.stopped_at(397.0), intent_id="20260303-EXIT-900")
    again = held_day()
    again.update(own, "PendingSubmit")
    assert not of(PlaceOrder, again.quote(396.0, 2.0) + again.quote(395.0, 2.0) + again.ticks(50))
    assert not of(StopHit, again.said), "it has fired already"
    again.update(own, "Submitted")
    again.fill(own, again.held, 395.0)
    again.update(own, "Filled", own.shares)
    exited = again.newest(Exited)
    assert (exited.reason, exited.shares) == ("stop", own.shares)
    assert again.state.day is not None
    assert again.state.day.stops == 1
    assert not again.state.halts


@pytest.mark.parametrize("early", [3000, 7500])
@pytest.mark.parametrize("first", ["Submitted", "Filled"])
def test_an_exit_of_the_gateway_is_followed_in_whichever_order_its_news_come(
    early: int, first: OrderStatus
) -> None:
    """Fills and statuses are told again after a restart, each topic by itself."""
    day = held_day()
    own = msgspec.structs.replace(day.stopped_at(397.0), intent_id="20260303-EXIT-900")
    again = held_day()
    again.fill(own, early, 395.0)
    again.update(own, first, 7500 if first == "Filled" else early)
    if early < 7500:
        again.fill(own, 7500 - early, 395.0)
    again.update(own, "Filled", 7500)
    again.ticks(3)
    exited = one(Exited, again.said)
    assert (exited.reason, exited.shares, exited.price_usd) == ("stop", 7500, 395.0)
    assert again.state.day is not None
    assert (again.state.day.stops, again.state.day.exits) == (1, 1)
    assert not of(PlaceOrder, again.quote(395.0, 2.0) + again.ticks(50))
    assert not again.state.stop_fired
    assert again.state.exit is None


def test_a_stop_of_ours_that_the_gateway_forestalled_is_counted_once() -> None:
    day = held_day()
    ours = day.stopped_at(397.0)
    guards = msgspec.structs.replace(ours, intent_id="20260303-EXIT-900")
    day.fill(guards, 3600, 395.0)
    day.update(ours, "DENIED", reason="never short")
    day.update(guards, "Submitted", 3600)
    day.fill(guards, 3900, 395.0)
    day.update(guards, "Filled", 7500)
    assert day.newest(Exited).shares == 7500
    assert day.state.day is not None
    assert (day.state.day.stops, day.state.day.exits) == (1, 1)
    assert day.state.exit is None


def test_snapshots_that_run_ahead_of_their_fills_halt_nothing() -> None:
    """Each refresh shows a fill that is heard a moment later, for longer than the patience."""
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    day.update(order, "Submitted")
    for part in range(1, 4):
        day.held, cash_usd = 2500 * part, day.cash_usd
        day.account(1.5)
        day.held, day.cash_usd = 2500 * (part - 1), cash_usd
        day.fill(order, 2500, 400.0)
    assert not day.state.halts
    assert day.state.shares == 7500


def test_the_first_snapshot_holds_the_fills_made_before_it() -> None:
    """A journal that begins in mid-day hears the morning's fills again, and counts them once."""
    day = RiskDay(at="11:00", held=7500, cash_usd=-2_000_000.0)
    morning = Fill(
        exec_id="E9", revision=0, intent_id="20260303-ENTRY-1", action="BUY", shares=7500,
        price_usd=400.0, filled_ns=instant(TUESDAY, "10:00"), liquidation=False,
    )  # fmt: skip
    day.hear(morning)
    assert day.state.shares == 7500
    assert not day.state.halts


def test_a_short_account_halts_pages_and_cannot_be_resumed_or_adopted() -> None:
    day = RiskDay(held=-50, cash_usd=1_020_000.0, adopted=False)
    day.open_at()
    assert day.newest_mode() == "HALTED"
    assert "short" in day.state.alerts
    one(Refused, day.hear(resume()))
    one(Refused, day.hear(Adopt(key="a1", deadline_ns=0, by="me")))
    day.tick()
    assert day.newest_mode() == "HALTED"
    assert not of(PlaceOrder, day.quote(300.0, 0.2) + day.asked_at("15:55"))


def test_an_exit_sells_the_position_less_what_foreign_orders_sell_and_pages() -> None:
    day = held_day()
    day.hear(day.book(foreign_sell_shares=2000))
    order = day.stopped_at(397.0)
    assert order.shares == 5500
    day.tick()
    assert "foreign-sell" in day.state.alerts


# --- the day's end -----------------------------------------------------------------------------


def test_the_day_is_summed_up_once_after_the_close() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.sold(order, 397.0)
    day.enter("15:55", 397.0)
    assert not day.all(DaySummary)
    day.wait_until(instant(TUESDAY, "16:00:01"))
    day.quote(398.0)
    day.hear(msgspec.structs.replace(day.bar(398.0, TUESDAY), final=False))
    day.wait_until(instant(TUESDAY, "16:00:20"))
    summary = one(DaySummary, day.ticks(20, every_s=1.0))
    assert (summary.entries, summary.stops, summary.exits) == (1, 1, 1)
    assert summary.start_equity_usd == CASH_USD
    held = 977_500 * 3 // 397
    assert summary.equity_usd == pytest.approx(977_500.0 + held * 1.0)
    assert summary.return_fraction == pytest.approx(summary.equity_usd / CASH_USD - 1)


def test_a_restart_in_the_evening_sums_nothing_up_again() -> None:
    day = RiskDay()
    day.open_at()
    day.wait_until(instant(TUESDAY, "16:00:20"))
    day.ticks(60, every_s=1.0)
    day.restart()
    day.ticks(60, every_s=1.0)
    assert len(day.all(DaySummary)) == 1


def test_session_times_are_heard_again_without_a_new_day() -> None:
    day = held_day()
    day.hear(session(), session())
    day.tick()
    assert day.state.day is not None
    assert day.state.day.start_equity_usd == CASH_USD
