"""Target 6: what our bus costs beside bare pyzmq with the same options, and beside zmq.asyncio.

Frames of 200 bytes from one process to another. Latency: the receiver is asleep when one comes.
Throughput: bursts that the queues hold, so that none is dropped, from the first frame
said until the last one heard.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio

from bench import peers, raw_sockets
from bench.ratio import Effort, Result, Target, compare
from common.bus import Bus
from common.messages import Quote
from common.wire import topic_of

LATENCY = Target(6, "bus, one hop, p50", "bare pyzmq, same sockets", 1.15)
THROUGHPUT = Target(6, "bus, facts per second", "bare pyzmq, same sockets", 0.4, at_least=True)
AGAINST_ASYNCIO = Target(6, "bus, facts per second", "zmq.asyncio", 6.0, at_least=True)
TARGETS = (LATENCY, THROUGHPUT, AGAINST_ASYNCIO)

_HEAD = topic_of(Quote) + bytes(193)
TIMED, UNTIMED = _HEAD + b"t", _HEAD + b"u"
BURST = raw_sockets.HIGH_WATER // 2  # a queue may still count half of the burst before as unread


@dataclass(frozen=True, slots=True)
class Way:
    """One way to get frames across: how they are said here, and the other process's pipe."""

    say: Callable[[Iterable[bytes]], None]
    pipe: Connection


def measure(effort: Effort) -> list[Result]:
    with ExitStack() as stack:
        folders = (stack.enter_context(peers.run_folder()) for _ in range(3))
        ours, bare, awaited = (
            open_way(stack, folder)
            for open_way, folder in zip((_bus, _bare, _awaited), folders, strict=True)
        )

        def round_() -> dict[Target, tuple[float, float]]:
            hops = effort.samples(300)
            ours_s, bare_s = medians((ours, bare), [TIMED], hops)
            burst = [UNTIMED] * (BURST - 1) + [TIMED]
            burst_s, bare_burst_s, awaited_burst_s = medians(
                (ours, bare, awaited), burst, effort.samples(40)
            )
            return {
                LATENCY: (ours_s, bare_s),
                THROUGHPUT: (1 / burst_s, 1 / bare_burst_s),
                AGAINST_ASYNCIO: (1 / burst_s, 1 / awaited_burst_s),
            }

        return [*compare(round_, effort)]


def medians(ways: Sequence[Way], frames: list[bytes], times: int) -> list[float]:
    """Per way the median of the seconds that `frames` take; sample by sample in turn, so that what
    else the machine does meets all of them."""
    taken = [[_heard_after(way, frames) for way in ways] for _ in range(times)]
    return [statistics.median(column) for column in zip(*taken, strict=True)]


def _heard_after(way: Way, frames: list[bytes]) -> float:
    """Seconds from before the first frame is said until the last one, TIMED, is heard."""
    peers.rest()
    started_ns = time.monotonic_ns()
    way.say(frames)
    return float(peers.answer(way.pipe) - started_ns) / 1e9


def _bus(stack: ExitStack, run_dir: Path) -> Way:
    bus = Bus("market_feed", run_dir)
    stack.callback(bus.close)
    pipe = stack.enter_context(peers.peer(hear_on_bus, run_dir))
    return _joined(Way(_each(bus.say), pipe))


def _bare(stack: ExitStack, run_dir: Path) -> Way:
    context = zmq.Context()
    stack.callback(context.destroy, linger=0)
    publisher = raw_sockets.bound(context, run_dir)
    pipe = stack.enter_context(peers.peer(hear_bare, run_dir))
    return _joined(Way(_each(publisher.send), pipe))


def _awaited(stack: ExitStack, run_dir: Path) -> Way:
    runner = stack.enter_context(asyncio.Runner())
    context: Any = zmq.asyncio.Context()
    stack.callback(context.destroy, linger=0)

    async def bound() -> Any:
        return raw_sockets.bound(context, run_dir)

    publisher = runner.run(bound())

    async def send(frames: Iterable[bytes]) -> None:
        for frame in frames:
            await publisher.send(frame)

    pipe = stack.enter_context(peers.peer(hear_awaited, run_dir))
    return _joined(Way(lambda frames: runner.run(send(frames)), pipe))


def _each(say: Callable[[bytes], Any]) -> Callable[[Iterable[bytes]], None]:
    def say_all(frames: Iterable[bytes]) -> None:
        for frame in frames:
            say(frame)

    return say_all


def _joined(way: Way) -> Way:
    """Says until the subscriber has joined, then forgets what it heard."""

    def heard() -> bool:
        way.say([TIMED])
        return way.pipe.poll(0.02)

    peers.until(heard)
    while way.pipe.poll(0.2):
        way.pipe.recv()
    return way


# --- the other process -----------------------------------------------------------------------


def hear_on_bus(pipe: Connection, run_dir: Path) -> None:
    bus = Bus("risk_monitor", run_dir)
    while True:
        bus.wait(60.0)
        for _, _, frame in bus.heard():
            if frame == TIMED:
                pipe.send(time.monotonic_ns())


def hear_bare(pipe: Connection, run_dir: Path) -> None:
    """The same four sockets that the risk monitor's Bus holds, polled the way pyzmq offers."""
    context = zmq.Context()
    subscriber = raw_sockets.connected(context, run_dir)
    others = (zmq.ROUTER, zmq.DEALER, zmq.DEALER)
    poller = zmq.Poller()
    for socket in (subscriber, *(raw_sockets.with_options(context.socket(k)) for k in others)):
        poller.register(socket, zmq.POLLIN)
    while True:
        for socket, _ in poller.poll(60_000):
            with suppress(zmq.Again):
                while True:
                    if socket.recv(zmq.NOBLOCK) == TIMED:
                        pipe.send(time.monotonic_ns())


def hear_awaited(pipe: Connection, run_dir: Path) -> None:
    async def hear() -> None:
        context: Any = zmq.asyncio.Context()
        subscriber: Any = raw_sockets.connected(context, run_dir)
        while True:
            if await subscriber.recv() == TIMED:
                pipe.send(time.monotonic_ns())

    asyncio.run(hear())
