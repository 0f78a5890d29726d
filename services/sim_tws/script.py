"""Timed faults from a file: TOML (`[[fault]]` tables) or JSON lines, the same keys in both.

[[fault]]
at = "2025-06-03 15:50:00"   # New York market time; or after_orders = 3
name = "link-loss"
args = { seconds = 20, code = 1101 }
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from common.clock import NEW_YORK, SECOND_NS
from services.sim_tws import faults
from services.sim_tws.faults import FAULTS, FaultError
from services.sim_tws.server import Server


class ScriptError(Exception):
    """The file is wrong; the text names it and the entry."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One fault and when it happens: at a market instant, or after that many API orders."""

    name: str
    args: dict[str, Any]
    at_ns: int | None
    after_orders: int | None


def read(path: Path) -> list[Cue]:
    """All cues of a file; ScriptError names what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            entries = tomllib.loads(text).get("fault", [])
        else:
            entries = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as wrong:
        raise ScriptError(f"{path}: {wrong}") from None
    if not isinstance(entries, list):
        raise ScriptError(f"{path}: faults are written as [[fault]] tables")
    return [_cue(path, number, entry) for number, entry in enumerate(entries, 1)]


def arm(server: Server, cues: list[Cue]) -> None:
    """Plans every cue; one that is already past happens at the first advance."""
    for cue in cues:
        if cue.at_ns is not None:
            server.broker.exchange.at(cue.at_ns, lambda _ts, cue=cue: _run(server, cue))  # type: ignore[misc] # default binds the loop value
        elif cue.after_orders is not None:
            server.after_orders.append((cue.after_orders, lambda cue=cue: _run(server, cue)))  # type: ignore[misc] # default binds the loop value


def _run(server: Server, cue: Cue) -> None:
    try:
        faults.inject(server, cue.name, cue.args)
    except FaultError as wrong:
        server.log(f"scripted fault {cue.name} did nothing: {wrong}")


def _cue(path: Path, number: int, entry: Any) -> Cue:
    where = f"{path}, entry {number}"
    if not isinstance(entry, dict) or entry.get("name") not in FAULTS:
        raise ScriptError(f"{where}: 'name' must be one of {', '.join(FAULTS)}")
    extra = set(entry) - {"name", "args", "at", "after_orders"}
    if extra or ("at" in entry) == ("after_orders" in entry):
        raise ScriptError(f"{where}: exactly one of 'at' and 'after_orders', then 'args'")
    at_ns = None
    if "at" in entry:
        try:
            local = datetime.fromisoformat(str(entry["at"])).replace(tzinfo=NEW_YORK)
        except ValueError:
            raise ScriptError(f"{where}: 'at' is YYYY-MM-DD HH:MM:SS") from None
        at_ns = int(local.timestamp()) * SECOND_NS
    after = entry.get("after_orders")
    if after is not None and not isinstance(after, int):
        raise ScriptError(f"{where}: 'after_orders' is a number")
    args = entry.get("args", {})
    if not isinstance(args, dict):
        raise ScriptError(f"{where}: 'args' is a table")
    return Cue(entry["name"], args, at_ns, after)
