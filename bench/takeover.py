"""Target 9: how long no price is judged against the stop after kill -9, until the first judgement
is heard.

A real supervisord restarts what was killed, beside a standby or without one. Prices come every
millisecond, each on the other side of the stop than the one before, so that every one is a fact
(BreachSuspected, BreachCleared) for whoever listens. The yardstick of a restart is a worker that
imports zmq, binds and speaks.
"""

from __future__ import annotations

import itertools
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import zmq

from bench import peers, stop_monitor
from bench.ratio import Effort, Figure, Result, Target, compare
from bench.stop_monitor import ABOVE_STOP_USD, BELOW_STOP_USD
from common import wire
from common.bus import Bus
from common.lock import holder, lock_path
from common.messages import BreachCleared, BreachSuspected, Message
from common.standby import Signs
from common.topology import CONSOLE, FEED, GATEWAY, RISK, RISK_STANDBY, SIGNAL

P50 = Target(9, "stop monitor killed, a standby goes on, p50", "supervisord alone", 0.02)
MAX = Target(9, "the same, the slowest of all kills", "supervisord alone", 0.05)
COLD = Target(9, "stop monitor killed, no standby", "bare zmq worker's restart", 1.1)
TARGETS = (P50, MAX, COLD)

ROOT = Path(__file__).resolve().parent.parent
PRICE_EVERY_S = 0.001
QUIET_S = 0.05  # what the dead one has said last has arrived by then
READY_S_MAX = 60.0

CONFIG = """
[supervisord]
nodaemon = true
directory = {root}
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid
"""
PROGRAM = """
[program:{name}]
command = {command}
autorestart = true
startsecs = 1
startretries = 8
stdout_logfile = {folder}/{name}.log
redirect_stderr = true
"""

WORKER = """
import os, sys, time, zmq
socket = zmq.Context().socket(zmq.PUB)
socket.bind(sys.argv[1])
while True:
    socket.send(str(os.getpid()).encode())
    time.sleep(0.001)
"""


def measure(effort: Effort) -> list[Result]:
    with ExitStack() as stack:
        alone = stack.enter_context(_stop_monitor(RISK))
        beside = stack.enter_context(_stop_monitor(RISK, RISK_STANDBY))
        worker = stack.enter_context(_bare_worker())
        all_kills: list[float] = []
        all_restarts: list[float] = []

        def round_() -> dict[Target, tuple[float, float]]:
            restart_s = alone.kill()
            kills = [beside.kill() for _ in range(effort.samples(3))]
            all_restarts.append(restart_s)
            all_kills.extend(kills)
            return {P50: (statistics.median(kills), restart_s), COLD: (restart_s, worker.kill())}

        p50, cold = compare(round_, effort)
        slowest = max(all_kills) / statistics.median(all_restarts)
        return [p50, Figure(MAX, (slowest,), p50.spread), cold]


class StopMonitor:
    """One under supervisord, with a position; this process stands for the services around it."""

    def __init__(self, run_dir: Path, standby: bool) -> None:
        self._buses = {name: Bus(name, run_dir) for name in (FEED, GATEWAY, SIGNAL)}
        self._voices = {name: stop_monitor.Voice(name) for name in self._buses}
        self._ears = Bus(CONSOLE, run_dir)
        self._ears.subscribe((BreachSuspected, BreachCleared))
        self._lock = lock_path(run_dir, RISK)
        self._signs = Signs(run_dir, RISK) if standby else None
        self._prices = itertools.cycle((BELOW_STOP_USD, ABOVE_STOP_USD))

    def begin(self) -> None:
        """Tells it of the session and the position, until it judges."""

        def judged() -> bool:
            self._say(GATEWAY, stop_monitor.gateway_facts())
            self._say(SIGNAL, stop_monitor.signal_facts(1))
            self._say(FEED, stop_monitor.feed_facts(1))
            return self._judged()

        peers.until(judged, READY_S_MAX)

    def kill(self) -> float:
        """Seconds from the kill until another one's first judgement is heard."""
        self._await_standby()
        # A suspicion that outlives the kill would be confirmed by the first price after it.
        self._say(FEED, [stop_monitor.quote(ABOVE_STOP_USD)])
        time.sleep(QUIET_S)
        for _ in self._ears.heard():
            pass
        victim = int(holder(self._lock))
        began = time.perf_counter()
        os.kill(victim, signal.SIGKILL)
        peers.until(self._judged, READY_S_MAX)
        return time.perf_counter() - began

    def _await_standby(self) -> None:
        signs = self._signs
        if signs is None:
            return

        def stands_by() -> bool:
            self._judged()  # prices go on meanwhile
            sign = signs.news()
            return sign is not None and str(sign.pid) != holder(self._lock)

        peers.until(stands_by, READY_S_MAX)

    def _judged(self) -> bool:
        """Says the next price; whether a judgement has been heard within the time to another."""
        price = stop_monitor.quote(next(self._prices))
        self._say(FEED, [msgspec.structs.replace(price, agree=False)])
        self._ears.wait(PRICE_EVERY_S)
        heard = [
            wire.decode_fact(frame).body for kind, _, frame in self._ears.heard() if kind == "fact"
        ]
        return any(isinstance(fact, BreachSuspected | BreachCleared) for fact in heard)

    def _say(self, speaker: str, facts: list[Message]) -> None:
        for fact in facts:
            self._buses[speaker].say(self._voices[speaker].frame(fact))

    def close(self) -> None:
        for bus in (self._ears, *self._buses.values()):
            bus.close()


class BareWorker:
    """The yardstick, and a listener with our reconnect interval."""

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context()
        self._ears = self._context.socket(zmq.SUB)
        self._ears.set(zmq.RECONNECT_IVL, 10)
        self._ears.set(zmq.RECONNECT_IVL_MAX, 30)
        self._ears.subscribe(b"")
        self._ears.connect(endpoint)

    def kill(self) -> float:
        """Seconds from the kill until another one is heard."""
        pid = self._heard()
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        while self._heard() == pid:
            pass
        return time.perf_counter() - began

    def _heard(self) -> int:
        if not self._ears.poll(int(READY_S_MAX * 1000)):
            raise peers.PeerSilentError("the bare worker does not speak")
        return int(self._ears.recv())

    def close(self) -> None:
        self._context.destroy(linger=0)


@contextmanager
def _stop_monitor(*programs: str) -> Iterator[StopMonitor]:
    with peers.run_folder() as folder:
        command = f"{sys.executable} -m services.{RISK}"
        with _supervisord(folder, dict.fromkeys(programs, command)):
            stage = StopMonitor(folder, standby=RISK_STANDBY in programs)
            try:
                stage.begin()
                yield stage
            finally:
                stage.close()


@contextmanager
def _bare_worker() -> Iterator[BareWorker]:
    with peers.run_folder() as folder:
        (folder / "worker.py").write_text(WORKER)
        endpoint = f"ipc://{folder}/worker"
        command = f"{sys.executable} {folder}/worker.py {endpoint}"
        with _supervisord(folder, {"worker": command}):
            worker = BareWorker(endpoint)
            try:
                yield worker
            finally:
                worker.close()


@contextmanager
def _supervisord(folder: Path, commands: dict[str, str]) -> Iterator[None]:
    config = folder / "supervisord.conf"
    programs = (
        PROGRAM.format(name=name, command=command, folder=folder)
        for name, command in commands.items()
    )
    config.write_text(CONFIG.format(root=ROOT, folder=folder) + "".join(programs))
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
        env=stop_monitor.environment(folder, folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()
