"""Moves market time as the pacer does, but runs freely at speed 1 around a breach.

The pacer stops the market while a process is dead, so that an accelerated day stays fair; a latency
may only be measured while the market goes on regardless. So the pacer is ended, and this is the
one writer of the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common import messages as m
from common import topology
from common.bus import Bus
from common.clock import SECOND_NS, ClockWriter, host_ns
from common.core import pace
from common.core.pace import Beaten, SessionTimes
from services.pacer import MUST_KEEP_UP, SIMULATED_TWS, SimulatedMarket
from services.trader import asking, commands, hearing
from services.trader.picture import Picture, expected_services

CYCLE_S = 0.02
SECONDS_PER_DAY = 4.0
STUCK_S_MAX = 180.0


class StuckError(RuntimeError):
    """Market time could not go on; the text says who held it."""


class Drive:
    """`advance` with the services, `run_free` past them; hears the bus all the while."""

    def __init__(
        self, clock_path: Path, run_dir: Path, sessions: list[SessionTimes], entry_before_ns: int
    ) -> None:
        self.picture = Picture(expected_services("tws"))
        self.var_dir = clock_path.parent
        self._bus = Bus(topology.TRADER, run_dir)
        self._writer = ClockWriter(clock_path, 0)
        self._market = SimulatedMarket(clock_path)
        self._plan = pace.stretches(sessions, SECONDS_PER_DAY, entry_before_ns)
        self._unready_since_ns: int | None = None

    def close(self) -> None:
        self._bus.close()
        self._writer.close()

    @property
    def market_ns(self) -> int:
        return self._writer.reader.now_ns()

    def hear(self) -> None:
        hearing.fill(self._bus, self.picture, CYCLE_S)

    def advance(self, until_ns: int, speed_max: float = 1e6) -> None:
        """On to that market instant, no faster than the slowest service; StuckError."""
        deadline_ns = host_ns() + int(STUCK_S_MAX * SECOND_NS)
        while self.market_ns < until_ns:
            self.hear()
            now_ns = host_ns()
            beats = self._beats()
            ready = all(beat is None or beat.ready for beat in beats.values())
            self._unready_since_ns = None if ready else self._unready_since_ns or now_ns
            unready_ns = now_ns - (self._unready_since_ns or now_ns)
            step = pace.step(self._plan, self.market_ns, beats, now_ns, unready_ns)
            self._writer.go_on(min(step.speed, speed_max), min(step.limit_ns, until_ns))
            if now_ns > deadline_ns:
                raise StuckError(f"market time stood still: {step.held_by or 'nobody said why'}")

    def run_free(self, until_ns: int) -> Callable[[int], int]:
        """From now on at speed 1 up to `until_ns`, whoever keeps up; returns what tells the host
        instant (monotonic ns) of a market instant of this stretch."""
        self._writer.run(self.market_ns, 1.0, until_ns)
        segment = self._writer.reader.segment()
        return lambda market_ns: segment.host_ns + market_ns - segment.market_ns

    def hears_all_settled(self) -> bool:
        """Listens for a moment, then `settled`."""
        self.hear()
        return self.settled()

    def settled(self) -> bool:
        """Whether every service beats, is ready and has nothing under way."""
        beats = self._beats()
        now_ns = host_ns()
        return all(
            beat is not None
            and beat.ready
            and not beat.busy
            and now_ns - beat.host_ns <= pace.FRESH_NS
            for beat in beats.values()
        ) and not self._silent(now_ns)

    def _silent(self, now_ns: int) -> bool:
        """Those that do not hold the market back must be back as well before the next breach."""
        beats = self.picture.beats
        return any(
            name not in beats or now_ns - beats[name].heard_ns > SECOND_NS
            for name in self.picture.expected
        )

    def resume(self) -> None:
        asking.ask(self._bus, commands.resume(asking.new_key(), "bench"), 3.0)

    @property
    def risk(self) -> m.RiskState | None:
        return self.picture.last(m.RiskState)

    def _beats(self) -> dict[str, Beaten | None]:
        found: dict[str, Beaten | None] = {}
        for name in MUST_KEEP_UP:
            heard = self.picture.beats.get(name)
            beat = heard.heartbeat if heard is not None else None
            found[name] = (
                Beaten(heard.heard_ns, beat.ready, beat.busy, beat.caught_up_ns, beat.verdict)
                if heard is not None and beat is not None
                else None
            )
        found[SIMULATED_TWS] = self._market.beat()
        return found
