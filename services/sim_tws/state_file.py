"""Durable books: a killed server that starts again with the same file goes on where it was.

The file holds what IB itself would still know: orders, ids, fills, cash and positions, and the
market instant of the last change. It is replaced whole, so a reader never sees half of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from services.sim_tws.books import Books


@dataclass(slots=True)
class SavedState:
    market_ns: int
    books: Books


class StateError(Exception):
    """The file is not one of ours; the text names it and the reason."""


class StateFile:
    """Writes the books to `path` whenever they changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = b""

    def load(self) -> SavedState | None:
        """None when there is no file yet; StateError when it cannot be read."""
        if not self._path.exists():
            return None
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=SavedState)
        except msgspec.DecodeError as wrong:
            raise StateError(f"{self._path}: {wrong}") from None

    def save(self, market_ns: int, books: Books) -> None:
        body = msgspec.json.encode(books)
        if body == self._written:
            return
        draft = self._path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(SavedState(market_ns, books)))
        draft.replace(self._path)
        self._written = body
