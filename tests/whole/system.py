"""The whole system on real processes, started as `make run` starts it, in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from common import journal, rejudge, running, topology, wire
from common.clock import NEW_YORK, SECOND_NS, ReplayClock
from common.core.vigil import Process
from common.lock import holder, lock_path
from common.messages import Now
from common.parent import die_with_parent
from common.running import Running
from common.supervision import Supervisor, SupervisorError
from services.sim_tws import control

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
RESTART_S = 40.0
SESSION_S = 120.0
JOURNALING = (*topology.DECIDERS, topology.CONSOLE)
Found = TypeVar("Found")


class System:
    """`with System(folder, days=5) as system:` starts it; on leaving nothing of it is left."""

    def __init__(
        self,
        folder: Path,
        *,
        days: int | None,
        seconds_per_day: float,
        options: Sequence[str] = (),
        sim_options: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`options` are more of the launcher's, `sim_options` of the simulated TWS's; `settings`
        are overrides as the environment holds them."""
        self.var = folder / "var"
        self._settings = dict(settings or {})
        number = len(list(folder.glob("terminal-*.txt")))  # of starts in this folder before
        self.wire = folder / f"wire-{number}.msgpack"
        self._output = folder / f"terminal-{number}.txt"
        self._command = [
            sys.executable, "-m", "services.run", "--seconds-per-day", str(seconds_per_day),
            "--sim-options", f"--record {self.wire} {sim_options}", *options,
        ]  # fmt: skip
        if days is not None:
            self._command += ["--days", str(days)]
        self._launcher: subprocess.Popen[bytes] | None = None
        self._clock: ReplayClock | None = None

    def __enter__(self) -> Self:
        self._launcher = self._start(self._output)
        return self

    def go_on(self) -> None:
        """Starts it again after its end, on market, broker and journals as they were."""
        assert self.ended
        number = len(list(self._output.parent.glob("terminal-*.txt")))
        self._output = self._output.with_name(f"terminal-{number}.txt")
        self._command = [sys.executable, "-m", "services.run", "--continue"]
        self._clock = None
        self._launcher = self._start(self._output)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        assert self._launcher is not None
        if self._launcher.poll() is None:
            self._launcher.kill()  # every other process dies with it
            self._launcher.wait()

    def second_start(self) -> tuple[int, str]:
        """Starts it once more beside this one; the exit status and what it printed."""
        output = self._output.with_name("second.txt")
        process = self._start(output)
        try:
            return process.wait(START_S), output.read_text()
        finally:
            process.kill()

    def _start(self, output: Path) -> subprocess.Popen[bytes]:
        environment = {key: text for key, text in os.environ.items() if "TRADER" not in key}
        with output.open("wb") as file:
            return subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=environment | {"TRADER_VAR": str(self.var)} | self._settings,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # A test run that is killed leaves nothing behind.
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - no thread runs here
            )

    # What it says

    @property
    def terminal(self) -> str:
        return self._output.read_text()

    @property
    def found(self) -> Running:
        return running.known(self.var)[0]

    @property
    def var_dir(self) -> Path:
        return Path(self.found.var_dir)

    @property
    def run_dir(self) -> Path:
        return Path(self.found.run_dir)

    @property
    def ended(self) -> bool:
        assert self._launcher is not None
        return self._launcher.poll() is not None

    def exit_status(self, seconds: float) -> int:
        """Waits for its end."""
        assert self._launcher is not None
        try:
            return self._launcher.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s:\n{self.terminal}") from None

    def until(self, condition: Callable[[], Found], seconds: float) -> Found:
        """Polls until the condition is true; fails when the system ends or time runs out."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert not self.ended, f"it ended before that:\n{self.terminal}"
            assert time.monotonic() < deadline, f"not within {seconds} s:\n{self.terminal}"
            time.sleep(0.01)
        return found

    def prints(self, text: str, seconds: float = START_S) -> None:
        """Waits until the terminal has shown `text`."""
        self.until(lambda: text in self.terminal, seconds)

    # Its clock and its broker

    def reaches(self, day: int, wall: str) -> None:
        """Waits for a New York wall time of the day of June 2025 (the first session is the 2nd)."""
        hour, minute, second = (int(part) for part in f"{wall}:00".split(":")[:3])
        instant = datetime(2025, 6, day, hour, minute, second, tzinfo=NEW_YORK)
        target_ns = int(instant.timestamp()) * SECOND_NS
        self.until(lambda: self.market_ns() >= target_ns, SESSION_S)

    def market_ns(self) -> int:
        if self._clock is None:
            try:
                self._clock = ReplayClock(Path(self.found.clock))
            except (IndexError, OSError, ValueError):
                return 0
        return self._clock.now_ns()

    def day(self) -> date:
        """New York's date in its market."""
        return datetime.fromtimestamp(self.market_ns() / SECOND_NS, NEW_YORK).date()

    def truth(self) -> dict[str, Any]:
        """What the simulated broker knows, or nothing while it does not answer."""
        try:
            return control.ask(self.run_dir / "sim.control", {"truth": True})
        except (OSError, ValueError):
            return {}

    def order_is_open(self, action: str) -> bool:
        return any(order["action"] == action for order in self.truth().get("open_orders", []))

    # Its processes

    def process(self, name: str) -> Process | None:
        supervisor = Supervisor(self.run_dir / "supervisor.sock")
        try:
            return next((p for p in supervisor.processes() if p.name == name), None)
        except SupervisorError:
            return None

    def pid(self, name: str) -> int:
        """The process that does a service's work now: of two copies the one with the lock."""
        programs = self._programs(name)
        if len(programs) == 1:
            process = self.process(name)
            return process.pid if process is not None else 0
        working = holder(lock_path(self.var_dir, name))
        return int(working) if working.isdigit() else 0

    @staticmethod
    def _programs(name: str) -> tuple[str, ...]:
        return (name, topology.RISK_STANDBY) if name == topology.RISK else (name,)

    def signal(self, name: str, number: int = signal.SIGKILL) -> int:
        """Sends a signal to the process that does a service's work; returns its process id."""
        pid = self.until(lambda: self.pid(name), RESTART_S)
        os.kill(pid, number)
        return pid

    def is_replaced(self, name: str, pid: int) -> bool:
        """Whether another process does its work, and every copy of it runs again."""
        rows = [self.process(program) for program in self._programs(name)]
        up = all(row is not None and row.state == "RUNNING" and row.pid != pid for row in rows)
        return up and self.pid(name) not in {0, pid}

    def kill_and_wait(self, name: str) -> None:
        """kill -9, then until supervisord has it running again."""
        pid = self.signal(name)
        self.until(lambda: self.is_replaced(name, pid), RESTART_S)

    @property
    def launcher_pid(self) -> int:
        assert self._launcher is not None
        return self._launcher.pid

    def interrupt(self) -> None:
        """Ctrl+C in its terminal."""
        assert self._launcher is not None
        self._launcher.send_signal(signal.SIGINT)

    def crash(self) -> None:
        """The launcher dies without a word, as in a power cut of its terminal."""
        assert self._launcher is not None
        self._launcher.kill()
        self._launcher.wait()

    # Its journals

    def journals(self) -> Iterator[tuple[str, Path]]:
        for service in JOURNALING:
            for path in sorted((self.var_dir / "journal" / service).glob(f"*{journal.SUFFIX}")):
                yield service, path

    def said(self, service: str, kind: type[Found]) -> list[Found]:
        """Every message of a type that a service decided on, in order, from its journals."""
        return [message for _, message in self.said_when(service, kind)]

    def said_when(self, service: str, kind: type[Found]) -> list[tuple[Now, Found]]:
        """The same, each with the instant at which it was decided."""
        decode = wire.record_decoder(rejudge.edge_messages(service)).decode
        found: list[tuple[Now, Found]] = []
        for owner, path in self.journals():
            if owner == service:
                for _, payload in list(journal.read(path))[1:]:
                    record = decode(payload)
                    outputs = (output for _, output in record.outputs)
                    found += [(record.now, out) for out in outputs if isinstance(out, kind)]
        return found

    def judged_again(self, service: str, path: Path) -> rejudge.Judged:
        """One journal file through today's decider."""
        decider = rejudge.decider_of(service)
        decode = wire.record_decoder(rejudge.edge_messages(service)).decode
        (_, head), *records = journal.read(path)
        state = rejudge.state_of(decider, wire.header_decoder.decode(head))
        return rejudge.rejudge(decider, state, ((at, decode(data)) for at, data in records))


@contextmanager
def system(folder: Path, *, days: int | None, seconds_per_day: float) -> Iterator[System]:
    """A running system that has connected and knows its averages."""
    with System(folder, days=days, seconds_per_day=seconds_per_day) as started:
        started.prints("EMAs Initialized")
        yield started
