"""Append-only journals: framed, checksummed, one file per session, headed by a State record.

Frame: magic, length, crc32, payload. An append is one unbuffered write(); `sync` makes it survive
a power cut. Now and then a checkpoint repeats the State in mid-file, so that a restart folds a
bounded number of records however long the day was. A tail that was torn by a crash is cut off when
the file is opened; damage with sound records behind it is never skipped silently:
JournalDamagedError names the offset.

On a full disk the reserve file is given up once, so that exits can still be recorded.
"""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from common.disk import REAL, Disk

MAGIC = b"TRJ1"
CHECKPOINT_MAGIC = b"TRC1"
_FRAME = struct.Struct("<4sII")
RECORD_BYTES_MAX = 8 * 1024 * 1024
SUFFIX = ".journal"


class JournalDamagedError(Exception):
    """A record in the middle of a journal cannot be read, though sound ones follow it."""

    def __init__(self, path: Path, offset: int, why: str) -> None:
        super().__init__(f"{path}: damaged at byte {offset}: {why}")
        self.path = path
        self.offset = offset
        self.why = why


class DiskFullError(OSError):
    """The journal could not be written and the reserve is spent: nothing may leave."""


def frame(payload: bytes, magic: bytes = MAGIC) -> bytes:
    """A payload as it stands in the file."""
    return _FRAME.pack(magic, len(payload), zlib.crc32(payload)) + payload


def read(path: Path) -> Iterator[tuple[int, bytes]]:
    """The header and every record: offset and payload, checkpoints left out. Ends quietly before a
    torn tail; JournalDamagedError."""
    yield from read_bytes(path.read_bytes(), path)


def read_bytes(data: bytes, path: Path) -> Iterator[tuple[int, bytes]]:
    """The same over bytes already read; `path` only names them in an error."""
    for offset, magic, payload in _frames(data, path):
        if magic == MAGIC:
            yield offset, payload


@dataclass(slots=True)
class Newest:
    """What a restart needs of a file: the newest checkpoint (or the header) and what came after.

    All of it from byte `start` on has been checked: `damage` tells where it cannot be read although
    sound records follow; then the rest is what stands before it. `header`, which stands at byte
    `header_at`, is empty where none stands behind `start`. `sound_bytes`: the file's length up to
    the last sound record.
    """

    path: Path
    inode: int
    start: int
    header: bytes = b""
    header_at: int = 0
    records: list[bytes] = field(default_factory=list)
    sound_bytes: int = 0
    damage: JournalDamagedError | None = None


def newest_file(folder: Path, disk: Disk = REAL) -> Path | None:
    """The file of the newest session; None where there is none."""
    names = [name for name in disk.names(folder) if name.endswith(SUFFIX)]
    return folder / max(names) if names else None


def newest(
    path: Path,
    before: Newest | None = None,
    unreadable: frozenset[int] = frozenset(),
    disk: Disk = REAL,
) -> Newest:
    """Reads a file for a restart; OSError when it cannot be read at all.

    `before`: what an earlier call found. Only what came after it is read, unless by now another
    file bears that name (the one before was damaged and set aside). `unreadable`: offsets of
    checkpoints to leave out, since nobody can decode them; the records before them count instead.
    """
    known = before if before is not None and before.path == path else Newest(path, -1, 0)
    inode, start, data = disk.read(path, known.inode, known.sound_bytes)
    found = Newest(path, inode, start, sound_bytes=start)
    try:
        for offset, magic, payload in _frames(data, path, found.start):
            if offset == 0 or (magic == CHECKPOINT_MAGIC and offset not in unreadable):
                found.header, found.header_at, found.records = payload, offset, []
            elif magic == MAGIC:
                found.records.append(payload)
            found.sound_bytes = offset + _FRAME.size + len(payload)
    except JournalDamagedError as damage:
        found.damage = damage
    return found


def _frames(data: bytes, path: Path, base: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
    """Offset in the file, magic and payload of each frame; `base`: where in it `data` begins."""
    at = 0
    while at < len(data):
        payload, why = _frame_at(data, at)
        if payload is None:
            if _sound_frame_after(data, at + 1):
                raise JournalDamagedError(path, base + at, why)
            return
        yield base + at, data[at : at + 4], payload
        at += _FRAME.size + len(payload)


def _frame_at(data: bytes, offset: int) -> tuple[bytes | None, str]:
    if len(data) - offset < _FRAME.size:
        return None, "a torn frame"
    magic, length, checksum = _FRAME.unpack_from(data, offset)
    if magic not in (MAGIC, CHECKPOINT_MAGIC):
        return None, "no frame begins here"
    if length > RECORD_BYTES_MAX:
        return None, f"a length of {length}"
    payload = data[offset + _FRAME.size : offset + _FRAME.size + length]
    if len(payload) < length:
        return None, "a torn record"
    if zlib.crc32(payload) != checksum:
        return None, "a wrong checksum"
    return payload, ""


def _sound_frame_after(data: bytes, start: int) -> bool:
    for magic in (MAGIC, CHECKPOINT_MAGIC):
        at = data.find(magic, start)
        while at >= 0:
            if _frame_at(data, at)[0] is not None:
                return True
            at = data.find(magic, at + 1)
    return False


class Journal:
    """The journal of one service: a folder of files named after sessions, the newest one open."""

    def __init__(self, folder: Path, reserve_bytes: int = 0, disk: Disk = REAL) -> None:
        """Creates `folder` (0700) and the reserve. Opens no file yet."""
        disk.make_folder(folder)
        self.folder = folder
        self.disk = disk
        self.reserve_spent = False
        self._reserve = folder / "reserve"
        self._fd = -1
        self._length = 0
        self._reserve_bytes = reserve_bytes
        self.make_reserve()

    def make_reserve(self) -> None:
        """Keeps space back, also again once a disk that was full has room; `reserve_spent` tells
        whether there is none."""
        size = self._reserve_bytes
        self.reserve_spent = False
        if size <= 0 or self.disk.size(self._reserve) == size:
            return
        try:
            fd = self.disk.create(self._reserve)
            try:
                self.disk.allocate(fd, size)
            finally:
                self.disk.close(fd)
        except OSError:
            self.disk.delete(self._reserve)
            self.reserve_spent = True

    def files(self) -> list[Path]:
        """All journal files, oldest first."""
        names = self.disk.names(self.folder)
        return [self.folder / name for name in sorted(names) if name.endswith(SUFFIX)]

    def open(self, path: Path, sound: int) -> int:
        """Goes on writing at the end of the `sound` bytes of `path` (`newest` tells); returns how
        many bytes of torn tail were cut."""
        self._fd = self.disk.open_to_append(path)
        torn = (self.disk.size(path) or 0) - sound
        if torn:
            self.disk.truncate(self._fd, sound)
            self.disk.sync(self._fd)
        self._length = sound
        return torn

    def begin(self, name: str, header: bytes) -> Path:
        """Starts the file `name`, headed by `header`, whole on disk before it bears its name."""
        path = self.folder / f"{name}{SUFFIX}"
        draft = path.with_suffix(".draft")
        data = frame(header)
        self._retry_with_reserve(partial(self._write_whole, draft), data)
        self.disk.rename(draft, path)
        self.disk.sync_folder(self.folder)
        self.close()
        self._fd = self.disk.open_to_append(path)
        self._length = len(data)
        return path

    def append(self, payload: bytes) -> None:
        """One record in one write; DiskFullError when it cannot be, and then nothing is there."""
        data = frame(payload)
        self._retry_with_reserve(self._write, data)
        self._length += len(data)

    def checkpoint(self, header: bytes) -> None:
        """A header in mid-file: a restart folds from here. DiskFullError as for a record."""
        data = frame(header, CHECKPOINT_MAGIC)
        self._retry_with_reserve(self._write, data)
        self._length += len(data)

    def sync(self) -> None:
        """Returns when everything appended survives a power cut. An error here is fatal: the kernel
        may have dropped the pages, so a second try would lie."""
        self.disk.sync(self._fd)

    def set_aside(self, path: Path, mark: str) -> None:
        """Renames a damaged file, so that no restart reads it again and a person still can."""
        self.disk.rename(path, path.with_suffix(f".{mark}"))

    def delete_before(self, name: str) -> None:
        """Deletes sessions before `name` (retention); what came before any session stays."""
        for path in self.files():
            if path.stem.strip("0") and path.stem < name:
                self.disk.delete(path)

    def close(self) -> None:
        if self._fd >= 0:
            self.disk.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes) -> None:
        try:
            written = self.disk.write(self._fd, data)
        except OSError:
            self.disk.truncate(self._fd, self._length)
            raise
        if written < len(data):
            self.disk.truncate(self._fd, self._length)
            raise OSError(errno.ENOSPC, "a short write")

    def _write_whole(self, path: Path, data: bytes) -> None:
        fd = self.disk.create(path)
        try:
            if self.disk.write(fd, data) < len(data):
                raise OSError(errno.ENOSPC, "a short write")
            self.disk.sync(fd)
        finally:
            self.disk.close(fd)

    def _retry_with_reserve(self, write: Callable[[bytes], None], data: bytes) -> None:
        try:
            write(data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or self.reserve_spent:
                raise DiskFullError(error.errno, f"{self.folder}: {error.strerror}") from error
            self.reserve_spent = True
            self.disk.delete(self._reserve)
            try:
                write(data)
            except OSError as again:
                raise DiskFullError(again.errno, f"{self.folder}: {again.strerror}") from again
