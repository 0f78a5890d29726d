"""What IB would still know after a crash: orders, ids, fills and the accounts of the login."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.sim_tws.account import Account
from services.sim_tws.orders import Execution, Order

CANCEL_WITH_BLOCK = 1  # the OCA type in which a fill ends the rest
FIRST_PERM_ID = 1_203_450_000


@dataclass(slots=True)
class Books:
    """Orders by permId, fills, and the accounts of the login."""

    accounts: list[Account]
    orders: dict[int, Order] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    last_order_id: dict[int, int] = field(default_factory=dict)  # by client id
    last_perm_id: int = FIRST_PERM_ID
    last_execution: int = 0
    orders_placed: int = 0  # by API clients, ever

    def live(self) -> list[Order]:
        return [order for order in self.orders.values() if not order.done]

    def find(self, client_id: int, order_id: int) -> Order | None:
        """The newest order of that client and id."""
        for order in reversed(self.orders.values()):
            if order.key == (client_id, order_id):
                return order
        return None

    def children(self, parent: Order) -> list[Order]:
        """Live orders attached to that one."""
        if not parent.order_id:
            return []
        return [
            order
            for order in self.live()
            if order.client_id == parent.client_id and order.ticket.parent_id == parent.order_id
        ]

    def group(self, order: Order) -> list[Order]:
        """The other live orders of its one-cancels-all group."""
        name = order.ticket.oca_group
        return [o for o in self.live() if name and o is not order and o.ticket.oca_group == name]

    def group_is_used_up(self, name: str) -> bool:
        """Has every order of that one-cancels-all group ended, or one traded that ends the rest?"""
        members = [o for o in self.orders.values() if name and o.ticket.oca_group == name]
        if not members:
            return False
        traded = any(o.filled and o.ticket.oca_type == CANCEL_WITH_BLOCK for o in members)
        return traded or all(o.done for o in members)

    def next_perm_id(self) -> int:
        self.last_perm_id += 1
        return self.last_perm_id

    def forget_before(self, ts_ns: int) -> None:
        """Drops fills and done orders that no request can reach any more."""
        self.executions = [fill for fill in self.executions if fill.ts_ns >= ts_ns]
        self.orders = {
            perm_id: order
            for perm_id, order in self.orders.items()
            if not order.done or order.completed_ns >= ts_ns
        }
