"""Target 5: ticks per second through the whole feed, beside ib_insync that only decodes them.

The same bytes, in pieces that the bus's queue holds. Ours counts at the subscriber of the bus: each
tick has been decoded, judged, journaled and published as a Quote by one process, and a tick that
does not arrive there ends the measurement.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import peers, raw_sockets, tick_clients
from bench.ratio import Effort, Result, Target, compare
from bench.tick_server import TickServer
from common.bus import Bus
from common.messages import Quote
from common.wire import topic_of

FEED = Target(
    5, "feed, ticks per second to the subscriber", "ib_insync decoding alone", 0.5, at_least=True
)
TARGETS = (FEED,)

TICKS = raw_sockets.HIGH_WATER // 2
CONFIRMED_AFTER_S = 1.2  # a first price needs a second sample a second later


def measure(effort: Effort) -> list[Result]:
    chunks = effort.samples(40)
    with ExitStack() as stack:
        run_dir = stack.enter_context(peers.run_folder())
        ours = _feed(stack, run_dir)
        library = _library(stack)

        def round_() -> dict[Target, tuple[float, float]]:
            taken = [(ours(), library()) for _ in range(chunks)]
            ours_s, library_s = (statistics.median(c) for c in zip(*taken, strict=True))
            return {FEED: (TICKS / ours_s, TICKS / library_s)}

        return [*compare(round_, effort)]


def _prices() -> list[float]:
    """No price like the one before it, so that each is news."""
    return [250.0 + (number % 50) / 100 for number in range(1, TICKS + 1)]


def _feed(stack: ExitStack, run_dir: Path) -> Callable[[], float]:
    server = TickServer()
    stack.callback(server.close)
    bus = Bus("risk_monitor", run_dir)
    stack.callback(bus.close)
    stack.enter_context(peers.peer(tick_clients.feed, server.port, run_dir))
    server.subscribed()
    topic = topic_of(Quote)

    def quotes() -> int:
        bus.wait(0.02)
        return sum(frame.startswith(topic) for kind, _, frame in bus.heard() if kind == "fact")

    def confirmed() -> bool:
        server.say([250.0])
        return quotes() > 0

    time.sleep(CONFIRMED_AFTER_S)
    peers.until(confirmed)

    def seconds() -> float:
        while quotes():
            continue
        chunk = server.bytes_of(_prices())
        started = time.monotonic()
        server.send(chunk)
        heard = 0
        while heard < TICKS:
            heard += quotes()
            if time.monotonic() - started > peers.ANSWER_S_MAX:
                raise peers.PeerSilentError(f"{heard} of {TICKS} ticks reached the subscriber")
        return time.monotonic() - started

    return seconds


def _library(stack: ExitStack) -> Callable[[], float]:
    server = TickServer()
    stack.callback(server.close)
    pipe = stack.enter_context(peers.peer(tick_clients.hear_by_ib_insync, server.port))
    server.subscribed()

    def seconds() -> float:
        chunk = server.bytes_of(_prices())
        started_ns = time.monotonic_ns()
        server.send(chunk)
        heard = 0
        while heard < TICKS:
            heard_ns, ticks = peers.answer(pipe)
            heard += ticks
        return float(heard_ns - started_ns) / 1e9

    return seconds
