"""Proof that no decision knew a later day: the data are cut at every day and judged anew."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from services.backtest import compiled_path, event_path
from services.backtest.history import History
from services.backtest.options import Options
from services.backtest.result import Result, Trade

EVENT_CUTS = 20  # the event path is slower: it is cut at so many days, evenly spread


class Lookahead(NamedTuple):
    """`cuts`: days the data were cut at. `first_difference`: what changed, or ""."""

    cuts: int
    event_cuts: int
    first_difference: str


def check(history: History, options: Options) -> Lookahead:
    """Cuts the history after each traded day; whatever was decided up to it must stand."""
    whole = compiled_path.run_compiled(history, options)
    spread = set(whole.days[:: max(1, len(whole.days) // EVENT_CUTS)])
    checked = event_checked = 0
    for day in whole.days[:-1]:
        known = history.until(day)
        until = replace(options, last=None)
        found = _difference(whole, compiled_path.run_compiled(known, until), day)
        checked += 1
        if not found and day in spread:
            event_checked += 1
            found = _difference(whole, event_path.run_event(known, until), day)
        if found:
            return Lookahead(checked, event_checked, found)
    return Lookahead(checked, event_checked, "")


def _difference(whole: Result, cut: Result, day: date) -> str:
    """How the decisions up to `day` differ between all the data and the data known then."""
    count = len(cut.days)
    differs = np.flatnonzero(whole.equity_usd[:count] != cut.equity_usd)
    if len(differs):
        return f"cut at {day}: equity at the close of {cut.days[int(differs[0])]} changes"
    for known, later in zip(_up_to(cut, day), _up_to(whole, day), strict=False):
        if known != later:
            return f"cut at {day}: the trade entered on {known.entry_day} changes"
    if len(_up_to(cut, day)) != len(_up_to(whole, day)):
        return f"cut at {day}: the number of trades changes"
    return ""


def _up_to(result: Result, day: date) -> list[Trade]:
    """The trades as they stood at that day's close: a later exit is not known yet.

    A bear exit that `decide_at = "close"` books on the day before is known with the next session.
    """
    at_close = result.options.decide_at == "close"
    trades = []
    for trade in result.trades:
        if trade.entry_day > day or (at_close and trade.entry_day == day):
            continue
        still = trade.exit_day is None or trade.exit_day > day
        still = still or (at_close and trade.exit_day == day and trade.reason == "bear")
        if still:
            trade = replace(  # noqa: PLW2901  (the same trade, as it was known)
                trade, exit_day=None, exit_usd=0.0, reason="", stop_usd=0.0, profit_usd=0.0
            )
        trades.append(trade)
    return trades
