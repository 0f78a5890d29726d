"""The entry: when it is due, why there is none, its size under the margin rule.

What it needs is asked of one list of checks (checks.py), which also answers the go / no-go line at
15:50.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from common.clock import NEW_YORK, SECOND_NS
from common.core import rules
from common.core.monitor import margin
from common.core.monitor.checks import checks
from common.core.monitor.state import Day, SaidRefusal, State, capped, without_figures
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

PREVIEW_PATIENCE_NS = 3 * SECOND_NS  # host time before a what-if is asked for again
MARGIN = "margin: "
NO_ENTRY = "no entry today"
"""How a reason begins that nothing can mend before the next session."""
MADE = "today's entry was made already"


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
    if state.settings.margin.check == "off":
        found.append(Check(name="margin", ok=True, detail=margin.unchecked(state)))
    elif all(check.ok for check in found):
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
    if state.preview is None:
        return Check(name="margin", ok=False, detail="the broker gave no what-if")
    problem = margin.problem(state, state.preview)
    if problem:
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


def standing(state: State, now: Now) -> EntryRefused | None:
    """What is in the entry's way at this instant, or why there is none any more, in the words in
    which it was said first; None while nothing is. Before its window only what nothing can mend."""
    session, day = state.session, state.day
    if session is None or day is None or day.day != session.day:
        return None
    times = window(state, session)
    if day.entry_done:
        return EntryRefused(session.day, MADE, final=True)
    if now.market_ns < times.from_ns:
        early = _refusal(state, now, times)
        return early if early is not None and early.final else None
    if now.market_ns >= session.close_ns and not day.refusals_said:
        return None
    if now.market_ns < min(day.retry_ns, times.until_ns):  # our gateway's, perhaps for a moment
        return EntryRefused(session.day, day.last_refusal, final=False)
    refusal = _refusal(state, now, times)
    if refusal is None:  # but for the margin, which is asked about again and again
        margins = [said for said in _in_turn(day) if said.reason.startswith(MARGIN)]
        return EntryRefused(session.day, margins[-1].reason, final=False) if margins else None
    said = day.refusals_said.get(without_figures(refusal.reason))
    return refusal if said is None else msgspec.structs.replace(refusal, reason=said.reason)


def _in_turn(day: Day) -> list[SaidRefusal]:
    return sorted(day.refusals_said.values(), key=lambda said: said.first_ns)


def _missed(day: Day) -> str:
    """Every reason that was in the way, once, with the time from which on it was."""
    said = _in_turn(day)
    if not said:
        return "missed: not ready in time"
    room = TEXT_MAX // len(said) - len(" | from 15:55:00 ")
    each = [f"from {_clock_time(it.first_ns)} {it.reason[:room]}" for it in said]
    return f"missed: {' | '.join(each)}"


def _clock_time(market_ns: int) -> str:
    return f"{datetime.fromtimestamp(market_ns // SECOND_NS, NEW_YORK):%H:%M:%S}"


def _refusal(state: State, now: Now, times: Window) -> EntryRefused | None:
    session, day = state.session, state.day
    assert session is not None
    assert day is not None

    def no(reason: str, *, final: bool = False) -> EntryRefused:
        return EntryRefused(day=session.day, reason=reason[:TEXT_MAX], final=final)

    if day.entry_over:
        return no(day.entry_over, final=True)
    if now.market_ns >= times.until_ns:
        return no(_missed(day), final=True)
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
        problem = margin.problem(state, preview) if preview is not None else ""
        if preview is None or problem:
            said = [_preview_problem(session, problem)] if problem else []
            return [*said, *_ask_preview(state, now, session, wanted, times)]
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


def _preview_problem(session: Session, problem: str) -> EntryRefused:
    return EntryRefused(session.day, f"{MARGIN}{problem}"[:TEXT_MAX], final=False)


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
