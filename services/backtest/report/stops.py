"""How far beyond its loss limit each stop ended.

The stop is measured from the day's baseline, usually the open: what the night took before it comes
on top. So each stop has two distances, both in percent of equity: below its own level at the fill
(a gap within the session, slippage), and beyond the limit counted from the last close.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np

from services.backtest.report.market import MarketDays
from services.backtest.result import Result, Trade


class StopOut(NamedTuple):
    """One exit at the stop, in percent of the last close's equity (bought that day: the entry's).

    `gap_pct`: what the position made from the last close to the open. `below_level_pct`: lost
    between the stop's level and the fill. `loss_pct`: from the last close to the fill.
    `beyond_pct`: by how much that is more than the limit; negative where a rise came before.
    """

    day: date
    gap_pct: float
    level_usd: float
    fill_usd: float
    below_level_pct: float
    loss_pct: float
    beyond_pct: float


class Overshoot(NamedTuple):
    """All stops of a run, in order, and what is usual among them; None without any."""

    limit_pct: float
    stops: tuple[StopOut, ...]

    @property
    def beyond_pct(self) -> list[float]:
        return [stop.beyond_pct for stop in self.stops]

    def quantile_pct(self, fraction: float) -> float:
        """Of the distance beyond the limit."""
        return float(np.quantile(self.beyond_pct, fraction))

    def share_beyond_pct(self, distance_pct: float) -> float:
        """Percent of stops that ended more than so much of equity beyond the limit."""
        return float(np.mean(np.array(self.beyond_pct) > distance_pct)) * 100.0

    def worst(self, count: int) -> list[StopOut]:
        return sorted(self.stops, key=lambda stop: -stop.beyond_pct)[:count]


def overshoot(result: Result, market: MarketDays) -> Overshoot:
    """Each stop of the run beside its limit."""
    limit_pct = result.options.stop_loss_fraction * 100.0
    found = []
    for held in market.held(result.trades):
        trade, at = held.trade, held.last
        if trade.reason != "stop":
            continue
        overnight = held.first < at
        if overnight:
            equity = float(result.equity_usd[at - 1])
            from_usd = float(market.close_usd[at - 1] - market.dividend_usd[at])
            gap_usd = trade.shares * (float(market.open_usd[at]) - from_usd)
        else:
            equity, gap_usd = _equity_at_entry(trade, result), 0.0
            from_usd = trade.entry_usd
        loss_pct = trade.shares * (from_usd - trade.exit_usd) / equity * 100.0
        found.append(
            StopOut(
                day=result.days[at],
                gap_pct=gap_usd / equity * 100.0,
                level_usd=trade.stop_usd,
                fill_usd=trade.exit_usd,
                below_level_pct=trade.shares * (trade.stop_usd - trade.exit_usd) / equity * 100.0,
                loss_pct=loss_pct,
                beyond_pct=loss_pct - limit_pct,
            )
        )
    return Overshoot(limit_pct, tuple(found))


def _equity_at_entry(trade: Trade, result: Result) -> float:
    mark_usd = trade.entry_usd / (1.0 + result.options.slippage_bp / 10_000.0)
    return trade.shares * mark_usd / trade.leverage
