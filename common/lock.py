"""Locks for a process's life: who holds one is the active copy. The kernel frees it at any death.

An ipc address can be bound twice, the second silently stealing it; a lock cannot be held twice.
A lock's file lies beside the journals it guards: whoever could write them finds it, whatever
environment he has. A lock whose file was removed keeps nobody out: its holder must look and stop.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path


def lock_path(var_dir: Path, name: str) -> Path:
    """The lock of the process `name` that keeps its journal, or its clock, in `var_dir`."""
    return var_dir / f"{name}.lock"


def hold_lock(path: Path) -> int | None:
    """The exclusive lock's descriptor, for this process's life; None when another process holds it.

    The holder's process id stands in the file.
    """
    while True:
        descriptor = _opened(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if is_held(path, descriptor):
            _sign(descriptor)
            return descriptor
        os.close(descriptor)  # its file was removed meanwhile: whoever comes next takes another


def is_held(path: Path, descriptor: int) -> bool:
    """Whether a lock that was taken still keeps others out: `path` names the locked file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def keep_from_cleaners(folder: Path) -> None:
    """For this process's life systemd-tmpfiles leaves alone what lies in `folder`, however old.

    It passes over a folder on which somebody holds a BSD lock (tmpfiles.d(5), "Age").
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def holder(path: Path) -> str:
    """The process id that the lock's newest holder left in it, or "unknown"."""
    try:
        return path.read_text().strip() or "unknown"
    except FileNotFoundError:
        return "unknown"


class AwaitedLock:
    """A lock that another process holds: `descriptor` can be read from the moment that it is ours.

    A thread sleeps in the kernel for it, so that nothing is lost between two looks. From then on
    `lock` is what `hold_lock` would have returned.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lock = _opened(path)
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC)
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main loop's
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        while not is_held(self._path, self.lock):
            os.close(self.lock)
            self.lock = _opened(self._path)
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        _sign(self.lock)
        os.eventfd_write(self.descriptor, 1)


def _opened(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _sign(descriptor: int) -> None:
    text = f"{os.getpid()}\n".encode()
    with suppress(OSError):  # on a full disk nobody can read who holds it; it is held all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
