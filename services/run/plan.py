"""What to start: options and settings checked, folders chosen, the children's environment made."""

from __future__ import annotations

import argparse
import csv
import os
import re
import secrets
import shlex
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Literal, NoReturn

from common import running, topology
from common import settings as settings_file
from common.clock import NEW_YORK, SECOND_NS, ClockWriter
from common.lock import keep_from_cleaners
from common.running import Mode, Running
from common.settings import Settings, SettingsError
from common.supervision import private_root

SYNTHETIC_START = date(2025, 6, 2)  # a Monday; the synthetic market's opening act begins there
SYNTHETIC_YEARS = 25
REPLAY_DAYS = 10  # without a start a replay shows so many of the last recorded days
CLOCK_BEGINS = time(9, 25)  # New York, on the first day
RUNS_KEPT = 5  # folders of earlier simulated runs
UNIX_PATH_MAX = 107  # bytes of a unix socket's path on Linux


class RefusedError(Exception):
    """The system is not started; the text is one plain line for the person."""


@dataclass(frozen=True)
class Plan:
    """Everything that starting needs; nothing has been started yet."""

    mode: Mode
    settings: Settings
    mode_dir: Path
    var_dir: Path
    run_dir: Path
    locks: tuple[Path, ...]
    """Held, all of them, while the system runs."""
    days: int | None
    options: tuple[str, ...]
    environment: dict[str, str]

    @property
    def simulated(self) -> bool:
        return self.mode == "sim"


class _Parser(argparse.ArgumentParser):
    """Refuses in one line; `--days abc` may have been typed as DAYS=abc, to `make run`."""

    def error(self, message: str) -> NoReturn:
        def both(found: re.Match[str]) -> str:
            return f"{found[1].replace('-', '_').upper()} (--{found[1]})"

        raise RefusedError(re.sub(r"^argument --([a-z-]+)", both, message))


def parser() -> argparse.ArgumentParser:
    options = _Parser(prog="make run", description="Runs the whole system.")
    add = options.add_argument
    add("--broker", choices=("sim", "tws"), default="sim", help="simulated TWS, or a real one")
    add("--data", type=Path, help="folder of recorded days (default: a synthetic market)")
    add("--start", type=date.fromisoformat, help="first simulated session, YYYY-MM-DD")
    add("--days", type=int, help="end by itself after so many simulated sessions")
    add("--seconds-per-day", type=float, help="host seconds that a simulated session takes")
    add("--seed", type=int, help="of the synthetic market")
    add("--sim-options", help="more for the simulated TWS: --record FILE, --script FILE, ...")
    add("--test-entry", action="store_true", help="enter at once if BULL and the market is open")
    add("--continue", dest="go_on", action="store_true", help="the last simulated run, as it was")
    return options


def make(arguments: Sequence[str], environment: Mapping[str, str]) -> Plan:
    """The plan for a command line; RefusedError when it cannot be started as told."""
    chosen = parser().parse_args(arguments)
    before = _run_to_continue(arguments) if chosen.go_on else None
    if before is not None:
        arguments = before.options
        chosen = parser().parse_args(arguments)
    changed = dict(environment) | _overrides(chosen)
    try:
        settings = settings_file.load(environment=changed)
        root = private_root()
    except (SettingsError, PermissionError) as error:
        raise RefusedError(str(error)) from error
    mode: Mode = "sim" if chosen.broker == "sim" else settings.account.mode
    mode_dir = running.var_root().resolve() / mode
    run = secrets.token_hex(4)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    var_dir = mode_dir / f"{stamp}-{run}" if mode == "sim" else mode_dir
    plan = Plan(
        mode=mode,
        settings=settings,
        mode_dir=mode_dir,
        var_dir=var_dir if before is None else Path(before.var_dir),
        run_dir=root / run,
        # One system per journals, whoever starts it from whatever environment; on a real account
        # also one per person, whatever folder it is started from.
        locks=(mode_dir / "lock", *(() if mode == "sim" else (root / f"{mode}.lock",))),
        days=chosen.days,
        options=tuple(arguments),
        environment=changed,
    )
    _check_socket_paths(plan.run_dir)
    plan.environment.update(_common_environment(plan))
    if mode == "sim":
        plan.environment.update(_simulation(plan, chosen))
    else:
        _refuse_simulation_options(chosen)
    return plan


def _run_to_continue(arguments: Sequence[str]) -> Running:
    """The last simulated run: a crash of everything, and then the same market, broker and journals.

    It goes on under the options it was started with, so no other is taken beside `--continue`.
    """
    if len(arguments) > 1:
        raise RefusedError("CONTINUE goes on as the run was started; give no other option with it")
    root = running.var_root().resolve()
    found = next((run for run in running.known(root) if run.mode == "sim"), None)
    if found is None or not Path(found.clock).exists():
        raise RefusedError(f"no simulated run to continue in {root}")
    return found


def _overrides(chosen: argparse.Namespace) -> dict[str, str]:
    """The options that are settings, as every process will read them."""
    wanted = {
        "TRADER__SIMULATION__START": chosen.start and f'"{chosen.start}"',
        "TRADER__SIMULATION__SECONDS_PER_DAY": chosen.seconds_per_day,
        "TRADER__SIMULATION__SEED": chosen.seed,
        "TRADER__ENTRY__TEST_ENTRY": "true" if chosen.test_entry else None,
    }
    return {name: str(value) for name, value in wanted.items() if value is not None}


def _common_environment(plan: Plan) -> dict[str, str]:
    operation = plan.settings.operation
    return {
        "TRADER_PYTHON": sys.executable,
        "TRADER_VAR": str(plan.var_dir),
        "TRADER_RUN": str(plan.run_dir),
        "TRADER_BROKER": "sim" if plan.simulated else "tws",
        "TRADER_SUPERVISED": str(plan.run_dir / "supervisord.pid"),
        "TRADER_SIMULATED": "true" if plan.simulated else "false",
        "TRADER_LOG_BYTES": str(operation.log_mb_max * 1024 * 1024),
        "TRADER_LOGS_KEPT": str(operation.logs_kept),
        "TRADER_CLOCK": "",
        "TRADER_SIM_OPTIONS": "",
        "PYTHONUNBUFFERED": "1",
    }


def _simulation(plan: Plan, chosen: argparse.Namespace) -> dict[str, str]:
    simulation = plan.settings.simulation
    if plan.days is not None and plan.days < 1:
        raise RefusedError(f"--days {plan.days}: at least one day")
    start, last = _market_days(chosen.data, simulation.start)
    port = free_port()
    clock = plan.var_dir / "clock"
    options = ["--port", str(port), "--clock", str(clock), "--start", start.isoformat()]
    options += ["--control", str(plan.run_dir / "sim.control")]
    options += ["--state", str(plan.var_dir / "sim_tws.state")]
    options += ["--seed", str(simulation.seed), "--cash", str(simulation.cash_usd)]
    options += ["--account-type", simulation.account_type]
    if chosen.data is not None:
        options += ["--data", str(chosen.data.resolve())]
    options += shlex.split(chosen.sim_options or "")
    return {
        "TRADER__BROKER__HOST": '"127.0.0.1"',
        "TRADER__BROKER__PORT": str(port),
        "TRADER__ACCOUNT__MODE": '"paper"',
        "TRADER__ACCOUNT__ID": '""',  # the simulated login has one account
        "TRADER_CLOCK": str(clock),
        "TRADER_START": start.isoformat(),
        "TRADER_LAST_DAY": last.isoformat(),
        "TRADER_DAYS": str(plan.days or ""),
        "TRADER_SIM_OPTIONS": shlex.join(options),
    }


def _market_days(data: Path | None, start_text: str) -> tuple[date, date]:
    """First day of the run and last day of its market."""
    start = date.fromisoformat(start_text) if start_text else None
    if data is None:
        first = start or SYNTHETIC_START
        return first, first + timedelta(days=365 * SYNTHETIC_YEARS)
    days = recorded_days(data)
    first = start or days[max(0, len(days) - REPLAY_DAYS)]
    if not days[0] < first <= days[-1]:
        raise RefusedError(f"{data}: has days from {days[0]} to {days[-1]}, not {first}")
    return first, days[-1]


def recorded_days(data: Path) -> list[date]:
    """The days of a recording; RefusedError names what is missing or cannot be read."""
    path = data / "SMH_daily.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            days = [date.fromisoformat(row["date"]) for row in csv.DictReader(file)]
    except OSError as error:
        mend = "DATA names a folder that holds it"
        raise RefusedError(f"{path}: {error.strerror}; {mend}") from error
    except (ValueError, KeyError) as error:
        raise RefusedError(f"{path}: cannot be read as daily bars ({error})") from error
    if not days:
        raise RefusedError(f"{path}: has no rows")
    return days


def _refuse_simulation_options(chosen: argparse.Namespace) -> None:
    for name in ("data", "start", "days", "seconds_per_day", "seed", "sim_options"):
        if getattr(chosen, name) is not None:
            option = name.upper()
            raise RefusedError(f"{option} belongs to a simulated run, not to BROKER=tws")


def free_port() -> int:
    """A TCP port of this machine that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refuse_without_tws(settings: Settings) -> None:
    """RefusedError when nothing listens on any port that the gateway would try."""
    broker = settings.broker
    tried = broker.paper_ports if settings.account.mode == "paper" else broker.live_ports
    ports = (broker.port,) if broker.port else tried
    for port in ports:
        try:
            socket.create_connection((broker.host, port), timeout=2.0).close()
        except OSError:
            continue
        return
    named = ", ".join(map(str, ports))
    raise RefusedError(
        f"nothing listens on {broker.host} port {named}: start TWS or IB Gateway, log in, and "
        "tick Configuration > API > Settings > Enable ActiveX and Socket Clients"
    )


def make_folders(plan: Plan) -> None:
    """Folders for this run and its clock; earlier simulated runs beyond the newest few go."""
    for folder in (plan.run_dir, plan.var_dir, plan.var_dir / "log", plan.var_dir / "journal"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keep_from_cleaners(plan.run_dir.parent)
    if not plan.simulated:
        return
    runs = sorted(folder for folder in plan.mode_dir.iterdir() if folder.is_dir())
    for old in runs[:-RUNS_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    first = date.fromisoformat(plan.environment["TRADER_START"])
    begins = datetime.combine(first, CLOCK_BEGINS, NEW_YORK)
    clock = ClockWriter(Path(plan.environment["TRADER_CLOCK"]), int(begins.timestamp()) * SECOND_NS)
    clock.hold()  # a run that is continued stands where it was
    clock.close()


def record(plan: Plan) -> None:
    """Leaves the file by which the command line finds this system."""
    broker: Literal["sim", "tws"] = "sim" if plan.simulated else "tws"
    found = running.Running(
        mode=plan.mode,
        broker=broker,
        run_dir=str(plan.run_dir),
        var_dir=str(plan.var_dir),
        clock=plan.environment["TRADER_CLOCK"],
        pid=os.getpid(),
        life=running.life_of(os.getpid()),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        options=plan.options if plan.simulated else (),
    )
    running.write(plan.mode_dir, found)


def _check_socket_paths(run_dir: Path) -> None:
    longest = max(len(str(run_dir / f"{name}.facts")) for name in topology.SPEAKERS)
    if longest > UNIX_PATH_MAX:
        raise RefusedError(
            f"{run_dir.parent}: too long a path for sockets; set XDG_RUNTIME_DIR to a shorter one"
        )
