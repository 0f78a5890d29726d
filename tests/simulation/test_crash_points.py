"""Crash points: what branches off one run is what would have been played alone."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.services.waiting import until
from tests.simulation.branching import Plan
from tests.simulation.crash_points import CHUNK, again, chunks, pairs
from tests.simulation.reference_day import Point, point

ROOT = Path(__file__).parent.parent.parent
FIRST, SAME_PLACE = "risk_monitor after-write Fill>Entered", "risk_monitor before-say Entered"
THEN = ("broker_gateway after-perform SendOrder", "risk_monitor after-sync")
ALIKE = f"""
import json
from tests.simulation import branching, campaign
from tests.simulation.reference_day import point
campaign.quiet()
plans = [
    branching.Plan((point(first), point(then)), standby=True)
    for first in {FIRST, SAME_PLACE} for then in {THEN}
]
together = sorted(branching.together(plans))
print(json.dumps([together, sorted(branching.alone(plan)[0] for plan in plans)]))
"""
BREAKING = """
import json, os
from tests.simulation import branching, campaign
from tests.simulation.process import Process
from tests.simulation.reference_day import point
campaign.quiet()
branching.HANG_S = 3
kill = Process.kill
def broken(process, why, bytes_lost=False):
    if process.name == "market_feed":
        os._exit(7)
    while process.name == "signal_engine":
        pass
    kill(process, why)
Process.kill = broken
killed = [point(f"{name} after-sync") for name in ("market_feed", "signal_engine", "risk_monitor")]
told = branching.together([branching.Plan((at,), standby=True) for at in killed])
print(json.dumps({one.plan.points[0].process: one.failures for one in told}))
"""

PLACES = {
    Point("risk_monitor", "after-say", str(n)): ("risk_monitor", n // 3, 0) for n in range(30)
}


def told_by(program: str) -> Any:
    """In a process of one thread, as branches need it."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True,
        timeout=120,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_a_pair_ends_among_others_as_it_ends_alone() -> None:
    """Every frame, effect and failure; those that share a place take it from each other."""
    together, alone = told_by(ALIKE)
    assert together == alone
    stories = {tuple(map(tuple, plan[0])): story for plan, _, _, story in together}
    assert len(stories) == len(set(stories)) == 2 * len(set(stories.values()))


def test_a_branch_that_dies_or_hangs_is_a_failure_of_its_plan_alone() -> None:
    assert told_by(BREAKING) == {
        "market_feed": ["its process ended with 7"],
        "signal_engine": ["not over after 3 s"],
        "risk_monitor": [],
    }


def test_the_pairs_of_several_sittings_are_all_pairs_once_in_an_order_that_stays() -> None:
    every = pairs(PLACES)
    assert every == pairs(PLACES)
    assert len(set(every)) == len(every) == len(PLACES) ** 2
    assert len({plan.points[0] for plan in every[:200]}) > len(PLACES) // 2


def test_plans_that_begin_at_one_place_are_played_together() -> None:
    places = PLACES
    plans = [*pairs(places), *(Plan((at,), standby=False) for at in places)]
    played = list(chunks(plans, places))
    assert sorted(chain(*played)) == sorted(plans)
    assert all(len({plan.standby for plan in chunk}) == 1 for chunk in played)
    for place in set(places.values()):
        held = [c for c in played if any(p.standby and places[p.points[0]] == place for p in c)]
        assert len(held) == 1
    assert max(map(len, played)) < CHUNK + 3 * len(places)


def test_a_failure_names_the_command_that_plays_it_again() -> None:
    plan = Plan((point(FIRST), point(THEN[1])), standby=True)
    words = shlex.split(again(plan))
    assert words[:3] == ["python", "-m", "tests.simulation"]
    assert (
        tuple(point(words[at + 1]) for at, word in enumerate(words) if word == "--kill") == plan[0]
    )


@pytest.mark.parametrize(("end", "to_all"), [(signal.SIGINT, True), (signal.SIGKILL, False)])
def test_nothing_of_it_outlives_its_end(end: signal.Signals, *, to_all: bool) -> None:
    """Ctrl+C reaches every process of the terminal; a kill just the first."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.simulation", "--crash-points", "--workers", "1"],
        cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as first:  # fmt: skip
        until(lambda: len(session_of(first.pid)) > 2)  # a branch plays
        if to_all:
            os.killpg(first.pid, end)
        else:
            first.send_signal(end)
        assert first.wait(20) != 0
        until(lambda: not session_of(first.pid))


def session_of(leader: int) -> list[int]:
    """The living processes that `leader` and its children started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = status.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # ended meanwhile
        if int(session) == leader and state != "Z":
            found.append(int(status.parent.name))
    return found
