"""Exits: one at a time, until flat. The stop, a bear signal and `trader flatten` all come here.

An exit needs no signal, no VIX and no executor: when the executor does not acknowledge within
`exit.unacknowledged_s` of host time, the same order goes straight to the gateway under the same
key. What cannot be sold before the close is sold at the next open.
"""

from __future__ import annotations

from common.clock import MINUTE_NS, SECOND_NS
from common.core.monitor.state import (
    EXIT_RETRY_S_MAX,
    Plan,
    State,
    in_session,
    reference_price,
    selling,
    shown_price,
)
from common.messages import (
    DONE_STATUSES,
    GUARD_FIRST,
    Exited,
    ExitFailed,
    Message,
    Now,
    Order,
    PlaceOrder,
    Reason,
    Session,
    SubmitOrder,
)

LOST_AFTER_NS = MINUTE_NS  # past an order's deadline, market time
ATTEMPTS_MAX = GUARD_FIRST - 1  # of the monitor; the numbers above are the gateway's own

EXTENDED_HOURS_NS = 4 * 60 * MINUTE_NS
"""Trading outside regular hours ends so long after the close, after an early one too."""


def wanted(state: State) -> Reason | None:
    """Why the position must go, the strongest reason first; None when it may stay."""
    if not state.shares or state.shares < 0:
        return None
    if state.stop_fired:
        return "stop"
    if state.flatten_pending:
        return "flatten"
    return "bear" if _bear(state) else None


def _bear(state: State) -> bool:
    return state.bear_pending and state.ours


def decide(state: State, now: Now) -> list[Message]:
    """The exit order, its way round a silent executor, its end."""
    plan = state.exit
    if plan is not None:
        done = _outcome(state) or _lost(state, now)
        if done or plan.status in DONE_STATUSES:
            return done
        waited_ns = now.host_ns - plan.asked_host_ns
        limit_ns = int(state.settings.exit.unacknowledged_s * SECOND_NS)
        if not (plan.acknowledged or plan.direct) and not 0 <= waited_ns < limit_ns:
            order = plan.order
            return [SubmitOrder(key=order.intent_id, deadline_ns=0, order=order)]
        return []
    reason = wanted(state)
    # A wait longer than the longest was measured on another boot's host time.
    wait_ns = state.exit_retry_host_ns - now.host_ns
    if reason is None or (state.exit_failures and 0 <= wait_ns <= EXIT_RETRY_S_MAX * SECOND_NS):
        return []
    return leave(state, now, reason)


def leave(state: State, now: Now, reason: Reason) -> list[Message]:
    """The exit order for `reason`, unless one is on its way or the market is shut. A stop at the
    broker that has begun to sell is one."""
    session = state.session
    order = None
    if state.exit is None and session is not None and not selling(state, now):
        order = _order(state, now, session, reason)
    if order is None:
        return []
    return [PlaceOrder(key=order.intent_id, deadline_ns=0, order=order)]


def _order(state: State, now: Now, session: Session, reason: Reason) -> Order | None:
    shares = state.shares or 0
    if state.book is not None:
        shares -= min(shares, state.book.foreign_sell_shares)
    price = noted_price(state)
    if shares < 1 or price is None:
        return None
    if state.exit_piece:
        shares = min(shares, state.exit_piece)
    after_hours = (  # whatever else is pending: a stop that the close cut off waits for the open
        _bear(state)
        and state.settings.exit.bear == "after_hours"
        and 0 <= now.market_ns - session.close_ns < EXTENDED_HOURS_NS
    )
    if not (in_session(state, now) or after_hours):
        return None
    key = f"{session.day:%Y%m%d}"
    attempt = state.exit_attempt.get(key, 0) + 1
    if attempt > ATTEMPTS_MAX:
        return None
    limit = round(price * (1.0 - state.settings.exit.after_hours_limit_fraction), 2)
    return Order(
        intent_id=f"{key}-EXIT-{attempt}",
        day=session.day,
        purpose="EXIT",
        reason="bear" if after_hours else reason,
        action="SELL",
        shares=shares,
        order_type="LMT" if after_hours else "MKT",
        limit_usd=limit if after_hours else None,
        outside_rth=after_hours,
        price_usd=price,
        deadline_ns=session.next_open_ns if after_hours else session.close_ns,
    )


def noted_price(state: State) -> float | None:
    """The price the order is noted at; a market order needs none, so any recent one serves."""
    if state.quote is not None:
        return state.quote.mark_usd
    account = state.account
    known = (account.mark_usd, account.average_cost_usd) if account is not None else ()
    return next((usd for usd in (*known, reference_price(state)) if shown_price(usd)), None)


def _lost(state: State, now: Now) -> list[Message]:
    """A day order past its deadline that the gateway, compared with the broker, does not know: a
    damaged journal has forgotten it, and nobody will ever say how it ended."""
    plan, session, book = state.exit, state.session, state.book
    if plan is None or session is None or book is None or "OrderBook" in state.silent:
        return []
    intent_id, late_ns = plan.order.intent_id, now.market_ns - plan.order.deadline_ns
    known = not book.reconciled or intent_id in (*book.working, *book.unknown)
    if known or late_ns < LOST_AFTER_NS or plan.status in DONE_STATUSES:
        return []
    return [_failed(state, session, plan, "the gateway does not know it any more")]


def _failed(state: State, session: Session, plan: Plan, reason: str) -> ExitFailed:
    return ExitFailed(
        day=session.day,
        intent_id=plan.order.intent_id,
        shares_left=max(0, state.shares or 0),
        rejected=plan.status == "REJECTED",
        reason=reason,
    )


def _outcome(state: State) -> list[Message]:
    """Exited when the order is filled; ExitFailed when it ended otherwise; nothing while it lives.

    Fills are the evidence: an order is not over before the executions it reports are booked.
    """
    plan, session = state.exit, state.session
    assert plan is not None
    if session is None or (plan.filled < plan.reported and not _counted_anew(state, plan)):
        return []
    order = plan.order
    filled = plan.filled >= order.shares
    if not filled and plan.status not in DONE_STATUSES:
        return []
    out: list[Message] = []
    if plan.filled:
        out.append(exited(state, session, plan))
    if not filled and not (plan.filled and state.shares == 0):
        ended = f"{plan.status} with {plan.filled} of {order.shares} filled"
        out.append(_failed(state, session, plan, plan.reason or ended))
    return out


def _counted_anew(state: State, plan: Plan) -> bool:
    """It is done, and the broker's own count was believed since it was asked for and holds: the
    executions that are missing never come, or are in that count."""
    account = state.account
    return (
        plan.status in DONE_STATUSES
        and plan.recounted
        and account is not None
        and account.shares == state.shares
    )


def exited(state: State, session: Session, plan: Plan) -> Exited:
    """What a sale that is over has brought."""
    average = plan.value_usd / plan.filled
    base = state.baseline
    profit = 0.0
    equity = state.account.net_liquidation_usd if state.account is not None else 0.0
    if base is not None:
        profit = (state.shares or 0) * average - base.shares * base.price_usd + base.cash_flow_usd
        equity = base.baseline_usd + profit
    return Exited(
        day=session.day,
        shares=plan.filled,
        price_usd=average,
        reason=plan.order.reason,
        profit_usd=profit,
        equity_usd=equity,
    )
