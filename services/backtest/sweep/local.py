"""A sweep on all cores of this machine, a thread each: compiled pieces hold no lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from services.backtest.sheet import Floats
from services.backtest.sweep import cells
from services.backtest.sweep.cells import Ground, Piece


def run(ground: Ground, pieces: list[Piece]) -> Iterator[tuple[Piece, Floats]]:
    """Each piece with its figures, as they come.

    Who asks works too: a thread that only waited for the others would interrupt one of them at
    every piece.
    """
    left, found = iter(pieces), deque[tuple[Piece, Floats]]()

    def work() -> None:
        for piece in left:
            found.append((piece, cells.run(ground, piece)))

    others = len(os.sched_getaffinity(0)) - 1
    with ThreadPoolExecutor(max(others, 1)) as pool:
        try:
            working = [pool.submit(work) for _ in range(others)]
            for piece in left:
                yield piece, cells.run(ground, piece)
                while found:
                    yield found.popleft()
            for each in working:
                each.result()
        finally:
            deque(left, maxlen=0)  # whoever gave up leaves the others nothing to begin
    yield from found
