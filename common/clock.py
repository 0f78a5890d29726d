"""Host time and market time, behind one small interface.

Host time is this machine's monotonic clock: heartbeats, restarts and socket timeouts use it.
Market time is UTC nanoseconds: strategy, staleness, order deadlines and the broker's cadences use
it. On a real TWS market time is the wall clock. In a simulated run it lives in one small shared
file that the pacer alone writes and every other process maps:

    market_now = min(market_ns + (host_now - host_ns) * speed, limit_ns)

`limit_ns` is a leash. The pacer lengthens it only while every service keeps up, so a killed
service stops the market within one step instead of sleeping through a simulated hour.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

_COUNT = struct.Struct("<Q")
_SEGMENT = struct.Struct("<qqdq")  # host_ns, market_ns, speed, limit_ns
_PROGRESS = struct.Struct("<qq")  # host_ns, market_ns
_HANDOVER_NS = SECOND_NS // 1000
_FILE_BYTES = _COUNT.size + 2 * _SEGMENT.size


def host_ns() -> int:
    """Monotonic host time in nanoseconds; the same for all processes of one machine."""
    return time.monotonic_ns()


class Clock(Protocol):
    """Market time, UTC nanoseconds since 1970."""

    def now_ns(self) -> int: ...


class WallClock:
    """Market time on a real TWS: the machine's wall clock."""

    def now_ns(self) -> int:
        return time.time_ns()


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of market time that runs evenly from one host instant on.

    `speed` is market seconds per host second (0 holds); `limit_ns` is never passed.
    """

    host_ns: int
    market_ns: int
    speed: float
    limit_ns: int

    def at(self, host_now_ns: int) -> int:
        """Market time (UTC ns) at a host instant (monotonic ns)."""
        elapsed_ns = max(0, host_now_ns - self.host_ns)
        ahead_ns = self.market_ns + int(elapsed_ns * self.speed)
        return max(self.market_ns, min(ahead_ns, self.limit_ns))


class ReplayClock:
    """Reads market time from the pacer's shared file.

    Two slots and a counter: the writer fills the idle slot, then moves the counter in one aligned
    write. A writer killed half-way leaves the old segment in force, so a reader can never hang.
    """

    def __init__(self, path: Path) -> None:
        """Maps `path`; FileNotFoundError or ValueError when it is absent or too short."""
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), _FILE_BYTES, access=mmap.ACCESS_READ)

    def segment(self) -> Segment:
        while True:
            (count,) = _COUNT.unpack_from(self._map, 0)
            segment = Segment(*_SEGMENT.unpack_from(self._map, _slot_offset(count)))
            if _COUNT.unpack_from(self._map, 0)[0] == count:
                return segment

    def now_ns(self) -> int:
        return self.segment().at(host_ns())


class ClockWriter:
    """The one writer of a replay clock's file: the pacer, or a stand-alone simulated TWS."""

    def __init__(self, path: Path, start_ns: int) -> None:
        """Opens `path`, creating it held at `start_ns`; an existing file keeps its time."""
        fresh = not path.exists() or path.stat().st_size < _FILE_BYTES
        if fresh:
            segment = _SEGMENT.pack(host_ns(), start_ns, 0.0, start_ns)
            draft = path.with_suffix(".draft")
            draft.write_bytes(_COUNT.pack(0) + segment + segment)
            draft.replace(path)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _FILE_BYTES)
        self.reader = ReplayClock(path)

    def run(self, market_ns: int, speed: float, limit_ns: int) -> None:
        """From now on market time runs from `market_ns` at `speed`, never past `limit_ns`.

        Raises ValueError when that would move market time backwards.
        """
        if market_ns < self.reader.now_ns():
            raise ValueError(f"market time may not go back to {market_ns}")
        self._write(Segment(host_ns(), market_ns, speed, limit_ns))

    def go_on(self, speed: float, limit_ns: int) -> None:
        """From where it stands, market time runs at `speed` from now on, never past `limit_ns`.

        A limit that already lies behind holds market time where it is.
        """
        old, now_ns = self.reader.segment(), host_ns()
        if speed < old.speed or limit_ns < old.limit_ns:
            # Whoever read the old segment a moment ago must not see time go back by the new one.
            market_ns = old.at(now_ns + _HANDOVER_NS)
        else:
            market_ns = old.at(now_ns)
        self._write(Segment(now_ns, market_ns, speed, max(market_ns, limit_ns)))

    def hold(self) -> None:
        """Stands still at the limit that a reader may have reached, whatever ended the run before:
        after a reboot host time begins anew, and the old segment would begin with it."""
        limit_ns = self.reader.segment().limit_ns
        self._write(Segment(host_ns(), limit_ns, 0.0, limit_ns))

    def _write(self, segment: Segment) -> None:
        (count,) = _COUNT.unpack_from(self._map, 0)
        packed = (segment.host_ns, segment.market_ns, segment.speed, segment.limit_ns)
        _SEGMENT.pack_into(self._map, _slot_offset(count + 1), *packed)
        _COUNT.pack_into(self._map, 0, count + 1)

    def close(self) -> None:
        self._map.close()


class Progress:
    """How far the simulated TWS has published, in a file beside the clock's; the pacer reads it.

    Market time must not run past what was published, or every service is up to date with nothing.
    """

    def __init__(self, clock_path: Path, *, create: bool = False) -> None:
        """`create`: by the one writer. FileNotFoundError while there is none yet."""
        path = clock_path.with_name(clock_path.name + ".published")
        if create and not path.exists():
            draft = path.with_suffix(".draft")
            draft.write_bytes(bytes(_PROGRESS.size))
            draft.replace(path)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _PROGRESS.size)

    def write(self, market_ns: int) -> None:
        """Everything up to `market_ns` (UTC ns) has been published by now."""
        _PROGRESS.pack_into(self._map, 0, host_ns(), market_ns)

    def read(self) -> tuple[int, int]:
        """When it was written last (host ns), and how far the market had been published (UTC ns).

        A reader may see one number newer than the other by one publication; both only grow.
        """
        written_ns, market_ns = _PROGRESS.unpack_from(self._map, 0)
        return written_ns, market_ns


def from_environment() -> Clock:
    """The clock this process lives by: `TRADER_CLOCK` names a replay clock's file, else wall."""
    path = os.environ.get("TRADER_CLOCK", "")
    return ReplayClock(Path(path)) if path else WallClock()


def _slot_offset(count: int) -> int:
    return _COUNT.size + (count % 2) * _SEGMENT.size
