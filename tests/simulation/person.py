"""The person at the command line: halts, resumes, flattens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from common import topology, wire
from common.messages import Flatten, Halt, Resume
from tests.simulation.fault import NOTHING, Harm
from tests.simulation.process import PERSON

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis
    from tests.simulation.world import World

HALT_KEY, RESUME_KEY = "halt-", "resume-"


def halts(nemesis: Nemesis) -> Harm:
    both = (topology.RISK, topology.GATEWAY)
    ask(nemesis.world, lambda now: Halt(f"{HALT_KEY}{now}", 0, "the person", "a test"), both)
    return nemesis.chance.uniform(3, 20), lambda: ask(
        nemesis.world, lambda now: Resume(f"{RESUME_KEY}{now}", 0, "the person"), both
    )


def flattens(nemesis: Nemesis) -> Harm:
    nemesis.flattened = True
    ask(nemesis.world, lambda now: Flatten(f"flatten-{now}", 0, "the person"), (topology.RISK,))
    return NOTHING


def ask(world: World, command: Callable[[int], Any], answerers: tuple[str, ...]) -> None:
    """As the command line asks: both, once."""
    for answerer in answerers:
        process = world.processes[answerer]
        envelope: wire.Envelope[Any] = wire.Envelope(
            wire.WIRE_VERSION, topology.TRADER, 1, 0, 0, world.now_ns(),
            command(world.timeline.host_ns),
        )  # fmt: skip
        if process.up and not process.paused:
            now_ns = world.timeline.host_ns
            process.deliver(now_ns, "command", PERSON, wire.encode(envelope))
