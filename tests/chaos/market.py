"""A made-up market in which most days trade: mostly BULL, half the days through the stop.

It wanders around one price, so the averages stay close together and the signal turns now and then;
a day that would turn it to BEAR is usually drawn again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from exchange_calendars.exchange_calendar_xnys import XNYSExchangeCalendar

HISTORY_DAYS = 700  # five times the slow average, and a little
CENTRE_USD = 250.0
DAILY_MOVE = 0.012
PULL = 0.03  # towards the centre, a day
MOVE_MAX = 0.1  # a day that went further could look like a split
BEAR_KEPT = 0.25  # share of the days that may turn the signal to BEAR
FAST, SLOW = 25, 125
HEADER = "date,open,high,low,close,volume\n"

Ohlc = tuple[float, float, float, float]


def write(folder: Path, seed: int, first: date, sessions: int) -> Path:
    """SMH_daily.csv and VIX_daily.csv: a history, then `sessions` days from `first` on."""
    days = session_days(first, sessions)
    draw = random.Random(seed)
    smh = prices(draw, len(days))
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "SMH_daily.csv", days, smh, 9_000_000)
    _save(folder / "VIX_daily.csv", days, [_flat(draw.uniform(11.0, 19.0)) for _ in days], 0)
    return folder


def session_days(first: date, sessions: int) -> list[date]:
    """The exchange's session dates: `HISTORY_DAYS` before `first`, `sessions` from it on."""
    years = sessions // 250 + 2
    calendar = XNYSExchangeCalendar(
        start=first.replace(year=first.year - 4, day=1).isoformat(),
        end=first.replace(year=first.year + years, day=1).isoformat(),
    )
    days = [stamp.date() for stamp in calendar.sessions]
    start = next(at for at, day in enumerate(days) if day >= first)
    return days[start - HISTORY_DAYS : start + sessions]


def prices(draw: random.Random, count: int) -> list[Ohlc]:
    """Open, high, low and close of each day, USD in whole cents."""
    close = fast = slow = CENTRE_USD
    found: list[Ohlc] = []
    for _ in range(count):
        bear_allowed = draw.random() < BEAR_KEPT
        after = _next(draw, close)
        while not bear_allowed and _ema(fast, after, FAST) <= _ema(slow, after, SLOW):
            after = max(after, _next(draw, close)) * 1.002
        after = min(after, close * (1 + MOVE_MAX))
        opened = close * (1 + draw.gauss(0.0, 0.002))
        top, bottom = max(opened, after), min(opened, after)
        high = top * (1 + abs(draw.gauss(0.0, 0.006)))
        low = bottom * (1 - abs(draw.gauss(0.0, 0.006)))
        fast, slow, close = _ema(fast, after, FAST), _ema(slow, after, SLOW), after
        found.append((round(opened, 2), round(high, 2), round(low, 2), round(after, 2)))
    return found


def _next(draw: random.Random, close: float) -> float:
    pull = PULL * (CENTRE_USD / close - 1)
    return float(close * (1 + pull + draw.gauss(0.0005, DAILY_MOVE)))


def _ema(before: float, price: float, span: int) -> float:
    return before + (price - before) * 2 / (span + 1)


def _flat(level: float) -> Ohlc:
    points = round(level, 2)
    return points, points, points, points


def _save(path: Path, days: Sequence[date], rows: Sequence[Ohlc], volume: int) -> None:
    lines = (
        f"{day},{o},{h},{low},{c},{volume}\n"
        for day, (o, h, low, c) in zip(days, rows, strict=True)
    )
    path.write_text(HEADER + "".join(lines))
