"""pacer: moves market time in a simulated run; says Pace and, when the days are over, RunEnded

owns: the clock file, which it alone writes.   if it dies: market time stands still within two
steps, and the next one goes on from the file.
"""

from __future__ import annotations

import os
import signal
from datetime import date, timedelta
from pathlib import Path

from common import settings as settings_file
from common.bystander import Bystander
from common.clock import MINUTE_NS, SECOND_NS, ClockWriter, Progress, host_ns
from common.core import pace
from common.core.pace import Beaten, SessionTimes
from common.lock import hold_lock, lock_path
from common.messages import Pace, RunEnded
from common.parent import die_with_supervisord
from common.service import build_hash, folders, start_log
from common.topology import CONSOLE, DECIDERS, PACER

# The console keeps up as well, so that each line appears while its market time is on the clock.
MUST_KEEP_UP = (*DECIDERS, CONSOLE)
SIMULATED_TWS = "sim_tws"  # so must the market itself; it is no speaker on the bus
BEAT_S = 0.05


def main() -> None:
    """Runs until told to stop.

    TRADER_CLOCK: the clock file; TRADER_START: first session, ISO date; TRADER_LAST_DAY: the
    market's last; TRADER_DAYS: sessions to run, empty for as many as there are.
    """
    die_with_supervisord()
    var_dir, run_dir = folders()
    settings = settings_file.load()
    first, last = (date.fromisoformat(os.environ[n]) for n in ("TRADER_START", "TRADER_LAST_DAY"))
    days = int(os.environ.get("TRADER_DAYS") or 0)
    sessions = sessions_between(first, last)[: days or None]
    clock_path = Path(os.environ["TRADER_CLOCK"])
    writer = ClockWriter(clock_path, sessions[0].open_ns - pace.WARM_UP_NS)
    start_log(PACER, writer.reader)
    if hold_lock(lock_path(var_dir, PACER)) is None:
        raise SystemExit("a second pacer is running; this one stops")
    bystander = Bystander(PACER, run_dir, settings, writer.reader, build_hash())
    entry_ns = int(settings.entry.minutes_before_close * MINUTE_NS)
    seconds_per_day = settings.simulation.seconds_per_day
    pacer = Pacer(bystander, writer, clock_path, sessions, seconds_per_day, entry_ns)
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not stopping:
        pacer.cycle()
    bystander.close()


def sessions_between(first: date, last: date) -> list[SessionTimes]:
    """The regular sessions of the New York exchanges, both days included, oldest first."""
    from exchange_calendars.exchange_calendar_xnys import (  # noqa: PLC0415 - takes half a second
        XNYSExchangeCalendar,
    )

    margin = timedelta(days=14)  # the calendar refuses a range without a session
    calendar = XNYSExchangeCalendar(
        start=(first - margin).isoformat(), end=(last + margin).isoformat()
    )
    opens_ns = calendar.opens.to_numpy(dtype="datetime64[ns]").astype("int64").tolist()
    closes_ns = calendar.closes.to_numpy(dtype="datetime64[ns]").astype("int64").tolist()
    return [
        SessionTimes(open_ns, close_ns)
        for day, open_ns, close_ns in zip(
            calendar.opens.index.date, opens_ns, closes_ns, strict=True
        )
        if first <= day <= last
    ]


class SimulatedMarket:
    """How far the simulated TWS has come, as if it had said so in a heartbeat."""

    def __init__(self, clock_path: Path) -> None:
        self._clock_path = clock_path
        self._progress: Progress | None = None

    def beat(self) -> Beaten | None:
        """None before it has published anything."""
        if self._progress is None:
            try:
                self._progress = Progress(self._clock_path)
            except FileNotFoundError:
                return None
        written_ns, market_ns = self._progress.read()
        return Beaten(written_ns, ready=True, busy=False, caught_up_ns=market_ns, verdict="")


class Pacer:
    """Heartbeats in, market time out."""

    def __init__(
        self,
        bystander: Bystander,
        writer: ClockWriter,
        clock_path: Path,
        sessions: list[SessionTimes],
        seconds_per_day: float,
        entry_before_close_ns: int,
    ) -> None:
        self._bystander = bystander
        self._writer = writer
        self._market = SimulatedMarket(clock_path)
        self._sessions = sessions
        self._plan = pace.stretches(sessions, seconds_per_day, entry_before_close_ns)
        self._beats: dict[str, Beaten | None] = dict.fromkeys((*MUST_KEEP_UP, SIMULATED_TWS))
        self._unready_since_ns: int | None = None
        self._busy_since_ns: int | None = None
        self._beat_ns = 0
        self._said: Pace | None = None
        self._ended = False

    def cycle(self) -> None:
        """Hears what came, moves the clock if it may, says what changed."""
        for speaker, heard_ns, beat in self._bystander.hear(BEAT_S / 2):
            if speaker in self._beats:
                self._beats[speaker] = Beaten(
                    heard_ns, beat.ready, beat.busy, beat.caught_up_ns, beat.verdict
                )
        self._beats[SIMULATED_TWS] = self._market.beat()
        now_ns = host_ns()
        living = [beat for beat in self._beats.values() if beat is not None]
        ready = all(beat.ready for beat in living)
        busy = any(beat.busy for beat in living)
        self._unready_since_ns = None if ready else self._unready_since_ns or now_ns
        self._busy_since_ns = self._busy_since_ns or now_ns if busy else None
        unready_ns = now_ns - (self._unready_since_ns or now_ns)
        busy_ns = now_ns - (self._busy_since_ns or now_ns)
        market_ns = self._writer.reader.now_ns()
        step = pace.step(self._plan, market_ns, self._beats, now_ns, unready_ns, busy_ns)
        self._writer.go_on(step.speed, step.limit_ns)
        self._say(step, market_ns)
        if now_ns - self._beat_ns >= BEAT_S * SECOND_NS:
            self._beat_ns = now_ns
            self._bystander.beat()

    def _say(self, step: pace.Step, market_ns: int) -> None:
        done = pace.days_done(self._sessions, market_ns)
        said = Pace(speed=round(step.speed, 1), held_by=step.held_by[:2000], days_done=done)
        if said != self._said:
            self._said = said
            self._bystander.say(said)
        if done == len(self._sessions) and not self._ended:
            caught_up = [beat.caught_up_ns if beat else 0 for beat in self._beats.values()]
            if min(caught_up) >= market_ns:
                self._ended = True
                self._bystander.say(RunEnded(days=done))


if __name__ == "__main__":
    main()
