"""The real console process: killed at any moment it repeats no line and loses none."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import settings as settings_file
from common.bystander import Bystander
from common.clock import WallClock
from common.console_messages import LINES_FILE
from common.messages import Alert
from tests.services.waiting import until

ROOT = Path(__file__).resolve().parents[2]
ALERTS = 60


class Process:
    """A console that is started again as often as it is killed, and a watchdog that it hears."""

    def __init__(self, folder: Path, alert_command: str = "") -> None:
        self.lines = folder / LINES_FILE
        run_dir = folder / "run"
        run_dir.mkdir(mode=0o700)
        self._environment = {
            **os.environ,
            "TRADER_VAR": str(folder),
            "TRADER_RUN": str(run_dir),
            "TRADER_CLOCK": "",
            "TRADER__ALERTS__ALERT_COMMAND": alert_command,
        }
        settings = settings_file.load(environment={})
        self.speaker = Bystander("watchdog", run_dir, settings, WallClock(), "test")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.console"],
            env=self._environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def let_no_file_grow(self) -> None:
        """From now on each write to a file of this console fails (EFBIG), as on a full disk."""
        assert self._process is not None
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (0, hard))

    def said(self) -> list[str]:
        text = self.lines.read_text() if self.lines.exists() else ""
        return [line for line in text.splitlines() if not line.startswith("— ")]

    def raise_alert(self, number: int) -> None:
        text = f"trouble {number}"
        self.speaker.say(Alert(level="notice", code=f"n{number}", text=text, raised=True))

    def beat(self) -> None:
        for _ in self.speaker.hear(0.02):
            pass
        self.speaker.beat()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    yield process
    process.end(signal.SIGKILL)
    process.speaker.close()


def test_a_console_killed_again_and_again_prints_each_line_once(process: Process) -> None:
    # given: a console that hears its speaker
    process.raise_alert(0)

    def printed(count: int) -> bool:
        process.beat()
        return len(process.said()) >= count

    until(lambda: printed(1))
    # when: it is killed in the middle of the news, three times
    for number in range(1, ALERTS):
        process.raise_alert(number)
        process.beat()
        if number % 15 == 0:
            process.end(signal.SIGKILL)
            process.start()
    # then: each line is there once, in order
    until(lambda: printed(ALERTS))
    assert process.said() == [f"🔔 trouble {number}" for number in range(ALERTS)]


def test_a_stopped_console_prints_what_is_left_behind(process: Process) -> None:
    process.raise_alert(0)

    def printed() -> bool:
        process.beat()
        return bool(process.said())

    until(printed)
    process.end(signal.SIGTERM)
    assert process.said()[-1].startswith("⏹️ System shutdown.")


def test_the_alert_command_gets_the_text_on_its_standard_input(tmp_path: Path) -> None:
    received = tmp_path / "received"
    process = Process(tmp_path, alert_command=f"tee -a {received}")
    process.raise_alert(7)

    def arrived() -> bool:
        process.beat()
        return received.exists() and received.read_text() == "🔔 trouble 7"

    until(arrived)
    process.end(signal.SIGTERM)
    process.speaker.close()


def test_an_alert_command_that_hangs_delays_no_line(tmp_path: Path) -> None:
    process = Process(tmp_path, alert_command="sleep 600")
    process.raise_alert(1)
    process.raise_alert(2)

    def printed() -> bool:
        process.beat()
        return len(process.said()) == 2

    until(printed)
    process.end(signal.SIGTERM)
    process.speaker.close()


def test_a_full_disk_silences_no_alert(tmp_path: Path) -> None:
    # given: a console whose file of lines takes nothing, and whose journal grows no further
    received = tmp_path / "received"
    lines = tmp_path / LINES_FILE
    lines.parent.mkdir()
    lines.symlink_to("/dev/full")
    command = f"sh -c 'ulimit -S -f unlimited; cat >> {received}'"
    process = Process(tmp_path, alert_command=command)
    process.raise_alert(0)

    def arrived(count: int) -> bool:
        process.beat()
        return received.exists() and received.read_text().count("trouble") >= count

    until(lambda: arrived(1))
    process.let_no_file_grow()
    # when: trouble comes; then: the alert command hears of it, and the console lives
    for number in range(1, 5):
        process.raise_alert(number)
    until(lambda: arrived(5))
    assert process.lives()
    process.end(signal.SIGKILL)
    process.speaker.close()
