"""Each thing that an entry needs, ok or with a reason that a person can act on.

The go / no-go line, the entry itself and the question why there is none ask the same list.
"""

from __future__ import annotations

from common.clock import SECOND_NS
from common.core import rules
from common.core.monitor.state import State
from common.core.monitor.stop import armed
from common.core.staleness import late
from common.messages import TEXT_MAX, Check, Now

ACCOUNT_AGE_S_MAX = 600.0


def checks(state: State, now: Now) -> list[Check]:
    """Each thing that an entry needs, ok or the reason it is not."""
    found = [
        _mode(state),
        _link(state),
        _book(state),
        _session(state, now),
        _signal(state, now),
        _data(state, now),
        _vix(state),
        _account(state, now),
        _stop(state),
        _clock(state),
        _disk(state),
    ]
    return [Check(name=name, ok=ok, detail=detail) for name, ok, detail in found]


_Found = tuple[str, bool, str]


def _mode(state: State) -> _Found:
    if state.halts:
        reasons = "; ".join(state.halts.values())
        return "mode", False, f"HALTED: {reasons[: TEXT_MAX - 40]} (trader resume)"
    latch = state.latch
    if latch is None or "HaltLatch" in state.silent:
        return "mode", False, "the gateway's halt latch is not known"
    if latch.mode != "ACTIVE":
        reason = f"gateway {latch.mode}: {latch.reason[: TEXT_MAX - 60]}"
        return "mode", False, f"{reason} (trader resume)"
    return "mode", True, "ACTIVE"


def _link(state: State) -> _Found:
    link = state.link
    if link is None or "BrokerLink" in state.silent:
        return "link", False, "the broker gateway is silent"
    if link.state != "ready":
        return "link", False, f"link {link.state}: {link.reason or 'waiting for TWS'}"[:TEXT_MAX]
    return "link", True, f"ready on port {link.port}"


def _book(state: State) -> _Found:
    book = state.book
    if book is None or "OrderBook" in state.silent or not book.reconciled:
        return "orders", False, "orders are not reconciled with the broker yet"
    if book.unknown:
        return "orders", False, f"order {', '.join(book.unknown)[:1900]} is UNKNOWN until proven"
    if book.working:
        return "orders", False, f"order {', '.join(book.working)[:1900]} is still working"
    if book.foreign_buy_shares or book.foreign_sell_shares:
        return "orders", False, "SMH orders that are not ours are working; cancel them in TWS"
    return "orders", True, "none working"


def _session(state: State, now: Now) -> _Found:
    session = state.session
    if session is None or "Session" in state.silent:
        return "calendar", False, "session times are not known"
    if session.broker_agrees is False:
        return "calendar", False, "the broker's trading hours differ from the exchange calendar"
    if not session.open_ns <= now.market_ns < session.close_ns:
        return "calendar", False, "the market is shut"
    return "calendar", True, "early close" if session.early else "full day"


def _signal(state: State, now: Now) -> _Found:
    target, session = state.target, state.session
    if target is None or session is None or target.day != session.day:
        return "signal", False, "no final signal of the previous close"
    if now.market_ns > target.valid_until_ns or "TargetPosition" in state.silent:
        return "signal", False, "the signal engine is silent"
    if target.leverage <= 0:
        return "signal", False, f"BEAR since the close of {target.signal_day}"
    return "signal", True, f"BULL of {target.signal_day}, {target.leverage:g}x"


def _data(state: State, now: Now) -> _Found:
    quote, feed = state.quote, state.feed
    if feed is not None and feed.problem:
        return "data", False, feed.problem
    if feed is not None and feed.competing:
        return "data", False, "another session uses this login's market data (code 10197)"
    if feed is not None and feed.halted:
        return "data", False, "trading in SMH is halted"
    if quote is None or {"Quote", "FeedState"} & state.silent:
        return "data", False, "no valid SMH price yet"
    age_s = (now.market_ns - quote.tick_ns) / SECOND_NS
    heard = Now(market_ns=quote.tick_ns, host_ns=quote.tick_host_ns)
    if late(heard, now, state.settings.data.quote_age_s_max):
        return "data", False, f"the newest SMH price is {age_s:.0f} s old"
    settings = state.settings
    if settings.account.mode == "live" and settings.data.require_live and quote.kind != "live":
        return "data", False, f"SMH prices are {quote.kind}; data.require_live asks for live ones"
    mid = rules.narrow_mid(quote.bid_usd, quote.ask_usd, settings.data.spread_fraction_max)
    if mid is None and not quote.agree:
        return "data", False, "SMH's quote is missing or wide: one print alone sizes no entry"
    if quote.kind != "live":
        delayed = f"delayed by 15 min, heard {age_s:.1f} s ago"
        return "data", True, f"{delayed}; the stop goes by the broker's PnL"
    return "data", True, f"live, {age_s:.1f} s old"


def _vix(state: State) -> _Found:
    target = state.target
    return "vix", True, target.leverage_why if target is not None else "unknown: base leverage"


def _account(state: State, now: Now) -> _Found:
    account = state.account
    if account is None or "AccountSnapshot" in state.silent or state.shares is None:
        return "equity", False, "account values are not there yet"
    if account.shares != state.shares:
        return "equity", False, f"the broker says {account.shares} shares, we say {state.shares}"
    if not state.ours and state.shares:
        return "equity", False, "the position was not ours (trader adopt)"
    age_s = (now.market_ns - account.refreshed_ns) / SECOND_NS
    if age_s > ACCOUNT_AGE_S_MAX:
        return "equity", False, f"account values are {age_s:.0f} s old"
    if state.flow_usd:
        moved = f"net liquidation moved by ${state.flow_usd:,.2f} that no profit explains"
        return "equity", False, f"{moved}; money added counts from the next session"
    return "equity", True, f"${account.net_liquidation_usd:,.2f}"


def _stop(state: State) -> _Found:
    choice = state.settings.stop.baseline
    if choice == "off":
        return "stop", True, "off by stop.baseline"
    base = state.baseline
    if choice == "entry":
        return "stop", True, "armed by the entry fill"
    if base is None or not armed(state):
        return "stop", False, "no baseline for today yet"
    if base.labelled.startswith("no official open"):
        return "stop", False, base.labelled
    return "stop", True, f"baseline ${base.baseline_usd:,.2f}"


def _clock(state: State) -> _Found:
    link = state.link
    if link is None or link.clock_offset_s is None:
        return "clock", False, "not compared with the broker's clock yet"
    limit_s = state.settings.data.clock_offset_s_max
    if abs(link.clock_offset_s) > limit_s:
        return "clock", False, f"{link.clock_offset_s:+.1f} s off the broker's; mend this clock"
    return "clock", True, f"{link.clock_offset_s:+.1f} s"


def _disk(state: State) -> _Found:
    if state.roomy:
        return "disk", True, "room for journals"
    return "disk", False, "the journal's disk is full; free some space"
