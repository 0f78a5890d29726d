"""`trader sweep`: many backtests over a grid of settings. What it needs loads when it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from services.trader.backtest_options import (
    BacktestOptions,
    in_plain_words,
    takes_backtest_options_but,
)
from services.trader.exit_codes import CommandError, ExitCode
from services.trader.output import show, show_json

if TYPE_CHECKING:
    from services.backtest.sweep.grid import Grid
    from services.backtest.sweep.outcome import Engine, Outcome

Figure = Literal[
    "cagr_pct", "max_drawdown_pct", "sharpe", "win_rate_pct", "worst_day_pct", "final_equity_usd"
]
VALUES = "Values, as in 1,2 or FIRST:LAST:STEP."


@takes_backtest_options_but("path", "vix_tiers")
def sweep(
    chosen: BacktestOptions,
    fast: Annotated[
        str, typer.Option(metavar="LIST", help=f"Spans of the fast EMA, closes. {VALUES}")
    ] = "10:50:5",
    slow: Annotated[
        str, typer.Option(metavar="LIST", help="Spans of the slow EMA, closes, in the same way.")
    ] = "65:185:10",
    stop_pct: Annotated[
        str, typer.Option(metavar="LIST", help="Daily stops, % of the baseline.")
    ] = "2",
    leverage: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Leverages whatever the VIX, or tables such as 3/3.25/3.5/3.75: above all levels "
            "of --vix-below, then below the highest, the next, the lowest.",
        ),
    ] = "3/3.25/3.5/3.75",
    vix_below: Annotated[
        str, typer.Option(metavar="LIST", help="VIX levels of the leverage tables, rising.")
    ] = "12,13,14",
    slippage_bp: Annotated[str, typer.Option(metavar="LIST", help="Per side, basis points.")] = "1",
    by: Annotated[
        Figure,
        typer.Option(
            metavar="FIGURE", help=f"What ranks and colours: {', '.join(get_args(Figure))}."
        ),
    ] = "sharpe",
    out: Annotated[
        Path, typer.Option(dir_okay=False, help="Parquet file to write; the picture lies beside.")
    ] = Path("sweep.parquet"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files.")] = False,
    engine: Annotated[
        Literal["local", "dask"], typer.Option(help="This machine's cores, or a dask cluster.")
    ] = "local",
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Of the dask cluster, as tcp://10.0.0.5:8786.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> ExitCode:
    """The backtest over every combination of settings: a Parquet file and a heatmap."""
    with in_plain_words():
        picture = out.with_suffix(".svg")
        _refuse_to_overwrite(out, picture, force=force)
        chosen_engine = _engine(engine, scheduler)
        grid = _grid(
            chosen, fast=fast, slow=slow, stop_pct=stop_pct, leverage=leverage,
            vix_below=vix_below, slippage_bp=slippage_bp,
        )  # fmt: skip
        outcome, notes = _carry_out(chosen, grid, chosen_engine, quiet=as_json)
        _write(outcome, by, out, picture)
        _answer(outcome, by, (out, picture), notes, as_json=as_json)
    return ExitCode.OK


def _grid(chosen: BacktestOptions, **typed: str) -> Grid:
    from services.backtest.sweep import grid  # noqa: PLC0415  (numba is slow to load)

    slippage_bp = grid.numbers("--slippage-bp", typed["slippage_bp"])
    if chosen.gross:
        if typed["slippage_bp"] not in ("0", "1"):
            reason = f"--gross has no slippage: leave --slippage-bp {typed['slippage_bp']} out"
            raise CommandError(ExitCode.USAGE, reason)
        slippage_bp = (0.0,)
    return grid.Grid(
        chosen.options(),
        ema_fast=grid.spans("--fast", typed["fast"]),
        ema_slow=grid.spans("--slow", typed["slow"]),
        stop_loss_fraction=tuple(
            percent / 100.0 for percent in grid.numbers("--stop-pct", typed["stop_pct"])
        ),
        slippage_bp=slippage_bp,
        leverage=grid.tables("--leverage", typed["leverage"]),
        vix_below=grid.numbers("--vix-below", typed["vix_below"]),
    )


def _engine(engine: str, scheduler: str) -> Engine:
    if (engine == "dask") != bool(scheduler):
        reason = "--engine dask and --scheduler ADDRESS go together"
        raise CommandError(ExitCode.USAGE, reason)
    if engine == "dask":
        from services.backtest.sweep.cluster import Cluster  # noqa: PLC0415  (slow to load)

        return Cluster(scheduler)
    from services.backtest.sweep import local  # noqa: PLC0415  (slow to load)

    return local.run


def _carry_out(
    chosen: BacktestOptions, grid: Grid, engine: Engine, *, quiet: bool
) -> tuple[Outcome, list[str]]:
    """The outcome, and what the data lack for it."""
    from services.backtest.caveats import caveats  # noqa: PLC0415  (slow to load)
    from services.backtest.sweep.grid import AXES  # noqa: PLC0415  (the same)
    from services.backtest.sweep.outcome import sweep as carry_out  # noqa: PLC0415  (slow to load)

    history = chosen.history()
    with _progress(len(grid), quiet=quiet) as done:
        outcome = carry_out(history, grid, engine, done)
    days = [day for day in history.days if outcome.first <= day <= outcome.last]
    tables = outcome.grid.leverage
    by_vix = next((at for at, table in enumerate(tables) if len(table) > 1), 0)
    one = outcome.grid.options((by_vix, *(0 for _ in AXES[1:])))
    return outcome, caveats(history, one, days)


@contextmanager
def _progress(cells: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal's error channel, so that answers can be piped."""
    from rich.console import Console  # noqa: PLC0415  (beside what needs it)
    from rich.progress import Progress  # noqa: PLC0415  (the same)

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("cells", total=cells)
        yield lambda count: bar.advance(task, count)


def _refuse_to_overwrite(*files: Path, force: bool) -> None:
    """What cannot be written, or may not be, is said before the work."""
    if files[0] == files[1]:
        raise CommandError(ExitCode.USAGE, f"{files[0]}: the picture's name; end it in .parquet")
    if not files[0].parent.is_dir():
        raise CommandError(ExitCode.USAGE, f"{files[0].parent}: no such folder")
    for file in files:
        if file.exists() and not force:
            reason = f"{file} is there already: --force overwrites it, --out names another"
            raise CommandError(ExitCode.USAGE, reason)


def _write(outcome: Outcome, by: str, out: Path, picture: Path) -> None:
    from services.backtest.sweep import heatmap, parquet  # noqa: PLC0415  (slow to load)
    from services.trader.research_tables import HEADINGS  # noqa: PLC0415  (the same)

    try:
        parquet.write(outcome, out)
        picture.write_text(heatmap.svg(outcome, by, HEADINGS[by]), encoding="utf-8")
    except OSError as error:
        raise CommandError(ExitCode.USAGE, f"{out}: {error.strerror or error}") from error


def _answer(
    outcome: Outcome, by: str, files: tuple[Path, Path], notes: list[str], *, as_json: bool
) -> None:
    from services.backtest.sweep.ranking import rank  # noqa: PLC0415  (slow to load)
    from services.trader import sweep_tables  # noqa: PLC0415  (the same)

    ranking = rank(outcome, by)
    if as_json:
        show_json(sweep_tables.as_json(outcome, ranking, files, notes))
    else:
        show(sweep_tables.on_screen(outcome, ranking, files, notes))
