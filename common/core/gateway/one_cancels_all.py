"""How the stop at the broker and an exit exclude each other, so that nothing is sold twice.

The stop opens a one-cancels-all group named after its own orderRef. An exit that is sent while the
stop is proven to rest there, untouched, joins the group: the broker then fills one of the two and
cancels the other, and together they count once. While anything about the stop is in doubt (sent and
not acknowledged, unknown, being cancelled, begun to fill, books not compared) they count as a sum,
so the exit waits until the doubt is over; doubt that time alone would end is ended by cancelling.
IB closes a group's name with its orders, so nothing joins the group of a stop that is being
cancelled or whose session is over. Nor does anything join a group in which an exit has ended while
the stop lives: IB may not take an exit beside it at all, so the stop is cancelled once the next
exit waits for it, and that one goes alone.
"""

from __future__ import annotations

from common.core.gateway.state import AT_BROKER, Outbound, State, seconds_since
from common.messages import Now, Order

EXCESS_S = 1.0
"""Host seconds for which a stop may be larger than the position: the broker's own cancel of an OCA
group follows the exit's first fill."""

CANCELS_MAX = 10
"""Times that one order's cancel is sent; then a person has to look."""


def live_stop(state: State) -> Outbound | None:
    """The oldest stop of ours that rests at the broker, or may."""
    for out in state.orders.values():
        if out.stage in AT_BROKER and out.order.purpose == "STOP":
            return out
    return None


def stop_sells(state: State) -> bool:
    """The stop at the broker has begun to fill: it is the exit."""
    stop = live_stop(state)
    return stop is not None and bool(stop.filled or stop.reported_filled)


def group_of(state: State, now: Now, order: Order) -> str:
    """The OCA group in which this order would be sent, or was: the same terms for ever."""
    out = state.orders.get(order.intent_id)
    if out is not None and out.sends:
        return out.oca_group
    stop = live_stop(state) if order.purpose == "EXIT" else None
    if stop is None or not _joinable(state, now, stop) or exits_beside(state, order):
        return ""
    return stop.oca_group


def sold_beside(state: State, now: Now, order: Order) -> int:
    """Shares that may be sold in addition to this order's own."""
    return state.working_sells(order.intent_id, group_of(state, now, order))


def exits_beside(state: State, order: Order) -> int:
    """Shares that other exits of ours at the broker may still sell."""
    return sum(
        out.remaining
        for out in state.orders.values()
        if out.stage in AT_BROKER
        and out.order.purpose == "EXIT"
        and out.order.intent_id != order.intent_id
    )


def in_the_way(state: State, now: Now, order: Order) -> str:
    """Why an exit has to wait for the stop at the broker; "" when it excludes it, or none rests."""
    stop = live_stop(state)
    if order.purpose != "EXIT" or stop is None:
        return ""
    if stop.oca_group and group_of(state, now, order) == stop.oca_group and stop.untouched:
        return ""
    doubt: str = "being cancelled" if stop.cancel_sent else stop.status
    if stop.filled or stop.reported_filled:
        doubt = "selling"
    return f"the stop {stop.order.intent_id} at the broker is {doubt}, and both might sell"


def _joinable(state: State, now: Now, stop: Outbound) -> bool:
    session = state.session
    return (
        stop.untouched
        and not stop.cancel_sent
        and not _spent(state, stop)
        and state.link.healthy
        and state.link.reconciled
        and session is not None
        and stop.order.day == session.day
        and now.market_ns < session.close_ns
    )


def _spent(state: State, stop: Outbound) -> bool:
    """An exit of the stop's group has ended while the stop lives, most likely refused."""
    return any(
        out.done and out.order.purpose == "EXIT" and out.oca_group == stop.oca_group
        for out in state.orders.values()
    )


def note_excess(state: State, now: Now) -> None:
    """Since when the stops at the broker might sell more than is held."""
    resting = sum(
        out.remaining
        for out in state.orders.values()
        if out.stage in AT_BROKER and out.order.purpose == "STOP"
    )
    if resting and resting + state.foreign_sells > max(0, state.held_proven):
        state.excess_since_host_ns = state.excess_since_host_ns or now.host_ns
    else:
        state.excess_since_host_ns = 0


def excess_s(state: State, now: Now) -> float:
    """Host seconds since the stops at the broker exceed the position; 0 while they do not."""
    since_ns = state.excess_since_host_ns
    return seconds_since(now, since_ns) if since_ns else 0.0


def cancel_due(state: State, now: Now, out: Outbound, *, exit_waits: bool = False) -> bool:
    """Whether this order is to be cancelled at the broker now. `exit_waits`: an exit is due that
    nobody has asked for, the guard's.

    A stop beside which an exit works is left alone: the group cancels it; until then it protects.
    An entry that still works when something halts is new risk, as is the rest of one that is sold.
    """
    if out.cancel_sent or out.cancels >= CANCELS_MAX or out.stage not in AT_BROKER:
        return False
    if out.order.purpose == "ENTRY" and (state.mode != "ACTIVE" or _sold_after(state, out)):
        return True
    if out.order.purpose == "STOP":
        oldest = live_stop(state)
        if out is oldest and excess_s(state, now) > EXCESS_S:
            return True
        exit_waits = exit_waits or any(o.stage == "PREPARED" for o in _sales(state, out))
        if exit_waits and _stays_in_the_way(state, out):
            return True
        if any(o.oca_group == out.oca_group for o in _sales(state, out) if o.stage in AT_BROKER):
            return False
    return out.cancel_wanted or _held_back(state, now, out)


def _held_back(state: State, now: Now, out: Outbound) -> bool:
    """IB does not work it and does not say why. It may begin to at any time, so nothing may take
    its place before its cancel is confirmed; by itself it might never end. Each of a day is given
    twice the time of the one before: what holds them all must not use up the day's orders."""
    since_ns = out.inactive_host_ns
    if not since_ns:
        return False
    before = sum(
        other.done and other.inactive_host_ns > 0
        for other in state.orders.values()
        if (other.order.day, other.order.purpose) == (out.order.day, out.order.purpose)
    )
    return seconds_since(now, since_ns) > state.settings.limits.acknowledge_s * (1 << before)


def _sold_after(state: State, entry: Outbound) -> bool:
    """A sale of what the entry has bought has begun: the rest must not be bought any more."""
    return any(
        out.order_id > entry.order_id
        and out.order.action == "SELL"
        and bool(out.order.purpose == "EXIT" or out.filled or out.reported_filled)
        for out in state.orders.values()
    )


def _stays_in_the_way(state: State, stop: Outbound) -> bool:
    """No word comes by itself on an order that is unknown or inactive; on its cancel it does. And
    no exit is taken in a group that is spent."""
    doubtful = stop.stage == "UNKNOWN" or stop.status == "Inactive"
    return doubtful or (stop.untouched and _spent(state, stop))


def _sales(state: State, but: Outbound) -> list[Outbound]:
    return [o for o in state.open_orders() if o.order.action == "SELL" and o is not but]
