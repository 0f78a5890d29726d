"""The last hop's own limits: what may never leave, whoever asks for it.

Each function returns "" or one plain sentence that says what is wrong and what mends it. They
trust no other process: account, price, equity and position are the gateway's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.clock import MINUTE_NS, SECOND_NS
from common.core.gateway import one_cancels_all
from common.core.gateway.state import AT_BROKER, IN_DOUBT, Outbound, State, seconds_since
from common.messages import Now, Order, Session
from common.settings import Account as AccountSettings

PRICE_AGE_S_MAX = 60.0
"""Market seconds; this limit is against gross error, the risk monitor asks for fresher prices."""

PRICE_APART_FRACTION_MAX = 0.01
"""Between the gateway's own price and the one that a purchase was sized at: beyond it one of them
is wild, and the largest leverage alone would let an order of a smaller tier grow by a quarter."""

EXIT_ACTIONS_FACTOR = 2
"""Exits may go on to twice the day's number of orders: enough to get out, still a bound."""

EXTENDED_BEFORE_OPEN_NS = 330 * MINUTE_NS  # from 04:00 on a full day
EXTENDED_AFTER_CLOSE_NS = 240 * MINUTE_NS  # to 20:00, 17:00 on an early close

RELEARNING = "the journal was damaged: first the broker's books must show what it has forgotten"

POSITION_SETTLES_S = 3.0
"""Host seconds in which TWS's position may lag behind its executions."""


ACCOUNTS_SHOWN = 20  # of a login's, in one line


def shortened(account: str) -> str:
    """An account id as it may be shown: the first two and the last two characters. Once is enough:
    what is shortened already stays as it is."""
    return account if "*" in account or len(account) < 5 else f"{account[:2]}***{account[-2:]}"


def account_refusal(settings: AccountSettings, accounts: Sequence[str]) -> tuple[str, str, bool]:
    """The account to use, or why none: (account, refusal, wrong). The port proves nothing.

    `wrong`: it is the wrong account or mode, which locks; otherwise a setting is missing.
    Source: spec section 3; paper ids begin with D.
    """
    shown = ", ".join(shortened(account) for account in accounts[:ACCOUNTS_SHOWN])
    if len(accounts) > ACCOUNTS_SHOWN:
        shown += f" and {len(accounts) - ACCOUNTS_SHOWN} more"
    if settings.id:
        if settings.id not in accounts:
            named = shortened(settings.id)
            return "", f"account.id {named} is not under this login, which has: {shown}", True
        account = settings.id
    elif len(accounts) == 1:
        account = accounts[0]
    else:
        return "", f"several accounts under this login: {shown}; set account.id to one", False
    if settings.mode == "paper" and not account.startswith("D"):
        refusal = (
            f"{shortened(account)} is not a paper account (paper ids begin with D): log in to "
            "paper trading, or set account.mode and account.id for live trading"
        )
        return "", refusal, True
    return account, "", False


def other_account_refusal(known: str, account: str) -> str:
    """Orders, fills and position of this journal belong to one account; none goes to another."""
    return (
        f"this journal is of account {shortened(known)}, TWS has {shortened(account)}: log in to "
        f"{shortened(known)} and name it in account.id, or begin with a new TRADER_VAR folder"
    )


def order_refusal(state: State, now: Now, order: Order) -> str:
    """What holds for every order at every time: its own terms, the latch and the wrong TWS."""
    if state.mode == "LOCKED":
        return f"locked: {state.mode_reason}; see `trader unlock`"
    if state.link.refusal:
        return state.link.refusal
    if (order.purpose == "ENTRY") != (order.action == "BUY"):
        return f"an {order.purpose} may not {order.action}"
    if (order.order_type == "LMT") != (order.limit_usd is not None):
        return "a limit price belongs to a limit order, and only there"
    if len({order.purpose == "STOP", order.order_type == "STP", order.stop_usd is not None}) > 1:
        return "a stop price belongs to a stop that rests at the broker, and only there"
    if order.deadline_ns and now.market_ns > order.deadline_ns:
        return "too late: past its deadline"
    allowed = state.settings.limits.orders_per_day_max
    if order.purpose == "EXIT":
        allowed *= EXIT_ACTIONS_FACTOR
    if state.actions.get(budget_of(order), 0) >= allowed:
        return f"{allowed} orders were sent today already (limits.orders_per_day_max)"
    return ""


def budget_of(order: Order) -> str:
    """Under which name its sends and cancels are counted: stops at the broker have a count of their
    own, so that no exit is refused because of them."""
    day = f"{order.day:%Y%m%d}"
    return f"{day}-STOP" if order.purpose == "STOP" else day


def window_refusal(session: Session | None, now: Now, order: Order) -> str:
    """Whether the exchange takes this kind of order now; the order-window table.

    MKT, STP and plain LMT: the regular session. LMT outside regular hours: 04:00 to 20:00 New York
    time of a session day, 17:00 after an early close. MOC, LOC and OPG are never sent.
    """
    if session is None:
        return "the exchange's hours are not known: no word from the market feed yet"
    pairs = (
        (session.open_ns, session.close_ns),
        (session.next_open_ns, session.next_close_ns),
    )
    if any(open_ns <= now.market_ns < close_ns for open_ns, close_ns in pairs):
        return ""
    if not order.outside_rth:
        return "the market is closed: only a limit order for outside regular hours may go"
    if order.order_type != "LMT":
        return "only a limit order may go outside regular hours"
    for open_ns, close_ns in pairs:
        early, late = open_ns - EXTENDED_BEFORE_OPEN_NS, close_ns + EXTENDED_AFTER_CLOSE_NS
        if early <= now.market_ns < late:
            return ""
    return "no trading at this hour, not even outside regular hours"


def refusal(state: State, now: Now, order: Order) -> str:
    """Why this order may not leave; what only has to wait is in `wait`."""
    if order.purpose == "ENTRY":
        return entry_refusal(state, now, order)
    if order.purpose == "STOP":
        return stop_refusal(state, now, order)
    return exit_refusal(state, now, order)


def wait(state: State, now: Now, order: Order) -> str:
    """Why this order has to wait for now; it leaves by itself once it may. No entry ever waits."""
    if order.purpose == "ENTRY":
        return ""
    if order.purpose == "STOP":
        return stop_wait(state, now, order)
    return exit_wait(state, now, order)


def entry_refusal(state: State, now: Now, order: Order) -> str:
    """Why this purchase may not leave now."""
    reasons = (
        order_refusal(state, now, order),
        _entry_state_refusal(state, order),
        window_refusal(state.session, now, order),
        _entry_size_refusal(state, now, order),
    )
    return next((reason for reason in reasons if reason), "")


def exit_refusal(state: State, now: Now, order: Order) -> str:
    """Why this sale may never leave; what only has to wait is in `exit_wait`."""
    reason = order_refusal(state, now, order)
    if reason:
        return reason
    if not (state.link.healthy and state.link.reconciled) or _position_may_lag(state, now):
        return ""
    in_orders = one_cancels_all.sold_beside(state, now, order)
    if one_cancels_all.in_the_way(state, now, order):  # the stop alone is worth waiting for
        in_orders = one_cancels_all.exits_beside(state, order) + state.foreign_sells
    if order.shares <= state.held_at_most - in_orders:
        return ""
    return (
        f"never short: {order.shares} to sell, {state.held_at_most} held, of which {in_orders} "
        "are in orders already"
    )


def exit_wait(state: State, now: Now, order: Order) -> str:
    """Why this sale has to wait for now; it leaves by itself once it may."""
    link = state.link
    if not link.healthy:
        return "no sound link to IB"
    if link.instrument:
        return link.instrument
    if state.relearning:
        return RELEARNING
    if not link.reconciled and not (state.snapshots.ever and link.position_said):
        return "the position is not proven yet"
    if not link.reconciled and _sale_in_doubt(state):
        return "the position is not proven yet"
    reason = window_refusal(state.session, now, order)
    if reason:
        return reason
    if order.shares > state.held_proven - one_cancels_all.sold_beside(state, now, order):
        return one_cancels_all.in_the_way(state, now, order) or "the position is not proven yet"
    return ""


def stop_refusal(state: State, now: Now, order: Order) -> str:
    """Why this stop may never rest at the broker: what holds for an exit, and that it is alone."""
    for out in state.open_orders():
        if out.order.action == "SELL" and out.order.intent_id != order.intent_id:
            return f"no stop beside {out.order.intent_id}, which is {out.stage.lower()}"
    reason = exit_refusal(state, now, order)
    if reason:
        return reason
    age_ns = now.market_ns - state.price_market_ns
    fresh = state.price_kind == "live" and age_ns <= PRICE_AGE_S_MAX * SECOND_NS
    if fresh and order.stop_usd is not None and 0 < state.price_usd <= order.stop_usd:
        return f"a stop at {order.stop_usd:.2f} would sell at once: SMH is {state.price_usd:.2f}"
    return ""


def stop_wait(state: State, now: Now, order: Order) -> str:
    """Why this stop has to wait: no exit needs it, so it asks for books compared and agreeing."""
    if not (state.link.healthy and state.link.reconciled):
        return "orders and position are being compared with the broker"
    if state.position_reported != state.position_by_fills:
        return "the position is not proven yet"
    return exit_wait(state, now, order)


def link_refusal(state: State) -> str:
    """Why nothing that adds risk may be asked of this TWS now."""
    link = state.link
    if not link.healthy:
        return link.down_reason if not link.up else "TWS has lost its connection to IB"
    if state.relearning:
        return RELEARNING
    if not link.reconciled or state.snapshots.awaited:
        return "orders and position are being compared with the broker"
    if not link.refreshed:
        return "the account was not reported yet"
    offset_s = link.clock_offset_s
    if offset_s is not None and abs(offset_s) > state.settings.data.clock_offset_s_max:
        return f"this machine's clock is off by {offset_s:.1f} s (data.clock_offset_s_max)"
    return link.instrument


def _entry_state_refusal(state: State, order: Order) -> str:
    if state.mode != "ACTIVE":
        return f"halted: {state.mode_reason}; `trader resume` ends it"
    reason = link_refusal(state)
    if reason:
        return reason
    if not state.disk_roomy:
        return "the disk is full: orders could not be recorded"
    for out in state.open_orders():
        if out.order.intent_id != order.intent_id:
            return f"order {out.order.intent_id} is {out.stage.lower()}"
    if state.foreign:
        return "an order that is not ours is working in this instrument"
    if state.position_reported != state.position_by_fills:
        return "the reported position and the executions differ"
    if state.held_proven < 0:
        return "the account is short"
    return ""


def _entry_size_refusal(state: State, now: Now, order: Order) -> str:
    settings = state.settings
    if not state.price_usd:
        return "the gateway has no price of its own yet"
    age_s = (now.market_ns - state.price_market_ns) / SECOND_NS
    if age_s > PRICE_AGE_S_MAX:
        return f"the gateway's own price is {age_s:.0f} s old"
    if abs(order.price_usd / state.price_usd - 1.0) > PRICE_APART_FRACTION_MAX:
        return (
            f"it was sized at ${order.price_usd:,.2f}, the gateway's own price is "
            f"${state.price_usd:,.2f}: more than {PRICE_APART_FRACTION_MAX:.0%} apart"
        )
    price_usd = max(state.price_usd, order.limit_usd or 0.0)
    value_usd = order.shares * price_usd
    if value_usd > settings.limits.order_value_usd_max:
        return f"an order of ${value_usd:,.0f} is above limits.order_value_usd_max"
    equity_usd = state.equity_usd
    if equity_usd <= 0:
        return "no equity to measure the order by"
    tolerance = settings.limits.leverage_tolerance
    leverage = (max(0, state.held_at_most) * price_usd + value_usd) / equity_usd
    if leverage > settings.leverage.largest * tolerance:
        return (
            f"leverage would be {leverage:.2f}x; the most is {settings.leverage.largest:g}x "
            f"times limits.leverage_tolerance {tolerance:g}"
        )
    return ""


def _sale_in_doubt(state: State) -> bool:
    return any(out.stage in AT_BROKER and out.order.action == "SELL" for out in _ours(state))


def _position_may_lag(state: State, now: Now) -> bool:
    differs = state.position_reported != state.position_by_fills
    young = seconds_since(now, state.differs_since_host_ns) < POSITION_SETTLES_S
    in_doubt = any(out.stage in IN_DOUBT and not out.absence_proven for out in _ours(state))
    return (differs and young) or in_doubt


def _ours(state: State) -> list[Outbound]:
    return state.open_orders()
