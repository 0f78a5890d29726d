"""Processes that hear a TickServer: by a blocking socket, by ib_insync as it comes, by our edge."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from services.sim_tws.wire import frame, payload

CLIENT_ID = 2
SETTLE_S = 0.2  # the feed's loop syncs its journal so often


def hear_on_socket(pipe: Connection, port: int) -> None:
    """recv, cut the frame, read the price; tells when."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b"API\0" + frame(b"v100..176"))
    connection.recv(65_536)
    connection.sendall(frame(payload(71, 2, CLIENT_ID, "")) + frame(payload(1, 11, 1)))
    connection.recv(65_536)
    while data := connection.recv(65_536):
        (length,) = struct.unpack_from(">I", data)
        fields = data[4 : 4 + length].split(b"\0")
        if fields[0] == b"1" and float(fields[4]) > 0:
            pipe.send(time.monotonic_ns())


def hear_by_ib_insync(pipe: Connection, port: int) -> None:
    """The unmodified library on stock asyncio; tells when each chunk's tickers are handed over and
    how many ticks they carry."""

    def heard(tickers: set[Any]) -> None:
        pipe.send((time.monotonic_ns(), sum(len(ticker.ticks) for ticker in tickers)))

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    from ib_insync import IB, Stock  # it binds to the loop that is current

    ib = IB()
    ib.pendingTickersEvent += heard
    loop.run_until_complete(ib.client.connectAsync("127.0.0.1", port, CLIENT_ID, 10))
    ib.reqMktData(Stock("SMH", "SMART", "USD"))
    loop.run_forever()


def hear_by_our_edge(pipe: Connection, port: int) -> None:
    """The market feed's edge on uvloop; tells when a chunk's ticks reach its decider."""
    from common.tws.market_messages import RawTicks

    def hear(message: Any) -> None:
        if isinstance(message, RawTicks):
            pipe.send((time.monotonic_ns(), len(message.ticks)))

    _run_edge(port, lambda _settings: hear)


def feed(_pipe: Connection, port: int, run_dir: Path) -> None:
    """The market feed's edge, decider, journal and bus: each tick that is a price is published."""

    def service(settings: Any) -> Callable[[Any], None]:
        from common.bus import Bus
        from common.clock import WallClock, host_ns
        from common.core import quotes
        from common.engine import Engine
        from common.journal import Journal

        bus = Bus("market_feed", run_dir)
        outlet = _OutletWithoutEdge(bus)
        engine = Engine(
            "market_feed", quotes, settings, WallClock(), host_ns,
            Journal(run_dir / "var/journal/market_feed"), outlet, "bench",
        )  # fmt: skip
        engine.restore()
        loop = asyncio.get_running_loop()

        def settle() -> None:
            engine.settle()
            loop.call_later(SETTLE_S, settle)

        settle()
        return lambda message: engine.hear_local(message, "tws")

    _run_edge(port, service)


class _OutletWithoutEdge:
    """The bus alone: the subscription is made by hand, so no calendar and no history is read."""

    def __init__(self, bus: Any) -> None:
        self.say, self.ask, self.answer = bus.say, bus.ask, bus.answer

    def perform(self, effect: Any) -> None: ...


def _run_edge(port: int, hearer: Callable[[Any], Callable[[Any], None]]) -> None:
    """Connects the real edge, subscribes, and hands all it hears to what `hearer` returns."""
    import uvloop

    os.environ["TRADER__BROKER__PORT"] = str(port)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    from common import settings as settings_file
    from common.clock import WallClock
    from common.tws.link_messages import LinkUp
    from common.tws.market import MarketData
    from common.tws.market_messages import Subscribe

    settings = settings_file.load()

    async def run() -> None:
        def hear(message: Any) -> None:
            handle(message)
            if isinstance(message, LinkUp):
                edge.perform(Subscribe(symbol="SMH", live=True))

        edge = MarketData(settings, WallClock(), hear)
        handle = hearer(settings)
        await edge.start()
        await asyncio.Event().wait()

    loop.run_until_complete(run())
