"""A sweep as a Parquet file: a row for each cell, its settings and its figures.

The settings' columns are the fields of Options, so a row gives back the very options it ran with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from services.backtest.metrics import COUNTS, Metrics
from services.backtest.options import Options
from services.backtest.sweep.grid import AXES, Grid
from services.backtest.sweep.outcome import Outcome

DATES = {"first", "last", "ema_from"}
LISTS = {"vix_below", "vix_leverage"}


def write(outcome: Outcome, file: Path) -> None:
    """OSError where the file cannot be written."""
    columns = _settings(outcome.grid) | {
        figure: _figure(outcome, figure) for figure in Metrics._fields
    }
    parquet.write_table(pa.table(columns), file)


def options_of(row: dict[str, Any]) -> Options:
    """The options of a row, as `Table.to_pylist` gives it."""
    fields = {name: row[name] for name in Options.__struct_fields__}
    return msgspec.convert(
        {name: tuple(value) if name in LISTS else value for name, value in fields.items()}, Options
    )


def _settings(grid: Grid) -> dict[str, pa.Array]:
    at = dict(zip(AXES, np.unravel_index(np.arange(len(grid)), grid.shape), strict=True))
    tiers = [grid.tiers(table) for table in grid.leverage]
    by_table = {
        "leverage_base": pa.array([table[0] for table in grid.leverage]),
        "vix_below": _lists([below for below, _ in tiers]),
        "vix_leverage": _lists([leverages for _, leverages in tiers]),
    }
    columns: dict[str, pa.Array] = {}
    for name in Options.__struct_fields__:
        if name in by_table:
            columns[name] = by_table[name].take(pa.array(at["leverage"]))
        elif name in at:
            columns[name] = pa.array(np.array(getattr(grid, name))[at[name]])
        else:
            value = getattr(grid.base, name)
            kind = pa.date32() if name in DATES else None
            columns[name] = pa.repeat(pa.scalar(value, type=kind), len(grid))
    return columns


def _lists(rows: list[tuple[float, ...]]) -> pa.Array:
    return pa.array([list(row) for row in rows], type=pa.list_(pa.float64()))


def _figure(outcome: Outcome, figure: str) -> pa.Array:
    column = outcome.column(figure)
    if figure in COUNTS:
        return pa.array(column.astype(np.int64))
    return pa.array(column, from_pandas=True)  # NaN is null: nothing to measure
