"""Valid bytes made hostile: fields, MessagePack values and plain bytes. Seeded, never the clock."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import Any

import msgpack

FRAME_LENGTHS = (0, 1, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 24, 300_000)
"""What a lying length prefix says: nothing, too little, negative, endless."""

WORDS: tuple[bytes, ...] = (
    b"", b"0", b"-0", b"1", b"-1", b"2", b"7", b"0.5", b"-5", b"nan", b"NaN", b"inf", b"-inf",
    b"Infinite", b"1e308", b"1.7976931348623157E308", b"1.8e308", b"-1.8e308", b"1e400", b"5e-324",
    b"1e13", b"99999999", b"2147483647", b"-2147483648", b"2147483648", b"4294967296",
    b"4611686018427387905", b"9223372036854775807", b"9223372036854775808",
    b"-9223372036854775809", b"18446744073709551616", b"1" * 30, b"9" * 400, b"1" * 4400, b"--1",
    b"0x10", b"1_000", b"1,000", "٣".encode(), b"\xff\xfe", b"\xc3(", b"\xed\xa0\x80", b"\x7f\x01",
    b"true", b"False", b"None", b"null", b"SMH", b"VIX", b"BUY", b"SELL", b"HOLD", b"STK", b"USD",
    b"EUR", b"MKT", b"LMT", b"Filled", b"Cancelled", b"Inactive", b"Submitted", b"DU1234567",
    b"U999", b"NetLiquidation", b"AccountReady", b"20251399 99:99:99 US/Eastern", b"00010101",
    b"99991231 23:59:59 UTC", b"20260302 09:30:00 Mars/Base", b"A" * 5000, b"../../etc/passwd",
    b"%s%n{}", b"\n\r\t",
)  # fmt: skip
"""Field texts: the ways TWS leaves a number out, and the ways to be wrong."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31 - 1, 2**31, 2**62, 2**62 + 1, 2**63 - 1, 2**64 - 1, -(2**63),
    0.0, -0.0, 1.5, -1.0, 1e13, 1.8e307, 5e-324, float("nan"), float("inf"), float("-inf"), "",
    "x", "x" * 81, "x" * 2001, "\u0663", "\x00", "2026-03-03", "9999-12-31", "20260303-ENTRY-1",
    "ACTIVE", "LOCKED", "BUY", "ENTRY", b"", b"\xff", [], [[]], {}, {"a": 1}, [1, 2, 3],
    msgpack.ExtType(5, b"x"), msgpack.Timestamp(1, 2),
)  # fmt: skip
"""MessagePack values of every kind, at and beyond the bounds."""


def framed(body: bytes) -> bytes:
    """A TWS frame: big-endian u32 length, then the fields."""
    return struct.pack(">I", len(body)) + body


def fields(rng: random.Random, body: bytes) -> bytes:
    """A message of NUL-ended fields, changed in one to three places; its number mostly stays."""
    parts = body.split(b"\0")[:-1]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(0 if rng.random() < 0.05 else min(1, len(parts)), len(parts) + 1)
        _change_field(rng, parts, at)
    end = b"" if rng.random() < 0.02 else b"\0"
    return b"\0".join(parts) + end


def _change_field(rng: random.Random, parts: list[bytes], at: int) -> None:
    kind = rng.randrange(12)
    if kind < 6 and at < len(parts):
        parts[at] = word(rng)
    elif kind == 6:
        del parts[at : at + rng.randrange(1, 4)]
    elif kind == 7:
        parts[at:at] = parts[at : at + 3]
    elif kind == 8:
        del parts[at:]
    elif kind == 9:
        parts[at:at] = [word(rng) for _ in range(rng.randrange(1, 9))]
    elif kind == 10 and at < len(parts):
        parts[at] = damaged(rng, parts[at])
    elif len(parts) > 2:
        other = rng.randrange(1, len(parts))
        at = min(at, len(parts) - 1)
        parts[at], parts[other] = parts[other], parts[at]


def word(rng: random.Random) -> bytes:
    """A hostile field; now and then one that was never sent before."""
    if rng.random() < 0.1:
        return b"%d" % rng.randrange(-(10**12), 10**12)
    return rng.choice(WORDS)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Plain bytes with flipped bits, a cut, a gap, a repeat or garbage."""
    kind, at = rng.randrange(5), rng.randrange(len(data) + 1)
    if kind == 0 and data:
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if kind == 1:
        return data[:at]
    length = rng.randrange(1, 17)
    if kind == 2:
        return data[:at] + data[at + length :]
    if kind == 3:
        return data[:at] + data[at : at + length] + data[at:]
    return data[:at] + rng.randbytes(length) + data[at:]


def values(rng: random.Random, value: Any) -> Any:
    """A MessagePack value (lists within lists) with one place in it changed."""
    if isinstance(value, list) and value and rng.random() < 0.9:
        changed = list(value)
        at = rng.randrange(len(changed))
        kind = rng.randrange(10)
        if kind < 7:
            changed[at] = values(rng, changed[at])
        elif kind == 7:
            del changed[at]
        elif kind == 8:
            changed.insert(at, rng.choice(VALUES))
        else:
            changed[at : at + 1] = [changed[at]] * rng.randrange(2, 40)
        return changed
    if rng.random() < 0.05:
        return _nested(rng.randrange(2, 600))
    return rng.choice(VALUES)


def packed(rng: random.Random, value: Any) -> bytes:
    """A MessagePack value with something wrong in it, as bytes."""
    data: bytes = msgpack.packb(values(rng, value), unicode_errors="surrogatepass")
    return damaged(rng, data) if rng.random() < 0.2 else data


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def spliced(rng: random.Random, chunks: Sequence[bytes]) -> bytes:
    """A stream of frames in which one lies about its length: nothing after it can be trusted."""
    at = rng.randrange(len(chunks) + 1)
    lie = struct.pack(">I", rng.choice(FRAME_LENGTHS)) + rng.randbytes(rng.randrange(40))
    return b"".join((*chunks[:at], lie, *chunks[at:]))
