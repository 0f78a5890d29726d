"""Target 11: memory of the running system, from /proc/PID/smaps_rollup.

The whole system runs on the simulated TWS; RSS counts what a process has in memory, USS what it
alone has, so that a sum counts nothing twice. Yardsticks: a Python that waits, one that has
imported ib_insync, and an idle live node of nautilus_trader in an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import environments, peers
from bench.ratio import Effort, NotMeasured, Result, Target, compare
from bench.stop_monitor import environment
from common.topology import EXECUTOR, FEED, GATEWAY, RISK, SIGNAL

PLAIN = Target(11, "RSS, largest service without broker", "bare Python", 2.3)
BROKER = Target(11, "RSS, broker_gateway", "import ib_insync", 1.3)
WHOLE = Target(11, "USS, five services, standby and supervisord", "idle nautilus live node", 0.6)
TARGETS = (PLAIN, BROKER, WHOLE)

ROOT = Path(__file__).resolve().parent.parent
WITHOUT_BROKER = (SIGNAL, RISK, EXECUTOR)
FIVE = (FEED, GATEWAY, *WITHOUT_BROKER)
SUPERVISORD = "supervisor.supervisord"
WARM_UP_S = 15.0  # connected, history read, the first prices judged
START_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, in KiB."""

    rss: int
    uss: int


def memory(pid: int) -> Memory:
    """Raises FileNotFoundError when the process has gone."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        fields[name] = int(value)
    return Memory(fields["Rss:"], fields["Private_Clean:"] + fields["Private_Dirty:"])


def measure(effort: Effort) -> list[Result]:
    with ExitStack() as stack:
        pids = stack.enter_context(_system(WARM_UP_S * effort.share))
        bare = stack.enter_context(_waiting([sys.executable, "-c", _says("")]))
        library = stack.enter_context(_waiting([sys.executable, "-c", _says("import ib_insync")]))

        def own() -> dict[Target, tuple[float, float]]:
            plain = max(_each(pids, "rss", WITHOUT_BROKER))
            gateway = max(_each(pids, "rss", (GATEWAY,)))
            return {PLAIN: (plain, memory(bare).rss), BROKER: (gateway, memory(library).rss)}

        results: list[Result] = [*compare(own, effort)]
        try:
            node = stack.enter_context(_nautilus_node())
        except environments.NotInstalledError as reason:
            return [*results, NotMeasured(WHOLE, str(reason))]

        def whole() -> dict[Target, tuple[float, float]]:
            supervisord = sum(memory(pid).uss for pid in pids[SUPERVISORD])
            return {WHOLE: (supervisord + sum(_each(pids, "uss", FIVE)), memory(node).uss)}

        return [*results, *compare(whole, effort)]


def _each(pids: dict[str, list[int]], kind: str, services: tuple[str, ...]) -> list[int]:
    """KiB of each process of those services; the stop monitor and its standby are two."""
    return [getattr(memory(pid), kind) for name in services for pid in pids[f"services.{name}"]]


@contextmanager
def _system(warm_up_s: float) -> Iterator[dict[str, list[int]]]:
    """The whole system on the simulated TWS; yields the process ids of each module."""
    with peers.run_folder() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.run"],
            cwd=ROOT,
            env=environment(folder, folder),
            stdout=subprocess.DEVNULL,
        )
        try:
            wanted = {SUPERVISORD, *(f"services.{name}" for name in FIVE)}
            peers.until(lambda: wanted <= modules_below(process.pid).keys(), START_S_MAX)
            time.sleep(warm_up_s)
            yield modules_below(process.pid)
        finally:
            process.terminate()
            process.wait()


def modules_below(pid: int) -> dict[str, list[int]]:
    """Per module run by `python -m`, the process ids, among the descendants of `pid`."""
    found: dict[str, list[int]] = {}
    for child in _children(pid):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        except FileNotFoundError:
            continue
        if "-m" in command:
            found.setdefault(command[command.index("-m") + 1], []).append(child)
        for module, pids in modules_below(child).items():
            found.setdefault(module, []).extend(pids)
    return found


def _children(pid: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _says(first: str) -> str:
    return f"{first}\nimport sys; print('running', flush=True); sys.stdin.read()"


@contextmanager
def _waiting(command: list[str]) -> Iterator[int]:
    """A process that has said its line and waits; yields its id. OSError, or a silent one's end."""
    with subprocess.Popen(
        command,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != b"running\n":
                raise peers.PeerSilentError(f"{command[-1]} ended without a word")
            yield process.pid
        finally:
            process.kill()


@contextmanager
def _nautilus_node() -> Iterator[int]:
    """An idle live node; its environment is made on demand. NotInstalledError."""
    python = environments.python_of("nautilus")
    with _waiting([str(python), str(ROOT / "bench/nautilus_node.py")]) as pid:
        yield pid
