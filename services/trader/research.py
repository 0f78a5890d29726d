"""The commands of research. What they need loads when they run: `trader status` stays quick."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from services.trader.exit_codes import CommandError, ExitCode
from services.trader.output import show, show_json

if TYPE_CHECKING:
    from services.backtest.options import Options
    from services.backtest.reproduce import Reproduction

BESIDE_US = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Where the data lie when they lie beside the repository."""
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="TRADER_DATA", exists=True, file_okay=False,
        help="Folder with SMH_daily.csv and VIX_daily.csv.  [default: ../shared/data]",
    ),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
DAY = ["%Y-%m-%d"]


def backtest(
    data: DataDir = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=DAY, help="First session.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=DAY, help="Last session.")
    ] = None,
    equity: Annotated[float, typer.Option(help="Start equity, USD.")] = 100_000.0,
    fast: Annotated[int, typer.Option(help="Span of the fast EMA, closes.")] = 25,
    slow: Annotated[int, typer.Option(help="Span of the slow EMA, closes.")] = 125,
    history_slow_multiple: Annotated[
        int, typer.Option(help="Least history before an entry, multiples of --slow.")
    ] = 5,
    leverage: Annotated[
        float | None, typer.Option(help="One leverage whatever the VIX, multiple of equity.")
    ] = None,
    vix_tiers: Annotated[
        str, typer.Option(help="Leverage below VIX levels, LEVEL:LEVERAGE, rising; else 3.")
    ] = "12:3.75,13:3.5,14:3.25",
    stop_pct: Annotated[float, typer.Option(help="Daily stop, % of the baseline.")] = 2.0,
    baseline: Annotated[
        Literal["open", "previous_close", "entry", "off"],
        typer.Option(help="What the stop is measured from."),
    ] = "open",
    bear_exit: Annotated[
        Literal["next_open", "close", "next_close"],
        typer.Option(help="Where a bear signal sells; nobody can trade close."),
    ] = "next_open",
    reentry: Annotated[
        bool, typer.Option("--reentry/--no-reentry", help="Enter again on a stop's own day.")
    ] = True,
    slippage_bp: Annotated[float, typer.Option(help="Per side, basis points.")] = 1.0,
    commission: Annotated[float, typer.Option(help="USD per share.")] = 0.005,
    interest: Annotated[
        bool, typer.Option("--interest/--no-interest", help="On what is borrowed.")
    ] = True,
    interest_spread: Annotated[
        float, typer.Option(help="Over the fed funds rate, % a year.")
    ] = 1.5,
    gross: Annotated[
        bool, typer.Option("--gross", help="No commission, slippage or interest.")
    ] = False,
    margin: Annotated[
        str, typer.Option(help="Broker's margin and liquidation: off, regt, or pm:RATE.")
    ] = "off",
    bars: Annotated[
        Literal["daily", "5min", "1min", "auto"],
        typer.Option(help="Bars a session is walked along, where the day has them."),
    ] = "daily",
    path: Annotated[
        Literal["compiled", "event"],
        typer.Option(help="The rules compiled, or the live deciders: the same to the bit."),
    ] = "compiled",
    lookahead_check: Annotated[
        bool, typer.Option("--lookahead-check", help="Cut the data at every day and compare.")
    ] = False,
    as_json: Json = False,
) -> ExitCode:
    """The strategy on real history, by the rules that trade."""
    with _plain_errors():
        options = _options(
            gross=gross,
            first=first.date() if first else None,
            last=last.date() if last else None,
            start_equity_usd=equity,
            ema_fast=fast,
            ema_slow=slow,
            history_slow_multiple=history_slow_multiple,
            stop_loss_fraction=stop_pct / 100.0,
            baseline=baseline,
            bear_exit=bear_exit,
            reentry=reentry,
            slippage_bp=slippage_bp,
            commission_per_share_usd=commission,
            interest=interest,
            interest_spread_pct=interest_spread,
            margin=margin,
            bars=bars,
            **_leverage(leverage, vix_tiers),
        )
        if lookahead_check:
            return _lookahead(_folder(data), options, as_json=as_json)
        return _backtest(_folder(data), options, path, as_json=as_json)


def reproduce(
    data: DataDir = None,
    picture: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Also draw the equity curves: an SVG file.")
    ] = None,
    as_json: Json = False,
) -> ExitCode:
    """The published figures, the rules behind them, and the document's own rules beside them."""
    with _plain_errors():
        from services.backtest import history  # noqa: PLC0415  (numba is slow to load)
        from services.backtest.reproduce import reproduce as rows  # noqa: PLC0415  (the same)
        from services.trader import research_tables  # noqa: PLC0415  (the same)

        found = rows(history.load(_folder(data)))
        if picture is not None:
            _draw(found, picture)
        if as_json:
            show_json(research_tables.reproduction_as_json(found))
        else:
            show(research_tables.reproduction_on_screen(found))
    return ExitCode.OK


def _draw(found: Reproduction, file: Path) -> None:
    from services.backtest.picture import svg  # noqa: PLC0415  (slow to load)

    days = found.curves[0].days
    title = f"$100,000, {days[0]} to {days[-1]}: the published rules and the document's own"
    try:
        file.write_text(svg(title, found.curves), encoding="utf-8")
    except OSError as error:
        raise CommandError(ExitCode.USAGE, f"{file}: {error.strerror}") from error


def _folder(given: Path | None) -> Path:
    """The data's folder: as given, else the one beside the repository."""
    if given is None and not BESIDE_US.is_dir():
        raise CommandError(ExitCode.USAGE, "no data: give --data DIR or set TRADER_DATA")
    return given or BESIDE_US


def _backtest(
    data: Path, options: Options, path: Literal["compiled", "event"], *, as_json: bool
) -> ExitCode:
    from services.backtest import history  # noqa: PLC0415  (slow to load)
    from services.trader import research_tables  # noqa: PLC0415  (the same)

    known = history.load(data, options.bars)
    if path == "event":
        from services.backtest.event_path import run_event as run  # noqa: PLC0415  (the same)
    else:
        from services.backtest.compiled_path import (  # noqa: PLC0415  (the same)
            run_compiled as run,
        )
    result = run(known, options)
    if as_json:
        show_json(research_tables.result_as_json(result))
    else:
        show(research_tables.result_on_screen(result))
    return ExitCode.OK


def _lookahead(data: Path, options: Options, *, as_json: bool) -> ExitCode:
    from services.backtest import history, lookahead  # noqa: PLC0415  (slow to load)
    from services.trader import research_tables  # noqa: PLC0415  (the same)

    found = lookahead.check(history.load(data, options.bars), options)
    show_json(found._asdict()) if as_json else show(research_tables.lookahead_on_screen(found))
    return ExitCode.NO if found.first_difference else ExitCode.OK


def _options(*, gross: bool, **chosen: Any) -> Options:
    """The options, their bounds checked."""
    import msgspec  # noqa: PLC0415  (beside what needs it)

    from services.backtest import options  # noqa: PLC0415  (slow to load)

    made = msgspec.convert(chosen, options.Options)
    made.settings()
    return options.gross(made) if gross else made


def _leverage(leverage: float | None, tiers: str) -> dict[str, Any]:
    """--leverage drops the tiers; else the tiers as written."""
    if leverage is not None:
        return {"leverage_base": leverage, "vix_below": (), "vix_leverage": ()}
    try:
        pairs = [tier.split(":") for tier in tiers.split(",") if tier.strip()]
        below = tuple(float(level) for level, _ in pairs)
        return {"vix_below": below, "vix_leverage": tuple(float(times) for _, times in pairs)}
    except ValueError as error:
        reason = f"--vix-tiers {tiers}: LEVEL:LEVERAGE pairs, as in 12:3.75,13:3.5"
        raise CommandError(ExitCode.USAGE, reason) from error


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Unusable options or files end the command with one plain line."""
    import msgspec  # noqa: PLC0415  (beside what needs it)

    from services.backtest.history import HistoryError  # noqa: PLC0415  (slow to load)
    from services.backtest.options import OptionsError  # noqa: PLC0415  (the same)

    try:
        yield
    except (OptionsError, HistoryError, msgspec.ValidationError) as error:
        raise CommandError(ExitCode.USAGE, str(error)) from error
