"""A sweep on a dask cluster that runs already: the same pieces, in larger chunks, by its workers.

Every worker needs this package at the same version. Who may speak to a scheduler may run anything
on its workers: a cluster belongs on a network of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil
from typing import Any

from services.backtest.options import OptionsError
from services.backtest.sheet import Floats
from services.backtest.sweep import cells
from services.backtest.sweep.cells import Ground, Piece

CHUNK_PIECES_MAX = 16  # a task takes a tenth of a second, so the scheduler is no bottleneck
CHUNKS_PER_THREAD = 4  # so that no worker waits long for the last one
CONNECT_S_MAX = 10.0


class Cluster:
    """The engine for a scheduler's address, as tcp://10.0.0.5:8786. OptionsError, with the mend,
    where dask is not installed, nobody listens, nobody works, or the workers cannot run it."""

    def __init__(self, scheduler: str) -> None:
        self._scheduler = scheduler
        self._distributed = _distributed()

    def __call__(self, ground: Ground, pieces: list[Piece]) -> Iterator[tuple[Piece, Floats]]:
        """Each piece with its figures, as they come."""
        with self._client() as client:
            threads = sum(client.nthreads().values())
            if not threads:
                raise OptionsError(
                    f"no worker at {self._scheduler}: start one with "
                    f"`dask worker {self._scheduler}`"
                )
            there = client.scatter(ground, broadcast=True)
            size = ceil(len(pieces) / (threads * CHUNKS_PER_THREAD))
            size = min(size, CHUNK_PIECES_MAX)
            chunks = [pieces[first : first + size] for first in range(0, len(pieces), size)]
            asked = client.map(run_chunk, [there] * len(chunks), chunks, pure=False)
            try:
                for _, found in self._distributed.as_completed(
                    asked, loop=client.loop, with_results=True
                ):
                    yield from found
            except Exception as error:
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise OptionsError(
                    f"the workers of {self._scheduler} failed: {reason}. "
                    "They need this version of trader installed"
                ) from error

    def _client(self) -> Any:
        try:
            return self._distributed.Client(
                self._scheduler, timeout=CONNECT_S_MAX, set_as_default=False
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise OptionsError(
                f"no dask scheduler at {self._scheduler}: start one with `dask scheduler` and give "
                "the address it prints"
            ) from error


def run_chunk(ground: Ground, chunk: Iterable[Piece]) -> list[tuple[Piece, Floats]]:
    """What a worker does."""
    return [(piece, cells.run(ground, piece)) for piece in chunk]


def _distributed() -> Any:
    try:
        import distributed  # noqa: PLC0415  (an extra: only this engine needs it)
    except ModuleNotFoundError as error:
        raise OptionsError("dask is not installed: pip install '.[dask]'") from error
    return distributed
