"""A TWS that knows one thing, to send ticks: the least that a client's handshake asks for.

The simulated TWS publishes at most 20 times a second; here the bytes of a tick leave when told.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

from services.sim_tws import replies
from services.sim_tws.wire import Fields, FrameReader, frame, message_id

LAST = 4  # IB's tick type
VERSION = 176
SUBSCRIBED_S_MAX = 20.0


class TickServer:
    """Serves one client on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._client: socket.socket | None = None
        self._req_id = 0
        self._subscribed = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def subscribed(self) -> None:
        """Returns once the client has subscribed; TimeoutError."""
        if not self._subscribed.wait(SUBSCRIBED_S_MAX):
            raise TimeoutError("the client did not subscribe")

    def say(self, prices_usd: Iterable[float]) -> None:
        """Sends a last-price tick for each, as one piece."""
        self.send(self.bytes_of(prices_usd))

    def send(self, data: bytes) -> None:
        assert self._client is not None, "no client has connected yet"
        self._client.sendall(data)

    def bytes_of(self, prices_usd: Iterable[float]) -> bytes:
        """The ticks as they stand on the wire for the client's subscription."""
        return b"".join(
            frame(replies.tick_price(self._req_id, LAST, price, 100)) for price in prices_usd
        )

    def close(self) -> None:
        with suppress(OSError):  # nobody waits in accept any more
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._client is not None:
            with suppress(OSError):  # it has hung up already
                self._client.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _serve(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # closed before anyone came
        self._client = client
        with client, suppress(OSError):  # a client that is killed ends the measurement
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = FrameReader()
            while data := client.recv(65_536):
                for body in reader.feed(data):
                    self._answer(body)

    def _answer(self, body: bytes) -> None:
        if body.startswith(b"v"):
            self._reply(replies.handshake(VERSION, "20250102 09:30:00 EST"))
            return
        match message_id(body):
            case 71:  # START_API
                self._reply(replies.managed_accounts(["DU0000001"]))
                self._reply(replies.next_valid_id(1))
            case 49:  # current time
                self._reply(replies.current_time(int(time.time())))
            case 1:  # market data
                fields = Fields(body)
                fields.skip(2)
                self._req_id = fields.integer()
                self._subscribed.set()

    def _reply(self, body: bytes) -> None:
        self.send(frame(body))
