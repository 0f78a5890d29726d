"""The commands of research. What they need loads when they run: `trader status` stays quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.trader.backtest_options import (
    BacktestOptions,
    DataDir,
    folder,
    in_plain_words,
    takes_backtest_options,
)
from services.trader.exit_codes import CommandError, ExitCode
from services.trader.output import show, show_json

if TYPE_CHECKING:
    from services.backtest.history import History
    from services.backtest.result import Result

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]


Force = Annotated[bool, typer.Option("--force", help="Overwrite the report's file.")]


@takes_backtest_options
def backtest(
    chosen: BacktestOptions,
    report: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Also write the report: an HTML file.")
    ] = None,
    force: Force = False,
    lookahead_check: Annotated[
        bool, typer.Option("--lookahead-check", help="Cut the data at every day and compare.")
    ] = False,
    as_json: Json = False,
) -> ExitCode:
    """The strategy on real history, by the rules that trade."""
    if lookahead_check and report:
        raise CommandError(ExitCode.USAGE, "--report or --lookahead-check: one of the two")
    with in_plain_words():
        if lookahead_check:
            return _lookahead(chosen, as_json=as_json)
        return _backtest(chosen, report, force=force, as_json=as_json)


@takes_backtest_options
def write_report(
    chosen: BacktestOptions,
    out: Annotated[
        Path, typer.Option(dir_okay=False, help="The report: one HTML file, to open and to print.")
    ] = Path("report.html"),
    force: Force = False,
    as_json: Json = False,
) -> ExitCode:
    """The backtest as one page: what it made, what it risked, why, and how much of it is luck."""
    with in_plain_words():
        return _backtest(chosen, out, force=force, as_json=as_json)


def reproduce(
    data: DataDir = None,
    picture: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Also draw the equity curves: an SVG file.")
    ] = None,
    into: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="Renew the figures between a page's marks."),
    ] = None,
    as_json: Json = False,
) -> ExitCode:
    """The published figures, the rules behind them, and the document's own rules beside them."""
    with in_plain_words():
        from services.backtest import history  # noqa: PLC0415  (numba is slow to load)
        from services.backtest import picture as pictures  # noqa: PLC0415  (the same)
        from services.backtest.reproduce import reproduce as rows  # noqa: PLC0415  (the same)
        from services.trader import reproduced_pages, research_tables  # noqa: PLC0415  (the same)

        found = rows(history.load(folder(data)))
        if picture is not None:
            _write(picture, pictures.svg(found.title, found.curves))
        for page in into or []:
            _write(page, reproduced_pages.rewritten(page.read_text(encoding="utf-8"), found))
        if as_json:
            show_json(research_tables.reproduction_as_json(found))
        else:
            show(research_tables.reproduction_on_screen(found))
    return ExitCode.OK


def _backtest(
    chosen: BacktestOptions, report: Path | None, *, force: bool, as_json: bool
) -> ExitCode:
    from services.backtest.caveats import (  # noqa: PLC0415  (slow to load)
        caveats,
        require_an_entry,
    )
    from services.trader import research_tables  # noqa: PLC0415  (the same)

    if report is not None:
        _must_be_writable(report, force=force)
    options, history = chosen.options(), chosen.history()
    require_an_entry(history, options)
    result = chosen.run(history, options)
    notes = caveats(history, options, result.days)
    if report is not None:
        _write(report, _report(chosen, history, result))
    if as_json:
        written = {"report": str(report)} if report is not None else {}
        show_json(research_tables.result_as_json(result, notes) | written)
        return ExitCode.OK
    show(research_tables.result_on_screen(result, notes))
    if report is not None:
        typer.echo(f"\nreport: {report}")
    return ExitCode.OK


def _report(chosen: BacktestOptions, history: History, result: Result) -> str:
    from services.backtest.report import page, sources  # noqa: PLC0415  (matplotlib is slow to load)
    from services.backtest.report.study import study  # noqa: PLC0415  (the same)

    if chosen.synthetic is not None:
        market = f"invented by seed {chosen.synthetic}, as no market ever was"
        return page.html(study(history, result), market, [])
    data = folder(chosen.data)
    return page.html(
        study(history, result),
        f"the files of the folder {data.resolve().name}",
        sources.read(data, chosen.bars),
    )


def _must_be_writable(report: Path, *, force: bool) -> None:
    """Said before the work, not after it."""
    if not report.parent.is_dir():
        raise CommandError(ExitCode.USAGE, f"{report.parent}: no such folder")
    if report.exists() and not force:
        raise CommandError(ExitCode.USAGE, f"{report} exists: --force overwrites it")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(ExitCode.USAGE, f"{file}: {error.strerror}") from error


def _lookahead(chosen: BacktestOptions, *, as_json: bool) -> ExitCode:
    from services.backtest import lookahead  # noqa: PLC0415  (slow to load)
    from services.backtest.caveats import require_an_entry  # noqa: PLC0415  (the same)
    from services.trader import research_tables  # noqa: PLC0415  (the same)

    options, history = chosen.options(), chosen.history()
    require_an_entry(history, options)
    found = lookahead.check(history, options)
    show_json(found._asdict()) if as_json else show(research_tables.lookahead_on_screen(found))
    return ExitCode.NO if found.first_difference else ExitCode.OK
