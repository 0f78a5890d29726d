"""The published figures, on the real history; skipped where the data are not there."""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from services.backtest.history import History, Quotation, load
from services.backtest.options import OptionsError
from services.backtest.picture import svg
from services.backtest.reproduce import Reproduction, reproduce
from services.trader.reproduced_pages import rewritten

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TRADER_DATA", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no market data at {DATA} (TRADER_DATA)")


@pytest.fixture(scope="module")
def history() -> History:
    return load(DATA)


@pytest.fixture(scope="module")
def reproduced(history: History) -> Reproduction:
    return reproduce(history)


def from_day(history: History, first: date) -> History:
    """The history without the sessions before a day."""
    at = bisect_left(history.days, first)
    return replace(history, sessions=history.sessions[at:], smh=history.smh[at:])


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


def test_what_the_data_lack_is_said(history: History, reproduced: Reproduction) -> None:
    waits, vix = reproduced.notes

    assert waits.startswith("From 2000 the first entry may come on 2002-")
    assert vix.startswith(f"The VIX ends on {history.vix.days[-1]}: its last value stands for")


def test_periods_that_begin_before_the_data_are_left_out_and_that_is_said(history: History) -> None:
    shorter = from_day(history, date(2015, 1, 2))

    found = reproduce(shorter)

    assert {row.period for row in found.rows if row.period.startswith("from")} == {"from 2022"}
    assert found.notes[0] == "Left out: from 2012, from 2000. The data begin on 2015-01-02."
    assert "from 2022-07-05 to 2026-01-30" in found.paragraph


def test_data_that_do_not_cover_the_published_window_are_refused_with_what_to_do(
    history: History,
) -> None:
    late, early = from_day(history, history.days[-300]), history.until(date(2024, 12, 31))
    no_rates = replace(history, rates=Quotation())
    late_rates = replace(history, rates=Quotation((date(2023, 1, 1),), (4.0,)))

    for lacking, reason in (
        (late, "SMH_daily.csv has 0 sessions before 2022-07-05"),
        (early, "SMH_daily.csv ends on 2024-12-31, the published window on 2026-01-30"),
        (no_rates, "FEDFUNDS_monthly.csv is not among the data"),
        (late_rates, "FEDFUNDS_monthly.csv begins on 2023-01-01"),
        (replace(history, adjusted=Quotation()), "SMH_adjclose.csv has no row for 2022-01-03"),
    ):
        with pytest.raises(OptionsError, match=reason) as refused:
            reproduce(lacking)
        assert "--no-interest" not in str(refused.value)
