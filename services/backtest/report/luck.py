"""How much of a result is luck: the same days drawn again in other orders and numbers.

The stationary bootstrap of Politis and Romano (1994): daily returns are drawn in blocks of random
length, so that calm and wild weeks stay together. The mean length is the larger of those that
Politis and White (2004) advise for the returns and for their squares. What it cannot show: days
worse than any in the data, and the luck of having chosen these rules.
"""

from __future__ import annotations

from datetime import date
from math import ceil
from typing import NamedTuple

import numpy as np
from arch.bootstrap import StationaryBootstrap, optimal_block_length

from services.backtest.metrics import (
    DAYS_PER_YEAR,
    SESSIONS_PER_YEAR,
    daily_returns,
)
from services.backtest.result import Result
from services.backtest.sheet import Floats

RESAMPLES = 1000
SEED = 20_220_705
PERCENTILES = (5.0, 50.0, 95.0)
DAYS_MIN = 30
"""Fewer returns than this are not resampled."""


class Range(NamedTuple):
    """The 5th, 50th and 95th percentile over all resamples."""

    low: float
    middle: float
    high: float


class Luck(NamedTuple):
    """What resampling gives. Percentages as in `Metrics`; `band_usd` by close of `days`."""

    resamples: int
    seed: int
    block_sessions: int
    days: tuple[date, ...]
    band_usd: tuple[Floats, Floats, Floats]
    cagr_pct: Range
    max_drawdown_pct: Range
    sharpe: Range
    worst_day_pct: Range
    losing_pct: float
    """Percent of resamples that end below their start."""
    behind_hold_pct: float
    """Percent of resamples in which buying and holding, on the same days, ends higher."""


def luck(
    result: Result, hold: Result, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Luck | None:
    """Both resampled on the same days. None where there is nothing to draw from."""
    returns, held = daily_returns(result.equity_usd), daily_returns(hold.equity_usd)
    if len(returns) < DAYS_MIN or returns.std() == 0.0:
        return None
    block = _block_sessions(returns)
    bootstrap = StationaryBootstrap(block, returns, held, seed=seed)
    growth = np.empty((resamples, len(returns)))
    worst, sharpe = np.empty(resamples), np.empty(resamples)
    held_growth = np.empty(resamples)
    for at, (pair, _) in enumerate(bootstrap.bootstrap(resamples)):
        drawn, drawn_held = np.asarray(pair[0]), np.asarray(pair[1])
        growth[at] = np.cumprod(np.maximum(1.0 + drawn, 0.0))
        held_growth[at] = np.prod(1.0 + drawn_held)
        worst[at] = drawn.min()
        sharpe[at] = _sharpe(drawn)
    years = (result.days[-1] - result.days[0]).days / DAYS_PER_YEAR
    ends = growth[:, -1]
    drawdown = 1.0 - (growth / np.maximum(np.maximum.accumulate(growth, axis=1), 1.0)).min(axis=1)
    first_usd = float(result.equity_usd[0])
    band = np.percentile(growth, PERCENTILES, axis=0, overwrite_input=True) * first_usd
    low, middle, high = (np.concatenate(([first_usd], line)) for line in band)
    return Luck(
        resamples=resamples,
        seed=seed,
        block_sessions=block,
        days=result.days,
        band_usd=(low, middle, high),
        cagr_pct=_range((ends ** (1.0 / years) - 1.0) * 100.0),
        max_drawdown_pct=_range(drawdown * 100.0),
        sharpe=_range(sharpe),
        worst_day_pct=_range(worst * 100.0),
        losing_pct=float(np.mean(ends < 1.0)) * 100.0,
        behind_hold_pct=float(np.mean(ends < held_growth)) * 100.0,
    )


def _block_sessions(returns: Floats) -> int:
    advised = [
        float(optimal_block_length(series)["stationary"].iloc[0])
        for series in (returns, returns * returns)
    ]
    return max(1, ceil(max(advised)))


def _sharpe(returns: Floats) -> float:
    deviation = float(returns.std(ddof=1))
    return float(returns.mean()) / deviation * SESSIONS_PER_YEAR**0.5 if deviation > 0.0 else 0.0


def _range(values: Floats) -> Range:
    return Range(*(float(value) for value in np.percentile(values, PERCENTILES)))
