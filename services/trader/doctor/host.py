"""What this machine alone can tell: settings, disk, calendar, sockets, processes, ports."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from common import calendar as calendars
from common import messages as m
from common import settings as settings_file
from common import topology
from common.bus import Bus
from common.clock import SECOND_NS
from common.running import Running
from common.settings import Settings
from common.supervision import Supervisor, SupervisorError
from services.trader import hearing
from services.trader.doctor.check import Check
from services.trader.picture import Picture, expected_services
from services.trader.wording import market_time

CALENDAR_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 2.0


def settings_in_force(settings: Settings) -> Check:
    overrides = sorted(
        name for name in os.environ if name.startswith(settings_file.OVERRIDE_PREFIX)
    )
    found = f"{settings_file.SETTINGS_FILE.name}, mode {settings.account.mode}"
    if overrides:
        found += f", overridden by {', '.join(overrides)}"
    return Check(name="settings", verdict="ok", found=found)


def disk(root: Path, settings: Settings) -> Check:
    """Room and the right to write where journals go."""
    folder = next(parent for parent in (root, *root.absolute().parents) if parent.exists())
    free_mb = shutil.disk_usage(folder).free / 1e6
    least_mb = settings.operation.disk_free_mb_min
    found = f"{free_mb:,.0f} MB free for {root}/ (entries stop below {least_mb:,.0f})"
    if not os.access(folder, os.W_OK):
        mend = f"give yourself the right to write in {folder}, or set TRADER_VAR"
        return Check(name="disk", verdict="fail", found=f"{folder} is not writable", mend=mend)
    if free_mb < least_mb:
        return Check(name="disk", verdict="fail", found=found, mend="make room on this disk")
    return Check(name="disk", verdict="ok", found=found)


def alert_command(settings: Settings) -> Check:
    name, command = "alerts", settings.alerts.alert_command
    if not command:
        mend = "set alerts.alert_command, then try it with `trader test-alert`"
        return Check(name=name, verdict="warn", found="pages reach only the console", mend=mend)
    program = (shlex.split(command) or [""])[0]
    if shutil.which(program) is None:
        mend = "correct alerts.alert_command"
        found = f"{program} cannot be found or run"
        return Check(name=name, verdict="fail", found=found, mend=mend)
    return Check(name=name, verdict="ok", found=f"{command} (try it with `trader test-alert`)")


async def calendar(now_ns: int) -> Check:
    """Whether the exchange calendar can be computed, and its next session."""
    today = datetime.fromtimestamp(now_ns // SECOND_NS, UTC).date()
    try:
        sessions = await calendars.read_sessions(
            today - timedelta(days=7), today + timedelta(days=14), CALENDAR_TIMEOUT_S
        )
    except (calendars.CalendarError, OSError, msgspec.MsgspecError) as error:
        mend = "update exchange_calendars, and check this machine's date"
        return Check(name="calendar", verdict="fail", found=str(error), mend=mend)
    coming = next((session for session in sessions if session.close_ns > now_ns), None)
    if coming is None:
        found = "no session within 14 days"
        return Check(name="calendar", verdict="fail", found=found, mend="update exchange_calendars")
    found = (
        f"session {coming.day}: {market_time(coming.open_ns, day=False)} "
        f"to {market_time(coming.close_ns, day=False)}"
    )
    return Check(name="calendar", verdict="ok", found=found)


def system(running: Running | None) -> Iterator[Check]:
    """The running system's folder, sockets and processes."""
    if running is None or not running.alive:
        yield Check(
            name="system", verdict="skip", found="not running; its sockets cannot be tested"
        )
        return
    run_dir = Path(running.run_dir)
    yield Check(name="system", verdict="ok", found=f"{running.mode}, pid {running.pid}")
    if not run_dir.is_dir():
        mend = "stop the system with Ctrl+C and start it again"
        found = f"{run_dir} was removed, and its sockets with it"
        yield Check(name="run folder", verdict="fail", found=found, mend=mend)
        return
    yield run_folder(run_dir)
    yield _sockets(run_dir, running)
    yield _processes(run_dir)


def run_folder(run_dir: Path) -> Check:
    mode = stat.S_IMODE(run_dir.stat().st_mode)
    found = f"{run_dir}, mode {mode:04o}"
    if mode & 0o077:
        mend = f"chmod 700 {run_dir}: whoever can enter can give orders"
        return Check(name="run folder", verdict="fail", found=found, mend=mend)
    return Check(name="run folder", verdict="ok", found=found)


def _sockets(run_dir: Path, running: Running) -> Check:
    missing = [
        f"{service}.{kind}"
        for service in expected_services(running.broker)
        for kind in ("facts", "asks")
        if not (run_dir / f"{service}.{kind}").is_socket()
    ]
    if missing:
        mend = "wait if it is still starting, else look into the services' logs"
        found = f"missing: {', '.join(missing)}"
        return Check(name="sockets", verdict="fail", found=found, mend=mend)
    return Check(name="sockets", verdict="ok", found="every service has its two")


def _processes(run_dir: Path) -> Check:
    try:
        processes = Supervisor(run_dir / "supervisor.sock").processes()
    except SupervisorError as error:
        mend = "stop the system and start it again"
        return Check(name="supervisor", verdict="fail", found=str(error), mend=mend)
    down = [f"{p.name} {p.state}" for p in processes if p.state not in ("RUNNING", "STOPPED")]
    if down:
        mend = "look into the services' logs"
        return Check(name="supervisor", verdict="fail", found=", ".join(down), mend=mend)
    running = sum(process.state == "RUNNING" for process in processes)
    return Check(name="supervisor", verdict="ok", found=f"{running} processes running")


def simulated_port(running: Running | None) -> int:
    """The port on which a running system's gateway is connected; 0 when it does not say."""
    if running is None or not running.alive or running.broker != "sim":
        return 0
    picture = Picture(expected=(topology.GATEWAY,))
    bus = Bus(topology.TRADER, Path(running.run_dir))
    try:
        hearing.fill(bus, picture)
    finally:
        bus.close()
    link = picture.last(m.BrokerLink)
    return link.port if link else 0


def with_port(settings: Settings, port: int) -> Settings:
    broker = msgspec.structs.replace(settings.broker, host="127.0.0.1", port=port)
    return msgspec.structs.replace(settings, broker=broker)


def ports(settings: Settings) -> list[Check]:
    """Which of the ports that would be tried has a listener."""
    broker = settings.broker
    candidates = (broker.port,) if broker.port else _candidates(settings)
    listening = [port for port in candidates if _listens(broker.host, port)]
    tried = ", ".join(str(port) for port in candidates)
    if not listening:
        mend = (
            "start TWS or IB Gateway and log in; tick Global Configuration, API, Settings, "
            "'Enable ActiveX and Socket Clients'; compare its socket port with broker.port"
        )
        found = f"nothing listens on {broker.host}, port {tried}"
        return [Check(name="TWS port", verdict="fail", found=found, mend=mend)]
    found = f"{broker.host}: {', '.join(map(str, listening))} of {tried}"
    return [Check(name="TWS port", verdict="ok", found=found)]


def _candidates(settings: Settings) -> tuple[int, ...]:
    paper = settings.account.mode == "paper"
    return settings.broker.paper_ports if paper else settings.broker.live_ports


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False
