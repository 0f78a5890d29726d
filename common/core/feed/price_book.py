"""What is a valid price: raw ticks of one instrument in, quotes out. Part of market_feed's decider.

NaN, -1, 0, infinite and "unset" values are no price; a crossed quote is no quote. The mark is the
mid of a narrow quote, else a fresh last print. A mark that jumps needs a second sample a second
later that agrees with it, so one wild print says nothing. Source: docs/spec.md section 3.
"""

from __future__ import annotations

import math

from msgspec import Struct

from common.core.rules import SECOND_NS, narrow_mid
from common.core.staleness import late
from common.messages import DataKind, Now, Quote
from common.settings import Data
from common.tws.market_messages import ASK, BID, LAST, LIVE_TYPE, RawTick

PRICE_USD_MAX = 1e6  # above it stands IB's "unset" value, 1.8e308
CONFIRM_S = 1.0  # between a jump's two samples, market time
CONFIRM_FRACTION = 0.01  # within which they must agree
REPEAT_S = 1.0  # an unchanged price is said again so often while ticks arrive, market time


class Level(Struct):
    """A price that may move freely within a fraction; beyond it a second sample must agree."""

    value: float | None = None
    suspect: float | None = None
    suspect_ns: int = 0
    doubted_ns: int = 0

    def take(self, value: float, now_ns: int, jump_fraction_max: float) -> bool:
        """Whether `value`, sampled at `now_ns` (market time), is believed.

        With nothing to compare it with, the first sample is a jump too.
        """
        believed = near(value, self.value, jump_fraction_max)
        if not believed and near(value, self.suspect, CONFIRM_FRACTION):
            believed = now_ns - self.suspect_ns >= CONFIRM_S * SECOND_NS
        elif not believed:
            if self.suspect is None:
                self.doubted_ns = now_ns
            self.suspect, self.suspect_ns = value, now_ns
        if believed:
            self.value, self.suspect = value, None
        return believed

    def doubted(self, now_ns: int) -> bool:
        """Whether samples have been far from `value` for longer than it takes to confirm one."""
        return self.suspect is not None and now_ns - self.doubted_ns >= CONFIRM_S * SECOND_NS


class Book(Struct):
    """The newest valid sides of one instrument since the last break in its stream."""

    level: Level
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    last_at: Now | None = None
    said: Quote | None = None
    said_at: Now | None = None

    def clear(self) -> None:
        """After a break nothing older may be combined with what comes; the level stays."""
        self.bid = self.ask = self.last = self.last_at = self.said = None

    def hear(self, tick: RawTick, now: Now, kind: DataKind, data: Data) -> Quote | None:
        """One tick: the quote it makes, or None when there is no valid price or nothing new."""
        side = LIVE_TYPE.get(tick.type, tick.type)
        if side not in {BID, ASK, LAST}:
            return None
        price = valid_price(tick.value)
        if side == BID:
            self.bid = price
        elif side == ASK:
            self.ask = price
        else:
            self.last, self.last_at = price, now
        return self._say(now, kind, data)

    def repeat(self, now: Now, kind: DataKind, data: Data) -> Quote | None:
        """The unchanged quote under a new time: its stream lives, so it would have changed."""
        if self.said is None or now.market_ns - self.said.tick_ns < REPEAT_S * SECOND_NS:
            return None
        return self._say(now, kind, data)

    def _say(self, now: Now, kind: DataKind, data: Data) -> Quote | None:
        quote = self._quote(now, kind, data)
        if quote is None or (self.said is not None and _same(quote, self.said)):
            return None
        if not self.level.take(quote.mark_usd, quote.tick_ns, data.jump_fraction_max):
            return None
        self.said, self.said_at = quote, now
        return quote

    def _quote(self, now: Now, kind: DataKind, data: Data) -> Quote | None:
        uncrossed = self.bid is not None and self.ask is not None and self.bid <= self.ask
        bid, ask = (self.bid, self.ask) if uncrossed else (None, None)
        mid = narrow_mid(bid, ask, data.spread_fraction_max)
        mark, at = mid, now
        if mark is None and self.last_at and not late(self.last_at, now, data.quote_age_s_max):
            mark, at = self.last, self.last_at  # one print is one sample, however often it is said
        if mark is None:
            return None
        agree = mid is not None and near(self.last, mid, data.agree_fraction_max)
        return Quote(
            tick_ns=at.market_ns, bid_usd=bid, ask_usd=ask, last_usd=self.last,
            mark_usd=mark, agree=agree, kind=kind, tick_host_ns=at.host_ns,
        )  # fmt: skip


def valid_price(value: float) -> float | None:
    """`value` where it can be a price: finite, above 0, not IB's "unset"."""
    return value if math.isfinite(value) and 0.0 < value <= PRICE_USD_MAX else None


def near(value: float | None, other: float | None, fraction: float) -> bool:
    """Whether both are known and no farther apart than that fraction of `other`."""
    return value is not None and other is not None and abs(value - other) <= fraction * other


def _same(quote: Quote, said: Quote) -> bool:
    return (
        (quote.bid_usd, quote.ask_usd, quote.last_usd, quote.mark_usd, quote.kind, quote.agree)
        == (said.bid_usd, said.ask_usd, said.last_usd, said.mark_usd, said.kind, said.agree)
        and quote.tick_ns - said.tick_ns < REPEAT_S * SECOND_NS
    )  # fmt: skip
