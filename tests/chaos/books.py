"""Are we and the broker of one mind? Shares, cash, executions and orders, recomputed and compared.

Ours come from the gateway's journals alone. The broker's are its own books, read after everything
has ended, and the executions and orders that passed on its wire. Only `theirs` reads a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common import messages as m
from common.tws.messages import SendOrder
from services.sim_tws.state_file import StateFile
from tests.oracle import facts as f

CENT_USD = 0.01
SYMBOL = "SMH"


@dataclass(frozen=True, slots=True)
class Ours:
    """What our journals add up to. `fills`: exec id -> (signed shares, price); `orders`: our
    reference -> (order id, action, shares); `unended`: those we hold for alive or unknown."""

    shares: int
    cash_usd: float
    fills: dict[str, tuple[int, float]]
    orders: dict[str, tuple[int, str, int]]
    unended: frozenset[str]


@dataclass(slots=True)
class Theirs:
    """The broker's books and what passed on its wire."""

    shares: float
    cash_usd: float
    executions_ever: int
    live: frozenset[str]
    executions: dict[str, tuple[int, float]] = field(default_factory=dict)
    orders: dict[str, tuple[int, str, int]] = field(default_factory=dict)


def ours(said: Iterable[m.Message]) -> Ours:
    """From everything that the gateway decided, in order; ValueError without an account."""
    opening: m.AccountSnapshot | None = None
    fills: dict[str, m.Fill] = {}
    charged: dict[str, float] = {}
    orders: dict[str, tuple[int, str, int]] = {}
    intents: dict[str, str] = {}
    status: dict[str, str] = {}
    for message in said:
        match message:
            case m.AccountSnapshot() if opening is None:
                opening = message
            case m.Fill():
                known = fills.get(message.exec_id)
                if known is None or known.revision < message.revision:
                    fills[message.exec_id] = message
            case m.Commission():
                charged[message.exec_id] = message.commission_usd
            case SendOrder():
                order = message.order
                orders[message.order_ref] = (message.order_id, order.action, order.shares)
                intents[message.order_ref] = order.intent_id
                status.setdefault(order.intent_id, "PendingSubmit")
            case m.OrderUpdate():
                status[message.intent_id] = message.status
    if opening is None:
        raise ValueError("the gateway's journals hold no account")
    booked = {fill.exec_id: (_signed(fill), fill.price_usd) for fill in fills.values()}
    spent_usd = sum(shares * price for shares, price in booked.values()) + sum(charged.values())
    return Ours(
        shares=opening.shares + sum(shares for shares, _ in booked.values()),
        cash_usd=opening.cash_usd - spent_usd,
        fills=booked,
        orders=orders,
        unended=frozenset(ref for ref in orders if status[intents[ref]] not in m.DONE_STATUSES),
    )


def _signed(fill: m.Fill) -> int:
    return fill.shares if fill.action == "BUY" else -fill.shares


def theirs(state: Path, placed: Iterable[f.Placed], executions: Sequence[f.Executed]) -> Theirs:
    """The broker's state file; the orders and the executions that passed on its wire."""
    saved = StateFile(state).load()
    if saved is None:
        raise ValueError(f"{state} is missing")
    account, *_ = saved.books.accounts
    found = Theirs(
        shares=account.smh.shares,
        cash_usd=account.cash_usd,
        executions_ever=saved.books.last_execution,
        live=frozenset(order.ticket.order_ref for order in saved.books.live()),
        executions={
            e.exec_id.rpartition(".")[0]: (e.side * round(e.shares), e.price_usd)
            for e in executions
        },
    )
    for order in placed:
        if not order.what_if:
            found.orders[order.order_ref] = (order.order_id, order.action, round(order.shares))
    return found


def differences(mine: Ours, broker: Theirs) -> list[str]:
    """Each difference in one sentence; none when the two are of one mind."""
    found: list[str] = []
    if mine.shares != broker.shares:
        found.append(f"{mine.shares} shares by our journals, {broker.shares:g} at the broker")
    if abs(mine.cash_usd - broker.cash_usd) >= CENT_USD / 2:
        found.append(
            f"${mine.cash_usd:,.4f} of cash by our journals, ${broker.cash_usd:,.4f} at the broker"
        )
    if len(mine.fills) != broker.executions_ever:
        found.append(f"{len(mine.fills)} fills journaled, {broker.executions_ever} made")
    for exec_id in sorted(mine.fills.keys() | broker.executions.keys()):
        one, other = mine.fills.get(exec_id), broker.executions.get(exec_id)
        if one != other:
            found.append(f"execution {exec_id}: {one} in our journal, {other} on the wire")
    for ref in sorted(broker.orders):
        sent = mine.orders.get(ref)
        if sent != broker.orders[ref]:
            found.append(f"order {ref}: {sent} in our journal, {broker.orders[ref]} on the wire")
    for ref in sorted(mine.unended ^ broker.live):
        where = "here" if ref in mine.unended else "at the broker"
        found.append(f"order {ref} is still open {where} only")
    return found
