"""Every table runs to its end on real processes, in its smallest size; no figure is judged."""

from __future__ import annotations

import importlib

import pytest

from bench import environments, rivals
from bench.__main__ import TABLES
from bench.ratio import Effort, Figure

SMALLEST = Effort(rounds=1, share=0.01)
WANTED = {1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_measures_each_of_its_targets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = importlib.import_module(f"bench.{name}")
    # A test installs nothing: where a yardstick has no environment the line says so.
    monkeypatch.setattr(environments, "python_of", _refuse)
    results = table.measure(SMALLEST)
    assert [result.target for result in results] == list(table.TARGETS)
    assert all(result.median > 0 for result in results if isinstance(result, Figure))


def test_together_they_print_the_targets_that_are_asked_for() -> None:
    tables = [importlib.import_module(f"bench.{name}") for name in TABLES]
    assert {target.number for table in tables for target in table.TARGETS} == WANTED


def test_a_job_answers_with_its_time_its_outcome_and_its_memory() -> None:
    with rivals.ours("bench.sweeping", 300, "5,10", "40,50") as process:
        first, again = process.run("crossover"), process.run("crossover")

    assert first.final_usd == again.final_usd > 0.0
    assert again.cpu_seconds > 0.0
    assert again.peak_kib >= first.peak_kib > 1_000


def _refuse(name: str) -> None:
    raise environments.NotInstalledError(f"{name}: no installation in a test")
