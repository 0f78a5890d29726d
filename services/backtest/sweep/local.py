"""A sweep on all cores of this machine, a thread each: compiled pieces hold no lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from services.backtest.sheet import Floats
from services.backtest.sweep import cells
from services.backtest.sweep.cells import Ground, Piece


def run(ground: Ground, pieces: list[Piece]) -> Iterator[tuple[Piece, Floats]]:
    """Each piece with its figures, in their order."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from zip(pieces, pool.map(partial(cells.run, ground), pieces), strict=True)
