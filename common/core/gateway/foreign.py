"""Live orders in our instrument that are not ours: what they may still sell is not ours to sell.

IB's permId tells an order apart for ever. Until it has one it is told with 0, which is nobody's
name: then its client and order id name it. An order without any of them, as one entered in TWS and
not transmitted yet, is told apart by its place in the books alone, and its statuses by nothing.
"""

from __future__ import annotations

from common.core.gateway.state import LIVE_AT_BROKER, ForeignOrder, State
from common.tws.messages import OpenOrder, StatusReport


def take_open_order(state: State, report: OpenOrder, *, books: int) -> None:
    """An order that is not ours. `books`: the number of the comparison whose books tell it, 0 when
    TWS says it now; an order without a name is believed in books only, each time anew."""
    known = names(report.perm_id, report.client_id, report.order_id)
    forget(state, known)
    if report.status in LIVE_AT_BROKER and (known or books):
        name = known[0] if known else f"nameless {len(state.foreign)}"
        state.foreign[name] = ForeignOrder(
            report.action, report.shares, report.order_id, report.client_id
        )


def take_status(state: State, report: StatusReport) -> bool:
    """Whether it was said of one of them."""
    known = names(report.perm_id, report.client_id, report.order_id)
    order = next((state.foreign[name] for name in known if name in state.foreign), None)
    if order is None:
        return False
    order.remaining = report.remaining
    if report.status not in LIVE_AT_BROKER:
        forget(state, known)
    return True


def names(perm_id: int, client_id: int, order_id: int) -> list[str]:
    """What an order may be known by, the best first."""
    by_perm_id = [f"{perm_id}"] if perm_id else []
    by_order_id = [f"{client_id}/{order_id}"] if order_id else []
    return by_perm_id + by_order_id


def forget(state: State, known: list[str]) -> None:
    for name in known:
        state.foreign.pop(name, None)
