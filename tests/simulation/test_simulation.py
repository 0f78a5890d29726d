"""The simulation in `make test`: the same seed is the same run, kept seeds stay mended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common import topology
from common.core import outbox, risk
from common.core.monitor import exits
from tests.simulation import campaign
from tests.simulation.drawn import SETTINGS
from tests.simulation.kept import BEFORE_CHOICES, KEPT, KEPT_CHOICES
from tests.simulation.standby import TAKEOVER_S, Standby
from tests.simulation.world import Script, World

ROOT = Path(__file__).parent.parent.parent
FRESH = range(20)
SOLD_IN_THE_EVENING = 42
TOLD = (3, 4)
HASHES = f"""
from tests.simulation import campaign
campaign.quiet()
print(*[campaign.play(seed).hash() for seed in {TOLD}])
"""


def test_the_same_seed_is_the_same_run_in_any_process() -> None:
    """Whatever order Python's sets have there."""
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    there = subprocess.run(
        [sys.executable, "-c", HASHES], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": other}, timeout=120,
    )  # fmt: skip
    assert there.stdout.split() == [campaign.play(seed).hash() for seed in TOLD]


def test_a_quiet_day_enters_at_15_55_and_keeps_every_promise() -> None:
    world = campaign.play(3, Script(faults=False, sessions=1))
    assert not world.failures, world.failures
    assert [sent.order.purpose for sent in world.sent][:1] == ["ENTRY"]
    assert not world.injected


@pytest.mark.parametrize("seed", FRESH)
def test_every_promise_is_kept(seed: int) -> None:
    world = campaign.play(seed)
    assert not world.failures, (
        f"{world.failures[0]}\n  see: -m tests.simulation --seed {seed} --trace"
    )


@pytest.mark.parametrize("seed", sorted(KEPT))
def test_what_a_seed_found_stays_mended(seed: int) -> None:
    world = campaign.play(seed, Script(choices=BEFORE_CHOICES))
    assert not world.failures, (
        f"{world.failures[0]}\n  see: -m tests.simulation --seed {seed} --as-kept --trace"
    )


@pytest.mark.parametrize("seed", sorted(KEPT_CHOICES))
def test_what_a_choice_of_settings_found_stays_mended(seed: int) -> None:
    name, _ = KEPT_CHOICES[seed]
    world = campaign.play(seed)
    assert not name or name in world.drawn.names
    assert not world.failures, (
        f"{world.failures[0]}\n  see: -m tests.simulation --seed {seed} --trace"
    )


def test_a_bear_close_that_waits_for_the_open_against_the_settings_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exits, "EXTENDED_HOURS_NS", 0)
    world = campaign.play(SOLD_IN_THE_EVENING)
    assert "a BEAR close" in world.failures[0]


def test_a_gateway_that_sends_before_it_is_on_disk_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "DURABLE", frozenset[Any]())
    world = campaign.play(3, Script(faults=False, sessions=1))
    assert "left before its SENDING was durable" in world.failures[0]
    assert world.processes[topology.GATEWAY].decider is outbox


def test_a_standby_goes_on_in_the_instant_in_which_the_stop_monitor_dies() -> None:
    world = World(3, Script(faults=False, sessions=1, standby=True))
    monitor = world.processes[topology.RISK]
    timeline, alive = world.timeline, list[bool]()

    def kill() -> None:
        monitor.kill("kill -9")
        timeline.after(TAKEOVER_S[1], lambda: alive.append(monitor.up))

    timeline.after(5, kill)
    world.run()
    assert not world.failures, world.failures
    assert alive == [True]
    assert monitor.lives == 2
    assert world.standby is not None
    assert world.standby.up, "the copy that was started anew"


def test_a_standby_that_follows_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Standby, "read_on", lambda _: risk.start(SETTINGS))
    world = campaign.play(3, Script(faults=False, sessions=1, standby=True))
    assert "its standby does not know its state" in world.failures[0]
