"""The reproduced figures as README.md and docs/research.md show them, between marks. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from textwrap import wrap

from services.backtest.reproduce import Reproduction, Row
from services.trader.exit_codes import CommandError, ExitCode

FIGURES = {
    "cagr_pct": "CAGR %",
    "max_drawdown_pct": "max drawdown %",
    "worst_day_pct": "worst day %",
    "sharpe": "Sharpe",
    "trades_per_year": "trades a year",
}
ESSENTIAL = (
    "published line",
    "rules that produced it",
    "document's rules, gross",
    "with interest, commission, 2 bp slippage",
    "with interest, commission, 10 bp slippage",
    "defaults, no stop",
    "buy and hold",
)
PERIODS = ("the published window", "from 2012", "from 2000")
WINDOW = "the published window"
PAGE_WIDTH = 110


def expected(found: Reproduction) -> str:
    """What a user may expect: the essential rows, the paragraph, and what the data lack."""
    rows = [row for row in found.rows if row.name in ESSENTIAL and _period(row) in PERIODS]
    lines = [_heads("period", "rules")]
    before = ""
    for row in rows:
        period = _period(row)
        lines.append(_line(row, period if period != before else "", row.name))
        before = period
    notes = ["", *wrap(" ".join(found.notes), PAGE_WIDTH)] if found.notes else []
    return "\n".join([*lines, "", *wrap(found.paragraph, PAGE_WIDTH), *notes])


def window(found: Reproduction) -> str:
    """Every row of the published window under the document's own rules."""
    lines = [_line(row, row.name) for row in found.rows if row.period == WINDOW]
    return "\n".join([_heads("rules"), *lines])


def compared(found: Reproduction) -> str:
    """Each published figure beside the one that came out."""

    def lines() -> Iterator[str]:
        yield "| figure | published | found | |\n| --- | ---: | ---: | --- |"
        for line in found.compared:
            verdict = "reproduced" if line.reproduced else "not reproduced"
            note = f" {line.note}" if line.reproduced and line.note else ""
            name = {**FIGURES, "win_rate_pct": "win rate %"}[line.figure]
            yield f"| {name} | {line.published:.2f} | {line.found:.2f} | {verdict}{note} |"

    return "\n".join(lines())


BLOCKS: dict[str, Callable[[Reproduction], str]] = {
    "expected": expected,
    "window": window,
    "compared": compared,
}


def rewritten(page: str, found: Reproduction) -> str:
    """A page with each `<!-- reproduced: name -->` block made anew; CommandError without any."""

    def block(mark: re.Match[str]) -> str:
        if mark[1] not in BLOCKS:
            known = ", ".join(BLOCKS)
            raise CommandError(ExitCode.USAGE, f"no figures are called {mark[1]}: {known}")
        return f"<!-- reproduced: {mark[1]} -->\n{BLOCKS[mark[1]](found)}\n<!-- end -->"

    text, blocks = re.subn(
        r"<!-- reproduced: (\w+) -->\n.*?<!-- end -->", block, page, flags=re.DOTALL
    )
    if not blocks:
        raise CommandError(ExitCode.USAGE, "no <!-- reproduced: … --> block in the page to renew")
    return text


def _period(row: Row) -> str:
    """The first rows carry the window's dates where the others name it."""
    return WINDOW if row.period[:1].isdigit() else row.period


def _heads(*names: str) -> str:
    texts, numbers = len(names), len(FIGURES)
    rules = " | ".join(["---"] * texts + ["---:"] * numbers)
    return f"| {' | '.join((*names, *FIGURES.values()))} |\n| {rules} |"


def _line(row: Row, *names: str) -> str:
    values = (row.figures[name] for name in FIGURES)
    texts = ("–" if value is None else f"{value:.2f}" for value in values)
    return f"| {' | '.join((*names, *texts))} |"
