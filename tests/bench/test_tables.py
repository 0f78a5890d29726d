"""Every table runs to its end on real processes, in its smallest size; no figure is judged."""

from __future__ import annotations

import importlib

import pytest

from bench import memory
from bench.__main__ import TABLES
from bench.ratio import Effort, Figure

SMALLEST = Effort(rounds=1, share=0.01)
WANTED = {1, 2, 3, 4, 5, 6, 8, 9, 10, 11}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_measures_each_of_its_targets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = importlib.import_module(f"bench.{name}")
    if name == "memory":  # a test installs nothing: without its environment the line says so
        monkeypatch.setattr(memory, "_install", _refuse)
    results = table.measure(SMALLEST)
    assert [result.target for result in results] == list(table.TARGETS)
    assert all(result.median > 0 for result in results if isinstance(result, Figure))


def test_together_they_print_the_targets_that_are_asked_for() -> None:
    tables = [importlib.import_module(f"bench.{name}") for name in TABLES]
    assert {target.number for table in tables for target in table.TARGETS} == WANTED


def _refuse(_python: object) -> None:
    raise memory.NotInstalledError("no installation in a test")
