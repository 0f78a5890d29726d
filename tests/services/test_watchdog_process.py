"""The real watchdog beside a real supervisord: a stopped process is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.supervision import Supervisor, SupervisorError
from tests.services.waiting import until

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
[supervisord]
nodaemon = true
directory = {root}
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid
[unix_http_server]
file = {folder}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:watchdog]
command = {python} -m services.watchdog
stdout_logfile = {folder}/watchdog.log
redirect_stderr = true
[program:signal_engine]
command = {python} {folder}/beating.py
autorestart = true
stdout_logfile = {folder}/beating.log
redirect_stderr = true
"""

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
    folder = str(tmp_path)
    config = tmp_path / "supervisord.conf"
    config.write_text(CONFIG.format(folder=folder, root=ROOT, python=sys.executable))
    (tmp_path / "beating.py").write_text(BEATING.format(folder=folder))
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TRADER_RUN": folder,
            "TRADER_VAR": folder,
            "TRADER_CLOCK": "",
            "TRADER__OPERATION__SILENCE_S_MAX": "1.0",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield Supervisor(tmp_path / "supervisor.sock")
    process.send_signal(signal.SIGTERM)
    process.wait(30)


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
