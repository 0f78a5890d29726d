"""Runs of the reference day that begin alike, played as one: where they part, the process forks.

At each point where some plan wants a kill, a copy of the whole process is killed and goes on with
the plans that want it; this one goes on with the others. So the way to a point is gone once for all
who are killed there. Who is killed at the same place (`Process.place`) shares the rest as well.
What becomes of a plan is still, byte for byte, what becomes of it alone. A copy is played to its
end before its parent goes on: a plan of two kills has three processes at most.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from common.parent import die_with_parent
from tests.simulation import reference_day
from tests.simulation.process import Place, Process
from tests.simulation.reference_day import Point

HANG_S = 120
"""A run takes a fifth of a second; what is not over after so long hangs."""


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
    reach the second one's point again. `story`: the run's hash; "" where it has none to tell."""

    plan: Plan
    failures: list[str]
    kills: int
    story: str


def alone(plan: Plan, *, trace: bool = False) -> tuple[Played, list[str]]:
    """In this process, from the beginning; with `trace` its story too, line by line."""
    branch = Branch([plan], is_alone=True, trace=trace)
    branch.play()
    return branch.told[0], branch.world.trace or []


def together(plans: Sequence[Plan]) -> list[Played]:
    """In copies of this process, which must have no second thread. All with a standby, or none."""
    branch = Branch(plans)
    if branch.fork(plans):
        branch.play()
    return branch.told


class Branch:
    """A run, and the plans that are still alike in it."""

    def __init__(
        self, plans: Sequence[Plan], *, is_alone: bool = False, trace: bool = False
    ) -> None:
        (standby,) = {plan.standby for plan in plans}
        self.world = reference_day.world(standby=standby, trace=trace)
        self.told: list[Played] = []
        """What became of the plans that are not alike any more, and in the end of all."""
        self._from_ns = self.world.timeline.host_ns + reference_day.FROM_NS
        self._is_alone = is_alone
        self._kills = 0
        self._place: Place | None = None
        self._here: dict[tuple[Point, ...], Played] = {}
        """What became of those who were killed at `_place`, by the kills that came after."""
        self._pipe: int | None = None
        """To the process of which this one is a copy."""
        self._go_on_with(plans)

    def _go_on_with(self, plans: Sequence[Plan]) -> None:
        self._next: dict[Point | None, list[Plan]] = {}
        for plan in plans:
            point = plan.points[self._kills] if len(plan.points) > self._kills else None
            self._next.setdefault(point, []).append(plan)
        self.world.on_point = self._at if set(self._next) != {None} else None

    def _at(self, process: Process, kind: str, data: bytes) -> bool:
        """Whether this very process, in this very run, is killed here."""
        if self.world.timeline.host_ns < self._from_ns:
            return False
        plans = self._next.pop(reference_day.point_of(process, kind, data), None)
        if plans is None:
            return False
        if process.place != self._place:
            self._place, self._here = process.place, {}
        plans = self._yet_unknown(plans)
        if plans and (self._is_alone or self.fork(plans)):
            self._kills += 1
            self._go_on_with(plans)
            return True
        if not self._next:
            self.world.timeline.over = True  # nobody asks how it goes on
        return False

    def _yet_unknown(self, plans: list[Plan]) -> list[Plan]:
        """Without those that are, here and from here on, as one of which is told already."""
        unknown = []
        for plan in plans:
            same = self._here.get(plan.points[self._kills + 1 :])
            if same is None:
                unknown.append(plan)
            else:
                self.told.append(same._replace(plan=plan))
        return unknown

    def fork(self, plans: Sequence[Plan]) -> bool:
        """True in the copy, which is to play these; False here, once it has."""
        try:
            reading, writing = os.pipe()
            mine, copy = os.getpid(), os.fork()
        except OSError as error:  # the simulated process would take it for its own
            raise SystemExit(f"no process for a branch: {error}") from error
        if copy == 0:
            os.close(reading)
            die_with_parent(mine)
            signal.alarm(HANG_S)
            self._pipe, self.told = writing, []
            return True
        os.close(writing)
        signal.alarm(0)  # who waits does not hang: the copy would
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read()
        ended = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
        signal.alarm(0 if self._pipe is None else HANG_S)
        if ended == 0:
            became = msgspec.msgpack.decode(told, type=list[Played])
        else:
            became = [Played(plan, [_why(ended)], 0, "") for plan in plans]
        self.told += became
        self._here |= {one.plan.points[self._kills + 1 :]: one for one in became}
        return False

    def play(self) -> None:
        """To the end. A copy tells its parent what became of its plans, and does not return."""
        try:
            self._run()
            if self._pipe is not None:
                with os.fdopen(self._pipe, "wb", closefd=False) as pipe:
                    pipe.write(msgspec.msgpack.encode(self.told))
                os._exit(0)
        finally:
            if self._pipe is not None:
                os._exit(1)

    def _run(self) -> None:
        try:
            self.world.run()
        except Exception:  # noqa: BLE001 (whatever it is, it is a finding)
            self.world.fail(f"the run broke off:\n{traceback.format_exc()}")
        failures, story = self.world.failures, self.world.hash()
        alike = [plan for plans in self._next.values() for plan in plans]
        self.told += [Played(plan, failures, self._kills, story) for plan in alike]


def _why(ended: int) -> str:
    """`ended`: an exit status; below zero, a signal."""
    if ended == -signal.SIGALRM:
        return f"not over after {HANG_S} s"
    return f"its process ended with {ended}"
