"""One client's connection: handshake, throttle, what it subscribed to, and its outgoing frames.

Requests go to the desks; this file only moves bytes and keeps what belongs to one socket.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from services.sim_tws import replies, wire
from services.sim_tws.request_parser import BadRequestError, parse
from services.sim_tws.requests import Request, StartApi
from services.sim_tws.subscriptions import Subscriptions
from services.sim_tws.switches import Switches
from services.sim_tws.wire import FrameReader, ProtocolError

VERSION_MIN = 157
VERSION_MAX = 176
REQUESTS_PER_S_MAX = 50
VIOLATIONS_MAX = 3
OUTGOING_BYTES_MAX = 64 * 1024 * 1024  # a client that reads nothing is dropped at this backlog
QUEUED_REQUESTS_MAX = 1000  # with paced requests: beyond it the connection ends
STATUS_MESSAGES = frozenset({3, 5})


class Host(Protocol):
    """What a connection needs of the server behind it."""

    switches: Switches
    log: Callable[[str], None]

    def opened(self, session: Session) -> None: ...
    def closed(self, session: Session) -> None: ...
    def record(self, session: Session, direction: str, body: bytes) -> None: ...
    def connect_time_text(self) -> str: ...
    def start_client(self, session: Session, client_id: int) -> None: ...
    def answer(self, session: Session, request: Request) -> None: ...


class Session(asyncio.Protocol):
    """One socket; `number` counts the connections of this server's life."""

    def __init__(self, server: Host, number: int) -> None:
        self.server = server
        self.number = number
        self.version = 0
        self.client_id: int | None = None
        self.subscriptions = Subscriptions()
        self.binds_manual_orders = False
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._outgoing: list[bytes] = []
        self._flush_due = False
        self._cut_off = False
        self._request_times: deque[float] = deque()
        self._violations = 0
        self._paced: deque[bytes] = deque()
        self._held_status: bytes | None = None
        self._loop = asyncio.get_running_loop()
        self._last_due_s = 0.0

    @property
    def started(self) -> bool:
        return self.client_id is not None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.server.opened(self)
        if self.server.switches.frozen:
            self.freeze()

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                self._received(body)
        except ProtocolError as wrong:
            self.server.log(f"connection {self.number} dropped: {wrong}")
            self.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self.server.closed(self)

    # Incoming

    def _received(self, body: bytes) -> None:
        self.server.record(self, "in", body)
        if not self.version:
            self._shake_hands(body)
        elif self._throttled(body):
            return
        else:
            self._handle(body)

    def _shake_hands(self, body: bytes) -> None:
        low, high = _version_range(body)
        if high < VERSION_MIN or low > VERSION_MAX:
            raise ProtocolError(f"client speaks versions {low}..{high}")
        self.version = min(high, VERSION_MAX)
        self.send(replies.handshake(self.version, self.server.connect_time_text()))

    def _throttled(self, body: bytes) -> bool:
        """More than 50 requests in a second: refused (100), or queued when so switched."""
        now_s = self._loop.time()
        times = self._request_times
        while times and now_s - times[0] > 1.0:
            times.popleft()
        if len(times) < REQUESTS_PER_S_MAX and not self._paced:
            times.append(now_s)
            return False
        if self.server.switches.pace_requests:
            if len(self._paced) >= QUEUED_REQUESTS_MAX:
                raise ProtocolError("too many queued requests")
            self._paced.append(body)
            if len(self._paced) == 1:
                self._loop.call_later(1 / REQUESTS_PER_S_MAX, self._handle_paced)
            return True
        self._violations += 1
        self.send(
            replies.error(
                replies.NO_ID,
                100,
                "Max rate of messages per second has been exceeded:"
                f"max={REQUESTS_PER_S_MAX} rec={len(times) + 1} ({self._violations})",
                self.version,
            )
        )
        if self._violations >= VIOLATIONS_MAX:
            raise ProtocolError("three times over the message rate")
        times.clear()
        return True

    def _handle_paced(self) -> None:
        if self._paced and self._transport is not None:
            self._handle(self._paced.popleft())
            if self._paced:
                self._loop.call_later(1 / REQUESTS_PER_S_MAX, self._handle_paced)

    def _handle(self, body: bytes) -> None:
        try:
            request = parse(body, self.version)
        except BadRequestError as wrong:
            code = 320 if wrong.message < 0 else 321
            lead = "Error reading request" if code == 320 else "Error validating request"
            self.error(wrong.req_id, code, f"{lead}.-'bN' : cause - {wrong.reason}")
            return
        self._answer(request)

    def _answer(self, request: Request) -> None:
        if isinstance(request, StartApi):
            if not self.started:
                self.server.start_client(self, request.client_id)
        elif self.started:
            self.server.answer(self, request)
        else:
            self.error(replies.NO_ID, 503, "The API has not been started.")

    # Outgoing

    def error(self, req_id: int, code: int, text: str) -> None:
        self.send(replies.error(req_id, code, text, self.version))

    def send(self, body: bytes) -> None:
        """Queues one payload, with whatever the faults make of it; all leave as one chunk."""
        switches = self.server.switches
        message = wire.message_id(body) if self.version and self.started else -1
        if message in switches.withheld:
            return
        late_s = switches.delayed_s.get(message, 0.0) + switches.slow_s
        if late_s > 0 or self._last_due_s > self._loop.time():
            self._later(late_s, lambda: self._queue(body))
        else:
            self._queue_status(body) if message in STATUS_MESSAGES else self._queue(body)

    def freeze(self) -> None:
        """As a stopped process: nothing is read, nothing leaves, nothing is lost."""
        if self._transport is not None:
            self._transport.pause_reading()

    def cut_off(self, for_s: float) -> None:
        """Nothing passes any more and the socket stays; after `for_s` the kernel gives it up."""
        self._cut_off = True
        self.freeze()
        self._loop.call_later(for_s, self.abort)

    def thaw(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()
            self.flush()

    def flush(self) -> None:
        self._flush_due = False
        if self.server.switches.frozen:
            return
        if self._outgoing and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._outgoing))
            if self._transport.get_write_buffer_size() > OUTGOING_BYTES_MAX:
                self.server.log(f"connection {self.number} dropped: it does not read")
                self._transport.abort()
        self._outgoing.clear()

    def close(self) -> None:
        """Flushes and closes."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """As when the process dies."""
        if self._transport is not None:
            self._transport.abort()

    def _later(self, late_s: float, act: Callable[[], None]) -> None:
        """Lateness that keeps the order of a slow line."""
        slow = self.server.switches.slow_s > 0
        due_s = self._loop.time() + late_s
        if slow:
            due_s = max(due_s, self._last_due_s)
            self._last_due_s = due_s
        self._loop.call_at(due_s, act)

    def _queue_status(self, body: bytes) -> None:
        switches = self.server.switches
        if switches.reorder_status:
            if self._held_status is None:
                self._held_status = body
                self._loop.call_later(0.05, self._release_status)
                return
            self._queue(body)
            self._release_status()
        else:
            self._queue(body)
        if switches.duplicate_status:
            self._queue(body)

    def _release_status(self) -> None:
        if self._held_status is not None:
            body, self._held_status = self._held_status, None
            self._queue(body)

    def _queue(self, body: bytes) -> None:
        if self._transport is None or self._cut_off:
            return
        self.server.record(self, "out", body)
        self._outgoing.append(wire.frame(body))
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self.flush)


def _version_range(body: bytes) -> tuple[int, int]:
    """`v157..176` or `v176`, options after a space ignored."""
    text = body.rstrip(b"\0").decode("ascii", "replace").split(" ")[0]
    low, dots, high = text.removeprefix("v").partition("..")
    words = (low, high) if dots else (low, low)
    if not text.startswith("v") or not all(w.isdigit() and len(w) < 6 for w in words):
        raise ProtocolError("no version range in the greeting")
    return int(words[0]), int(words[1])
