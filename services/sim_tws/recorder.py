"""Writes every frame of every connection to a file, so that an oracle can judge from the wire.

Concatenated MessagePack arrays: [host_ns, market_ns, connection, client_id, direction, payload];
direction is "in", "out", "open" or "close"; client_id is -1 before the client said it. Each
record is one unbuffered write, so a killed server loses nothing it sent.
"""

from __future__ import annotations

from pathlib import Path

import msgpack

from common.clock import host_ns


class Recorder:
    """Appends to `path`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(
        self, market_ns: int, connection: int, client_id: int, direction: str, body: bytes
    ) -> None:
        record = [host_ns(), market_ns, connection, client_id, direction, body]
        self._file.write(msgpack.packb(record))

    def close(self) -> None:
        self._file.close()
