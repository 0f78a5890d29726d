"""Writes small folders of market data as a replay reads them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from common.clock import NEW_YORK, SECOND_NS
from services.sim_tws.market import SessionTimes, synthetic

FIRST_DAY = date(2025, 11, 17)
LAST_DAY = date(2025, 12, 5)
DAILY_HEADER = "date,open,high,low,close,volume"
INTRADAY_HEADER = "timestamp,open,high,low,close,volume"


@cache
def sessions() -> list[SessionTimes]:
    """Fourteen sessions; Thanksgiving is missing, the day after it closes early."""
    later = synthetic(0).sessions_before(LAST_DAY, 14)
    return [session for session in later if session.date >= FIRST_DAY]


def daily_lines(base: float = 100.0) -> list[str]:
    """A header and a row for each session: open base + n, high 3 above it, low 2 below it."""
    rows = [
        f"{session.date},{base + n},{base + n + 3},{base + n - 2},{base + n + 1},1000000"
        for n, session in enumerate(sessions())
    ]
    return [DAILY_HEADER, *rows]


def intraday_lines(session: SessionTimes, bar_s: int, base: float) -> list[str]:
    """A header and every bar of a session: bar n opens at base + n cents, half a cent finer."""
    rows = [INTRADAY_HEADER]
    for n, start_ns in enumerate(range(session.open_ns, session.close_ns, bar_s * SECOND_NS)):
        stamp = datetime.fromtimestamp(start_ns // SECOND_NS, UTC).astimezone(NEW_YORK)
        price = base + n / 100
        rows.append(
            f"{stamp.isoformat()},{price:.4f},{price + 0.125:.4f},{price - 0.1:.4f},"
            f"{price + 0.015:.4f},{1000 + n}"
        )
    return rows


def write_folder(folder: Path, **files: list[str]) -> Path:
    """A good SMH and VIX history, then `files` (name without .csv) over it."""
    contents = {"SMH_daily": daily_lines(), "VIX_daily": daily_lines(15.0)} | files
    for name, lines in contents.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
