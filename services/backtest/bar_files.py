"""The CSV files of bars, extended: read, rows joined by day, written whole or not at all.

New rows join a file only after the loader's own reader has taken them, so a file that was good
stays good. A file is written beside itself and renamed: a kill or a full disk leaves the old one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from common.clock import NEW_YORK, SECOND_NS
from common.tws.history import PastBar
from services.backtest import history
from services.backtest.history import INTRADAY
from services.sim_tws.market import data_files
from services.sim_tws.market.data_files import DailyRow
from services.sim_tws.market.interface import SMH, VIX, MarketDataError
from services.sim_tws.market.sessions import Sessions

COLUMNS = "open,high,low,close,volume"
DECIMALS = {SMH: 4, VIX: 2}


class FileError(Exception):
    """A file or its folder cannot be used; the text names it, the reason and the mend."""


@dataclass
class BarFile:
    """One symbol's bars of one kind ("daily", "5min", "1min") as lines of text by day.

    Lines that are not touched stay as they were, to the letter.
    """

    folder: Path
    symbol: str
    kind: str
    lines: dict[date, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.symbol}_{self.kind}.csv"

    @property
    def path(self) -> Path:
        return self.folder / self.name

    @property
    def header(self) -> str:
        return f"{'date' if self.kind == 'daily' else 'timestamp'},{COLUMNS}"

    def read(self) -> None:
        """Takes the lines that are there; FileError when they are not in these very columns."""
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"{self.name}: {error}") from error
        found = text.splitlines()
        if found[:1] != [self.header]:
            has = found[0][:80] if found else "nothing"
            reason = f"begins with '{has}', not '{self.header}'"
            raise FileError(f"{self.name}: {reason}: it cannot be extended; move it away")
        for number, line in enumerate(found[1:], start=2):
            try:
                day = date.fromisoformat(line[:10])
            except ValueError as error:
                raise FileError(f"{self.name}, row {number}: no date begins it") from error
            self.lines.setdefault(day, []).append(line)

    def write(self) -> None:
        """Replaces the file in one step; FileError leaves the old one standing."""
        rows = [line for day in sorted(self.lines) for line in self.lines[day]]
        replace(self.path, "\n".join([self.header, *rows]) + "\n")

    def rescale(self, scale: float) -> None:
        """All prices times `scale`, all volumes divided by it: the same money in new shares."""
        self.lines = {
            day: [_scaled(line, scale, DECIMALS[self.symbol]) for line in lines]
            for day, lines in self.lines.items()
        }

    def line(self, bar: PastBar) -> str:
        key = bar.day.isoformat()
        if bar.start_ns:
            key = datetime.fromtimestamp(bar.start_ns // SECOND_NS, NEW_YORK).isoformat()
        prices = (bar.open, bar.high, bar.low, bar.close)
        shown = ",".join(f"{price:.{DECIMALS[self.symbol]}f}" for price in prices)
        return f"{key},{shown},{bar.volume:.0f}"


def replace(path: Path, text: str) -> None:
    """Writes a draft beside the file and renames it once it is safe on the disk."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        reason = f"{path}: {error.strerror}; what was there before stands"
        raise FileError(f"{reason}: make room, or give another folder") from error


def make_folder(folder: Path) -> None:
    """The folder, there and writable; FileError."""
    probe = folder / ".probe.draft"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = f"{folder}: {error.strerror}: nothing can be written there"
        raise FileError(f"{reason}; give another folder with --data") from error


@dataclass
class Reading:
    """What the loader's reader makes of lines: their sound rows, and what it refuses.

    `closes`: by day. `rows`: of daily lines. `starts`: of intraday ones, seconds after the open.
    """

    closes: dict[date, float] = field(default_factory=dict)
    rows: dict[date, DailyRow] = field(default_factory=dict)
    starts: dict[date, set[int]] = field(default_factory=dict)
    whole: set[date] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def judged(
    file: BarFile, lines: Iterable[str], sessions: Sessions, daily: Mapping[date, DailyRow]
) -> Reading:
    """Lines of `file` through the loader's own reader; intraday ones against their `daily` rows."""
    found = Reading()

    def refuse(problem: MarketDataError) -> None:
        found.problems.append(str(problem))

    with TemporaryDirectory() as scratch:
        path = Path(scratch) / file.name
        path.write_text("\n".join([file.header, *lines]) + "\n", encoding="utf-8")
        if file.kind == "daily":
            rows = data_files.read_daily(path, widen=file.symbol != SMH, refuse=refuse)
            data_files.check_sessions(path, rows, sessions, holes=True, refuse=refuse)
            found.rows = {row.date: row for row in rows}
            found.closes = {row.date: row.close for row in rows}
            return found
        bar_s = INTRADAY[file.kind]
        bars = data_files.read_intraday(path, bar_s, sessions, dict(daily), refuse=refuse)
    for day, of_day in bars.items():
        found.closes[day] = of_day[-1].close
        found.starts[day] = {bar.start_s for bar in of_day}
        session = sessions.on(day)
        if session is not None and history.is_whole(of_day, session):
            found.whole.add(day)
    return found


def accepted(
    file: BarFile, bars: Iterable[PastBar], sessions: Sessions, daily: Mapping[date, DailyRow]
) -> tuple[dict[date, list[str]], Reading]:
    """The broker's bars of whole sessions as lines by day, without those the loader would refuse.

    An index goes on after the close; its bars of those minutes are left out in silence.
    """
    known: list[tuple[date, int, str]] = []
    for bar in bars:
        session = sessions.on(bar.day)
        if session is not None and not (
            bar.start_ns and not session.open_ns <= bar.start_ns < session.close_ns
        ):
            start_s = (bar.start_ns - session.open_ns) // SECOND_NS
            known.append((bar.day, start_s, file.line(bar)))
    found = judged(file, [line for *_, line in known], sessions, daily)
    lines: dict[date, list[str]] = {}
    for day, start_s, line in known:
        if day in found.rows or start_s in found.starts.get(day, ()):
            lines.setdefault(day, []).append(line)
    return lines, found


def _scaled(line: str, scale: float, decimals: int) -> str:
    key, *prices, volume = line.split(",")
    shown = [f"{float(price) * scale:.{decimals}f}" for price in prices]
    return ",".join([key, *shown, f"{float(volume) / scale:.0f}"])
