"""Targets `tws-gateway` and `tws-feed`: a TWS that lies to our real edges, over TCP.

A proxy stands between the unmodified client library and the simulated TWS. It passes on what is
true, keeps copies of it, and says mutated copies in TWS's name. Whatever it says: no process ends,
no order leaves that nobody asked for, the journal can be read back, and once the lies have stopped
the service is on its feet again.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from common.clock import Clock
from common.messages import Accepted, BrokerLink, Message
from common.settings import Broker as BrokerSettings
from common.settings import Limits, Settings
from common.tws import messages as tws
from tests.fuzz import mutations, restart
from tests.fuzz.target import Broken, Tally, Target
from tests.tws.feed_world import Feed, market_clock
from tests.tws.gateway_world import Gateway
from tests.tws.test_gateway_on_tws import START_NS, Tws

BATCH = 40
DEADLINE_S = 40.0
KEPT_PER_MESSAGE = 30
LIE_EVERY = 25  # batches: a stream that lies about a length has to be given up
PLACE_ORDER = b"3"
QUICK = Limits(wire_wait_s=5.0, snapshot_gap_s=2.0, acknowledge_s=1.0)


class Proxy:
    """One client at a time, one simulated TWS behind it."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.heard: dict[bytes, list[bytes]] = {}
        """By message number, what TWS really said."""
        self.placed: Counter[int] = Counter()
        """Order ids in the PLACE_ORDER messages that left the client."""
        self.port = 0
        self.connections = 0
        self._client: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def say(self, data: bytes) -> None:
        """In TWS's name, to whoever is connected; waits for somebody to be."""
        end_s = time.monotonic() + DEADLINE_S
        while self._client is None or self._client.is_closing():
            if time.monotonic() > end_s:
                raise Broken("the service did not connect again")
            await asyncio.sleep(0.01)
        with suppress(ConnectionError):
            self._client.write(data)
            await self._client.drain()

    def hang_up(self) -> None:
        if self._client is not None:
            self._client.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        theirs, ours = await asyncio.open_connection("127.0.0.1", self.upstream)
        self._client = writer
        up = asyncio.ensure_future(self._pass_up(reader, ours))
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._pass_down(theirs, writer)
        finally:
            up.cancel()
            for end in (writer, ours):
                end.close()
            self._tasks.discard(task)

    async def _pass_up(self, reader: asyncio.StreamReader, ours: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            ours.write(await reader.readexactly(4))
            while True:
                body = await _frame(reader)
                fields = body.split(b"\0")
                if fields[0] == PLACE_ORDER:
                    self.placed[int(fields[1])] += 1
                ours.write(mutations.framed(body))
        ours.close()

    async def _pass_down(self, theirs: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = True
        while True:
            body = await _frame(theirs)
            if not greeting:
                kept = self.heard.setdefault(body.split(b"\0", 1)[0], [])
                if len(kept) < KEPT_PER_MESSAGE and body not in kept:
                    kept.append(body)
            greeting = False
            writer.write(mutations.framed(body))
            await writer.drain()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    return await reader.readexactly(length)


Flood = Callable[[Proxy, Callable[[], None]], Awaitable[None]]


def flooded(rng: random.Random, messages: int) -> tuple[Flood, Tally]:
    """Says `messages` mutated frames, batch by batch; `beat` runs after each batch."""
    tally = Tally()

    async def flood(proxy: Proxy, beat: Callable[[], None]) -> None:
        left = messages
        while left > 0:
            numbers = sorted(proxy.heard)
            frames = []
            for _ in range(min(BATCH, left)):
                body = rng.choice(proxy.heard[rng.choice(numbers)])
                true = rng.random() < 0.1
                tally.accepted += true
                tally.rejected += not true
                frames.append(mutations.framed(body if true else mutations.fields(rng, body)))
            lie = rng.randrange(LIE_EVERY) == 0
            await proxy.say(mutations.spliced(rng, frames) if lie else b"".join(frames))
            left -= len(frames)
            if lie and rng.random() < 0.7:
                proxy.hang_up()  # else the service itself must give the stream up
            for _ in range(5):
                await asyncio.sleep(0)
            beat()

    return flood, tally


# --- the order gateway -------------------------------------------------------------------------


async def _gateway(rng: random.Random, messages: int, folder: Path, clock: Clock) -> Tally:
    server = Tws(clock)
    await server.start()
    proxy = Proxy(server.port)
    await proxy.start()
    broker = BrokerSettings(
        port=proxy.port, connect_timeout_s=2.0, frozen_after_s=1.0, request_timeout_s=1.0
    )
    gateway = Gateway(Settings(broker=broker, limits=QUICK), clock, folder)
    flood, tally = flooded(rng, messages)
    try:
        await gateway.start()
        await gateway.until_link("ready")
        await gateway.until(lambda: gateway.state.price_usd, "a price of its own")
        gateway.preview(1000)
        await gateway.until(lambda: gateway.state.preview is None, "a what-if")
        entry = gateway.order("ENTRY", 1000)
        assert isinstance(gateway.submit(entry), Accepted)
        await gateway.until(lambda: gateway.state.held_proven == 1000, "a position")
        resting = gateway.order("EXIT", 1000, order_type="LMT", limit_usd=400.0)
        assert isinstance(gateway.submit(resting), Accepted)
        await gateway.until(lambda: gateway.status(resting) == "Submitted", "a resting order")
        await flood(proxy, gateway.engine.tick)
        proxy.hang_up()
        said = len(gateway.said)
        await gateway.until(
            # a handshake that names a wrong account locks until a person unlocks
            lambda: gateway.state.mode == "LOCKED" or _ready_again(gateway.said[said:]),
            "the link to be ready again",
        )
        _asked_for(gateway, proxy, {entry.intent_id, resting.intent_id})
        restart.check(gateway.engine, folder / "journal")
    finally:
        await gateway.stop()
        await proxy.stop()
        await server.stop()
    return tally


def _ready_again(said: list[Message]) -> bool:
    return any(isinstance(fact, BrokerLink) and fact.state == "ready" for fact in said)


def _asked_for(gateway: Gateway, proxy: Proxy, intents: set[str]) -> None:
    """Every order on the wire stands behind an effect, every effect behind somebody's wish."""
    sent: Counter[int] = Counter()
    for effect in gateway.effects:
        if isinstance(effect, tws.SendOrder) and effect.order.intent_id not in intents:
            raise Broken(f"nobody asked for {effect}")
        if isinstance(effect, tws.SendOrder | tws.AskPreview):
            sent[effect.order_id] += 1
    if proxy.placed - sent:
        raise Broken(f"orders {proxy.placed} left for {sent}")


# --- the market feed ---------------------------------------------------------------------------


class GuardedFeed(Feed):
    """As the service does: the library would swallow what the engine raises, so it is kept."""

    failure: BaseException | None = None

    def _hear(self, message: Message) -> None:
        try:
            super()._hear(message)
        except Exception as error:  # noqa: BLE001 - raised again after the flood
            self.failure = self.failure or error


async def _feed(rng: random.Random, messages: int, folder: Path, clock: Clock) -> Tally:
    server = Tws(clock)
    await server.start()
    proxy = Proxy(server.port)
    await proxy.start()
    broker = BrokerSettings(
        port=proxy.port, connect_timeout_s=2.0, frozen_after_s=1.0, request_timeout_s=2.0
    )
    feed = GuardedFeed(Settings(broker=broker), clock, folder)
    flood, tally = flooded(rng, messages)
    try:
        feed.engine.restore()
        await feed.edge.start()
        await feed.until(lambda: not feed.engine.unready(), "a feed that is ready")
        await flood(proxy, feed.engine.tick)
        if feed.failure is not None:
            raise Broken(f"the feed raised {feed.failure!r}") from feed.failure
        before = proxy.connections
        proxy.hang_up()
        await feed.until(
            lambda: proxy.connections > before and not feed.engine.unready(), "readiness again"
        )
        if proxy.placed:
            raise Broken(f"the data connection sent orders: {proxy.placed}")
        restart.check(feed.engine, folder / "journal")
    finally:
        await feed.edge.stop()
        await proxy.stop()
        await server.stop()
    return tally


Play = Callable[[random.Random, int, Path, Clock], Awaitable[Tally]]


def _episode(play: Play) -> Callable[[random.Random, int, Path], Tally]:
    def episode(rng: random.Random, messages: int, folder: Path) -> Tally:
        async def run(clock: Clock) -> Tally:
            return await play(rng, messages, folder, clock)

        with market_clock(folder, START_NS) as clock:
            try:
                return asyncio.run(run(clock.reader))
            except SystemExit as ended:
                raise Broken(f"the process ended: {ended.__context__!r}") from ended

    return episode


TARGETS = (
    Target("tws-gateway", "TWS lies to the order edge", _episode(_gateway), 2000, 0.15),
    Target("tws-feed", "TWS lies to the data edge", _episode(_feed), 2000, 0.15),
)
