"""Orders of others that rest: placed by hand or by another program, filled or removed later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common import topology
from services.sim_tws.orders import Order, Ticket
from services.sim_tws.tape import Phase
from tests.simulation.fault import NOTHING, STANDING, Fault, Harm

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis

OTHER_CLIENT = 9
RESTS_S = (12.0, 25.0, 40.0)
"""Host time, in which some minutes of the market's pass."""
LOOKED_S, LOOKED_MARKET_S = 13.0, 75.0
"""After so long, by both clocks, an order that nobody tells of was looked for and found."""
FORGOTTEN_S = 16.0
"""So long after its end it is not believed to rest any more."""


def order_of_others(nemesis: Nemesis) -> Harm:
    """Sells at most half of what is held, or buys; some of them near enough to be filled."""
    world, chance = nemesis.world, nemesis.chance
    tws = world.tws
    tws.advance()
    at_home = tws.broker is tws.home and tws.broker.link_up
    if not at_home or tws.tape.phase(tws.market_ns) is not Phase.REGULAR:
        return NOTHING
    held = int(tws.broker.account.smh.shares)
    sells = held > 1 and chance.random() < 0.75
    away = chance.choice((0.0008, 0.004, 0.03)) * (1 if sells else -1)
    limit_usd = round(tws.tape.mark(tws.market_ns) * (1 + away), 2)
    shares = chance.randint(1, held // 2) if sells else chance.choice((1, 50, 300))
    ticket = Ticket("SELL" if sells else "BUY", float(shares), "LMT", limit_usd=limit_usd)
    order = tws.broker.place_own(ticket)
    if order.deactivated or (order not in tws.broker.books.live() and not order.filled):
        return NOTHING  # another fault, still in force, took it
    if chance.random() < 0.5:
        order.client_id, order.order_id = OTHER_CLIENT, 1_000 + order.perm_id % 1_000
    world.note(f"--- others: {ticket.action} {shares} at {limit_usd}, {order.perm_id}")
    began = world.timeline.host_ns, world.timeline.market_ns

    def remove() -> None:
        tws.advance()
        _must_be_known(nemesis, order, *began)
        if not order.done:
            tws.home.exchange.end(order, "")
        world.timeline.after(FORGOTTEN_S, lambda: _must_be_forgotten(nemesis, order))

    nemesis.rests("order of others", chance.choice(RESTS_S), remove)
    return STANDING, None


def _must_be_known(nemesis: Nemesis, order: Order, host_ns: int, market_ns: int) -> None:
    world = nemesis.world
    looked = (
        world.timeline.host_ns - host_ns > LOOKED_S * 1e9
        and world.timeline.market_ns - market_ns > LOOKED_MARKET_S * 1e9
    )
    known = _believed(nemesis, order)
    if looked and not (known or order.done or nemesis.troubled_since(host_ns)):
        world.fail(f"an order of others rests for {LOOKED_S:g} s and the gateway does not know it")


def _must_be_forgotten(nemesis: Nemesis, order: Order) -> None:
    world = nemesis.world
    ended_ns = world.timeline.host_ns - int(FORGOTTEN_S * 1e9)
    in_session = world.tws.tape.phase(world.tws.market_ns) is Phase.REGULAR
    troubled = nemesis.troubled_since(ended_ns - int(2 * FORGOTTEN_S * 1e9))
    if in_session and _believed(nemesis, order) and not troubled:
        world.fail("an order of others has ended and the gateway believes that it rests")


def _believed(nemesis: Nemesis, order: Order) -> bool:
    """By its permId, or what it is known by until it is told."""
    gateway: Any = nemesis.world.processes[topology.GATEWAY].engine.state
    if order.order_id and f"{order.client_id}/{order.order_id}" in gateway.foreign:
        return True
    nameless = not (order.order_id or order.told_perm_id)
    return f"{order.perm_id}" in gateway.foreign or (nameless and "nameless 0" in gateway.foreign)


OTHERS = {"order of others": Fault(1, order_of_others)}
