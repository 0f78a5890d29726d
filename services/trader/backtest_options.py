"""What the commands of research may be told: one class, each of its fields one option.

`trader backtest` and its relatives take all of them: `takes_backtest_options` turns the class into
options of the command line, so that each is declared, explained and turned into rules once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import update_wrapper
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from services.trader.exit_codes import CommandError, ExitCode

if TYPE_CHECKING:
    from services.backtest.history import History
    from services.backtest.options import Options
    from services.backtest.result import Result

DATA_VARIABLE = "TRADER_DATA"
BESIDE_US = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Where the data lie when they lie beside the repository."""
NO_DATA = (
    "no data: `trader history --data DIR` downloads them from TWS, --data DIR or TRADER_DATA names "
    "a folder that has them, --synthetic 1 invents a market"
)
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar=DATA_VARIABLE, exists=True, file_okay=False,
        help=r"Folder with SMH_daily.csv and VIX_daily.csv. \[default: ../shared/data]",
    ),
]  # fmt: skip
COMPILING = "Compiling the rules, once for this version: some ten seconds ..."
DAY = ["%Y-%m-%d"]
VIX_TIERS = "12:3.75,13:3.5,14:3.25"
SLIPPAGE_BP, COMMISSION_USD, INTEREST_SPREAD_PCT = 1.0, 0.005, 1.5


@dataclass(frozen=True, kw_only=True)
class BacktestOptions:
    """As typed: units as the help says them. `options` has them as the backtest takes them."""

    data: DataDir = None
    synthetic: Annotated[
        int | None,
        typer.Option(min=0, metavar="SEED", help="No folder: eight invented years, by this seed."),
    ] = None
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=DAY, metavar="DAY", help="First session, as 2012-01-03."),
    ] = None
    last: Annotated[
        datetime | None, typer.Option("--to", formats=DAY, metavar="DAY", help="Last session.")
    ] = None
    equity: Annotated[float, typer.Option(help="Start equity, USD.")] = 100_000.0
    fast: Annotated[int, typer.Option(help="Span of the fast EMA, closes.")] = 25
    slow: Annotated[int, typer.Option(help="Span of the slow EMA, closes.")] = 125
    history_slow_multiple: Annotated[
        int, typer.Option(help="Least history before an entry, multiples of --slow.")
    ] = 5
    leverage: Annotated[
        float | None, typer.Option(help="One leverage whatever the VIX, multiple of equity.")
    ] = None
    vix_tiers: Annotated[
        str, typer.Option(help="Leverage below VIX levels, LEVEL:LEVERAGE, rising; else 3.")
    ] = VIX_TIERS
    stop_pct: Annotated[float, typer.Option(help="Daily stop, % of the baseline.")] = 2.0
    baseline: Annotated[
        Literal["open", "previous_close", "entry", "off"],
        typer.Option(
            metavar="EQUITY",
            help="What the stop is measured from: open, previous_close, entry, or off.",
        ),
    ] = "open"
    bear_exit: Annotated[
        Literal["next_open", "close", "next_close"],
        typer.Option(
            metavar="PRICE",
            help="Where a bear signal sells: next_open, next_close, or close, as nobody can.",
        ),
    ] = "next_open"
    no_reentry: Annotated[
        bool, typer.Option("--no-reentry", help="No entry on a stop's own day.")
    ] = False
    slippage_bp: Annotated[float, typer.Option(help="Per side, basis points.")] = SLIPPAGE_BP
    commission: Annotated[float, typer.Option(help="USD per share.")] = COMMISSION_USD
    no_interest: Annotated[
        bool, typer.Option("--no-interest", help="None on what is borrowed.")
    ] = False
    interest_spread: Annotated[float, typer.Option(help="Over the fed funds rate, % a year.")] = (
        INTEREST_SPREAD_PCT
    )
    gross: Annotated[bool, typer.Option("--gross", help="No commission, slippage or interest.")] = (
        False
    )
    margin: Annotated[
        str, typer.Option(help="Broker's margin and liquidation: off, regt, or pm:RATE.")
    ] = "off"
    bars: Annotated[
        Literal["daily", "5min", "1min", "auto"],
        typer.Option(
            metavar="SIZE",
            help="Bars a session is walked along, where the day has them: daily, 5min, 1min, or "
            "auto for the finest.",
        ),
    ] = "daily"
    path: Annotated[
        Literal["compiled", "event"],
        typer.Option(help="The rules compiled, or the live deciders: the same to the bit."),
    ] = "compiled"

    def __post_init__(self) -> None:
        """CommandError where one option would silently undo another."""
        typed = self.data is not None and str(self.data) != os.environ.get(DATA_VARIABLE)
        if self.synthetic is not None and typed:
            raise _undone("--synthetic invents a market", f"--data {self.data}")
        if self.leverage is not None and self.vix_tiers != VIX_TIERS:
            raise _undone("--leverage holds whatever the VIX", f"--vix-tiers {self.vix_tiers}")
        if not self.gross:
            return
        for name, value, default in (
            ("--slippage-bp", self.slippage_bp, SLIPPAGE_BP),
            ("--commission", self.commission, COMMISSION_USD),
            ("--interest-spread", self.interest_spread, INTEREST_SPREAD_PCT),
        ):
            if value not in (0.0, default):
                raise _undone("--gross has no costs and no interest", f"{name} {value:g}")

    def options(self) -> Options:
        """The rules and costs, their bounds checked."""
        import msgspec  # noqa: PLC0415  (beside what needs it)

        from services.backtest import options  # noqa: PLC0415  (slow to load)

        chosen: dict[str, Any] = {
            "first": _day(self.first),
            "last": _day(self.last),
            "start_equity_usd": self.equity,
            "ema_fast": self.fast,
            "ema_slow": self.slow,
            "history_slow_multiple": self.history_slow_multiple,
            "stop_loss_fraction": self.stop_pct / 100.0,
            "baseline": self.baseline,
            "bear_exit": self.bear_exit,
            "reentry": not self.no_reentry,
            "slippage_bp": self.slippage_bp,
            "commission_per_share_usd": self.commission,
            "interest": not self.no_interest,
            "interest_spread_pct": self.interest_spread,
            "margin": self.margin,
            "bars": self.bars,
            **_leverage(self.leverage, self.vix_tiers),
        }
        made = msgspec.convert(chosen, options.Options)
        made.settings()
        return options.gross(made) if self.gross else made

    def history(self) -> History:
        """The market the backtest runs on: a folder's, or an invented one."""
        from services.backtest import history, invented  # noqa: PLC0415  (slow to load)

        if self.synthetic is not None:
            return invented.market(self.synthetic, self.bars)
        return history.load(folder(self.data), self.bars)

    def run(self, history: History, options: Options) -> Result:
        """The backtest, by the path chosen."""
        if self.path == "event":
            from services.backtest.event_path import run_event  # noqa: PLC0415  (slow to load)

            return run_event(history, options)
        from services.backtest.compiled_path import run_compiled  # noqa: PLC0415  (the same)

        return run_compiled(history, options)


def takes_backtest_options_but(
    *left_out: str,
) -> Callable[[Callable[..., ExitCode]], Callable[..., ExitCode]]:
    """The command with every field of its first parameter as an option of its own.

    Fields that are left out, and those that the command has a parameter of its own for, keep their
    defaults.
    """

    def taking(command: Callable[..., ExitCode]) -> Callable[..., ExitCode]:
        _, *others = signature(command).parameters
        hints = get_type_hints(BacktestOptions, include_extras=True)
        hidden = {*left_out, *others}
        shared = [name for name in signature(BacktestOptions).parameters if name not in hidden]
        own = get_type_hints(command, include_extras=True)

        def run(**given: Any) -> ExitCode:
            chosen = BacktestOptions(**{name: given.pop(name) for name in shared})
            return command(chosen, **given)

        defaults = signature(BacktestOptions).parameters | signature(command).parameters
        hints = {name: hints[name] for name in shared} | {name: own[name] for name in others}
        parameters = [
            defaults[name].replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY)
            for name in (*shared, *others)
        ]
        update_wrapper(run, command)
        run.__annotations__ = hints
        vars(run)["__signature__"] = Signature(parameters)
        return run

    return taking


takes_backtest_options = takes_backtest_options_but()


def folder(given: Path | None) -> Path:
    """The data's folder: as given, else the one beside the repository."""
    if given is None and not BESIDE_US.is_dir():
        raise CommandError(ExitCode.USAGE, NO_DATA)
    return given or BESIDE_US


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Unusable options or files end the command with one plain line; a first start says why it
    takes long."""
    import msgspec  # noqa: PLC0415  (beside what needs it)

    from services.backtest import compiling  # noqa: PLC0415  (slow to load)
    from services.backtest.history import HistoryError  # noqa: PLC0415  (slow to load)
    from services.backtest.option_names import in_options  # noqa: PLC0415  (the same)
    from services.backtest.options import OptionsError  # noqa: PLC0415  (the same)

    try:
        with compiling.told(lambda: typer.echo(COMPILING, err=True)):
            yield
    except (OptionsError, msgspec.ValidationError) as error:
        raise CommandError(ExitCode.USAGE, in_options(str(error))) from error
    except HistoryError as error:
        raise CommandError(ExitCode.USAGE, str(error)) from error


def _undone(because: str, option: str) -> CommandError:
    return CommandError(ExitCode.USAGE, f"{because}: leave {option} out")


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None


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
