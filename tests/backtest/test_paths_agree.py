"""The live deciders and the compiled rules agree to the bit, whatever the settings."""

from __future__ import annotations

from datetime import date

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.backtest.compiled_path import run_compiled
from services.backtest.event_path import run_event
from services.backtest.history import History
from services.backtest.options import Options
from services.backtest.result import Result
from tests.backtest.market import history_of, random_history, weekdays

SESSIONS = 90
TIERS = st.sampled_from(
    [((), ()), ((12.0,), (3.75,)), ((12.0, 13.0, 14.0), (3.75, 3.5, 3.25)), ((14.5,), (5.0,))]
)


def same(one: Result, other: Result) -> None:
    assert one.days == other.days
    assert one.trades == other.trades
    assert np.array_equal(one.equity_usd, other.equity_usd)
    assert np.array_equal(one.leverage, other.leverage)
    paid = [
        (result.interest_usd, result.commission_usd, result.dividend_usd) for result in (one, other)
    ]
    assert paid[0] == paid[1]


def agree(history: History, options: Options) -> Result:
    event = run_event(history, options)
    same(event, run_compiled(history, options))
    return event


@st.composite
def tradable(draw: st.DrawFn) -> Options:
    """Rules, costs and margin as anyone could choose them, with spans short enough to trade on."""
    below, leverages = draw(TIERS)
    fast = draw(st.integers(2, 5))
    return Options(
        first=draw(st.sampled_from([None, *weekdays(SESSIONS)[:40:13]])),
        start_equity_usd=draw(st.sampled_from([150.0, 100_000.0, 2e8])),
        ema_fast=fast,
        ema_slow=draw(st.integers(fast + 1, 12)),
        history_slow_multiple=draw(st.integers(1, 3)),
        leverage_base=draw(st.sampled_from([0.5, 1.0, 3.0])),
        vix_below=below,
        vix_leverage=leverages,
        stop_loss_fraction=draw(st.sampled_from([0.001, 0.02, 0.08])),
        baseline=draw(st.sampled_from(["open", "previous_close", "entry", "off"])),
        reentry=draw(st.booleans()),
        bear_exit=draw(st.sampled_from(["next_open", "close", "next_close"])),
        commission_per_share_usd=draw(st.sampled_from([0.0, 0.005, 0.5])),
        slippage_bp=draw(st.sampled_from([0.0, 1.0, 25.0])),
        interest=draw(st.booleans()),
        interest_spread_pct=draw(st.sampled_from([0.0, 1.5, 40.0])),
        margin=draw(st.sampled_from(["off", "regt", "pm:0.15", "pm:0.3", "pm:0.9"])),
        bars=draw(st.sampled_from(["daily", "auto"])),
    )


@settings(max_examples=60, deadline=None)
@given(
    tradable(), st.integers(0, 10_000), st.sampled_from([0.01, 0.03, 0.12]), st.sampled_from([0, 6])
)
def test_every_trade_and_every_close_is_the_same_on_both_paths(
    options: Options, seed: int, volatility: float, bars: int
) -> None:
    agree(random_history(seed, SESSIONS, volatility=volatility, bars=bars), options)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(["open", "entry", "off"]),
    st.sampled_from(["open", "level"]),
    st.sampled_from([1, 1 << 20]),
    st.booleans(),
)
def test_so_they_are_under_the_rules_of_the_published_figures(
    seed: int, baseline: str, gap_fill: str, parts: int, interest: bool
) -> None:
    known = Options(
        ema_fast=3, ema_slow=6, history_slow_multiple=1, decide_at="close", interest=interest,
        parts_per_share=parts, prices="dividend_adjusted",
    )  # fmt: skip
    options = msgspec.structs.replace(known, baseline=baseline, gap_fill=gap_fill)
    agree(random_history(seed, SESSIONS), options)


@pytest.mark.parametrize("fall", [0.7, 0.52, 0.34])
@pytest.mark.parametrize("baseline", ["open", "previous_close", "entry"])
def test_a_crash_that_looks_like_a_split_mutes_the_stop_on_both_paths(
    fall: float, baseline: str
) -> None:
    calm = random_history(3, 40, volatility=0.001)
    prices = [(row.open, row.low, row.close) for row in calm.smh]
    fallen = [
        (open_ * fall, low * fall, close * fall) if at >= 20 else (open_, low, close)
        for at, (open_, low, close) in enumerate(prices)
    ]
    history = history_of(fallen, vix=[20.0] * 40)
    options = Options(ema_fast=2, ema_slow=4, history_slow_multiple=1, interest=False)
    options = msgspec.structs.replace(options, baseline=baseline)
    agree(history, options)


@pytest.mark.parametrize("baseline", ["open", "previous_close", "entry"])
def test_a_dividend_larger_than_the_stop_ends_no_position_but_one_measured_from_the_open_either(
    baseline: str,
) -> None:
    # given: rising closes, and on one day a price that is less by the dividend alone
    closes = [100.0 + at / 4 for at in range(30)]
    before = [closes[0], *closes[:-1]]
    prices = [(opened, opened - 0.01, close) for opened, close in zip(before, closes, strict=True)]
    ex = [tuple(usd - 2.0 for usd in row) if at >= 20 else row for at, row in enumerate(prices)]
    history = history_of(
        [(row[0], row[1], row[2]) for row in ex], vix=[20.0] * 30, dividends={20: 2.0}, rate_pct=4.0
    )
    options = Options(ema_fast=2, ema_slow=4, history_slow_multiple=1, baseline="open")
    # when / then
    result = agree(history, msgspec.structs.replace(options, baseline=baseline))
    assert not [trade for trade in result.trades if trade.reason == "stop"]


def test_the_interest_of_weeks_makes_no_stop_stricter_on_either_path() -> None:
    # given: 40 calm sessions at 3x, then a fall to 1.9 % of the equity at the entry
    calm = [(100.0, 99.99, 100.0 + at * 0.001) for at in range(45)]
    history = history_of(calm, vix=[20.0] * 45, rate_pct=8.0)
    options = Options(ema_fast=2, ema_slow=4, history_slow_multiple=1, baseline="entry")
    entry = agree(history, options).trades[0]
    fallen = entry.entry_usd * (1 - 0.0199 / entry.leverage)
    calm[44] = (100.0, fallen, 100.0)
    result = agree(history_of(calm, vix=[20.0] * 45, rate_pct=8.0), options)
    assert not [trade for trade in result.trades if trade.reason == "stop"]


def test_a_year_that_stops_reenters_and_turns_is_part_of_what_is_compared() -> None:
    """Guards the tests above: their histories must not be ones in which nothing happens."""
    options = Options(ema_fast=3, ema_slow=8, history_slow_multiple=1, margin="pm:0.3")
    result = agree(random_history(11, 250, bars=6), options)

    reasons = {trade.reason for trade in result.trades}
    assert {"stop", "bear", "liquidation"} <= reasons
    assert result.interest_usd > 0 < result.dividend_usd
    assert result.days[0] == date(2020, 1, 6)
