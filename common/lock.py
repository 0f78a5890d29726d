"""Locks for a process's life: who holds one is the active copy. The kernel frees it at any death.

An ipc address can be bound twice, the second silently stealing it; a lock cannot be held twice.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from pathlib import Path


def hold_lock(path: Path) -> int | None:
    """The exclusive lock's descriptor, for this process's life; None when another process holds it.

    The holder's process id stands in the file.
    """
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    _sign(descriptor)
    return descriptor


def holder(path: Path) -> str:
    """The process id that the lock's newest holder left in it, or "unknown"."""
    try:
        return path.read_text().strip() or "unknown"
    except FileNotFoundError:
        return "unknown"


class AwaitedLock:
    """A lock that another process holds: `descriptor` can be read from the moment that it is ours.

    A thread sleeps in the kernel for it, so that nothing is lost between two looks.
    """

    def __init__(self, path: Path) -> None:
        self._lock = _opened(path)
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC)
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main loop's
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        _sign(self._lock)
        os.eventfd_write(self.descriptor, 1)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
