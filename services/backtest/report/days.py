"""Where each day's result came from: the overnight gap, the session, the entry, what was paid.

A day's change of equity is split without a rest: what the shares held over the night made from the
last close to the open (dividends included), what they made from the open to their exit or the
close, what shares bought that day made from their fill on, and interest with commissions.
Slippage is part of the fills.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np

from services.backtest.report.market import Held, MarketDays
from services.backtest.result import Result, Trade


class Day(NamedTuple):
    """One session. The four parts, in percent of the last close's equity, add up to `return_pct`.

    `smh_gap_pct`: from SMH's last close to its open. `leverage`: held over the night before. Both
    are 0 on the first day.
    """

    day: date
    return_pct: float
    smh_gap_pct: float
    leverage: float
    gap_pct: float
    session_pct: float
    entry_pct: float
    paid_pct: float
    ended: tuple[Trade, ...]
    """Trades that ended on that day, first to last."""
    begun: tuple[Trade, ...]
    """Trades that began on that day."""

    @property
    def cause(self) -> str:
        """What took most of a loss, in two or three words."""
        if any(trade.reason == "liquidation" for trade in self.ended):
            return "liquidation"
        parts = (self.gap_pct, self.session_pct, self.entry_pct, self.paid_pct)
        worst = parts.index(min(parts))
        stops = [trade for trade in self.ended if trade.reason == "stop"]
        if worst == 0:
            return "overnight gap"
        if worst == 1:
            if stops:
                return "stop"
            return "bear exit" if self.ended else "held through it"
        if worst == 2:
            if len(stops) > 1:
                return "re-entry and stop"
            return "entry and stop" if any(t in stops for t in self.begun) else "after the entry"
        return "costs and interest"

    @property
    def story(self) -> str:
        """What happened, in the order in which it did."""
        said = []
        if self.leverage > 0.0:
            said.append(
                f"SMH opened {self.smh_gap_pct:+.1f} % with {self.leverage:.2f}x held overnight"
            )
        early = [trade for trade in self.ended if trade not in self.begun]
        said += [_end(trade) for trade in early]
        for trade in self.begun:
            again = "re-entered" if early else "entered"
            said.append(f"{again} at {trade.entry_usd:.2f} with {trade.leverage:.2f}x")
            if trade in self.ended:
                said.append(_end(trade))
        if self.leverage > 0.0 and not self.ended:
            said.append("held through the day")
        return "; ".join(said).replace(" -", " −")


def explained(result: Result, market: MarketDays) -> list[Day]:
    """Every session in order, the first from the start equity; a day that began without equity is
    left out."""
    equity, closes, opens = result.equity_usd, market.close_usd, market.open_usd
    count = len(result.days)
    gap, session, entry = np.zeros(count), np.zeros(count), np.zeros(count)
    ended: list[list[Trade]] = [[] for _ in range(count)]
    begun: list[list[Trade]] = [[] for _ in range(count)]
    for held in market.held(result.trades):
        trade, shares = held.trade, held.trade.shares
        begun[held.first].append(trade)
        if trade.exit_day is not None:
            ended[held.last].append(trade)
        entry[held.first] += shares * (_left_at(held, held.first, market) - trade.entry_usd)
        for at in range(held.first + 1, held.last + 1):
            gap[at] += shares * (opens[at] - closes[at - 1] + market.dividend_usd[at])
            session[at] += shares * (_left_at(held, at, market) - opens[at])
    days = []
    for at in range(count):
        before = float(equity[at - 1]) if at else result.options.start_equity_usd
        if before <= 0.0:
            continue
        change = float(equity[at]) - before
        parts = [float(part[at]) / before * 100.0 for part in (gap, session, entry)]
        total = change / before * 100.0
        days.append(
            Day(
                day=result.days[at],
                return_pct=total,
                smh_gap_pct=float(opens[at] / closes[at - 1] - 1.0) * 100.0 if at else 0.0,
                leverage=float(result.leverage[at - 1]) if at else 0.0,
                gap_pct=parts[0],
                session_pct=parts[1],
                entry_pct=parts[2],
                paid_pct=total - sum(parts),
                ended=tuple(ended[at]),
                begun=tuple(begun[at]),
            )
        )
    return days


def _left_at(held: Held, at: int, market: MarketDays) -> float:
    """What a share was worth at the end of that day: its exit's price, else the close."""
    gone = held.trade.exit_day is not None and at == held.last
    return held.trade.exit_usd if gone else float(market.close_usd[at])


def _end(trade: Trade) -> str:
    how = {
        "stop": f"stopped at {trade.exit_usd:.2f}",
        "bear": f"bear signal, sold at {trade.exit_usd:.2f}",
        "liquidation": f"liquidated by the broker at {trade.exit_usd:.2f}",
    }
    said = how[trade.reason]
    if trade.reason == "stop" and trade.exit_usd < trade.stop_usd * 0.999:
        said += f", below its level of {trade.stop_usd:.2f}"
    return said
