"""The life of one order of ours, as TWS reports it.

PREPARED -> SENDING -> WORKING -> DONE, and UNKNOWN in between whenever nobody can say whether it
left. Fills come from executions alone; a status may run ahead of them and never takes one back.
A done order stays done, except one that was called refused or never sent and then shows up alive.
"""

from __future__ import annotations

from common.core.gateway import foreign, references
from common.core.gateway.state import (
    IN_DOUBT,
    LIVE_AT_BROKER,
    WORKED_ON,
    BookedFill,
    Outbound,
    State,
)
from common.messages import (
    DONE_STATUSES,
    BrokerNotice,
    Commission,
    Fill,
    Now,
    OrderStatus,
    OrderUpdate,
    Purpose,
)
from common.tws import codes
from common.tws.link_messages import TwsError
from common.tws.messages import (
    CommissionCharged,
    CompletedOrder,
    ExecutionReport,
    OpenOrder,
    StatusReport,
)

REASON_CHARACTERS_MAX = 1000
"""Of TWS's or a person's words that we repeat; messages hold 2000 with our own around them."""

ONLY_COPY_REFUSED: frozenset[int] = frozenset({codes.DUPLICATE_ORDER_ID, codes.GROUP_REVISION})
"""Said of an order's first copy: its id was another order's, or its group takes no more. Of a
second copy the same words prove nothing, since the first may live."""
OURS_TO_REVIVE: frozenset[str] = frozenset({"DENIED", "REJECTED", "ABANDONED"})


ORDER_NAMES: dict[Purpose, str] = {
    "ENTRY": "the entry",
    "EXIT": "the exit",
    "STOP": "the resting stop",
}


def update(state: State, out: Outbound) -> None:
    """Says where the order stands, if that is news."""
    news = OrderUpdate(
        intent_id=out.order.intent_id,
        order_id=out.order_id,
        perm_id=out.perm_id,
        status=out.status,
        filled=max(out.filled, out.reported_filled),
        remaining=out.remaining,
        average_usd=round(out.average_price_usd, 6),
        code=out.code,
        reason=out.reason[:2000],
    )
    if news != out.update:
        out.update = news
        state.unsaid.append(news)


def finish(state: State, out: Outbound, status: OrderStatus, reason: str = "") -> None:
    """Nothing more can happen to it."""
    end(state, out, status)
    out.reason = reason or out.reason
    update(state, out)


def end(state: State, out: Outbound, status: OrderStatus) -> None:
    """Done, without a word on it."""
    out.stage, out.status, out.ended_at = "DONE", status, state.snapshots.number


def doubt(state: State) -> None:
    """The link is gone: whoever was being sent may or may not have left."""
    for out in state.open_orders():
        if out.stage == "SENDING":
            out.stage, out.status = "UNKNOWN", "UNKNOWN"
            out.reason = "the link was lost before TWS acknowledged it"
            update(state, out)


def note_inactive(state: State, now: Now) -> None:
    """Since when TWS calls orders of ours Inactive."""
    for out in state.open_orders():
        if out.status != "Inactive":
            out.inactive_host_ns = 0
        elif not out.inactive_host_ns:
            out.inactive_host_ns = now.host_ns


def take_open_order(state: State, report: OpenOrder, *, books: int = 0) -> str:
    """An open order; returns our intent, or "" when it is not ours. `books`: the number of the
    comparison whose books tell it again, 0 when TWS says it now."""
    if report.symbol != state.settings.strategy.symbol or report.account != state.link.account:
        return ""
    state.order_ids_used = max(state.order_ids_used, report.order_id)
    references.recognise_open(state, report)
    out = references.find(
        state, report.order_ref, report.account, report.client_id, report.order_id
    )
    if out is None:
        foreign.take_open_order(state, report, books=books)
        return ""
    out.perm_id = report.perm_id or out.perm_id
    _take_status(state, out, report.status, books)
    return out.order.intent_id


def take_status(state: State, report: StatusReport, *, books: int = 0) -> None:
    """A status; `books` as in `take_open_order`."""
    if foreign.take_status(state, report):
        return
    if report.client_id != state.settings.broker.orders_client_id:
        return
    out = state.by_order_id(report.order_id)
    if out is None or (out.perm_id and report.perm_id and out.perm_id != report.perm_id):
        return
    out.perm_id = report.perm_id or out.perm_id
    if report.filled > out.reported_filled:
        out.reported_filled = min(report.filled, out.order.shares)
        out.average_usd = report.average_usd
    _take_status(state, out, report.status, books)


def take_completed(state: State, report: CompletedOrder) -> str:
    """An order that is done at the broker; returns our intent, or ""."""
    out = state.orders.get(references.intent_of(state, report.order_ref, report.account))
    if out is None:
        return ""
    out.perm_id = report.perm_id or out.perm_id
    out.reported_filled = max(out.reported_filled, min(report.filled, out.order.shares))
    if not out.done:
        out.reason = report.reason
    _take_status(state, out, report.status if report.status in DONE_STATUSES else "Inactive")
    if not out.done:
        finish(state, out, "Cancelled", report.reason)
    return out.order.intent_id


def take_execution(state: State, report: ExecutionReport, *, history: bool = False) -> str:
    """Books a fill once; returns our intent, or "". `history`: it was there before we began."""
    if report.symbol != state.settings.strategy.symbol or report.account != state.link.account:
        return ""
    out = references.find(
        state, report.order_ref, report.account, report.client_id, report.order_id
    )
    intent_id = out.order.intent_id if out is not None else ""
    root, revision = execution_root(report.exec_id)
    before = state.fills.get(root)
    if before is not None and revision <= before.revision:
        return intent_id
    booked = BookedFill(
        revision, intent_id, report.action, report.shares, report.price_usd, report.executed_ns
    )
    state.fills[root] = booked
    if history and out is None:
        return ""
    sign = 1 if report.action == "BUY" else -1
    shares, cost_usd = report.shares, report.shares * report.price_usd
    if before is not None:
        shares -= before.shares
        cost_usd -= before.shares * before.price_usd
    state.position_by_fills += sign * shares
    state.traded_shares += sign * shares
    state.unsaid.append(
        Fill(
            exec_id=root,
            revision=revision,
            intent_id=intent_id,
            action=report.action,
            shares=report.shares,
            price_usd=report.price_usd,
            filled_ns=report.executed_ns,
            liquidation=report.liquidation,
        )
    )
    _say_commission(state, report.exec_id)
    if out is not None:
        out.perm_id = report.perm_id or out.perm_id
        _take_fill(state, out, shares, cost_usd)
    return intent_id


def take_commission(state: State, report: CommissionCharged) -> None:
    """What an execution cost; of one that a comparison has yet to bring it is kept until then."""
    if state.commissions.get(report.exec_id) == report.commission_usd:
        return
    state.commissions[report.exec_id] = report.commission_usd
    if execution_root(report.exec_id)[0] in state.fills:
        _say_commission(state, report.exec_id)


def _say_commission(state: State, exec_id: str) -> None:
    usd = state.commissions.get(exec_id)
    if usd is not None:
        root, _ = execution_root(exec_id)
        state.unsaid.append(Commission(exec_id=root, commission_usd=usd))


def take_error(state: State, error: TwsError) -> None:
    """What a code says about an order of ours; a cancelled one is believed only by its status."""
    out = state.by_order_id(error.ref_id)
    meaning = codes.look_up(error.code)
    if out is None:
        return
    if meaning.compare or meaning.kind in {"reject", "unknown"}:
        state.snapshots.wanted = True
    if out.done and out.code:
        return
    out.code = error.code
    out.reason = plain(error)
    refused = meaning.kind == "reject" and out.stage in IN_DOUBT and not out.perm_id
    first_copy = out.stage == "SENDING" and out.sends == 1
    if refused or (first_copy and error.code in ONLY_COPY_REFUSED):
        finish(state, out, "REJECTED")
    else:
        update(state, out)


def notice(error: TwsError, out: Outbound | None) -> BrokerNotice:
    """A code as a person should see it; of an order of ours (`out`) with its name first, and of a
    resting stop that ended by it with what that means."""
    meaning = codes.look_up(error.code)
    text = f"{meaning.text}: {error.text}"
    if out is not None:
        order = out.order
        bare = order.purpose == "STOP" and out.status == "REJECTED"
        name = f"order {out.order_id}, {ORDER_NAMES[order.purpose]} {order.intent_id}"
        text = f"{name}{' (no stop of ours rests at the broker now)' * bare}: {text}"
    return BrokerNotice(code=error.code, kind=meaning.kind, text=text[:2000], mend=meaning.mend)


def plain(error: TwsError) -> str:
    """One line: our words, TWS's words, the mend."""
    meaning = codes.look_up(error.code)
    said = " ".join(error.text.split())
    mend = f"; {meaning.mend}" if meaning.mend else ""
    return f"{meaning.text} ({error.code}: {said[:REASON_CHARACTERS_MAX]}){mend}"


def execution_root(exec_id: str) -> tuple[str, int]:
    """IB's execution id without its last segment, and that segment: the correction's number."""
    root, _, last = exec_id.rpartition(".")
    return (root, int(last)) if root and last.isdigit() else (exec_id, 0)


def _take_status(state: State, out: Outbound, status: str, books: int = 0) -> None:
    if out.done:
        past = 0 < books <= out.ended_at  # said before its end
        if _lives_after_all(out, status) and not past:
            out.stage, out.status = "WORKING", _known(status)
            out.reason = "it is alive at the broker after all"
        elif status == "Filled":
            out.status = "Filled"
    elif status in LIVE_AT_BROKER:
        out.stage, out.status = "WORKING", _known(status)
    elif status in DONE_STATUSES or status == "Inactive":
        _end(state, out, _known(status))
    out.absent = 0
    update(state, out)


def _lives_after_all(out: Outbound, status: str) -> bool:
    """Inactive is what follows a refusal; of an order that nobody refused it is a sign of life."""
    held = out.status == "ABANDONED" and status == "Inactive" and not out.code
    return held or (out.status in OURS_TO_REVIVE and status in LIVE_AT_BROKER)


def _end(state: State, out: Outbound, status: OrderStatus) -> None:
    refused = codes.look_up(out.code).kind == "reject"
    if status == "Filled":
        out.reported_filled = out.order.shares
        end(state, out, status)
    elif refused and not (out.filled or out.reported_filled):
        end(state, out, "REJECTED")
    elif status == "Inactive":
        # held or refused, TWS does not say which: it blocks until the books show it done
        state.snapshots.wanted = state.snapshots.wanted or out.status != status
        out.stage, out.status = "WORKING", status
    else:
        end(state, out, status)


def _take_fill(state: State, out: Outbound, shares: int, cost_usd: float) -> None:
    out.filled += shares
    out.cost_usd += cost_usd
    out.absent = 0
    if out.filled >= out.order.shares:
        end(state, out, "Filled")
    elif not out.done:
        out.stage = "WORKING"
        if out.status not in WORKED_ON:
            out.status = "Submitted"
    elif out.status in OURS_TO_REVIVE:
        out.stage, out.status = "WORKING", "Submitted"
    update(state, out)


def _known(status: str) -> OrderStatus:
    known: dict[str, OrderStatus] = {
        "PendingSubmit": "PendingSubmit",
        "PreSubmitted": "PreSubmitted",
        "Submitted": "Submitted",
        "PendingCancel": "PendingCancel",
        "ApiCancelled": "ApiCancelled",
        "Cancelled": "Cancelled",
        "Filled": "Filled",
    }
    return known.get(status, "Inactive")
