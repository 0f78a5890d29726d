"""A simulated TWS inside the test process, its market time moved by the test alone.

The server runs in a thread of its own on a real socket; clients are the unmodified libraries or
the raw socket of `raw_client`. Nothing here waits for luck: `eventually` polls until a deadline.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

from common.clock import ClockWriter, ReplayClock
from services.sim_tws import faults
from services.sim_tws.account import PORTFOLIO, Account
from services.sim_tws.broker import Broker
from services.sim_tws.market import Market
from services.sim_tws.market_time import instant_ns, new_york_date
from services.sim_tws.recorder import Recorder
from services.sim_tws.server import Server
from services.sim_tws.state_file import StateFile
from services.sim_tws.switches import Switches
from services.sim_tws.tape import Tape

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TRADER_DATA", ROOT.parent / "shared" / "data"))
DEADLINE_S = 30.0
FIRST_DAY = date(2025, 6, 2)
Answer = TypeVar("Answer")


def eventually(
    condition: Callable[[], Answer], pump: Callable[[], object] = lambda: None
) -> Answer:
    """Polls until the condition is true; `pump` lets a client read meanwhile."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        pump()
        time.sleep(0.005)
    return found


class SimThread:
    """One server; `go` moves market time, `do` runs code in the server's own thread."""

    def __init__(
        self,
        market: Market,
        folder: Path,
        at: str = "10:00",
        kind: str = PORTFOLIO,
        cash_usd: float = 1_000_000.0,
        day: date = FIRST_DAY,
        record: Path | None = None,
        state: Path | None = None,
        accounts: tuple[str, ...] = ("DU1234567",),
    ) -> None:
        self._writer = ClockWriter(folder / f"clock{time.monotonic_ns()}", _at(day, at))
        start_ns = self._writer.reader.now_ns()
        books = [Account(name, cash_usd, kind) for name in accounts]
        broker = Broker(Tape(market), books, start_ns, Switches())
        self.server = Server(
            broker,
            self._writer.reader,
            Recorder(record) if record else None,
            StateFile(state) if state else None,
        )
        self.log: list[str] = []
        self.server.log = self.log.append
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(DEADLINE_S), "the server did not start"

    @property
    def broker(self) -> Broker:
        return self.server.broker

    @property
    def clock(self) -> ReplayClock:
        return self._writer.reader

    def go(self, wall: str, day: date | None = None) -> None:
        """Jumps to a New York wall time (of the current day) and lets all of it happen."""
        target_ns = _at(day or new_york_date(self._writer.reader.now_ns()), wall)
        self._writer.run(target_ns, 0.0, target_ns)
        self.do(self.server.publish)

    def pass_s(self, seconds: float) -> None:
        """Jumps ahead by some market seconds."""
        target_ns = self._writer.reader.now_ns() + int(seconds * 1_000_000_000)
        self._writer.run(target_ns, 0.0, target_ns)
        self.do(self.server.publish)

    def do(self, act: Callable[[], Answer]) -> Answer:
        async def run() -> Answer:
            return act()

        return self.done(run())

    def done(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """The same for what takes turns with the server."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE_S)

    def fault(self, name: str, **args: object) -> None:
        self.do(lambda: faults.inject(self.server, name, args))

    def stop(self) -> None:
        def end() -> None:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()

        self._loop.call_soon_threadsafe(end)
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the server did not stop"
        self._writer.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self.port = await self.server.listen("127.0.0.1", 0)
        self._ready.set()
        try:
            await self.server.beat()
        except asyncio.CancelledError:
            await self.server.close()


@contextmanager
def running(market: Market, folder: Path, **options: Any) -> Iterator[SimThread]:
    sim = SimThread(market, folder, **options)
    try:
        yield sim
    finally:
        sim.stop()


def next_day(day: date) -> date:
    """The next weekday; the first weeks of the test market hold no other holidays."""
    day += timedelta(days=1)
    while day.weekday() > 4:
        day += timedelta(days=1)
    return day


def _at(day: date, wall: str) -> int:
    hour, minute, *second = (int(part) for part in wall.split(":"))
    return instant_ns(day, hour, minute) + (second[0] if second else 0) * 1_000_000_000
