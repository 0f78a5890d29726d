"""What a sweep says: its best cells, the spread of all of them, and how much of it is luck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.backtest.metrics import MAX_DRAWDOWN_PCT, Metrics
from services.backtest.sheet import Floats
from services.backtest.sweep.grid import AXES
from services.backtest.sweep.outcome import Outcome

SHARES = (0.0, 0.05, 0.5, 0.95, 1.0)
SMALLER_IS_BETTER = frozenset({Metrics._fields[MAX_DRAWDOWN_PCT]})


@dataclass(frozen=True)
class Ranking:
    """Cells by one figure, the best first; cells without it come last.

    `spread`: the figure at SHARES of the cells, from the worst to the best. `neighbours`: median of
    the cells at most one step away from the best on every axis, the best left out. `beaten_by`: how
    many cells are better than the document's own choice.
    """

    figure: str
    cells: tuple[int, ...]
    spread: tuple[float, ...]
    neighbours: float | None
    beaten_by: int


def rank(outcome: Outcome, figure: str) -> Ranking:
    """Ties go to the earlier cell."""
    values = outcome.column(figure)
    known = values[~np.isnan(values)]
    sign = -1.0 if figure in SMALLER_IS_BETTER else 1.0
    order = np.argsort(-sign * values, kind="stable")  # NaN last
    own = getattr(outcome.own, figure)
    spread = np.quantile(sign * known, SHARES) * sign if len(known) else np.empty(0)
    return Ranking(
        figure=figure,
        cells=tuple(order.tolist()),
        spread=tuple(spread.tolist()),
        neighbours=_neighbours(values.reshape(outcome.grid.shape), int(order[0])),
        beaten_by=0 if own is None else int((sign * known > sign * own).sum()),
    )


def _neighbours(values: Floats, cell: int) -> float | None:
    at = np.unravel_index(cell, values.shape)
    around = values[tuple(slice(max(0, int(i) - 1), int(i) + 2) for i in at)]
    count = around.size - 1
    others = np.delete(around.ravel(), _place(values.shape, at))
    return float(np.nanmedian(others)) if count and not np.isnan(others).all() else None


def _place(shape: tuple[int, ...], at: tuple[np.intp, ...]) -> int:
    """Where the cell itself stands in the row of its surroundings."""
    begins = [max(0, int(i) - 1) for i in at]
    sizes = [
        min(size, int(i) + 2) - begin for size, i, begin in zip(shape, at, begins, strict=True)
    ]
    inside = [int(i) - begin for i, begin in zip(at, begins, strict=True)]
    return int(np.ravel_multi_index(inside, sizes))


def sentence(ranking: Ranking, name: str) -> str:
    """What the best of many cells is worth, in plain words and with this sweep's figures.

    `name`: the figure's, in words.
    """
    cells = len(ranking.cells)
    if cells < 2 or not ranking.spread:
        return "One cell shows nothing about its neighbours: vary something."
    worst, low, middle, high, best = (f"{value:,.2f}" for value in ranking.spread)
    near = (
        f"; the cells beside it have a median of {ranking.neighbours:,.2f}"
        if (ranking.neighbours is not None)
        else ""
    )
    return (
        f"The best of {cells:,} cells is partly luck: it was chosen because it came out best on "
        "these very days, and on other days it will do worse. Over all cells "
        f"{name} runs from {worst} to {best}, nine in ten of them from {low} to {high}, "
        f"half of them below {middle}{near}. {ranking.beaten_by:,} cells are better than the "
        "document's own choice. A choice that is much better than those beside it has fitted noise."
    )


def varied(outcome: Outcome) -> tuple[str, ...]:
    """The axes with more than one value."""
    return tuple(axis for axis, size in zip(AXES, outcome.grid.shape, strict=True) if size > 1)
