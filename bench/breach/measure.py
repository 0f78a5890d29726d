"""Runs the system through one breach a day, hurting a process a moment before it, and measures.

The breach is the instant of the broker's first print below the level that the risk monitor last
told; the order is the instant at which the broker had read it. Both on this machine's monotonic
clock. The resting order at the broker lies lower and does not trigger.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import Path

import msgpack

from bench.breach import market
from bench.breach.drive import Drive
from bench.breach.sample import HEALTHY, Sample
from common import messages as m
from common import topology
from common.clock import MINUTE_NS, NEW_YORK, SECOND_NS, host_ns
from common.core.pace import SessionTimes
from common.lock import holder, lock_path
from common.supervision import Supervisor, SupervisorError
from services.pacer import sessions_between
from services.run import plan as plans
from services.run.plan import Plan
from services.run.system import System
from services.sim_tws.market import SMH, Market, replay
from tests.oracle import facts
from tests.oracle.frames import Frame

SESSIONS_MAX = 40
SEED = 1
START_S_MAX = 90.0
WATCH_S = 25.0  # after a breach: the order or BREACHED must have come long before
RUN_UP_NS = 2 * SECOND_NS  # market at speed 1 before the breach
HURT_BEFORE_NS = 300 * 1_000_000
SETTLE_S_MAX = 120.0
ASKED_MAX = 5
RECORD_BYTES_MAX = 1 << 30

STOP_MONITORS = (topology.RISK, topology.RISK_STANDBY)
BOTH_MONITORS = " and ".join(STOP_MONITORS)
"""More than promise 2 speaks of: only the gateway's guard is left."""

Case = tuple[str, str]


class Ended(Supervisor):
    """supervisord, that can also be told to end one process for good."""

    def stop(self, name: str) -> None:
        wait = False
        self._call("stopProcess", name, wait)


class Wire:
    """The simulated TWS's recording, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._unpacker = msgpack.Unpacker(max_buffer_size=RECORD_BYTES_MAX)

    def new(self) -> Iterator[Frame]:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        self._unpacker.feed(data)
        for record in self._unpacker:
            yield Frame(*record)

    def exit_ns(self) -> int | None:
        """The host instant at which a market order to sell was read, since last asked; or None."""
        for frame in self.new():
            if frame.direction != "in" or not frame.payload.startswith(b"3\0"):
                continue
            placed = facts.decode(frame)
            assert isinstance(placed, facts.Placed)
            if (placed.action, placed.order_type, placed.what_if) == ("SELL", "MKT", False):
                return placed.host_ns
        return None


def measure(folder: Path, first: date, cases: Sequence[Case]) -> Iterator[Sample]:
    """One run of the system, one case a day from the second day on."""
    days = session_days(first, len(cases) + 1)
    data = market.write(folder / "market", days, len(cases) + 2)
    wire = folder / "wire.msgpack"
    sessions = sessions_between(first, days[-1])
    prices = replay(data, SEED)
    with running(folder, data, first, wire) as plan:
        supervisor = Ended(plan.run_dir / "supervisor.sock")
        _until(lambda: _ended(supervisor, topology.PACER), START_S_MAX)
        entry_ns = int(plan.settings.entry.minutes_before_close * MINUTE_NS)
        drive = Drive(Path(plan.environment["TRADER_CLOCK"]), plan.run_dir, sessions, entry_ns)
        try:
            tail = Wire(wire)
            _until(drive.hears_all_settled, START_S_MAX)
            drive.advance(sessions[0].close_ns)
            for session, (harm, process) in zip(sessions[1:], cases, strict=True):
                _until(lambda: _all_up(supervisor), SETTLE_S_MAX)
                taken = _breach(drive, tail, prices, supervisor, session, harm, process)
                if taken is not None:
                    yield taken
                _recover(drive)
                drive.advance(session.close_ns)
        finally:
            drive.close()


def _breach(
    drive: Drive,
    tail: Wire,
    prices: Market,
    supervisor: Ended,
    session: SessionTimes,
    harm: str,
    process: str,
) -> Sample | None:
    """One morning; None when nothing was held or nothing armed."""
    about_ns = session.open_ns + MINUTE_NS
    drive.advance(about_ns - RUN_UP_NS)
    _until(drive.hears_all_settled, SETTLE_S_MAX)
    equity = drive.picture.last(m.Equity)
    if equity is None or not equity.armed or equity.shares <= 0 or equity.stop_price_usd is None:
        return None
    breach_ns = first_below(prices, session, equity.stop_price_usd)
    list(tail.new())
    before = _pids(supervisor)
    hurt = _pids_of(supervisor, drive.var_dir, process) if harm != HEALTHY else ()
    host_at = drive.run_free(breach_ns + int((WATCH_S + 5) * SECOND_NS))
    broken_ns = host_at(breach_ns)
    _until(lambda: host_ns() >= broken_ns - HURT_BEFORE_NS, 2 * RUN_UP_NS / SECOND_NS)
    for pid in hurt:
        os.kill(pid, signal.SIGKILL if harm == "killed" else signal.SIGSTOP)
    order_ns = breached_ns = None
    while host_ns() < broken_ns + WATCH_S * SECOND_NS and order_ns is None:
        drive.hear()
        order_ns = tail.exit_ns()
        state = drive.risk
        if breached_ns is None and state is not None and state.breached:
            breached_ns = host_ns()
    starved = sorted(
        name for name, now in _pids(supervisor).items() if before[name] not in {now, *hurt}
    )
    if harm == "hung" and process == topology.WATCHDOG:
        with suppress(ProcessLookupError):
            os.kill(hurt[0], signal.SIGCONT)  # nobody else would end it
    return Sample(
        harm=harm,
        process=process,
        order_s=None if order_ns is None else round((order_ns - broken_ns) / SECOND_NS, 4),
        breached_s=None if breached_ns is None else round((breached_ns - broken_ns) / SECOND_NS, 4),
        load=round(os.getloadavg()[0], 2),
        starved=", ".join(starved),
    )


def first_below(prices: Market, session: SessionTimes, stop_usd: float) -> int:
    """The market instant (UTC ns) of the first print of that session at or below the level."""
    for tick in prices.path(SMH, session.open_ns, session.open_ns + 2 * MINUTE_NS):
        if tick.last <= stop_usd and (tick.bid + tick.ask) / 2 <= stop_usd:
            return tick.ts_ns
    raise LookupError(f"no print below {stop_usd} in the first two minutes")


def _recover(drive: Drive) -> None:
    """Until all is well again, at speed 1 while a process is away; a halt is lifted."""
    drive.advance(drive.market_ns + SECOND_NS, speed_max=1.0)
    end_ns = host_ns() + int(SETTLE_S_MAX * SECOND_NS)
    while not drive.settled():
        drive.advance(drive.market_ns + SECOND_NS // 10, speed_max=1.0)
        if host_ns() > end_ns:
            raise TimeoutError(f"not all well within {SETTLE_S_MAX:g} s of the breach")
    state = drive.risk
    if state is not None and state.mode == "HALTED":
        drive.resume()


@contextmanager
def running(folder: Path, data: Path, first: date, wire: Path) -> Iterator[Plan]:
    """The system under supervisord, as the launcher starts it."""
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    os.environ["TRADER_VAR"] = str(folder / "var")
    options = ["--data", str(data), "--start", first.isoformat(), "--sim-options"]
    plan = plans.make([*options, f"--record {wire}"], os.environ)
    plan.mode_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    plans.make_folders(plan)
    with System(plan):
        yield plan


def session_days(first: date, count: int) -> list[date]:
    """`market.HISTORY_DAYS` session dates before `first` and `count` from it on."""
    span = timedelta(days=count * 2 + 20)
    dates = [_day(s) for s in sessions_between(first - timedelta(days=1200), first + span)]
    start = next(at for at, day in enumerate(dates) if day >= first)
    return dates[start - market.HISTORY_DAYS : start + count]


def _day(session: SessionTimes) -> date:
    return datetime.fromtimestamp(session.open_ns / SECOND_NS, NEW_YORK).date()


def _pids(supervisor: Supervisor) -> dict[str, int]:
    """Per program; SupervisorError when supervisord stays silent."""
    for _ in range(ASKED_MAX):
        with suppress(SupervisorError):  # on a busy machine it may be late
            return {row.name: row.pid for row in supervisor.processes()}
    return {row.name: row.pid for row in supervisor.processes()}


def _pids_of(supervisor: Supervisor, var_dir: Path, name: str) -> tuple[int, ...]:
    """Of the stop monitor's two copies the one at work is risk_monitor, the other the standby."""
    rows = _pids(supervisor)
    copies = [rows[copy] for copy in STOP_MONITORS]
    if name == BOTH_MONITORS:
        return tuple(copies)
    if name not in STOP_MONITORS:
        return (rows[name],)
    at_work = int(holder(lock_path(var_dir, topology.RISK)))
    return (at_work,) if name == topology.RISK else tuple(p for p in copies if p != at_work)


def _all_up(supervisor: Supervisor) -> bool:
    """Whether everything runs but the pacer: those that hear no bus as well."""
    try:
        rows = supervisor.processes()
    except SupervisorError:
        return False
    return all(row.state == "RUNNING" for row in rows if row.name != topology.PACER)


def _ended(supervisor: Ended, name: str) -> bool:
    """Tells the process to end; whether it has."""
    try:
        row = next(row for row in supervisor.processes() if row.name == name)
        if row.pid:
            supervisor.stop(name)
    except SupervisorError:
        return False
    return not row.pid and row.state == "STOPPED"


def _until(condition: Callable[[], object], seconds: float) -> None:
    """TimeoutError when the condition does not come true in so many host seconds."""
    end_ns = host_ns() + int(seconds * SECOND_NS)
    while not condition():
        if host_ns() > end_ns:
            raise TimeoutError(f"not within {seconds:g} s")
