"""How the command's answers look in a terminal. Pure: values in, rich renderables out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.trader.asking import Reply
from services.trader.status import Row, ServiceRow
from services.trader.status.row import Level
from services.trader.wording import span

STYLES: dict[Level, str] = {
    "good": "green",
    "plain": "",
    "warn": "yellow",
    "bad": "bold red",
    "unknown": "dim italic",
}


def status(
    title: str, answer: Row, rows: Sequence[Row], services: Sequence[ServiceRow],
    warnings: Sequence[str],
) -> RenderableType:  # fmt: skip
    """The whole screen of `trader status`."""
    return Group(
        Text(title, style="dim"),
        Text(answer.text, style=f"bold {STYLES[answer.level]}".strip()),
        Text(),
        grid(rows),
        Text(),
        heartbeats(services),
        *(Text(warning, style=STYLES["warn"]) for warning in warnings),
    )


def grid(rows: Sequence[Row]) -> Table:
    """Labels to the left, answers to the right; an answer wraps under itself."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(row.label, Text(row.text, style=STYLES[row.level]))
    return table


def heartbeats(services: Sequence[ServiceRow]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("service", "heard", "pid", "build", "state"):
        table.add_column(heading, no_wrap=heading != "state")
    for service in services:
        silent = service.age_s is None
        style = STYLES["bad" if silent else "good" if service.ready else "warn"]
        table.add_row(
            service.service,
            "silent" if service.age_s is None else f"{span(service.age_s)} ago",
            str(service.pid or "-"),
            service.build or "-",
            Text(service.verdict, style=style),
        )
    return table


def replies(answers: Sequence[Reply]) -> RenderableType:
    """Who answered what; nothing that is not certain looks done."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for reply in answers:
        level: Level = "good" if reply.outcome == "accepted" else "bad"
        outcome = Text(reply.outcome, style=STYLES[level])
        table.add_row(reply.service, reply.command, outcome, reply.text)
    done = sum(reply.outcome == "accepted" for reply in answers)
    if done == len(answers):
        return table
    verdict = "NOT DONE." if not done else f"PARTLY DONE: {done} of {len(answers)} accepted."
    return Group(table, Text(verdict, style=STYLES["bad"]))
