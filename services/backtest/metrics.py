"""The figures of a result, each by one stated formula."""

from __future__ import annotations

import math
from datetime import date
from math import isnan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.backtest import compiling
from services.backtest import result as results
from services.backtest.result import EXIT_REASONS, Result
from services.backtest.sheet import Floats

DAYS_PER_YEAR = 365.25
SESSIONS_PER_YEAR = 252
GROUP = 32  # closes looked at together
COUNTS = ("entries", "stops", "bear_exits")
OPEN, STOPPED, BEAR = (EXIT_REASONS.index(reason) for reason in ("", "stop", "bear"))


class Metrics(NamedTuple):
    """Percentages are of equity; None where there is nothing to measure."""

    cagr_pct: float | None
    """From the start equity at the first day to the last close, on calendar days / 365.25."""
    max_drawdown_pct: float
    """On closes, of the running maximum, which begins at the start equity."""
    sharpe: float | None
    """Mean / sample deviation of daily returns x sqrt(252), at a rate of 0."""
    entries: int
    stops: int
    bear_exits: int
    trades_per_year: float | None
    """Entries a year."""
    win_rate_pct: float | None
    """Of closed trades, by cash profit after commissions."""
    worst_day_pct: float
    """Close to close, the first day from the start equity."""
    final_equity_usd: float


(
    CAGR_PCT, MAX_DRAWDOWN_PCT, SHARPE, ENTRIES, STOPS, BEAR_EXITS, TRADES_PER_YEAR, WIN_RATE_PCT,
    WORST_DAY_PCT, FINAL_EQUITY_USD,
) = range(len(Metrics._fields))  # fmt: skip


def metrics(result: Result) -> Metrics:
    """All figures of a backtest."""
    ends = [(EXIT_REASONS.index(trade.reason), trade.profit_usd) for trade in result.trades]
    trades = np.array(ends, dtype=np.float64).reshape(-1, 2)
    row = np.empty(len(Metrics._fields))
    years = years_of(result.days[0], result.days[-1])
    figures(
        result.equity_usd, result.options.start_equity_usd, years,
        trades[:, 0], trades[:, 1], np.empty(len(result.equity_usd)), row,
    )  # fmt: skip
    return metrics_of(row)


def metrics_of(row: Floats) -> Metrics:
    """A row of figures as `figures` leaves it, NaN as None."""
    values: Any = (None if isnan(value) else value for value in row.tolist())
    found = Metrics(*values)
    return found._replace(**{name: int(getattr(found, name)) for name in COUNTS})


def years_of(first: date, last: date) -> float:
    """Calendar years from one day to another."""
    return (last - first).days / DAYS_PER_YEAR


def daily_returns(equity_usd: NDArray[np.float64]) -> NDArray[np.float64]:
    """Close to close, as fractions; one fewer than closes. After ruin: 0."""
    before = equity_usd[:-1]
    returns = np.zeros(len(before))
    np.divide(np.diff(equity_usd), before, out=returns, where=before > 0.0)
    return returns


def drawdowns(equity_usd: NDArray[np.float64], start_usd: float) -> NDArray[np.float64]:
    """Fall from the running maximum at each close, as fractions of it."""
    peaks = np.maximum(np.maximum.accumulate(equity_usd), start_usd)
    return 1.0 - equity_usd / peaks


def drawdown_of_largest_dollar_fall_pct(result: Result) -> float:
    """Percent of the drawdown that was the largest in USD: what the published line shows."""
    equity = result.equity_usd
    peaks = np.maximum(np.maximum.accumulate(equity), result.options.start_equity_usd)
    deepest = int((peaks - equity).argmax())
    return float((1.0 - equity[deepest] / peaks[deepest]) * 100.0)


# --- compiled: a sweep takes these figures of each of its cells -----------------------------------


@compiling.part
def _larger(a: float, b: float) -> float:
    """As max(), which compiled code pays for with a search for NaN; equity never is."""
    return a if a > b else b


@compiling.part
def _smaller(a: float, b: float) -> float:
    return a if a < b else b


@compiling.part
def _total(values: Floats, count: int) -> float:
    """The sum of the first values, in eight strands: they need not wait for one another."""
    a = b = c = d = e = f = g = h = 0.0
    whole = count - count % 8
    for i in range(0, whole, 8):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
        e += values[i + 4]
        f += values[i + 5]
        g += values[i + 6]
        h += values[i + 7]
    for i in range(whole, count):
        a += values[i]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@compiling.part
def _spread(values: Floats, count: int, mean: float) -> float:
    """The sum of the squared distances of the first values from their mean, in strands too."""
    a = b = c = d = e = f = g = h = 0.0
    whole = count - count % 8
    for i in range(0, whole, 8):
        a += (values[i] - mean) * (values[i] - mean)
        b += (values[i + 1] - mean) * (values[i + 1] - mean)
        c += (values[i + 2] - mean) * (values[i + 2] - mean)
        d += (values[i + 3] - mean) * (values[i + 3] - mean)
        e += (values[i + 4] - mean) * (values[i + 4] - mean)
        f += (values[i + 5] - mean) * (values[i + 5] - mean)
        g += (values[i + 6] - mean) * (values[i + 6] - mean)
        h += (values[i + 7] - mean) * (values[i + 7] - mean)
    for i in range(whole, count):
        a += (values[i] - mean) * (values[i] - mean)
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@compiling.part
def _ends(values: Floats, count: int) -> tuple[float, float]:
    """The smallest and the largest of the first values, at least one, in four strands."""
    a = b = c = d = values[0]
    e = f = g = h = values[0]
    whole = count - count % 4
    for i in range(0, whole, 4):
        a, e = _smaller(values[i], a), _larger(values[i], e)
        b, f = _smaller(values[i + 1], b), _larger(values[i + 1], f)
        c, g = _smaller(values[i + 2], c), _larger(values[i + 2], g)
        d, h = _smaller(values[i + 3], d), _larger(values[i + 3], h)
    for i in range(whole, count):
        a, e = _smaller(values[i], a), _larger(values[i], e)
    return _smaller(_smaller(a, b), _smaller(c, d)), _larger(_larger(e, f), _larger(g, h))


@compiling.part
def _worst_fall(equity_usd: Floats, start_usd: float) -> float:
    """The deepest fall from the running maximum, as a fraction of it.

    Closes below `floor_usd` lie deeper below the maximum so far than any before. A group of them
    is looked at one by one only where the lowest of it may be such a one: that is rare, so nearly
    no close costs a division, or a branch that the processor guesses wrong.
    """
    peak = floor_usd = start_usd
    kept = 1.0
    for first in range(0, len(equity_usd), GROUP):
        group = equity_usd[first : first + GROUP]
        if len(group) == GROUP:
            low, high = _ends(group, GROUP)
            raised = high * kept if high > peak else floor_usd
            if low >= _larger(raised, floor_usd):
                peak, floor_usd = _larger(high, peak), raised
                continue
        for usd in group:
            if usd > peak:
                peak, floor_usd = usd, usd * kept
            elif usd < floor_usd:
                floor_usd, kept = usd, usd / peak
    return 1.0 - kept


@compiling.part
def _sharpe(returns: Floats, count: int) -> float:
    if count < 2:
        return math.nan
    mean = _total(returns, count) / count
    deviation = math.sqrt(_spread(returns, count, mean) / (count - 1))
    return mean / deviation * math.sqrt(SESSIONS_PER_YEAR) if deviation > 0.0 else math.nan


@compiling.part
def _cagr_pct(growth: float, years: float) -> float:
    if years <= 0.0:
        return math.nan
    return (growth ** (1.0 / years) - 1.0) * 100.0 if growth > 0.0 else -100.0


def _figures(
    equity_usd: Floats,
    start_usd: float,
    years: float,
    reasons: Floats,
    profits_usd: Floats,
    returns: Floats,
    row: Floats,
) -> None:
    """Metrics in their order into `row`, NaN where there is nothing to measure.

    `reasons`, `profits_usd`: one per trade, the reason by its place in EXIT_REASONS. `returns`:
    room for one number a session, to be used again and again.
    """
    sessions = len(equity_usd)
    for s in range(sessions - 1):
        before = equity_usd[s]
        returns[s] = (equity_usd[s + 1] - before) / before if before > 0.0 else 0.0
    stops = bears = closed = won = 0
    for i in range(len(reasons)):
        stops += reasons[i] == STOPPED
        bears += reasons[i] == BEAR
        if reasons[i] != OPEN:
            closed += 1
            won += profits_usd[i] > 0.0

    final_usd = equity_usd[sessions - 1]
    row[CAGR_PCT] = _cagr_pct(final_usd / start_usd, years)
    row[MAX_DRAWDOWN_PCT] = _worst_fall(equity_usd, start_usd) * 100.0
    first_return = (equity_usd[0] - start_usd) / start_usd
    least = _ends(returns, sessions - 1)[0] if sessions > 1 else first_return
    row[WORST_DAY_PCT] = _smaller(least, first_return) * 100.0
    row[SHARPE] = _sharpe(returns, sessions - 1)
    row[ENTRIES] = len(reasons)
    row[STOPS] = stops
    row[BEAR_EXITS] = bears
    row[TRADES_PER_YEAR] = len(reasons) / years if years > 0.0 else math.nan
    row[WIN_RATE_PCT] = won / closed * 100.0 if closed > 0 else math.nan
    row[FINAL_EQUITY_USD] = final_usd


figures = compiling.kept(_figures, (results,))
