"""`trader compare`: a run's days beside the backtest of the same days."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from common import rejudge, running, topology
from common.messages import DailyHistory, Message, Now, Quote
from services.trader import find, journals
from services.trader.exit_codes import CommandError, ExitCode
from services.trader.output import show, show_json
from services.trader.screen import STYLES

if TYPE_CHECKING:
    from services.backtest.compare import Comparison

Said = tuple[Now, Message]


def compare(
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            exists=True,
            file_okay=False,
            help="Folder of a run, with its journal/ in it. Otherwise: the newest run.",
        ),
    ] = None,
    bars: Annotated[
        Literal["minutes", "daily"],
        typer.Option(
            help="Along the prices that the system heard, minute by minute, or by daily bars alone."
        ),
    ] = "minutes",
    mode: Annotated[
        Literal["sim", "paper", "live"] | None,
        typer.Option("--mode", help="Which system's newest run, when several ran."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> ExitCode:
    """How the days of a run compare with the backtest of the same days: decisions, then fills."""
    from services.backtest.compare import (  # noqa: PLC0415  (slow to load)
        NothingToCompareError,
    )
    from services.backtest.options import OptionsError  # noqa: PLC0415  (the same)

    var_dir = run or Path(find.any_system(running.var_root(), mode).var_dir)
    try:
        found = compared(var_dir, fine=bars == "minutes")
    except (NothingToCompareError, OptionsError) as error:
        raise CommandError(ExitCode.NO, f"{var_dir}: {error}") from error
    show_json(as_builtins(found)) if as_json else show(on_screen(found))
    return ExitCode.OK if found.same and found.sizes_agree else ExitCode.NO


def compared(var_dir: Path, *, fine: bool = True) -> Comparison:
    """The comparison of one run, from its journals. NothingToCompareError, CommandError."""
    from services.backtest import compare as comparing  # noqa: PLC0415  (slow to load)
    from services.backtest.recorded import Recording  # noqa: PLC0415  (the same)

    known = journals.files(var_dir, topology.RISK)
    if not known:
        raise comparing.NothingToCompareError("no journal of risk_monitor")
    state = rejudge.state_of(rejudge.decider_of(topology.RISK), journals.header(known[0]))
    recording = Recording(settings=state.settings)
    recording.take_signal(_said(var_dir, topology.SIGNAL))
    recording.take_risk(_said(var_dir, topology.RISK))
    decided = (said for said in _said(var_dir, topology.RISK) if not isinstance(said[1], Quote))
    return comparing.compare(recording, decided, fine=fine)


def _said(var_dir: Path, service: str) -> Iterator[Said]:
    """All that a service heard and said in the run, in order, each with its time."""
    for number, path in enumerate(journals.files(var_dir, service)):
        if number == 0 and service == topology.SIGNAL:
            yield from _closes_before(path)
        for entry in journals.entries(path, service):
            yield entry.record.now, entry.record.message
            for _, output in entry.record.outputs:
                yield entry.record.now, output


def _closes_before(path: Path) -> Iterator[Said]:
    """The daily closes that were known before the oldest journal that is still there."""
    header = journals.header(path)
    state = rejudge.state_of(rejudge.decider_of(topology.SIGNAL), header)
    if state.closes:
        yield header.now, DailyHistory(days=state.days, closes_usd=state.closes)


def on_screen(found: Comparison) -> RenderableType:
    """One row a day, one sentence."""
    table = Table(title="The same days in the backtest", title_justify="left")
    for heading in ("day", "live", "backtest", "same?"):
        table.add_column(heading)
    for heading in ("return", "backtest"):
        table.add_column(heading, justify="right")
    table.add_column("why different; fills: live less backtest")
    for day in found.days:
        verdict = Text("yes" if day.same else "NO", style=STYLES["good" if day.same else "bad"])
        returns = (f"{day.live_return:+.2%}", f"{day.backtest_return:+.2%}")
        table.add_row(str(day.day), day.live, day.backtest, verdict, *returns, day.why)
    return Group(table, Text(sentence(found)), *(Text(f"  {line}") for line in found.left_out))


def sentence(found: Comparison) -> str:
    """The whole comparison in one line."""
    alike = sum(day.same for day in found.days)
    sized = [size for day in found.days for size in day.sized]
    right = sum(size.live_shares == size.backtest_shares for size in sized)
    clamped = sum(day.clamped for day in found.days)
    by_margin = f" ({clamped} more made smaller by margin)" if clamped else ""
    worse = [fill.worse_bp for day in found.days for fill in day.fills]
    fills = ""
    if worse:
        mean = sum(worse) / len(worse)
        fills = f"; {len(worse)} fills {abs(mean):.1f} bp {'worse' if mean > 0 else 'better'} live"
    return (
        f"{alike} of {len(found.days)} days decided alike; {right} of {len(sized)} entries of the "
        f"same size when fed the same price, equity and VIX{by_margin}; return "
        f"{found.live_return:+.2%} live, {found.backtest_return:+.2%} in the backtest{fills}."
    )


def as_builtins(found: Comparison) -> dict[str, Any]:
    return {**msgspec.to_builtins(found), "same": found.same, "sizes_agree": found.sizes_agree}
