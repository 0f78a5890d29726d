"""Sensitivity: the same run with two settings varied, everything else as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, NamedTuple

from msgspec.structs import replace

from services.backtest.caveats import first_entry_day
from services.backtest.compiled_path import run_sheet
from services.backtest.history import History
from services.backtest.metrics import Metrics, metrics
from services.backtest.options import Options, OptionsError
from services.backtest.sheet import lay_out

FACTORS = (0.4, 0.6, 1.0, 1.4, 2.0)
SLIPPAGE = "slippage bp"
SLIPPAGE_BP = (0.0, 1.0, 2.0, 5.0, 10.0)


class Grid(NamedTuple):
    """`cells[row][column]`: that run's figures; None where the pair makes no rules, or the data
    are too short for its slow span."""

    title: str
    row_name: str
    column_name: str
    rows: tuple[float, ...]
    columns: tuple[float, ...]
    own: tuple[float, float]
    """The run's own row and column."""
    begin: date
    """The first day of every cell's run, so that all of them may trade on the same days."""
    cells: tuple[tuple[Metrics | None, ...], ...]


def ema_grid(history: History, options: Options) -> Grid:
    """The fast span against the slow one, in closes, around the run's own."""
    rows = _around(options.ema_fast, whole=True)
    columns = _around(options.ema_slow, whole=True)
    first_days = {
        slow: first_entry_day(history, replace(options, ema_slow=int(slow))) for slow in columns
    }

    def cell(fast: float, slow: float) -> dict[str, Any] | None:
        if fast >= slow or first_days[slow] is None:
            return None
        return {"ema_fast": int(fast), "ema_slow": int(slow)}

    begin = max((day for day in first_days.values() if day), default=_first_day(history, options))
    return Grid(
        "EMA spans", "fast", "slow", rows, columns, (options.ema_fast, options.ema_slow), begin,
        _cells(history, replace(options, first=begin), rows, columns, cell),
    )  # fmt: skip


def stop_grid(history: History, options: Options) -> Grid:
    """The stop in percent of the baseline against slippage in basis points a side."""
    own = round(options.stop_loss_fraction * 100.0, 6)
    rows = _around(own, whole=False)
    columns = tuple(sorted({*SLIPPAGE_BP, options.slippage_bp}))

    def cell(stop_pct: float, slippage_bp: float) -> dict[str, Any]:
        return {"stop_loss_fraction": stop_pct / 100.0, "slippage_bp": slippage_bp}

    return Grid(
        "Stop and slippage", "stop %", SLIPPAGE, rows, columns, (own, options.slippage_bp),
        _first_day(history, options), _cells(history, options, rows, columns, cell),
    )  # fmt: skip


def _first_day(history: History, options: Options) -> date:
    """The first day of the run itself."""
    sheet = lay_out(history, options)
    return sheet.day(sheet.begin)


def _around(own: float, *, whole: bool) -> tuple[float, ...]:
    """The value itself and some below and above it."""
    values = (own * factor for factor in FACTORS)
    return tuple(sorted({float(round(value)) if whole else round(value, 6) for value in values}))


def _cells(
    history: History,
    options: Options,
    rows: Sequence[float],
    columns: Sequence[float],
    cell: Callable[[float, float], dict[str, Any] | None],
) -> tuple[tuple[Metrics | None, ...], ...]:
    sheet = lay_out(history, options)  # none of what varies changes how sessions lie

    def figures(row: float, column: float) -> Metrics | None:
        changed = cell(row, column)
        if changed is None:
            return None
        try:
            return metrics(run_sheet(sheet, replace(options, **changed)))
        except OptionsError:  # outside a setting's bounds
            return None

    return tuple(tuple(figures(row, column) for column in columns) for row in rows)
