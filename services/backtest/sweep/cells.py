"""Cells of a grid, run by the compiled loop of a single backtest.

The EMAs of every span are made once and shared by all cells; a piece of cells shares its room for
equity and trades as well, and holds no lock of the interpreter: threads run pieces side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from services.backtest import compiled_loop, compiling, metrics
from services.backtest.compiled_loop import (
    COLUMNS,
    PROFIT_USD,
    REASON,
    SOURCES,
    Cell,
    Terms,
)
from services.backtest.compiled_path import terms_of
from services.backtest.metrics import Metrics
from services.backtest.sheet import Floats, Ints, Sheet
from services.backtest.sweep.grid import AXES, Grid

PIECE_CELLS = 64  # a piece takes milliseconds, so cores finish together


class Columns(NamedTuple):
    """What differs from cell to cell, one number a cell; the EMAs by their rows."""

    fast_row: Ints
    slow_row: Ints
    bars_needed: Ints
    loss_fraction: Floats
    slippage_bp: Floats


@dataclass(frozen=True)
class Ground:
    """What all cells of a sweep stand on; made once and only read. `emas`: (spans, closes)."""

    sheet: Sheet
    years: float
    emas: Floats


@dataclass(frozen=True)
class Piece:
    """Cells `first`, `first + 1` and so on of a grid, all with the same terms."""

    first: int
    terms: Terms
    columns: Columns


def prepare(grid: Grid, sheet: Sheet) -> Ground:
    """The market and the EMA of every span of the grid."""
    years = metrics.years_of(sheet.day(sheet.begin), sheet.day(-1))
    return Ground(sheet, years, compiled_loop.emas(sheet.close_usd, _spans(grid)))


def pieces(grid: Grid, cells: int = PIECE_CELLS) -> Iterator[Piece]:
    """The grid's cells in their order, at most so many a piece."""
    row = {span: at for at, span in enumerate(_spans(grid))}
    fast_row = np.array([row[span] for span in grid.ema_fast])
    slow_row = np.array([row[span] for span in grid.ema_slow])
    needed = grid.base.history_slow_multiple * np.array(grid.ema_slow)
    loss_fraction, slippage_bp = np.array(grid.stop_loss_fraction), np.array(grid.slippage_bp)
    tables, *within = grid.shape
    of_table = len(grid) // tables
    for table in range(tables):
        terms = terms_of(grid.options((table, *(0 for _ in AXES[1:]))))
        for first in range(0, of_table, cells):
            numbers = np.arange(first, min(first + cells, of_table))
            slippage, loss, slow, fast = np.unravel_index(numbers, within)
            columns = Columns(
                fast_row[fast], slow_row[slow], needed[slow], loss_fraction[loss],
                slippage_bp[slippage],
            )  # fmt: skip
            yield Piece(table * of_table + first, terms, columns)


def run(ground: Ground, piece: Piece) -> Floats:
    """The figures of a piece's cells: (cells, fields of Metrics)."""
    traded = ground.sheet.sessions - ground.sheet.begin
    figures = np.empty((len(piece.columns.fast_row), len(Metrics._fields)))
    _figures_of_cells(
        ground.sheet, piece.terms, ground.emas, ground.years, piece.columns,
        np.empty(traded), np.empty((traded, COLUMNS)), np.empty(traded), figures,
    )  # fmt: skip
    return figures


def _spans(grid: Grid) -> list[int]:
    return sorted({*grid.ema_fast, *grid.ema_slow})


def _run_cells(
    sheet: Sheet,
    terms: Terms,
    emas: Floats,
    years: float,
    columns: Columns,
    equity: Floats,
    trades: Floats,
    returns: Floats,
    figures: Floats,
) -> None:
    """Compiled: one row of `figures` for each cell. The three before it are room to be used again
    and again."""
    fast_row, slow_row, bars_needed, loss_fraction, slippage_bp = columns
    for c in range(len(fast_row)):
        cell = Cell(bars_needed[c], loss_fraction[c], slippage_bp[c])
        count, _, _, _ = compiled_loop.loop(
            sheet, terms, emas[fast_row[c]], emas[slow_row[c]], cell, equity, trades
        )
        metrics.figures(
            equity, terms.start_usd, years, trades[:count, REASON], trades[:count, PROFIT_USD],
            returns, figures[c],
        )  # fmt: skip


_figures_of_cells = compiling.kept(_run_cells, (*SOURCES, compiled_loop, metrics))
