"""The strategy's scalar rules: what they promise at their edges."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core import rules

BELOW, LEVERAGES, BASE = (12.0, 13.0, 14.0), (3.75, 3.5, 3.25), 3.0
prices = st.floats(min_value=0.01, max_value=1e5)
money = st.floats(min_value=0.0, max_value=1e8)
no_number = [math.nan, 0.0, -1.0, -math.inf]


def leverage(vix: float) -> float:
    return rules.leverage_for_vix(vix, BASE, BELOW, LEVERAGES)


def test_the_newest_close_weighs_two_in_span_plus_one() -> None:
    assert rules.ema_alpha(25) == 2 / 26
    assert rules.ema_step(100.0, 126.0, 25) == pytest.approx(102.0)


@given(prices, prices, st.integers(min_value=2, max_value=500))
def test_an_ema_lies_between_its_last_value_and_the_close(
    previous: float, close: float, span: int
) -> None:
    ema = rules.ema_step(previous, close, span)
    slack = 1e-9 * max(previous, close)
    assert min(previous, close) - slack <= ema <= max(previous, close) + slack


@given(st.lists(prices, min_size=2, max_size=50), st.floats(min_value=0.1, max_value=10.0))
def test_a_split_of_the_whole_series_does_not_turn_the_signal(
    closes: list[float], ratio: float
) -> None:
    def gap(series: list[float]) -> float:
        fast = slow = series[0]
        for close in series:
            fast = rules.ema_step(fast, close, 25)
            slow = rules.ema_step(slow, close, 125)
        return fast - slow

    whole, split = gap(closes), gap([close * ratio for close in closes])
    assert split == pytest.approx(whole * ratio, rel=1e-6, abs=1e-6 * max(closes) * ratio)


@pytest.mark.parametrize("before", [1, -1])
def test_equal_emas_keep_the_last_side(before: int) -> None:
    assert rules.side_of(100.0, 100.0, before) == before
    assert rules.side_of(100.1, 100.0, before) == 1
    assert rules.side_of(99.9, 100.0, before) == -1


def test_an_ema_that_is_no_number_keeps_the_last_side() -> None:
    assert rules.side_of(math.nan, 100.0, 1) == 1


@given(prices, prices)
def test_at_the_flip_close_the_two_emas_meet(fast: float, slow: float) -> None:
    close = rules.flip_close(fast, slow, 25, 125)
    met = rules.ema_step(fast, close, 25) - rules.ema_step(slow, close, 125)
    assert met == pytest.approx(0.0, abs=1e-6 * max(fast, slow, abs(close)))


@pytest.mark.parametrize(
    ("vix", "expected"),
    [
        (11.999, 3.75), (12.0, 3.5), (12.999, 3.5), (13.0, 3.25), (13.999, 3.25), (14.0, 3.0),
        (80.0, 3.0), (0.01, 3.75),
    ],
)  # fmt: skip
def test_a_tier_holds_below_its_vix_and_not_at_it(vix: float, expected: float) -> None:
    assert leverage(vix) == expected


@pytest.mark.parametrize("vix", no_number)
def test_a_vix_that_is_no_price_gives_the_base(vix: float) -> None:
    assert leverage(vix) == BASE


@given(st.floats(min_value=0.01, max_value=100), st.floats(min_value=0.01, max_value=100))
def test_a_higher_vix_never_raises_leverage(one: float, other: float) -> None:
    assert leverage(min(one, other)) >= leverage(max(one, other))


def test_shares_are_whole_and_rounded_down() -> None:
    assert rules.shares_for(1_001_295.25, 3.0, 408.39) == 7355
    assert rules.shares_for(100.0, 3.0, 300.0) == 1
    assert rules.shares_for(99.99, 3.0, 300.0) == 0


@given(money, st.floats(min_value=0.1, max_value=6.0), prices)
def test_a_position_is_never_worth_more_than_equity_times_leverage(
    equity: float, leverage_asked: float, price: float
) -> None:
    shares = rules.shares_for(equity, leverage_asked, price)
    assert shares >= 0
    assert shares * price <= equity * leverage_asked * (1 + 1e-12)


@pytest.mark.parametrize("bad", [math.nan, 0.0, -1.0])
def test_no_shares_without_a_real_equity_leverage_and_price(bad: float) -> None:
    assert rules.shares_for(bad, 3.0, 400.0) == 0
    assert rules.shares_for(1e6, bad, 400.0) == 0
    assert rules.shares_for(1e6, 3.0, bad) == 0


def test_profit_counts_price_moves_fills_and_commissions() -> None:
    # 100 held at the baseline price 400; 40 sold at 410 for a commission of 1; mark 405
    profit = rules.profit_since(60, 405.0, 100, 400.0, 40 * 410.0 - 1.0)
    assert profit == pytest.approx(60 * 5 + 40 * 10 - 1)


@given(prices, st.integers(min_value=0, max_value=100_000), prices)
def test_a_trade_at_the_mark_makes_no_profit(mark: float, bought: int, base: float) -> None:
    profit = rules.profit_since(bought, mark, 0, base, -bought * mark)
    assert profit == pytest.approx(0.0, abs=1e-6 * (1 + bought * mark))


def test_the_stop_lies_two_percent_below_the_baseline() -> None:
    assert rules.stop_level(1_000_000.0, 1_000_000.0, 0.02) == 980_000.0


def test_a_withdrawal_makes_the_allowed_loss_smaller() -> None:
    assert rules.stop_level(1_000_000.0, 500_000.0, 0.02) == 990_000.0


@given(
    st.floats(min_value=1e4, max_value=1e7),
    st.floats(min_value=0.5, max_value=3.75),
    st.floats(min_value=1.0, max_value=1000.0),
)
def test_at_the_stop_price_equity_is_at_the_stop(equity: float, times: float, mark: float) -> None:
    stop, shares = equity * 0.98, equity * times / mark
    price = rules.stop_price(equity, stop, shares, mark)
    assert equity + shares * (price - mark) == pytest.approx(stop)


def test_a_flat_position_has_no_stop_price() -> None:
    assert rules.stop_price(1e6, 9.8e5, 0, 400.0) == 0.0


def test_margin_shares_leave_the_buffer_free() -> None:
    # 30 % margin of 1000 shares at 400: 120 per share; room 1,000,000 - 50,000
    assert rules.margin_shares_max(10_000, 0.0, 1_200_000.0, 1_000_000.0, 50_000.0) == 7916


@given(
    st.integers(min_value=1, max_value=100_000),
    st.floats(min_value=0.0, max_value=1e6),
    st.floats(min_value=1.0, max_value=500.0),
    st.floats(min_value=0.0, max_value=1e7),
    st.floats(min_value=0.0, max_value=1e6),
)
def test_the_margin_limit_never_exceeds_the_request_nor_the_room(
    shares: int, before: float, per_share: float, equity: float, buffer: float
) -> None:
    most = rules.margin_shares_max(shares, before, before + shares * per_share, equity, buffer)
    assert 0 <= most <= shares
    assert most == 0 or before + most * per_share <= equity - buffer + 1e-3 * (1 + equity)


def test_a_purchase_that_costs_no_margin_is_not_limited() -> None:
    assert rules.margin_shares_max(100, 5000.0, 5000.0, 1e6, 5e4) == 100


def test_no_room_for_margin_is_no_share() -> None:
    assert rules.margin_shares_max(100, 950_000.0, 960_000.0, 1e6, 5e4) == 0


@given(
    st.floats(min_value=1.0, max_value=1e6),
    st.floats(min_value=0.05, max_value=0.6),
    st.integers(min_value=1, max_value=50_000),
    st.floats(min_value=10.0, max_value=1000.0),
)
def test_at_the_liquidation_price_nothing_is_left_above_the_margin(
    excess: float, rate: float, shares: int, mark: float
) -> None:
    price = rules.liquidation_price(excess, rate * shares * mark, shares, mark)
    left = excess + (price - mark) * shares - rate * shares * (price - mark)
    assert price == 0.0 or left == pytest.approx(0.0, abs=1e-6 * shares * mark)


def test_a_flat_account_has_no_liquidation_price() -> None:
    assert rules.liquidation_price(1e6, 0.0, 0, 400.0) == 0.0
    assert rules.liquidation_price(1e6, 0.0, 100, 0.0) == 0.0


@pytest.mark.parametrize("ratio", [0.5, 2.0, 1 / 3, 3.0, 1.5, 2 / 3, 0.1, 10.0, 1.25, 0.50004])
def test_a_split_is_a_ratio_of_small_whole_numbers(ratio: float) -> None:
    assert rules.is_split(ratio)


@pytest.mark.parametrize(
    "ratio", [1.0, 0.995, 1.004, 1.17, 0.493, 5e-324, 1e308, *no_number, math.inf]
)
def test_a_dividend_or_a_revised_price_is_no_split(ratio: float) -> None:
    assert not rules.is_split(ratio)


@pytest.mark.parametrize("ratio", rules.SHARE_RATIOS)
def test_a_split_of_shares_is_told_by_its_ratio_forward_and_reverse(ratio: float) -> None:
    assert rules.share_split_ratio(11274, round(11274 * ratio)) == ratio
    assert rules.share_split_ratio(11274, int(11274 / ratio)) == 1.0 / ratio


@pytest.mark.parametrize(
    ("before", "after"), [(11274, 11274), (11274, 12400), (11274, 0), (0, 11274), (-5, -10)]
)
def test_shares_traded_or_sold_short_are_no_split(before: float, after: float) -> None:
    assert rules.share_split_ratio(before, after) == 0.0
