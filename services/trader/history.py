"""`trader history`: brings a folder of market data up to date from a TWS, and checks any folder.

It asks for past bars on a connection of its own and can send no order, so it may run beside a
trading system. Dividends and interest rates are not TWS's to give: their files stay as they are.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from common import running
from common import settings as settings_file
from common.lock import hold_lock
from common.settings import Settings
from services.trader import find
from services.trader.exit_codes import CommandError, ExitCode
from services.trader.output import show, show_json

if TYPE_CHECKING:
    from services.backtest.examination import Examination
    from services.backtest.refresh import Outcome

PROBLEMS_SHOWN = 50
LOCK_FILE = ".history.lock"
LIBRARY_LOGS = ("ib_insync.client", "ib_insync.wrapper", "common.tws.connection")
NOT_FROM_TWS = (
    "dividends (SMH_actions.csv), dividend-adjusted closes (SMH_adjclose.csv) and interest rates "
    "(FEDFUNDS_monthly.csv) are not TWS's to give: those files stay as they are"
)
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]


def refresh(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", envvar="TRADER_DATA", file_okay=False, help="Folder of the CSV files."
        ),
    ] = None,
    first: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=["%Y-%m-%d"],
            help="First session. Otherwise: all daily bars, a year of 5min, 30 days of 1min.",
        ),
    ] = None,
    bars: Annotated[
        str,
        typer.Option(
            help="daily, 5min, 1min, with commas between; daily ones always come along. "
            "Otherwise: daily, and the intraday files that are there."
        ),
    ] = "",
    port: Annotated[
        int | None,
        typer.Option(
            help="TWS's port. Otherwise: that of a running simulation, else the settings."
        ),
    ] = None,
    as_json: Json = False,
) -> ExitCode | None:
    """Download or refresh SMH and VIX bars from TWS, as `trader backtest` reads them.

    Run it as often as you like: what is there and sound is not asked for again, and a run that was
    interrupted goes on where it stopped.
    """
    if context.invoked_subcommand is not None:
        return None
    if data is None:
        raise CommandError(ExitCode.USAGE, "no folder: give --data DIR or set TRADER_DATA")
    settings = _settings(port)
    kinds = _kinds(bars, data)
    with _plain_errors():
        from services.backtest import bar_files  # noqa: PLC0415  (slow to load)
        from services.backtest.examination import examine  # noqa: PLC0415  (the same)

        bar_files.make_folder(data)
        with _held(data):
            outcome = asyncio.run(_refresh(settings, data, kinds, first and first.date()))
        found = examine(data)
    if as_json:
        show_json({**vars(outcome), **msgspec.to_builtins(found)})
    else:
        show(Group(_outcome(outcome), Text(), _examination(found), Text(NOT_FROM_TWS, style="dim")))
    return ExitCode.NO if outcome.failures or found.problems else ExitCode.OK


def check(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of files.")],
    as_json: Json = False,
) -> ExitCode:
    """Everything that `trader backtest` would refuse in a folder, and what its files cover."""
    from services.backtest.examination import examine  # noqa: PLC0415  (slow to load)

    found = examine(folder)
    show_json(msgspec.to_builtins(found)) if as_json else show(_examination(found))
    return ExitCode.NO if found.problems else ExitCode.OK


async def _refresh(settings: Settings, data: Path, kinds: list[str], first: date | None) -> Outcome:
    from common.tws.history import PastBars  # noqa: PLC0415  (it loads ib_insync)
    from services.backtest.refresh import Refresh  # noqa: PLC0415  (slow to load)

    for library in LIBRARY_LOGS:  # what they say of a refusal, we say in plain words
        logging.getLogger(library).setLevel(logging.CRITICAL)
    terminal = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[waits]}"), console=terminal, disable=not terminal.is_terminal,
    )  # fmt: skip
    tasks: dict[str, Any] = {}

    def step(file: str, done: int, planned: int) -> None:
        if file not in tasks:
            tasks[file] = progress.add_task(file, total=planned, waits="")
        progress.update(tasks[file], completed=done, total=planned, waits="")

    def told(reason: str) -> None:
        for task in list(tasks.values())[-1:]:
            progress.update(task, waits=reason)

    with progress:
        async with PastBars(settings, told) as tws:
            return await Refresh(data, kinds, first, tws, step).run()


def _settings(port: int | None) -> Settings:
    """The settings in force, with the port that was given or that a simulated system uses."""
    try:
        settings = settings_file.load()
    except settings_file.SettingsError as error:
        raise CommandError(ExitCode.USAGE, str(error)) from error
    if port is None:
        port = _simulated_port()
    if port is None:
        return settings
    broker = msgspec.structs.replace(settings.broker, port=port)
    return msgspec.structs.replace(settings, broker=broker)


def _simulated_port() -> int | None:
    """The port of the simulated TWS, where one runs; None where none does."""
    from services.trader.doctor.host import simulated_port  # noqa: PLC0415  (slow to load)

    try:
        system = find.running_system(running.var_root(), None)
    except CommandError:
        return None
    if system.broker != "sim":
        return None
    port = simulated_port(system)
    if not port:
        reason = "the running simulation does not say its TWS's port yet"
        raise CommandError(ExitCode.NOT_RUNNING, f"{reason}: try again, or give --port")
    return port


def _kinds(bars: str, data: Path) -> list[str]:
    """The intraday kinds that were asked for, else those that are there."""
    from services.backtest.history import INTRADAY  # noqa: PLC0415  (slow to load)

    wanted = [word.strip() for word in bars.split(",") if word.strip()]
    unknown = [word for word in wanted if word not in ("daily", *INTRADAY)]
    if unknown:
        known = ", ".join(("daily", *INTRADAY))
        raise CommandError(ExitCode.USAGE, f"--bars {bars}: '{unknown[0]}' is none of {known}")
    if not wanted:
        return [kind for kind in INTRADAY if any(data.glob(f"*_{kind}.csv"))]
    return [kind for kind in INTRADAY if kind in wanted]


@contextmanager
def _held(data: Path) -> Iterator[None]:
    """One refresh of a folder at a time."""
    lock = hold_lock(data / LOCK_FILE)
    if lock is None:
        raise CommandError(ExitCode.NO, f"{data}: another `trader history` is writing there")
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def _plain_errors() -> Iterator[None]:
    from common.tws.history import NoTwsError  # noqa: PLC0415  (it loads ib_insync)
    from services.backtest.bar_files import FileError  # noqa: PLC0415  (slow to load)

    try:
        yield
    except FileError as error:
        raise CommandError(ExitCode.NO, str(error)) from error
    except NoTwsError as error:
        reason = f"{error}; what has come is kept, the same command goes on from there"
        raise CommandError(ExitCode.NOT_RUNNING, reason) from error


def _outcome(outcome: Outcome) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("file")
    table.add_column("new sessions", justify="right")
    for file, count in outcome.added.items():
        table.add_row(file, f"{count:,}")
    notes = [Text(f"  {note}", style="yellow") for note in outcome.notes]
    failures = [Text(f"  not downloaded: {failure}", style="red") for failure in outcome.failures]
    return Group(table, *notes, *failures)


def _examination(found: Examination) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("file", "rows", "from", "to", ""):
        table.add_column(heading, justify="right" if heading == "rows" else "left")
    for line in found.coverage:
        span = (str(line.first or "-"), str(line.last or "-"))
        table.add_row(line.file, f"{line.rows:,}", *span, Text(line.note, style="dim"))
    unused = [Text(f"not read by anything here: {', '.join(found.unused)}", style="dim")]
    shown = [Text(problem, style="red") for problem in found.problems[:PROBLEMS_SHOWN]]
    if len(found.problems) > PROBLEMS_SHOWN:
        shown.append(Text(f"and {len(found.problems) - PROBLEMS_SHOWN:,} more (--json lists all)"))
    verdict = "nothing is refused"
    if found.problems:
        verdict = f"{len(found.problems):,} rows or files are refused:"
    style = "bold red" if found.problems else "bold green"
    return Group(table, *(unused if found.unused else []), Text(verdict, style=style), *shown)
