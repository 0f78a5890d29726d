"""The reproduced figures in the pages, on figures made up for it."""

from __future__ import annotations

import pytest

from services.backtest.metrics import Metrics
from services.backtest.reproduce import Compared, Reproduction, Row
from services.trader.exit_codes import CommandError
from services.trader.reproduced_pages import WINDOW, rewritten

FIGURES: dict[str, float | None] = dict.fromkeys(Metrics._fields, 1.0)
FOUND = Reproduction(
    rows=(
        Row("published line", "2022-07-05 to 2026-01-30", FIGURES | {"worst_day_pct": None}),
        Row("buy and hold", WINDOW, FIGURES),
        Row("with interest", WINDOW, FIGURES),
        Row("buy and hold", "from 2012", FIGURES),
        Row("buy and hold", "from 2022", FIGURES),
    ),
    compared=(Compared("sharpe", 1.64, 1.641, reproduced=True, note=""),),
    paragraph="Expect less.",
    title="",
    curves=(),
    notes=(),
)
PAGE = "before\n<!-- reproduced: {} -->\nold\n<!-- end -->\nafter"


def block(name: str) -> list[str]:
    lines = rewritten(PAGE.format(name), FOUND).splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    return lines[2:-2]


def test_the_essential_rows_stand_by_period_with_the_paragraph_below() -> None:
    _, _, *rows, _, paragraph = block("expected")

    assert [row.split(" | ")[:2] for row in rows] == [
        ["| the published window", "published line"],
        ["| ", "buy and hold"],
        ["| from 2012", "buy and hold"],
    ]
    assert paragraph == "Expect less."


def test_no_return_stands_without_drawdown_and_worst_day_and_what_is_unknown_is_a_dash() -> None:
    head, _, published, *_ = block("expected")

    assert "CAGR % | max drawdown % | worst day %" in head
    assert published.split(" | ")[2:5] == ["1.00", "1.00", "–"]


def test_the_window_has_all_its_rows_and_each_published_figure_its_verdict() -> None:
    assert [row.split(" | ")[0] for row in block("window")[2:]] == [
        "| buy and hold", "| with interest",
    ]  # fmt: skip
    assert block("compared")[2:] == ["| Sharpe | 1.64 | 1.64 | reproduced |"]


def test_what_the_data_lack_stands_below_the_paragraph() -> None:
    lacking = FOUND._replace(notes=("The VIX ends.", "The rates end."))

    page = rewritten(PAGE.format("expected"), lacking)

    assert "Expect less.\n\nThe VIX ends. The rates end.\n<!-- end -->" in page


@pytest.mark.parametrize(
    ("page", "reason"), [("no block at all", "no <!-- reproduced"), (PAGE.format("sharp"), "sharp")]
)
def test_a_page_without_a_known_block_is_refused(page: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        rewritten(page, FOUND)
