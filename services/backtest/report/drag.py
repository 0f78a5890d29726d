"""What interest, commission and slippage take: the same run with them added one by one."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec.structs import replace

from services.backtest.compiled_path import run_sheet
from services.backtest.history import History
from services.backtest.metrics import Metrics, metrics
from services.backtest.options import Options, gross
from services.backtest.report.periods import Period, years
from services.backtest.result import Result
from services.backtest.sheet import lay_out


class Year(NamedTuple):
    """One year without any cost and as it was run."""

    free: Period
    paid: Period


class Step(NamedTuple):
    """The run with some of its costs."""

    name: str
    result: Result
    figures: Metrics


class Drag(NamedTuple):
    """From no cost at all to the run itself, one cost more on each step."""

    steps: tuple[Step, ...]
    years: tuple[Year, ...]


def drag(history: History, result: Result) -> Drag:
    """OptionsError as a backtest has it."""
    options = result.options
    costs: tuple[tuple[str, dict[str, Any]], ...] = (
        ("interest added", {"interest": options.interest}),
        ("commission added", {"commission_per_share_usd": options.commission_per_share_usd}),
        ("slippage added", {"slippage_bp": options.slippage_bp}),
    )
    chosen = gross(options)
    steps = [_step("no interest, no costs", history, chosen)]
    for name, cost in costs:
        dearer = replace(chosen, **cost)
        if dearer != chosen:
            steps.append(_step(name, history, dearer))
        chosen = dearer
    steps[-1] = Step(f"{steps[-1].name}: this run", result, metrics(result))
    both = zip(years(steps[0].result), years(result), strict=True)
    return Drag(tuple(steps), tuple(Year(free, paid) for free, paid in both))


def _step(name: str, history: History, options: Options) -> Step:
    run = run_sheet(lay_out(history, options), options)
    return Step(name, run, metrics(run))
