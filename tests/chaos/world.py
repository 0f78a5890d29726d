"""The running system as the nemesis sees it: its processes, its TWS, what it says on the bus."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import messages as m
from common import topology
from common.bus import Bus
from common.clock import SECOND_NS, host_ns
from common.supervision import Supervisor, SupervisorError
from services.sim_tws import control
from services.trader import asking, commands, hearing
from services.trader.picture import Picture, expected_services
from tests.whole.system import System

SIM_TWS = "sim_tws"
PERSON = "chaos"
ANSWER_S_MAX = 3.0
FRESH_NS = 2 * SECOND_NS  # a loaded machine lets a beat wait
READY_S_MAX = 120.0  # promise: after the last fault, READY or HALTED with a reason
STEADY_S = 3.0  # READY or HALTED must hold so long to count, and its time is that of its beginning


class _Supervisor(Supervisor):
    """Also stops one process for good, as a person with supervisorctl would."""

    def stop(self, name: str) -> None:
        wait = False
        self._call("stopProcess", name, wait)


class World:
    """One system under fire. `complaints`: what should not have happened, a sentence each."""

    def __init__(self, run: System, disk: Path | None) -> None:
        self.run = run
        self.disk = disk
        self.complaints: list[str] = []
        self.halts: list[str] = []
        self.stopped: set[int] = set()
        self._bus: Bus | None = None
        self._picture = Picture(expected_services("sim"))

    # Hearing

    def listen(self, seconds: float) -> None:
        """Hears the bus for so long."""
        if self._bus is None:
            self._bus = Bus(topology.TRADER, self.run.run_dir)
        hearing.fill(self._bus, self._picture, seconds)
        state = self._picture.last(m.RiskState)
        for reason in state.reasons if state is not None and state.mode != "ACTIVE" else ():
            if not self.halts or self.halts[-1] != reason:
                self.halts.append(reason)

    def forget(self) -> None:
        """What was heard is of a system that has ended."""
        if self._bus is not None:
            self._bus.close()
            self._bus = None
        self._picture = Picture(expected_services("sim"))

    def unsettled(self, *, without: str = "") -> str:
        """Why the system is neither READY nor HALTED with a reason, or ""; `without`: who may be
        silent."""
        now_ns = host_ns()
        for name in self._picture.expected:
            if name == without:
                continue
            beat = self._picture.beats.get(name)
            if beat is None or now_ns - beat.heard_ns > FRESH_NS:
                return f"{name} is silent"
        state, book = self._picture.last(m.RiskState), self._picture.last(m.OrderBook)
        if state is None or book is None:
            return "risk state or order book not heard"
        if state.mode != "ACTIVE" and not any(state.reasons):
            return f"{state.mode} without a reason"
        unready = [
            f"{name}: {beat.heartbeat.verdict}"
            for name, beat in self._picture.beats.items()
            if not beat.heartbeat.ready
        ]
        if not book.reconciled:
            unready.append("the order book is not reconciled")
        if book.unknown:
            unready.append(f"unknown orders {', '.join(book.unknown)}")
        return "; ".join(unready)

    @property
    def halted(self) -> bool:
        state = self._picture.last(m.RiskState)
        return state is not None and state.mode == "HALTED"

    def resume(self) -> None:
        """What a person would do who has read the reason."""
        self._order(commands.resume(asking.new_key(), PERSON))

    def halt(self, reason: str) -> None:
        self._order(commands.halt(asking.new_key(), PERSON, reason))

    def _order(self, questions: commands.Questions) -> None:
        if self._bus is not None:
            asking.ask(self._bus, questions, ANSWER_S_MAX)

    def await_calm(self) -> float:
        """Host seconds until READY or HALTED with a reason; a complaint when it takes too long."""
        began_s = time.monotonic()
        since_s = began_s
        while time.monotonic() - began_s < READY_S_MAX + STEADY_S:
            if self.run.ended:
                self.complaints.append(f"the system ended by itself:\n{self.run.terminal[-2000:]}")
                return time.monotonic() - began_s
            self.listen(0.1)
            if self.unsettled():
                since_s = time.monotonic()
            elif time.monotonic() - since_s >= STEADY_S:
                return since_s - began_s
        self.complaints.append(
            f"neither READY nor HALTED {READY_S_MAX:g} s after the faults: {self.unsettled()}"
        )
        return time.monotonic() - began_s

    # Its processes

    def pid(self, name: str) -> int:
        """0 while there is none, or supervisord does not answer."""
        found = self.run.process(name)
        return found.pid if found is not None else 0

    def send(self, name: str, number: signal.Signals) -> int:
        """Signals one process; the id it had, or 0."""
        pid = self.pid(name)
        if pid:
            self.send_to(pid, number)
        return pid

    def send_to(self, pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        (self.stopped.add if number == signal.SIGSTOP else self.stopped.discard)(pid)

    def everything(self) -> dict[str, int]:
        """Every process of the system by name, supervisord's among them."""
        try:
            found = {p.name: p.pid for p in Supervisor(self._socket).processes() if p.pid}
            found["supervisord"] = int((self.run.run_dir / "supervisord.pid").read_text())
        except (SupervisorError, OSError, ValueError):
            return {}
        return found

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Whether the condition came true within so many host seconds; hears meanwhile."""
        deadline_s = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.05)
        return True

    def stop_the_market(self) -> None:
        """Ends the pacer on purpose: market time stands still, so nothing new is decided."""
        supervisor = _Supervisor(self._socket)
        supervisor.stop(topology.PACER)
        self.until(lambda: not self.pid(topology.PACER), 20.0)

    def start_the_market(self) -> None:
        Supervisor(self._socket).start(topology.PACER)

    @property
    def _socket(self) -> Path:
        return self.run.run_dir / "supervisor.sock"

    def at_rest(self) -> bool:
        """Whether we and the broker hold the same orders for open, and none is in doubt."""
        book, truth = self._picture.last(m.OrderBook), self.ask({"truth": True})
        if book is None or book.unknown or self.unsettled(without=topology.PACER):
            return False
        if "open_orders" not in truth:
            return False
        live = {order["order_ref"].rpartition(".")[0] for order in truth["open_orders"]}
        return live == set(book.working)

    # Its TWS

    def sim(self, fault: str, **arguments: Any) -> bool:
        """Injects a fault; False while the simulated TWS does not answer."""
        return bool(self.ask({"fault": fault, "args": arguments}).get("ok"))

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            return control.ask(self.run.run_dir / "sim.control", question)
        except (OSError, ValueError):
            return {}


@contextmanager
def burners(seconds: float) -> Iterator[None]:
    """Twice as many busy processes as there are processors; each ends by itself."""
    code = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    count = 2 * (os.cpu_count() or 1)
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
