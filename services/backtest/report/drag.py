"""What interest, commission and slippage take: the same run with them added one by one."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec.structs import replace

from services.backtest.compiled_path import run_sheet
from services.backtest.history import History
from services.backtest.metrics import Metrics, metrics
from services.backtest.options import gross
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
        ("no costs, no interest", {}),
        ("with interest", {"interest": options.interest}),
        ("and commission", {"commission_per_share_usd": options.commission_per_share_usd}),
    )
    steps, chosen = [], gross(options)
    for name, cost in costs:
        chosen = replace(chosen, **cost)
        run = run_sheet(lay_out(history, chosen), chosen)
        steps.append(Step(name, run, metrics(run)))
    steps.append(Step("and slippage: this run", result, metrics(result)))
    both = zip(years(steps[0].result), years(result), strict=True)
    return Drag(tuple(steps), tuple(Year(free, paid) for free, paid in both))
