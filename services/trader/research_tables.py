"""How results look in a terminal and as JSON. Pure: values in, renderables and builtins out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.backtest.lookahead import Lookahead
from services.backtest.metrics import Metrics, metrics
from services.backtest.reproduce import Reproduction
from services.backtest.result import Result
from services.trader.figure_table import FigureTable, Row

HEADINGS = {
    "cagr_pct": "CAGR %",
    "max_drawdown_pct": "max drawdown %",
    "sharpe": "Sharpe",
    "entries": "entries",
    "stops": "stops",
    "bear_exits": "bear exits",
    "trades_per_year": "trades a year",
    "win_rate_pct": "win rate %",
    "worst_day_pct": "worst day %",
    "final_equity_usd": "final equity USD",
}
COUNTS = ("entries", "stops", "bear_exits")
TRADES_SHOWN = 10
BARS_WORDS = {
    "daily": "one daily bar a session",
    "5min": "5-minute bars",
    "1min": "1-minute bars",
    "auto": "the finest bars of each day",
}


def result_as_json(result: Result, notes: Sequence[str]) -> dict[str, Any]:
    """Settings, metrics, trades and what the data lack, as the command's JSON has them."""
    liquidations = sum(trade.reason == "liquidation" for trade in result.trades)
    return {
        "settings": msgspec.to_builtins(result.options),
        "metrics": metrics(result)._asdict(),
        "paid": {
            "interest_usd": result.interest_usd,
            "commission_usd": result.commission_usd,
            "dividend_usd": result.dividend_usd,
        },
        "liquidations": liquidations,
        "from": str(result.days[0]),
        "to": str(result.days[-1]),
        "notes": list(notes),
        "intraday_days": [str(day) for day in result.fine_days],
        "trades": msgspec.to_builtins(result.trades),
    }


def result_on_screen(result: Result, notes: Sequence[str]) -> RenderableType:
    """Figures, what was paid, the last trades, and what the data lack."""
    found = metrics(result)
    figures = Table.grid(padding=(0, 2))
    for name, value in found._asdict().items():
        figures.add_row(Text(HEADINGS[name], style="bold"), figure_text(name, value))
    figures.add_row(Text("interest USD", style="bold"), f"{result.interest_usd:,.2f}")
    figures.add_row(Text("commission USD", style="bold"), f"{result.commission_usd:,.2f}")
    figures.add_row(Text("dividends USD", style="bold"), f"{result.dividend_usd:,.2f}")
    liquidations = sum(trade.reason == "liquidation" for trade in result.trades)
    if liquidations:
        figures.add_row(Text("liquidations", style="bold red"), str(liquidations))
    title = f"{result.days[0]} to {result.days[-1]}, {len(result.days)} sessions"
    return Group(
        Text(f"{title}; {_bars(result)}", style="dim"), figures, *noted(notes), Text(),
        _trades(result),
    )  # fmt: skip


def noted(notes: Sequence[str]) -> list[Text]:
    """What the data lack, as it stands below figures."""
    return [Text(note, style="yellow") for note in notes]


def reproduction_as_json(reproduction: Reproduction) -> dict[str, Any]:
    return {
        "rows": [{"name": f"{row.name}, {row.period}", **row.figures} for row in reproduction.rows],
        "compared": [compared._asdict() for compared in reproduction.compared],
        "paragraph": reproduction.paragraph,
        "notes": list(reproduction.notes),
    }


def reproduction_on_screen(reproduction: Reproduction) -> RenderableType:
    """One table by period, the comparison with the published figures, the paragraph."""
    rows: list[Row] = []
    period = ""
    for row in reproduction.rows:
        if row.period != period:
            period = row.period
            rows.append(Row([period], style="bold"))
        figures = [figure_text(name, value) for name, value in row.figures.items()]
        rows.append(Row([row.name, *figures]))
    headings = ["rules", *(HEADINGS[name] for name in Metrics._fields)]
    table = FigureTable(headings, rows, named=True)
    compared = Table.grid(padding=(0, 2))
    for line in reproduction.compared:
        verdict = "reproduced" if line.reproduced else "not reproduced"
        found = f"{line.found:.2f}"
        compared.add_row(HEADINGS[line.figure], f"{line.published:.2f}", found, verdict)
        if line.note and line.reproduced:
            compared.add_row("", "", "", Text(line.note, style="dim"))
    return Group(
        table, Text(), compared, Text(), Text(reproduction.paragraph), *noted(reproduction.notes)
    )


def lookahead_on_screen(found: Lookahead) -> str:
    if found.first_difference:
        return f"LOOK-AHEAD: {found.first_difference}"
    return (
        f"no look-ahead: cut at {found.cuts} days (by the live deciders at {found.event_cuts}), "
        "no earlier decision changes"
    )


def _bars(result: Result) -> str:
    kind = result.options.bars
    if kind == "daily":
        return BARS_WORDS["daily"]
    fine = result.fine_days
    if not fine:
        return f"{BARS_WORDS[kind]}: no day had them"
    return f"{BARS_WORDS[kind]} on {len(fine)} days from {fine[0]} to {fine[-1]}, else daily"


def _trades(result: Result) -> FigureTable:
    headings = ("entered", "at", "shares", "leverage", "left", "at", "why", "profit USD")
    rows: list[Row] = []
    for trade in result.trades[-TRADES_SHOWN:]:
        left = (str(trade.exit_day), f"{trade.exit_usd:.2f}") if trade.exit_day else ("held", "")
        rows.append(Row([
            str(trade.entry_day), f"{trade.entry_usd:.2f}", f"{trade.shares:,.0f}",
            f"{trade.leverage:.2f}", *left, trade.reason, f"{trade.profit_usd:,.2f}",
        ]))  # fmt: skip
    return FigureTable(headings, rows, named=False)


def figure_text(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if name in COUNTS else f"{value:,.2f}"
