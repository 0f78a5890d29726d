"""order_executor's decider: the life of an order, as a table.

An order is asked for once per intent id; the same id again is the same order. The broker's word
moves it along the table below; a move the table does not know changes nothing. UNKNOWN is a state
like the others: it waits for proof and blocks entries.
"""

from __future__ import annotations

from datetime import date

from msgspec import Struct, field

from common import settings as settings_file
from common.clock import SECOND_NS
from common.core.staleness import late_since
from common.messages import (
    DONE_STATUSES,
    Accepted,
    Alert,
    BrokerLink,
    CancelOrder,
    Message,
    Now,
    Order,
    OrderState,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    Refused,
    Session,
    Started,
    SubmitOrder,
    Tick,
    purpose_of,
)
from common.settings import Settings

_ALIVE: frozenset[OrderStatus] = frozenset(
    {"PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "Inactive", "UNKNOWN"}
)
_ANY_END: frozenset[OrderStatus] = frozenset(
    {"ApiCancelled", "Cancelled", "Filled", "REJECTED", "UNKNOWN"}
)

# From each status, the statuses that may follow. A cancelled order may still be filled (the fill
# won the race); what is filled, refused by us or proven never to have left, stays so.
MOVES: dict[OrderStatus, frozenset[OrderStatus]] = {
    "PendingSubmit": _ALIVE | _ANY_END | {"DENIED", "ABANDONED"},
    "PreSubmitted": _ALIVE | _ANY_END,
    "Submitted": _ALIVE | _ANY_END,
    "PendingCancel": _ALIVE | _ANY_END,
    "Inactive": _ALIVE | _ANY_END,
    "UNKNOWN": _ALIVE | _ANY_END | {"ABANDONED", "DENIED"},
    "ApiCancelled": frozenset({"Cancelled", "Filled"}),
    "Cancelled": frozenset({"Filled"}),
    "REJECTED": frozenset({"Filled"}),
    "Filled": frozenset(),
    "DENIED": frozenset({"PreSubmitted", "Submitted", "Filled", "Cancelled", "REJECTED"}),
    "ABANDONED": frozenset({"PreSubmitted", "Submitted", "Filled", "Cancelled"}),
}


class Life(Struct):
    """One order: what was asked, and how far it is proven to have come."""

    order: Order
    status: OrderStatus = "PendingSubmit"
    filled: int = 0
    average_usd: float = 0.0
    reason: str = ""
    since_ns: int = 0
    since_host_ns: int = 0
    acknowledged: bool = False
    cancelling: bool = False


class State(Struct):
    settings: Settings
    lives: dict[str, Life] = field(default_factory=dict)
    early: dict[str, list[OrderUpdate]] = field(default_factory=dict)
    """News of orders not (or not yet) asked of us, oldest first: an exit that went straight to the
    gateway."""
    session: Session | None = None
    link: BrokerLink | None = None
    alerts: dict[str, str] = field(default_factory=dict)
    day: date | None = None


def start(settings: Settings) -> State:
    return State(settings=settings)


def ready(state: State) -> str:
    """ "" once the broker gateway has been heard."""
    return "" if state.link is not None else "waiting for the broker gateway"


def busy(state: State) -> bool:
    """Whether an order is alive."""
    return any(life.status not in DONE_STATUSES for life in state.lives.values())


def evolve(state: State, now: Now, message: Message) -> None:
    """Folds one message into the state."""
    match message:
        case PlaceOrder():
            _take_order(state, now, message.order)
        case OrderUpdate():
            _take_update(state, message)
        case Refused():
            _take_refusal(state, message)
        case CancelOrder():
            state.lives[message.intent_id].cancelling = True
        case Session():
            _take_session(state, message)
        case BrokerLink():
            state.link = message
        case Alert():
            if message.raised:
                state.alerts[message.code] = message.text
            else:
                state.alerts.pop(message.code, None)
        case Started():
            state.settings = settings_file.from_json(message.settings_json)
        case _:
            pass


def _take_order(state: State, now: Now, order: Order) -> None:
    if order.intent_id in state.lives:
        return
    state.lives[order.intent_id] = Life(
        order=order, since_ns=now.market_ns, since_host_ns=now.host_ns
    )
    for update in state.early.pop(order.intent_id, ()):
        _take_update(state, update)


def _take_update(state: State, update: OrderUpdate) -> None:
    life = state.lives.get(update.intent_id)
    if purpose_of(update.intent_id) == "STOP":
        return  # the risk monitor's own, never asked for here
    if life is None:
        news = state.early.setdefault(update.intent_id, [])
        if update not in news[-1:]:
            news.append(update)
        return
    if update.filled >= life.filled:
        life.filled, life.average_usd = update.filled, update.average_usd
    life.reason = update.reason or life.reason
    if update.status in MOVES[life.status]:
        life.status = update.status
    life.acknowledged = life.acknowledged or update.status not in ("PendingSubmit", "UNKNOWN")


def _take_refusal(state: State, answer: Refused) -> None:
    life = state.lives.get(answer.key)
    if life is not None and life.status == "PendingSubmit":
        life.status, life.reason = "DENIED", answer.reason


def _take_session(state: State, session: Session) -> None:
    state.session = session
    if state.day is None or session.day > state.day:
        state.day = session.day
        state.lives = {
            key: life for key, life in state.lives.items() if life.status not in DONE_STATUSES
        }
        state.early = {}


def decide(state: State, now: Now, message: Message) -> list[Message]:
    """Everything this message asks for."""
    match message:
        case PlaceOrder():
            return _on_order(state, message)
        case OrderUpdate():
            life = state.lives.get(message.intent_id)
            return [] if life is None else [_state_of(life)]
        case Refused():
            life = state.lives.get(message.key)
            return [] if life is None else [_state_of(life)]
        case Tick():
            return _on_time(state, now)
        case _:
            return []


def _on_order(state: State, message: PlaceOrder) -> list[Message]:
    order = message.order
    life = state.lives[order.intent_id]
    if life.order != order:
        reason = f"{order.intent_id} was already asked for with other terms"
        return [Refused(key=message.key, reason=reason)]
    accepted = Accepted(key=message.key, note=life.status)
    cancels = _cancel_entries(state) if order.purpose == "EXIT" else []
    if life.status != "PendingSubmit" or life.acknowledged:
        return [accepted, *cancels, _state_of(life)]
    # Asked until answered: only the gateway knows whether an order past its deadline ever left.
    submit = SubmitOrder(key=order.intent_id, deadline_ns=0, order=order)
    return [accepted, *cancels, submit]


def _cancel_entries(state: State) -> list[Message]:
    """Nothing is bought any more once we sell."""
    return [
        _cancel(life, "an exit is on its way")
        for life in state.lives.values()
        if life.order.purpose == "ENTRY"
        and life.status not in DONE_STATUSES
        and not life.cancelling
    ]


def _cancel(life: Life, why: str) -> CancelOrder:
    intent_id = life.order.intent_id
    return CancelOrder(key=f"{intent_id}-CANCEL", deadline_ns=0, intent_id=intent_id, why=why)


def _state_of(life: Life) -> OrderState:
    order = life.order
    return OrderState(
        intent_id=order.intent_id,
        purpose=order.purpose,
        status=life.status,
        shares=order.shares,
        filled=life.filled,
        average_usd=life.average_usd,
        reason=life.reason,
    )


def _on_time(state: State, now: Now) -> list[Message]:
    current = _conditions(state, now)
    raised: list[Message] = [
        Alert(level="page", code=code, text=text, raised=True)
        for code, text in current.items()
        if code not in state.alerts
    ]
    ended: list[Message] = [
        Alert(level="page", code=code, text=f"over: {text}", raised=False)
        for code, text in state.alerts.items()
        if code not in current
    ]
    return [*raised, *ended, *_cancel_late_entries(state, now)]


def _conditions(state: State, now: Now) -> dict[str, str]:
    found: dict[str, str] = {}
    acknowledge_ns = int(state.settings.limits.acknowledge_s * SECOND_NS)
    unfilled_s = state.settings.exit.unfilled_page_s
    for key, life in state.lives.items():
        if life.status in DONE_STATUSES:
            continue
        if life.status == "UNKNOWN":
            found[f"unknown-{key}"] = f"order {key} is UNKNOWN: {life.reason or 'no proof yet'}"
        elif not (life.acknowledged or 0 <= now.host_ns - life.since_host_ns <= acknowledge_ns):
            found[f"dialog-{key}"] = f"no word of order {key}: is TWS waiting on a dialog?"
        waited = late_since(life.since_ns, life.since_host_ns, now, unfilled_s)
        if life.order.purpose == "EXIT" and waited:
            left = life.order.shares - life.filled
            found[f"unfilled-{key}"] = f"exit {key}: {left} shares not sold, {life.status}"
    return found


def _cancel_late_entries(state: State, now: Now) -> list[Message]:
    """What an entry has not bought by its deadline is not bought at all."""
    return [
        _cancel(life, "past the entry's deadline")
        for life in state.lives.values()
        if life.order.purpose == "ENTRY"
        and life.acknowledged
        and life.status not in DONE_STATUSES
        and not life.cancelling
        and now.market_ns >= life.order.deadline_ns
    ]
