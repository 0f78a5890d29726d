"""What is said of our own orders, booked on the plans: the entry, the exit, the stop at the broker.

Statuses and answers only: shares and money come from fills alone (ledger.py).
"""

from __future__ import annotations

from common.clock import SECOND_NS
from common.core.monitor import ledger
from common.core.monitor.exits import noted_price
from common.core.monitor.state import (
    EXIT_RETRY_S_MAX,
    Plan,
    State,
    capped,
    selling,
)
from common.messages import (
    DONE_STATUSES,
    Accepted,
    Exited,
    ExitFailed,
    MarginPreview,
    Now,
    Order,
    OrderUpdate,
    Reason,
    Refused,
    guards,
    purpose_of,
)

PIECES_OF_A_SIZE = 2
"""After so many the next is twice as large: the broker may have its reasons for a moment only, and
the orders of a day are numbered."""
PRICE_UNKNOWN_USD = 1.0  # an order is noted at a price; of one at market nothing follows from it


def take_plan(state: State, now: Now, order: Order) -> None:
    plan = Plan(order=order, asked_host_ns=now.host_ns)
    if order.purpose == "EXIT":
        state.exit = plan
        key = f"{order.day:%Y%m%d}"
        state.exit_attempt[key] = state.exit_attempt.get(key, 0) + 1
        return
    account = state.account
    plan.sized_on = account
    plan.equity_usd = capped(state, account.net_liquidation_usd) if account else 0.0
    plan.leverage = order.shares * order.price_usd / plan.equity_usd if plan.equity_usd > 0 else 0.0
    plan.again = state.day is not None and state.day.stops > 0
    state.entry = plan
    forget_preview(state)


def forget_preview(state: State) -> None:
    state.preview, state.preview_asked, state.preview_rejections = None, "", 0


def take_stop(state: State, now: Now, order: Order) -> None:
    state.resting = Plan(order=order, asked_host_ns=now.host_ns)
    _count_stop(state, order.intent_id)


def take_answer(state: State, answer: Accepted | Refused) -> None:
    for plan in (state.entry, state.exit, state.resting):
        if plan is not None and plan.order.intent_id == answer.key:
            plan.acknowledged = True
    if isinstance(answer, Refused):
        take_denial(state, answer.key, answer.reason)
    if answer.key == state.preview_asked and isinstance(answer, Refused):
        state.preview = MarginPreview(
            key=answer.key,
            shares=0,
            init_before_usd=0.0,
            init_after_usd=0.0,
            maint_after_usd=0.0,
            equity_with_loan_after_usd=0.0,
            commission_usd=0.0,
            problem=answer.reason,
        )


def take_denial(state: State, intent_id: str, reason: str) -> None:
    """Refused before it was sent; said of an order that the broker knows by now, it is stale."""
    for plan in (state.entry, state.exit, state.resting):
        if plan is not None and plan.order.intent_id == intent_id:
            plan.acknowledged = True
            if plan.status == "PendingSubmit" and plan.filled == 0:
                plan.status, plan.reason = "DENIED", reason


def take_status(state: State, now: Now, news: OrderUpdate) -> None:
    """The broker's word on an order; what is done stays done."""
    _count_stop(state, news.intent_id)
    _take_guard(state, now, news)
    for plan in (state.entry, state.exit, state.resting):
        if plan is not None and plan.order.intent_id == news.intent_id:
            plan.reported = max(plan.reported, news.filled)
            if plan.status in DONE_STATUSES and news.status not in DONE_STATUSES:
                return
            if news.status in DONE_STATUSES and plan.status not in DONE_STATUSES:
                plan.ended_host_ns = now.host_ns
            plan.status = news.status
            plan.reason = news.reason or plan.reason
            plan.acknowledged = plan.acknowledged or news.status != "UNKNOWN"


def _take_guard(state: State, now: Now, news: OrderUpdate) -> None:
    """An exit that the gateway sent by itself while we were silent is followed as if it were ours,
    so that none of ours goes beside it; it is the day's stop. Told again after a restart, its fills
    may come before or after it."""
    day, session = state.day, state.session
    if state.exit is not None or session is None or day is None or not guards(news.intent_id):
        return
    done = news.status in DONE_STATUSES
    number = int(news.intent_id.rpartition("-")[2])
    past = not news.intent_id.startswith(f"{session.day:%Y%m%d}-") or number <= day.guards
    if past or not (news.filled if done else state.shares):
        return
    day.guards = number
    order = Order(
        intent_id=news.intent_id,
        day=session.day,
        purpose="EXIT",
        reason="stop",
        action="SELL",
        shares=news.filled if done else news.filled + news.remaining,
        order_type="MKT",
        limit_usd=None,
        outside_rth=False,
        price_usd=noted_price(state) or news.average_usd or PRICE_UNKNOWN_USD,
        deadline_ns=session.close_ns,
    )
    plan = Plan(order=order, asked_host_ns=now.host_ns, direct=True)
    plan.filled, plan.value_usd = ledger.sold_by(state, news.intent_id)
    state.exit = plan
    if not state.stop_fired:
        state.stop_fired, state.fired_host_ns, state.breach = bool(state.shares), now.host_ns, None
        if day.stops <= day.exits:  # else this stop was ours, and is counted
            day.stops += 1
            day.stop_ns = now.market_ns


def _count_stop(state: State, intent_id: str) -> None:
    """No stop of a session gets a number that one before it had, also after a damaged journal."""
    day = state.day
    if day is not None and purpose_of(intent_id) == "STOP":
        name, _, number = intent_id.rpartition("-")
        if name.startswith(f"{day.day:%Y%m%d}") and number.isdigit():
            day.rests = max(day.rests, int(number))


def take_exited(state: State, message: Exited) -> None:
    reason: Reason = message.reason
    if state.day is not None:
        state.day.exits += 1
    if reason == "resting_stop":
        state.resting = None
    else:
        state.exit = None
    state.exit_failures = 0
    state.exit_rejected = ""
    if state.exit_piece:
        state.exit_pieces_sold += 1
        if state.exit_pieces_sold % PIECES_OF_A_SIZE == 0:
            state.exit_piece *= 2
    if state.shares and reason == "bear":
        state.bear_pending = True
    ledger.when_flat(state)


def take_exit_failed(state: State, now: Now, message: ExitFailed) -> None:
    """An exit that ended unfilled is tried again, each time a little later, after a margin
    rejection in smaller pieces."""
    plan, state.exit = state.exit, None
    state.exit_failures += 1
    state.exit_rejected = message.reason if message.rejected else state.exit_rejected
    wait_s = min(EXIT_RETRY_S_MAX, 2**state.exit_failures)
    state.exit_retry_host_ns = now.host_ns + wait_s * SECOND_NS
    if message.rejected and plan is not None:
        state.exit_piece = max(1, plan.order.shares // state.settings.exit.reject_slices)
        state.exit_pieces_sold = 0


def settle_exit(state: State, now: Now) -> None:
    """An exit that ended without a share sold has not failed when the stop at the broker sells, or
    nothing is held any more: the broker cancelled it for the stop's sake."""
    plan = state.exit
    if plan is None or plan.status not in DONE_STATUSES or plan.filled or plan.reported:
        return
    if state.shares == 0 or selling(state, now):
        state.exit = None
        ledger.when_flat(state)
