"""market_feed and signal_engine as processes on a simulated TWS, and a listener on their bus."""

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

from common import topology, wire
from common.bus import Bus
from common.messages import Message
from tests.tws.feed_world import SimTws, market_clock

DEADLINE_S = 60.0


class Processes:
    """The services by name; what they say is collected by `until`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.run_dir = folder, folder / "run"
        self.run_dir.mkdir(mode=0o700)
        self._environment = {
            **os.environ,
            "TRADER_VAR": str(folder), "TRADER_RUN": str(self.run_dir),
            "TRADER_CLOCK": str(folder / "clock"), "TRADER__BROKER__PORT": str(port),
        }  # fmt: skip
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.bus = Bus(topology.TRADER, self.run_dir)
        self.heard: list[wire.Envelope[Any]] = []

    def start(self, name: str, **environment: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", f"services.{name}"],
                env={**self._environment, **environment},
                stderr=log,
            )

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()
        process.wait(10)

    def stop(self, name: str) -> int:
        """SIGTERM; the exit status."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(10)

    def newest(self, kind: type[Any]) -> Any:
        """The newest fact of that kind, or None."""
        bodies = (envelope.body for envelope in reversed(self.heard))
        return next((body for body in bodies if isinstance(body, kind)), None)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Listens until the condition holds; fails after a while, with the services' logs."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            logs = "".join(path.read_text()[-1500:] for path in self.folder.glob("*.log"))
            assert time.monotonic() < deadline, f"waited in vain for {what}\n{logs}"
            self.bus.wait(0.05)
            for kind, _, frame in self.bus.heard():
                if kind == "fact":
                    self.heard.append(wire.decode_fact(frame))

    def until_said(self, kind: type[Message], what: str = "") -> Any:
        """The next fact of that kind, heard from now on."""
        self.heard.clear()
        self.until(lambda: self.newest(kind) is not None, what or kind.__name__)
        return self.newest(kind)

    def close(self) -> None:
        for name in tuple(self._running):
            self.kill(name)
        self.bus.close()


@contextmanager
def processes(folder: Path, start_ns: int, *options: str) -> Iterator[tuple[Processes, Any]]:
    """The services' world, nothing started yet, and the clock that moves it."""
    with market_clock(folder, start_ns) as clock:
        sim = SimTws(folder, folder / "clock", *options)
        world = Processes(folder, sim.port)
        try:
            yield world, clock
        finally:
            world.close()
            sim.stop()
