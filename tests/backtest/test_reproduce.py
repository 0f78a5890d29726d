"""The published figures, on the real history; skipped where the data are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.backtest.history import load
from services.backtest.picture import svg
from services.backtest.reproduce import Reproduction, reproduce
from services.trader.reproduced_pages import rewritten

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TRADER_DATA", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no market data at {DATA} (TRADER_DATA)")


@pytest.fixture(scope="module")
def reproduced() -> Reproduction:
    return reproduce(load(DATA))


def test_the_published_figures_come_out_under_the_rules_that_produced_them(
    reproduced: Reproduction,
) -> None:
    compared = {line.figure: line for line in reproduced.compared}

    assert [round(compared[name].found, 2) for name in ("cagr_pct", "sharpe")] == [99.30, 1.64]
    assert round(compared["trades_per_year"].found, 2) == 2.80
    assert round(compared["max_drawdown_pct"].found, 2) == 20.84
    assert "33.51" in compared["max_drawdown_pct"].note


def test_the_published_win_rate_is_named_as_not_reproduced(reproduced: Reproduction) -> None:
    (win_rate,) = (line for line in reproduced.compared if not line.reproduced)

    assert (win_rate.figure, win_rate.published, round(win_rate.found)) == ("win_rate_pct", 40, 22)


def test_under_the_documents_own_rules_it_trades_about_120_times_a_year(
    reproduced: Reproduction,
) -> None:
    window = {row.name: row.figures for row in reproduced.rows if "window" in row.period}

    assert window["document's rules, gross"]["trades_per_year"] == pytest.approx(120, abs=2)


def test_every_period_has_every_row_and_costs_only_ever_take(reproduced: Reproduction) -> None:
    for period in ("from 2022", "from 2012", "from 2000"):
        rows = {row.name: row.figures for row in reproduced.rows if row.period == period}
        assert len(rows) == 14
        falling = [
            "document's rules, gross",
            "with interest",
            *(f"with interest, commission, {bp} bp slippage" for bp in (0, 2, 5, 10)),
        ]
        growth = [rows[name]["cagr_pct"] or 0.0 for name in falling]
        assert growth == sorted(growth, reverse=True)


def test_the_paragraph_prints_no_return_without_drawdown_and_worst_day(
    reproduced: Reproduction,
) -> None:
    text = reproduced.paragraph

    assert text.count("% a year") == 3
    assert text.count("drawdown of") + text.count("with drawdowns of") == 3
    assert text.count("worst day of") + text.count("worst days of") == 3


@pytest.mark.parametrize("page", ["README.md", "docs/research.md"])
def test_the_pages_show_what_comes_out(reproduced: Reproduction, page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")

    assert rewritten(text, reproduced) == text, "run make figures"


def test_the_picture_in_the_pages_is_the_one_that_comes_out(reproduced: Reproduction) -> None:
    drawn = (ROOT / "docs" / "reproduce.svg").read_text(encoding="utf-8")

    assert svg(reproduced.title, reproduced.curves) == drawn, "run make figures"


def test_the_picture_shows_the_window_from_one_start(reproduced: Reproduction) -> None:
    assert len(reproduced.curves) == 6
    assert {curve.days for curve in reproduced.curves} == {reproduced.curves[0].days}
    assert all(curve.equity_usd[0] == pytest.approx(1e5, rel=0.01) for curve in reproduced.curves)
