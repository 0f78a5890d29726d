"""Reads a recording of the simulated TWS: every frame of every connection, in order.

Concatenated MessagePack arrays: [host_ns, market_ns, connection, client_id, direction, payload].
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgpack

RECORD_BYTES_MAX = 1 << 30


class Frame(NamedTuple):
    """One frame as it passed. `direction`: "in" (from a client), "out", "open" or "close".

    `host_ns`: monotonic; `market_ns`: UTC; `client_id`: -1 before the client said it.
    """

    host_ns: int
    market_ns: int
    connection: int
    client_id: int
    direction: str
    payload: bytes


def read(path: Path) -> Iterator[Frame]:
    """Every whole record; a torn last one (the recorder was killed) is left out."""
    with path.open("rb") as file:
        for record in msgpack.Unpacker(file, max_buffer_size=RECORD_BYTES_MAX):
            yield Frame(*record)
