"""The real watchdog beside a real supervisord: a stopped process is replaced."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import topology
from common.bus import Bus
from common.bystander import Bystander
from common.clock import WallClock
from common.core.vigil import Kill, Start
from common.settings import Settings
from common.supervision import Supervisor, SupervisorError
from services import watchdog
from services.trader import hearing
from services.trader.picture import Picture
from tests.services.supervisord import python, supervised
from tests.services.waiting import until

BEATING = """
from pathlib import Path
from common import settings
from common.bystander import Bystander
from common.clock import WallClock
from common.service import build_hash

speaker = Bystander("signal_engine", Path({folder!r}), settings.load(), WallClock(), build_hash())
while True:
    list(speaker.hear(0.1))
    speaker.beat()
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    beating = tmp_path / "beating.py"
    beating.write_text(BEATING.format(folder=str(tmp_path)))
    programs = {"watchdog": python("-m services.watchdog"), "signal_engine": python(str(beating))}
    with supervised(tmp_path, programs) as supervisor:
        yield supervisor


def pid_of(supervisor: Supervisor, name: str) -> int:
    """The process id while it runs, else 0."""
    try:
        return next(
            p.pid for p in supervisor.processes() if p.name == name and p.state == "RUNNING"
        )
    except (SupervisorError, StopIteration):
        return 0


def test_a_process_that_lives_but_is_stopped_is_killed_and_restarted(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    # given: both run, and the watchdog has heard the other
    until(lambda: pid_of(supervisor, "signal_engine") and pid_of(supervisor, "watchdog"))
    until(lambda: "watchdog, wire version" in (tmp_path / "watchdog.log").read_text())
    stuck = pid_of(supervisor, "signal_engine")
    # when: it is stopped in mid-life, as a deadlock would leave it
    os.kill(stuck, signal.SIGSTOP)
    # then: another takes its place
    until(lambda: pid_of(supervisor, "signal_engine") not in (0, stuck))
    assert f"signal_engine (pid {stuck}) silent for" in (tmp_path / "watchdog.log").read_text()


def test_what_supervisord_refuses_keeps_nothing_else_from_being_done(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    """A start of what runs already; then the kill that it was beside."""
    until(lambda: pid_of(supervisor, "signal_engine"))
    before = pid_of(supervisor, "signal_engine")
    bystander = Bystander("watchdog", tmp_path, Settings(), WallClock(), "")
    for action in (Start("signal_engine"), Kill("signal_engine", before, 3.0)):
        watchdog.carry_out(action, bystander, supervisor, WallClock())
    bystander.close()
    until(lambda: pid_of(supervisor, "signal_engine") not in (0, before))


def test_a_restart_of_another_and_its_own_are_told(supervisor: Supervisor, tmp_path: Path) -> None:
    bus, picture = Bus(topology.TRADER, tmp_path), Picture(expected=("watchdog",))

    def told(names: object) -> bool:
        hearing.fill(bus, picture, window_s=0.2)
        return picture.restarts.keys() == names

    try:
        # given: the watchdog has looked at both
        until(lambda: pid_of(supervisor, "signal_engine") and pid_of(supervisor, "watchdog"))
        until(lambda: told(set()) and "watchdog" in picture.beats)
        # when one is killed, then the watchdog itself
        os.kill(pid_of(supervisor, "signal_engine"), signal.SIGKILL)
        until(lambda: told({"signal_engine"}))
        os.kill(pid_of(supervisor, "watchdog"), signal.SIGKILL)
        # then both are told
        until(lambda: told({"signal_engine", "watchdog"}))
        assert {word.count for word in picture.restarts.values()} == {1}
    finally:
        bus.close()
