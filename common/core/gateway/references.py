"""What makes an order ours: the reference that it bears, or our client id.

The reference is our intent with a checksum of it and the account. It outlives a journal: after
damage, or with a journal that began anew, the broker's books name orders by it that nobody here
remembers. They are ours all the same. They are followed like any other, can be cancelled (IB lets
the client id that placed an order cancel it over a later connection as well), and their intents are
not used a second time.
"""

from __future__ import annotations

import re
import zlib
from datetime import date

from common.core.gateway import foreign, guard
from common.core.gateway.state import Outbound, State
from common.messages import Order, Purpose, Reason, guards, purpose_of
from common.tws.messages import CompletedOrder, OpenOrder

INTENT = re.compile(r"(\d{4})(\d{2})(\d{2})-(ENTRY|EXIT|STOP)-\d{1,3}")
SENT_FOR: dict[str, tuple[Purpose, Reason]] = {
    "ENTRY": ("ENTRY", "signal"), "EXIT": ("EXIT", "stop"), "STOP": ("STOP", "resting_stop"),
}  # fmt: skip
PRICE_UNKNOWN_USD = 1.0
"""An order is noted at a price; of one that was sent nothing follows from it."""
PAST_NS = 1
"""The deadline of an order that is found: whatever becomes of it, it is not sent again."""


def order_ref(intent_id: str, account: str) -> str:
    """What travels in IB's orderRef: our intent and a checksum, 27 characters of IB's 40."""
    return f"{intent_id}.{zlib.crc32(f'{account}.{intent_id}'.encode()):08x}"


def intent_of(state: State, ref: str, account: str) -> str:
    """The intent of ours that an orderRef names; "" for every other order, manual ones too."""
    intent_id, _, _ = ref.rpartition(".")
    known = intent_id in state.orders and ref == order_ref(intent_id, account)
    return intent_id if known else ""


def find(state: State, ref: str, account: str, client_id: int, order_id: int) -> Outbound | None:
    """Our order by its reference, else by an id that only our client id can have given it."""
    out = state.orders.get(intent_of(state, ref, account))
    if out is None and not ref and client_id == state.settings.broker.orders_client_id:
        out = state.by_order_id(order_id)
    return out


def recognise_open(state: State, report: OpenOrder) -> None:
    """Takes a living order of ours into the state, if that it was sent is not in the journal. The
    report itself is yet to be booked."""
    if report.client_id == state.settings.broker.orders_client_id:  # else we could not cancel it
        _recognise(state, report, report.order_id, report.shares)


def recognise_completed(state: State, report: CompletedOrder) -> None:
    """The same of an order that is done; TWS does not say how many shares it was for."""
    _recognise(state, report, 0, max(1, report.filled))


def _recognise(
    state: State, report: OpenOrder | CompletedOrder, order_id: int, shares: int
) -> None:
    ref, account = report.order_ref, report.account
    if report.symbol != state.settings.strategy.symbol or account != state.link.account:
        return
    intent_id, _, _ = ref.rpartition(".")
    if ref != order_ref(intent_id, account):
        return
    out = state.orders.get(intent_id)
    if out is None:
        order = _order(intent_id, shares)
        if order is None or order.action != report.action:
            return
        out = state.orders[intent_id] = Outbound(order)
    if out.sends:
        return
    if guards(intent_id):
        guard.found(state.guard, out.order)
    ours = state.settings.broker.orders_client_id
    foreign.forget(state, foreign.names(report.perm_id, ours, order_id))
    out.found, out.sends, out.order_id = True, 1, order_id
    out.stage, out.status = "UNKNOWN", "UNKNOWN"
    out.position_before, out.traded_before = state.position_by_fills, state.traded_shares
    if out.order.purpose == "STOP":
        out.oca_group = ref  # a stop opens the group that bears its name


def _order(intent_id: str, shares: int) -> Order | None:
    """As much of an order as its reference and TWS tell."""
    match = INTENT.fullmatch(intent_id)
    if match is None or not shares:
        return None
    try:
        day = date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None
    purpose, reason = SENT_FOR[purpose_of(intent_id)]
    return Order(
        intent_id=intent_id,
        day=day,
        purpose=purpose,
        reason=reason,
        action="BUY" if purpose == "ENTRY" else "SELL",
        shares=shares,
        order_type="STP" if purpose == "STOP" else "MKT",
        limit_usd=None,
        outside_rth=False,
        price_usd=PRICE_UNKNOWN_USD,
        deadline_ns=PAST_NS,
    )
