"""How a sweep looks in a terminal and as JSON. Pure: values in, renderables and builtins out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from services.backtest.metrics import Metrics
from services.backtest.sweep.grid import AXES, Grid, document, shown
from services.backtest.sweep.outcome import Outcome
from services.backtest.sweep.ranking import SHARES, Ranking, sentence
from services.trader.figure_table import FigureTable, Row
from services.trader.research_tables import HEADINGS, figure_text, noted

BEST_SHOWN = 5
AXIS_HEADINGS = {
    "ema_fast": "fast",
    "ema_slow": "slow",
    "stop_loss_fraction": "stop %",
    "leverage": "leverage",
    "slippage_bp": "bp",
}


def as_json(
    outcome: Outcome, ranking: Ranking, files: Iterable[Path], notes: Sequence[str]
) -> dict[str, Any]:
    """The best cells, the document's own, the spread and the files; every cell is in the file."""
    return {
        "cells": len(outcome.grid),
        "from": str(outcome.first),
        "to": str(outcome.last),
        "by": ranking.figure,
        "best": [
            {
                "settings": msgspec.to_builtins(outcome.grid.options(_places(outcome, cell))),
                "metrics": outcome.metrics(cell)._asdict(),
            }
            for cell in ranking.cells[:BEST_SHOWN]
        ],
        "document": outcome.own._asdict(),
        "spread": dict(zip(map(str, SHARES), ranking.spread, strict=False)),
        "neighbours_of_best": ranking.neighbours,
        "better_than_document": ranking.beaten_by,
        "says": sentence(ranking, HEADINGS[ranking.figure]),
        "notes": [since(outcome), *notes],
        "files": [str(file) for file in files],
    }


def on_screen(
    outcome: Outcome, ranking: Ranking, files: Iterable[Path], notes: Sequence[str]
) -> RenderableType:
    """The best cells with the document's own below, and what they are worth."""
    headings = [AXIS_HEADINGS[axis] for axis in reversed(AXES)]
    headings += [HEADINGS[figure] for figure in Metrics._fields]
    rows = [
        Row(_row(outcome.grid, _places(outcome, cell), outcome.metrics(cell)))
        for cell in ranking.cells[:BEST_SHOWN]
    ]
    own = document(outcome.grid.base)
    rows.append(Row(_row(own, (0,) * len(AXES), outcome.own), style="bold"))
    table = FigureTable(headings, rows, named=False)
    title = f"{len(outcome.grid):,} cells, {outcome.first} to {outcome.last}"
    order = f"best {BEST_SHOWN} by {HEADINGS[ranking.figure]}; last line: the document's own"
    says = sentence(ranking, HEADINGS[ranking.figure])
    written = " and ".join(str(file) for file in files)
    return Group(
        Text(f"{title}; {order}", style="dim"), table, Text(), Text(says),
        *noted([since(outcome), *notes]), Text(), Text(f"every cell: {written}", style="dim"),
    )  # fmt: skip


def since(outcome: Outcome) -> str:
    """Which days are compared."""
    return f"From {outcome.first}: the first day on which every cell may trade."


def _places(outcome: Outcome, cell: int) -> tuple[int, ...]:
    return tuple(int(at) for at in np.unravel_index(cell, outcome.grid.shape))


def _row(grid: Grid, at: tuple[int, ...], found: Metrics) -> list[str]:
    settings = [
        shown(axis, values[place]) for (axis, values), place in zip(grid.axes(), at, strict=True)
    ]
    figures = [figure_text(name, value) for name, value in found._asdict().items()]
    return [*reversed(settings), *figures]
