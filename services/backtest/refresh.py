"""Brings a folder of history files up to date from a TWS; what is sound is not asked again.

Daily bars come first, since intraday ones are judged against them. Each answer is written at once,
so a killed run loses no more than the request in flight. Sessions count once they are over; the
last day of a file is asked for again, because a file from elsewhere may hold half of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Protocol

from common.clock import MINUTE_NS, SECOND_NS
from common.tws import history_limits
from common.tws.history import BarsAsked, PastBar, RefusedError
from services.backtest import seam
from services.backtest.bar_files import BarFile, FileError, Reading, accepted, judged
from services.backtest.history import ACTIONS_FILE, ADJUSTED_FILE
from services.sim_tws.market.data_files import DailyRow
from services.sim_tws.market.interface import SMH, VIX, SessionTimes
from services.sim_tws.market.sessions import Sessions

EARLIEST = date(2000, 1, 3)
"""Where an empty folder's daily bars begin; IB has SMH from May 2000 on."""
FIRST_DAYS = {"5min": 365, "1min": 30}
"""Calendar days that a new intraday file reaches back, unless --from says otherwise."""
OVERLAP_SESSIONS = 10
"""Asked for again with each refresh, so that a split shows at the seam."""
FINAL_AFTER_NS = 30 * MINUTE_NS
"""After the close a session's bars are final, with delayed data too."""
SHOWN = 3  # of many days, in a note


class Broker(Protocol):
    """Who is asked: a TWS."""

    @property
    def now_ns(self) -> int: ...

    async def bars(self, asked: BarsAsked) -> list[PastBar]: ...


@dataclass
class Outcome:
    """What came of it, for the person: `added` sessions by file, what to know, what went wrong."""

    requests: int = 0
    added: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


Step = Callable[[str, int, int], None]
"""Hears of progress: the file, requests done, requests planned."""


class Refresh:
    """One refresh of a folder. `first`: where the files shall begin, if earlier than they do."""

    def __init__(
        self, folder: Path, kinds: Sequence[str], first: date | None, tws: Broker, step: Step
    ) -> None:
        self._folder = folder
        self._kinds = kinds
        self._first = first
        self._tws = tws
        self._step = step
        self._outcome = Outcome()
        self._sessions = Sessions(EARLIEST, EARLIEST)
        self._over: list[SessionTimes] = []

    async def run(self) -> Outcome:
        """Raises FileError and NoTwsError; what has come until then is on the disk."""
        files = {symbol: BarFile(self._folder, symbol, "daily") for symbol in (SMH, VIX)}
        for file in files.values():
            file.read()
        self._look_at_the_calendar(day for file in files.values() for day in file.lines)
        for symbol, file in files.items():
            try:
                daily = await self._daily(file)
                for kind in self._kinds:
                    await self._intraday(BarFile(self._folder, symbol, kind), daily)
            except RefusedError as refusal:
                self._outcome.failures.append(str(refusal))
        return self._outcome

    def _look_at_the_calendar(self, known: Iterable[date]) -> None:
        now_ns = self._tws.now_ns
        today = datetime.fromtimestamp(now_ns // SECOND_NS, UTC).date()
        first = min([*known, *([self._first] if self._first else [])], default=EARLIEST)
        self._sessions = Sessions(first, today)
        self._over = [s for s in self._sessions.all if s.close_ns + FINAL_AFTER_NS <= now_ns]

    # --- daily bars ----------------------------------------------------------------------------

    async def _daily(self, file: BarFile) -> dict[date, DailyRow]:
        """The file's rows after the refresh."""
        known = self._sound(file, {})
        self._step(file.name, 0, 1)
        bars = await self._ask(self._daily_asked(file.symbol, sorted(known.rows)))
        begin = min([*known.rows, *([self._first] if self._first else [])], default=EARLIEST)
        sessions = [session for session in self._over if session.date >= begin]
        lines, new = self._taken(file, bars, {}, sessions)
        last = max(known.rows, default=None)
        old = {day: close for day, close in known.closes.items() if day != last}
        joined = seam.compare(old, new.closes)
        if joined.problem or (joined.scale != 1.0 and file.symbol != SMH):
            reason = joined.problem or f"the broker's levels are {joined.scale:g} times the file's"
            raise RefusedError(f"{file.name}: {reason}: not extended; move it away to fetch afresh")
        if joined.odd:
            self._outcome.notes.append(
                f"{file.name}: {_few(joined.odd)}; the rows of the file are kept"
            )
        if joined.scale != 1.0:
            self._say_split(file, joined, last)
            file.rescale(joined.scale)
        added = {day: of for day, of in lines.items() if day not in known.rows or day == last}
        file.lines.update(added)
        if added or joined.scale != 1.0:
            file.write()
        self._outcome.added[file.name] = len(added.keys() - known.rows.keys())
        self._step(file.name, 1, 1)
        self._say_gaps(file, [session.date for session in sessions])
        return judged(file, _all_lines(file), self._sessions, {}).rows

    def _daily_asked(self, symbol: str, days: Sequence[date]) -> BarsAsked:
        """From the first session that may be missing to now."""
        over = [session.date for session in self._over]
        begin = self._first or (days[0] if days else EARLIEST)
        have = set(days)
        if symbol == VIX and days and begin >= days[0]:
            begin = days[-1]  # the last known level stands in for its holes
        place = next((at for at, day in enumerate(over) if day >= begin and day not in have), None)
        if days:
            newest = bisect_left(over, days[-1])
            place = min(newest if place is None else place, newest) - OVERLAP_SESSIONS
        place = max(0, place or 0)
        today = datetime.fromtimestamp(self._tws.now_ns // SECOND_NS, UTC).date()
        # One more than the sessions that are over: today's may be running.
        duration = history_limits.daily_duration(
            len(over) - place + 1, (today - over[place]).days + 1
        )
        return BarsAsked(symbol, history_limits.DAILY.tws, duration, 0)

    def _say_split(self, file: BarFile, joined: seam.Seam, last: date | None) -> None:
        named = seam.words(joined.scale)
        self._outcome.notes.append(
            f"{file.name}: a {named} split since {last}: all rows up to then were multiplied by "
            f"{joined.scale:g} (volumes divided)"
        )
        for other in (ACTIONS_FILE, ADJUSTED_FILE):
            if (self._folder / other).exists():
                self._outcome.notes.append(
                    f"{other}: still in the shares before the {named} split, since TWS gives "
                    "neither dividends nor split dates: multiply its values up to "
                    f"{last} by {joined.scale:g} and add the split by hand"
                )

    # --- intraday bars -------------------------------------------------------------------------

    async def _intraday(self, file: BarFile, daily: dict[date, DailyRow]) -> None:
        """Each missing session, a week or a day at a time, oldest first."""
        file.read()
        self._rescale_as(file, daily)
        known = self._sound(file, daily)
        chunks = self._chunks(file, known)
        before = set(file.lines)
        for done, chunk in enumerate(chunks):
            self._step(file.name, done, len(chunks))
            size = history_limits.INTRADAY[file.kind]
            asked = BarsAsked(file.symbol, size.tws, size.duration, chunk[-1].close_ns)
            lines, _ = self._taken(file, await self._ask(asked), daily, chunk)
            better = {
                day: of for day, of in lines.items() if len(of) >= len(file.lines.get(day, ()))
            }
            if better:
                file.lines.update(better)
                file.write()
        self._step(file.name, len(chunks), len(chunks))
        self._outcome.added[file.name] = len(file.lines.keys() - before)
        self._say_gaps(file, [session.date for chunk in chunks for session in chunk])

    def _rescale_as(self, file: BarFile, daily: dict[date, DailyRow]) -> None:
        """After a split the daily file is on the new scale already; this one follows it."""
        closes = {day: float(lines[-1].split(",")[4]) for day, lines in file.lines.items()}
        joined = seam.compare(closes, {day: row.close for day, row in daily.items()})
        if joined.problem or joined.scale == 1.0:
            return
        file.rescale(joined.scale)
        file.write()
        named = seam.words(joined.scale)
        self._outcome.notes.append(f"{file.name}: rescaled for the {named} split")

    def _chunks(self, file: BarFile, known: Reading) -> list[list[SessionTimes]]:
        """The sessions to ask for, as many at once as one request may span."""
        days = sorted(file.lines)
        begin = self._first or (days[0] if days else None)
        if begin is None:
            begin = self._over[-1].date - timedelta(days=FIRST_DAYS[file.kind])
        last = days[-1] if days else None
        missing = [
            session
            for session in self._over
            if session.date >= begin and (session.date not in known.whole or session.date == last)
        ]
        if history_limits.INTRADAY[file.kind].duration == "1 W":
            by_week = groupby(missing, key=lambda session: session.date.isocalendar()[:2])
            return [list(week) for _, week in by_week]
        return [[session] for session in missing]

    # --- both ----------------------------------------------------------------------------------

    async def _ask(self, asked: BarsAsked) -> list[PastBar]:
        self._outcome.requests += 1
        return await self._tws.bars(asked)

    def _sound(self, file: BarFile, daily: dict[date, DailyRow]) -> Reading:
        """What the file holds; FileError when the loader would refuse a row of it."""
        if not file.lines:
            return Reading()
        known = judged(file, _all_lines(file), self._sessions, daily)
        if known.problems:
            more = f" and {len(known.problems) - 1} more" if len(known.problems) > 1 else ""
            reason = f"{known.problems[0]}{more}"
            raise FileError(f"{reason}: see `trader history check`, mend the file or move it away")
        return known

    def _taken(
        self,
        file: BarFile,
        bars: Iterable[PastBar],
        daily: dict[date, DailyRow],
        sessions: Iterable[SessionTimes],
    ) -> tuple[dict[date, list[str]], Reading]:
        """The answer's lines by day, of these sessions; what the loader would refuse is left out
        and said."""
        wanted = {session.date for session in sessions}
        of_them = (bar for bar in bars if bar.day in wanted)
        lines, new = accepted(file, of_them, self._sessions, daily)
        if new.problems:
            self._outcome.notes.append(f"left out of the broker's answer: {_few(new.problems)}")
        return lines, new

    def _say_gaps(self, file: BarFile, asked: Sequence[date]) -> None:
        """Sessions that were asked for, within the file's own span, and did not come."""
        first = min(file.lines, default=date.max)
        gaps = [day for day in asked if day >= first and day not in file.lines]
        if not file.lines:
            self._outcome.notes.append(f"{file.name}: the broker has no such bars")
        elif gaps:
            days = _few([str(day) for day in gaps])
            self._outcome.notes.append(f"{file.name}: no bars of {days} at the broker")


def _few(texts: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more


def _all_lines(file: BarFile) -> list[str]:
    return [line for day in sorted(file.lines) for line in file.lines[day]]
