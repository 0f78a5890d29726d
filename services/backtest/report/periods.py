"""Months and years: each return beside the drawdown and the worst day within it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from services.backtest.metrics import daily_returns, drawdowns
from services.backtest.result import Result


class Period(NamedTuple):
    """A calendar month or year, from the last close before it to its own last close, in percent."""

    year: int
    month: int
    """1 to 12; 0 for a whole year."""
    return_pct: float
    drawdown_pct: float
    worst_day_pct: float


def months(result: Result) -> list[Period]:
    return _periods(result, [(day.year, day.month) for day in result.days])


def years(result: Result) -> list[Period]:
    return _periods(result, [(day.year, 0) for day in result.days])


def _periods(result: Result, labels: Sequence[tuple[int, int]]) -> list[Period]:
    """The first one begins at the start equity; one that begins without equity is all zeros."""
    closes = np.concatenate(([result.options.start_equity_usd], result.equity_usd))
    found, first = [], 0
    for (year, month), part in groupby(labels):
        last = first + len(list(part))
        inside = closes[first : last + 1]
        before = float(inside[0])
        if before > 0.0:
            change = float(inside[-1]) / before - 1.0
            deepest = float(drawdowns(inside, before).max())
            worst = float(daily_returns(inside).min())
        else:
            change = deepest = worst = 0.0
        found.append(Period(year, month, change * 100.0, deepest * 100.0, worst * 100.0))
        first = last
    return found
