"""The running system as its launcher sees it: supervisord, the console's lines, the outcome."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType

import msgspec

from common.console_messages import LINES_FILE, OUTCOME_FILE, Outcome
from common.core.vigil import Process
from common.parent import die_with_parent
from common.supervision import Supervisor, SupervisorError
from services.run.plan import Plan

ROOT = Path(__file__).resolve().parent.parent.parent
STOP_S = 40.0  # host time for a graceful stop: longer than any stopwaitsecs of supervisord.conf


class System:
    """Starts supervisord on entering; on leaving nothing of it is left."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lines = plan.var_dir / LINES_FILE
        self._offset = self._lines.stat().st_size if self._lines.exists() else 0
        self._supervisord: subprocess.Popen[bytes] | None = None
        self._looked_s = 0.0
        self.supervisor = Supervisor(plan.run_dir / "supervisor.sock")

    def __enter__(self) -> System:
        self._supervisord = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(ROOT / "supervisord.conf")],
            env=self._plan.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self._plan.var_dir / "log" / "supervisord.stderr").open("ab"),
            start_new_session=True,  # Ctrl+C in the terminal is for the launcher alone
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - no thread runs in the launcher
            umask=0o077,
        )
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        supervisord = self._supervisord
        assert supervisord is not None
        if supervisord.poll() is None:
            supervisord.kill()  # its children die with it
            supervisord.wait()
        shutil.rmtree(self._plan.run_dir, ignore_errors=True)

    @property
    def alive(self) -> bool:
        return self._supervisord is not None and self._supervisord.poll() is None

    def new_lines(self) -> str:
        """What the console has printed since the last call."""
        try:
            with self._lines.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return ""
        self._offset += len(data)
        return data.decode(errors="replace")

    def outcome(self) -> Outcome | None:
        """How the run ended, once the console knows."""
        try:
            data = (self._plan.run_dir / OUTCOME_FILE).read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(data, type=Outcome)

    def look_is_due(self) -> bool:
        """True about once a second, so that supervisord is not asked ten times as often."""
        due = time.monotonic() - self._looked_s >= 1.0
        if due:
            self._looked_s = time.monotonic()
        return due

    def process(self, name: str) -> Process | None:
        """One process as supervisord has it; None while it does not answer."""
        try:
            return next((p for p in self.supervisor.processes() if p.name == name), None)
        except SupervisorError:
            return None

    def last_log_line(self, name: str) -> str:
        """The newest line of a process's log, or ""."""
        path = self._plan.var_dir / "log" / f"{name}.log"
        lines = path.read_text(errors="replace").split("\n") if path.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def ask_to_stop(self) -> None:
        """SIGTERM: supervisord stops each process gracefully, then ends."""
        if self._supervisord is not None and self.alive:
            os.kill(self._supervisord.pid, signal.SIGTERM)

    def stop(self, follow: Callable[[], None]) -> bool:
        """Stops everything gracefully, calling `follow` meanwhile; False when it took too long."""
        self.ask_to_stop()
        deadline = time.monotonic() + STOP_S
        while self.alive and time.monotonic() < deadline:
            follow()
            time.sleep(0.05)
        follow()
        return not self.alive
