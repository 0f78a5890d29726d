"""The entry: when it is due, everything it needs, its size under the margin rule.

The same list of checks answers the go / no-go line at 15:50, the entry itself and the question why
there is none; each check that fails carries a reason a person can act on.
"""

from __future__ import annotations

from msgspec import Struct

from common.clock import SECOND_NS
from common.core import rules
from common.core.monitor import margin
from common.core.monitor.state import Day, State, capped, without_figures
from common.core.monitor.stop import armed
from common.core.staleness import late
from common.messages import (
    TEXT_MAX,
    Check,
    EntryClamped,
    EntryRefused,
    GoNoGo,
    Message,
    Now,
    Order,
    PlaceOrder,
    PreviewMargin,
    Session,
)

ACCOUNT_AGE_S_MAX = 600.0
PREVIEW_PATIENCE_NS = 3 * SECOND_NS  # host time before a what-if is asked for again


class Window(Struct):
    """The session's instants for the entry, UTC ns."""

    readiness_ns: int
    from_ns: int
    until_ns: int


def window(state: State, session: Session) -> Window:
    entry = state.settings.entry
    from_ns = session.close_ns - int(entry.minutes_before_close * 60 * SECOND_NS)
    if entry.test_entry:
        from_ns = session.open_ns
    return Window(
        readiness_ns=session.close_ns - int(entry.readiness_minutes_before_close * 60 * SECOND_NS),
        from_ns=from_ns,
        until_ns=session.close_ns - int(entry.last_s_before_close * SECOND_NS),
    )


def decide(state: State, now: Now) -> list[Message]:
    """Everything about the entry that this instant asks for: readiness, preview, order, refusal."""
    session, day = state.session, state.day
    if session is None or day is None or day.day != session.day:
        return []
    times = window(state, session)
    if state.shares or day.entry_done or state.entry is not None:
        return []
    if times.readiness_ns <= now.market_ns < times.until_ns and not day.readiness_said:
        return _readiness(state, now, session, times)
    if not times.from_ns <= now.market_ns < session.close_ns:
        return []
    if day.entry_over == day.last_refusal != "":
        return []  # said already, and nothing this session can change it
    if now.market_ns < min(day.retry_ns, times.until_ns):
        return []
    refusal = _refusal(state, now, times)
    wanted = _enter(state, now, session, times) if refusal is None else [refusal]
    return [message for message in wanted if not _said_before(day, message)]


def _readiness(state: State, now: Now, session: Session, times: Window) -> list[Message]:
    """The go / no-go line, with the margin of the intended size once the what-if has answered."""
    found = checks(state, now)
    if all(check.ok for check in found) and state.settings.margin.check != "off":
        wanted, equity = _wanted(state)
        if margin.ask_smaller(state) or margin.outgrown(state, wanted):
            return _ask_preview(state, now, session, wanted, times)
        if state.preview is None:
            if not state.preview_asked:
                return _ask_preview(state, now, session, wanted, times)
            if 0 <= now.host_ns - state.preview_host_ns < PREVIEW_PATIENCE_NS:
                return []
        found.append(_margin(state, wanted, equity))
    return [GoNoGo(day=session.day, checks=tuple(found))]


def _margin(state: State, wanted: int, equity: float) -> Check:
    if state.preview is None or state.preview.problem:
        problem = state.preview.problem if state.preview else "the broker gave no what-if"
        return Check(name="margin", ok=False, detail=problem[:TEXT_MAX])
    room = margin.room(state, state.preview, wanted, equity)
    if room.shares >= wanted:
        return Check(name="margin", ok=True, detail=f"{wanted:,} shares fit: {room.why}")
    refused = state.settings.margin.check == "refuse" or room.shares < 1
    detail = f"{room.shares:,} of {wanted:,} shares fit: {room.why}"
    return Check(name="margin", ok=not refused, detail=detail)


def _said_before(day: Day, message: Message) -> bool:
    return (
        isinstance(message, EntryRefused)
        and not message.final
        and without_figures(message.reason) in day.refusals_said
    )


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
    return "data", True, f"{quote.kind}, {age_s:.1f} s old"


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
        moved = f"net liquidation moved by ${state.flow_usd:,.2f} that SMH does not explain"
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


def _refusal(state: State, now: Now, times: Window) -> EntryRefused | None:
    session, day = state.session, state.day
    assert session is not None
    assert day is not None

    def no(reason: str, *, final: bool = False) -> EntryRefused:
        return EntryRefused(day=session.day, reason=reason[:TEXT_MAX], final=final)

    if now.market_ns >= times.until_ns:
        return no(f"missed: {day.last_refusal or 'not ready in time'}", final=True)
    if day.entry_over:
        return no(day.entry_over, final=True)
    if state.stop_fired or day.stop_ns >= times.from_ns:
        return no("the stop fired at or after the entry time", final=True)
    if day.stops and not state.settings.entry.reentry_same_day:
        return no("stopped today, and entry.reentry_same_day is off", final=True)
    if state.exit is not None:
        return no("an exit is still under way")
    if day.rejections >= state.settings.entry.retry_rejections_max:
        return no("the broker rejected the entry; none today", final=True)
    target = state.target
    if target is not None and target.day == session.day and target.leverage <= 0:
        return no(f"BEAR since the close of {target.signal_day}", final=True)
    failed = [f"{check.name}: {check.detail}" for check in checks(state, now) if not check.ok]
    return no("; ".join(failed)) if failed else None


def _enter(state: State, now: Now, session: Session, times: Window) -> list[Message]:
    """The order, after the margin preview it rests on."""
    wanted, equity = _wanted(state)
    if wanted < 1:
        reason = f"${equity:,.2f} of equity buys less than one share at the target leverage"
        return [EntryRefused(day=session.day, reason=reason, final=True)]
    if state.settings.margin.check != "off":
        preview = state.preview
        if margin.ask_smaller(state) or margin.outgrown(state, wanted):
            return _ask_preview(state, now, session, wanted, times)
        if preview is None or preview.problem:
            problem = _preview_problem(session, preview.problem) if preview is not None else []
            return problem + _ask_preview(state, now, session, wanted, times)
        return _clamped(state, session, wanted, equity, times)
    return [_order(state, session, wanted, times)]


def _wanted(state: State) -> tuple[int, float]:
    """Shares at the table's leverage, and the equity they are sized on."""
    account, quote, target = state.account, state.quote, state.target
    assert account is not None
    assert quote is not None
    assert target is not None
    equity = capped(state, account.net_liquidation_usd)
    return rules.shares_for(equity, target.leverage, quote.mark_usd), equity


def _preview_problem(session: Session, problem: str) -> list[Message]:
    reason = f"margin: {problem}"[:TEXT_MAX]
    return [EntryRefused(day=session.day, reason=reason, final=False)]


def _ask_preview(
    state: State, now: Now, session: Session, wanted: int, times: Window
) -> list[Message]:
    """Asks for a what-if, and anew when one failed or went unanswered for a while."""
    waited_ns = now.host_ns - state.preview_host_ns
    anew = margin.ask_smaller(state) or margin.outgrown(state, wanted)
    waits = state.preview_asked and not anew
    if waits and 0 <= waited_ns < PREVIEW_PATIENCE_NS:
        return []
    key = f"{session.day:%Y%m%d}-PREVIEW-{state.preview_count + 1}"
    shares = margin.previewed_shares(state, wanted)
    return [PreviewMargin(key=key, deadline_ns=times.until_ns, shares=shares)]


def _clamped(
    state: State, session: Session, wanted: int, equity: float, times: Window
) -> list[Message]:
    preview, quote, target = state.preview, state.quote, state.target
    assert preview is not None
    assert quote is not None
    assert target is not None
    room = margin.room(state, preview, wanted, equity)
    if room.shares >= wanted:
        return [_order(state, session, wanted, times)]
    leverage = room.shares * quote.mark_usd / equity
    if state.settings.margin.check == "refuse" or room.shares < 1:
        reason = f"margin allows {leverage:.2f}x of {target.leverage:g}x: {room.why}"
        return [EntryRefused(day=session.day, reason=reason[:TEXT_MAX], final=True)]
    clamp = EntryClamped(
        day=session.day, table=target.leverage, allowed=leverage, why=room.why[:TEXT_MAX]
    )
    return [clamp, _order(state, session, room.shares, times)]


def _order(state: State, session: Session, shares: int, times: Window) -> PlaceOrder:
    quote, day = state.quote, state.day
    assert quote is not None
    assert day is not None
    order = Order(
        intent_id=f"{session.day:%Y%m%d}-ENTRY-{day.refusals + 1}",
        day=session.day,
        purpose="ENTRY",
        reason="test" if state.settings.entry.test_entry else "signal",
        action="BUY",
        shares=shares,
        order_type="MKT",
        limit_usd=None,
        outside_rth=False,
        price_usd=quote.mark_usd,
        deadline_ns=times.until_ns,
    )
    return PlaceOrder(key=order.intent_id, deadline_ns=0, order=order)
