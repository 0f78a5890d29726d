"""Rule "stop" of the specification: what fires it, what can neither fire nor mask it."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as drawn
from hypothesis import strategies as st

from common import wire
from common.core.monitor.state import equity_usd
from common.messages import (
    BaselineSet,
    BreachCleared,
    BreachSuspected,
    Commission,
    Entered,
    Equity,
    Exited,
    Fill,
    Flatten,
    OpeningPrint,
    Order,
    PlaceOrder,
    Quote,
    Silence,
    StopArmed,
    StopHit,
)
from tests.core.risk_play import CASH_USD, CLOSE_USD, TUESDAY, RiskDay, held_day, settings
from tests.playbook import instant, of, one

STOP_AT_USD = 400 * (1 - 0.02 / 3)  # 7,500 shares at 400 on a million
BELOW_USD, ABOVE_USD = 397.33, 397.34


# --- what fires --------------------------------------------------------------------------------


def test_mid_and_last_agreeing_at_the_level_fire_at_once_and_sell_everything() -> None:
    day = held_day()
    assert not of(StopHit, day.quote(ABOVE_USD, 0.2))
    said = day.quote(BELOW_USD, 0.2)
    hit = one(StopHit, said)
    order = one(PlaceOrder, said).order
    assert hit.stop_usd == pytest.approx(0.98 * CASH_USD)
    assert (order.action, order.shares, order.order_type, order.reason) == (
        "SELL", 7500, "MKT", "stop",
    )  # fmt: skip


def test_equity_exactly_at_the_level_fires() -> None:
    day = RiskDay(held=10_000, cash_usd=-3_000_000.0)
    day.open_at(400.0)
    one(StopHit, day.quote(398.0, 0.2))


def test_one_wild_print_is_suspected_and_cleared() -> None:
    day = held_day()
    one(BreachSuspected, day.quote(390.0, 0.2, agree=False))
    one(BreachCleared, day.quote(400.0, 0.1))
    day.ticks(50)
    assert not day.all(StopHit)


def test_a_second_sample_confirms_when_it_is_a_second_later() -> None:
    day = held_day()
    day.quote(390.0, agree=False)
    assert not of(StopHit, day.quote(390.0, 0.9, agree=False))
    one(StopHit, day.quote(390.0, 0.1, agree=False))


def test_the_second_is_counted_between_samples_not_between_hearings() -> None:
    """A sample that was delivered late, or twice, confirms nothing."""
    day = held_day()
    day.quote(390.0, agree=False)
    wild = day.state.quote
    assert wild is not None
    day.wait(1.5)
    assert not of(StopHit, day.hear(wild))


def test_agreement_confirms_a_suspicion_at_once() -> None:
    day = held_day()
    day.quote(390.0, agree=False)
    one(StopHit, day.quote(390.0, 0.05, agree=True))


def test_wild_prints_between_good_ones_never_fire() -> None:
    day = held_day()
    for _ in range(30):
        day.quote(300.0, 0.4, agree=False)
        day.quote(400.0, 0.4)
    assert not day.all(StopHit)


def test_a_jump_needs_a_second_sample_even_when_mid_and_last_agree() -> None:
    day = held_day()
    one(BreachSuspected, day.quote(350.0, 0.2))
    assert not of(StopHit, day.quote(350.0, 0.2)), "measured from the last price nobody doubted"
    one(StopHit, day.quote(350.0, 0.8))


def test_a_jump_that_comes_back_fires_nothing() -> None:
    day = held_day()
    day.quote(350.0, 0.2)
    day.quote(350.0, 0.2)
    one(BreachCleared, day.quote(399.0, 0.2))
    assert not day.all(StopHit)


@pytest.mark.parametrize("seconds_left", [10, 5, 1])
def test_in_the_last_ten_seconds_one_valid_sample_confirms(seconds_left: int) -> None:
    day = held_day()
    day.wait_until(day.hours.close_ns - seconds_left * 10**9)
    one(StopHit, day.quote(390.0, agree=False))


def test_eleven_seconds_before_the_close_it_does_not() -> None:
    day = held_day()
    day.wait_until(day.hours.close_ns - 11 * 10**9)
    one(BreachSuspected, day.quote(390.0, agree=False))


@pytest.mark.parametrize("clock", ["09:29:59", "16:00", "19:00"])
def test_outside_the_regular_session_nothing_fires(clock: str) -> None:
    day = RiskDay(held=7500, cash_usd=-2_000_000.0)
    if clock > "09:30":
        day.open_at(400.0)
    day.at(clock)
    day.quote(300.0)
    day.quote(300.0, 1.1)
    assert not day.all(StopHit)


# --- which price -------------------------------------------------------------------------------


def test_broker_pnl_alone_needs_two_samples() -> None:
    day = held_day()
    day.wait(30)  # no quote for half a minute
    one(BreachSuspected, day.pnl(390.0))
    assert not of(StopHit, day.pnl(390.0, 0.9))
    hit = one(StopHit, day.pnl(390.0, 0.2))
    assert "broker PnL" in hit.why


def test_a_broker_pnl_that_makes_no_price_is_no_sample() -> None:
    day = held_day(shares=100)
    day.wait(30)
    day.forget()
    assert not day.pnl(1e10), "a million a share is no price"


def test_the_age_of_a_price_is_never_below_zero() -> None:
    day = held_day()
    quote = day.state.quote
    day.hear(msgspec.structs.replace(quote, tick_ns=1 << 62))
    day.wait(1.5)
    assert day.tick()
    assert day.newest(Equity).age_s == 0.0


def test_the_largest_position_at_the_largest_price_can_still_be_said() -> None:
    day = RiskDay(held=10_000_000, cash_usd=5e11)
    day.open_at(900_000.0)
    assert day.newest(BaselineSet).baseline_usd == 9.5e12
    wire.encode_fact(wire.Envelope(1, "risk_monitor", 1, 1, 1, 1, day.newest(Equity)))
    hit = one(StopHit, day.quote(400_000.0, 2.0) + day.quote(400_000.0, 2.0))
    kept = wire.encode_fact(wire.Envelope(1, "risk_monitor", 1, 1, 1, 1, hit))
    assert wire.decode_fact(kept).body == hit


def test_delayed_quotes_never_serve_the_stop_and_the_source_is_said() -> None:
    day = held_day()
    day.wait(10)
    day.quote(300.0, kind="delayed")
    day.quote(300.0, 2.0, kind="delayed")
    assert not day.all(StopHit)
    day.pnl(401.0, 1.0)
    equity = day.newest(Equity)
    assert (equity.source, equity.mark_usd) == ("broker PnL", 401.0)


def test_a_stale_quote_is_no_price() -> None:
    day = held_day()
    day.quote(390.0, agree=False)  # suspected
    day.wait(6)
    day.tick()
    assert not day.all(StopHit)
    day.pnl(399.0)
    one(BreachCleared, day.said)


def test_a_silent_feed_is_no_price() -> None:
    day = held_day()
    day.hear(Silence(topic="Quote", silent=True))
    day.pnl(390.0)
    assert not of(StopHit, day.quote(390.0, 0.2))


def test_pnl_of_another_share_count_is_not_taken() -> None:
    day = held_day()
    day.wait(30)
    day.held = 100
    day.pnl(390.0)
    day.pnl(390.0, 2.0)
    assert not day.all(BreachSuspected)


@pytest.mark.parametrize("price", [math.nan, math.inf, -1.0, 0.0])
def test_a_nan_or_a_price_of_minus_one_cannot_reach_the_stop(price: float) -> None:
    """The only door is the bus, and the bus refuses it."""
    quote = Quote(
        tick_ns=1, bid_usd=None, ask_usd=None, last_usd=None, mark_usd=price, agree=True,
        kind="live",
    )  # fmt: skip
    frame = wire.encode_fact(wire.Envelope(1, "market_feed", 1, 1, 0, 1, quote))
    with pytest.raises(wire.WireError):
        wire.decode_fact(frame)


# --- splits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [2, 3, 4, 5, 10, 1.5])
def test_a_split_price_never_fires_before_the_shares_follow(ratio: float) -> None:
    day = held_day()
    for _ in range(5):
        day.quote(400.0 / ratio, 1.1)
    assert not day.all(StopHit)
    day.tick()
    assert "split" in day.state.alerts


@pytest.mark.parametrize("ratio", [2, 3, 1.5])
def test_after_the_shares_followed_a_split_the_stop_stands_where_it_stood(ratio: float) -> None:
    day = held_day()
    day.quote(400.0 / ratio, 1.0)
    day.held, day.mark_usd = round(7500 * ratio), 400.0 / ratio
    day.account(1.0)
    day.account(3.0)
    day.quote(400.0 / ratio, 1.0)
    equity = day.newest(Equity)
    assert equity.equity_usd == pytest.approx(CASH_USD, abs=400.0)
    assert not day.all(StopHit)
    assert not day.state.halts
    assert "split" not in {alert for alert in day.state.alerts if day.tick() is None}
    one(StopHit, day.quote(397.0 / ratio, 1.0))


@pytest.mark.parametrize("sold", [1, 30])
def test_a_trade_by_hand_hidden_in_a_split_halts_and_leaves_the_stop_where_it_stood(
    sold: int,
) -> None:
    day = held_day()
    day.quote(400.0 / 3, 1.0)
    day.held, day.mark_usd = 3 * 7500 - sold, 400.0 / 3
    day.cash_usd += sold * 400.0 / 3
    day.account(1.0)
    day.account(3.0)
    assert "22500 to" in day.state.halts["foreign"]
    day.quote(400.0 / 3, 1.0)
    assert day.newest(Equity).equity_usd == pytest.approx(CASH_USD, abs=1.0)
    assert not day.all(StopHit)
    one(StopHit, day.quote(396.0 / 3, 1.0))


def test_a_split_overnight_neither_fires_nor_halts_under_an_entry_baseline() -> None:
    day = RiskDay(settings(stop={"baseline": "entry"}))
    day.open_at()
    day.enter()
    day.next_session()
    day.open_at(200.0)
    day.quote(200.0, 1.1)
    assert not day.all(StopHit)
    day.held *= 2
    day.mark_usd = 200.0
    day.account(1.0)
    day.account(3.0)
    assert day.state.shares == 15_000
    assert not day.state.halts
    assert not of(StopHit, day.quote(200.0, 1.0))
    one(StopHit, day.quote(198.6, 1.0))


@pytest.mark.parametrize("bought", [7500, 1875, 2500, 3750])
def test_somebody_else_doubling_the_position_is_no_split(bought: int) -> None:
    """As many shares as a split would give, but the price did not move against them."""
    day = held_day()
    day.quote(399.5, 1.0)
    day.held += bought
    day.cash_usd -= bought * 399.5
    day.account(1.0)
    day.account(3.0)
    assert "foreign" in day.state.halts
    day.quote(399.5, 1.0)
    assert day.newest(Equity).equity_usd == pytest.approx(CASH_USD - 7500 * 0.5)


# --- the open ----------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["open", "previous_close"])
def test_no_price_of_before_the_open_fires_the_stop(choice: str) -> None:
    # given: a narrow pre-market quote below the stop, 0.2 s before the open
    day = RiskDay(settings(stop={"baseline": choice}), held=7500, cash_usd=-2_000_000.0)
    day.wait_until(instant(TUESDAY, "09:29:59.8"))
    day.quote(396.5)
    # when: the open, and the broker's word that the price is another
    day.wait(0.25)
    day.hear(OpeningPrint(day=TUESDAY, price_usd=CLOSE_USD, official=True))
    day.tick()
    assert day.state.baseline is not None
    said = day.pnl(CLOSE_USD) + day.tick()
    # then
    assert not of(StopHit, said)
    assert one(Equity, day.pnl(CLOSE_USD, 1.0)).source == "broker PnL"
    one(StopHit, day.quote(396.5, 0.1))


def test_a_broker_pnl_of_before_the_open_is_no_sample_of_the_session() -> None:
    day = RiskDay(settings(stop={"baseline": "previous_close"}), held=7500, cash_usd=-2_000_000.0)
    day.wait_until(instant(TUESDAY, "09:29:59.8"))
    day.pnl(396.5)
    day.wait(0.25)
    said = day.tick() + day.quote(396.5, kind="delayed")
    assert not of(BreachSuspected, said)
    one(BreachSuspected, day.pnl(396.5, 0.5))


# --- flows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow_usd", [500_000.0, -500_000.0, 3_000.0, -3_000.0])
def test_money_moved_cannot_fire_the_stop(flow_usd: float) -> None:
    day = held_day()
    day.account(1.0)
    day.cash_usd += flow_usd
    day.account(180.0)
    day.quote(400.0, 1.0)
    day.quote(400.0, 1.1)
    assert not day.all(StopHit)
    assert day.state.flow_usd == pytest.approx(flow_usd)


@pytest.mark.parametrize("flow_usd", [500_000.0, -500_000.0])
def test_money_moved_cannot_mask_a_true_breach(flow_usd: float) -> None:
    day = held_day()
    day.account(1.0)
    day.cash_usd += flow_usd
    day.account(180.0)
    day.quote(400.0, 1.0)
    one(StopHit, day.quote(BELOW_USD, 0.2))


def test_after_a_withdrawal_the_stricter_level_holds() -> None:
    day = held_day()
    day.account(1.0)
    day.cash_usd -= 400_000.0
    day.account(180.0)
    day.quote(400.0, 1.0)
    assert day.newest(Equity).stop_usd == pytest.approx(CASH_USD - 0.02 * 600_000.0)


def test_a_deposit_leaves_the_level_where_it_was() -> None:
    day = held_day()
    day.account(1.0)
    day.cash_usd += 400_000.0
    day.account(180.0)
    day.quote(400.0, 1.0)
    assert day.newest(Equity).stop_usd == pytest.approx(0.98 * CASH_USD)


@pytest.mark.parametrize("change_usd", [-200_000.0, 200_000.0])
def test_other_holdings_can_neither_fire_nor_mask_it(change_usd: float) -> None:
    day = held_day()
    day.account(1.0)
    day.other_usd += change_usd
    day.other_profit_usd += change_usd
    day.account(180.0)
    day.quote(400.0, 1.0)
    day.quote(400.0, 1.1)
    assert not day.all(StopHit)
    assert day.newest(Equity).stop_usd == pytest.approx(0.98 * CASH_USD)
    one(StopHit, day.quote(BELOW_USD, 0.2))


def test_a_small_difference_is_no_flow() -> None:
    day = held_day()
    day.account(1.0)
    day.cash_usd -= 2_400.0
    day.account(180.0)
    assert day.state.flow_usd == 0.0


# --- after a fill ------------------------------------------------------------------------------


def test_after_an_entry_the_stop_is_measured_from_the_equity_just_after_the_fill() -> None:
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    day.update(order, "Submitted")
    day.fill(order, 7500, 400.10, commission_usd=37.5)
    day.update(order, "Filled", 7500)
    day.quote(400.10, 0.3)
    equity = day.newest(Equity)
    assert equity.baseline_usd == pytest.approx(CASH_USD - 37.5)
    assert equity.equity_usd == pytest.approx(CASH_USD - 37.5)
    assert equity.stop_usd == pytest.approx(0.98 * (CASH_USD - 37.5))


@pytest.mark.parametrize("commission_first", [False, True])
def test_a_commission_counts_whether_it_comes_before_or_after_its_fill(
    commission_first: bool,
) -> None:
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    fill = Fill(
        exec_id="E1", revision=0, intent_id=order.intent_id, action="BUY", shares=7500,
        price_usd=400.0, filled_ns=day.now.market_ns, liquidation=False,
    )  # fmt: skip
    commission = Commission(exec_id="E1", commission_usd=37.5)
    day.hear(*((commission, fill) if commission_first else (fill, commission)))
    day.hear(commission)
    assert day.state.baseline is not None
    assert day.state.baseline.baseline_usd == CASH_USD - 37.5


def test_the_stop_is_armed_from_the_first_share() -> None:
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    day.update(order, "Submitted")
    armed = one(StopArmed, day.fill(order, 100, 400.0))
    assert armed.shares == 100
    one(StopHit, day.quote(180.0, 0.2) + day.quote(180.0, 1.1))


def test_partial_fills_build_one_baseline() -> None:
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    day.update(order, "Submitted")
    for shares, price in ((2500, 400.0), (2500, 401.0), (2500, 402.0)):
        day.fill(order, shares, price)
    day.quote(401.0, 0.3)
    day.tick()
    assert day.newest(Equity).equity_usd == pytest.approx(CASH_USD)
    assert day.newest(StopArmed).shares == 7500
    assert day.newest(StopArmed).stop_price_usd == pytest.approx(401.0 - 20_000 / 7500, abs=1e-4)


def test_a_same_day_reentry_is_not_stopped_by_the_morning_baseline() -> None:
    """Equity lies below the morning's stop by then; it would fire again at once."""
    day = held_day()
    day.sold(day.stopped_at(397.0), 397.0)
    day.enter("15:55", 397.0)
    assert not of(StopHit, day.quote(396.9, 0.2))
    one(StopHit, day.quote(397.0 * (1 - 0.0067), 0.2))
    assert day.newest(Entered).again


# --- once fired --------------------------------------------------------------------------------


def test_a_fired_stop_stays_fired_until_flat_even_if_the_price_recovers() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.quote(420.0, 0.2)
    day.tick(0.2)
    day.fill(order, 4000, 397.0)
    day.update(order, "Cancelled", 4000)
    day.tick(3.0)
    again = day.newest(PlaceOrder).order
    assert (again.reason, again.shares) == ("stop", 3500)
    assert len(day.all(StopHit)) == 1


def test_it_stays_fired_over_a_restart() -> None:
    day = held_day()
    day.stopped_at(397.0)
    day.restart()
    assert day.state.stop_fired


def test_a_second_reason_is_recorded_and_not_sent() -> None:
    day = held_day()
    day.hear(Flatten(key="f1", deadline_ns=0, by="me"))
    day.tick()
    assert day.newest(PlaceOrder).order.reason == "flatten"
    said = day.quote(397.0, 0.2)
    one(StopHit, said)
    assert not of(PlaceOrder, said)


def test_flat_by_someone_elses_sale_it_is_over() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "Cancelled")
    day.tick()
    day.fill(None, 7500, 397.0)
    assert not day.state.stop_fired
    assert day.state.halts


def test_what_was_suspected_of_a_position_that_is_gone_is_forgotten() -> None:
    day = held_day()
    day.quote(390.0, 0.2, agree=False)
    day.fill(None, 7500, 400.0)
    assert day.state.breach is None


def test_with_nothing_held_the_stop_is_not_armed() -> None:
    day = RiskDay()
    day.open_at()
    assert not day.newest(Equity).armed


def test_the_profit_said_at_the_exit_is_the_days() -> None:
    day = held_day()
    order = day.stopped_at(397.0)
    exited = one(Exited, day.sold(order, 396.5))
    assert exited.profit_usd == pytest.approx(7500 * (396.5 - 400.0))
    assert exited.equity_usd == pytest.approx(CASH_USD - 7500 * 3.5)


# --- the identity, over random days ------------------------------------------------------------

prices = st.integers(39_740, 44_000).map(lambda cents: cents / 100)
pieces = st.lists(st.integers(1, 2000), min_size=1, max_size=6)


@drawn(max_examples=60, deadline=None)
@given(
    open_usd=prices,
    sales=st.lists(st.tuples(st.integers(1, 1200), prices, st.floats(0, 50)), max_size=6),
    marks=st.lists(prices, min_size=1, max_size=8),
    flow_usd=st.floats(-100_000, 100_000),
)
def test_equity_is_the_brokers_to_the_cent_whatever_is_traded_charged_or_paid_in(
    open_usd: float,
    sales: list[tuple[int, float, float]],
    marks: list[float],
    flow_usd: float,
) -> None:
    day = RiskDay(settings(stop={"loss_fraction": 0.2}), held=7500, cash_usd=-2_000_000.0)
    day.open_at(open_usd)
    day.cash_usd += flow_usd
    order: Order | None = None
    for shares, price, commission in sales:
        day.fill(order, shares, price, commission_usd=commission)
    for mark in marks:
        day.quote(mark, 0.5)
        books_usd = day.cash_usd + day.held * mark - flow_usd
        assert equity_usd(day.state, mark) == pytest.approx(books_usd, abs=0.005)
        assert day.state.shares == day.held


@drawn(max_examples=60, deadline=None)
@given(shares=pieces, path=st.lists(prices, min_size=1, max_size=12))
def test_after_an_entry_in_pieces_the_stop_fires_exactly_when_two_percent_are_lost(
    shares: list[int], path: list[float]
) -> None:
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    day.update(order, "Submitted")
    for count in shares:
        if count <= order.shares - day.held:
            day.fill(order, count, 400.0)
    for mark in path:
        fired = bool(of(StopHit, day.quote(mark, 0.5)))
        assert fired == (day.held * (mark - 400.0) <= -0.02 * CASH_USD)
        if fired:
            break
