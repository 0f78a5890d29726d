"""Two copies of the stop monitor as real processes: one works, the other goes on when it dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common import service, standby, topology, wire
from common.bus import Bus
from common.lock import holder, lock_path
from common.messages import Heartbeat, RiskState
from common.running import life_of
from common.standby import Signs
from common.supervision import Supervisor, SupervisorError
from tests.services import supervisord
from tests.services.supervisord import environment, python

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0

MODULES = {
    topology.RISK: topology.RISK,
    topology.RISK_STANDBY: topology.RISK,
    topology.WATCHDOG: topology.WATCHDOG,
}


class Listener:
    """Hears what the stop monitor says, and sees its lock and its standby's sign of life."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._bus = Bus(topology.CONSOLE, run_dir)
        self._signs = Signs(run_dir, topology.RISK)
        self._lock = lock_path(run_dir, topology.RISK)
        self.speaker = 0
        """Process id in the newest heartbeat."""
        self.signs: list[Heartbeat] = []
        """The standby's signs of life."""
        self.said: list[wire.Envelope[Any]] = []

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            logs = "".join(log.read_text()[-2000:] for log in self._run_dir.glob("*.log"))
            assert time.monotonic() < deadline, f"waited in vain\n{logs}"
            self._bus.wait(0.02)
            for kind, _, frame in self._bus.heard():
                if kind == "fact":
                    self._hear(wire.decode_fact(frame))
            self.signs += filter(None, [self._signs.news()])

    def _hear(self, envelope: wire.Envelope[Any]) -> None:
        if envelope.speaker == topology.RISK:
            if isinstance(envelope.body, Heartbeat):
                self.speaker = envelope.body.pid
            elif isinstance(envelope.body, RiskState):
                self.said.append(envelope)

    @property
    def active(self) -> int:
        """The lock's holder, once it is the one that speaks; else 0."""
        return self.speaker if holder(self._lock) == str(self.speaker) else 0

    def both(self) -> tuple[int, int]:
        """Waits until one works and the other gives a new sign; the process ids of the two.

        A sign may arrive after its giver has died.
        """
        self.signs.clear()
        self.until(lambda: self.active and self._standby not in (0, self.speaker))
        assert (self.signs[-1].ready, self.signs[-1].verdict) == (True, "standing by")
        return self.active, self.signs[-1].pid

    @property
    def _standby(self) -> int:
        """Who gave the newest sign, if it still lives; else 0."""
        pid = self.signs[-1].pid if self.signs else 0
        return pid if life_of(pid) else 0

    def close(self) -> None:
        self._bus.close()


@pytest.fixture(scope="module")
def supervised() -> Iterator[tuple[Listener, Path]]:
    """Both copies and the watchdog under a real supervisord; what they say, and their folder."""
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    programs = {name: python(f"-m services.{module}") for name, module in MODULES.items()}
    with supervisord.supervised(folder, programs):
        listener = Listener(folder)
        yield listener, folder
        listener.close()
    shutil.rmtree(folder)


def _pids(folder: Path) -> set[int]:
    try:
        return {row.pid for row in Supervisor(folder / "supervisor.sock").processes()}
    except SupervisorError:
        return set()


def test_a_killed_stop_monitor_is_replaced_by_its_standby_and_becomes_the_next_one(
    supervised: tuple[Listener, Path],
) -> None:
    listener, folder = supervised
    # given: both copies, and what the active one has said
    active, waiting = listener.both()
    listener.until(lambda: listener.said)
    before = listener.said[-1]
    # when
    os.kill(active, signal.SIGKILL)
    # then: the other speaks, and under the next number, so that no hearer drops it
    listener.until(lambda: listener.active == waiting)
    listener.until(lambda: listener.said[-1].seq > before.seq)
    assert {envelope.epoch for envelope in listener.said} == {before.epoch}
    # and the dead one's program stands by for it
    now = listener.both()
    assert now[0] == waiting
    assert set(now) <= _pids(folder)


def test_both_killed_at_once_come_back_one_of_them_active(
    supervised: tuple[Listener, Path],
) -> None:
    listener, _ = supervised
    dead = listener.both()
    before = listener.said[-1]
    for pid in dead:
        os.kill(pid, signal.SIGKILL)
    listener.until(lambda: listener.active not in (0, *dead))
    assert not set(listener.both()) & set(dead)
    listener.until(lambda: listener.said[-1].seq > before.seq)
    assert listener.said[-1].epoch == before.epoch


def test_both_stopped_at_once_are_both_replaced(supervised: tuple[Listener, Path]) -> None:
    listener, folder = supervised
    stuck = listener.both()
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    listener.until(lambda: not set(stuck) & _pids(folder))
    assert not set(listener.both()) & set(stuck)


def test_a_stopped_stop_monitor_is_killed_for_its_silence_and_the_standby_goes_on(
    supervised: tuple[Listener, Path],
) -> None:
    listener, folder = supervised
    stuck, waiting = listener.both()
    os.kill(stuck, signal.SIGSTOP)  # it still holds the lock
    listener.until(lambda: listener.active == waiting)
    assert f"(pid {stuck}) silent for" in (folder / "watchdog.log").read_text()
    listener.until(lambda: stuck not in _pids(folder))
    assert listener.both()[0] == waiting


def test_a_standby_that_would_not_wake_is_replaced_and_the_active_one_left_alone(
    supervised: tuple[Listener, Path],
) -> None:
    listener, folder = supervised
    active, stuck = listener.both()
    os.kill(stuck, signal.SIGSTOP)
    listener.until(lambda: stuck not in _pids(folder))
    now = listener.both()
    assert now[0] == active
    assert now[1] != stuck


class Copies:
    """Copies started by hand, each with a log of its own; `code`: the folder they run from."""

    def __init__(self, folder: Path, code: Path) -> None:
        self._folder, self._code = folder, code
        self._started: list[subprocess.Popen[bytes]] = []
        self.listener = Listener(folder)

    def start(self, **changed: str) -> subprocess.Popen[bytes]:
        number = len(self._started)
        with (self._folder / f"{number}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.risk_monitor"],
                cwd=self._code,
                env=environment(self._folder) | {"PYTHONPATH": str(self._code)} | changed,
                stderr=log,
            )
        self._started.append(process)
        return process

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return (self._folder / f"{self._started.index(process)}.log").read_text()

    def two(self) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
        """An active one and its standby."""
        active = self.start()
        self.listener.until(lambda: self.listener.active)
        waiting = self.start()
        assert self.listener.both() == (active.pid, waiting.pid)
        return active, waiting

    def close(self) -> None:
        self.listener.close()
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[Copies]:
    started = Copies(tmp_path, ROOT)
    yield started
    started.close()


def test_a_standby_told_to_stop_ends_at_once_and_the_active_one_goes_on(copies: Copies) -> None:
    active, waiting = copies.two()
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(5) == 0
    assert active.poll() is None
    # and so does one that is interrupted from the terminal
    another = copies.start()
    assert copies.listener.both() == (active.pid, another.pid)
    another.send_signal(signal.SIGINT)
    assert another.wait(5) == 0


def test_a_stop_monitor_that_is_told_to_stop_hands_over_as_one_that_dies(copies: Copies) -> None:
    active, waiting = copies.two()
    active.send_signal(signal.SIGTERM)
    copies.listener.until(lambda: copies.listener.active == waiting.pid)
    assert active.wait(5) == 0


def test_a_stop_monitor_whose_locks_file_is_removed_makes_way_for_its_standby(
    copies: Copies, tmp_path: Path
) -> None:
    active, waiting = copies.two()
    lock_path(tmp_path, topology.RISK).unlink()  # and a second copy could start beside it
    copies.listener.until(lambda: copies.listener.active == waiting.pid)
    assert active.wait(DEADLINE_S) == 1
    assert "the lock's file was removed" in copies.log(active)
    # and the next one stands by for the one that works now
    third = copies.start()
    assert copies.listener.both() == (waiting.pid, third.pid)


def test_copies_with_other_socket_folders_but_the_same_journals_are_copies(
    copies: Copies, tmp_path: Path
) -> None:
    active, _ = copies.two()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    other = copies.start(TRADER_RUN=str(tmp_path / "elsewhere"))
    copies.listener.until(lambda: "standing by" in copies.log(other))
    assert copies.listener.active == active.pid


def test_a_standby_that_could_hear_nobody_does_not_take_over(
    copies: Copies, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    active = copies.start(TRADER_RUN=str(run_dir))
    copies.listener.until(lambda: "records folded" in copies.log(active))
    waiting = copies.start(TRADER_RUN=str(run_dir))
    copies.listener.until(lambda: "standing by" in copies.log(waiting))
    # when: the folder of the sockets goes, as at a logout, and then the active copy
    shutil.rmtree(run_dir)
    active.kill()
    # then
    assert waiting.wait(DEADLINE_S) == 1
    assert "the folder of the sockets was removed" in copies.log(waiting)


def test_a_third_copy_stops_at_once(copies: Copies) -> None:
    copies.two()
    third = copies.start()
    assert third.wait(DEADLINE_S) == service.EXIT_SECOND_COPY
    assert "a second and a third copy of risk_monitor" in copies.log(third)


@pytest.fixture
def edited(tmp_path: Path) -> Iterator[tuple[Copies, Path]]:
    """Copies that run from a copy of the code, and its settings, which a test may change."""
    code = tmp_path / "code"
    for folder in ("common", "services"):
        shutil.copytree(ROOT / folder, code / folder)
    shutil.copy(ROOT / "settings.toml", code)
    started = Copies(tmp_path, code)
    yield started, code / "settings.toml"
    started.close()


def _edit(settings: Path) -> None:
    text = settings.read_text()
    changed = text.replace("loss_fraction = 0.02", "loss_fraction = 0.015")
    assert changed != text
    settings.write_text(changed)


def test_a_standby_older_than_what_runs_ends_so_that_it_is_started_from_disk(
    edited: tuple[Copies, Path],
) -> None:
    copies, settings = edited
    # given: a standby that slept while the active one was replaced by one with new settings
    active, old = copies.two()
    old.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, old.pid, os.WSTOPPED)  # or it might still take the lock in its sleep
    _edit(settings)
    active.kill()
    active.wait()
    new = copies.start()
    copies.listener.until(lambda: copies.listener.active == new.pid)
    # when: it wakes
    old.send_signal(signal.SIGCONT)
    # then: it stops by itself, and its successor stands by with what is on disk
    assert old.wait(DEADLINE_S) == standby.EXIT_OUTDATED
    assert "differ from this copy" in copies.log(old)
    again = copies.start()
    assert copies.listener.both() == (new.pid, again.pid)


def test_a_standby_newer_than_what_runs_says_so_and_goes_on_as_a_restart_would(
    edited: tuple[Copies, Path],
) -> None:
    copies, settings = edited
    active, old = copies.two()
    running = copies.listener.signs[-1]
    old.kill()
    old.wait()
    _edit(settings)
    new = copies.start()
    assert copies.listener.both() == (active.pid, new.pid)
    waiting = copies.listener.signs[-1]
    assert waiting.settings_hash != running.settings_hash, "by which the watchdog halts entries"
    active.kill()
    copies.listener.until(lambda: copies.listener.active == new.pid)
    assert "other code or settings" in copies.log(new)


def test_a_standby_goes_on_with_what_has_been_running_whatever_is_on_disk(
    edited: tuple[Copies, Path],
) -> None:
    copies, settings = edited
    active, waiting = copies.two()
    settings.write_text("what no process could start with")
    active.kill()
    copies.listener.until(lambda: copies.listener.active == waiting.pid)
