"""`trader sim`: speaks to the simulated TWS over its control socket, one JSON line each way."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from services.trader.exit_codes import CommandError, ExitCode

SOCKET_NAME = "sim.control"
ANSWER_S = 10.0
ANSWER_BYTES_MAX = 1 << 20


def ask(run_dir: Path, request: dict[str, Any]) -> dict[str, Any]:
    """The simulated TWS's answer. CommandError: not there, silent, or it says no."""
    path = run_dir / SOCKET_NAME
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_S)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(_line(connection))
    except TimeoutError as error:
        raise CommandError(
            ExitCode.TIMED_OUT, f"the simulated TWS did not answer within {ANSWER_S:g} s"
        ) from error
    except OSError as error:
        raise CommandError(
            ExitCode.NOT_RUNNING,
            f"no simulated TWS listens at {path} ({error.strerror or error})",
        ) from error
    except ValueError as error:
        raise CommandError(ExitCode.NO, f"the simulated TWS answered nonsense: {error}") from error
    if not answer.get("ok", True):
        raise CommandError(ExitCode.USAGE, str(answer.get("error", "refused without a reason")))
    return dict(answer)


def arguments(words: list[str]) -> dict[str, Any]:
    """`name=value` words as JSON values; a value that is not JSON is taken as text."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals):
            raise CommandError(ExitCode.USAGE, f"{word!r}: write fault arguments as name=value")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _line(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        chunk = connection.recv(65_536)
        if not chunk or len(received) > ANSWER_BYTES_MAX:
            break
        received += chunk
    return received


def on_screen(answer: dict[str, Any]) -> Table:
    """The list of faults with their arguments, what a fault did, or whatever else it answered."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    injected = [answer] if "fault" in answer else []
    for fault in answer.get("faults", injected):
        table.add_row(
            fault["fault"], Text.assemble(fault["meaning"], ("  " + _pairs(fault["args"]), "dim"))
        )
    if injected and answer["args"].get("on") is True:
        table.add_row("", f"until: trader sim {answer['fault']} on=false")
    for name, value in answer.items():
        if name not in ("ok", "faults", "fault", "meaning", "args"):
            table.add_row(name, _plain(value))
    return table


def _pairs(values: dict[str, Any]) -> str:
    """As a person types them: name=value."""
    return " ".join(f"{name}={json.dumps(value)}" for name, value in values.items())


def _plain(value: Any) -> str:
    """A line for each item of a list, name=value for what has names."""
    if isinstance(value, dict):
        return _pairs(value) or "none"
    if isinstance(value, list):
        return "\n".join(_plain(item) for item in value) or "none"
    return str(value)
