"""Examines a folder of history files: every refusal of the loader, and what each file covers.

The readers are those of `history.load`; here they go on after a refusal instead of stopping.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from msgspec import Struct

from services.backtest import history
from services.backtest.history import (
    ACTIONS_FILE,
    ADJUSTED_FILE,
    INTRADAY,
    SMH_FILE,
    VIX_FILE,
)
from services.sim_tws.market.data_files import DailyRow, Refuse
from services.sim_tws.market.interface import SMH, VIX
from services.sim_tws.market.sessions import Sessions

DAYS_NAMED = 3


class Coverage(Struct, frozen=True):
    """One file: its rows that are sound, the days they span, and what a person should know."""

    file: str
    rows: int
    first: date | None
    last: date | None
    note: str = ""


class Examination(Struct, frozen=True):
    """`problems`: file, row and reason of everything that the loader refuses, in file order.
    `unused`: files that nothing here reads."""

    coverage: tuple[Coverage, ...]
    problems: tuple[str, ...]
    unused: tuple[str, ...]


def examine(data_dir: Path) -> Examination:
    """The whole folder, whatever is wrong in it."""
    problems: list[str] = []

    def refuse(problem: Exception) -> None:
        problems.append(str(problem))

    smh, vix, sessions = history.read_prices(data_dir, refuse)
    covered = [
        _covered(SMH_FILE, [row.date for row in smh]),
        _covered(VIX_FILE, [row.date for row in vix], _vix_note(smh, vix, sessions)),
    ]
    actions = history.read_actions(data_dir, sessions, smh, refuse)
    if (data_dir / ACTIONS_FILE).exists():
        kinds = Counter(action.kind for _, action in actions)
        note = f"{kinds['dividend']} dividends, {kinds['split']} splits"
        note += f", {kinds['move']} true moves" if kinds["move"] else ""
        covered.append(_covered(ACTIONS_FILE, [day for day, _ in actions], note))
    if (data_dir / ADJUSTED_FILE).exists():
        cells = history.read_adjusted(data_dir, smh, refuse)
        covered.append(_covered(ADJUSTED_FILE, [cell.date for cell in cells]))
    for path in history.rate_files(data_dir):
        rates = history.read_rates(path, refuse)
        covered.append(_covered(path.name, [cell.date for cell in rates]))
    for symbol, daily in ((SMH, smh), (VIX, vix)):
        covered += [
            _bars(data_dir, symbol, kind, sessions, daily, refuse)
            for kind in INTRADAY
            if (data_dir / history.intraday_file(symbol, kind)).exists()
        ]
    known = {coverage.file for coverage in covered}
    unused = sorted(path.name for path in data_dir.glob("*.csv") if path.name not in known)
    return Examination(tuple(covered), tuple(problems), tuple(unused))


def _covered(file: str, days: Sequence[date], note: str = "") -> Coverage:
    return Coverage(file, len(days), min(days, default=None), max(days, default=None), note)


def _vix_note(smh: Sequence[DailyRow], vix: Sequence[DailyRow], sessions: Sessions) -> str:
    """Sessions of SMH's range without a VIX: allowed, since the last known level stands in."""
    if not smh or not vix:
        return ""
    have = {row.date for row in vix}
    without = [session.date for session in sessions.all if session.date not in have]
    if not without:
        return "a level for every SMH session"
    return f"no level on {_few(without)}: the last known one counts there"


def _few(days: Sequence[date]) -> str:
    """The first of them by name, the others by number."""
    more = f" and {len(days) - DAYS_NAMED} more" if len(days) > DAYS_NAMED else ""
    return ", ".join(str(day) for day in days[:DAYS_NAMED]) + more


def _bars(
    data_dir: Path,
    symbol: str,
    kind: str,
    sessions: Sessions,
    daily: Sequence[DailyRow],
    refuse: Refuse,
) -> Coverage:
    file = history.intraday_file(symbol, kind)
    if not daily:  # every bar would be refused, for the one reason that is said already
        return Coverage(file, 0, None, None, "not read: no daily row can be used")
    found = history.read_bars(data_dir, symbol, kind, sessions, daily, refuse)
    partial = []
    for day, bars in found.items():
        session = sessions.on(day)
        if session is None or not history.is_whole(bars, session):
            partial.append(day)
    first, last = min(found, default=None), max(found, default=None)
    note = f"{len(found) - len(partial)} of {len(found)} sessions whole"
    note += f", not {_few(partial)}" if partial else ""
    if first and last:
        without = len(sessions.part(first, last).all) - len(found)
        note += f"; {without} between them have no bars" if without else ""
    return Coverage(file, sum(map(len, found.values())), first, last, note)
