"""What a run was fed: rows and dates of each series, and the files by their fingerprints."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from services.backtest.history import History, files_of
from services.backtest.options import Bars


class Series(NamedTuple):
    name: str
    rows: int
    first: date | None
    last: date | None


class File(NamedTuple):
    """`sha256`: of the whole file, in hexadecimal."""

    name: str
    size_bytes: int
    sha256: str


class Run(NamedTuple):
    """Consecutive sessions, from the first to the last."""

    first: date
    last: date
    sessions: int


def series(history: History) -> list[Series]:
    """Each series of the history, whether the run needed it or not."""
    return [
        _series("SMH, one bar a session", history.days),
        _series("VIX closes", history.vix.days),
        _series("fed funds rate", history.rates.days),
        _series("dividends", sorted(history.dividends)),
        _series("SMH dividend-adjusted", history.adjusted.days),
        _series("sessions with intraday bars", sorted(history.intraday)),
    ]


def read(folder: Path, bars: Bars) -> list[File]:
    """The files of a data folder that a history of such bars is made of."""
    found = []
    for path in files_of(folder, bars):
        content = path.read_bytes()
        found.append(File(path.name, len(content), hashlib.sha256(content).hexdigest()))
    return found


def runs(chosen: Sequence[date], sessions: Sequence[date]) -> list[Run]:
    """The chosen days, those that follow each other among the sessions in one line."""
    place = {day: at for at, day in enumerate(sessions)}
    found: list[list[date]] = [[chosen[0]]] if chosen else []
    for before, day in pairwise(chosen):
        if place[day] == place[before] + 1:
            found[-1].append(day)
        else:
            found.append([day])
    return [Run(days[0], days[-1], len(days)) for days in found]


def _series(name: str, days: Sequence[date]) -> Series:
    return Series(name, len(days), days[0] if days else None, days[-1] if days else None)
