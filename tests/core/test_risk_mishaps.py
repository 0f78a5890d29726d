"""The risk monitor where something else went wrong first: a reboot, an outage, an odd share."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec
import pytest

from common.clock import SECOND_NS
from common.core import staleness
from common.core.monitor.state import equity_usd
from common.messages import (
    GUARD_FIRST,
    Adopt,
    Alert,
    BaselineSet,
    DaySummary,
    EntryRefused,
    Equity,
    ExitFailed,
    Fill,
    Flatten,
    Halt,
    Now,
    PlaceOrder,
    PreviewMargin,
    Resume,
    Started,
    StopArmed,
    StopHit,
    SubmitOrder,
)
from tests.core.risk_play import (
    CASH_USD,
    CLOSE_USD,
    TUESDAY,
    WEDNESDAY,
    RiskDay,
    held_day,
    session,
    settings,
)
from tests.playbook import of, one

THURSDAY = date(2026, 3, 5)


def rebooted(day: RiskDay) -> None:
    """The machine starts anew: host time begins at nothing, market time goes on."""
    day.now = Now(market_ns=day.now.market_ns, host_ns=5 * SECOND_NS)
    day.restart()


# --- host time that begins anew ----------------------------------------------------------------


def test_an_exit_that_was_to_be_tried_again_leaves_after_a_reboot_too() -> None:
    day = held_day()
    day.update(day.stopped_at(397.0), "DENIED", reason="no sound link")
    day.tick(0.2)
    rebooted(day)
    assert one(PlaceOrder, day.tick(0.2)).order.shares == 7500


@pytest.mark.parametrize(
    ("market_s", "host_s", "is_late"),
    [(600.0, -500.0, True), (600.0, 0.5, False), (600.0, 2.0, True), (4.0, -500.0, False)],
    ids=["rebooted", "fast market", "old", "young"],
)
def test_what_was_heard_before_a_reboot_is_as_old_as_market_time_says(
    market_s: float, host_s: float, is_late: bool
) -> None:
    heard = Now(market_ns=10**18, host_ns=1_000 * SECOND_NS)
    now = Now(
        market_ns=heard.market_ns + round(market_s * SECOND_NS),
        host_ns=heard.host_ns + round(host_s * SECOND_NS),
    )
    assert staleness.late(heard, now, 5.0) == is_late


def test_no_price_from_before_a_reboot_fires_the_stop() -> None:
    day = held_day()
    day.quote(397.4, 0.2)
    day.wait(600.0)
    day.given(lambda state: setattr(state.baseline, "price_usd", 410.0))
    rebooted(day)
    assert not of(StopHit, day.pnl(410.0))


# --- fills of an outage ------------------------------------------------------------------------


def test_shares_of_an_outage_are_counted_once_by_their_fills() -> None:
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    day.update(order, "UNKNOWN")
    day.hear(day.book(reconciled=False, unknown=(order.intent_id,)))
    day.held, day.cash_usd = order.shares, CASH_USD - order.shares * CLOSE_USD
    day.account()
    day.account(after_s=5.0)
    day.held, day.cash_usd = 0, CASH_USD
    day.fill(order, order.shares, CLOSE_USD)
    day.hear(day.book())
    day.account(after_s=5.0)
    assert day.state.shares == order.shares
    assert not day.state.halts


def test_after_the_comparison_a_position_without_fills_is_still_believed() -> None:
    day = RiskDay()
    day.open_at()
    day.hear(day.book(reconciled=False))
    day.held = 100
    day.account()
    day.hear(day.book())
    day.account(after_s=1.0)
    day.account(after_s=3.0)
    assert day.state.shares == 100
    assert "foreign" in day.state.halts


def test_a_fill_that_is_told_after_its_shares_were_believed_counts_once() -> None:
    """A trade by hand is in no message to us; the next comparison brings it, minutes later."""
    day = RiskDay()
    day.open_at()
    traded_ns = day.now.market_ns
    day.held = 50
    day.account()
    day.account(after_s=3.0)
    assert day.state.shares == 50
    day.fill(None, 50, CLOSE_USD, action="BUY", filled_ns=traded_ns)
    assert day.state.shares == 50


# --- splits ------------------------------------------------------------------------------------


def test_an_open_at_half_the_price_with_the_old_share_count_makes_no_baseline() -> None:
    day = held_day()
    day.next_session()
    said = day.open_at(200.0) + day.quote(199.0, 1.2) + day.quote(198.0, 1.2)
    assert not of(BaselineSet, said)
    assert not of(StopHit, said)
    day.held = 15_000
    day.account()
    day.account(after_s=3.0)
    baseline = one(BaselineSet, day.tick())
    assert baseline.shares == 15_000
    assert baseline.baseline_usd == pytest.approx(CASH_USD)


def test_a_baseline_of_long_ago_does_not_make_today_look_like_a_split() -> None:
    day = held_day()
    day.given(lambda state: setattr(state.baseline, "day", day.hours.day.replace(month=1)))
    day.next_session()
    assert one(BaselineSet, day.open_at(800.0)).shares == 7500


def test_a_share_count_believed_without_a_fill_is_measured_at_any_open() -> None:
    day = held_day()
    day.held = 15_000  # the split's shares, though not yet its price
    day.account(after_s=1.0)
    day.account(after_s=3.0)
    assert "foreign" in day.state.halts
    day.next_session()
    assert one(BaselineSet, day.open_at(200.0)).shares == 15_000


def test_all_shares_taken_away_with_a_price_still_said_end_the_position() -> None:
    day = held_day()
    day.held = 0
    day.account()
    day.account(after_s=3.0)
    assert day.state.shares == 0


def long_held(*closes_usd: float) -> RiskDay:
    """An entry at $400, held over sessions that closed like this; the next one is near its open."""
    day = RiskDay(settings(stop={"baseline": "entry"}))
    day.open_at()
    day.enter()
    today, before = WEDNESDAY, TUESDAY
    for close_usd in closes_usd:
        day.next_session(session(today, before, today + timedelta(days=1)))
        day.open_at(close_usd)
        day.account()
        day.at("16:01")
        day.hear(day.bar(close_usd, today))
        today, before = today + timedelta(days=1), today
    day.next_session(session(today, before, today + timedelta(days=1)))
    day.forget()
    return day


UP = (440.0, 480.0, 520.0, 560.0, 600.0, 640.0, 700.0, 780.0)


def test_a_price_that_grew_to_a_splits_ratio_of_an_old_entry_is_none() -> None:
    # given: 1.5 times what was paid; the stop's baseline is the entry's, nine days old
    day = long_held(440.0, 460.0, 480.0, 500.0, 520.0, 560.0, 580.0, 590.0)
    resting = settings(stop={"baseline": "entry", "resting": True})
    day.hear(Started(settings_json=resting.to_json()))
    # when
    said = day.open_at(600.0) + day.ticks(20)
    # then
    assert "split" not in day.state.alerts
    assert one(SubmitOrder, said).order.purpose == "STOP"


def test_a_split_after_the_price_has_doubled_is_one() -> None:
    # given: 7,500 shares bought at $400, $790 before the night
    day = long_held(*UP, 790.0)
    # when: two for one over night
    day.held, day.mark_usd = 15_000, 395.0
    day.account(1.0)
    day.account(3.0)
    # then
    assert (day.state.shares, day.state.ours) == (15_000, True)
    assert not day.state.halts
    assert day.state.baseline.labelled == "split 2"
    said = day.open_at(395.0) + day.quote(393.0, 1.2) + day.quote(392.0, 1.2)
    assert not of(StopHit, said)
    assert "split" not in {alert.code for alert in day.all(Alert)}
    assert equity_usd(day.state, 395.0) == pytest.approx(day.cash_usd + 15_000 * 395.0)


def test_a_split_that_the_share_count_has_yet_to_follow_holds_an_old_entrys_stop() -> None:
    # given: the price halves to just below what was paid, and the stop's level
    day = long_held(*UP, 790.0)
    said = day.open_at(395.0) + day.quote(395.0, 1.2) + day.tick()
    assert not of(StopHit, said)
    assert "split" in day.state.alerts


def test_after_a_split_the_previous_close_counts_in_its_prices() -> None:
    day = held_day(given=settings(stop={"baseline": "previous_close"}))
    day.hear(day.bar(400.0, TUESDAY))
    day.next_session()
    day.held, day.mark_usd = 15_000, 199.0
    day.account(1.0)
    day.account(3.0)
    baseline = one(BaselineSet, day.open_at(199.0))
    assert baseline.price_usd == 200.0
    assert baseline.baseline_usd == pytest.approx(CASH_USD)


# --- exits that nobody speaks of any more ------------------------------------------------------


def test_an_exit_the_gateway_has_forgotten_leaves_anew_at_the_next_open() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "Submitted")
    day.hear(day.book(working=(order.intent_id,)))
    day.at("16:00:59")
    day.hear(day.book(reconciled=False))
    day.at("16:02:00")
    assert not day.all(ExitFailed), "the gateway has not compared yet"
    day.hear(day.book())
    assert one(ExitFailed, day.all(ExitFailed)).intent_id == order.intent_id
    day.next_session()
    day.open_at()
    assert one(PlaceOrder, day.all(PlaceOrder)[1:]).order.intent_id == "20260304-EXIT-1"


def test_an_exit_the_gateway_still_knows_is_waited_for_past_its_deadline() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "Submitted")
    day.hear(day.book(working=(order.intent_id,)))
    day.at("16:05")
    assert not day.all(ExitFailed)


def test_exits_end_where_their_ids_would_no_longer_be_valid() -> None:
    day = held_day()
    day.given(lambda state: state.exit_attempt.update({"20260303": GUARD_FIRST - 2}))
    order = day.stopped_at(397.0)
    assert order.intent_id == f"20260303-EXIT-{GUARD_FIRST - 1}", "above stand the gateway's own"
    day.update(order, "DENIED", reason="no")
    assert not of(PlaceOrder, day.ticks(200))


def test_an_exit_cut_off_by_the_close_pages_until_the_next_open() -> None:
    day = held_day()
    day.hear(Flatten(key="away", deadline_ns=0, by="me"))
    order = one(PlaceOrder, day.tick(0.2)).order
    day.update(order, "Submitted")
    day.fill(order, 1000, CLOSE_USD)
    day.at("16:00:01")
    day.update(order, "Cancelled", 1000)
    pages = of(Alert, day.tick(0.2))
    assert [(page.code, page.level) for page in pages if page.raised] == [("unsold", "page")]
    assert "6500 shares" in one(Alert, [page for page in pages if page.code == "unsold"]).text
    day.next_session()
    day.open_at()
    assert one(PlaceOrder, day.all(PlaceOrder)[-1:]).order.shares == 6500
    assert [p.raised for p in day.all(Alert) if p.code == "unsold"] == [True, False]


def test_an_open_that_the_feed_does_not_announce_pages_while_shares_are_held() -> None:
    day = held_day()
    day.wait_until(day.hours.next_open_ns - SECOND_NS)
    assert not [page for page in of(Alert, day.tick()) if page.code == "no-session"]
    said = day.tick(1.0)
    assert [page.level for page in of(Alert, said) if page.code == "no-session"] == ["page"]
    day.hear(session(WEDNESDAY, TUESDAY, THURSDAY))
    day.tick()
    assert [page.raised for page in day.all(Alert) if page.code == "no-session"] == [True, False]


# --- whose position it is ----------------------------------------------------------------------


def test_what_we_buy_is_ours_though_what_was_found_once_was_not() -> None:
    day = RiskDay(held=100, cash_usd=CASH_USD - 100 * CLOSE_USD, adopted=False)
    day.open_at()
    day.hear(Flatten(key="away", deadline_ns=0, by="me"))
    day.sold(one(PlaceOrder, day.tick(0.2)).order, CLOSE_USD)
    day.hear(Resume(key="go", deadline_ns=0, by="me"))
    day.enter()
    assert day.state.ours
    day.hear(day.signal("BEAR", day.hours.day))
    day.next_session()
    day.open_at()
    assert one(PlaceOrder, day.all(PlaceOrder)[-1:]).order.reason == "bear"


# --- a small strategy in a large account -------------------------------------------------------


@pytest.mark.parametrize(
    ("moved_usd", "stop_usd"), [(-50_000.0, 9_800.0), (50_000.0, 9_800.0), (-995_000.0, 9_900.0)]
)
def test_what_the_cap_leaves_unused_may_come_and_go_without_moving_the_stop(
    moved_usd: float, stop_usd: float
) -> None:
    capped = settings(account={"capital_usd_max": 10_000.0})
    day = RiskDay(capped, held=75, cash_usd=CASH_USD - 75 * CLOSE_USD)
    day.open_at()
    day.account(after_s=1.0)
    day.other_usd = moved_usd
    day.account(after_s=1.0)
    assert day.state.flow_usd == moved_usd
    assert one(Equity, day.quote(399.9, 1.2)).stop_usd == pytest.approx(stop_usd)
    assert not day.all(StopHit)


# --- refused by our own gateway ----------------------------------------------------------------


def test_what_our_gateway_denies_for_a_moment_is_entered_once_it_no_longer_does() -> None:
    day = RiskDay()
    day.open_at()
    for attempt in (1, 2, 3):
        order = one(PlaceOrder, day.asked_at(f"15:55:{attempt * 16 - 16:02d}")).order
        assert order.intent_id == f"20260303-ENTRY-{attempt}"
        assert not one(EntryRefused, day.update(order, "DENIED", reason="comparing")).final
        assert not of(PlaceOrder, day.ticks(20)), "not at once"
    assert one(PlaceOrder, day.asked_at("15:57")).order.intent_id == "20260303-ENTRY-4"


def test_an_entry_that_is_denied_again_and_again_ends_for_the_day() -> None:
    day = RiskDay(settings(entry={"test_entry": True}), at="09:29")
    day.open_at()
    for _ in range(20):
        day.wait(16.0)
        day.quote(CLOSE_USD)
        day.account()
        asked = of(PreviewMargin, day.ticks(2))
        day.preview(asked[-1])
        order = one(PlaceOrder, day.ticks(2)).order
        refused = one(EntryRefused, day.update(order, "DENIED", reason="no"))
    assert refused.final


# --- what a journal must be able to hold -------------------------------------------------------


def test_a_last_share_far_below_the_stop_has_no_stop_price() -> None:
    cash_usd = 6_600_000.0 - 50_000 * CLOSE_USD
    day = RiskDay(held=50_000, cash_usd=cash_usd)
    day.open_at()
    day.quote(340.0, 0.2)
    order = one(PlaceOrder, day.quote(340.0, 1.2)).order
    said = day.fill(order, order.shares - 1, 320.0) + day.quote(320.0, 1.2)
    assert one(StopArmed, said).stop_price_usd is None
    assert one(Equity, said).stop_price_usd is None


def test_a_persons_longest_key_makes_a_valid_key_of_ours() -> None:
    day = held_day()
    assert len(one(Halt, day.hear(Flatten(key="k" * 80, deadline_ns=0, by="me"))).key) <= 80


def test_the_return_of_an_account_that_had_nothing_is_still_a_number() -> None:
    day = held_day()
    day.given(lambda state: setattr(state.day, "close_equity_usd", 1.0))
    day.given(lambda state: setattr(state.day, "settled_usd", 200.0))
    day.at("16:00:06")
    assert one(DaySummary, day.all(DaySummary)).return_fraction == 100.0


def test_an_exit_leaves_with_no_price_but_what_the_shares_cost() -> None:
    day = RiskDay(held=100, cash_usd=CASH_USD - 100 * CLOSE_USD)
    account = msgspec.structs.replace(day.state.account, mark_usd=None)
    day.wait_until(day.hours.open_ns)
    day.hear(account, Flatten(key="away", deadline_ns=0, by="me"))
    assert one(PlaceOrder, day.tick(0.2)).order.shares == 100


def test_a_price_from_before_the_clock_was_set_back_grows_old_all_the_same() -> None:
    day = held_day()
    day.wait(3600)
    day.quote(400.0, 0.2)
    day.now = Now(market_ns=day.now.market_ns - 600 * SECOND_NS, host_ns=day.now.host_ns)
    said = [message for _ in range(12) for message in day.pnl(390.0, 1.0) + day.tick()]
    assert of(StopHit, said), "the broker's PnL counts once no quote is fresh"


def test_an_exit_whose_executions_never_come_gives_way_once_the_brokers_count_is_believed() -> None:
    # given: an exit that ended part-filled; its execution could not be read
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "Submitted", 4000)
    day.update(order, "Cancelled", 4000)
    # when: the broker's own count says so too
    day.held, day.cash_usd = 3500, day.cash_usd + 4000 * 396.0
    said = [m for _ in range(40) for m in day.quote(396.0, 1.0) + day.account() + day.tick()]
    # then
    assert [placed.order.shares for placed in of(PlaceOrder, said)] == [3500]


def test_what_an_entry_buys_after_its_first_shares_were_stopped_is_under_their_stop() -> None:
    # given: 3,000 shares of an entry, sold again by the stop at the broker at a loss
    day = RiskDay(settings(stop={"resting": True}))
    day.open_at()
    entry = day.entry_order()
    day.fill(entry, 3000, 400.0)
    day.hear(day.book(working=(entry.intent_id,)))
    stop = one(SubmitOrder, day.ticks(60)).order
    day.update(stop, "PreSubmitted")
    day.fill(stop, 3000, 390.0)
    day.update(stop, "Filled", 3000)
    day.account()
    day.ticks(20)
    # when: more of it fills before its cancel arrives
    day.fill(entry, 2000, 390.0)
    # then: the loss is not forgotten
    assert day.state.baseline.baseline_usd == CASH_USD
    one(StopHit, day.quote(390.0, 1.0) + day.quote(390.0, 1.5))


def test_shares_that_come_after_a_bear_signal_leave_once_they_are_adopted() -> None:
    day = RiskDay()
    day.open_at()
    day.hear(day.signal("BEAR"))
    day.fill(None, 500, 400.0, action="BUY")
    day.account()
    assert not of(PlaceOrder, day.ticks(10))
    day.hear(Adopt(key="a", deadline_ns=0, by="person"))
    assert one(PlaceOrder, day.ticks(10)).order.reason == "bear"


def test_an_entry_whose_fills_come_after_a_bear_close_is_sold_at_the_next_open() -> None:
    # given: an outage over the close; the final signal is heard before the entry's fills
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    day.update(order, "Submitted")
    day.hear(day.link(state="degraded", reason="1100"))
    day.hear(day.book(reconciled=False, working=(order.intent_id,)))
    day.at("16:01")
    day.hear(day.bar(390.0, TUESDAY), day.signal("BEAR", TUESDAY))
    # when
    day.hear(day.link())
    day.fill(order, order.shares, 400.0)
    day.update(order, "Filled", order.shares)
    day.hear(day.book())
    day.account()
    # then
    day.next_session()
    said = day.open_at(400.0) + day.ticks(10)
    assert one(PlaceOrder, said).order.reason == "bear"


def test_money_moved_over_night_is_no_flow_of_a_day_that_began_without_a_link() -> None:
    day = RiskDay()
    day.open_at()
    day.next_session()
    # given: the newest word on the account is yesterday's, and money has come since
    day.open_at()
    day.cash_usd += 50_000.0
    day.wait(600)
    # when: the link is back
    day.account()
    day.tick()
    # then
    baseline = day.state.baseline
    assert (baseline.day, baseline.baseline_usd) == (WEDNESDAY, CASH_USD + 50_000.0)
    day.account()
    assert day.state.flow_usd == 0.0


def test_a_clock_that_ran_ahead_into_the_next_session_leaves_a_day_that_says_why() -> None:
    day = RiskDay()
    day.open_at()
    today = day.hours
    day.hear(session(WEDNESDAY, TUESDAY, date(2026, 3, 5)))
    day.hear(today)
    refused = one(EntryRefused, day.asked_at("15:55"))
    assert refused.final
    assert "clock" in refused.reason


def test_a_breach_suspected_before_the_clock_was_set_back_is_confirmed_all_the_same() -> None:
    day = held_day()
    day.wait(3600)
    day.pnl(390.0, 6.0)
    day.now = Now(market_ns=day.now.market_ns - 600 * SECOND_NS, host_ns=day.now.host_ns)
    said = [m for _ in range(4) for m in day.pnl(390.0, 1.0) + day.tick()]
    assert of(StopHit, said)


@pytest.mark.parametrize(("pnl_usd", "fires"), [(396.0, True), (400.0, False)])
def test_beside_rare_prints_and_a_wide_quote_the_brokers_pnl_confirms_a_breach_or_clears_it(
    pnl_usd: float, fires: bool
) -> None:
    # given: a last print that mid does not confirm, and no further one
    day = held_day()
    day.wait(60)
    day.quote(396.0, 1.0, agree=False)
    # when: the broker's PnL goes on saying the same, or not
    said = [m for _ in range(4) for m in day.pnl(pnl_usd, 1.0) + day.tick()]
    assert bool(of(StopHit, said)) == fires


def test_a_fill_told_again_after_a_clock_that_ran_weeks_ahead_counts_once() -> None:
    # given: shares sold today, and a clock that was three weeks ahead for a moment
    day = held_day()
    sale = Fill(
        exec_id="0001.77", revision=0, intent_id="", action="SELL", shares=500, price_usd=400.0,
        filled_ns=day.now.market_ns + 1, liquidation=False,
    )  # fmt: skip
    day.hear(sale)
    today = day.hours
    day.hear(session(date(2026, 3, 24), date(2026, 3, 23), date(2026, 3, 25)))
    day.hear(today)
    # when: a gateway that speaks anew tells the day's fills once more
    day.hear(sale)
    assert day.state.shares == 7000


def test_an_entry_that_fills_after_it_was_given_up_is_measured_from_its_own_fill() -> None:
    """Found by the simulation: after a stop of that day it was sold at once, under the morning's
    baseline."""
    day = held_day()
    order = day.stopped_at(397.0)
    day.sold(order, 396.0)
    day.account()
    order = day.entry_order("15:55", 396.0)
    day.update(order, "ABANDONED", reason="it is proven that it never reached the broker")
    day.ticks(30, 1.0)
    assert day.state.entry is None
    said = day.fill(order, order.shares - 60, 396.0)
    assert day.state.baseline is not None
    assert day.state.baseline.source == "entry fill"
    said += day.quote(396.0) + day.fill(order, 60, 396.0) + day.quote(395.9)
    assert not of(StopHit, said)
    assert day.state.baseline.source == "entry fill"
