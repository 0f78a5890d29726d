"""Histories made up for a test: plain weekdays, prices from a seed or by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np

from common.clock import SECOND_NS
from services.backtest.history import History, Quotation
from services.sim_tws.market.data_files import DailyRow
from services.sim_tws.market.interface import SessionTimes
from services.sim_tws.market.session_path import PriceBar

FIRST = date(2020, 1, 6)
SESSION_S = 23_400

Prices = tuple[float, float, float]
"""Open, low and close of a day; its high follows."""


def weekdays(count: int) -> list[date]:
    days: list[date] = []
    day = FIRST
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day += timedelta(days=1)
    return days


def session_on(day: date) -> SessionTimes:
    opens = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
    open_ns = int(opens.timestamp()) * SECOND_NS
    return SessionTimes(day, open_ns, open_ns + SESSION_S * SECOND_NS, early=False)


def history_of(
    prices: Sequence[Prices],
    *,
    vix: Sequence[float] = (),
    dividends: dict[int, float] | None = None,
    rate_pct: float = 0.0,
    intraday: Mapping[int, Sequence[PriceBar]] | None = None,
) -> History:
    """A history of these days; dividends and intraday bars by index of their day."""
    days = weekdays(len(prices))
    return History(
        sessions=tuple(session_on(day) for day in days),
        smh=tuple(
            DailyRow(row, day, open_, max(open_, close), low, close, 1000.0)
            for row, (day, (open_, low, close)) in enumerate(zip(days, prices, strict=True), 2)
        ),
        vix=Quotation(tuple(days[: len(vix)]), tuple(vix)),
        dividends={days[at]: usd for at, usd in (dividends or {}).items()},
        adjusted=Quotation(tuple(days), tuple(close * 0.97 for _, _, close in prices)),
        rates=Quotation((date(2019, 1, 1),), (rate_pct,)),
        intraday={days[at]: bars for at, bars in (intraday or {}).items()},
    )


def random_history(
    seed: int, count: int, *, volatility: float = 0.03, bars: int = 0, rate_pct: float = 4.0
) -> History:
    """A rising random walk with gaps, a VIX around its tiers, and `bars` a day on half the days."""
    draw = np.random.default_rng(seed)
    closes = 100.0 * np.exp(np.cumsum(draw.normal(0.002, volatility, count)))
    before = np.concatenate(([100.0], closes[:-1]))
    opens = before * np.exp(draw.normal(0.0, volatility / 2.0, count))
    lows = np.minimum(opens, closes) * np.exp(-np.abs(draw.normal(0.0, volatility / 2.0, count)))
    prices = [
        (float(o), float(low), float(c)) for o, low, c in zip(opens, lows, closes, strict=True)
    ]
    fine = {
        at: random_bars(draw, *prices[at], bars)
        for at in range(count)
        if bars and draw.random() < 0.5
    }
    return history_of(
        prices,
        vix=[float(level) for level in draw.uniform(10.0, 16.0, max(0, count - 5))],
        dividends=dict.fromkeys(range(10, count, 25), 0.5),
        rate_pct=rate_pct,
        intraday=fine,
    )


def random_bars(
    draw: np.random.Generator, open_: float, low: float, close: float, count: int
) -> tuple[PriceBar, ...]:
    """Equal bars of a session from its open to its close, one of them touching its low."""
    length_s = SESSION_S // count
    ends = np.linspace(open_, close, count + 1)
    lowest = int(draw.integers(count))
    found = []
    for at in range(count):
        first, last = float(ends[at]), float(ends[at + 1])
        bottom = min(first, last, low) if at == lowest else min(first, last)
        found.append(PriceBar(at * length_s, length_s, first, max(first, last), bottom, last, 10.0))
    return tuple(found)
