"""Target 8: a price's way into bytes and back, every field checked, against plain msgpack."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgpack

from bench.ratio import Effort, Result, Target, compare
from common import wire
from common.messages import Quote

CODEC = Target(
    8,
    "fact encoded, decoded and validated",
    "unvalidated msgpack dict round trip",
    0.8,
)
TARGETS = (CODEC,)

MARKET_NS = 1_763_740_800_123_456_789


def measure(effort: Effort) -> list[Result]:
    times = effort.samples(20_000)

    def round_() -> dict[Target, tuple[float, float]]:
        return {CODEC: (_seconds(typed_round_trip, times), _seconds(dict_round_trip, times))}

    return [*compare(round_, effort)]


def typed_round_trip() -> wire.Envelope[Any]:
    """A Quote as the feed says it and as the risk monitor hears it."""
    quote = Quote(
        tick_ns=MARKET_NS, bid_usd=341.2, ask_usd=341.23, last_usd=341.21, mark_usd=341.215,
        agree=True, kind="live",
    )  # fmt: skip
    envelope = wire.Envelope(wire.WIRE_VERSION, "market_feed", 7, 123_456, 0, MARKET_NS, quote)
    return wire.decode_fact(wire.encode_fact(envelope))


def dict_round_trip() -> Any:
    """The same content as a dict with names, as msgpack alone would carry it."""
    body = {
        "type": "Quote", "tick_ns": MARKET_NS, "bid_usd": 341.2, "ask_usd": 341.23,
        "last_usd": 341.21, "mark_usd": 341.215, "agree": True, "kind": "live",
    }  # fmt: skip
    envelope = {
        "version": 1, "speaker": "market_feed", "epoch": 7, "seq": 123_456, "floor": 0,
        "market_ns": MARKET_NS, "body": body,
    }  # fmt: skip
    return msgpack.unpackb(msgpack.packb(envelope))


def _seconds(act: Callable[[], Any], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        act()
    return time.perf_counter() - started
