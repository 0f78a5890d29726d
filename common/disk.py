"""What a journal asks of a file system, and the real one behind it.

The seam is as small as it can be: a simulated disk (tests/simulation) loses, tears and refuses what
a real one may. Every call raises OSError as the real one does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """Paths name files; numbers (descriptors) name open ones."""

    def make_folder(self, folder: Path) -> None: ...
    def names(self, folder: Path) -> list[str]: ...
    def read(self, path: Path, inode: int, start: int) -> tuple[int, int, bytes]: ...
    def size(self, path: Path) -> int | None: ...
    def create(self, path: Path) -> int: ...
    def open_to_append(self, path: Path) -> int: ...
    def write(self, fd: int, data: bytes) -> int: ...
    def truncate(self, fd: int, length: int) -> None: ...
    def allocate(self, fd: int, length: int) -> None: ...
    def sync(self, fd: int) -> None: ...
    def close(self, fd: int) -> None: ...
    def rename(self, old: Path, new: Path) -> None: ...
    def delete(self, path: Path) -> None: ...
    def sync_folder(self, folder: Path) -> None: ...


class RealDisk:
    """The machine's file system.

    `names` of a folder that is not there are none; `size` of such a file is None. `read` answers
    (inode, start, bytes from there on): all of a file that is not `inode` or not so long any more.
    """

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def names(self, folder: Path) -> list[str]:
        try:
            return os.listdir(folder)  # noqa: PTH208  (many times a second, and 400 paths are slow to make)
        except FileNotFoundError:
            return []

    def read(self, path: Path, inode: int, start: int) -> tuple[int, int, bytes]:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            same = status.st_ino == inode and start <= status.st_size
            from_byte = start if same else 0
            file.seek(from_byte)
            return status.st_ino, from_byte, file.read()

    def size(self, path: Path) -> int | None:
        return path.stat().st_size if path.exists() else None

    def create(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def open_to_append(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def truncate(self, fd: int, length: int) -> None:
        os.ftruncate(fd, length)

    def allocate(self, fd: int, length: int) -> None:
        os.posix_fallocate(fd, 0, length)

    def sync(self, fd: int) -> None:
        os.fdatasync(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def delete(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


REAL: Disk = RealDisk()
