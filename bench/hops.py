"""Targets 1 and 2: from a price to the stop order at the executor, through three processes.

This process says a Quote below the stop, the real risk monitor decides StopHit and PlaceOrder and
journals them, a third process decodes the order as the executor would. In multiples of one raw hop
that is measured beside it: 200 bytes by bare PUB/SUB to a process that sleeps in recv.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import zmq

from bench import peers, raw_sockets, stop_monitor
from bench.journal_row import raw_append, seconds
from bench.ratio import Effort, Result, Target, compare, percentile
from bench.stop_monitor import ABOVE_STOP_USD, BELOW_STOP_USD, Voice
from common import wire
from common.bus import Bus
from common.messages import Accepted, Message, PlaceOrder

P50 = Target(1, "price -> stop order at the executor, p50", "raw hop, p50", 2.2)
P99 = Target(1, "price -> stop order at the executor, p99", "raw hop, p99", 3.0)
DURABLE = Target(2, "the same, synced before the order leaves, p50", "raw hop + fdatasync", 2.2)
TARGETS = (P50, P99, DURABLE)

RAW_FRAME = bytes(200)

# A price that overtakes the fills of the stop before it finds nothing to sell; it is said again.
LOST_AFTER_S = 0.3
TRIES_MAX = 50


@dataclass(slots=True)
class Taken:
    """Seconds of each sample of a round."""

    raw: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    durable: list[float] = field(default_factory=list)
    sync: list[float] = field(default_factory=list)


def measure(effort: Effort) -> list[Result]:
    with ExitStack() as stack:
        raw = stack.enter_context(_raw_hop())
        append = stack.enter_context(raw_append(stack.enter_context(peers.run_folder())))
        ours = stack.enter_context(_stage("services.risk_monitor"))
        durable = stack.enter_context(_stage("bench.durable_risk_monitor"))

        def round_() -> dict[Target, tuple[float, float]]:
            ours.begin_session()
            durable.begin_session()
            taken = Taken()
            for _ in range(effort.samples(200)):
                taken.raw.append(raw())
                taken.ours.append(ours.stop())
                taken.durable.append(durable.stop())
                peers.rest()
                taken.sync.append(seconds(append))
            hop_s = statistics.median(taken.raw)
            return {
                P50: (statistics.median(taken.ours), hop_s),
                P99: (percentile(taken.ours, 0.99), percentile(taken.raw, 0.99)),
                DURABLE: (
                    statistics.median(taken.durable),
                    hop_s + statistics.median(taken.sync),
                ),
            }

        return [*compare(round_, effort)]


class Stage:
    """A risk monitor in its own process; this process stands for the services that it hears."""

    def __init__(self, run_dir: Path, executor: Connection) -> None:
        self._executor = executor
        self._buses = {name: Bus(name, run_dir) for name in ("market_feed", "broker_gateway")}
        self._voices = {name: Voice(name) for name in self._buses}
        self._sessions = 0

    def begin_session(self) -> None:
        """A new session with the position held; the first stop is not counted."""
        self._sessions += 1
        self._say("broker_gateway", stop_monitor.gateway_facts())
        self._say("market_feed", stop_monitor.feed_facts(self._sessions))
        self.stop()

    def stop(self) -> float:
        """Seconds from before the price is said until the stop order stands decoded."""
        for _ in range(TRIES_MAX):
            peers.rest()
            frame = self._voices["market_feed"].frame(stop_monitor.quote(BELOW_STOP_USD))
            started_ns = time.monotonic_ns()
            self._buses["market_feed"].say(frame)
            if self._executor.poll(LOST_AFTER_S):
                return self._recover() - started_ns / 1e9
        raise peers.PeerSilentError("the stop does not fire")

    def _recover(self) -> float:
        """When the order was decoded (monotonic seconds); then all is made as before it."""
        decoded_ns, frame = self._executor.recv()
        order = wire.decode_command(frame).body
        assert isinstance(order, PlaceOrder)
        self._say("broker_gateway", stop_monitor.sold_and_bought_back(order.order))
        peers.rest()
        self._say("market_feed", [stop_monitor.quote(ABOVE_STOP_USD)])
        return float(decoded_ns) / 1e9

    def _say(self, speaker: str, facts: list[Message]) -> None:
        for fact in facts:
            self._buses[speaker].say(self._voices[speaker].frame(fact))

    def close(self) -> None:
        for bus in self._buses.values():
            bus.close()


@contextmanager
def _stage(module: str) -> Iterator[Stage]:
    with peers.run_folder() as run_dir, peers.peer(stand_for_executor, run_dir) as executor:
        stage = Stage(run_dir, executor)
        try:
            with stop_monitor.started(module, run_dir / "var", run_dir):
                yield stage
        finally:
            stage.close()


def stand_for_executor(pipe: Connection, run_dir: Path) -> None:
    """Decodes each PlaceOrder, tells when, and accepts it."""
    bus = Bus("order_executor", run_dir)
    while True:
        bus.wait(60.0)
        for kind, peer, frame in bus.heard():
            if kind != "command":
                continue
            command = wire.decode_command(frame).body
            decoded_ns = time.monotonic_ns()
            if isinstance(command, PlaceOrder):
                pipe.send((decoded_ns, frame))
            yes = Accepted(key=command.key, note="")
            envelope = wire.Envelope(
                wire.WIRE_VERSION, "order_executor", 1, 0, 0, time.time_ns(), yes
            )
            bus.answer(peer, wire.encode(envelope))


@contextmanager
def _raw_hop() -> Iterator[Hop]:
    with peers.run_folder() as run_dir, ExitStack() as stack:
        context = zmq.Context()
        stack.callback(context.destroy, linger=0)
        publisher = raw_sockets.bound(context, run_dir)
        pipe = stack.enter_context(peers.peer(hear_raw, run_dir))
        hop = Hop(publisher, pipe)
        hop.join()
        yield hop


class Hop:
    """Seconds of one raw hop to a sleeping receiver, each time it is called."""

    def __init__(self, publisher: zmq.Socket[bytes], pipe: Connection) -> None:
        self._publisher = publisher
        self._pipe = pipe

    def __call__(self) -> float:
        peers.rest()
        started_ns = time.monotonic_ns()
        self._publisher.send(RAW_FRAME)
        return float(peers.answer(self._pipe) - started_ns) / 1e9

    def join(self) -> None:
        """Says until the subscriber has joined, then forgets what it heard."""

        def heard() -> bool:
            self._publisher.send(RAW_FRAME)
            return self._pipe.poll(0.02)

        peers.until(heard)
        while self._pipe.poll(0.2):
            self._pipe.recv()


def hear_raw(pipe: Connection, run_dir: Path) -> None:
    subscriber = raw_sockets.connected(zmq.Context(), run_dir)
    while True:
        subscriber.recv()
        pipe.send(time.monotonic_ns())
