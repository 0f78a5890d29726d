"""One API connection to TWS or IB Gateway, for ever: connect, watch, drop when frozen, reconnect.

The library is transport and decoder here. Its own start-up sync is not used: it only logs a
request that timed out and calls itself connected all the same. Whoever owns the connection asks
for what it needs after LinkUp and waits for TWS's End messages.

Each connection gets a fresh `IB`, so nothing survives from the last one; `prepare` is called with
it before a byte is sent, and is the place to replace `ib.wrapper` callbacks or subscribe to events.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ib_insync import IB

from common.clock import SECOND_NS, Clock
from common.messages import WORD_MAX
from common.settings import Settings
from common.tws.link_messages import (
    ORDER_ID_MAX,
    ClockCompared,
    LinkDown,
    LinkMessage,
    LinkUp,
    TwsError,
    Unread,
)

log = logging.getLogger(__name__)

Library: Any = IB  # the library is annotated in part only, so its objects are taken as they come

RECONNECT_S = (0.5, 1.0, 2.0, 5.0)
"""Host seconds between attempts, the last one for ever. IB holds an old session for a while."""

PROBE_S = 1.0
"""Host seconds without a byte from TWS until it is asked for a sign of life."""

SIGNS_OF_LIFE = ("reqManagedAccts", "reqIds")
"""Questions that TWS answers from memory, asked one after the other: of two kinds, so that a rule
that leaves one of them unanswered makes no living TWS a frozen one."""

CLOCK_QUESTION_S = 5.0
"""Host seconds between two questions after TWS's time: since build 10.16 it drops, without a word,
one that comes within a second of the last (users' reports), some Gateways one within four."""

COMPARISONS = 5

OFFSET_NEWS_S = 0.1
"""A clock offset is said again when it has moved by so much."""

START_PATIENCE_S = 4.0
"""Host seconds after our own start in which a TWS that starts beside us is not called missing."""

TWS_REQUESTS_PER_S = 45
"""What the library sends at most in a second before it queues; TWS cuts off at 50."""

TEXT_HEARD_MAX = 1000
"""Characters of TWS's words that are passed on: messages hold 2000, with our own around them."""

FRAME_BYTES_MAX = 4 * 1024 * 1024
"""Ten years of daily bars take a twentieth of it. The library would wait for whatever length TWS
announces, and keep all that comes meanwhile."""

ACCOUNTS_HEARD_MAX = 200
"""A financial advisor's login may have more; the one that is named is always among them."""

UNREAD_KINDS_MAX = 100
"""Kinds of unreadable messages that are told apart: TWS has no more."""

OFFSET_S_MAX = 1e9
"""A machine that starts in 1970 is farther off; it is as wrong."""

FIRST_REQUEST_ID = 1_500_000_000
"""Request ids start here, so that an error's id tells a request from an order."""


class TwsConnection:
    """Keeps one connection up. All methods belong to the event loop's thread."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        client_id: int,
        on_event: Callable[[LinkMessage], None],
        prepare: Callable[[Any], None],
        *,
        asks_the_time: bool = False,
    ) -> None:
        """`asks_the_time`: compares the clocks as well. Of a running system one connection alone
        does: nobody knows whether TWS counts such questions by connection or all together."""
        self._broker = settings.broker
        self._account = settings.account.id
        self._ports = _ports(settings)
        self._clock = clock
        self._client_id = client_id
        self._on_event = on_event
        self._prepare = prepare
        self._ended: asyncio.Event = asyncio.Event()
        self._end_reason = ""
        self._said_down = ""
        self._heard = asyncio.Event()
        self._heard_at_s = 0.0
        self._asks_the_time = asks_the_time
        self._time_asked_ns = 0
        self._offsets_s: deque[float] = deque(maxlen=COMPARISONS)
        self._said_offset_s: float | None = None
        self._sent_at: deque[float] = deque()
        self.ib: Any = Library()
        self._patient_until_s = time.monotonic() + START_PATIENCE_S
        self.connected = False
        """The handshake is complete and the socket is up."""

    async def run(self) -> None:
        """Connects and reconnects until cancelled; then the socket is closed, orders stay."""
        attempt = 0
        try:
            while True:
                if await self._connect():
                    attempt = 0
                    await self._watch()
                else:
                    attempt += 1
                await asyncio.sleep(RECONNECT_S[min(attempt, len(RECONNECT_S) - 1)])
        finally:
            self._close()

    @property
    def requests_last_s(self) -> int:
        """Messages sent in the last second of host time."""
        horizon = time.monotonic() - 1.0
        while self._sent_at and self._sent_at[0] < horizon:
            self._sent_at.popleft()
        return len(self._sent_at)

    @property
    def order_room(self) -> bool:
        """Whether a message sent now reaches the socket at once, not the library's queue."""
        return self.connected and self.requests_last_s < TWS_REQUESTS_PER_S - 1

    async def request_room(self) -> None:
        """Waits until a request may be sent and still leaves orders their share."""
        while self.requests_last_s >= self._broker.requests_per_s_max:
            await asyncio.sleep(0.02)

    async def _connect(self) -> bool:
        refused = 0
        for port in self._ports:
            try:
                await self._handshake(port)
            except ConnectionRefusedError:
                refused += 1
            except OSError as error:
                reason = self._end_reason or f"no API handshake ({error or type(error).__name__})"
                self._close()
                self._say_down(f"{self._broker.host}:{port}: {reason}", listening=True)
                return False
            else:
                return True
        if refused == len(self._ports) and time.monotonic() < self._patient_until_s:
            return False
        ports = ", ".join(str(port) for port in self._ports)
        self._say_down(
            f"nothing listens on {self._broker.host} port {ports}: start TWS or IB Gateway, enable "
            "its API socket, or set broker.port",
            listening=refused < len(self._ports),
        )
        return False

    async def _handshake(self, port: int) -> None:
        """One attempt on one port. Raises OSError or TimeoutError; LinkUp is said on success."""
        self._close()
        self._ended.clear()
        self._end_reason = ""
        ib = self.ib = Library()
        ib.client.decoder.logger = _Unread(self._on_event)
        ib.client.conn.hasData += lambda _data: self._bytes_came(ib)
        self._sent_at.clear()
        self._count_requests(ib)
        ib.wrapper.clientId = self._client_id
        ib.wrapper.currentTime = self._time_answered
        library_error = ib.wrapper.error
        next_order_id = 0

        def error(ref_id: int, code: int, text: str, advanced: str = "") -> None:
            self._on_event(TwsError(_as_code(ref_id), _as_code(code), text[:TEXT_HEARD_MAX]))
            if not self.connected and code == 326:
                self._end(f"client id {self._client_id} is in use by another program (326)")
            library_error(ref_id, code, text, advanced)

        def next_valid_id(order_id: int) -> None:
            nonlocal next_order_id
            if order_id <= ORDER_ID_MAX:
                next_order_id = max(next_order_id, order_id)

        ib.wrapper.error = error
        ib.wrapper.nextValidId = next_valid_id
        ib.client.apiError += lambda text: self._end(text) if ib is self.ib else None
        ib.disconnectedEvent += lambda: self._end("closed") if ib is self.ib else None
        self._prepare(ib)
        attempt = asyncio.ensure_future(
            ib.client.connectAsync(
                self._broker.host, port, self._client_id, self._broker.connect_timeout_s
            )
        )
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({attempt, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                raise ConnectionError(self._end_reason)
            attempt.result()
        finally:
            ended.cancel()
            attempt.cancel()
        ib.client.updateReqId(FIRST_REQUEST_ID)
        self.connected = True
        self._said_down = ""
        accounts = known_accounts(ib.client.getAccounts(), self._account)
        log.info("connected to port %d, server version %d", port, ib.client.serverVersion())
        self._on_event(LinkUp(port, _as_code(ib.client.serverVersion()), accounts, next_order_id))

    def _bytes_came(self, ib: Any) -> None:
        """A sign of life; but a stream whose next message would be endless can only be a broken
        one, and is given up."""
        if ib is self.ib:
            self._heard_at_s = time.monotonic()
            self._heard.set()
        held = ib.client._data
        announced = int.from_bytes(held[:4], "big") if len(held) >= 4 else 0
        if announced > FRAME_BYTES_MAX and ib is self.ib:
            self._end(f"TWS announced a message of {announced} bytes: the stream is broken")

    def _count_requests(self, ib: Any) -> None:
        send = ib.client.sendMsg

        def counted(text: str | None) -> None:
            if text:  # the library calls itself with None to empty its queue
                self._sent_at.append(time.monotonic())
            send(text)

        ib.client.sendMsg = counted

    async def _watch(self) -> None:
        """Until the connection ends, by itself or as frozen."""
        clocks = asyncio.ensure_future(self._compare_clocks())
        try:
            while not self._ended.is_set():
                quiet_s = time.monotonic() - self._heard_at_s
                if quiet_s < PROBE_S:
                    await self._pause(PROBE_S - quiet_s)
                elif not await self._alive() and not self._ended.is_set():
                    self._end(
                        f"TWS is frozen: no answer to two questions within "
                        f"{self._broker.frozen_after_s:g} s each"
                    )
        finally:
            clocks.cancel()
        self._close()
        self._say_down(self._end_reason or "the connection was closed", listening=False)

    async def _alive(self) -> bool:
        """Whether TWS says anything at all when it is asked twice."""
        for question in SIGNS_OF_LIFE:
            if self._ended.is_set():
                break
            self._heard.clear()
            arguments = (1,) if question == "reqIds" else ()
            getattr(self.ib.client, question)(*arguments)
            if await self._heard_within(self._broker.frozen_after_s):
                return True
        return False

    async def _compare_clocks(self) -> None:
        self._said_offset_s = None
        self._offsets_s.clear()
        while self._asks_the_time and not self._ended.is_set():
            self._time_asked_ns = self._clock.now_ns()
            self.ib.client.reqCurrentTime()
            await self._pause(CLOCK_QUESTION_S)

    def _time_answered(self, seconds: int) -> None:
        """Each counts for the newest question: so late an answer that it is not, makes our clock
        seem ahead, and the median forgets it."""
        heard_ns = self._clock.now_ns()
        self._offsets_s.append(clock_offset_s(self._time_asked_ns, heard_ns, seconds))
        median_s = statistics.median(self._offsets_s)
        offset_s = round(max(-OFFSET_S_MAX, min(OFFSET_S_MAX, median_s)), 3)
        said_s = self._said_offset_s
        if said_s is None or abs(offset_s - said_s) >= OFFSET_NEWS_S:
            self._said_offset_s = offset_s
            self._on_event(ClockCompared(heard_ns, offset_s))

    async def _heard_within(self, timeout_s: float) -> bool:
        heard = asyncio.ensure_future(self._heard.wait())
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait(
                {heard, ended}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            return self._heard.is_set()  # even where the time ran out while we were held up
        finally:
            heard.cancel()
            ended.cancel()

    async def _pause(self, pause_s: float) -> None:
        """Sleeps, or returns at once when the connection ends."""
        try:
            await asyncio.wait_for(self._ended.wait(), pause_s)
        except TimeoutError:
            return

    def _end(self, reason: str) -> None:
        self._end_reason = self._end_reason or reason
        self.connected = False
        self._ended.set()

    def _close(self) -> None:
        """Lets go of the socket at once, even when TWS has stopped reading it."""
        self.connected = False
        transport = self.ib.client.conn.transport
        if transport is not None:
            transport.abort()
        self.ib.client.reset()
        self.ib.wrapper.connectionClosed()  # whoever awaits an answer gets a ConnectionError

    def _say_down(self, reason: str, *, listening: bool) -> None:
        if reason != self._said_down:
            self._said_down = reason
            log.warning("not connected: %s", reason)
            self._on_event(LinkDown(reason[:TEXT_HEARD_MAX], listening))


class _Unread:
    """The library's decoder swallows what it cannot read and only logs it: this is that log.

    Said once for each kind of message and connection, however often it comes.
    """

    def __init__(self, on_event: Callable[[LinkMessage], None]) -> None:
        self._on_event = on_event
        self._said: set[str] = set()

    def exception(self, text: str) -> None:
        kind = text.partition(",")[0][:WORD_MAX]  # up to the message's number or name
        if kind not in self._said and len(self._said) < UNREAD_KINDS_MAX:
            self._said.add(kind)
            log.warning("TWS said what cannot be read: %s", text[:TEXT_HEARD_MAX], exc_info=True)
            self._on_event(Unread(kind))


def known_accounts(listed: Sequence[str], named: str) -> tuple[str, ...]:
    """The login's accounts, the one that the settings name first."""
    ordered = sorted(listed, key=lambda account: account != named)
    return tuple(account[:WORD_MAX] for account in ordered[:ACCOUNTS_HEARD_MAX])


def clock_offset_s(sent_ns: int, heard_ns: int, answer_seconds: int) -> float:
    """Our clock less TWS's in s, from one question; what the way there and back explains is 0.

    TWS answers in whole seconds, so one comparison is off by up to half a second.
    """
    middle_s = ((sent_ns + heard_ns) / 2 - answer_seconds * SECOND_NS) / SECOND_NS - 0.5
    slack_s = (heard_ns - sent_ns) / 2 / SECOND_NS
    if abs(middle_s) <= slack_s:
        return 0.0
    return middle_s - slack_s if middle_s > 0 else middle_s + slack_s


def _as_code(number: int) -> int:
    """An error's code or reference; -1, which names nothing, for what has more than 32 bits."""
    return number if abs(number) <= 1 << 31 else -1


def _ports(settings: Settings) -> tuple[int, ...]:
    if settings.broker.port:
        return (settings.broker.port,)
    paper = settings.account.mode == "paper"
    return settings.broker.paper_ports if paper else settings.broker.live_ports
