"""The page: every section with the run's own figures, one file, nothing foreign let in."""

from __future__ import annotations

import dataclasses
import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.backtest.compiled_path import run_compiled
from services.backtest.history import History
from services.backtest.metrics import metrics
from services.backtest.options import Options, OptionsError, gross
from services.backtest.report import page, periods, sources, words
from services.backtest.report.drag import drag
from services.backtest.report.sources import File
from services.backtest.report.study import Study, study
from tests.backtest.market import history_of, random_history, weekdays

RULES = Options(ema_fast=3, ema_slow=8, history_slow_multiple=1, bars="5min")
HOSTILE = '<script>alert("&")</script>'
SECTIONS = {
    "what-happened", "equity", "drawdown", "rolling", "months", "stops", "worst-days", "costs",
    "sensitivity", "luck", "data", "trades",
}  # fmt: skip
VOID = {"meta", "br", "hr", "input", "link", "img"}


class Page(HTMLParser):
    """A page taken apart: its ids, tables, pictures, attributes; unclosed elements are refused."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.tables: list[list[list[str]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._note(tag, attrs)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if {"td", "th"} & set(self.open) and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def table_with(self, *headings: str) -> list[list[str]]:
        (found,) = (table for table in self.tables if set(headings) <= set(table[0]))
        return found


@pytest.fixture(scope="module")
def history() -> History:
    return random_history(11, 320, bars=78)


@pytest.fixture(scope="module")
def studied(history: History) -> Study:
    return study(history, run_compiled(history, RULES), resamples=50)


@pytest.fixture(scope="module")
def html(studied: Study) -> str:
    return page.html(studied, HOSTILE, [File(HOSTILE, 12, "ab" * 32)])


@pytest.fixture(scope="module")
def shown(html: str) -> Page:
    return Page(html)


def number(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def test_every_section_is_there_once_and_every_id_is_its_own(shown: Page) -> None:
    assert set(shown.ids) >= SECTIONS
    assert len(shown.ids) == len(set(shown.ids))
    targets = {value[1:] for tag, name, value in shown.attributes if (tag, name) == ("a", "href")}
    assert targets == SECTIONS - {"what-happened"}


def test_nothing_is_loaded_from_anywhere(html: str, shown: Page) -> None:
    assert "://" not in html.replace("http-equiv", "")
    assert not {tag for tag, _, _ in shown.attributes} & {"link", "img", "iframe", "object"}
    assert not [name for tag, name, _ in shown.attributes if tag == "script" and name == "src"]
    assert "@import" not in html
    assert not re.findall(r"url\((?!#)", html)
    assert "default-src 'none'" in html


def test_what_a_file_is_called_cannot_become_part_of_the_page(html: str, shown: Page) -> None:
    assert HOSTILE not in html
    assert any(HOSTILE in text for text in shown.text)
    assert html.count("<script>") == 1


def test_every_picture_and_every_table_can_be_read_aloud(shown: Page) -> None:
    labels = [
        value for tag, name, value in shown.attributes if (tag, name) == ("svg", "aria-label")
    ]

    assert len(labels) == len(set(labels)) == 6
    assert [value for tag, name, value in shown.attributes if (tag, name) == ("html", "lang")]
    for table in shown.tables:
        assert len({len(row) for row in table}) == 1, table[0]


def test_no_return_is_shown_without_drawdown_and_worst_day(shown: Page, studied: Study) -> None:
    for table in shown.tables:
        if "CAGR %" in table[0]:
            assert {"max drawdown %", "worst day %"} <= set(table[0])
    assert sum(cell.count("dd") for row in shown.table_with("Jan") for cell in row) == len(
        studied.months
    ) + len(studied.years)
    sentences = [
        text for text in ". ".join(words.paragraphs(studied)).split(". ") if "% a year" in text
    ]
    assert len(sentences) > 3
    assert all("drawdown" in text and "worst day" in text for text in sentences)


def test_the_first_paragraph_says_what_worse_fills_leave(
    history: History, studied: Study, shown: Page
) -> None:
    worse = metrics(run_compiled(history, replace(studied.result.options, slippage_bp=10.0)))

    first = words.paragraphs(studied)[0]

    assert f"at 10 bp {words.figures(worse)}".replace(" -", " −") in first
    assert first in " ".join(shown.text)


def test_the_figures_are_those_of_the_result(shown: Page, studied: Study) -> None:
    run, held = shown.tables[0][1:]
    for row, figures in ((run, metrics(studied.result)), (held, metrics(studied.hold))):
        assert [number(cell) for cell in row[1:]] == pytest.approx(
            [
                figures.cagr_pct, figures.max_drawdown_pct, figures.worst_day_pct, figures.sharpe,
                figures.final_equity_usd,
            ],
            abs=0.005,
        )  # fmt: skip


def test_every_trade_of_the_result_is_a_row(shown: Page, studied: Study) -> None:
    rows = shown.table_with("entered", "left", "why")[1:]

    assert len(rows) == len(studied.result.trades) > 20
    for row, trade in zip(rows, studied.result.trades, strict=True):
        assert row[0] == str(trade.entry_day)
        assert [number(cell) for cell in row[1:4]] == pytest.approx(
            [trade.entry_usd, trade.shares, trade.leverage], abs=0.005
        )
        assert row[4] == str(trade.exit_day or "held")
        assert row[6] == (trade.reason or "–")
        if trade.exit_day:
            assert number(row[8]) == pytest.approx(trade.profit_usd, abs=0.005)


def test_worst_days_stand_with_their_causes_worst_first(shown: Page, studied: Study) -> None:
    rows = shown.table_with("cause", "what happened")[1:]
    worst = metrics(studied.result).worst_day_pct

    losses = [number(row[1]) for row in rows]
    assert losses == sorted(losses)
    assert losses[0] == pytest.approx(worst, abs=0.005)
    assert all(row[6] and row[7] for row in rows)


def test_the_runs_own_cell_of_each_grid_is_the_run_from_the_grids_first_day(
    history: History, studied: Study
) -> None:
    spans, stops = studied.grids
    assert spans.begin == history.days[16], "the longest slow span is 2 x 8"
    assert stops.begin == history.days[0]
    for grid in studied.grids:
        row, column = grid.rows.index(grid.own[0]), grid.columns.index(grid.own[1])
        run = run_compiled(history, replace(RULES, first=grid.begin))
        assert grid.cells[row][column] == metrics(run)
        assert len({cell for line in grid.cells for cell in line if cell}) > 5


def test_costs_are_added_one_by_one_until_it_is_the_run(studied: Study) -> None:
    steps = studied.drag.steps

    assert [step.name for step in steps] == [
        "no interest, no costs", "interest added", "commission added", "slippage added: this run",
    ]  # fmt: skip
    assert steps[-1].result is studied.result
    ends = [step.figures.final_equity_usd for step in steps]
    assert ends == sorted(ends, reverse=True)
    assert len(set(ends)) == 4


def test_a_cost_that_a_run_has_not_is_no_step(history: History) -> None:
    free = run_compiled(history, replace(gross(RULES), slippage_bp=2.0))

    names = [step.name for step in drag(history, free).steps]

    assert names == ["no interest, no costs", "slippage added: this run"]
    free = run_compiled(history, gross(RULES))
    assert [step.name for step in drag(history, free).steps] == ["no interest, no costs: this run"]


def test_a_vix_that_ends_before_the_run_is_said_on_top_and_among_the_data(
    history: History, studied: Study, shown: Page
) -> None:
    said = f"The VIX ends on {history.vix.days[-1]}: its last value stands for the 5 sessions"

    assert any(caveat.startswith(said) for caveat in studied.caveats)
    assert sum(said in text for text in shown.text) == 2


def test_settings_data_and_days_with_intraday_bars_are_listed(
    shown: Page, studied: Study, history: History
) -> None:
    settings = {row[0]: row[1] for row in shown.table_with("setting")[1:]}
    series = {row[0]: row[1:] for row in shown.table_with("series")[1:]}

    assert set(settings) == set(Options.__struct_fields__)
    assert (settings["ema_slow"], settings["baseline"]) == ("8", "open")
    assert series["SMH, one bar a session"] == ["320", str(history.days[0]), str(history.days[-1])]
    assert sum(run.sessions for run in studied.intraday) == len(studied.result.fine_days) > 100


def test_months_and_years_multiply_to_the_whole(studied: Study) -> None:
    growth = studied.result.equity_usd[-1] / RULES.start_equity_usd

    for parts in (studied.months, studied.years):
        product = 1.0
        for period in parts:
            product *= 1.0 + period.return_pct / 100.0
        assert product == pytest.approx(growth)
    worst = metrics(studied.result).worst_day_pct
    assert min(year.worst_day_pct for year in studied.years) == pytest.approx(worst)


def test_a_run_that_never_enters_is_a_page_that_says_so() -> None:
    falling = history_of([(100.0 - at, 99.0 - at, 99.5 - at) for at in range(60)])

    shown = Page(page.html(study(falling, run_compiled(falling, RULES)), "made up", []))

    assert "It never entered" in " ".join(shown.text)
    assert "nothing to draw from" in " ".join(shown.text)


def test_amounts_that_no_market_would_fill_are_called_arithmetic(studied: Study) -> None:
    def said(times: float) -> bool:
        result = replace(studied.result, equity_usd=studied.result.equity_usd * times)
        return "are arithmetic" in " ".join(
            words.paragraphs(dataclasses.replace(studied, result=result))
        )

    assert (said(1.0), said(1e4)) == (False, True)


def test_rules_that_nobody_can_trade_have_no_report(history: History) -> None:
    untradable = Options(decide_at="close", ema_fast=3, ema_slow=8, history_slow_multiple=1)

    with pytest.raises(OptionsError, match="rules that can be traded"):
        study(history, run_compiled(history, untradable))


def test_days_in_a_row_are_one_line() -> None:
    days = weekdays(8)

    assert sources.runs([days[0], days[1], days[4], days[6], days[7]], days) == [
        (days[0], days[1], 2), (days[4], days[4], 1), (days[6], days[7], 2),
    ]  # fmt: skip
    assert sources.runs([], days) == []


def test_the_files_that_were_read_are_named_by_their_fingerprint(tmp_path: Path) -> None:
    for name in ("SMH_daily.csv", "SMH_5min.csv", "unrelated.csv"):
        (tmp_path / name).write_bytes(b"abc")

    (daily,) = sources.read(tmp_path, "daily")

    assert (daily.name, daily.size_bytes) == ("SMH_daily.csv", 3)
    assert daily.sha256.startswith("ba7816bf")
    assert [file.name for file in sources.read(tmp_path, "auto")][1:] == ["SMH_5min.csv"]


def test_a_month_begins_at_the_close_before_it(studied: Study) -> None:
    first, second = periods.months(studied.result)[:2]
    last = max(day for day in studied.result.days if day < date(2020, 2, 1))
    close = studied.result.equity_usd[studied.result.days.index(last)]

    assert (first.year, first.month, second.month) == (2020, 1, 2)
    assert 1.0 + first.return_pct / 100.0 == pytest.approx(close / RULES.start_equity_usd)
