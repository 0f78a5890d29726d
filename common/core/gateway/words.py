"""What the broker gateway says of its state: link, order book, latch, alerts; only when changed."""

from __future__ import annotations

from typing import Literal

from common.clock import MINUTE_NS
from common.core.gateway import guard, limits, one_cancels_all
from common.core.gateway.state import IN_DOUBT, NOT_YET, Outbound, Preview, State, seconds_since
from common.messages import (
    Alert,
    BrokerLink,
    HaltLatch,
    MarginPreview,
    Message,
    Now,
    OrderBook,
    OrderStatus,
    OrderUpdate,
)

HOUR_NS = 60 * MINUTE_NS

LinkState = Literal["down", "reconciling", "degraded", "ready", "locked"]

WEEKLY_LOGIN = "weekly_login"
DAYS_OVER_A_WEEKEND = 3
REMINDERS_NS = (
    (15 * HOUR_NS + HOUR_NS // 2, 13 * HOUR_NS + HOUR_NS // 2),
    (HOUR_NS + HOUR_NS // 2, 0),
)
"""Before the open, UTC ns: from when until when a reminder stands."""

LISTED_MAX = 64
"""Orders named in one OrderBook."""

EXCESS_PAGE_S = 10.0
BOOKS_PAGE_S = 60.0
"""Host seconds in which each comparison with the broker's books has failed."""
"""Host seconds in which a stop at the broker that is too large should have been cancelled."""


def changed(state: State, now: Now) -> list[Message]:
    """Every kept fact that reads differently from what was last said."""
    said = state.said
    words: list[Message] = []
    for old, new in (
        (said.link, link(state)),
        (said.book, book(state)),
        (said.latch, latch(state)),
    ):
        if old != new:
            words.append(new)
    return words + _alerts(state, now)


def link(state: State) -> BrokerLink:
    now_is, reason = _link_state(state)
    return BrokerLink(
        state=now_is,
        account=state.link.account,
        port=state.link.port,
        since_ns=state.link.since_market_ns,
        clock_offset_s=state.link.clock_offset_s,
        reason=reason,
    )


def _link_state(state: State) -> tuple[LinkState, str]:
    at = state.link
    if not at.up:
        return "down", at.down_reason
    if at.refusal:
        return "locked", at.refusal
    if state.mode == "LOCKED":
        return "locked", state.mode_reason
    if at.degraded:
        return "degraded", "TWS has lost its connection to IB"
    if at.instrument:
        return "reconciling", at.instrument
    if not at.reconciled:
        return "reconciling", state.snapshots.failure or "comparing with the broker's books"
    if not at.refreshed:
        return "reconciling", "the account was not reported yet"
    return "ready", ""


def book(state: State) -> OrderBook:
    opened = state.open_orders()
    foreign = state.foreign.values()
    return OrderBook(
        reconciled=state.link.reconciled,
        working=tuple(o.order.intent_id for o in opened if o.stage != "UNKNOWN")[:LISTED_MAX],
        unknown=tuple(o.order.intent_id for o in opened if o.stage == "UNKNOWN")[:LISTED_MAX],
        foreign_buy_shares=sum(o.remaining for o in foreign if o.action == "BUY"),
        foreign_sell_shares=sum(o.remaining for o in foreign if o.action == "SELL"),
    )


def latch(state: State) -> HaltLatch:
    return HaltLatch(mode=state.mode, reason=state.mode_reason, since_ns=state.mode_since_ns)


def verdict(out: Outbound, status: OrderStatus, reason: str) -> OrderUpdate:
    """Our own word on an order, where no word of TWS brings it."""
    return OrderUpdate(
        intent_id=out.order.intent_id,
        order_id=out.order_id,
        perm_id=out.perm_id,
        status=status,
        filled=max(out.filled, out.reported_filled),
        remaining=out.remaining,
        average_usd=round(out.average_price_usd, 6),
        code=out.code,
        reason=reason,
    )


def no_preview(preview: Preview, problem: str, *, rejected: bool = False) -> MarginPreview:
    return MarginPreview(
        key=preview.key,
        shares=preview.shares,
        init_before_usd=0.0,
        init_after_usd=0.0,
        maint_after_usd=0.0,
        equity_with_loan_after_usd=0.0,
        commission_usd=0.0,
        problem=problem,
        rejected=rejected,
    )


def _alerts(state: State, now: Now) -> list[Message]:
    """Alerts that hold as long as their condition holds; all but the weekly reminder page."""
    wanted = dict(_conditions(state, now))
    raised = [
        Alert(level="notice" if code == WEEKLY_LOGIN else "page", code=code, text=text, raised=True)
        for code, text in wanted.items()
        if code not in state.said.alerts
    ]
    ended = [
        Alert(level="page", code=code, text=text, raised=False)
        for code, text in state.said.alerts.items()
        if code not in wanted
    ]
    return [*raised, *ended]


def _conditions(state: State, now: Now) -> list[tuple[str, str]]:
    found = []
    held = state.position_reported
    if held < 0:
        found.append(("short", f"SHORT {-held} shares: close it by hand, see `trader status`"))
    if state.liquidated:
        found.append(("liquidation", state.liquidated))
    if state.relearning:
        found.append(("journal", limits.RELEARNING))
    if state.mode == "LOCKED":
        found.append(("locked", f"LOCKED, nothing is sent: {state.mode_reason}"))
    for out in state.open_orders():
        intent = out.order.intent_id
        if out.found:
            text = f"{intent} is at the broker and was not in the journal: it is followed again"
            found.append((f"found {intent}", text))
        waited_s = seconds_since(now, out.sent_host_ns)
        late = waited_s > state.settings.limits.acknowledge_s
        if out.stage in IN_DOUBT and late and state.link.healthy:
            found.append(
                (
                    f"unacknowledged {intent}",
                    f"{intent} is not acknowledged: is TWS waiting on a dialog?",
                )
            )
        if out.stage == "UNKNOWN" and (held or out.order.purpose == "EXIT"):
            found.append(
                (
                    f"unknown {intent}",
                    f"{intent} is UNKNOWN with {held} shares held: {out.reason}",
                )
            )
    if one_cancels_all.excess_s(state, now) > EXCESS_PAGE_S:
        text = f"the stop at the broker might sell more than the {held} shares held"
        found.append(("stop_excess", f"{text} and is not cancelled: cancel it in TWS"))
    return [*found, *_guarded(state, now, held), *_link_wanting(state, now)]


def _link_wanting(state: State, now: Now) -> list[tuple[str, str]]:
    """What is missing between us and IB."""
    found = []
    if _weekly_login(state, now):
        lost = state.link.down_reason
        text = "IB ends each week's login on Sunday: log in to TWS before the week's first open"
        found.append((WEEKLY_LOGIN, f"{text} ({lost})" if lost else text))
    if _no_link(state, now):
        found.append(("no_link", f"no connection to TWS: {state.link.down_reason}"))
    failing_ns = state.snapshots.failing_host_ns
    if state.link.healthy and failing_ns and seconds_since(now, failing_ns) > BOOKS_PAGE_S:
        text = f"no comparison with the broker's books, so no entry: {state.snapshots.failure}"
        found.append(("books", text))
    return found


def _guarded(state: State, now: Now, held: int) -> list[tuple[str, str]]:
    """What the gateway does, or cannot do, for a stop monitor that is silent."""
    session = state.session
    if session is None or not guard.watches(state.guard, state.settings):
        return []
    found = []
    own = [out for out in state.orders.values() if guard.acted(out.order.intent_id, session.day)]
    if own:
        out = own[-1]
        text = f"the stop monitor is silent, so the gateway sells {out.order.shares} shares itself"
        found.append(("guard", f"{text}: {out.order.intent_id} {out.status}"))
    if guard.blind(state.guard, now, state.settings, session, held):
        text = f"{held} shares held, the stop monitor is silent and the gateway has no price"
        found.append(("guard_blind", f"{text}: nothing watches the stop"))
    return found


def _weekly_login(state: State, now: Now) -> bool:
    """No link on the evening before the week's first session, and 90 minutes before its open.

    With an open at 09:30 that is Sunday from 18:00 and Monday from 08:00, New York time.
    """
    session = state.session
    if session is None or state.link.healthy or state.link.down_reason == NOT_YET:
        return False
    silent_ns = now.market_ns - state.link.since_market_ns
    if silent_ns <= int(state.settings.limits.reset_silence_minutes * MINUTE_NS):
        return False
    if (session.day - session.previous_day).days < DAYS_OVER_A_WEEKEND:
        return False
    before_ns = session.open_ns - now.market_ns
    return any(begin_ns >= before_ns > end_ns for begin_ns, end_ns in REMINDERS_NS)


def _no_link(state: State, now: Now) -> bool:
    """From an hour before the open to the close, once the silence outlasts a reset's."""
    session, at = state.session, state.link
    if session is None or at.healthy:
        return False
    pages = state.settings.limits
    early_ns = int(pages.no_link_page_minutes * MINUTE_NS)
    due = session.open_ns - early_ns <= now.market_ns < session.close_ns
    silent_ns = now.market_ns - at.since_market_ns
    return due and silent_ns > int(pages.reset_silence_minutes * MINUTE_NS)
