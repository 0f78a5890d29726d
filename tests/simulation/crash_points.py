"""Every point of a reference day at which a process can be killed: each once, and pairs of them.

Alone, every point kills a process that restarts from disk, and one of the stop monitor's that a
standby goes on with too; at pairs of points a standby is there, as it nearly always is.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, groupby, product
from random import Random

from common import topology
from common.parent import die_with_parent
from tests.simulation import branching, campaign, reference_day
from tests.simulation.branching import Plan, Played
from tests.simulation.process import Place
from tests.simulation.reference_day import Point

CHUNK = 100
"""Plans, or more, that are played together: enough to share their way to the first kill."""


def singly(points: Iterable[Point]) -> list[Plan]:
    """Each point once, the stop monitor's once more with a standby."""
    alone = [Plan((point,), standby=False) for point in points]
    return alone + [Plan((p,), standby=True) for p in points if p.process == topology.RISK]


def pairs(places: Mapping[Point, Place]) -> list[Plan]:
    """All ordered pairs, in an order by chance that is always the same: any stretch is a sample.
    Only those whose places are the same on a day without a kill, and which mostly share a run, come
    one after the other."""
    alike = defaultdict[tuple[Place, Place], list[Plan]](list)
    for first, then in product(places, repeat=2):
        alike[places[first], places[then]].append(Plan((first, then), standby=True))
    order = list(alike.values())
    Random(len(places)).shuffle(order)
    return list(chain(*order))


def chunks(plans: Sequence[Plan], places: Mapping[Point, Place]) -> Iterator[list[Plan]]:
    """Those whose first kill is at the same place stay together."""

    def beginning(plan: Plan) -> tuple[bool, Place]:
        return plan.standby, places[plan.points[0]]

    chunk: list[Plan] = []
    for (standby, _), alike in groupby(sorted(plans, key=beginning), beginning):
        if chunk and (len(chunk) >= CHUNK or chunk[0].standby != standby):
            yield chunk
            chunk = []
        chunk += alike
    if chunk:
        yield chunk


def run(count: int, first: int = 0, workers: int = 0) -> Iterator[str]:
    """`count` pairs from the `first` one on, and before the very first one all points singly; lines
    for a person, the failures among them."""
    campaign.quiet()
    places = reference_day.points()
    every = pairs(places)
    single, double = [] if first else singly(places), every[first : first + count]
    failed = twice = 0
    stories = set()
    for plan, failures, kills, story in _all_played([*single, *double], places, workers):
        twice += kills == 2
        stories.add(story)
        if failures:
            failed += 1
            yield f"  {plan}: {failures[0]}"
            yield f"    {again(plan)}"
    yield (
        f"{len(places)} crash points, {len(single)} runs with one of them; {len(double):,} of "
        f"{len(every):,} pairs, from {first:,} on, both killed at in {twice:,}; "
        f"{len(stories):,} different runs; {failed} failed"
    )


def _all_played(
    plans: Sequence[Plan], places: Mapping[Point, Place], workers: int
) -> Iterator[Played]:
    """On all cores, or so many; says how far it is."""
    began_s = said_s = time.monotonic()
    done = failed = 0
    mine = os.getpid()
    with ProcessPoolExecutor(
        workers or os.cpu_count(), initializer=_begin_work, initargs=(mine,)
    ) as pool:
        for played in pool.map(branching.together, chunks(plans, places)):
            yield from played
            done += len(played)
            failed += sum(1 for _, failures, *_ in played if failures)
            if time.monotonic() - said_s > campaign.PROGRESS_S or done == len(plans):
                said_s = time.monotonic()
                print(  # noqa: T201 (a program's own words)
                    f"{done:,} of {len(plans):,} plans, {done / (said_s - began_s):.1f} a second, "
                    f"{failed} failed",
                    file=sys.stderr,
                )


def _begin_work(parent_pid: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C ends all of it, not the plans under way
    die_with_parent(parent_pid)
    campaign.quiet()


def again(plan: Plan) -> str:
    """The command that plays it alone, as a story."""
    kills = "".join(f" --kill {shlex.quote(str(point))}" for point in plan.points)
    standby = " --standby" if plan.standby else ""
    return f"python -m tests.simulation{kills}{standby} --trace"
