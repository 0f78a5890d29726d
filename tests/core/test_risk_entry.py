"""Rules "entry", "leverage", "size", "re-entry", "test mode", and the margin rule before them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from common.messages import (
    Adopt,
    DiskState,
    Entered,
    EntryClamped,
    EntryRefused,
    GoNoGo,
    Message,
    PlaceOrder,
    PreviewMargin,
    Quote,
    Refused,
    RiskState,
    Silence,
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


def opened(given: Any = None, **how: Any) -> RiskDay:
    day = RiskDay(given, **how)
    day.open_at()
    day.forget()
    return day


# --- when --------------------------------------------------------------------------------------


def test_the_entry_is_five_minutes_before_the_close() -> None:
    day = opened()
    assert not of(PlaceOrder, day.asked_at("15:54:59"))
    order = one(PlaceOrder, day.asked_at("15:55")).order
    assert (order.action, order.order_type, order.purpose) == ("BUY", "MKT", "ENTRY")
    assert order.intent_id == "20260303-ENTRY-1"
    assert order.deadline_ns == instant(TUESDAY, "15:59")


def test_on_an_early_close_it_is_at_12_55() -> None:
    day = opened(hours=session(close="13:00"))
    assert not of(PlaceOrder, day.asked_at("12:54:59"))
    one(PlaceOrder, day.asked_at("12:55"))


def test_ready_late_at_15_57_it_still_enters() -> None:
    day = opened(at="15:57")
    one(PlaceOrder, day.asked_at("15:57:10"))


def test_at_15_59_it_is_missed_and_said_once() -> None:
    day = RiskDay(at="15:59")
    day.open_at()
    refused = one(EntryRefused, day.said + day.asked_at("15:59:01") + day.ticks(30))
    assert refused.reason.startswith("missed")
    assert refused.final


def test_what_kept_it_from_entering_stands_in_the_missed_line() -> None:
    day = opened()
    day.hear(day.link(state="down", reason="nothing listens on port 7497"))
    day.asked_at("15:55")
    missed = one(EntryRefused, day.asked_at("15:59"))
    assert "nothing listens on port 7497" in missed.reason


@pytest.mark.parametrize("friday_to_monday", [(6, 9), (13, 16)])
def test_days_around_a_clock_change_enter_at_15_55_new_york(
    friday_to_monday: tuple[int, int],
) -> None:
    before, after = (TUESDAY.replace(day=n) for n in friday_to_monday)
    day = opened(hours=session(after, previous=before, after=after.replace(day=after.day + 1)))
    one(PlaceOrder, day.asked_at("15:55"))


def test_one_entry_a_session() -> None:
    day = opened()
    day.enter()
    day.sold(day.stopped_at(397.0), 397.0)
    assert not of(PlaceOrder, day.asked_at("15:57", 397.0) + day.ticks(50))


def test_a_stop_before_the_entry_time_is_followed_by_a_reentry() -> None:
    day = held_day()
    day.sold(day.stopped_at(397.0, 3600), 397.0)
    order = day.enter("15:55", 397.0)
    assert order.shares == 977_500 * 3 // 397
    assert day.newest(Entered).again


def test_reentry_can_be_switched_off() -> None:
    day = held_day(given=settings(entry={"reentry_same_day": False}))
    day.sold(day.stopped_at(397.0, 3600), 397.0)
    refused = one(EntryRefused, day.asked_at("15:55", 397.0))
    assert "reentry_same_day" in refused.reason


def test_a_stop_at_or_after_the_entry_time_ends_entries() -> None:
    day = held_day()
    day.wait_until(instant(TUESDAY, "15:55"))
    day.sold(day.stopped_at(397.0, 0), 397.0)
    refused = one(EntryRefused, day.asked_at("15:56", 397.0))
    assert refused.final
    assert "at or after the entry time" in refused.reason


def test_test_entry_goes_at_once_in_an_open_market() -> None:
    day = opened(settings(entry={"test_entry": True}))
    order = one(PlaceOrder, day.asked_at("10:00")).order
    assert order.reason == "test"


# --- what it needs -----------------------------------------------------------------------------


def _without(**heard: Any) -> Any:
    def spoil(day: RiskDay) -> None:
        for name, changes in heard.items():
            day.hear(getattr(day, name)(**changes))

    return spoil


def _hear(*messages: Message) -> Any:
    return lambda day: day.hear(*messages)


SPOILS: dict[str, tuple[Any, str]] = {
    "unknown order": (_without(book={"unknown": ("20260303-ENTRY-1",)}), "UNKNOWN until proven"),
    "working order": (_without(book={"working": ("20260303-EXIT-1",)}), "still working"),
    "foreign buy": (_without(book={"foreign_buy_shares": 5}), "not ours"),
    "foreign sell": (_without(book={"foreign_sell_shares": 5}), "not ours"),
    "unreconciled": (_without(book={"reconciled": False}), "not reconciled"),
    "link down": (_without(link={"state": "down"}), "link down"),
    "link degraded": (_without(link={"state": "degraded"}), "link degraded"),
    "clock off": (_without(link={"clock_offset_s": 2.5}), "mend this clock"),
    "clock never compared": (_without(link={"clock_offset_s": None}), "not compared"),
    "gateway halted": (_without(latch={"mode": "HALTED", "reason": "by hand"}), "by hand"),
    "gateway locked": (_without(latch={"mode": "LOCKED", "reason": "other account"}), "LOCKED"),
    "competing session": (_without(feed={"competing": True}), "10197"),
    "trading halted": (_without(feed={"halted": True}), "halted"),
    "no permission": (_without(feed={"problem": "no market data permission"}), "permission"),
    "silent gateway": (_hear(Silence(topic="BrokerLink", silent=True)), "silent"),
    "silent account": (_hear(Silence(topic="AccountSnapshot", silent=True)), "not there"),
    "silent latch": (_hear(Silence(topic="HaltLatch", silent=True)), "latch is not known"),
    "silent book": (_hear(Silence(topic="OrderBook", silent=True)), "not reconciled"),
    "silent feed": (_hear(Silence(topic="Quote", silent=True)), "no valid SMH price"),
    "silent session": (_hear(Silence(topic="Session", silent=True)), "session times"),
    "silent signal": (_hear(Silence(topic="TargetPosition", silent=True)), "signal engine"),
    "full disk": (_hear(DiskState(roomy=False, free_mb=1.0)), "disk is full"),
}


@pytest.mark.parametrize("what", SPOILS)
def test_without_this_there_is_no_entry_and_the_reason_is_said_once(what: str) -> None:
    spoil, reason = SPOILS[what]
    day = opened()
    spoil(day)
    said = day.asked_at("15:55") + day.asked_at("15:55:10") + day.asked_at("15:56")
    refused = one(EntryRefused, said)
    assert reason in refused.reason
    assert not refused.final
    assert not of(PlaceOrder, said)


@pytest.mark.parametrize("what", ["link down", "unknown order", "trading halted"])
def test_when_it_is_mended_in_time_the_entry_follows(what: str) -> None:
    spoil, _ = SPOILS[what]
    day = opened()
    spoil(day)
    day.asked_at("15:55")
    day.hear(day.link(), day.book(), day.feed())
    one(PlaceOrder, day.asked_at("15:57"))


def test_a_stale_price_is_no_price_and_its_growing_age_is_no_news() -> None:
    day = opened()
    day.ready_at("15:54:50")
    day.wait(10)
    refused = one(EntryRefused, day.ticks(40, every_s=1.0))
    assert "old" in refused.reason


def printed(day: RiskDay, usd: float, bid_usd: float | None, ask_usd: float | None) -> None:
    """A last print, heard beside this quote."""
    ns, host_ns = day.now.market_ns, day.now.host_ns
    day.hear(Quote(ns, bid_usd, ask_usd, usd, usd, agree=False, kind="live", tick_host_ns=host_ns))


@pytest.mark.parametrize("quote", [(399.6, 400.4), (None, None), (None, 400.0)])
def test_a_last_print_without_a_narrow_quote_sizes_no_entry(
    quote: tuple[float | None, float | None],
) -> None:
    # given: 15:55, and one wild print at which a tenth more would be bought
    day = opened()
    day.asked_at("15:50")
    asked = one(PreviewMargin, day.ready_at("15:55"))
    # when: the what-if has answered, and the print is the newest price
    printed(day, 364.0, *quote)
    said = day.preview(asked) + day.tick()
    # then
    assert "sizes no entry" in one(EntryRefused, said).reason
    assert not of(PlaceOrder, said)
    # and a narrow quote lets it follow, sized at its mid
    day.quote(400.0, 1.0, agree=False)
    assert one(PlaceOrder, day.tick()).order.price_usd == 400.0


def test_two_reasons_taking_turns_are_said_once_each() -> None:
    day = opened()
    said: list[Message] = []
    day.ready_at("15:54:59")
    for _ in range(5):
        day.hear(day.link(state="degraded"))
        said += day.quote(400.0, 1.0) + day.tick()
        day.hear(day.link(state="reconciling"))
        said += day.quote(400.0, 1.0) + day.tick()
    assert len(of(EntryRefused, said)) == 2


def taking_turns() -> RiskDay:
    """Degraded at 15:55:00, a wrong clock at 15:55:30, degraded again from 15:56:00 on."""
    day = opened()
    day.hear(day.link(state="degraded", reason="IB is lost"))
    day.ready_at("15:50")
    day.ready_at("15:55")
    day.hear(day.link(clock_offset_s=5.0))
    day.ready_at("15:55:30")
    day.hear(day.link(state="degraded", reason="IB is lost"))
    day.ready_at("15:56")
    return day


def test_a_missed_entry_names_each_reason_once_with_its_first_time() -> None:
    reason = one(EntryRefused, taking_turns().ready_at("15:59")).reason
    assert reason == (
        "missed: from 15:55:00 link: link degraded: IB is lost | "
        "from 15:55:30 clock: +5.0 s off the broker's; mend this clock"
    )


def test_of_reasons_taking_turns_the_one_in_force_is_what_the_entry_waits_for() -> None:
    day = taking_turns()
    assert day.newest(RiskState).pending == "entry waits: link: link degraded: IB is lost"
    day.hear(day.link(clock_offset_s=6.0))
    day.ready_at("15:56:30")
    assert day.newest(RiskState).pending.startswith("entry waits: clock: +5.0 s")


def test_what_is_not_in_the_way_any_more_is_not_waited_for() -> None:
    day = taking_turns()
    day.hear(day.link())
    day.ready_at("15:57")
    day.tick()
    assert day.newest(RiskState).pending == ""


def test_an_entry_missed_by_a_process_that_was_dead_till_after_the_close_is_told() -> None:
    day = taking_turns()
    day.wait_until(instant(TUESDAY, "16:30"))
    day.restart()
    day.tick()
    pending = day.newest(RiskState).pending
    assert pending.startswith("no entry today: missed: from 15:55:00 link")


@pytest.mark.parametrize("count", [2, 40])
def test_many_long_reasons_are_all_named_within_one_message(count: int) -> None:
    day = opened()
    day.hear(day.link(state="degraded"))
    day.ready_at("15:50")
    for number in range(count):
        name = "x" * number
        day.hear(day.link(state="degraded", reason=f"{name}|{'long' * 400}"))
        day.ready_at(f"15:56:{number:02d}")
    reason = one(EntryRefused, day.ready_at("15:59")).reason
    assert reason.count("from 15:56:") == count


def test_a_bear_signal_is_no_entry_and_final() -> None:
    day = opened(leverage=0.0)
    refused = one(EntryRefused, day.asked_at("15:55") + day.asked_at("15:59:30"))
    assert refused.reason.startswith("BEAR")


def test_without_the_previous_closes_final_signal_there_is_no_entry() -> None:
    """The target heard is yesterday's: nothing final came since."""
    day = RiskDay()
    day.next_session(session(WEDNESDAY, TUESDAY, WEDNESDAY.replace(day=5)))
    day.open_at()
    day.account()
    day.tick()
    refused = one(EntryRefused, day.asked_at("15:55"))
    assert "no final signal of the previous close" in refused.reason


def test_the_brokers_hours_disagreeing_stop_entries() -> None:
    day = opened(hours=msgspec.structs.replace(session(), broker_agrees=False))
    assert "trading hours differ" in one(EntryRefused, day.asked_at("15:55")).reason


def test_live_mode_wants_live_quotes_and_paper_does_not() -> None:
    live = opened(settings(account={"mode": "live", "id": "U1234567"}))
    paper = opened()
    for day in (live, paper):
        day.asked_at("15:50")
        day.wait_until(instant(TUESDAY, "15:55"))
        day.account()
        day.quote(400.0, kind="delayed")
        day.tick()
    assert "require_live" in one(EntryRefused, live.said).reason
    assert not paper.all(EntryRefused)


def test_a_position_found_at_the_first_start_is_not_ours_until_adopted() -> None:
    day = RiskDay(held=100, cash_usd=960_000.0, adopted=False)
    day.open_at()
    assert "adopt" in day.state.alerts
    day.hear(Adopt(key="a1", deadline_ns=0, by="me"))
    day.tick()
    assert "adopt" not in day.state.alerts


def test_once_a_found_position_is_gone_there_is_nothing_left_to_adopt() -> None:
    day = RiskDay(held=7500, cash_usd=-2_000_000.0, adopted=False)
    day.open_at()
    day.sold(day.stopped_at(397.0), 397.0)
    one(PlaceOrder, day.asked_at("15:55", 397.0))


def test_a_position_that_the_broker_counts_otherwise_stops_entries() -> None:
    day = opened()
    day.wait_until(instant(TUESDAY, "15:54:59"))
    day.held = 50
    day.account()
    refused = one(EntryRefused, day.asked_at("15:55"))
    assert "the broker says 50 shares, we say 0" in refused.reason


# --- go / no-go --------------------------------------------------------------------------------


def test_go_no_go_is_said_once_at_15_50_with_every_check() -> None:
    day = opened()
    day.ready_at("15:49:59")
    line = one(GoNoGo, day.asked_at("15:50") + day.ticks(20))
    assert {check.name for check in line.checks} == {
        "mode", "link", "orders", "calendar", "signal", "data", "vix", "equity", "stop", "clock",
        "disk", "margin",
    }  # fmt: skip
    assert all(check.ok for check in line.checks)


def test_go_no_go_names_the_size_that_margin_allows() -> None:
    day = opened()
    day.margin_rate = 0.40
    line = one(GoNoGo, day.asked_at("15:50"))
    margin = next(check for check in line.checks if check.name == "margin")
    assert margin.detail == (
        "5,937 of 7,500 shares fit: what-if of 7,500 shares: initial margin $1,200,000 of equity "
        "with loan $1,000,000 less 5% buffer ($50,000) allows 5,937 shares = 2.37x of 3x"
    )


def test_go_no_go_gives_the_reason_of_each_check_that_fails() -> None:
    day = opened()
    day.hear(day.link(state="down", reason="nothing listens"), day.book(unknown=("X",)))
    line = one(GoNoGo, day.ready_at("15:50"))
    failed = {check.name: check.detail for check in line.checks if not check.ok}
    assert set(failed) == {"link", "orders"}
    assert "nothing listens" in failed["link"]


def test_go_no_go_is_not_said_again_after_a_restart() -> None:
    day = opened()
    day.asked_at("15:50")
    day.restart()
    assert not of(GoNoGo, day.asked_at("15:51"))


# --- size and leverage -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leverage", "price", "shares"),
    [
        (3.0, 400.0, 7500),
        (3.75, 400.0, 9375),
        (3.5, 408.39, 8570),
        (3.25, 399.99, 8125),
        (3.0, 407.0, 7371),
    ],
)
def test_size_is_the_floor_of_equity_times_leverage_over_price(
    leverage: float, price: float, shares: int
) -> None:
    day = opened(leverage=leverage)
    assert one(PlaceOrder, day.asked_at("15:55", price)).order.shares == shares


def test_less_than_one_share_is_flat_and_final() -> None:
    day = opened(cash_usd=100.0)
    refused = one(EntryRefused, day.asked_at("15:55") + day.ticks(5))
    assert "less than one share" in refused.reason
    assert refused.final


def test_the_capital_cap_bounds_the_size() -> None:
    day = opened(settings(account={"capital_usd_max": 10_000.0}))
    assert one(PlaceOrder, day.asked_at("15:55")).order.shares == 75


def test_money_added_while_flat_waits_for_the_next_session() -> None:
    day = opened()
    day.account(1.0)
    day.cash_usd += 250_000.0
    refused = one(EntryRefused, day.asked_at("15:55"))
    assert "$250,000.00" in refused.reason
    day.next_session()
    day.hear(day.target(3.0))
    day.open_at()
    assert one(PlaceOrder, day.asked_at("15:55")).order.shares == 9375


def test_money_added_while_held_is_shown_as_uninvested_and_not_bought() -> None:
    day = held_day()
    day.account(1.0)
    day.cash_usd += 250_000.0
    day.account(180.0)
    day.tick()
    assert day.state.said_state is not None
    assert day.state.said_state.uninvested_usd == 250_000.0
    assert not of(PlaceOrder, day.asked_at("15:55"))


# --- margin ------------------------------------------------------------------------------------


def test_a_purchase_over_the_margin_limit_is_clamped_and_said() -> None:
    day = opened()
    day.margin_rate = 0.40  # 7,500 shares would bind 1.2 million
    said = day.asked_at("15:55")
    order, clamp = one(PlaceOrder, said).order, one(EntryClamped, said)
    assert order.shares == int((CASH_USD - 0.05 * CASH_USD) / (400.0 * 0.40))
    assert clamp.table == 3.0
    assert clamp.allowed == pytest.approx(order.shares * 400.0 / CASH_USD)


def test_what_leaves_the_buffer_free_is_not_clamped() -> None:
    day = opened()
    day.margin_rate = 0.95 / 3
    said = day.asked_at("15:55")
    assert not of(EntryClamped, said)
    assert one(PlaceOrder, said).order.shares == 7500


def test_refuse_refuses_what_clamp_would_clamp() -> None:
    day = opened(settings(margin={"check": "refuse"}))
    day.margin_rate = 0.40
    refused = one(EntryRefused, day.asked_at("15:55"))
    assert refused.final
    assert "margin allows" in refused.reason


@pytest.mark.parametrize(
    ("portfolio_margin", "more"), [(True, ""), (None, "sells above 2x at the day's end")]
)
def test_off_is_said_aloud_each_day(portfolio_margin: bool | None, more: str) -> None:
    # given: an account that leaves the size alone, though it may be Reg T
    day = RiskDay(settings(margin={"check": "off"}))
    day.portfolio_margin = portfolio_margin
    day.open_at()
    # when
    said = one(GoNoGo, day.asked_at("15:50"))
    # then
    [margin] = [check for check in said.checks if check.name == "margin"]
    assert margin.ok
    assert "NOT CHECKED (margin.check is off)" in margin.detail
    assert margin.detail.endswith(more or "is off)")


def test_off_asks_no_what_if() -> None:
    day = opened(settings(margin={"check": "off"}))
    said = day.asked_at("15:55")
    assert not of(PreviewMargin, said)
    assert one(PlaceOrder, said).order.shares == 7500


@pytest.mark.parametrize("proven", [None, False])
def test_an_account_not_proven_portfolio_margin_gets_at_most_2x(proven: bool | None) -> None:
    day = opened(leverage=3.75)
    day.portfolio_margin = proven
    said = day.asked_at("15:55")
    assert one(PlaceOrder, said).order.shares == 5000
    assert "not proven" in one(EntryClamped, said).why


def test_sma_must_not_fall_below_zero() -> None:
    day = opened()
    day.portfolio_margin, day.sma_usd = None, 600_000.0
    said = day.asked_at("15:55")
    assert one(PlaceOrder, said).order.shares == 2994  # half of 1.2 million is the SMA, less 0.2 %
    assert "SMA $600,000 now, about $1,195 after the fill" in one(EntryClamped, said).why


def test_a_size_that_the_what_if_rejects_is_asked_about_smaller_until_one_fits() -> None:
    """IB answers a what-if beyond the account's means with 201 and no figures."""
    day = opened(leverage=3.75)
    day.margin_rate = 0.30  # 3.75x would bind 1.125 million
    asked = one(PreviewMargin, day.ready_at("15:55"))
    sizes = [asked.shares]
    while not of(PlaceOrder, day.said):
        too_large = asked.shares * 400.0 * 0.30 > CASH_USD
        day.preview(asked, problem="IB refused the order (201)" if too_large else "")
        for answer in of(PreviewMargin, day.tick()):
            asked = answer
        sizes.append(asked.shares)
        assert len(sizes) < 10
    order, clamp = one(PlaceOrder, day.said).order, one(EntryClamped, day.said)
    assert sizes[:3] == [9375, 8789, 8239]
    assert order.shares == int(950_000 / 120)
    assert "= 3.17x of 3.75x; larger what-ifs rejected: 2" in clamp.why


def test_what_every_size_is_rejected_for_is_said_and_asked_no_more_than_now_and_then() -> None:
    day = opened()
    day.ready_at("15:55")
    for asked in of(PreviewMargin, day.said):
        day.preview(asked, problem="below the minimum equity (201)")
    for _ in range(200):
        for asked in of(PreviewMargin, day.tick(0.05)):
            day.preview(asked, problem="below the minimum equity (201)")
    assert len(of(PreviewMargin, day.said)) < 2 * 13 + 5, "at 15:50 and at 15:55"
    assert "minimum equity" in of(EntryRefused, day.said)[0].reason
    assert not of(PlaceOrder, day.said)


def test_spread_and_commission_of_the_entry_leave_the_sma_above_zero() -> None:
    """All of the SMA at the price it is sized at would be too much by the costs."""
    day = opened(leverage=2.0)
    day.portfolio_margin, day.sma_usd = None, 1_000_000.0
    order = one(PlaceOrder, day.asked_at("15:55")).order
    paid = order.shares * (order.price_usd * 1.001 + 0.01)
    assert 0.0 < 1_000_000.0 - paid / 2 < 5_000.0


def test_no_margin_at_all_is_no_entry() -> None:
    day = opened()
    day.portfolio_margin, day.sma_usd = None, 0.0
    assert "margin allows 0.00x" in one(EntryRefused, day.asked_at("15:55")).reason


def test_a_failed_what_if_is_said_once_and_asked_again() -> None:
    day = opened()
    day.asked_at("15:50")
    asked = one(PreviewMargin, day.ready_at("15:55"))
    said = day.preview(asked, problem="TWS did not answer") + day.ticks(20)
    assert "TWS did not answer" in one(EntryRefused, said).reason
    again = one(PreviewMargin, said)
    assert again.key != asked.key
    day.preview(again)
    one(PlaceOrder, day.tick())


def test_a_what_if_that_is_refused_is_asked_again() -> None:
    day = opened()
    day.asked_at("15:50")
    asked = one(PreviewMargin, day.ready_at("15:55"))
    day.hear(Refused(key=asked.key, reason="an order is under way"))
    said = day.ticks(20)
    assert "an order is under way" in one(EntryRefused, said).reason
    one(PreviewMargin, said)


def test_a_what_if_whose_answer_is_lost_is_asked_again() -> None:
    day = opened()
    day.asked_at("15:50")
    first = one(PreviewMargin, day.ready_at("15:55"))
    assert not of(PreviewMargin, day.ticks(10))
    assert one(PreviewMargin, day.ticks(10)).key != first.key


# --- what becomes of it ------------------------------------------------------------------------


def test_entered_is_said_once_the_fills_are_booked() -> None:
    day = opened()
    order = day.entry_order()
    day.update(order, "Filled", 7500)  # the status runs ahead of the executions
    assert not day.all(Entered)
    day.fill(order, 5000, 400.0)
    day.fill(order, 2500, 403.0)
    day.tick()
    entered = one(Entered, day.said)
    assert entered.shares == 7500
    assert entered.price_usd == pytest.approx(401.0)
    assert entered.leverage == pytest.approx(7500 * 401.0 / CASH_USD)


def test_an_entry_cancelled_with_a_part_filled_is_entered_with_that_part() -> None:
    day = opened()
    order = day.entry_order()
    day.update(order, "Submitted")
    day.fill(order, 3000, 400.0)
    day.update(order, "Cancelled", 3000)
    assert one(Entered, day.said).shares == 3000
    assert not of(PlaceOrder, day.asked_at("15:56") + day.ticks(20))


def test_after_the_second_margin_rejection_entries_end_for_the_day() -> None:
    day = opened()
    first = day.entry_order()
    day.update(first, "REJECTED", code=201, reason="201: margin")
    refused = one(EntryRefused, day.said)
    assert not refused.final
    second = one(PlaceOrder, day.asked_at("15:56")).order
    assert second.intent_id == "20260303-ENTRY-2"
    day.forget()
    day.update(second, "REJECTED", code=201, reason="201: margin")
    said = day.said + day.asked_at("15:57") + day.asked_at("15:59:30")
    assert one(EntryRefused, said).final
    assert not of(PlaceOrder, said)


def test_a_missing_kid_is_one_line_and_no_retry() -> None:
    day = opened()
    order = day.entry_order()
    reason = "201: No Trading Permission: the fund has no KID in your language"
    said = day.update(order, "REJECTED", code=201, reason=reason)
    assert one(EntryRefused, said).final
    assert not of(PlaceOrder, day.asked_at("15:57"))


def test_an_entry_someone_cancelled_is_not_sent_again() -> None:
    day = opened()
    order = day.entry_order()
    day.update(order, "Submitted")
    assert one(EntryRefused, day.update(order, "Cancelled")).final
    assert not of(PlaceOrder, day.asked_at("15:57"))


def test_an_unknown_entry_is_waited_for_and_never_sent_anew() -> None:
    day = opened()
    order = day.entry_order()
    day.update(order, "UNKNOWN")
    assert not of(PlaceOrder, day.asked_at("15:57") + day.ticks(50))
    day.fill(order, 7500, 400.0)
    day.update(order, "Filled", 7500)
    assert one(Entered, day.said).shares == 7500


def test_an_order_asked_again_is_the_same_order_after_a_restart() -> None:
    day = opened()
    order = day.entry_order()
    day.restart()
    assert not of(PlaceOrder, day.asked_at("15:56") + day.ticks(20))
    assert day.state.entry is not None
    assert day.state.entry.order == order


def test_after_an_entry_that_was_abandoned_there_is_no_second_one_that_day() -> None:
    """TWS may hold it in a dialog, where none of its books shows it."""
    day = opened()
    order = day.entry_order("15:55")
    day.update(order, "UNKNOWN", reason="TWS has not acknowledged it for 5 s")
    day.wait(40)
    said = day.update(order, "ABANDONED", reason="it is proven that it never reached the broker")
    refused = one(EntryRefused, said + day.tick())
    assert refused.final
    assert not of(PlaceOrder, day.asked_at("15:57") + day.asked_at("15:58"))


def test_a_size_that_has_outgrown_its_what_if_is_asked_about_anew() -> None:
    # given: 3x fits; then the data go away, and come back with a lower VIX
    day = RiskDay(leverage=3.0)
    day.margin_rate = 0.3
    day.open_at()
    day.asked_at("15:50")
    [asked] = of(PreviewMargin, day.ready_at("15:55"))[-1:]
    day.preview(asked)
    day.wait(20)
    day.tick()
    day.hear(day.target(3.75))
    # then: the larger size is not sent on the smaller one's word
    said = day.asked_at("15:55:40")
    clamped, placed = one(EntryClamped, said), one(PlaceOrder, said)
    assert clamped.allowed < 3.75
    assert placed.order.shares * day.mark_usd * 0.3 <= 0.95 * CASH_USD
