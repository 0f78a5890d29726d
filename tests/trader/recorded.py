"""A day that the real signal engine recorded: its journal, written by the real loop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from common import messages as m
from common import topology, wire
from common.core import risk, strategy
from common.engine import Engine
from common.journal import Journal
from common.settings import Settings
from tests.trader import facts

DAYS = tuple(date(2025, 5, 30) - timedelta(days=back) for back in range(700, -1, -1))
HISTORY = m.DailyHistory(
    days=DAYS, closes_usd=tuple(200.0 + number / 10 for number in range(len(DAYS)))
)


class StoppedClock:
    def __init__(self, market_ns: int) -> None:
        self.market_ns = market_ns

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
    said = [(topology.FEED, fact) for fact in (facts.SESSION, HISTORY, facts.VIX)]
    return _record(var_dir, topology.SIGNAL, strategy, facts.at(9, 25), said)


def record_bear_day(var_dir: Path) -> Path:
    """The same of risk_monitor, which is told at 15:55 that nothing is to be held."""
    target = m.TargetPosition(
        day=facts.DAY, signal_day=DAYS[-1], leverage=0.0, leverage_why="", valid_until_ns=1 << 62
    )
    said = [(topology.FEED, facts.SESSION), (topology.SIGNAL, target)]
    return _record(var_dir, topology.RISK, risk, facts.at(15, 55), said)


def _record(
    var_dir: Path, service: str, decider: Any, at_ns: int, said: Sequence[tuple[str, m.Message]]
) -> Path:
    clock = StoppedClock(at_ns)
    journal = Journal(var_dir / "journal" / service)
    engine = Engine(service, decider, Settings(), clock, clock.now_ns, journal, Nowhere(), "build")
    engine.restore()
    for number, (source, fact) in enumerate(said, start=1):
        envelope = wire.Envelope(wire.WIRE_VERSION, source, 1, number, 0, 1, fact)
        engine.hear("fact", b"", wire.encode_fact(envelope))
    for _ in range(3):
        engine.tick()
    engine.settle()
    journal.close()
    return var_dir / "journal" / service / "20250602.journal"
