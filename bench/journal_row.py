"""Target 3: one durable journal record, beside a raw append and SQLite.

The raw append writes the same bytes into space that is there already and calls fdatasync; SQLite
inserts them in WAL mode with synchronous=FULL, its durable setting.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench import peers
from bench.ratio import Effort, Result, Target, compare
from common.journal import Journal

AGAINST_RAW = Target(3, "journal record, durable, p50", "raw append + fdatasync", 1.15)
AGAINST_SQLITE = Target(3, "journal record, durable, p50", "SQLite WAL FULL", 0.6)
TARGETS = (AGAINST_RAW, AGAINST_SQLITE)

RECORD = os.urandom(400)
FILE_BYTES = 1 << 20

Append = Callable[[], None]


def measure(effort: Effort) -> list[Result]:
    with (
        peers.run_folder() as folder,
        _journal(folder) as ours,
        raw_append(folder) as raw,
        _sqlite(folder) as sqlite,
    ):
        ways = (ours, raw, sqlite)

        def round_() -> dict[Target, tuple[float, float]]:
            taken = [[seconds(append) for append in ways] for _ in range(effort.samples(200))]
            ours_s, raw_s, sqlite_s = (statistics.median(c) for c in zip(*taken, strict=True))
            return {AGAINST_RAW: (ours_s, raw_s), AGAINST_SQLITE: (ours_s, sqlite_s)}

        return [*compare(round_, effort)]


def seconds(append: Append) -> float:
    started = time.perf_counter()
    append()
    return time.perf_counter() - started


@contextmanager
def _journal(folder: Path) -> Iterator[Append]:
    journal = Journal(folder / "journal")
    journal.begin("20250102", RECORD)

    def append() -> None:
        journal.append(RECORD)
        journal.sync()

    with closing(journal):
        yield append


@contextmanager
def raw_append(folder: Path) -> Iterator[Append]:
    """Writes RECORD into preallocated space, round and round, and syncs."""
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, bytes(FILE_BYTES))
    os.fsync(descriptor)
    at = 0

    def append() -> None:
        nonlocal at
        os.pwrite(descriptor, RECORD, at)
        os.fdatasync(descriptor)
        at = (at + len(RECORD)) % (FILE_BYTES - len(RECORD))

    try:
        yield append
    finally:
        os.close(descriptor)


@contextmanager
def _sqlite(folder: Path) -> Iterator[Append]:
    with closing(sqlite3.connect(folder / "rows.db", isolation_level=None)) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("create table journal (seq integer primary key, record blob)")

        def append() -> None:
            connection.execute("insert into journal (record) values (?)", (RECORD,))

        yield append
