"""Looks at a system once: from the bus where it speaks, from its journals where it is silent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from common import settings as settings_file
from common import topology
from common.clock import host_ns
from common.running import Running
from common.standby import Signs
from services.trader import find, hearing, journals, status
from services.trader.exit_codes import CommandError, ExitCode
from services.trader.picture import Picture, expected_services
from services.trader.wording import market_time, utc_time


@dataclass(frozen=True, slots=True)
class View:
    """Everything that `trader status` shows."""

    title: str
    running: bool
    market_ns: int
    answer: status.Row
    rows: list[status.Row]
    services: list[status.ServiceRow]
    warnings: list[str]

    def as_json(self) -> dict[str, Any]:
        """The same for a program: a table of rows by key, each with its text and its values."""
        return {
            "running": self.running,
            "market_time": utc_time(self.market_ns),
            "answer": {"text": self.answer.text, **self.answer.values},
            **{row.key: {"text": row.text, "level": row.level, **row.values} for row in self.rows},
            "services": msgspec.to_builtins(self.services),
            "warnings": self.warnings,
        }


def around(system: Running) -> View:
    """Listens for 1.5 s of host time; a system that does not run is read from its journals."""
    try:
        settings = settings_file.load()
    except settings_file.SettingsError as error:
        raise CommandError(ExitCode.USAGE, str(error)) from error
    picture = Picture(expected=expected_services(system.broker))
    if system.alive:
        from common.bus import Bus  # noqa: PLC0415  (reading journals needs no sockets)

        signs = Signs(Path(system.run_dir), topology.RISK)
        signs.news()  # what was given before we listened may be a dead one's
        bus = Bus(topology.TRADER, Path(system.run_dir))
        try:
            hearing.fill(bus, picture)
        finally:
            bus.close()
        picture.expected = (*picture.expected, topology.RISK_STANDBY)
        if (sign := signs.news()) is not None:
            picture.hear(topology.RISK_STANDBY, sign, host_ns())
    warnings = _recall(picture, Path(system.var_dir))
    if system.alive and not Path(system.run_dir).is_dir():
        warnings.append(f"{system.run_dir}: {find.REMOVED}")
    now_ns = _market_now_ns(system, picture)
    known = status.Known(picture, settings, now_ns, host_ns(), system.alive)
    return View(
        title=_title(system, now_ns),
        running=bool(picture.beats),
        market_ns=now_ns,
        answer=status.answer(known),
        rows=status.rows(known),
        services=status.services(known),
        warnings=[*status.warnings(known), *warnings],
    )


def _recall(picture: Picture, var_dir: Path) -> list[str]:
    """Reads the journals of the silent services; what could not be read, and why."""
    unreadable = []
    for service in picture.silent:
        if service in journals.SERVICES:
            try:
                journals.recall(picture, var_dir, service)
            except CommandError as error:
                unreadable.append(error.reason)
    return unreadable


def _market_now_ns(system: Running, picture: Picture) -> int:
    """Now where the clock runs; where it stands still, the last instant anyone recorded."""
    if system.alive:
        return find.clock_of(system).now_ns()
    return picture.market_ns or find.clock_of(system).now_ns()


def _title(system: Running, now_ns: int) -> str:
    tws = "simulated TWS" if system.broker == "sim" else "TWS"
    state = f"pid {system.pid}" if system.alive else "NOT RUNNING, as its journals left it"
    return f"{market_time(now_ns)}   {system.mode} on {tws}   {state}"
