"""A market that breaks the stop every morning at the same instant and lets every entry be made.

Each day opens a little higher, falls in one print at 09:31:00 by three quarters of a percent, and
stays there: at 3x that lies between the stop (2 % of equity) and a resting order at 2.5 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path

from common.clock import NEW_YORK

BREACH = time(9, 31)
FALL = 0.0075
HISTORY_DAYS = 700  # five times the slow average, and a little
FIRST_CLOSE_USD = 200.0
RISE = 1.0002  # a day: BULL throughout
VIX = 18.0  # 3x
VOLUME = 9_000_000


def write(folder: Path, days: list[date], traded: int) -> Path:
    """SMH_daily.csv, SMH_1min.csv and VIX_daily.csv of session dates, the last `traded` by the
    minute. An early close ends at 13:00; `days` must hold none among those."""
    folder.mkdir(parents=True, exist_ok=True)
    closes = [round(FIRST_CLOSE_USD * RISE**number, 2) for number in range(len(days))]
    opens = [round(close / (1 - FALL), 2) for close in closes]
    daily = (
        f"{day},{o},{o},{c},{c},{VOLUME}" for day, o, c in zip(days, opens, closes, strict=True)
    )
    _save(folder / "SMH_daily.csv", "date", daily)
    _save(folder / "VIX_daily.csv", "date", (f"{day},{VIX},{VIX},{VIX},{VIX},0" for day in days))
    minutes = (
        row
        for day, o, c in list(zip(days, opens, closes, strict=True))[-traded:]
        for row in _minutes(day, o, c)
    )
    _save(folder / "SMH_1min.csv", "timestamp", minutes)
    return folder


def _minutes(day: date, opened: float, fallen: float) -> Iterator[str]:
    at = datetime.combine(day, time(9, 30), NEW_YORK)
    end = datetime.combine(day, time(16, 0), NEW_YORK)
    while at < end:
        price = opened if at.time() < BREACH else fallen
        yield f"{at.isoformat()},{price},{price},{price},{price},20000"
        at += timedelta(minutes=1)


def _save(path: Path, key: str, rows: Iterator[str]) -> None:
    path.write_text("\n".join([f"{key},open,high,low,close,volume", *rows, ""]))
