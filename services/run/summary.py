"""The table at the end of a simulated run."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from rich.console import Console
from rich.table import Table

from common.messages import DaySummary


def show(days: Sequence[DaySummary]) -> None:
    """Prints a row per day and the totals."""
    if days:
        Console().print(table(days))


def table(days: Sequence[DaySummary]) -> Table:
    """Days, entries, stops, exits, equity and return; the worst day in the last row."""
    worst = min(days, key=lambda day: day.return_fraction)
    last = days[-1]
    total = prod(1.0 + day.return_fraction for day in days) - 1.0
    shown = Table(title=f"{len(days)} days", show_footer=True)
    shown.add_column("day", f"worst {worst.day}: {worst.return_fraction:+.2%}")
    counts = (
        ("entries", [day.entries for day in days]),
        ("stops", [day.stops for day in days]),
        ("exits", [day.exits for day in days]),
    )
    for name, values in counts:
        shown.add_column(name, str(sum(values)), justify="right")
    shown.add_column("shares", str(last.shares), justify="right")
    shown.add_column("equity", f"${last.equity_usd:,.2f}", justify="right")
    shown.add_column("return", f"{total:+.2%}", justify="right")
    for day in days:
        shown.add_row(
            str(day.day),
            str(day.entries),
            str(day.stops),
            str(day.exits),
            str(day.shares),
            f"${day.equity_usd:,.2f}",
            f"{day.return_fraction:+.2%}",
        )
    return shown


def missing(days: Sequence[DaySummary], asked: int | None) -> str:
    """Why the table is not what was asked for, or ""."""
    if asked is not None and len(days) != asked:
        return f"{len(days)} of {asked} days were summed up: the market ended, or a day was lost"
    return ""
