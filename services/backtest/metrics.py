"""The figures of a result, each by one stated formula."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.backtest.result import Result

DAYS_PER_YEAR = 365.25
SESSIONS_PER_YEAR = 252


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
    worst_day_pct: float | None
    """Close to close."""
    final_equity_usd: float


def metrics(result: Result) -> Metrics:
    """All figures of a backtest."""
    equity, start = result.equity_usd, result.options.start_equity_usd
    years = (result.days[-1] - result.days[0]).days / DAYS_PER_YEAR
    returns = daily_returns(equity)
    closed = [trade for trade in result.trades if trade.exit_day is not None]
    won = sum(trade.profit_usd > 0.0 for trade in closed)
    return Metrics(
        cagr_pct=_cagr_pct(float(equity[-1]) / start, years),
        max_drawdown_pct=float(drawdowns(equity, start).max() * 100.0),
        sharpe=_sharpe(returns),
        entries=len(result.trades),
        stops=sum(trade.reason == "stop" for trade in closed),
        bear_exits=sum(trade.reason == "bear" for trade in closed),
        trades_per_year=len(result.trades) / years if years > 0.0 else None,
        win_rate_pct=won / len(closed) * 100.0 if closed else None,
        worst_day_pct=float(returns.min() * 100.0) if len(returns) else None,
        final_equity_usd=float(equity[-1]),
    )


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


def _cagr_pct(growth: float, years: float) -> float | None:
    if years <= 0.0:
        return None
    return float((growth ** (1.0 / years) - 1.0) * 100.0) if growth > 0.0 else -100.0


def _sharpe(returns: NDArray[np.float64]) -> float | None:
    if len(returns) < 2:
        return None
    deviation = float(returns.std(ddof=1))
    return float(returns.mean()) / deviation * sqrt(SESSIONS_PER_YEAR) if deviation > 0.0 else None
