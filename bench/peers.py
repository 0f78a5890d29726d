"""Processes that take part in a measurement, each with a pipe to its parent."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ANSWER_S_MAX = 20.0
IDLE_S = (0.001, 0.003)
"""Between two samples, so that the receiver sleeps in the kernel when the next one comes."""


class PeerSilentError(RuntimeError):
    """A peer did not answer in time; the measurement cannot go on."""


@contextmanager
def peer(act: Callable[..., None], *details: Any) -> Iterator[Connection]:
    """Runs `act(pipe, *details)` in a fresh interpreter for as long as the block lasts."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=act, args=(theirs, *details))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()
        ours.close()


def answer(pipe: Connection, within_s: float = ANSWER_S_MAX) -> Any:
    """The peer's next word; PeerSilentError when it takes too long or has died."""
    if not pipe.poll(within_s):
        raise PeerSilentError(f"no answer within {within_s:g} s")
    try:
        return pipe.recv()
    except EOFError:
        raise PeerSilentError("the process has ended") from None


@contextmanager
def run_folder() -> Iterator[Path]:
    """A short private folder for sockets: an ipc path has 107 characters at most."""
    folder = Path(tempfile.mkdtemp(prefix="tb"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rest() -> None:
    """Lets the receiver fall asleep."""
    time.sleep(random.uniform(*IDLE_S))


def until(promise: Callable[[], bool], within_s: float = ANSWER_S_MAX) -> None:
    """Polls `promise`; PeerSilentError when it is not kept in time."""
    end = time.monotonic() + within_s
    while not promise():
        if time.monotonic() > end:
            raise PeerSilentError(f"nothing came within {within_s:g} s")
