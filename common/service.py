"""One process: the engine, its sockets, its heartbeat, its log; started by one line.

A service without an edge runs a plain zmq poll loop. One with an edge (a TWS connection) runs the
same engine on uvloop, which is made current before the edge's libraries are imported.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from common import clock as clocks
from common import settings as settings_file
from common import wire
from common.bus import Bus
from common.clock import SECOND_NS, Clock, host_ns
from common.engine import Engine
from common.fold import Decider, Fold
from common.journal import DiskFullError, Journal
from common.lock import hold_lock, is_held, lock_path
from common.messages import Message
from common.parent import die_with_supervisord
from common.running import boot_id
from common.settings import Settings
from common.standby import Standby

log = logging.getLogger(__name__)

EXIT_SECOND_COPY = 75
# In the first moments the peers are still connecting to us and we to them: what could not be asked
# is asked again at once, and whoever is there hears that we are.
GREETING_NS = SECOND_NS // 4
GREETING_EVERY_S = 0.005


class Edge(Protocol):
    """What a service does in the world outside: its TWS connection, its terminal."""

    def __init__(
        self, settings: Settings, clock: Clock, hear: Callable[[Message], None]
    ) -> None: ...
    async def start(self) -> None: ...
    def perform(self, effect: Message) -> None: ...
    async def stop(self) -> None: ...


def main(
    name: str,
    decider: Decider,
    edge: Callable[[], type[Edge]] | None = None,
    *,
    standby: bool = False,
) -> None:
    """Runs the service `name` until it is told to stop.

    `edge` returns the edge's class; it is called after the event loop stands, so that it may import
    libraries that bind to the loop (ib_insync does). A second copy stops at once, or with `standby`
    waits and goes on with what the first one did when that one dies.
    """
    die_with_supervisord()
    var_dir, run_dir = folders()
    try:
        settings = settings_file.load()
    except settings_file.SettingsError as error:
        sys.exit(f"{name}: {error}")
    clock = clocks.from_environment()
    start_log(name, clock)
    build, folder = build_hash(), var_dir / "journal" / name
    fold = Fold(name, decider, settings)
    lock_file = lock_path(var_dir, name)
    lock = hold_lock(lock_file)
    if lock is None:
        if not standby:
            log.error("a second copy of %s is running; this one stops", name)
            sys.exit(EXIT_SECOND_COPY)
        waiting = Standby(fold, folder, lock_file, run_dir, settings, clock, build, _on_disk)
        lock = waiting.wait(EXIT_SECOND_COPY)
        if not run_dir.is_dir():
            # One that spoke and could not hear would only keep the gateway's guard from acting.
            log.error("the folder of the sockets was removed: nobody can be heard, this copy stops")
            sys.exit(1)
    reserve = int(settings.operation.disk_reserve_mb * 1024 * 1024)
    journal = Journal(folder, reserve)
    bus = Bus(name, run_dir)
    world = _World(bus)
    engine = Engine(name, decider, settings, clock, host_ns, journal, world, build, boot_id())
    alone = partial(is_held, lock_file, lock)
    driver = _Driver(engine, bus, journal, alone, beat_s=0.05 if _simulated() else 0.5)
    try:
        if edge is None:
            _run_plain(engine, driver, fold)
        else:
            _run_with_edge(engine, driver, fold, world, edge, settings, clock)
    except DiskFullError:
        log.exception("the journal cannot be written: nothing may leave, stopping")
        sys.exit(1)
    except LockLostError:
        log.exception("a second copy may be working: this one stops")
        sys.exit(1)
    finally:
        bus.close()


class LockLostError(RuntimeError):
    """The file of this process's lock was removed, and keeps no second copy out any more."""


class _World:
    """An engine's outlet: the bus, and the edge once there is one."""

    def __init__(self, bus: Bus) -> None:
        self.say = bus.say
        self.ask = bus.ask
        self.answer = bus.answer
        self.edge: Edge | None = None

    def perform(self, effect: Message) -> None:
        if self.edge is None:
            raise TypeError(f"{type(effect).__name__} needs an edge, and this service has none")
        self.edge.perform(effect)


class _Driver:
    """What both loops do between waits: drain, tick, settle, beat."""

    def __init__(
        self,
        engine: Engine,
        bus: Bus,
        journal: Journal,
        alone: Callable[[], bool],
        beat_s: float,
    ) -> None:
        self.engine = engine
        self._alone = alone
        self.bus = bus
        self.stopping = False
        self._beat_s = beat_s
        self._greeted_ns = 0
        self._journal_dir = journal.folder
        self._pid = os.getpid()
        self._beat_ns = 0
        self._beat_busy = False
        self._tick_ns = 0
        self._disk_ns = 0

    @property
    def tick_s(self) -> float:
        """Seconds from one tick to the next."""
        return self._soon(min(self._beat_s, 0.2))

    def _soon(self, every_s: float) -> float:
        return GREETING_EVERY_S if host_ns() < self._greeted_ns else every_s

    def cycle(self) -> None:
        """Works off everything that waits, then what time asks for."""
        for kind, peer, frame in self.bus.heard():
            self.engine.hear(kind, peer, frame)
        now_ns = host_ns()
        self._greeted_ns = self._greeted_ns or now_ns + GREETING_NS
        if now_ns - self._tick_ns >= self.tick_s * SECOND_NS:
            self._tick_ns = now_ns
            if not self._alone():
                raise LockLostError("the lock's file was removed")
            self.engine.tick()
        if now_ns - self._disk_ns >= 5 * SECOND_NS:
            self._disk_ns = now_ns
            disk = os.statvfs(self._journal_dir)
            self.engine.disk_state(disk.f_bavail * disk.f_frsize / 1e6)
        self.engine.settle()
        busy = self.engine.busy()
        # An order under way is told at once: a simulated market slows down for it.
        beat_ns = self._soon(self._beat_s) * SECOND_NS
        if busy != self._beat_busy or now_ns - self._beat_ns >= beat_ns:
            self._beat_ns, self._beat_busy = now_ns, busy
            self.engine.heartbeat(self._pid)


def _run_plain(engine: Engine, driver: _Driver, fold: Fold) -> None:
    def stop(_signal: int, _frame: object) -> None:
        driver.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    folded = engine.restore(fold)
    log.info("started, %d records folded", folded)
    while not driver.stopping:
        driver.cycle()
        driver.bus.wait(driver.tick_s)
    log.info("stopped")


def _run_with_edge(
    engine: Engine,
    driver: _Driver,
    fold: Fold,
    world: _World,
    edge: Callable[[], type[Edge]],
    settings: Settings,
    clock: Clock,
) -> None:
    # Only the services with an edge pay for these: a stop monitor that restarts is time without
    # a stop.
    import asyncio  # noqa: PLC0415  (see above)

    import uvloop  # noqa: PLC0415  (see above)

    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    edge_class = edge()
    stopped = asyncio.Event()

    guarded = _Guard(stopped.set)

    def hear(message: Message) -> None:
        guarded(lambda: engine.hear_local(message, source="tws"))

    def cycle() -> None:
        guarded(driver.cycle)

    async def run() -> None:
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stopped.set)
        world.edge = edge_class(settings, clock, hear)
        folded = engine.restore(fold)
        log.info("started, %d records folded", folded)
        await world.edge.start()
        for descriptor in driver.bus.descriptors():
            loop.add_reader(descriptor, cycle)
        while not stopped.is_set():
            cycle()
            try:
                await asyncio.wait_for(stopped.wait(), driver.tick_s)
            except TimeoutError:
                continue
        for descriptor in driver.bus.descriptors():
            loop.remove_reader(descriptor)
        await world.edge.stop()
        log.info("stopped")

    loop.run_until_complete(run())
    if guarded.failure is not None:
        raise guarded.failure


class _Guard:
    """Runs an event loop's callbacks until one fails, then none any more.

    An exception ends the process, as it does in the plain loop, wherever it was raised: a library
    that calls us back might swallow it, and the state would be one that no journal holds.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.failure: Exception | None = None
        self._stop = stop

    def __call__(self, work: Callable[[], None]) -> None:
        if self.failure is not None:
            return
        try:
            work()
        except Exception as error:  # noqa: BLE001  (raised again once the loop has ended)
            self.failure = error
            self._stop()


def folders() -> tuple[Path, Path]:
    """TRADER_VAR (journals, logs, locks) and TRADER_RUN (sockets); the launcher sets both."""
    var_dir = Path(os.environ.get("TRADER_VAR", "var"))
    run_dir = Path(os.environ.get("TRADER_RUN", str(var_dir / "run")))
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return var_dir, run_dir


def build_hash() -> str:
    """Eight hex digits of all the code of the system; two processes that differ are told apart.

    A checksum serves: nobody is kept out by it, and hashlib brings 4 MB of OpenSSL along.
    """
    root = Path(__file__).resolve().parent.parent
    checksum = 0
    for folder in ("common", "services"):
        for path in sorted((root / folder).rglob("*.py")):
            checksum = zlib.crc32(path.read_bytes(), checksum)
    return f"{checksum:08x}"


def _on_disk() -> tuple[str, str] | None:
    """Build and settings that a start would have now; None where it would be refused."""
    try:
        return build_hash(), settings_file.load().to_json()
    except settings_file.SettingsError:
        return None


class _MarketTimeFormatter(logging.Formatter):
    """UTC of the host, then market time in New York, one line per event."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("%(utc)s [%(market)s ET] %(levelname)s %(name)s: %(message)s")
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        utc = datetime.fromtimestamp(record.created, UTC)
        market = datetime.fromtimestamp(self._clock.now_ns() / 1e9, clocks.NEW_YORK)
        record.utc = f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"
        record.market = f"{market:%Y-%m-%d %H:%M:%S}"
        return super().format(record).replace("\n", "\n    ")


def start_log(name: str, clock: Clock) -> None:
    """Logs to standard error, which supervisord keeps and rotates."""
    handler = logging.StreamHandler()
    handler.setFormatter(_MarketTimeFormatter(clock))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("ib_insync").setLevel(logging.ERROR)
    log.info("%s, wire version %d, pid %d", name, wire.WIRE_VERSION, os.getpid())


def _simulated() -> bool:
    return bool(os.environ.get("TRADER_CLOCK"))
