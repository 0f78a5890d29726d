"""How the broker gateway's state changes: one function for each message heard or decided.

The table `BOOKINGS` at the end says which; `outbox.evolve` looks a message up in it. What TWS says
is booked in `heard`, the rest here. Deterministic, no clock: the fold of a journal goes
through these very functions.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from common import settings as settings_page
from common.core.gateway import guard, limits, outbound, reconcile
from common.core.gateway.heard import HEARD, Booking, halt, note_difference
from common.core.gateway.state import IN_DOUBT, Link, Outbound, Preview, State
from common.messages import (
    Accepted,
    Alert,
    BrokerLink,
    CancelOrder,
    DiskState,
    Halt,
    HaltLatch,
    JournalDamaged,
    MarginPreview,
    Message,
    Now,
    OrderBook,
    OrderUpdate,
    PreviewMargin,
    Refused,
    Resume,
    Session,
    Silence,
    Started,
    StopArmed,
    StopHit,
    SubmitOrder,
    Unlock,
    guards,
)
from common.tws import messages as tws

COUNTERS_KEPT = 100
EPOCH = date(1970, 1, 1)
DAY_NS = 86_400 * 1_000_000_000
MEMORY_DAYS = 14
"""Executions and finished orders are remembered so long; TWS repeats at most seven days. Both this
machine's clock and the time that the broker gave its newest execution must be so far ahead."""


def _started(state: State, now: Now, message: Started) -> None:
    state.settings = settings_page.from_json(message.settings_json)
    state.link = Link(
        number=state.link.number, account=state.link.account, since_market_ns=now.market_ns
    )
    state.asked = None
    state.noticed = {}
    state.snapshots.pending = False
    state.snapshots.wanted = False
    state.snapshots.next_host_ns = 0
    state.differs_since_host_ns = 0
    state.excess_since_host_ns = 0
    note_difference(state, now)
    outbound.doubt(state)
    for out in state.open_orders():
        # host time may have started anew with the machine: every wait begins again
        out.sent_host_ns = now.host_ns
        out.absent = out.inactive_host_ns = 0
        out.cancel_sent = False
    if state.preview is not None:
        state.preview.asked_host_ns = now.host_ns
    guard.hear(state.guard, now, message)


def _forget(state: State, now: Now) -> None:
    """What no one will speak of again. A clock that runs ahead makes nothing old: an order that is
    forgotten too early would be sent twice, and its executions would count twice."""
    newest_ns = max((fill.market_ns for fill in state.fills.values()), default=0)
    oldest_ns = min(now.market_ns, newest_ns) - MEMORY_DAYS * DAY_NS
    for root in [root for root, fill in state.fills.items() if fill.market_ns < oldest_ns]:
        del state.fills[root]
    state.commissions = {
        exec_id: usd
        for exec_id, usd in state.commissions.items()
        if outbound.execution_root(exec_id)[0] in state.fills
    }
    oldest_day = EPOCH + timedelta(days=oldest_ns // DAY_NS)
    for intent_id, out in list(state.orders.items()):
        if out.done and out.order.day < oldest_day:
            del state.orders[intent_id]
    for counters in (state.actions, state.previewed, state.refused):
        for key in list(counters)[:-COUNTERS_KEPT]:
            del counters[key]


def _accepted(state: State, now: Now, answer: Accepted) -> None:
    asked, state.asked = state.asked, None
    if asked is None or asked.key != answer.key:
        return
    match asked:
        case SubmitOrder():
            if asked.order.intent_id not in state.orders:
                state.orders[asked.order.intent_id] = Outbound(asked.order)
        case CancelOrder():
            out = state.orders[asked.intent_id]
            if out.stage == "PREPARED":
                outbound.finish(state, out, "DENIED", f"cancelled before it left: {asked.why}")
            elif not out.done:
                out.cancel_wanted = True
        case Halt():
            halt(state, now, f"{asked.by}: {asked.reason}")
        case Resume() if state.mode == "HALTED":
            state.mode, state.mode_reason = "ACTIVE", f"resumed by {asked.by}"
            state.mode_since_ns, state.liquidated = now.market_ns, ""
        case Unlock() if state.mode == "LOCKED":
            state.mode = "HALTED"
            said = asked.reason[: outbound.REASON_CHARACTERS_MAX]
            state.mode_reason = f"unlocked by {asked.by}: {said}"
            state.mode_since_ns = now.market_ns
        case _:
            pass


def _refused(state: State, _now: Now, answer: Refused) -> None:
    asked, state.asked = state.asked, None
    if not isinstance(asked, SubmitOrder) or asked.key != answer.key:
        return
    if asked.order.intent_id not in state.orders:
        state.refused[asked.order.intent_id] = answer.reason


def _sent(state: State, now: Now, sent: tws.SendOrder) -> None:
    order = sent.order
    out = state.orders.setdefault(order.intent_id, Outbound(order))  # the guard asks nobody
    if guards(order.intent_id) and not out.sends:
        guard.sent(state.guard, now, order)
    elif order.purpose == "ENTRY":
        guard.bought(state.guard)
    if not out.sends:
        out.position_before = state.position_by_fills
        out.traded_before = state.traded_shares
        out.oca_group = sent.oca_group
    out.stage, out.status = "SENDING", "PendingSubmit"
    out.order_id = sent.order_id
    out.sends += 1
    out.sent_host_ns = now.host_ns
    out.link_number = state.link.number
    out.absent, out.absence_proven = 0, False
    out.reason, out.code = "", 0
    state.order_ids_used = max(state.order_ids_used, sent.order_id)
    _count_action(state, out)
    outbound.update(state, out)


def _count_action(state: State, out: Outbound) -> None:
    budget = limits.budget_of(out.order)
    state.actions[budget] = state.actions.get(budget, 0) + 1


def _cancel_sent(state: State, now: Now, sent: tws.SendCancel) -> None:
    out = state.by_order_id(sent.order_id)
    if out is not None:
        out.cancel_sent, out.cancel_sent_host_ns = True, now.host_ns
        out.cancels += 1
        out.absent, out.absence_proven = 0, False
        _count_action(state, out)


def _preview_asked(state: State, now: Now, sent: tws.AskPreview) -> None:
    state.order_ids_used = max(state.order_ids_used, sent.order_id)
    state.preview = Preview(sent.key, sent.shares, sent.order_id, now.host_ns)


def _decided(state: State, _now: Now, word: OrderUpdate) -> None:
    """A verdict of ours that only time brings: denied at its deadline, or unknown."""
    out = state.orders.get(word.intent_id)
    if out is None or word == out.update:
        return
    out.update = word
    if word.status == "DENIED" and out.stage == "PREPARED":
        outbound.end(state, out, "DENIED")
        out.reason = word.reason
    elif word.status == "UNKNOWN" and out.stage in IN_DOUBT:
        out.stage, out.status, out.reason = "UNKNOWN", "UNKNOWN", word.reason
    elif word.status == "ABANDONED" and out.stage in IN_DOUBT:
        outbound.end(state, out, "ABANDONED")
        out.reason = word.reason


def _snapshot_asked(state: State, now: Now, message: tws.TakeSnapshot) -> None:
    snapshots = state.snapshots
    snapshots.routine = not (
        snapshots.wanted or not state.link.reconciled or reconcile.in_doubt(state, now)
    )
    snapshots.number = message.number
    snapshots.pending = True
    snapshots.wanted = False
    snapshots.asked_host_ns = now.host_ns


def _subscribed(state: State, now: Now, _message: tws.Subscribe) -> None:
    state.link.subscribed_host_ns = state.link.account_asked_host_ns = now.host_ns


def _account_asked(state: State, now: Now, _message: tws.AskAccount) -> None:
    state.link.account_asked_host_ns = now.host_ns


def _session(state: State, now: Now, session: Session) -> None:
    state.session = session
    _forget(state, now)


def _disk(state: State, _now: Now, disk: DiskState) -> None:
    state.disk_roomy = disk.roomy


def _stop_said(state: State, now: Now, message: Message) -> None:
    guard.hear(state.guard, now, message)


def _journal_damaged(state: State, now: Now, damage: JournalDamaged) -> None:
    state.relearning = True
    halt(state, now, f"{damage.file} was damaged at byte {damage.offset}")


def _asked(state: State, _now: Now, command: Any) -> None:
    state.asked = command


def _previewed(state: State, _now: Now, preview: MarginPreview) -> None:
    state.previewed[preview.key] = preview
    if state.preview is not None and state.preview.key == preview.key:
        state.preview = None


def _link_said(state: State, _now: Now, word: BrokerLink) -> None:
    state.said.link = word


def _book_said(state: State, _now: Now, word: OrderBook) -> None:
    state.said.book = word


def _latch_said(state: State, _now: Now, word: HaltLatch) -> None:
    state.said.latch = word


def _alert_said(state: State, _now: Now, word: Alert) -> None:
    state.said.alerts.pop(word.code, None)
    if word.raised:
        state.said.alerts[word.code] = word.text


BOOKINGS: dict[type[Message], Booking] = {
    **HEARD,
    # what the system says and asks
    Started: _started,
    Session: _session,
    DiskState: _disk,
    JournalDamaged: _journal_damaged,
    StopArmed: _stop_said,
    StopHit: _stop_said,
    Silence: _stop_said,
    SubmitOrder: _asked,
    CancelOrder: _asked,
    PreviewMargin: _asked,
    Halt: _asked,
    Resume: _asked,
    Unlock: _asked,
    # what was decided
    Accepted: _accepted,
    Refused: _refused,
    tws.SendOrder: _sent,
    tws.SendCancel: _cancel_sent,
    tws.AskPreview: _preview_asked,
    tws.TakeSnapshot: _snapshot_asked,
    tws.Subscribe: _subscribed,
    tws.AskAccount: _account_asked,
    OrderUpdate: _decided,
    MarginPreview: _previewed,
    BrokerLink: _link_said,
    OrderBook: _book_said,
    HaltLatch: _latch_said,
    Alert: _alert_said,
}
