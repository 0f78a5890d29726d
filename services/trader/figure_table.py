"""A table of figures that fits its terminal: no figure is ever cut off.

Where the terminal is too narrow, headings wrap first; then the columns that say least are left
out, by name. What stays shows no return without its drawdown and worst day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

LEFT_OUT = ("entries", "stops", "bear exits", "win rate %", "final equity USD")
"""Headings that go first."""
NAME_WIDTH_MIN = 20


class Row(NamedTuple):
    """`cells` in the order of the headings; fewer of them make a line of its own."""

    cells: Sequence[str]
    style: str = ""


class FigureTable:
    """`headings` with the rows' names first where `named`, else figures only."""

    def __init__(self, headings: Sequence[str], rows: Sequence[Row], *, named: bool) -> None:
        self._headings, self._rows, self._named = headings, rows, named

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        every = list(range(len(self._headings)))
        wide = self._table(every, fixed=False)
        room = options.max_width
        if Measurement.get(console, options.update(width=10 * room), wide).maximum <= room:
            yield wide
            return
        short = self._tightest(every) > room
        out = [at for at in every if short and self._headings[at] in LEFT_OUT]
        yield self._table([at for at in every if at not in out], fixed=True)
        if out:
            names = ", ".join(self._headings[at] for at in out)
            yield Text(f"no room for {names}: widen the terminal, or --json", style="dim")

    def _table(self, columns: Sequence[int], *, fixed: bool) -> Table:
        table = Table(box=None, padding=(0, 1 if fixed else 2, 0, 0), header_style="bold")
        for at in columns:
            name = self._named and at == 0
            table.add_column(
                self._headings[at],
                justify="left" if name else "right",
                width=self._width(at) if fixed and not name else None,
                overflow="fold",
            )
        for row in self._rows:
            table.add_row(
                *(row.cells[at] for at in columns if at < len(row.cells)), style=row.style
            )
        return table

    def _tightest(self, columns: Sequence[int]) -> int:
        return sum(1 + self._width(at) for at in columns)

    def _width(self, at: int) -> int:
        if self._named and at == 0:
            return NAME_WIDTH_MIN
        cells = (row.cells[at] for row in self._rows if at < len(row.cells))
        return max(map(len, (*self._headings[at].split(), *cells)))
