"""What a command puts out: for a terminal, into a pipe, as JSON."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console


def show(renderable: Any) -> None:
    """On the terminal, as wide as it is; into a pipe wide and without padding."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(renderable)
        return
    console = Console(highlight=False, width=160)
    with console.capture() as captured:
        console.print(renderable)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def show_json(value: Any) -> None:
    typer.echo(json.dumps(value, default=str))
