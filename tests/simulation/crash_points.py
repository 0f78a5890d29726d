"""Every point of a reference day at which a process can be killed: each once, and pairs of them.

A point is a process, where in its work it is (before or after a journal write, after a sync, before
or after a frame or an effect leaves) and what it is writing or sending there. The reference day
has an entry, a stop, the night and the next day's open and entry, and no fault.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import msgspec

from common.clock import SECOND_NS
from tests.simulation import campaign
from tests.simulation.process import Process
from tests.simulation.world import Script, World

REFERENCE_SEED = 54
REFERENCE = Script(faults=False, sessions=2)
FROM_NS = 2 * SECOND_NS
"""Host time after the start; what is said before is said again by every restart."""


class Point(NamedTuple):
    process: str
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.process} {self.kind} {self.what}"


def point_of(process: Process, kind: str, data: bytes) -> Point:
    return Point(process.name, kind, _what(kind, data))


def _what(kind: str, data: bytes) -> str:
    """The message's name, and for a record its decisions' names too."""
    if kind.endswith("say"):
        return data[: data.index(b"\0")].decode()
    if kind.endswith("perform"):
        return data.decode()
    if kind.endswith(("ask", "answer")):
        return str(msgspec.msgpack.decode(data)[6][0])
    if kind.endswith("write"):
        payload = msgspec.msgpack.decode(data[12:])
        if not isinstance(payload[4], list):
            return "State"
        return ">".join([str(payload[4][0]), *(str(out[1][0]) for out in payload[5])])
    return ""


def reached() -> list[Point]:
    """The distinct points of the reference day, in the order in which it reaches them."""
    found: dict[Point, None] = {}
    world = World(REFERENCE_SEED, REFERENCE)
    from_ns = world.timeline.host_ns + FROM_NS

    def note(process: Process, kind: str, data: bytes) -> bool:
        if world.timeline.host_ns >= from_ns:
            found[point_of(process, kind, data)] = None
        return False

    world.on_point = note
    world.run()
    if world.failures:
        raise AssertionError(f"the reference day itself fails: {world.failures[0]}")
    return list(found)


def killed_at(points: Sequence[Point]) -> list[str]:
    """The reference day with a kill at each point in turn; what broke, and what was not reached."""
    world = World(REFERENCE_SEED, REFERENCE)
    left = list(points)
    from_ns = world.timeline.host_ns + FROM_NS

    def kill(process: Process, kind: str, data: bytes) -> bool:
        if not left or (process.name, kind) != left[0][:2] or world.timeline.host_ns < from_ns:
            return False
        if point_of(process, kind, data) != left[0]:
            return False
        left.pop(0)
        return True

    world.on_point = kill
    world.run()
    return list(world.failures)


def _killed_in_order(plans: Sequence[Sequence[Point]]) -> list[tuple[Sequence[Point], list[str]]]:
    campaign.quiet()
    found = []
    for plan in plans:
        failures = killed_at(plan)
        gc.collect()
        if failures:
            found.append((plan, failures))
    return found


def pairs(points: Sequence[Point], count: int) -> list[tuple[Point, Point]]:
    """A systematic sample of all ordered pairs: every so-manieth of them."""
    total = len(points) ** 2
    step = max(1, total // max(1, count))
    chosen = range(0, total, step)
    return [(points[at // len(points)], points[at % len(points)]) for at in chosen]


def run(pair_count: int) -> Iterator[str]:
    """All points singly, then that many pairs; lines for a person, the failures among them."""
    campaign.quiet()
    points = reached()
    plans: list[Sequence[Point]] = [(point,) for point in points]
    plans += pairs(points, pair_count) if pair_count else []
    size = 20
    chunks = [plans[at : at + size] for at in range(0, len(plans), size)]
    failed = 0
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        for found in pool.map(_killed_in_order, chunks):
            for plan, failures in found:
                failed += 1
                yield f"  killed at {', then at '.join(map(str, plan))}: {failures[0]}"
    yield (
        f"{len(points)} crash points, each singly; {len(plans) - len(points):,} of "
        f"{len(points) ** 2:,} pairs; {failed} runs failed"
    )
