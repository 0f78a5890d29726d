"""Processes that do one backtest each time they are asked, and say what it took."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import environments
from bench.peers import PeerSilentError

SCRIPTS = environments.ROOT / "bench/yardsticks"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its seconds on the wall and on processors, the equity it ended with, the process's
    largest RSS so far in KiB."""

    seconds: float
    cpu_seconds: float
    final_usd: float
    peak_kib: int


class Rival:
    """A process that waits for the names of jobs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, job: str) -> Run:
        """PeerSilentError when the process ends instead."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{job}\n")
        self._process.stdin.flush()
        return Run(**json.loads(self.line()))

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerSilentError(f"{self._process.args!r} ended without an answer")
        return line


@contextmanager
def rival(environment: str, *arguments: object) -> Iterator[Rival]:
    """A yardstick in an environment of its own, made on demand. NotInstalledError."""
    python = environments.python_of(environment)
    with _serving([str(python), str(SCRIPTS / f"run_{environment}.py"), *arguments]) as found:
        yield found


@contextmanager
def ours(module: str, *arguments: object) -> Iterator[Rival]:
    """A module of ours that serves in the same way."""
    with _serving([sys.executable, "-m", module, *arguments]) as found:
        yield found


@contextmanager
def _serving(command: list[object]) -> Iterator[Rival]:
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=environments.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        found = Rival(process)
        try:
            assert found.line() == "ready\n"
            yield found
        finally:
            process.kill()
