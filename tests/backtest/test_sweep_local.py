"""The threads of a sweep on this machine: every piece once, and none begun for nobody."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import numpy as np
import pytest

from services.backtest.sheet import lay_out
from services.backtest.sweep import cells, local
from services.backtest.sweep.cells import Ground, Piece
from tests.backtest.market import random_history
from tests.backtest.test_sweep import SESSIONS, wide

DEADLINE_S = 30.0
MANY = 500


class Worked:
    """Stands for the compiled cells: what each thread does with a piece is the test's."""

    def __init__(self) -> None:
        self.asker = threading.current_thread()
        self.begun: list[Piece] = []
        self.other_began = threading.Event()

    def __call__(self, _ground: Ground, piece: Piece) -> Any:
        self.begun.append(piece)
        if threading.current_thread() is self.asker:
            assert self.other_began.wait(DEADLINE_S)
            return self.asked(piece)
        self.other_began.set()
        return self.other(piece)

    def asked(self, _piece: Piece) -> Any:
        return None

    def other(self, _piece: Piece) -> Any:
        time.sleep(0.001)
        return None


def pieces_of(worked: Worked, monkeypatch: pytest.MonkeyPatch) -> tuple[Ground, list[Piece]]:
    """Many pieces, on two cores, that `worked` plays."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    monkeypatch.setattr(cells, "run", worked)
    grid, history = wide(), random_history(3, SESSIONS)
    ground = cells.prepare(grid, lay_out(history, grid.base))
    (piece, *_) = cells.pieces(grid, 1)
    return ground, [Piece(first, piece.terms, piece.columns) for first in range(MANY)]


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_on_any_number_of_cores_each_piece_comes_once(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    grid, history = wide(), random_history(3, SESSIONS)
    ground, pieces = cells.prepare(grid, lay_out(history, grid.base)), list(cells.pieces(grid, 1))

    found = {piece.first: figures for piece, figures in local.run(ground, pieces)}

    assert sorted(found) == [piece.first for piece in pieces]
    for piece in pieces:
        assert np.array_equal(found[piece.first], cells.run(ground, piece), equal_nan=True)


def test_what_fails_beside_the_asker_fails_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Worked):
        def other(self, _piece: Piece) -> Any:
            raise MemoryError("no room beside the asker")

    with pytest.raises(MemoryError, match="beside the asker"):
        list(local.run(*pieces_of(Failing(), monkeypatch)))


def test_an_asker_that_is_interrupted_leaves_the_others_nothing_to_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(Worked):
        def asked(self, _piece: Piece) -> Any:
            raise KeyboardInterrupt

    worked = Interrupted()

    with pytest.raises(KeyboardInterrupt):
        list(local.run(*pieces_of(worked, monkeypatch)))

    assert len(worked.begun) < MANY / 2


def test_a_sweep_that_nobody_reads_on_is_not_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    worked = Worked()
    reading = local.run(*pieces_of(worked, monkeypatch))

    next(reading)
    reading.close()  # type: ignore[attr-defined]  # a generator, which Iterator does not say

    assert len(worked.begun) < MANY / 2
