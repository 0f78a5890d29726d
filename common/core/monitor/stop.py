"""The daily stop: by which price it is judged, when a breach counts, when it is confirmed.

Equity for the stop = baseline + profit and loss of SMH since. One wild print fires nothing: a
sample counts at once only when mid and last agree and the price did not jump; otherwise a second
sample at least `stop.confirm_s` later must say the same. The broker's own PnL, used where quotes
are delayed or stale, always needs a second sample.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from common.clock import SECOND_NS
from common.core import rules
from common.core.monitor.state import (
    PRICE_USD_MAX,
    State,
    equity_usd,
    reference_price,
    shown_price,
    since_open_ns,
    split_reference,
    stop_usd,
)
from common.core.staleness import late_since
from common.messages import (
    BreachCleared,
    BreachSuspected,
    Equity,
    Now,
    StopArmed,
    StopHit,
)

LAST_SECONDS_NS = 10 * SECOND_NS
LEVERAGE_SHOWN_MAX = 1000.0  # of an account that is all but wiped out


class Sample(Struct, gc=False):
    """One look at the position's value: when its price was heard, and from whom."""

    ns: int
    mark_usd: float
    source: Literal["quote", "broker PnL"]


def sample(state: State, now: Now) -> Sample | None:
    """The best look at the price now: a fresh live quote, else the broker's PnL, else none. A quote
    whose mid and last do not agree gives way to a newer word of the broker's. In the session no
    price of before its open is one."""
    quote, data = state.quote, state.settings.data
    from_ns = _prices_from_ns(state, now)
    seen: Sample | None = None
    if quote is not None and quote.kind == "live" and "Quote" not in state.silent:
        tick_ns = quote.tick_ns
        if tick_ns >= from_ns and not late_since(
            tick_ns, quote.tick_host_ns, now, data.quote_age_s_max
        ):
            seen = Sample(tick_ns, quote.mark_usd, "quote")
            if quote.agree:
                return seen
    pnl = state.pnl
    if seen is not None and (pnl is None or pnl.heard_ns - seen.ns < SECOND_NS):
        return seen
    if pnl is not None and pnl.shares == state.shares and pnl.shares > 0:
        stale = pnl.heard_ns < from_ns or late_since(
            pnl.heard_ns, pnl.heard_host_ns, now, data.pnl_age_s_max
        )
        mark_usd = pnl.value_usd / pnl.shares
        if 0 < mark_usd <= PRICE_USD_MAX and not stale:
            return Sample(pnl.heard_ns, mark_usd, "broker PnL")
    return seen


def _prices_from_ns(state: State, now: Now) -> int:
    """Since when a price may be judged, by our clock; 0 outside the session."""
    session = state.session
    if session is None or since_open_ns(state, now, session) < 0:
        return 0
    return session.open_ns + state.clock_ahead_ns


def certain(state: State, seen: Sample) -> bool:
    """Whether a sample may confirm a breach by itself: mid and last agree, and nothing jumped."""
    before, quote = state.before_quote, state.quote
    if quote is None or seen.source != "quote" or not quote.agree:
        return False
    limit = state.settings.data.jump_fraction_max
    return before is None or abs(quote.mark_usd / before.mark_usd - 1.0) <= limit


def looks_like_split(state: State, mark_usd: float) -> bool:
    """A price that left the one before by a split's ratio, with a share count that did not."""
    return rules.price_looks_split(mark_usd, split_reference(state))


def armed(state: State) -> bool:
    """Whether a breach would be noticed: the baseline is today's (or the entry's own).

    With the stop off the baseline is kept for the day's figures and nothing is judged by it.
    """
    base, session = state.baseline, state.session
    choice = state.settings.stop.baseline
    if base is None or session is None or choice == "off":
        return False
    return base.day == session.day or choice == "entry"


def judge(state: State, now: Now, seen: Sample) -> StopHit | BreachSuspected | BreachCleared | None:
    """What one sample says about the stop; None when nothing new."""
    session, first = state.session, state.breach
    if session is None or state.stop_fired or not state.shares or state.shares < 0:
        return None
    if not (session.open_ns <= now.market_ns < session.close_ns and armed(state)):
        return None
    equity, stop = equity_usd(state, seen.mark_usd), stop_usd(state)
    if equity > stop and first is None:
        return None
    if looks_like_split(state, seen.mark_usd):
        return None
    if equity > stop:
        return BreachCleared(day=session.day, mark_usd=seen.mark_usd)
    why = ""
    if certain(state, seen):
        why = "mid and last agree"
    elif session.close_ns - now.market_ns <= LAST_SECONDS_NS:
        why = "one sample in the last 10 seconds"
    elif first is not None and (
        seen.ns - first.sampled_ns >= state.settings.stop.confirm_s * SECOND_NS
    ):
        why = "second sample confirms"
    if why:
        return StopHit(
            day=session.day,
            equity_usd=equity,
            stop_usd=stop,
            mark_usd=seen.mark_usd,
            why=f"{seen.source}: {why}",
        )
    if first is not None and seen.ns >= first.sampled_ns - SECOND_NS:
        return None
    # The first one, or the first since the clock was set back.
    return BreachSuspected(
        day=session.day,
        sampled_ns=seen.ns,
        equity_usd=equity,
        stop_usd=stop,
        mark_usd=seen.mark_usd,
        source=seen.source,
    )


def equity_now(state: State, now: Now, seen: Sample) -> Equity | None:
    """The stop's arithmetic, for the person."""
    session, base = state.session, state.baseline
    if session is None or base is None or state.shares is None:
        return None
    equity, stop = equity_usd(state, seen.mark_usd), stop_usd(state)
    price = rules.stop_price(equity, stop, state.shares, seen.mark_usd)
    value = state.shares * seen.mark_usd
    age_s = (now.market_ns - seen.ns) / SECOND_NS
    return Equity(
        day=session.day,
        equity_usd=equity,
        baseline_usd=base.baseline_usd,
        stop_usd=stop,
        stop_price_usd=shown_price(price),
        shares=state.shares,
        mark_usd=seen.mark_usd,
        leverage=min(LEVERAGE_SHOWN_MAX, max(0.0, value / equity)) if equity > 0 else 0.0,
        flow_usd=state.flow_usd,
        source=seen.source,
        age_s=max(0.0, age_s),  # a clock that went back makes no price younger than now
        armed=armed(state) and state.shares > 0,
        sampled_ns=max(0, seen.ns),
    )


def armed_now(state: State) -> StopArmed | None:
    """The stop level of the position as it stands, once for each change of shares or level."""
    base, session = state.baseline, state.session
    if base is None or session is None or not state.shares or state.shares < 0 or not armed(state):
        return None
    stop = stop_usd(state)
    reference = reference_price(state)
    equity = equity_usd(state, reference)
    price = rules.stop_price(equity, stop, state.shares, reference) if reference > 0 else 0.0
    said = StopArmed(
        day=session.day,
        stop_usd=round(stop, 2),
        stop_price_usd=shown_price(price, digits=4),
        shares=state.shares,
    )
    return None if said == state.said_armed else said
