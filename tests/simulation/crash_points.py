"""Every point of a reference day at which a process can be killed: each once, and pairs of them.

A point is a process, where in its work it is (before or after a journal write, after a sync, before
or after a frame or an effect leaves) and what it is writing or sending there. The reference day
has an entry, a stop, the night and the next day's open and entry, and no fault. Alone, every point
kills a process that restarts from disk, and one of the stop monitor's that a standby goes on with
too; at pairs of points a standby is there, as it nearly always is.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from random import Random
from typing import NamedTuple

import msgspec

from common import topology
from common.clock import SECOND_NS
from tests.simulation import campaign
from tests.simulation.process import Process
from tests.simulation.world import Script, World

REFERENCE_SEED = 54
REFERENCE = Script(faults=False, sessions=2, standby=False)
CHUNK = 20
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


class Plan(NamedTuple):
    """Kills in their order, and whether a second stop monitor stands by."""

    points: tuple[Point, ...]
    standby: bool

    def __str__(self) -> str:
        return f"killed at {', then at '.join(map(str, self.points))}" + (
            ", with a standby" if self.standby else ""
        )


class Played(NamedTuple):
    """What broke, and how many of the plan's kills came: after the first one the day may never
    reach the second one's point again."""

    plan: Plan
    failures: list[str]
    kills: int


def killed_at(plan: Plan) -> Played:
    """The reference day with a kill at each point in turn."""
    world = World(REFERENCE_SEED, replace(REFERENCE, standby=plan.standby))
    left = list(plan.points)
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
    return Played(plan, list(world.failures), len(plan.points) - len(left))


def _killed_in_order(plans: Sequence[Plan]) -> list[Played]:
    campaign.quiet()
    played = []
    for plan in plans:
        played.append(killed_at(plan))
        gc.collect()
    return played


def singly(points: Sequence[Point]) -> list[Plan]:
    """Each point once, the stop monitor's once more with a standby."""
    alone = [Plan((point,), standby=False) for point in points]
    return alone + [Plan((p,), standby=True) for p in points if p.process == topology.RISK]


def pairs(points: Sequence[Point], count: int) -> list[Plan]:
    """A sample of all ordered pairs, the same for the same count; all when so many are asked."""
    total = len(points) ** 2
    chosen = sorted(Random(count).sample(range(total), min(count, total)))
    both = ((points[at // len(points)], points[at % len(points)]) for at in chosen)
    return [Plan(pair, standby=True) for pair in both]


def run(pair_count: int) -> Iterator[str]:
    """All points singly, then that many pairs; lines for a person, the failures among them."""
    campaign.quiet()
    points = reached()
    single, double = singly(points), pairs(points, pair_count)
    plans = [*single, *double]
    chunks = [plans[at : at + CHUNK] for at in range(0, len(plans), CHUNK)]
    failed = twice = 0
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        for played in pool.map(_killed_in_order, chunks):
            for plan, failures, kills in played:
                twice += kills == 2
                if failures:
                    failed += 1
                    yield f"  {plan}: {failures[0]}"
    yield (
        f"{len(points)} crash points, {len(single)} runs with one of them; {len(double):,} of "
        f"{len(points) ** 2:,} pairs, both killed at in {twice:,}; {failed} runs failed"
    )
