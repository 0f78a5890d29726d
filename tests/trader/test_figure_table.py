"""Tables of figures in terminals of every width."""

from __future__ import annotations

import pytest
from rich.console import Console

from services.trader.figure_table import LEFT_OUT, FigureTable, Row

HEADINGS = ["rules", "CAGR %", "max drawdown %", "worst day %", *LEFT_OUT]
FIGURES = ["66.25", "77.50", "-35.25", "1,555", "1,544", "10", "46.33", "169,813,648.67"]


def shown(width: int) -> str:
    rows = [Row(["from 2012"], style="bold"), Row(["with interest and commission", *FIGURES])]
    console = Console(width=width)
    with console.capture() as captured:
        console.print(FigureTable(HEADINGS, rows, named=True))
    return captured.get()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_no_figure_is_cut_off_and_drawdown_and_worst_day_always_stand(width: int) -> None:
    text = shown(width)

    assert "…" not in text
    assert all(figure in text for figure in FIGURES[:3])


def test_what_had_no_room_is_named_with_what_to_do() -> None:
    assert "no room for entries, stops, bear exits, win rate %, final equity USD" in " ".join(
        shown(60).split()
    )
    assert "no room" not in shown(100)
    assert all(figure in shown(100) for figure in FIGURES)
