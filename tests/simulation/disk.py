"""A disk of which only what was synced survives a power cut, and that can be full or fail.

A killed process loses nothing that it wrote: the kernel has it. A write cut by the kill may be
there in part.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random

RESERVE_BYTES = 1 << 16
Point = Callable[[str, bytes], None]


class File:
    """Bytes as the kernel has them; the first `durable` of them are on the platter."""

    __slots__ = ("data", "durable", "inode", "reserved")

    def __init__(self, inode: int) -> None:
        self.inode = inode
        self.data = bytearray()
        self.durable = 0
        self.reserved = 0


class SimDisk:
    """See `common.disk.Disk`. `point` hears of each write and sync, and may end the process."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self.files: dict[Path, File] = {}
        self._named: dict[Path, File] = {}
        self._open: dict[int, File] = {}
        self._next_fd = 3
        self._inodes = 0
        self.room_bytes: int | None = None
        """None: as much as anybody wants."""
        self.sync_fails = False
        self.short_writes = False
        self.torn_at = 0
        """How much of the write that a kill cuts is there, bytes."""
        self.changes = 0
        """How often something here changed that outlives the process."""

    # --- what a journal asks -------------------------------------------------------------------

    def make_folder(self, folder: Path) -> None:
        """Folders need no making here."""

    def names(self, folder: Path) -> list[str]:  # noqa: ARG002 (one folder a disk)
        return [path.name for path in self.files]

    def read(self, path: Path, inode: int, start: int) -> tuple[int, int, bytes]:
        file = self.files[path]
        from_byte = start if file.inode == inode and start <= len(file.data) else 0
        return file.inode, from_byte, bytes(file.data[from_byte:])

    def size(self, path: Path) -> int | None:
        file = self.files.get(path)
        return None if file is None else len(file.data) + file.reserved

    def create(self, path: Path) -> int:
        self.changes += 1
        self._inodes += 1
        file = self.files[path] = File(self._inodes)
        return self._descriptor(file)

    def open_to_append(self, path: Path) -> int:
        return self._descriptor(self.files[path])

    def write(self, fd: int, data: bytes) -> int:
        self._point("before-write", data)
        self.changes += 1
        file = self._open[fd]
        if self.room_bytes is not None and self.room_bytes < len(data):
            if not self.short_writes:
                raise OSError(errno.ENOSPC, "no space left on device")
            data = data[: max(1, self.room_bytes // 2)]
        if self.torn_at:
            file.data += data[: self.torn_at]
            self._point("mid-write", data)
            del file.data[-len(data[: self.torn_at]) :]
        file.data += data
        if self.room_bytes is not None:
            self.room_bytes -= len(data)
        self._point("after-write", data)
        return len(data)

    def truncate(self, fd: int, length: int) -> None:
        self.changes += 1
        file = self._open[fd]
        del file.data[length:]
        file.durable = min(file.durable, length)

    def allocate(self, fd: int, length: int) -> None:
        self.changes += 1
        if self.room_bytes is not None:
            if self.room_bytes < length:
                raise OSError(errno.ENOSPC, "no space left on device")
            self.room_bytes -= length
        self._open[fd].reserved = length

    def sync(self, fd: int) -> None:
        self.changes += 1
        if self.sync_fails:
            self.sync_fails = False
            raise OSError(errno.EIO, "input/output error")
        file = self._open[fd]
        file.durable = len(file.data)
        self._point("after-sync", b"")

    def close(self, fd: int) -> None:
        del self._open[fd]

    def rename(self, old: Path, new: Path) -> None:
        self.changes += 1
        self.files[new] = self.files.pop(old)

    def delete(self, path: Path) -> None:
        self.changes += 1
        file = self.files.pop(path, None)
        if file is not None and self.room_bytes is not None:
            self.room_bytes += file.reserved

    def sync_folder(self, folder: Path) -> None:  # noqa: ARG002 (one folder a disk)
        self.changes += 1
        self._named = dict(self.files)

    @property
    def unsynced(self) -> bool:
        """Whether a file that is open has bytes that a power cut may take."""
        return any(file.durable < len(file.data) for file in self._open.values())

    # --- what may happen to it -----------------------------------------------------------------

    def forget_open_files(self) -> None:
        """The process that had them open is dead."""
        self._open.clear()

    def lose_power(self, chance: Random) -> None:
        """What was not synced is there, is lost, or is torn; so are names given since."""
        if self._named and chance.random() < 0.5:
            self.files = dict(self._named)
        for file in self.files.values():
            left = len(file.data) - file.durable
            if left > 0:
                del file.data[file.durable + chance.choice((0, left, chance.randint(0, left))) :]
            file.durable = len(file.data)
        self._named = dict(self.files)

    def durable_bytes(self, path: Path) -> bytes:
        file = self.files[path]
        return bytes(file.data[: file.durable])

    def _descriptor(self, file: File) -> int:
        self._next_fd += 1
        self._open[self._next_fd] = file
        return self._next_fd
