"""What IB seldom does: it refuses an order beside another of its group, puts one aside without a
word, numbers one only with its first fill, and holds part of a share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.fault import NOTHING, STANDING, Fault, Harm

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis


def group_joins_refused(nemesis: Nemesis) -> Harm:
    """An exit beside a resting stop is refused; the next one goes without a group."""
    switches = nemesis.world.tws.switches
    switches.refuse_group_joins = True
    return STANDING, lambda: setattr(switches, "refuse_group_joins", False)


def order_deactivated(nemesis: Nemesis) -> Harm:
    """The next order is Inactive, and yet neither done nor worked."""
    switches = nemesis.world.tws.switches
    switches.deactivate_orders = 1
    return STANDING, lambda: setattr(switches, "deactivate_orders", 0)


def orders_unnumbered(nemesis: Nemesis) -> Harm:
    """New orders have permId 0, ours and those of others, until they fill."""
    switches = nemesis.world.tws.switches
    switches.unnumbered_orders = True
    return STANDING, lambda: setattr(switches, "unnumbered_orders", False)


def part_of_a_share(nemesis: Nemesis) -> Harm:
    """As from a reinvested dividend."""
    tws = nemesis.world.tws
    account = tws.home.account
    tws.advance()
    if account.smh.shares != int(account.smh.shares):
        return NOTHING
    part = nemesis.chance.choice((0.25, 0.4, 0.999))
    account.trade(1, part, tws.tape.mark(tws.market_ns), 0.0)
    tws.home.say.position_changed()
    tws.publish_account()
    return NOTHING


ODD: dict[str, Fault] = {
    "group joins refused": Fault(3, group_joins_refused),
    "order deactivated": Fault(3, order_deactivated),
    "orders unnumbered": Fault(3, orders_unnumbered),
    "part of a share": Fault(2, part_of_a_share),
}
