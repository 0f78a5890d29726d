"""The market's day: which session counts, whether the broker agrees, and what a daily bar needs.

Pure functions; part of market_feed's decider. All instants are UTC ns of market time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from operator import attrgetter

from common.core.feed.price_book import valid_price
from common.core.rules import (
    DISTRIBUTION_FRACTION_MIN,
    SECOND_NS,
    distribution,
    price_looks_split,
)
from common.messages import DailyBar, DailyHistory, Session
from common.tws.market_messages import ContractLine, PriceBar, SessionHours

MINUTE_NS = 60 * SECOND_NS
FULL_DAY_NS = 390 * MINUTE_NS
EVENING_NS = 240 * MINUTE_NS
"""After the close the day's session stays the current one so long, as trading after hours does."""

DELAY_NS = 15 * MINUTE_NS  # of delayed data
FINAL_BAR_NS = MINUTE_NS  # after the close, before the broker's daily bar is asked for
REBUILD_BEFORE_OPEN_NS = 30 * MINUTE_NS
"""The history is read again so long before each open: a split takes effect overnight."""

_OPEN, _CLOSE = attrgetter("open_ns"), attrgetter("close_ns")


def session_at(
    now_ns: int, hours: Sequence[SessionHours], line: ContractLine | None
) -> Session | None:
    """Today's session until its evening is over, then the coming one; None outside the calendar."""
    at = max(1, _closed_by(now_ns - EVENING_NS, hours))
    if at >= len(hours) - 1:
        return None
    before, current, following = hours[at - 1 : at + 2]
    return Session(
        previous_day=before.day,
        day=current.day,
        open_ns=current.open_ns,
        close_ns=current.close_ns,
        early=current.close_ns - current.open_ns < FULL_DAY_NS,
        next_day=following.day,
        next_open_ns=following.open_ns,
        next_close_ns=following.close_ns,
        broker_agrees=None if line is None else broker_agrees(current, line),
    )


def broker_agrees(current: SessionHours, line: ContractLine) -> bool | None:
    """Whether the broker's first session that ends at or after this one's close is this one.

    None when its list does not reach so far.
    """
    ahead = [hours for hours in line.hours if hours.close_ns > current.open_ns]
    if not ahead:
        return None
    return min(ahead, key=_OPEN) == current


def evening_before(now_ns: int, hours: Sequence[SessionHours]) -> int:
    """When the last session's evening ended; 0 when the calendar holds none."""
    closed = _closed_by(now_ns - EVENING_NS, hours)
    return hours[closed - 1].close_ns + EVENING_NS if closed else 0


def final_delay_ns(*, delayed: bool) -> int:
    """After a close, when its daily bar may be final."""
    return FINAL_BAR_NS + (DELAY_NS if delayed else 0)


def last_final(now_ns: int, hours: Sequence[SessionHours], *, delayed: bool) -> SessionHours | None:
    """The newest session whose daily bar may be final by now."""
    done = _closed_by(now_ns - final_delay_ns(delayed=delayed), hours)
    return hours[done - 1] if done else None


def history_needed_ns(now_ns: int, hours: Sequence[SessionHours], *, delayed: bool) -> int:
    """The last instant since which the daily history must have been read again."""
    delay_ns = final_delay_ns(delayed=delayed)
    closed = _closed_by(now_ns - delay_ns, hours)
    near = bisect_right(hours, now_ns + REBUILD_BEFORE_OPEN_NS, key=_OPEN)
    final_ns = hours[closed - 1].close_ns + delay_ns if closed else 0
    return max(final_ns, hours[near - 1].open_ns - REBUILD_BEFORE_OPEN_NS if near else 0)


def _closed_by(now_ns: int, hours: Sequence[SessionHours]) -> int:
    """How many of the sessions, oldest first, have closed."""
    return bisect_right(hours, now_ns, key=_CLOSE)


def finished(bars: Sequence[PriceBar], last_day: date) -> tuple[PriceBar, ...]:
    """The bars up to and including `last_day`; a day under way is left out."""
    return tuple(bar for bar in bars if bar.day <= last_day)


def history_fault(bars: Sequence[PriceBar], sessions: Sequence[date], bars_needed: int) -> str:
    """What is wrong with the daily bars, or "": each session once, in order, with real prices.

    `sessions`: the calendar's days. Only the newest `bars_needed` must be without a hole.
    """
    if not bars:
        return "no daily bar came"
    for before, after in pairwise(bars):
        if after.day <= before.day:
            return f"the daily bar of {after.day} repeats or is out of order"
    for bar in bars:
        if not _is_bar(bar):
            return f"the daily bar of {bar.day} holds no valid prices"
    days = [bar.day for bar in bars[-bars_needed:]]
    expected = [day for day in sessions if days[0] <= day <= days[-1]]
    if missing := sorted(set(expected) - set(days)):
        return (
            f"the daily history lacks {', '.join(map(str, missing[:5]))}; if the exchange was shut "
            "then, the calendar needs an upgrade: exchange_calendars"
        )
    if surplus := sorted(set(days) - set(expected)):
        return f"the daily history has bars of {', '.join(map(str, surplus[:5]))}, no session days"
    return ""


def unadjusted(bars: Sequence[PriceBar]) -> str:
    """Where the daily closes take a split for a price move, or "".

    Nobody promises that the broker has adjusted the days before a split by its evening.
    """
    for before, after in pairwise(bars):
        if price_looks_split(after.close_usd, before.close_usd):
            return (
                f"the closes of {before.day} (${before.close_usd:,.2f}) and {after.day} "
                f"(${after.close_usd:,.2f}) look like a split that is not adjusted for"
            )
    return ""


def distribution_usd(closes_usd: Sequence[float], tick_usd: float | None) -> float:
    """What a share is paid today: the last of the final closes less TWS's own, which is adjusted
    for it; 0 where they tell of none, and while TWS's is still that of the day before."""
    if tick_usd is None or len(closes_usd) < 2:
        return 0.0
    before_usd, last_usd = closes_usd[-2:]
    stale = abs(tick_usd - before_usd) <= DISTRIBUTION_FRACTION_MIN * before_usd
    return 0.0 if stale else distribution(last_usd, tick_usd)


def history_of(bars: Sequence[PriceBar]) -> DailyHistory:
    return DailyHistory(
        days=tuple(bar.day for bar in bars), closes_usd=tuple(bar.close_usd for bar in bars)
    )


def final_bar(bar: PriceBar) -> DailyBar:
    return DailyBar(
        day=bar.day, open_usd=bar.open_usd, high_usd=bar.high_usd, low_usd=bar.low_usd,
        close_usd=bar.close_usd, final=True,
    )  # fmt: skip


def _is_bar(bar: PriceBar) -> bool:
    prices = (bar.open_usd, bar.high_usd, bar.low_usd, bar.close_usd)
    if None in map(valid_price, prices):
        return False
    return bar.low_usd <= min(bar.open_usd, bar.close_usd) and bar.high_usd >= max(
        bar.open_usd, bar.close_usd
    )
