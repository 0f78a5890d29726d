"""The stop that rests at the broker: when it is wanted, at which level, and how it is kept so.

It is the second line, for the time in which the stop monitor, or this whole machine, is dead: wider
than the stop (`stop.resting_loss_fraction`), so that ours acts first. A day order: it is placed
after an entry and after each day's baseline, and the exchange ends it at the close. A new level or
size means: cancel, hear that it is done, place anew; never a change of a living order. While an
exit is under way it is left alone, since the two exclude each other at the broker (the gateway's
page one_cancels_all.py); where it is too large for the position the gateway itself cancels it.
"""

from __future__ import annotations

import math

from common.clock import SECOND_NS
from common.core import rules
from common.core.monitor import exits
from common.core.monitor.state import (
    Plan,
    State,
    equity_usd,
    in_session,
    level_usd,
    reference_price,
    selling,
    shown_price,
    stop_alive,
)
from common.core.monitor.stop import armed, looks_like_split, sample
from common.messages import (
    DONE_STATUSES,
    CancelOrder,
    Message,
    Now,
    Order,
    Session,
    SubmitOrder,
    purpose_of,
)

TICK_USD = 0.01
"""US stocks above one dollar are quoted in cents (Regulation NMS, rule 612)."""
MOVED_FRACTION = 0.0002
"""Of the price; a smaller move of the level is left: at 3x the two stops lie 0.17 % apart, and the
commissions of an entry move the level by some 0.001 %."""
PLACEMENTS_MAX = 8
"""In a session: one or two are usual. The n-th comes 2^(n-1) seconds after the one before at the
earliest, so a broker that refuses is asked for about two minutes."""
LAST_PLACEMENT_NS = 10 * SECOND_NS
"""Before the close, market time: a day order that arrives after it would wait for the next open,
when its level means nothing any more."""
ENTRY_PATIENCE_NS = 10 * SECOND_NS
"""Host time that an entry is given; one that lasts longer is protected as far as it is filled."""
BLIND_NS = 30 * SECOND_NS
"""From the open, market time, in which no stop is placed without a price to hold it against."""
MISSING_NS = 15 * SECOND_NS
"""Host time without the stop that should rest, after which a person is paged."""

RESTS = frozenset({"PreSubmitted", "Submitted", "PendingCancel"})
"""The words in which the broker says that it has the stop."""


def resting_usd(state: State) -> float | None:
    """The level of the stop that is proven to rest at the broker, or None."""
    plan = state.resting
    return plan.order.stop_usd if plan is not None and plan.status in RESTS else None


def stop_level_usd(state: State) -> float | None:
    """The SMH price at which the stop's equity has lost `stop.resting_loss_fraction`, rounded up to
    the tick, so the tighter way; None where no price is so low."""
    mark_usd, shares = reference_price(state), state.shares or 0
    if mark_usd <= 0 or shares <= 0:
        return None
    stop_usd = level_usd(state, state.settings.stop.resting_loss_fraction)
    price = rules.stop_price(equity_usd(state, mark_usd), stop_usd, shares, mark_usd)
    return shown_price(math.ceil(round(price / TICK_USD, 6)) * TICK_USD, digits=2)


def needed(state: State) -> bool:
    """Whether a stop should rest at the broker in the session: armed, held, nothing leaving."""
    settings = state.settings.stop
    if not settings.resting or not armed(state) or not state.shares or state.shares < 0:
        return False
    leaving = state.exit is not None or exits.wanted(state) is not None
    return not leaving and stop_level_usd(state) is not None


def note(state: State, now: Now) -> None:
    """Since when a stop that is needed has not been resting; part of every change of the state."""
    if needed(state) and resting_usd(state) is None and not selling(state, now):
        state.unrested_host_ns = state.unrested_host_ns or now.host_ns
    else:
        state.unrested_host_ns = 0


def missing_why(state: State, now: Now) -> str:
    """Why the stop that should rest at the broker has not for a while; "" when all is well."""
    session, plan, day = state.session, state.resting, state.day
    since_ns = state.unrested_host_ns
    if session is None or day is None or not since_ns or 0 <= now.host_ns - since_ns < MISSING_NS:
        return ""
    if not session.open_ns + BLIND_NS <= now.market_ns < session.close_ns - LAST_PLACEMENT_NS:
        return ""
    if _split_suspected(state, now):
        return ""  # a page of its own
    if _shares(state) < 1:
        return "sell orders that are not ours hold the shares"
    if plan is not None and plan.status not in DONE_STATUSES:
        return f"{plan.order.intent_id} is {plan.status}"
    if not _sound(state):
        return "no sound link to the broker to place it over"
    if plan is not None and plan.reason:
        return f"{plan.status}: {plan.reason}"
    return f"{day.rests} were placed today" if day.rests else "it could not be placed yet"


def outcome(state: State) -> list[Message]:
    """Exited once the stop at the broker has sold and its fills are booked."""
    plan, session = state.resting, state.session
    if plan is None or session is None or not plan.filled or plan.filled < plan.reported:
        return []
    if plan.filled < plan.order.shares and plan.status not in DONE_STATUSES:
        return []
    return [exits.exited(state, session, plan)]


def decide(state: State, now: Now) -> list[Message]:
    """The stop to cancel or to place at this instant."""
    session, plan = state.session, state.resting
    if session is None or state.day is None or state.day.day != session.day or not _sound(state):
        return []
    strays = _strays(state)
    out: list[Message] = [
        _cancel(intent_id, "it is not the stop that the risk monitor knows")
        for intent_id in strays
        if intent_id not in state.cancelled
    ]
    if plan is not None and stop_alive(state, now):
        why = "" if plan.cancelling else _out_of_line(state, now, plan)
        return [*out, _cancel(plan.order.intent_id, why)] if why else out
    order = None if strays else _due(state, now, session)
    if order is not None:
        out.append(SubmitOrder(key=order.intent_id, deadline_ns=0, order=order))
    return out


def _cancel(intent_id: str, why: str) -> CancelOrder:
    return CancelOrder(key=f"{intent_id}-CANCEL", deadline_ns=0, intent_id=intent_id, why=why)


def _sound(state: State) -> bool:
    """A link over which it may be placed or replaced: ready, compared, the position undisputed."""
    link, book, latch = state.link, state.book, state.latch
    if link is None or book is None or {"BrokerLink", "OrderBook"} & state.silent:
        return False
    locked = latch is not None and latch.mode == "LOCKED"
    return link.state == "ready" and book.reconciled and not locked and not state.mismatch_since_ns


def _shares(state: State) -> int:
    foreign = state.book.foreign_sell_shares if state.book is not None else 0
    return max(0, (state.shares or 0) - foreign)


def _split_suspected(state: State, now: Now) -> bool:
    seen = sample(state, now)
    return seen is not None and looks_like_split(state, seen.mark_usd)


def _out_of_line(state: State, now: Now, plan: Plan) -> str:
    """Why the stop that rests is to be cancelled now; "" when it stays."""
    held, order, day = state.shares or 0, plan.order, state.day
    assert day is not None
    leaving = state.exit is not None or exits.wanted(state) is not None
    if leaving or held <= 0 or selling(state, now) or not in_session(state, now):
        return ""
    if not needed(state):
        return "no stop is to rest at the broker"
    if _split_suspected(state, now):
        return "it looks like a split"
    if day.rests >= PLACEMENTS_MAX or (state.entry is not None and held >= order.shares):
        return ""
    level, shares = stop_level_usd(state), _shares(state)
    if shares != order.shares:
        return f"{shares} shares are to be protected"
    if level is None or order.stop_usd is None:
        return ""
    moved = abs(level - order.stop_usd) > MOVED_FRACTION * order.stop_usd
    return f"the level is {level:.2f} now" if moved else ""


def _due(state: State, now: Now, session: Session) -> Order | None:
    day, plan, entry = state.day, state.resting, state.entry
    assert day is not None
    shares, level = _shares(state), stop_level_usd(state)
    until_ns = session.close_ns - LAST_PLACEMENT_NS
    if not needed(state) or shares < 1 or level is None or day.rests >= PLACEMENTS_MAX:
        return None
    if not session.open_ns <= now.market_ns < until_ns:
        return None
    if entry is not None and 0 <= now.host_ns - entry.asked_host_ns < ENTRY_PATIENCE_NS:
        return None
    pause_ns = 2**day.rests * SECOND_NS
    if plan is not None and 0 <= now.host_ns - plan.asked_host_ns < pause_ns:
        return None
    seen = sample(state, now)
    if seen is None and now.market_ns - session.open_ns < BLIND_NS:
        return None
    if seen is not None and (seen.mark_usd <= level or looks_like_split(state, seen.mark_usd)):
        return None  # the stop monitor's to judge: such an order would sell at once
    return Order(
        intent_id=f"{session.day:%Y%m%d}-STOP-{day.rests + 1}",
        day=session.day,
        purpose="STOP",
        reason="resting_stop",
        action="SELL",
        shares=shares,
        order_type="STP",
        limit_usd=None,
        outside_rth=False,
        price_usd=seen.mark_usd if seen is not None else reference_price(state),
        deadline_ns=until_ns,
        stop_usd=level,
    )


def _strays(state: State) -> list[str]:
    """Stops in the gateway's book that are not the one known here: after a damaged journal."""
    plan, book = state.resting, state.book
    known = plan.order.intent_id if plan is not None and plan.status not in DONE_STATUSES else ""
    listed = (*book.working, *book.unknown) if book is not None else ()
    return [
        intent_id for intent_id in listed if purpose_of(intent_id) == "STOP" and intent_id != known
    ]
