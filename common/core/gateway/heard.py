"""What TWS says, booked into the broker gateway's state; and what of it halts.

One function for each message; the table `HEARD` says which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.core.gateway import account_rows, guard, limits, outbound, reconcile, words
from common.core.gateway.state import READ_ONLY, Link, State, seconds_since
from common.messages import BrokerNotice, BrokerPnl, MarginPreview, Message, Now
from common.tws import codes
from common.tws import messages as tws
from common.tws.link_messages import ClockCompared, LinkDown, LinkUp, TwsError, Unread

Booking = Callable[[State, Now, Any], None]

SNAPSHOT_RETRY_S = 1.0

NOTICE_PAUSE_S = 60.0
"""Host seconds in which a code that names no order of ours is said once: TWS sends bursts."""


def _link_up(state: State, now: Now, message: LinkUp) -> None:
    account, refusal, wrong = limits.account_refusal(state.settings.account, message.accounts)
    if not refusal and state.link.account not in {"", account}:
        refusal = limits.other_account_refusal(state.link.account, account)
        account, wrong = "", True
    state.link = Link(
        up=True,
        number=state.link.number + 1,
        port=message.port,
        account=account or state.link.account,
        next_order_id=message.next_order_id,
        refusal=refusal,
        wrong_account=wrong,
        down_reason="",
        healthy_host_ns=now.host_ns,
        since_market_ns=now.market_ns,
        instrument="the instrument is not identified yet",
    )
    state.snapshots.wanted = False
    state.snapshots.failing_host_ns = 0
    state.snapshots.pending = False
    state.snapshots.next_host_ns = now.host_ns
    if wrong:
        state.mode, state.mode_reason, state.mode_since_ns = "LOCKED", refusal, now.market_ns


def _link_down(state: State, now: Now, message: LinkDown) -> None:
    link = state.link
    if link.up:
        link.since_market_ns = now.market_ns
    link.up = link.reconciled = link.refreshed = link.degraded = link.position_said = False
    link.away, link.refusal = False, ""
    link.down_reason = message.reason
    state.snapshots.pending = False
    outbound.doubt(state)
    for out in state.open_orders():
        out.cancel_sent = False


def _take_error(state: State, now: Now, error: TwsError) -> None:
    link = state.link
    outbound.take_error(state, error)
    kind = codes.look_up(error.code).kind
    if state.preview is not None and error.ref_id == state.preview.order_id and kind != "notice":
        _preview_failed(state, outbound.plain(error), rejected=error.code == codes.MARGIN_REJECT)
    farm_back = link.away and error.code in codes.FARMS_BACK
    if error.code in {codes.LINK_LOST, codes.LINK_AWAY}:
        link.away = error.code == codes.LINK_AWAY and (link.away or not link.degraded)
        if not link.degraded:
            link.degraded, link.reconciled = True, False
            link.since_market_ns = now.market_ns
            state.snapshots.pending = False
            outbound.doubt(state)
    elif farm_back or error.code in {codes.LINK_BACK, codes.LINK_BACK_DATA_LOST}:
        link.degraded = link.away = link.reconciled = link.position_said = False
        link.since_market_ns = now.market_ns
        link.healthy_host_ns = now.host_ns
        state.snapshots.pending = False
        state.snapshots.next_host_ns = now.host_ns
    elif error.code == codes.ACCOUNT_UNSUBSCRIBED:
        link.refreshed = False
    elif codes.is_read_only(error.code, error.text):
        link.refusal = READ_ONLY
        state.snapshots.pending = False  # only books asked for from now on prove otherwise
    last_ns = state.noticed.get(error.code)
    burst = last_ns is not None and seconds_since(now, last_ns) < NOTICE_PAUSE_S
    if kind != "notice" and not (burst and state.by_order_id(error.ref_id) is None):
        state.noticed[error.code] = now.host_ns
        state.unsaid.append(outbound.notice(error, state.by_order_id(error.ref_id)))


def _unread(state: State, _now: Now, message: Unread) -> None:
    """It may have been a fill: the broker's books are compared anew."""
    state.snapshots.wanted = True
    state.unsaid.append(
        BrokerNotice(
            code=0,
            kind="unknown",
            text=f"TWS said what cannot be read: {message.kind}",
            mend="orders and position are compared with TWS; if it repeats, restart TWS",
        )
    )


def _clock(state: State, _now: Now, report: ClockCompared) -> None:
    state.link.clock_offset_s = report.offset_s


def _open_order(state: State, _now: Now, report: tws.OpenOrder) -> None:
    outbound.take_open_order(state, report)


def _status(state: State, _now: Now, report: tws.StatusReport) -> None:
    outbound.take_status(state, report)


def _execution(state: State, now: Now, report: tws.ExecutionReport) -> None:
    intent_id = outbound.take_execution(state, report)
    _note_fill(state, now, report, intent_id)
    note_difference(state, now)


def _note_fill(state: State, now: Now, report: tws.ExecutionReport, intent_id: str) -> None:
    """A trade that was not ours halts; spec section 2, flatten and manual trades."""
    ours = report.symbol == state.settings.strategy.symbol and report.account == state.link.account
    if not ours:
        return
    if report.liquidation:
        if not state.liquidated:
            state.liquidated_shares = 0
        state.liquidated_shares += report.shares
        price = f"{report.price_usd:.2f}"
        state.liquidated = f"IB liquidated {state.liquidated_shares} shares, the last at {price}"
        halt(state, now, state.liquidated)
    elif not intent_id:
        halt(
            state,
            now,
            f"a trade that is not ours: {report.action} {report.shares} at {report.price_usd:.2f}",
        )


def note_difference(state: State, now: Now) -> None:
    """What is held, and since when executions and the broker's count tell it differently."""
    guard.holds(state.guard, now, max(state.position_reported, state.position_by_fills))
    if state.position_reported == state.position_by_fills:
        state.differs_since_host_ns = 0
    elif not state.differs_since_host_ns:
        state.differs_since_host_ns = now.host_ns


def _commission(state: State, _now: Now, report: tws.CommissionCharged) -> None:
    outbound.take_commission(state, report)


def _take_position(state: State, now: Now, report: tws.PositionReport) -> None:
    if report.symbol != state.settings.strategy.symbol or report.account != state.link.account:
        return
    state.position_reported = report.shares
    _note_part(state, report.part)
    if not state.snapshots.ever:
        state.position_by_fills = report.shares
    state.link.position_said = True
    note_difference(state, now)
    if report.shares < 0:
        halt(state, now, f"the account is short {-report.shares} shares")


def _note_part(state: State, part: float) -> None:
    if part and part != state.position_part:
        text = f"{part:g} of a share is held beside the whole ones, and counts as none"
        mend = "sell it in TWS; switch dividend reinvestment off, orders are in whole shares"
        state.unsaid.append(BrokerNotice(code=0, kind="notice", text=text, mend=mend))
    state.position_part = part


def _take_snapshot(state: State, now: Now, books: tws.Snapshot) -> None:
    snapshots = state.snapshots
    if not snapshots.pending or books.number != snapshots.number:
        return  # the link was lost since it was asked for
    snapshots.pending = False
    if state.link.refusal == READ_ONLY:  # a read-only API never ends its completed orders
        state.link.refusal, state.link.healthy_host_ns = "", now.host_ns
    first = not snapshots.ever
    known = set(state.fills)
    reconcile.take_snapshot(state, now, books)
    snapshots.next_host_ns = now.host_ns + int(state.settings.limits.snapshot_gap_s * 1e9)
    note_difference(state, now)
    if not first:
        for report in books.executions:
            root, _ = outbound.execution_root(report.exec_id)
            if root in state.fills and root not in known:
                _note_fill(state, now, report, state.fills[root].intent_id)
    if state.unexplained:
        halt(state, now, state.unexplained)
        state.unexplained = ""
    if state.position_reported < 0:
        halt(state, now, f"the account is short {-state.position_reported} shares")


def _snapshot_failed(state: State, now: Now, message: tws.SnapshotFailed) -> None:
    snapshots = state.snapshots
    if message.number == snapshots.number:
        snapshots.pending = False
        snapshots.next_host_ns = now.host_ns + int(SNAPSHOT_RETRY_S * 1e9)
        if not snapshots.routine:  # nothing waits for a routine look; the next one comes by itself
            snapshots.wanted = True
            snapshots.failure = message.reason
            snapshots.failing_host_ns = snapshots.failing_host_ns or now.host_ns


def _take_not_sent(state: State, _now: Now, message: tws.NotSent) -> None:
    out = state.by_order_id(message.order_id)
    if out is not None and out.stage == "SENDING":
        out.sends -= 1
        if out.sends:
            out.stage, out.status = "UNKNOWN", "UNKNOWN"
        else:
            out.stage, out.status = "PREPARED", "PendingSubmit"
        out.reason = message.reason
        outbound.update(state, out)
    if state.preview is not None and state.preview.order_id == message.order_id:
        _preview_failed(state, message.reason)


def _next_order_id(state: State, _now: Now, message: tws.NextOrderId) -> None:
    state.order_ids_used = max(state.order_ids_used, message.order_id - 1)


def _take_account(state: State, now: Now, report: tws.AccountRows) -> None:
    if report.account != state.link.account:
        return
    refusal = account_rows.base_currency_refusal(report)
    if refusal:
        state.link.refusal = refusal
        return
    found = account_rows.snapshot(state, now, report)
    if found is not None:
        state.account, state.account_host_ns = found, now.host_ns
        state.link.refreshed = True
        state.unsaid.append(found)


def _pnl(state: State, now: Now, report: tws.PnlReport) -> None:
    state.pnl_market_ns, state.pnl_host_ns = now.market_ns, now.host_ns
    guard.take_mark(state.guard, now, state.settings, report.shares, report.value_usd)
    state.unsaid.append(
        BrokerPnl(
            heard_ns=now.market_ns,
            shares=report.shares,
            value_usd=report.value_usd,
            unrealized_usd=report.unrealized_usd,
            daily_usd=report.daily_usd,
            heard_host_ns=now.host_ns,
        )
    )


def _take_what_if(state: State, _now: Now, reply: tws.WhatIfReply) -> None:
    preview = state.preview
    if preview is not None and reply.order_id == preview.order_id:
        state.unsaid.append(
            MarginPreview(
                key=preview.key,
                shares=preview.shares,
                init_before_usd=reply.init_before_usd,
                init_after_usd=reply.init_after_usd,
                maint_after_usd=reply.maint_after_usd,
                equity_with_loan_after_usd=reply.equity_with_loan_after_usd,
                commission_usd=reply.commission_usd,
                problem="",
            )
        )


def _preview_failed(state: State, problem: str, *, rejected: bool = False) -> None:
    if state.preview is not None:
        state.unsaid.append(words.no_preview(state.preview, problem, rejected=rejected))


def _price(state: State, now: Now, report: tws.OwnPrice) -> None:
    state.price_usd, state.price_market_ns = report.price_usd, now.market_ns
    state.price_host_ns = now.host_ns
    state.price_kind = report.kind
    guard.take_price(state.guard, now, report.price_usd, live=report.kind == "live")


def _contract_known(state: State, _now: Now, _report: tws.ContractKnown) -> None:
    state.link.instrument = ""


def _contract_problem(state: State, _now: Now, report: tws.ContractProblem) -> None:
    if state.link.instrument:  # once known over a connection it needs no second proof
        state.link.instrument = report.reason


def halt(state: State, now: Now, reason: str) -> None:
    if state.mode == "ACTIVE":
        state.mode, state.mode_since_ns = "HALTED", now.market_ns
        state.mode_reason = reason[: outbound.REASON_CHARACTERS_MAX]


HEARD: dict[type[Message], Booking] = {
    LinkUp: _link_up,
    LinkDown: _link_down,
    TwsError: _take_error,
    ClockCompared: _clock,
    Unread: _unread,
    tws.OpenOrder: _open_order,
    tws.StatusReport: _status,
    tws.ExecutionReport: _execution,
    tws.CommissionCharged: _commission,
    tws.PositionReport: _take_position,
    tws.Snapshot: _take_snapshot,
    tws.SnapshotFailed: _snapshot_failed,
    tws.NotSent: _take_not_sent,
    tws.NextOrderId: _next_order_id,
    tws.AccountRows: _take_account,
    tws.PnlReport: _pnl,
    tws.WhatIfReply: _take_what_if,
    tws.OwnPrice: _price,
    tws.ContractKnown: _contract_known,
    tws.ContractProblem: _contract_problem,
}
