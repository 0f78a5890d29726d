"""What a target of the fuzzer is, and what playing one came to."""

from __future__ import annotations

import gc
import logging
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
INPUT_SHOWN_BYTES = 400


class Broken(Exception):  # noqa: N818 - what is broken is the promise, whatever raised
    """A promise that one input broke; the text says which, and shows the input."""


@dataclass(slots=True)
class Tally:
    """What one episode did with its inputs."""

    accepted: int = 0
    rejected: int = 0


Episode = Callable[[random.Random, int, Path], Tally]
"""Plays `messages` inputs in an empty folder; Broken when a promise does not hold."""


@dataclass(frozen=True, slots=True)
class Target:
    """`share` of all messages go here, in episodes of `episode` messages, each in a fresh world."""

    name: str
    meaning: str
    play: Episode
    episode: int
    share: float
    rss_growth_mb_max: float = 50.0


@dataclass(slots=True)
class Verdict:
    """One target, played. `broken`: why, and the command that plays that episode again."""

    target: Target
    messages: int = 0
    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    rss_growth_mb: float = 0.0
    broken: str = ""


def played(target: Target, seed: int, messages: int, only: int | None = None) -> Verdict:
    """Plays `messages` inputs of a target, episode by episode, or the episode `only` alone.

    Memory is measured from the end of the first episode, when everything is loaded.
    """
    found = Verdict(target)
    begun_s, rss_mb = time.monotonic(), 0.0
    episodes = range(-(-messages // target.episode)) if only is None else (only,)
    for number in episodes:
        size = min(target.episode, max(1, messages - found.messages))
        try:
            with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
                tally = target.play(source(target, seed, number), size, Path(folder))
        except (Broken, AssertionError) as broken:
            again = f"python -m tests.fuzz {target.name} --seed {seed} --episode {number}"
            found.broken = f"{broken}\n    again: {again} --messages {size}"
            break
        found.messages += size
        found.tally.accepted += tally.accepted
        found.tally.rejected += tally.rejected
        if not rss_mb:
            rss_mb = resident_mb()
        found.rss_growth_mb = resident_mb() - rss_mb
        if found.rss_growth_mb > target.rss_growth_mb_max:
            found.broken = f"memory grew by {found.rss_growth_mb:.0f} MB"
            break
    found.seconds = time.monotonic() - begun_s
    return found


def source(target: Target, seed: int, episode: int) -> random.Random:
    """The episode's own draws, whatever was played before it."""
    return random.Random(f"{target.name}/{seed}/{episode}")


def resident_mb() -> float:
    """Resident memory of this process, MB, without what only waits to be collected."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * PAGE_BYTES / 1e6


def shown(data: bytes) -> str:
    """An input, as much of it as a person can look at."""
    more = f" ... {len(data)} bytes" if len(data) > INPUT_SHOWN_BYTES else ""
    return f"{data[:INPUT_SHOWN_BYTES]!r}{more}"


class LastError(logging.Handler):
    """Keeps the newest logged exception instead of printing thousands of them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.text = f"{record.getMessage()[:500]} {error!r}"
