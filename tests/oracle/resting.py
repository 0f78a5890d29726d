"""The stop that rests at the broker, and the exit beside it: nothing is sold twice."""

from __future__ import annotations

from collections.abc import Iterator

from tests.oracle.facts import SECOND_NS, Placed
from tests.oracle.ledger import Ledger
from tests.oracle.orders import Orders
from tests.oracle.stop import Baseline

TOLERANCE = 0.003  # of the baseline: what a purchase in pieces moves it by, a level left, a tick
ON_ITS_WAY_NS = 5 * SECOND_NS
"""That a fill may take to whoever sends the exit, by either clock: a fast simulated market passes
minutes meanwhile."""
TOLD_NS = SECOND_NS
"""Host time in which word of an order of others reaches whoever decides."""
CANCEL_WITH_BLOCK = "1"
WATCHES_QUOTES = frozenset({"1", "4", "8"})


def stop_faults(
    order: Placed, orders: Orders, ledger: Ledger, baseline: Baseline | None
) -> Iterator[str]:
    """What is wrong with a resting stop at the instant it is placed."""
    for alive in orders.stops:
        yield f"beside stop {alive.placed.order_id}: two stops alive at once"
    if any(not alive.placed.rests for alive in orders.sales):
        yield "beside an open exit"
    selling = orders.shares_in_sales() + sold_by_others(order, orders)
    if order.shares > ledger.shares - selling:
        yield f"covers {order.shares:g} of {ledger.shares:g} held, {selling:g} in sales already"
    if order.tif != "DAY" or order.outside_rth:
        yield "is not for the regular session of one day"
    if order.trigger_method not in WATCHES_QUOTES:
        yield "may be triggered by one wild print"
    if (order.oca_group, order.oca_type) != (order.order_ref, CANCEL_WITH_BLOCK):
        yield "opens no group of its own that an exit could join"
    if baseline is not None:
        equity_usd = ledger.cash_usd + order.shares * order.stop_usd
        loss_fraction = baseline.rules.resting_loss_fraction
        least_usd = baseline.least_usd(loss_fraction, TOLERANCE, order.host_ns)
        most_usd = baseline.most_usd(loss_fraction, TOLERANCE)
        if order.shares == ledger.shares and not least_usd <= equity_usd <= most_usd:
            told = f"not ${least_usd:,.0f} to ${most_usd:,.0f}"
            yield f"at {order.stop_usd:g} leaves ${equity_usd:,.0f}, {told}"


def exit_faults(order: Placed, orders: Orders, ledger: Ledger) -> Iterator[str]:
    """What an exit must not do beside a stop or another exit."""
    held = ledger.shares
    selling = orders.shares_in_sales(order.oca_group) + sold_by_others(order, orders)
    if order.shares > held - selling + just_sold(order, orders, ledger):
        yield f"sells {order.shares:g} of {held:g} held, {selling:g} in sales already"
    for alive in orders.stops:
        if alive.untouched and alive.placed.oca_group != order.oca_group:
            yield f"is not in the group of stop {alive.placed.order_id}"


def sold_by_others(order: Placed, orders: Orders) -> float:
    """Shares that resting orders of others may sell, as far as they were told of."""
    return sum(said.sells for said in orders.others_at(order.host_ns - TOLD_NS))


def just_sold(order: Placed, orders: Orders, ledger: Ledger) -> float:
    """Shares that the stop of the exit's group sold while the exit was on its way to the broker,
    who refuses it then; and what that stop may still sell."""
    stops = [
        key
        for key, placed in orders.placed.items()
        if placed.rests and order.oca_group and placed.oca_group == order.oca_group
    ]
    traded = sum(
        done.shares
        for done in ledger.executions.values()
        if (done.owner, done.order_id) in stops
        and min(order.ns - done.ns, order.host_ns - done.host_ns) < ON_ITS_WAY_NS
    )
    rest = sum(orders.alive[key].left for key in stops if key in orders.alive) if traded else 0.0
    return traded + rest
