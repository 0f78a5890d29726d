"""Target 4: from a tick's bytes leaving the socket of a TWS to our handler.

Beside it a blocking socket that cuts the frame itself, and unmodified ib_insync on stock asyncio up
to its pendingTickersEvent. Three processes, one tick at a time, each receiver asleep.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection

from bench import peers, tick_clients
from bench.ratio import Effort, Result, Target, compare
from bench.tick_server import TickServer

AGAINST_SOCKET = Target(4, "tick's bytes -> our handler, p50", "blocking socket", 1.5)
AGAINST_IB_INSYNC = Target(4, "tick's bytes -> our handler, p50", "ib_insync on asyncio", 0.7)
TARGETS = (AGAINST_SOCKET, AGAINST_IB_INSYNC)

CLIENTS = (
    tick_clients.hear_by_our_edge,
    tick_clients.hear_on_socket,
    tick_clients.hear_by_ib_insync,
)


def measure(effort: Effort) -> list[Result]:
    with ExitStack() as stack:
        lines = [Line(stack, client) for client in CLIENTS]

        def round_() -> dict[Target, tuple[float, float]]:
            taken = [[line.seconds() for line in lines] for _ in range(effort.samples(200))]
            ours_s, socket_s, library_s = (
                statistics.median(column) for column in zip(*taken, strict=True)
            )
            return {AGAINST_SOCKET: (ours_s, socket_s), AGAINST_IB_INSYNC: (ours_s, library_s)}

        return [*compare(round_, effort)]


class Line:
    """A tick server and the one client that hears it."""

    def __init__(self, stack: ExitStack, client: Callable[..., None]) -> None:
        self._server = TickServer()
        stack.callback(self._server.close)
        self._pipe: Connection = stack.enter_context(peers.peer(client, self._server.port))
        self._server.subscribed()
        self._cents = 0
        time.sleep(0.2)  # what the client still does after it has subscribed

    def seconds(self) -> float:
        """From before the bytes leave until the client's handler has them."""
        self._cents = (self._cents + 1) % 100
        peers.rest()
        while self._pipe.poll():
            self._pipe.recv()
        started_ns = time.monotonic_ns()
        self._server.say([250.0 + self._cents / 100])
        heard = peers.answer(self._pipe)
        heard_ns = heard[0] if isinstance(heard, tuple) else heard
        return float(heard_ns - started_ns) / 1e9
