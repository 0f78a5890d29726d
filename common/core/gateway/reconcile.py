"""Comparing with the broker's books, and the proof that an order never reached it.

A snapshot is open orders, completed orders, executions and positions, each ended by TWS's End
message. It brings the fills that happened while the link was down, and the truth on every order.

An order in doubt counts as never arrived only when all of this holds (reliability 3.3):
two sound snapshots, `limits.snapshot_gap_s` apart, did not know it; the link had been healthy, and
the order on its way, for `limits.wire_wait_s` before each; the position is what it was, but for
executions of other orders; and either
TWS's first free order id is not past it, or it was sent over this very connection, or its session
is over: a day order is dead then, whatever became of the position. Then an entry or a resting stop
is abandoned, and an exit is sent again under its old order id, if it may.

After damage to the journal an order may be on its way that nobody remembers. So nothing is sent
before a snapshot that began `limits.wire_wait_s` after the link was healthy; what is ours in it is
followed again (`references`).

An exit whose id TWS has burnt (it answered 103, or says at the handshake that it saw the id) cannot
be sent again. Absent from the books, with the position unchanged, it is not alive: it is abandoned
too, so that a new exit can be asked for.
"""

from __future__ import annotations

from common.clock import SECOND_NS
from common.core import rules
from common.core.gateway import limits, outbound, references
from common.core.gateway.state import (
    AT_BROKER,
    IN_DOUBT,
    Outbound,
    State,
    seconds_since,
    session_day,
)
from common.messages import BrokerNotice, Now
from common.tws import codes
from common.tws.messages import Snapshot

LOOK_S = 60.0
FOREIGN_LOOK_S = 10.0
"""Market seconds between two looks for foreign orders: while none is known, and while one is; at
least the shorter in host time, where market time passes faster."""


def take_snapshot(state: State, now: Now, books: Snapshot) -> None:
    """Puts the books into force. The caller has checked that it is the snapshot asked for."""
    first = not state.snapshots.ever
    present = _take_orders(state, books, history=first)
    reported = sum(
        row.shares
        for row in books.positions
        if row.symbol == state.settings.strategy.symbol and row.account == state.link.account
    )
    for out in state.open_orders():
        out.missing = out.stage in AT_BROKER and out.order.intent_id not in present
        if out.missing:
            _take_absence(state, now, out, books.begun_ns, reported)
        elif out.status == "Inactive" and _session_over(state, now, out) and _clock_agrees(state):
            outbound.finish(state, out, "Cancelled", "its session is over")  # newer TWS list it on
        elif out.cancel_sent and cancel_unanswered(state, now, out):
            out.cancel_sent = False  # it lives: the cancel was lost or refused
    _take_position(state, now, reported, first=first)
    if books.begun_ns - state.link.healthy_host_ns >= _wire_wait_ns(state):
        state.relearning = False
    state.link.reconciled = True
    state.link.position_said = True
    state.snapshots.ever = True
    state.snapshots.taken_market_ns = now.market_ns
    state.snapshots.failure, state.snapshots.failing_host_ns = "", 0


def in_doubt(state: State, now: Now) -> bool:
    """Something that only the broker's books can tell: a position that does not add up, an order
    that is not where it was."""
    differs_ns = state.differs_since_host_ns
    if state.relearning:
        return True
    if differs_ns and seconds_since(now, differs_ns) > limits.POSITION_SETTLES_S:
        return True
    return any(
        out.stage == "UNKNOWN"
        or out.missing
        or out.status == "Inactive"
        or cancel_unanswered(state, now, out)
        for out in state.open_orders()
    )


def look_due(state: State, now: Now) -> bool:
    """Time to look for orders that are not ours, while ours may sell: TWS tells nobody of them
    unasked, nor of their end, and what they may sell must not be sold twice."""
    session, snapshots = state.session, state.snapshots
    if session is None:
        return False
    in_evening = state.foreign and state.settings.exit.bear == "after_hours"
    until_ns = session.close_ns + (limits.EXTENDED_AFTER_CLOSE_NS if in_evening else 0)
    if not session.open_ns <= now.market_ns < until_ns:
        return False
    every_s = FOREIGN_LOOK_S if state.foreign else LOOK_S
    age_ns = now.market_ns - snapshots.taken_market_ns
    waited_s = seconds_since(now, snapshots.asked_host_ns)
    return not 0 <= age_ns <= every_s * SECOND_NS and not 0 <= waited_s <= FOREIGN_LOOK_S


def cancel_unanswered(state: State, now: Now, out: Outbound) -> bool:
    """A cancel that TWS has not said a word on for as long as it may take over an order."""
    waited_s = seconds_since(now, out.cancel_sent_host_ns)
    return out.cancel_sent and not out.done and waited_s > state.settings.limits.acknowledge_s


def _take_orders(state: State, books: Snapshot, *, history: bool) -> set[str]:
    """All reports of the books; returns the intents of ours that occur in them."""
    present = set()
    state.foreign.clear()
    for done in books.completed:
        references.recognise_completed(state, done)  # before its executions are booked
    for opened in books.open_orders:
        present.add(outbound.take_open_order(state, opened, books=books.number))
    for status in books.statuses:
        outbound.take_status(state, status, books=books.number)
    for execution in books.executions:
        present.add(outbound.take_execution(state, execution, history=history))
    for completed in books.completed:
        present.add(outbound.take_completed(state, completed))
    return present


def _take_absence(state: State, now: Now, out: Outbound, begun_ns: int, reported: int) -> None:
    if out.stage == "WORKING" and _session_over(state, now, out):
        outbound.finish(state, out, "Cancelled", "its session is over")
        return
    bounds = state.settings.limits
    if begun_ns - max(out.sent_host_ns, state.link.healthy_host_ns) < _wire_wait_ns(state):
        return
    if out.absent and begun_ns - out.absent_host_ns < int(bounds.snapshot_gap_s * SECOND_NS):
        return
    out.absent += 1
    out.absent_host_ns = begun_ns
    if out.absent < 2:
        return
    if out.stage == "WORKING":
        outbound.finish(state, out, "Cancelled", "it is no longer in the broker's books")
    elif out.stage in IN_DOUBT:
        _resolve(state, now, out, reported)


def _wire_wait_ns(state: State) -> int:
    return int(state.settings.limits.wire_wait_s * SECOND_NS)


def _resolve(state: State, now: Now, out: Outbound, reported: int) -> None:
    session_over = _session_over(state, now, out)
    if reported - out.position_before != _traded_since(state, out) and not session_over:
        return
    same_link = state.link.number == out.link_number
    id_seen = state.link.next_order_id > out.order_id and not same_link
    refused_id = out.code == codes.DUPLICATE_ORDER_ID
    if session_over or refused_id or (id_seen and out.order.action == "SELL"):
        _give_up(state, out)
    elif id_seen:
        return
    elif out.order.purpose == "EXIT" and out.cancels:
        _give_up(state, out)
    elif out.order.purpose == "EXIT":
        out.absence_proven = True
    else:
        outbound.finish(state, out, "ABANDONED", "it is proven that it never reached the broker")


def _give_up(state: State, out: Outbound) -> None:
    """What the books do not know a dialog of TWS may hold, and somebody send: before another exit
    may take its place it is cancelled, and looked for twice more."""
    if out.order.purpose == "EXIT" and not out.cancels:
        out.cancel_wanted = True
    else:
        outbound.finish(state, out, "ABANDONED", "the broker's books do not know it")


def may_be_held(state: State, out: Outbound) -> bool:
    """Whether the TWS that took it is still there, has not said a word of it, and was not asked to
    cancel it."""
    return out.link_number == state.link.number and not out.cancels


def _session_over(state: State, now: Now, out: Outbound) -> bool:
    """Every order of ours is a day order: after its session it is dead, whatever became of it."""
    day = session_day(state, now)
    return day is not None and out.order.day < day


def _clock_agrees(state: State) -> bool:
    """What the broker still lists must not be called dead on the word of a wrong clock."""
    offset_s = state.link.clock_offset_s
    return offset_s is not None and abs(offset_s) <= state.settings.data.clock_offset_s_max


def _traded_since(state: State, out: Outbound) -> int:
    """What other orders' executions, each of them known, have moved the position by."""
    before = out.traded_before
    return 0 if before is None else state.traded_shares - before


def _take_position(state: State, now: Now, reported: int, *, first: bool) -> None:
    """The broker's word counts; but a difference is believed only once it has lasted, because the
    parts of a snapshot are not of one instant and an execution may be on its way."""
    counted = state.position_by_fills
    state.position_reported = reported
    since_ns = state.differs_since_host_ns
    if first:
        state.position_by_fills = reported
    if first or counted == reported:
        return
    if not since_ns or seconds_since(now, since_ns) < limits.POSITION_SETTLES_S:
        return
    state.position_by_fills = reported
    text = f"the position is {reported} shares, though executions add up to {counted}"
    mend = "the broker's word counts; look for transfers or trades elsewhere"
    ratio = rules.share_split_ratio(counted, reported)
    if ratio and abs(reported - counted * ratio) < 1:
        mend = "it looks like a split"
    else:
        state.unexplained = text
    state.unsaid.append(BrokerNotice(code=0, kind="notice", text=text, mend=mend))
