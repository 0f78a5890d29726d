"""A day that the real signal engine recorded: its journal, written by the real loop."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from common import messages as m
from common import topology, wire
from common.core import strategy
from common.engine import Engine
from common.journal import Journal
from common.settings import Settings
from tests.trader import facts

DAYS = tuple(date(2025, 5, 30) - timedelta(days=back) for back in range(700, -1, -1))
HISTORY = m.DailyHistory(
    days=DAYS, closes_usd=tuple(200.0 + number / 10 for number in range(len(DAYS)))
)


class StoppedClock:
    def __init__(self) -> None:
        self.market_ns = facts.at(9, 25)

    def now_ns(self) -> int:
        self.market_ns += 1_000_000
        return self.market_ns


class Nowhere:
    """What the engine says reaches nobody; the journal is what counts here."""

    def say(self, frame: bytes) -> None: ...
    def ask(self, answerer: str, frame: bytes) -> bool:
        return bool(answerer and frame)

    def answer(self, peer: bytes, frame: bytes) -> bool:
        return bool(peer and frame)

    def perform(self, effect: m.Message) -> None: ...


def record_day(var_dir: Path) -> Path:
    """The journal file of the session 2 June 2025 of signal_engine."""
    clock = StoppedClock()
    journal = Journal(var_dir / "journal" / topology.SIGNAL)
    engine = Engine(
        topology.SIGNAL, strategy, Settings(), clock, clock.now_ns, journal, Nowhere(), "build"
    )
    engine.restore()
    for number, fact in enumerate((facts.SESSION, HISTORY, facts.VIX), start=1):
        envelope = wire.Envelope(wire.WIRE_VERSION, topology.FEED, 1, number, 0, 1, fact)
        engine.hear("fact", b"", wire.encode_fact(envelope))
    engine.tick()
    engine.settle()
    journal.close()
    return var_dir / "journal" / topology.SIGNAL / "20250602.journal"
