"""The day at whose points processes are killed: an entry, a stop, the night, the next day's open
and entry, and no fault.

A point is a process, where in its work it is (before or after a journal write, after a sync, before
or after a frame or an effect leaves) and what it is writing or sending there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import msgspec

from common.clock import SECOND_NS
from tests.simulation.process import Place, Process
from tests.simulation.world import Script, World, named

SEED = 54
SCRIPT = Script(faults=False, sessions=2, standby=False)
FROM_NS = 2 * SECOND_NS
"""Host time after the start; what is said before is said again by every restart."""


class Point(NamedTuple):
    process: str
    kind: str
    what: str

    def __str__(self) -> str:
        return " ".join(filter(None, self))


def point(words: str) -> Point:
    """As a report names it."""
    process, kind, *what = words.split(" ", 2)
    return Point(process, kind, *what or [""])


def point_of(process: Process, kind: str, data: bytes) -> Point:
    return Point(process.name, kind, _what(kind, data))


def _what(kind: str, data: bytes) -> str:
    """The message's name, and for a record its decisions' names too."""
    if kind.endswith("write"):
        payload = msgspec.msgpack.decode(data[12:])
        if not isinstance(payload[4], list):
            return "State"
        return ">".join([str(payload[4][0]), *(str(out[1][0]) for out in payload[5])])
    return named(kind, data)


def world(*, standby: bool, trace: bool = False) -> World:
    """The day before it begins."""
    return World(SEED, replace(SCRIPT, standby=standby), trace=trace)


def points() -> dict[Point, Place]:
    """The distinct points of the day, in the order in which it reaches them, and their places."""
    found: dict[Point, Place] = {}
    day = world(standby=False)
    from_ns = day.timeline.host_ns + FROM_NS

    def note(process: Process, kind: str, data: bytes) -> bool:
        if day.timeline.host_ns >= from_ns:
            found.setdefault(point_of(process, kind, data), process.place)
        return False

    day.on_point = note
    day.run()
    if day.failures:
        raise AssertionError(f"the reference day itself fails: {day.failures[0]}")
    return found
