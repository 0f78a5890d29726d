"""`trader doctor`: everything that can be checked without sending an order; one row each."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from common import settings as settings_file
from common.clock import Clock, WallClock
from common.running import Mode, Running
from services.trader import find
from services.trader.doctor import host, tws
from services.trader.doctor.check import Check, Verdict
from services.trader.exit_codes import CommandError, ExitCode
from services.trader.screen import STYLES
from services.trader.status.row import Level

LEVELS: dict[Verdict, Level] = {"ok": "good", "warn": "warn", "fail": "bad", "skip": "unknown"}


def examine(root: Path, mode: Mode | None) -> list[Check]:
    """All checks. Without usable settings only the settings are judged."""
    try:
        settings = settings_file.load()
    except settings_file.SettingsError as error:
        mend = "correct settings.toml or the environment variable"
        return [Check(name="settings", verdict="fail", found=str(error), mend=mend)]
    system = _system(root, mode)
    clock: Clock = WallClock()
    if system is not None and system.alive:
        clock = find.clock_of(system)
    checks = [
        host.settings_in_force(settings),
        host.disk(root, settings),
        host.alert_command(settings),
        asyncio.run(host.calendar(clock.now_ns())),
        *host.system(system),
    ]
    simulated_port = host.simulated_port(system)
    if simulated_port:
        settings = host.with_port(settings, simulated_port)
    elif system is not None and system.alive and system.broker == "sim":
        missing = "the simulated TWS's port is not known yet: broker_gateway is silent"
        return [*checks, Check(name="TWS port", verdict="skip", found=missing)]
    ports = host.ports(settings)
    checks.extend(ports)
    if any(check.verdict == "ok" for check in ports):
        checks.extend(tws.examine(settings, clock))
    return checks


def _system(root: Path, mode: Mode | None) -> Running | None:
    try:
        return find.any_system(root, mode)
    except CommandError as error:
        if error.code is ExitCode.NOT_RUNNING:
            return None
        raise


def on_screen(checks: list[Check]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for check in checks:
        text = Text(check.found)
        if check.mend:
            text.append(f"\n-> {check.mend}", style=STYLES[LEVELS[check.verdict]])
        table.add_row(Text(check.verdict, style=STYLES[LEVELS[check.verdict]]), check.name, text)
    return table
