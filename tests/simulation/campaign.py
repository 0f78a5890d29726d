"""Many seeds on all cores: what failed, how to repeat it, and what was injected how often."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from common.parent import die_with_parent
from tests.simulation.market import calendar
from tests.simulation.world import Script, World

CHUNK = 25
PROGRESS_S = 5.0


@dataclass(slots=True)
class Tally:
    """Of some seeds: `failures` are (seed, first broken promise)."""

    seeds: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.seeds += other.seeds
        self.failures += other.failures
        self.injected += other.injected
        self.events += other.events


def quiet() -> None:
    """Logs nothing, and leaves collecting garbage to whoever runs many worlds: nothing that lives
    now is looked at again, so that a collection costs no more than the worlds that are over."""
    logging.disable(logging.CRITICAL)
    gc.disable()
    gc.collect()
    gc.freeze()


def play(seed: int, script: Script | None = None, *, trace: bool = False) -> World:
    """One run to its end."""
    world = World(seed, script, trace=trace)
    world.run()
    return world


def run_chunk(first: int, count: int) -> Tally:
    """Some seeds in this process, one after the other."""
    quiet()
    tally = Tally(seeds=count)
    for seed in range(first, first + count):
        world = play(seed)
        tally.injected += world.injected
        tally.events += world.events()
        if world.failures:
            tally.failures.append((seed, world.failures[0]))
        del world
        gc.collect()
    return tally


def run(first: int, seeds: int, workers: int = 0) -> Tally:
    """All of them, a chunk at a time on each core; says how far it is."""
    workers = workers or os.cpu_count() or 1
    total, began_s, said_s = Tally(), time.monotonic(), time.monotonic()
    chunks = [(at, min(CHUNK, first + seeds - at)) for at in range(first, first + seeds, CHUNK)]
    mine = os.getpid()
    calendar().all  # noqa: B018 (made here, once for all workers)
    with ProcessPoolExecutor(workers, initializer=die_with_parent, initargs=(mine,)) as pool:
        for tally in pool.map(run_chunk, *zip(*chunks, strict=True)):
            total.add(tally)
            for seed, _ in tally.failures:
                print(f"seed {seed} failed", file=sys.stderr)  # noqa: T201 (as below)
            if time.monotonic() - said_s > PROGRESS_S or total.seeds == seeds:
                said_s = time.monotonic()
                rate = total.seeds / (said_s - began_s)
                print(  # noqa: T201 (a program's own words)
                    f"{total.seeds:,} of {seeds:,} seeds, {rate:.1f} a second, "
                    f"{len(total.failures)} failed",
                    file=sys.stderr,
                )
    return total


def report(tally: Tally) -> Iterator[str]:
    """What a person is told at the end."""
    yield f"{tally.seeds:,} seeds, {len(tally.failures)} failed"
    for seed, sentence in sorted(tally.failures):
        lines = sentence.strip().splitlines()
        yield f"  seed {seed}: {lines[0]} {lines[-1] if len(lines) > 1 else ''}"
        yield f"    python -m tests.simulation --seed {seed} --trace"
    yield "seen:"
    yield from _columns(tally.events)
    yield "injected:"
    yield from _columns(tally.injected)


def _columns(counts: Counter[str]) -> Iterator[str]:
    for name, count in sorted(counts.items()):
        yield f"  {name.replace('_', ' '):28} {count:8,}"
