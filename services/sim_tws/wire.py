"""Frames and fields of the TWS socket.

A frame is a big-endian u32 length and that many bytes; the bytes are fields, each ended by NUL,
the first one the message number in ASCII. Absent numbers come as an empty field, as the largest
double or as the largest 32-bit integer, depending on the client library; all three read as None.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator

UNSET_FLOAT = 1.7976931348623157e308
UNSET_INT = 2147483647
UNSET_FLOAT_TEXT = "1.7976931348623157E308"
FRAME_BYTES_MAX = 256 * 1024  # the largest honest request is an order, about 1 kB
GREETING = b"API\0"

_LENGTH = struct.Struct(">I")
_INTEGER = re.compile(r"-?[0-9]{1,40}")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?", re.ASCII)
_INT64_MAX = 2**63 - 1

Value = str | int | float | None


class ProtocolError(Exception):
    """The bytes are no frame: nothing after them can be trusted, the connection ends."""


class FieldError(Exception):
    """A frame whose fields do not fit its message: an error reply, the connection stays."""


class FrameReader:
    """Cuts the incoming byte stream of one connection into payloads; holds one frame at most."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._greeted = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields each complete payload; raises ProtocolError on a wrong greeting or length."""
        self._held += data
        if not self._greeted:
            if not GREETING.startswith(bytes(self._held[: len(GREETING)])):
                raise ProtocolError("not an API client")
            if len(self._held) < len(GREETING):
                return
            del self._held[: len(GREETING)]
            self._greeted = True
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            if length > FRAME_BYTES_MAX:
                raise ProtocolError(f"frame of {length} bytes, at most {FRAME_BYTES_MAX}")
            end = _LENGTH.size + length
            if len(self._held) < end:
                return
            payload = bytes(self._held[_LENGTH.size : end])
            del self._held[:end]
            yield payload


class Fields:
    """Reads the fields of one payload from left to right."""

    def __init__(self, payload: bytes) -> None:
        texts = payload.decode("utf-8", "backslashreplace").split("\0")
        if texts[-1] == "":
            texts.pop()
        self._texts = texts
        self._next = 0

    @property
    def left(self) -> int:
        return len(self._texts) - self._next

    def text(self) -> str:
        if self._next >= len(self._texts):
            raise FieldError(f"message ends after {self._next} fields")
        value = self._texts[self._next]
        self._next += 1
        return value

    def skip(self, count: int) -> None:
        for _ in range(count):
            self.text()

    def number(self) -> float | None:
        """A price or amount; None when unset."""
        text = self.text()
        if text == "":
            return None
        if text == "Infinite":
            return math.inf
        value = _as_float(text)
        if value is None:
            raise FieldError(f"'{text[:40]}' is not a finite number")
        return None if value in {UNSET_FLOAT, UNSET_INT} else value

    def whole(self) -> int | None:
        """An integer; None when unset."""
        text = self.text()
        if text == "":
            return None
        if _INTEGER.fullmatch(text):
            value = int(text)
        else:
            number = _as_float(text)
            if number == UNSET_FLOAT:
                return None
            if number is None or not number.is_integer():
                raise FieldError(f"'{text[:40]}' is not an integer")
            value = int(number)
        if abs(value) > _INT64_MAX:
            raise FieldError(f"'{text[:40]}' is out of range")
        return None if value == UNSET_INT else value

    def integer(self, default: int = 0) -> int:
        value = self.whole()
        return default if value is None else value

    def flag(self) -> bool:
        text = self.text().lower()
        if text in {"", "0", "false"}:
            return False
        if text in {"1", "true"}:
            return True
        raise FieldError(f"'{text[:40]}' is not 0 or 1")

    def count(self) -> int:
        """How many groups follow; never more than fields are left."""
        value = self.integer()
        if not 0 <= value <= self.left:
            raise FieldError(f"a group of {value} with {self.left} fields left")
        return value


def payload(*fields: Value | bool) -> bytes:
    """The bytes of one message: each field ended by NUL."""
    return b"".join(_text(field).encode() + b"\0" for field in fields)


def frame(body: bytes) -> bytes:
    return _LENGTH.pack(len(body)) + body


def message_id(body: bytes) -> int:
    """The message number that opens a payload; -1 where there is none."""
    head = body.split(b"\0", 1)[0]
    return int(head) if head.isdigit() and len(head) < 6 else -1


def _text(field: Value | bool) -> str:
    if field is None:
        return ""
    if isinstance(field, str):
        return field.replace("\0", "")
    if isinstance(field, bool):
        return "1" if field else "0"
    if isinstance(field, int):
        return str(field)
    return UNSET_FLOAT_TEXT if field == UNSET_FLOAT else repr(field)


def _as_float(text: str) -> float | None:
    if not _DECIMAL.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None
