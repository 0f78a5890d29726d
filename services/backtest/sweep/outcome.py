"""A sweep carried out: each cell's figures, and the document's own choice beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from msgspec import structs

from services.backtest.caveats import first_entry_day, require_an_entry
from services.backtest.history import History
from services.backtest.metrics import Metrics, metrics_of
from services.backtest.sheet import Floats, Sheet, lay_out
from services.backtest.sweep import cells, local
from services.backtest.sweep.cells import Ground, Piece
from services.backtest.sweep.grid import AXES, Grid, document

Engine = Callable[[Ground, list[Piece]], Iterable[tuple[Piece, Floats]]]
"""Runs pieces somewhere and gives them back in any order."""


@dataclass(frozen=True)
class Outcome:
    """`figures`: a row for each cell of the grid, the fields of Metrics as columns, NaN for None.
    `own`: the same of the document's own fast, slow, stop and leverage, over the same days."""

    grid: Grid
    first: date
    last: date
    figures: Floats
    own: Metrics

    def column(self, figure: str) -> Floats:
        """One figure of every cell."""
        found: Floats = self.figures[:, Metrics._fields.index(figure)]
        return found

    def metrics(self, cell: int) -> Metrics:
        return metrics_of(self.figures[cell])


def sweep(
    history: History,
    grid: Grid,
    engine: Engine = local.run,
    done: Callable[[int], object] = lambda _cells: None,
) -> Outcome:
    """Every cell of the grid, all from the first day on which each of them may trade: else they
    would be compared over different days. OptionsError where there is no such day.

    The outcome's grid has that day as its `first`, so a cell's options give back its very backtest.
    `done` hears how many cells were finished each time.
    """
    grid = replace(grid, base=structs.replace(grid.base, first=common_first_day(history, grid)))
    return sweep_sheet(lay_out(history, grid.base), grid, engine, done)


def common_first_day(history: History, grid: Grid) -> date:
    """The first day on which the longest slow span may trade, and the document's own where the
    data are long enough for it; never before the day asked for."""
    longest = structs.replace(grid.base, ema_slow=max(grid.ema_slow))
    require_an_entry(history, longest)
    both = (longest, document(grid.base).options((0,) * len(AXES)))
    return max(day for day in (first_entry_day(history, each) for each in both) if day)


def sweep_sheet(
    sheet: Sheet,
    grid: Grid,
    engine: Engine = local.run,
    done: Callable[[int], object] = lambda _cells: None,
) -> Outcome:
    """The same on a sheet that is laid out already."""
    figures = np.empty((len(grid), len(Metrics._fields)))
    for piece, found in engine(cells.prepare(grid, sheet), list(cells.pieces(grid))):
        figures[piece.first : piece.first + len(found)] = found
        done(len(found))
    own = document(grid.base)
    (alone,) = cells.pieces(own)
    return Outcome(
        grid=grid,
        first=sheet.day(sheet.begin),
        last=sheet.day(-1),
        figures=figures,
        own=metrics_of(cells.run(cells.prepare(own, sheet), alone)[0]),
    )
