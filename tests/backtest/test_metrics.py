"""The figures of a result, against sums done by hand."""

from __future__ import annotations

from datetime import date, timedelta

import ffn
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.backtest.metrics import (
    drawdown_of_largest_dollar_fall_pct,
    drawdowns,
    metrics,
)
from services.backtest.options import Options
from services.backtest.result import ExitReason, Result, Trade

DAY = date(2024, 1, 2)


def result_of(*equity: float, trades: tuple[Trade, ...] = (), start: float = 100.0) -> Result:
    return Result(
        options=Options(start_equity_usd=start),
        days=tuple(DAY + timedelta(days=at) for at in range(len(equity))),
        equity_usd=np.array(equity),
        leverage=np.zeros(len(equity)),
        trades=trades,
        interest_usd=0.0,
        commission_usd=0.0,
        dividend_usd=0.0,
        fine_days=(),
    )


def trade(reason: ExitReason, profit_usd: float) -> Trade:
    return Trade(DAY, 1.0, 1.0, 3.0, DAY if reason else None, 1.0, reason, 0.0, profit_usd)


def test_growth_is_per_365_and_a_quarter_calendar_days() -> None:
    result = replace(result_of(100.0, 121.0), days=(DAY, DAY + timedelta(days=1461 // 2)))

    assert metrics(result).cagr_pct == pytest.approx((1.21 ** (365.25 / 730) - 1) * 100)


def test_what_the_first_day_cost_is_part_of_growth_and_drawdown() -> None:
    found = metrics(result_of(90.0, 90.0))

    assert found.max_drawdown_pct == pytest.approx(10.0)
    assert found.cagr_pct is not None
    assert found.cagr_pct < -99.0


@pytest.mark.parametrize("later", [(), (90.0,), (0.0, 0.0, 0.0, 0.0, 0.0)])
def test_a_ruin_on_the_first_day_is_the_worst_day(later: tuple[float, ...]) -> None:
    assert metrics(result_of(-20.0, *later)).worst_day_pct == pytest.approx(-120.0)


def test_drawdown_is_the_largest_in_percent_not_in_dollars() -> None:
    result = result_of(100.0, 60.0, 400.0, 300.0)

    assert metrics(result).max_drawdown_pct == pytest.approx(40.0)
    assert drawdown_of_largest_dollar_fall_pct(result) == pytest.approx(25.0)


@example([0.0, 0.0, 0.0, -3.0, -4.0, 0.0, 0.0, 134.0])  # a new peak beside a deeper fall
@given(st.lists(st.integers(-200, 300).map(float), min_size=1, max_size=40))
def test_drawdown_is_the_deepest_of_all_closes_wherever_they_stand(closes: list[float]) -> None:
    result = result_of(*closes)

    deepest = drawdowns(result.equity_usd, result.options.start_equity_usd).max() * 100.0
    assert metrics(result).max_drawdown_pct == max(deepest, 0.0)


def test_sharpe_is_mean_over_sample_deviation_of_daily_returns() -> None:
    returns = np.array([0.02, -0.01, 0.03])

    found = metrics(result_of(*(100.0 * np.cumprod(np.concatenate(([1.0], 1.0 + returns))))))

    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1) * 252**0.5)
    assert found.worst_day_pct == pytest.approx(-1.0)


def test_trades_are_counted_by_why_they_ended_and_won_by_cash() -> None:
    trades = (trade("stop", -1.0), trade("stop", 2.0), trade("bear", 3.0), trade("", 9.0))

    found = metrics(result_of(100.0, 100.0, trades=trades))

    assert (found.entries, found.stops, found.bear_exits) == (4, 2, 1)
    assert found.win_rate_pct == pytest.approx(200.0 / 3.0)
    assert found.trades_per_year == pytest.approx(4 * 365.25)


def test_one_flat_day_has_no_ratios() -> None:
    found = metrics(result_of(100.0))

    assert found.cagr_pct is found.sharpe is found.win_rate_pct is None
    assert found.worst_day_pct == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_growth_drawdown_sharpe_and_worst_day_are_those_of_a_library_of_the_field(
    seed: int,
) -> None:
    """ffn: calendar days over 365.25, sample deviation, 252 sessions, as here."""
    returns = np.random.default_rng(seed).normal(0.001, 0.03, 700)
    result = result_of(*(100.0 * np.cumprod(np.concatenate(([1.0], 1.0 + returns)))))
    prices = pd.Series(result.equity_usd, index=pd.DatetimeIndex(result.days))

    found, theirs = metrics(result), prices.pct_change().dropna()

    assert found.cagr_pct == pytest.approx(ffn.calc_cagr(prices) * 100.0)
    assert found.max_drawdown_pct == pytest.approx(-ffn.calc_max_drawdown(prices) * 100.0)
    assert found.sharpe == pytest.approx(ffn.calc_sharpe(theirs, nperiods=252))
    assert found.worst_day_pct == pytest.approx(theirs.min() * 100.0)
