"""A sweep on a real dask cluster, a scheduler and two workers, equals one on our own cores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from distributed import Client

from services.backtest.options import OptionsError
from services.backtest.sweep import cluster
from services.backtest.sweep.cluster import Cluster
from services.backtest.sweep.outcome import sweep
from tests.backtest.market import random_history
from tests.backtest.test_sweep import SESSIONS, grid_of, wide

ROOT = Path(__file__).parents[2]
START_S_MAX = 60


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with ExitStack() as stack:
        yield start_scheduler(stack)


@pytest.fixture(scope="module")
def crewed(scheduler: str) -> Iterator[str]:
    """The same scheduler once two workers have come."""
    with ExitStack() as stack:
        for _ in range(2):
            start(stack, "worker", scheduler, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        client = cast(Any, Client)(scheduler, set_as_default=False)
        with client:
            client.wait_for_workers(2, timeout=START_S_MAX)
        yield scheduler


def start_scheduler(stack: ExitStack) -> str:
    """A scheduler on a port of the system's choice; its address."""
    process = start(stack, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    assert process.stderr is not None
    for line in process.stderr:
        if "tcp://127.0.0.1:" in line:
            return line.split()[-1]
    raise AssertionError("the scheduler ended without saying its address")


def start(stack: ExitStack, *arguments: str) -> subprocess.Popen[str]:
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            cwd=ROOT, stderr=subprocess.PIPE if arguments[0] == "scheduler" else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, text=True,
        )
    )  # fmt: skip
    stack.callback(process.kill)
    return process


def test_a_scheduler_without_workers_is_said_with_the_command_that_starts_one(
    scheduler: str,
) -> None:
    with pytest.raises(OptionsError, match=f"no worker at {scheduler}: start one with"):
        sweep(random_history(3, SESSIONS), grid_of(), Cluster(scheduler))


def test_two_workers_give_the_same_figures_to_the_bit(
    crewed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CHUNK_PIECES_MAX", 1)
    history = random_history(5, SESSIONS)
    told: list[int] = []

    there = sweep(history, wide(), Cluster(crewed), done=told.append)

    here = sweep(history, wide())
    assert np.array_equal(there.figures, here.figures, equal_nan=True)
    assert there.own == here.own
    assert sum(told) == len(wide())


def test_a_worker_that_cannot_run_it_is_said_with_its_own_words(
    crewed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "run_chunk", cannot)

    with pytest.raises(OptionsError, match=r"RuntimeError: no such .*this version of trader"):
        sweep(random_history(5, SESSIONS), grid_of(), Cluster(crewed))


def cannot(_ground: object, _chunk: object) -> None:
    raise RuntimeError("no such version")


def test_a_scheduler_that_nobody_runs_is_said_with_the_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S_MAX", 0.5)

    with pytest.raises(OptionsError, match=r"no dask scheduler at tcp://127.0.0.1:1: start one"):
        sweep(random_history(5, SESSIONS), grid_of(), Cluster("tcp://127.0.0.1:1"))


def test_without_dask_the_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(OptionsError, match=r"pip install '\.\[dask\]'"):
        Cluster("tcp://127.0.0.1:1")
