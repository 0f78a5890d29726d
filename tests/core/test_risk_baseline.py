"""Rule "baseline" of the specification: what the day's 2 % is measured from."""

from __future__ import annotations

import pytest

from common.messages import (
    BaselineSet,
    DataKind,
    DaySummary,
    EntryRefused,
    Equity,
    OpeningPrint,
    PlaceOrder,
    PreviewMargin,
    StopArmed,
    StopHit,
    Tick,
)
from tests.core.risk_play import (
    CASH_USD,
    MONDAY,
    TUESDAY,
    RiskDay,
    held_day,
    session,
    settings,
)
from tests.playbook import instant, of, one


def test_the_baseline_is_cash_plus_shares_at_the_opening_print() -> None:
    day = RiskDay(held=7500, cash_usd=-2_000_000.0)
    baseline = one(BaselineSet, day.open_at(401.0))
    assert baseline.baseline_usd == -2_000_000.0 + 7500 * 401.0
    assert (baseline.source, baseline.labelled) == ("open", "")


def test_before_the_open_there_is_no_baseline() -> None:
    day = RiskDay(held=7500, cash_usd=-2_000_000.0)
    day.hear(OpeningPrint(day=MONDAY, price_usd=399.0, official=True))
    day.at("09:29:59")
    assert not day.all(BaselineSet)


def test_the_first_valid_mid_stands_in_for_a_missing_print() -> None:
    day = RiskDay(held=7500, cash_usd=-2_000_000.0)
    baseline = one(BaselineSet, day.open_at(402.0, official=False))
    assert baseline.source == "first price"
    assert baseline.baseline_usd == -2_000_000.0 + 7500 * 402.0


def test_yesterdays_print_is_none() -> None:
    day = RiskDay(held=7500, cash_usd=-2_000_000.0)
    day.hear(OpeningPrint(day=MONDAY, price_usd=399.0, official=True))
    day.at("09:30:01")
    assert not day.all(BaselineSet)


def test_a_flat_account_has_its_cash_for_a_baseline() -> None:
    day = RiskDay()
    baseline = one(BaselineSet, day.at("09:30"))
    assert (baseline.baseline_usd, baseline.source, baseline.shares) == (CASH_USD, "flat", 0)


def test_the_baseline_is_written_once_a_session() -> None:
    day = held_day()
    day.hear(OpeningPrint(day=TUESDAY, price_usd=410.0, official=True))
    day.ticks(20)
    assert len(day.all(BaselineSet)) == 1


def test_a_restart_never_anchors_the_baseline_anew() -> None:
    day = held_day()
    day.quote(398.0, after_s=3600)
    day.restart()
    day.hear(OpeningPrint(day=TUESDAY, price_usd=398.0, official=True))
    day.tick()
    assert len(day.all(BaselineSet)) == 1
    one(StopHit, day.quote(397.3, 0.2))  # 0.67 % under 400, measured from the open


def test_a_start_in_mid_session_rebuilds_it_from_the_official_open() -> None:
    day = RiskDay(at="11:00", held=7500, cash_usd=-2_000_000.0)
    baseline = one(BaselineSet, day.open_at(401.0))
    assert baseline.baseline_usd == -2_000_000.0 + 7500 * 401.0
    assert "mid-session" in baseline.labelled


@pytest.mark.parametrize(("first_price", "stricter"), [(398.0, 400.0), (403.0, 403.0)])
def test_without_an_official_open_the_stricter_of_previous_close_and_now_holds(
    first_price: float, stricter: float
) -> None:
    day = RiskDay(at="11:00", held=7500, cash_usd=-2_000_000.0)
    baseline = one(BaselineSet, day.open_at(first_price, official=False))
    assert baseline.baseline_usd == -2_000_000.0 + 7500 * stricter
    assert baseline.labelled.startswith("no official open")


def test_a_day_with_such_a_baseline_has_no_entry() -> None:
    day = RiskDay(at="11:00", held=7500, cash_usd=-2_000_000.0)
    day.open_at(403.0, official=False)
    order = day.stopped_at(397.0)
    day.sold(order, 397.0)
    refused = one(EntryRefused, day.asked_at("15:55", 397.0))
    assert "no official open" in refused.reason


def test_a_flat_start_in_mid_session_may_still_enter() -> None:
    day = RiskDay(at="15:50")
    assert day.state.baseline is not None
    assert day.state.baseline.labelled == ""
    assert of(PreviewMargin, day.asked_at("15:55"))


def test_a_position_the_broker_counts_otherwise_gets_no_baseline() -> None:
    day = RiskDay(held=7500, cash_usd=-2_000_000.0)
    day.held = 7400
    day.account()
    day.open_at(400.0)
    assert not day.all(BaselineSet)


def test_previous_close_measures_from_the_close_before_the_session() -> None:
    given = settings(stop={"baseline": "previous_close"})
    day = RiskDay(given, held=7500, cash_usd=-2_000_000.0)
    baseline = one(BaselineSet, day.at("09:30"))
    assert (baseline.price_usd, baseline.source) == (400.0, "previous close")
    one(StopHit, day.quote(397.3, 0.2))  # the overnight gap counts


def with_an_older_close() -> RiskDay:
    """Under `previous_close`, where the feed's newest close is not of the day before."""
    given = settings(stop={"baseline": "previous_close"})
    friday = session(previous=MONDAY.replace(day=1))
    day = RiskDay(given, at="08:00", held=7500, cash_usd=-2_000_000.0, hours=friday)
    day.hear(session())
    day.hours = session()
    return day


def test_previous_close_does_not_measure_from_an_older_close() -> None:
    day = with_an_older_close()
    day.at("09:30")
    assert not day.all(BaselineSet)


def test_where_no_close_of_the_day_before_comes_the_open_serves_and_says_so() -> None:
    day = with_an_older_close()
    day.open_at(401.0)
    day.at("09:31")
    assert not day.all(BaselineSet)
    baseline = one(BaselineSet, day.at("09:31:20"))
    assert (baseline.price_usd, baseline.source) == (401.0, "open")
    assert baseline.labelled == "measured from the open: no close of the day before is known"
    one(StopHit, day.quote(398.3, 0.2))


def test_a_close_that_comes_just_after_a_late_start_is_what_it_measures_from() -> None:
    day = with_an_older_close()
    day.at("11:00")
    day.open_at(401.0)
    day.at("11:00:30")
    baseline = one(BaselineSet, day.hear(day.bar()) + day.tick())
    assert (baseline.price_usd, baseline.source) == (400.0, "previous close")


def test_entry_keeps_the_baseline_of_the_entry_over_the_next_open() -> None:
    given = settings(stop={"baseline": "entry"})
    day = RiskDay(given)
    day.open_at()
    day.enter()
    day.forget()
    day.next_session()
    day.open_at(399.0)
    day.ticks(5)
    assert not day.all(BaselineSet)
    one(StopHit, day.quote(397.3, 0.2))


def test_off_watches_nothing_and_says_so() -> None:
    given = settings(stop={"baseline": "off"})
    day = held_day(given=given)
    day.quote(300.0, 0.2)
    day.quote(300.0, 1.5)
    day.tick()
    assert not day.all(StopHit)
    assert not day.all(StopArmed)
    assert day.state.said_state is not None
    assert "NOT PROTECTED" in day.state.said_state.protected_by


@pytest.mark.parametrize("choice", ["open", "entry", "off"])
def test_whatever_the_stop_is_measured_from_a_day_ends_with_its_summary(choice: str) -> None:
    day = held_day(given=settings(stop={"baseline": choice}))
    day.quote(402.0, 0.2)
    day.at("16:01")
    summary = day.newest(DaySummary)
    assert summary.shares == 7500
    assert summary.equity_usd == pytest.approx(summary.start_equity_usd + 7500 * 2.0)


def test_the_capital_cap_bounds_the_baseline() -> None:
    day = RiskDay(settings(account={"capital_usd_max": 10_000.0}))
    assert one(BaselineSet, day.at("09:30")).baseline_usd == 10_000.0


def test_after_the_close_no_baseline_is_written_for_the_day_that_is_over() -> None:
    day = RiskDay(at="16:00", held=7500, cash_usd=-2_000_000.0)
    day.hear(OpeningPrint(day=TUESDAY, price_usd=400.0, official=True))
    day.tick()
    assert not day.all(BaselineSet)


def test_each_session_has_its_own() -> None:
    day = held_day()
    day.next_session()
    baseline = one(BaselineSet, day.open_at(390.0))
    assert baseline.day == day.hours.day
    assert baseline.baseline_usd == -2_000_000.0 + 7500 * 390.0
    assert not of(StopHit, day.quote(390.0, 0.2))  # the gap is behind it


def test_summer_time_moves_the_open_because_session_times_are_data() -> None:
    monday, tuesday, friday = (TUESDAY.replace(day=n) for n in (9, 10, 6))
    hours = session(monday, previous=friday, after=tuesday)  # clocks went forward on March 8
    assert hours.open_ns - instant(friday, "09:30") == (3 * 24 - 1) * 3600 * 10**9
    day = RiskDay(hours=hours, held=7500, cash_usd=-2_000_000.0)
    assert one(BaselineSet, day.open_at(400.0)).day == monday


def test_equity_is_baseline_plus_profit_of_smh() -> None:
    day = held_day()
    equity = one(Equity, day.quote(402.0, after_s=1.0))
    assert equity.equity_usd == pytest.approx(CASH_USD + 7500 * 2.0, abs=0.005)
    assert equity.stop_usd == pytest.approx(CASH_USD * 0.98)
    assert equity.stop_price_usd == pytest.approx(400 * (1 - 0.02 / 3), abs=1e-6)
    assert equity.armed


def unpriced_day(kind: DataKind = "live", at: str = "09:29") -> RiskDay:
    """A held position over an open of which the feed has no price to tell."""
    day = RiskDay(at=at, held=7500, cash_usd=-2_000_000.0)
    day.hear(day.feed(kind=kind))
    return day


@pytest.mark.parametrize("kind", ["delayed", "delayed_frozen"])
def test_with_delayed_data_the_brokers_first_price_arms_the_stop_within_seconds_of_the_open(
    kind: DataKind,
) -> None:
    day = unpriced_day(kind)
    day.at("09:30")
    for mark_usd in (401.0, 401.5, 402.0, 402.5, 403.0, 403.5):
        day.pnl(mark_usd, 1.0)
    day.tick()
    baseline = one(BaselineSet, day.all(BaselineSet))
    assert (baseline.price_usd, baseline.labelled) == (403.0, "")  # after opening_print_wait_s
    assert baseline.source == "the broker's first price"
    day.forget()
    day.hear(OpeningPrint(day=TUESDAY, price_usd=401.0, official=True))  # a quarter of an hour late
    day.ticks(3)
    assert not day.all(BaselineSet)
    day.pnl(400.2, 1.0)
    one(StopHit, day.pnl(400.2, 1.0))


def test_live_data_is_given_a_minute_for_its_opening_price_before_the_brokers_own_serves() -> None:
    day = unpriced_day()
    day.at("09:30:05")
    day.pnl(403.0)
    day.pnl(403.5, 1.0)
    day.at("09:31:19")
    assert not day.all(BaselineSet)
    day.at("09:31:20")
    baseline = one(BaselineSet, day.all(BaselineSet))
    assert (baseline.price_usd, baseline.source) == (403.0, "the broker's first price")
    assert baseline.labelled == ""


def test_a_wild_first_word_of_profit_and_loss_is_no_opening_price() -> None:
    day = unpriced_day("delayed")
    day.at("09:30:05")
    day.pnl(364.0)
    day.pnl(401.0, 1.0)
    assert not day.all(BaselineSet)
    day.pnl(401.5, 1.0)
    day.tick()
    assert one(BaselineSet, day.all(BaselineSet)).price_usd == 401.0


def test_the_account_bears_out_what_profit_and_loss_said_first_or_takes_its_place() -> None:
    for said_usd, taken_usd in ((402.0, 402.0), (364.0, 401.0)):
        day = unpriced_day("delayed")
        day.at("09:30:05")
        day.pnl(said_usd)
        day.mark_usd = 401.0
        day.account()
        day.tick()
        assert one(BaselineSet, day.all(BaselineSet)).price_usd == taken_usd


def test_where_even_the_profit_and_loss_is_silent_an_account_of_the_session_serves() -> None:
    day = unpriced_day()
    day.at("09:32")
    day.mark_usd = 398.0
    day.account()
    day.at("09:33:14")
    assert not day.all(BaselineSet)
    day.at("09:33:15")
    baseline = one(BaselineSet, day.all(BaselineSet))
    assert baseline.price_usd == 400.0
    assert baseline.labelled.startswith("no official open: stricter of previous close")


def test_an_official_open_goes_before_the_brokers_own_price() -> None:
    day = unpriced_day()
    day.at("09:30:05")
    day.pnl(403.0)
    day.wait(30.0)
    assert one(BaselineSet, day.open_at(401.0)).source == "open"


def test_no_price_of_the_account_from_before_the_open_makes_a_baseline() -> None:
    day = unpriced_day("delayed")
    day.at("09:29:58")
    day.pnl(403.0)
    day.account()
    day.at("09:30:04")
    day.pnl(403.0)  # marks follow the first trades, not the clock
    day.at("09:40")
    assert not day.all(BaselineSet)


def test_a_restart_keeps_the_brokers_first_price_of_the_session() -> None:
    day = unpriced_day()
    day.at("09:30:06")
    day.pnl(403.0)
    day.restart()
    day.pnl(395.0, 80.0)
    day.tick()
    assert one(BaselineSet, day.all(BaselineSet)).price_usd == 403.0


def test_a_price_told_of_another_share_count_makes_no_baseline() -> None:
    day = unpriced_day("delayed")
    day.at("09:30:06")
    day.held = 15_000  # a split's count, told by the profit and loss before the account
    day.pnl(200.0)
    day.ticks(100)
    assert not day.all(BaselineSet)


def test_under_entry_a_day_whose_stop_sold_the_night_says_what_it_lost() -> None:
    given = settings(stop={"baseline": "entry"})
    day = RiskDay(given)
    day.open_at()
    day.enter()
    day.at("16:01")
    day.hear(day.bar(400.0, TUESDAY))
    day.next_session()
    day.wait_until(day.hours.open_ns)
    day.forget()
    order = one(PlaceOrder, day.quote(390.0)).order  # before any opening print
    day.sold(order, 390.0)
    day.open_at(390.0)  # a flat baseline follows, which is not what the day began with
    day.at("16:01")
    summary = day.newest(DaySummary)
    assert (summary.stops, summary.shares) == (1, 0)
    assert summary.return_fraction == pytest.approx(order.shares * -10.0 / CASH_USD)


def test_a_day_under_a_capital_cap_says_what_it_made_though_each_baseline_is_the_cap() -> None:
    given = settings(account={"capital_usd_max": 10_000.0})
    day = RiskDay(given)
    day.open_at()
    first = day.enter()  # 75 shares
    day.at("16:01")
    day.hear(day.bar(400.0, TUESDAY))
    day.next_session()
    # given: a night that costs 3 a share, a stop 3 lower, an entry again that loses 1
    morning = one(BaselineSet, day.open_at(397.0))
    assert (morning.baseline_usd, morning.night_usd) == (10_000.0, first.shares * -3.0)
    exit_order = day.stopped_at(394.0)
    day.sold(exit_order, 394.0)
    day.hear(day.signal("BULL"), day.target(3.0))
    again = day.enter("15:55", 394.0)
    day.at("15:59")
    day.quote(393.0)
    day.hear(day.bar(393.0, day.hours.day))
    day.at("16:01")
    # then: the cap was refilled from the account twice, and hides none of it
    made_usd = first.shares * -6.0 + again.shares * -1.0
    summary = day.newest(DaySummary)
    assert summary.day == day.hours.day
    assert summary.return_fraction == pytest.approx(made_usd / 10_000.0)


def test_what_an_entry_costs_is_part_of_the_days_return() -> None:
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    day.update(order, "Submitted")
    day.fill(order, order.shares, 400.0, commission_usd=37.5)
    day.update(order, "Filled", order.shares)
    day.hear(day.bar(400.0, TUESDAY))
    day.at("16:01")
    assert day.newest(DaySummary).return_fraction == pytest.approx(-37.5 / CASH_USD)


def test_a_bear_exit_at_the_open_takes_its_night_into_the_days_return() -> None:
    day = RiskDay()
    day.open_at()
    bought = day.enter()
    day.hear(day.bar(398.0, TUESDAY))
    day.at("16:01")
    day.hear(day.signal("BEAR", TUESDAY))
    day.next_session()
    # when: it is sold before there is an opening print, so that the day's baseline is flat
    order = one(PlaceOrder, day.hear(Tick()) + day.at("09:30")).order
    day.sold(order, 390.0)
    day.open_at(390.0)
    day.at("16:01")
    summary = day.newest(DaySummary)
    assert summary.day == day.hours.day
    assert summary.start_equity_usd == pytest.approx(CASH_USD - bought.shares * 2.0)
    assert summary.return_fraction * summary.start_equity_usd == pytest.approx(bought.shares * -8.0)


def test_the_days_returns_chain_to_what_was_made_after_hours_too() -> None:
    day = RiskDay(settings(exit={"bear": "after_hours"}))
    day.open_at()
    bought = day.enter()
    day.at("16:00:30")
    first = day.newest(DaySummary)
    order = one(PlaceOrder, day.hear(day.signal("BEAR", TUESDAY)) + day.at("16:01")).order
    day.sold(order, 396.0)
    day.next_session()
    day.open_at(390.0)
    day.at("16:01")
    second = day.newest(DaySummary)
    assert second.day == day.hours.day
    made = (1.0 + first.return_fraction) * (1.0 + second.return_fraction) - 1.0
    assert made * CASH_USD == pytest.approx(bought.shares * -4.0)
