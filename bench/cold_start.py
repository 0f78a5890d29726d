"""Target 10: from nothing to a stop monitor that judges prices, with 10,000 records to fold.

The yardsticks are a Python that starts and ends, and one that imports what a process with a TWS
connection and tables needs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench import peers, stop_monitor
from bench.ratio import Effort, Result, Target, compare
from common import settings as settings_file
from common.clock import SECOND_NS, WallClock
from common.core import risk
from common.engine import Engine
from common.journal import Journal
from common.messages import Message

AGAINST_BARE = Target(10, "stop monitor, cold start, 10,000 records", "bare Python start", 5.0)
AGAINST_HEAVY = Target(
    10, "stop monitor, cold start, 10,000 records", "start with ib_insync and pandas", 0.25
)
TARGETS = (AGAINST_BARE, AGAINST_HEAVY)

RECORDS = 10_000
QUOTE_GAP_NS = SECOND_NS // 4


def measure(effort: Effort) -> list[Result]:
    with peers.run_folder() as run_dir:
        var_dir = run_dir / "var"
        write_journal(var_dir / "journal/risk_monitor", effort.samples(RECORDS))

        def ours() -> float:
            with stop_monitor.started("services.risk_monitor", var_dir, run_dir) as took_s:
                return took_s

        def round_() -> dict[Target, tuple[float, float]]:
            starts = [
                (ours(), _python("pass"), _python("import ib_insync, pandas"))
                for _ in range(effort.samples(2))
            ]
            ours_s, bare_s, heavy_s = (
                statistics.median(column) for column in zip(*starts, strict=True)
            )
            return {AGAINST_BARE: (ours_s, bare_s), AGAINST_HEAVY: (ours_s, heavy_s)}

        return [*compare(round_, effort)]


def _python(code: str) -> float:
    """Seconds of an interpreter that runs `code` and ends."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def write_journal(folder: Path, records: int) -> None:
    """A session of prices as the real engine records it: the armed stop, then a quote each 250 ms,
    each with the Equity that is said on it."""
    host = _SteppedClock()
    engine = Engine(
        "risk_monitor", risk, settings_file.load(), WallClock(), host.now_ns, Journal(folder),
        _Nowhere(), "bench",
    )  # fmt: skip
    engine.restore()
    feed, gateway, signal = (
        stop_monitor.Voice(name) for name in ("market_feed", "broker_gateway", "signal_engine")
    )
    for voice, facts in (
        (gateway, stop_monitor.gateway_facts()),
        (signal, stop_monitor.signal_facts(1)),
        (feed, stop_monitor.feed_facts(1)),
    ):
        for fact in facts:
            engine.hear("fact", b"", voice.frame(fact))
    for number in range(records):
        host.step()
        mark_usd = stop_monitor.ABOVE_STOP_USD + 0.01 * (number % 100)
        engine.hear("fact", b"", feed.frame(stop_monitor.quote(mark_usd)))


class _SteppedClock:
    """Host time that moves on by the gap between two quotes."""

    def __init__(self) -> None:
        self._ns = time.monotonic_ns()

    def now_ns(self) -> int:
        return self._ns

    def step(self) -> None:
        self._ns += QUOTE_GAP_NS


class _Nowhere:
    """An outlet without anyone behind it."""

    def say(self, _frame: bytes) -> None: ...
    def ask(self, _answerer: str, _frame: bytes) -> bool:
        return False

    def answer(self, _peer: bytes, _frame: bytes) -> bool:
        return False

    def perform(self, _effect: Message) -> None: ...
