"""The simulated TWS is a product of its own: it shares no rule with what it is used to test."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from tests.sim_tws.harness import ROOT

# Besides libraries: the shared market clock, and ending with the supervisor that started it.
ALLOWED = {
    "common.clock",
    "common.parent",
    "exchange_calendars",
    "msgpack",
    "msgspec",
    "numpy",
    "pandas",
}


def imported(path: Path) -> set[str]:
    """Every module a file imports, by full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_it_imports_nothing_of_the_trading_system_but_the_clock() -> None:
    files = sorted((ROOT / "services" / "sim_tws").rglob("*.py"))
    assert files

    for path in files:
        for name in imported(path):
            top = name.split(".")[0]
            own = name.startswith("services.sim_tws") or top in sys.stdlib_module_names
            assert own or name in ALLOWED or top in ALLOWED, f"{path.name} imports {name}"
