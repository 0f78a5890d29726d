"""Decider of broker_gateway: the only place from which an order leaves.

Theory. An order that was asked for is PREPARED on disk; the decision to send it (SENDING, with its
order id) is on disk before a byte leaves; TWS's own words make it WORKING or DONE. Whenever the
link or this process dies in between, it is UNKNOWN, and stays so until the broker's books prove
where it is (`reconcile`). The same intent asked again is the same order: it never gets a second
order id, and a second send only when it is proven, or harmless, to send that id again.

evolve books what is heard (`bookings`); decide answers commands, does what is due, and says what is
news. The limits stand in `limits`, the life of an order in `outbound`.
"""

from __future__ import annotations

from common.core.gateway import (
    guard,
    limits,
    one_cancels_all,
    outbound,
    reconcile,
    references,
    subscription,
    words,
)
from common.core.gateway.bookings import BOOKINGS
from common.core.gateway.state import (
    READ_ONLY,
    Asked,
    Outbound,
    State,
    seconds_since,
)
from common.messages import (
    Accepted,
    CancelOrder,
    Halt,
    Message,
    Now,
    PreviewMargin,
    Refused,
    Resume,
    SubmitOrder,
    Tick,
    Unlock,
)
from common.settings import Settings
from common.tws import codes
from common.tws import messages as tws
from common.tws.link_messages import LinkUp, TwsError

__all__ = ["DURABLE", "EDGE_MESSAGES", "State", "busy", "decide", "evolve", "ready", "start"]

DURABLE: frozenset[type[Message]] = frozenset({tws.SendOrder, tws.AskPreview})
EDGE_MESSAGES: tuple[type[Message], ...] = (*tws.TWS_MESSAGES, *tws.EFFECTS)

EXIT_RESEND_S = 2.0
"""Host seconds: an exit TWS has not acknowledged is sent once more, with the same order id, over
the same sound connection. TWS takes that as the same order, or answers 103."""


READ_ONLY_LOOK_S = 30.0
"""Host seconds between two looks whether a person has unticked TWS's Read-Only API."""


def start(settings: Settings) -> State:
    return State(settings)


def ready(state: State) -> str:
    said = words.link(state)
    if said.state == "ready" and state.link.clock_offset_s is None:
        return "comparing the clocks"
    return "" if said.state == "ready" else f"link {said.state}: {said.reason}"


def busy(state: State) -> bool:
    """An order, a what-if, a comparison or a position that does not add up is under way."""
    moving = any(out.stage != "WORKING" or _fills_soon(out) for out in state.open_orders())
    apart = not state.link.reconciled or state.differs_since_host_ns > 0
    comparing = state.link.healthy and apart
    asking = state.snapshots.pending and not state.snapshots.routine
    return moving or comparing or asking or state.preview is not None


def _fills_soon(out: Outbound) -> bool:
    triggered = out.order.order_type == "STP" and out.status == "Submitted"
    return out.order.order_type == "MKT" or out.cancel_wanted or out.cancel_sent or triggered


# --- evolve ------------------------------------------------------------------------------------


def evolve(state: State, now: Now, message: Message) -> None:
    """The only place that changes the state; deterministic, never raises on a valid message."""
    if message in state.unsaid:
        state.unsaid.remove(message)
    booking = BOOKINGS.get(type(message))
    if booking is not None:
        booking(state, now, message)
        outbound.note_inactive(state, now)
        one_cancels_all.note_excess(state, now)
        if state.link.reconciled and state.held_at_most <= 0:
            guard.served(state.guard)


# --- decide ------------------------------------------------------------------------------------


def decide(state: State, now: Now, message: Message) -> list[Message]:
    """Answers, then what is due, then what is news. Changes nothing."""
    outputs: list[Message] = []
    match message:
        case SubmitOrder() | CancelOrder() | PreviewMargin() | Halt() | Resume() | Unlock():
            outputs += _answer(state, now, message)
        case LinkUp() if not state.link.refusal:
            outputs.append(tws.Subscribe(account=state.link.account))
        case TwsError(code=codes.LINK_BACK_DATA_LOST) if state.link.healthy:
            outputs.append(tws.Subscribe(account=state.link.account))
        case TwsError(code=codes.LINK_BACK) if state.link.healthy and state.link.instrument:
            outputs.append(tws.Subscribe(account=state.link.account))  # unanswered while it was cut
        case TwsError(code=codes.DUPLICATE_ORDER_ID):
            outputs.append(tws.ReserveIds())
        case Tick() | tws.Snapshot():
            outputs += _due(state, now)
        case _:
            pass
    return [*outputs, *state.unsaid, *words.changed(state, now)]


def _answer(state: State, now: Now, asked: Asked) -> list[Message]:
    match asked:
        case SubmitOrder():
            return _answer_submit(state, now, asked)
        case CancelOrder():
            if asked.intent_id not in state.orders:
                return [Refused(key=asked.key, reason="no such order was ever accepted here")]
            out = state.orders[asked.intent_id]
            return [Accepted(key=asked.key, note="already done" if out.done else "")]
        case PreviewMargin():
            return _answer_preview(state, asked)
        case Resume() if state.mode == "LOCKED":
            return [Refused(key=asked.key, reason="locked, not halted: see `trader unlock`")]
        case Unlock() if state.link.wrong_account:
            return [Refused(key=asked.key, reason=f"still so: {state.link.refusal}")]
        case _:
            return [Accepted(key=asked.key, note="")]


def _answer_submit(state: State, now: Now, asked: SubmitOrder) -> list[Message]:
    order = asked.order
    known = state.orders.get(order.intent_id)
    if known is not None:
        terms = (known.order.action, known.order.shares)
        if known.order != order and not (known.found and terms == (order.action, order.shares)):
            reason = f"{order.intent_id} was asked for before with other terms"
            return [Refused(key=asked.key, reason=reason)]
        return [Accepted(key=asked.key, note=f"already {known.stage.lower()}")]
    reason = state.refused.get(order.intent_id) or limits.refusal(state, now, order)
    if reason:
        return [Refused(key=asked.key, reason=reason)]
    wait = limits.wait(state, now, order)
    if wait:
        return [Accepted(key=asked.key, note=f"waits: {wait}")]
    return [Accepted(key=asked.key, note=""), _send(state, now, Outbound(order))]


def _answer_preview(state: State, asked: PreviewMargin) -> list[Message]:
    if asked.key in state.previewed:
        return [Accepted(key=asked.key, note="answered before"), state.previewed[asked.key]]
    if state.preview is not None:
        if state.preview.key == asked.key:
            return [Accepted(key=asked.key, note="under way")]
        return [Refused(key=asked.key, reason="another what-if is under way")]
    reason = state.mode_reason if state.mode == "LOCKED" else limits.link_refusal(state)
    if not reason and state.open_orders():
        reason = "an order is under way"
    if reason:
        return [Refused(key=asked.key, reason=reason)]
    return [
        Accepted(key=asked.key, note=""),
        tws.AskPreview(
            key=asked.key,
            order_id=state.next_order_id(),
            account=state.link.account,
            shares=asked.shares,
        ),
    ]


def _send(state: State, now: Now, out: Outbound) -> tws.SendOrder:
    order = out.order
    order_ref = references.order_ref(order.intent_id, state.link.account)
    opens_group = order.purpose == "STOP"
    return tws.SendOrder(
        order_id=out.order_id or state.next_order_id(),
        account=state.link.account,
        order_ref=order_ref,
        order=order,
        oca_group=order_ref if opens_group else one_cancels_all.group_of(state, now, order),
    )


def _due(state: State, now: Now) -> list[Message]:
    outputs: list[Message] = []
    if subscription.due(state, now):
        outputs.append(tws.Subscribe(account=state.link.account))
    elif subscription.account_due(state, now):
        outputs.append(tws.AskAccount(account=state.link.account))
    if _snapshot_due(state, now):
        number = state.snapshots.number + 1
        outputs.append(tws.TakeSnapshot(number=number, account=state.link.account))
    sent = False
    for out in state.open_orders():
        step = _order_due(state, now, out)
        if isinstance(step, tws.SendOrder):
            if sent:
                continue
            sent = True
        if step is not None:
            outputs.append(step)
    own = None if sent else _own_exit(state, now)
    if own is not None and own not in outputs:
        outputs.append(own)
    preview = state.preview
    if preview is not None:
        timeout_s = state.settings.broker.request_timeout_s
        if seconds_since(now, preview.asked_host_ns) > timeout_s:
            problem = f"TWS did not answer the what-if within {timeout_s:g} s"
            outputs.append(words.no_preview(preview, problem))
    return outputs


def _own_exit(state: State, now: Now) -> Message | None:
    """The guard's exit, under the limits that hold for every other; or the cancel of the stop at
    the broker that keeps it waiting."""
    if state.session is None or not guard.watches(state.guard, state.settings):
        return None
    order = guard.due(state.guard, now, state.settings, state.session, _sight(state))
    if order is None or limits.refusal(state, now, order):
        return None
    if not limits.wait(state, now, order):
        return _send(state, now, Outbound(order))
    stop = one_cancels_all.live_stop(state)
    if stop is None or not _may_cancel(state):
        return None
    due = one_cancels_all.cancel_due(state, now, stop, exit_waits=True)
    return tws.SendCancel(order_id=stop.order_id) if due else None


def _sight(state: State) -> guard.Sight:
    held = state.held_proven
    return guard.Sight(
        shares=held - state.foreign_sells,
        held=held,
        exiting=any(out.order.purpose == "EXIT" for out in state.open_orders())
        or one_cancels_all.stop_sells(state),
    )


def _snapshot_due(state: State, now: Now) -> bool:
    snapshots, link = state.snapshots, state.link
    if link.up and not link.degraded and link.refusal == READ_ONLY and not snapshots.pending:
        return not 0 <= seconds_since(now, snapshots.asked_host_ns) <= READ_ONLY_LOOK_S
    if not link.healthy or snapshots.pending:
        return False
    if not link.reconciled or snapshots.wanted:
        # a wanted comparison is not put off by the gap, only by a failure's pause
        return now.host_ns >= snapshots.next_host_ns or (snapshots.wanted and not snapshots.failure)
    if now.host_ns < snapshots.next_host_ns:
        return False
    return reconcile.in_doubt(state, now) or reconcile.look_due(state, now)


def _order_due(state: State, now: Now, out: Outbound) -> Message | None:
    if out.stage == "PREPARED":
        return _prepared_due(state, now, out)
    if _may_cancel(state) and one_cancels_all.cancel_due(state, now, out):
        return tws.SendCancel(order_id=out.order_id)
    waited_s = seconds_since(now, out.sent_host_ns)
    if out.stage == "UNKNOWN" and out.absence_proven:
        return _again(state, now, out)
    if out.stage == "SENDING":
        if waited_s > state.settings.limits.acknowledge_s:
            return words.verdict(
                out, "UNKNOWN", f"TWS has not acknowledged it for {waited_s:.0f} s"
            )
        if out.order.purpose == "EXIT" and out.sends == 1 and waited_s > EXIT_RESEND_S:
            sound = state.link.healthy and state.link.number == out.link_number
            if sound and state.link.healthy_host_ns <= out.sent_host_ns:
                return _again(state, now, out)
    return None


def _may_cancel(state: State) -> bool:
    return state.link.healthy and state.mode != "LOCKED"


def _prepared_due(state: State, now: Now, out: Outbound) -> Message | None:
    reason = limits.refusal(state, now, out.order)
    if reason:
        return words.verdict(out, "DENIED", reason)
    return None if limits.wait(state, now, out.order) else _send(state, now, out)


def _again(state: State, now: Now, out: Outbound) -> Message | None:
    """The same order id once more, if it may still go. What never reached TWS is given up; what TWS
    took without a word is cancelled first."""
    reason = limits.exit_refusal(state, now, out.order)
    if reason and out.absence_proven:
        if reconcile.may_be_held(state, out):
            return tws.SendCancel(order_id=out.order_id) if _may_cancel(state) else None
        return words.verdict(out, "ABANDONED", f"not sent again: {reason}")
    if reason or limits.exit_wait(state, now, out.order):
        return None
    return _send(state, now, out)
