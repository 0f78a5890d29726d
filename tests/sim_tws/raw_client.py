"""A client written from the protocol page alone: a socket, frames and fields, nothing shared."""

from __future__ import annotations

import socket
import struct
import time

DEADLINE_S = 8.0


class RawClient:
    """Speaks one version; `hear` collects messages as lists of text fields."""

    def __init__(self, port: int, version: str = "v157..176", client_id: int = 1) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self._held = b""
        self.heard: list[list[str]] = []
        self.socket.sendall(b"API\0" + _framed(version.encode()))
        self.version = 0
        self.client_id = client_id

    def shake_hands(self) -> int:
        """The server's version, from its two-field greeting."""
        fields = self._next()
        assert fields is not None, "the server closed instead of greeting"
        self.version = int(fields[0])
        return self.version

    def start(self) -> RawClient:
        """START_API; returns once account and next id are there."""
        self.shake_hands()
        self.say(71, 2, self.client_id, "")
        self.hear("15")
        self.hear("9")
        return self

    def say(self, *fields: object) -> None:
        self.say_bytes("".join(f"{field}\0" for field in fields).encode())

    def say_bytes(self, body: bytes) -> None:
        self.socket.sendall(_framed(body))

    def hear(self, message: str, **where: str) -> list[str]:
        """The next message of that number (`f2="7"`: whose field 2 reads 7)."""
        wanted = {int(key[1:]): value for key, value in where.items()}
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            fields = self._next()
            assert fields is not None, f"the server closed before message {message}"
            self.heard.append(fields)
            fits = all(fields[at] == value for at, value in wanted.items() if at < len(fields))
            if fields[0] == message and fits:
                return fields
        raise AssertionError(f"no message {message}")

    def closed(self) -> bool:
        """Reads on until the server closes."""
        try:
            while self._next() is not None:
                pass
        except (ConnectionError, TimeoutError) as gone:
            return not isinstance(gone, TimeoutError)
        return True

    def close(self) -> None:
        self.socket.close()

    def _next(self) -> list[str] | None:
        while len(self._held) < 4 or len(self._held) < 4 + self._length():
            data = self.socket.recv(65536)
            if not data:
                return None
            self._held += data
        end = 4 + self._length()
        body, self._held = self._held[4:end], self._held[end:]
        return body.decode("utf-8", "backslashreplace").split("\0")[:-1]

    def _length(self) -> int:
        return int(struct.unpack(">I", self._held[:4])[0])


def _framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


SMH = (0, "SMH", "STK", "", 0.0, "", "", "SMART", "", "USD", "", "")


def order_fields(order_id: int, version: int, **given: object) -> list[object]:
    """PLACE_ORDER for SMH as the official library lays it out: unset fields left empty."""
    get = given.get
    head = [3, order_id, *SMH, "", ""]
    main = [
        get("action", "BUY"), get("quantity", 100), get("kind", "MKT"), get("limit", ""),
        get("aux", ""), get("tif", "DAY"), get("oca", ""), get("account", ""), "", 0,
        get("ref", ""), get("transmit", 1), get("parent", 0), 0, 0, 0, get("trigger", 0),
        get("outside", 0), 0,
    ]  # fmt: skip
    extended = ["", 0.0, "", get("until", ""), "", "", "", "", "", 0, "", -1, get("oca_type", 0),
                "", "", 0, "", "", 0, 0, "", 0, "", "", "", "", "", 0]  # fmt: skip
    volatility = ["", "", "", "", 0, "", "", "", "", "", "", "", "", "", ""]
    tail = [0, "", "", 0, 0, "", "", get("what_if", 0), "", 0, 0, 0, 0]
    adjusted = ["", "1.7976931348623157e+308", "1.7976931348623157e+308", "", "", "", 0, "", "",
                "", "", "", "", "", "", 0, 0, 0, ""]  # fmt: skip
    gated = [
        "2147483647" if since in {158, 160} else ""
        for since in (158, 160, 162, 166, 169)
        if version >= since
    ]
    return [*head, *main, *extended, *volatility, *tail, *adjusted, *gated]
