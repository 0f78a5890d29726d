"""Reads the CSV files of a replay, and refuses by file and row what nobody could trade on.

Each reader hands what it refuses to `refuse`: by default that raises and ends the reading; one that
takes note and returns leaves the row out and goes on, so that every fault of a file can be listed.

Columns: daily files `date,open,high,low,close,volume`; intraday files the same with `timestamp`
(ISO 8601 with its UTC offset, the bar's start) in place of `date`; actions `date,kind,value`.
Prices and dividends are split-adjusted throughout, as data vendors deliver them. Rows are counted
as an editor counts lines: the header is row 1.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from itertools import pairwise
from math import isfinite
from pathlib import Path

from common.clock import SECOND_NS
from services.sim_tws.market.interface import Action, MarketDataError
from services.sim_tws.market.session_path import PriceBar
from services.sim_tws.market.sessions import Sessions

# Outside these years a date is a slip of the pen; the exchange's calendar is known inside them.
YEAR_MIN, YEAR_MAX = 1970, 2100
SERIES_YEAR_MIN = 1900  # of series without sessions, such as interest rates
# A price this far from the close before, near a split's ratio, is a split that was not adjusted.
# SMH's largest day since 2000 is 17.2%, so no true day of it is refused.
SPLIT_MOVE_MIN = 0.18
SPLIT_RATIOS = (1.25, 4 / 3, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 50)
# The price moves on the split's day too. The smallest ratios are what a crash comes near to.
SPLIT_RATIO_TOLERANCE, SMALL_RATIO_TOLERANCE = 0.1, 0.035
SMALL_RATIO_BELOW = 1.5
# SMH's lowest open since 2000 was 11.7% below the close before, on 16 March 2020. A lower one is
# refused whatever its ratio: a small split on a day that moves far the other way is near to none.
OPEN_FALL_MAX = 0.125
# Of a large move that a person vouches for, beside the closes themselves.
MOVE_TOLERANCE = 0.01
# Vendors differ by up to 0.2% on a day's extremes; beyond 1% it is another price.
INTRADAY_MISMATCH_MAX = 0.01

Refuse = Callable[[MarketDataError], None]


def at_once(problem: MarketDataError) -> None:
    """The first refusal ends the reading."""
    raise problem


@dataclass(frozen=True, slots=True)
class DailyRow:
    """A session as its file has it; `row` is where."""

    row: int
    date: date
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a series; `row` is where it stands."""

    row: int
    date: date
    value: float


def read_daily(path: Path, *, widen: bool = False, refuse: Refuse = at_once) -> list[DailyRow]:
    """The file's days, oldest first, without the rows that were refused.

    With `widen` an open or close outside [low, high] widens the range instead of being refused:
    Cboe's published VIX history has 47 such rows between 1992 and 2006.
    """
    rows: list[DailyRow] = []
    for number, fields in _rows(path, "date", refuse=refuse, needed=True):
        try:
            row = _daily_row(path, number, fields, rows[-1].date if rows else None, widen=widen)
        except MarketDataError as problem:
            refuse(problem)
        else:
            rows.append(row)
    return rows


def _daily_row(
    path: Path, number: int, fields: dict[str, str], before: date | None, *, widen: bool
) -> DailyRow:
    day = _date(path, number, fields["date"])
    prices, volume = _prices(path, number, fields, widen=widen)
    if before is not None and day <= before:
        kind = "repeated" if day == before else f"older than {before} above it"
        raise _refused(path, number, f"date {day} is {kind}")
    return DailyRow(number, day, *prices, volume)


def check_sessions(
    path: Path,
    rows: list[DailyRow],
    sessions: Sessions,
    *,
    holes: bool,
    refuse: Refuse = at_once,
) -> None:
    """Refuses a row that is no session and, unless `holes` are allowed, sessions without a row.

    Where a row was refused before there is no second refusal for the hole it left.
    """
    for row in rows:
        if sessions.on(row.date) is None:
            refuse(_refused(path, row.row, f"{row.date} is no session of the exchange"))
    if holes:
        return
    for before, row in pairwise(rows):
        missing = sessions.between(before.date, row.date)
        if missing and row.row == before.row + 1:
            first, last = missing[0].date, missing[-1].date
            named = f"the session {first} is"
            if len(missing) > 1:
                named = f"{len(missing)} sessions from {first} to {last} are"
            refuse(_refused(path, row.row, f"{named} missing above it"))


def check_splits(
    path: Path,
    rows: list[DailyRow],
    actions: Sequence[tuple[date, Action]],
    *,
    refuse: Refuse = at_once,
) -> None:
    """Refuses a one-day move that looks like a split left in the prices, and an open lower than
    SMH's ever was.

    The files are split-adjusted, so no split can be seen in them, listed as an action or not. A
    true move of such a size is an action of its own: `date,move,RATIO` of the two closes.
    """
    moves = {day: action.value for day, action in actions if action.kind == "move"}
    for before, row in pairwise(rows):
        opened = row.open / before.close
        near = _split_near(opened) or _split_near(row.close / before.close)
        if not near and opened < 1.0 - OPEN_FALL_MAX:
            near = _nearest(opened)
        ratio = row.close / before.close
        if near and abs(moves.get(row.date, 0.0) / ratio - 1.0) > MOVE_TOLERANCE:
            split = Fraction(near).limit_denominator(round(max(SPLIT_RATIOS)))
            reason = (
                f"the close went from {before.close:g} to {row.close:g}, which looks like a"
                f" {split.numerator}:{split.denominator} split: prices must be split-adjusted, and"
                f" the split an action; if SMH truly moved so,"
                f" put {row.date},move,{ratio:.4g} into SMH_actions.csv"
            )
            refuse(_refused(path, row.row, reason))


def _split_near(ratio: float) -> float:
    """The split, new shares per old one, that a price / the close before looks like; 0.0: none."""
    if abs(ratio - 1.0) <= SPLIT_MOVE_MIN:
        return 0.0
    near = _nearest(ratio)
    off = abs(max(ratio, 1.0 / ratio) / near - 1.0)
    small = near < SMALL_RATIO_BELOW
    if off > (SMALL_RATIO_TOLERANCE if small else SPLIT_RATIO_TOLERANCE):
        return 0.0
    return near if ratio < 1.0 else 1.0 / near


def _nearest(ratio: float) -> float:
    """The split whose ratio is nearest to that of two prices, whichever way round."""
    fold = max(ratio, 1.0 / ratio)
    return min(SPLIT_RATIOS, key=lambda known: abs(known - fold))


def read_intraday(
    path: Path,
    bar_s: int,
    sessions: Sessions,
    daily: dict[date, DailyRow],
    *,
    refuse: Refuse = at_once,
) -> dict[date, list[PriceBar]]:
    """The file's bars by session, each of `bar_s` seconds, oldest first; refused rows left out."""
    bars: dict[date, list[PriceBar]] = {}
    last: datetime | None = None
    for number, fields in _rows(path, "timestamp", refuse=refuse):
        try:
            start = _start(path, number, fields, last)
            last = start
            bar = _bar(path, number, fields, start, bar_s, sessions, daily)
        except MarketDataError as problem:
            refuse(problem)
        else:
            bars.setdefault(start.date(), []).append(bar)
    return bars


def _start(path: Path, number: int, fields: dict[str, str], last: datetime | None) -> datetime:
    """When the bar of a row begins, later than the one above it."""
    start = _timestamp(path, number, fields["timestamp"])
    if last is not None and start <= last:
        kind = "repeated" if start == last else f"older than {last.isoformat()} above it"
        raise _refused(path, number, f"timestamp {start.isoformat()} is {kind}")
    return start


def _bar(
    path: Path,
    number: int,
    fields: dict[str, str],
    start: datetime,
    bar_s: int,
    sessions: Sessions,
    daily: dict[date, DailyRow],
) -> PriceBar:
    """A row's bar, which begins on the session's grid and fits its day."""
    (open_, high, low, close), volume = _prices(path, number, fields, widen=False)
    day = start.date()
    session = sessions.on(day)
    if session is None or day not in daily:
        raise _refused(path, number, f"{day} is not among the daily file's sessions")
    start_s = int(start.timestamp()) - session.open_ns // SECOND_NS
    length_s = (session.close_ns - session.open_ns) // SECOND_NS
    if start.microsecond or start_s % bar_s or not 0 <= start_s <= length_s - bar_s:
        reason = f"{start.isoformat()} begins no {bar_s} s bar of the session"
        raise _refused(path, number, reason)
    whole = daily[day]
    highest, lowest = 1 + INTRADAY_MISMATCH_MAX, 1 - INTRADAY_MISMATCH_MAX
    if high > whole.high * highest or low < whole.low * lowest:
        reason = f"{low:g} to {high:g} is far outside the day's {whole.low:g} to {whole.high:g}"
        raise _refused(path, number, reason)
    return PriceBar(start_s, bar_s, open_, high, low, close, volume)


def read_actions(
    path: Path, sessions: Sessions, *, refuse: Refuse = at_once
) -> list[tuple[date, Action]]:
    """Splits, dividends and true moves inside the sessions' range, oldest first.

    Dividends stay as the file has them: per share after all later splits.
    """
    actions: list[tuple[date, Action]] = []
    for number, fields in _rows(path, "date", ("kind", "value"), refuse=refuse):
        try:
            day, action = _action(path, number, fields, actions, sessions)
        except MarketDataError as problem:
            refuse(problem)
            continue
        if sessions.first_day <= day <= sessions.last_day:
            actions.append((day, action))
    return actions


def _action(
    path: Path,
    number: int,
    fields: dict[str, str],
    known: list[tuple[date, Action]],
    sessions: Sessions,
) -> tuple[date, Action]:
    day = _date(path, number, fields["date"])
    kind = fields["kind"].strip()
    value = _number(path, number, "value", fields["value"])
    if value <= 0:
        raise _refused(path, number, f"value {fields['value']} is not positive")
    if known and day < known[-1][0]:
        raise _refused(path, number, f"date {day} is older than {known[-1][0]} above it")
    if any(on == day and action.kind == kind for on, action in known):
        raise _refused(path, number, f"a second {kind} on {day}")
    inside = sessions.first_day <= day <= sessions.last_day
    if inside and sessions.on(day) is None:
        raise _refused(path, number, f"{day} is no session of the exchange")
    if kind == "split":
        return day, Action("split", value)
    if kind == "dividend":
        return day, Action("dividend", value)
    if kind == "move":
        return day, Action("move", value)
    raise _refused(path, number, f"kind '{kind}' is neither split nor dividend nor move")


def read_column(path: Path, name: str, above: float, *, refuse: Refuse = at_once) -> list[Cell]:
    """One numeric column by date, oldest first, each value larger than `above`."""
    cells: list[Cell] = []
    for number, fields in _rows(path, "date", (name,), refuse=refuse):
        try:
            day = _date(path, number, fields["date"], SERIES_YEAR_MIN)
            value = _number(path, number, name, fields[name])
            if cells and day <= cells[-1].date:
                reason = f"date {day} does not come after {cells[-1].date}"
                raise _refused(path, number, reason)
            if value <= above:
                raise _refused(path, number, f"{name} {fields[name]} is out of range")
        except MarketDataError as problem:
            refuse(problem)
        else:
            cells.append(Cell(number, day, value))
    return cells


def _rows(
    path: Path,
    key: str,
    others: tuple[str, ...] = ("open", "high", "low", "close", "volume"),
    *,
    refuse: Refuse,
    needed: bool = False,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's number and its fields by column; every wanted column is there and filled.

    `needed`: a file without rows is refused.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        refuse(MarketDataError(f"{path.name}: {problem.strerror} in {path.parent.resolve()}"))
        return
    except UnicodeDecodeError as problem:
        refuse(MarketDataError(f"{path.name}: not a text file ({problem.reason})"))
        return
    reader = csv.reader(text.splitlines())
    try:
        header = [name.strip() for name in next(reader, [])]
        if not header:
            refuse(_refused(path, 1, f"the file is empty; it needs {','.join((key, *others))}"))
            return
        for wanted in (key, *others):
            if header.count(wanted) != 1:
                reason = f"needs one column '{wanted}', has {','.join(header)}"
                refuse(_refused(path, 1, reason))
                return
        for values in reader:
            if len(values) != len(header):
                counts = f"{len(values)} fields under {len(header)} columns"
                refuse(_refused(path, reader.line_num, counts))
                continue
            yield reader.line_num, dict(zip(header, values, strict=True))
        if needed and reader.line_num <= 1:
            refuse(MarketDataError(f"{path.name}: no rows below the header"))
    except csv.Error as problem:
        refuse(_refused(path, reader.line_num, str(problem)))


def _prices(
    path: Path, row: int, fields: dict[str, str], *, widen: bool
) -> tuple[tuple[float, float, float, float], float]:
    """(open, high, low, close) and the volume of a row whose prices fit together."""
    names = ("open", "high", "low", "close")
    open_, high, low, close = (_number(path, row, name, fields[name]) for name in names)
    volume = _number(path, row, "volume", fields["volume"])
    for name, price in zip(names, (open_, high, low, close), strict=True):
        if price <= 0:
            raise _refused(path, row, f"{name} {price:g} is not positive")
    if volume < 0:
        raise _refused(path, row, f"volume {volume:g} is negative")
    if high < low:
        raise _refused(path, row, f"high {high:g} is below low {low:g}")
    if widen:
        high, low = max(high, open_, close), min(low, open_, close)
    for name, price in (("open", open_), ("close", close)):
        if not low <= price <= high:
            raise _refused(path, row, f"{name} {price:g} is outside {low:g} to {high:g}")
    return (open_, high, low, close), volume


def _number(path: Path, row: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise _refused(path, row, f"{name} '{text}' is not a number")
    return value


def _date(path: Path, row: int, text: str, year_min: int = YEAR_MIN) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as problem:
        raise _refused(path, row, f"date '{text}' is not YYYY-MM-DD") from problem
    if not year_min <= day.year <= YEAR_MAX:
        raise _refused(path, row, f"date {day} is not between {year_min} and {YEAR_MAX}")
    return day


def _timestamp(path: Path, row: int, text: str) -> datetime:
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError as problem:
        raise _refused(path, row, f"timestamp '{text}' is not ISO 8601") from problem
    if stamp.tzinfo is None:
        raise _refused(path, row, f"timestamp '{text}' names no UTC offset")
    return stamp


def _refused(path: Path, row: int, reason: str) -> MarketDataError:
    return MarketDataError(f"{path.name}, row {row}: {reason}")
