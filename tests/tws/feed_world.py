"""A simulated TWS in its own process, a clock that the test moves, and the feed's real engine and
edge in the test's event loop."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from common import calendar, wire
from common.clock import ClockWriter, host_ns
from common.core import quotes
from common.engine import Engine
from common.journal import Journal
from common.messages import Message
from common.settings import Broker, Settings, Strategy
from common.tws.market import MarketData, calendar_range, calendar_read
from common.tws.market_messages import ReadCalendar

DEADLINE_S = 20.0
YEAR_NS = 365 * 86_400 * 1_000_000_000


_sessions = cache(calendar.sessions)


class SimTws:
    """`python -m services.sim_tws` on a free port, told to misbehave through its control socket."""

    def __init__(self, folder: Path, clock_file: Path, *options: str) -> None:
        self.control = folder / "control"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.sim_tws", "--port", "0", "--clock", str(clock_file),
             "--control", str(self.control), *options],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("simulated TWS on"):
                self.port = int(line.rsplit(":", 1)[1])
                return
        raise RuntimeError("the simulated TWS did not start")

    async def fault(self, name: str, **args: Any) -> None:
        reader, writer = await asyncio.open_unix_connection(self.control)
        writer.write(json.dumps({"fault": name, "args": args}).encode() + b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        assert answer.get("ok"), answer

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        if self.process.stderr is not None:
            self.process.stderr.close()


class Feed:
    """market_feed without its bus: facts are collected as they would be published.

    `own_calendar` computes the sessions as the service does, in a process for each question; else
    one computation serves all feeds of a test run.
    """

    def __init__(
        self, settings: Settings, clock: Any, folder: Path, *, own_calendar: bool = False
    ) -> None:
        self._own_calendar = own_calendar
        self.said: list[Message] = []
        self.effects: list[Message] = []
        self.heard: list[Message] = []
        self.edge = MarketData(settings, clock, self._hear)
        journal = Journal(folder / "journal", 0)
        self.engine = Engine("market_feed", quotes, settings, clock, host_ns, journal, self, "test")

    def _hear(self, message: Message) -> None:
        self.heard.append(message)
        self.engine.hear_local(message, source="tws")

    def say(self, frame: bytes) -> None:
        self.said.append(wire.decode_fact(frame).body)

    def ask(self, _answerer: str, _frame: bytes) -> bool:
        return False

    def answer(self, _peer: bytes, _frame: bytes) -> bool:
        return False

    def perform(self, effect: Message) -> None:
        self.effects.append(effect)
        if isinstance(effect, ReadCalendar) and not self._own_calendar:
            days = _sessions(*calendar_range(effect))
            asyncio.get_running_loop().call_soon(self._hear, calendar_read(effect, days))
        else:
            self.edge.perform(effect)

    def newest(self, kind: type[Any]) -> Any:
        """The newest fact of that kind, or None."""
        return next((fact for fact in reversed(self.said) if isinstance(fact, kind)), None)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Lets time pass until the condition holds; fails after a while of host time."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for: {what}"
            await asyncio.sleep(0.02)
            self.engine.tick()


@contextmanager
def market_clock(folder: Path, start_ns: int, speed: float = 1.0) -> Iterator[ClockWriter]:
    """A replay clock that runs from `start_ns` at `speed`."""
    writer = ClockWriter(folder / "clock", start_ns)
    writer.run(start_ns, speed, start_ns + YEAR_NS)
    try:
        yield writer
    finally:
        writer.close()


def settings_for(port: int, **strategy: Any) -> Settings:
    return Settings(broker=Broker(port=port), strategy=Strategy(**strategy))
