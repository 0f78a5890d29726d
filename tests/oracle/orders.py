"""Orders as the wire shows them: what was placed, and what may still be alive at the broker."""

from __future__ import annotations

from dataclasses import dataclass

from tests.oracle.facts import (
    CancelAsked,
    ErrorSaid,
    Executed,
    OpenOrdersAsked,
    OpenOrdersEnded,
    OrderCompleted,
    OrderSaid,
    Placed,
)

ENDED = frozenset({"Filled", "Cancelled", "ApiCancelled", "Inactive"})
REJECTS = frozenset({110, 200, 201, 203, 321, 322})
"""Error codes by which TWS refuses an order it never took (protocol notes, section 3)."""

ID_USED = 103
"""TWS has seen the id before: no word on what became of the order."""

Key = tuple[int, int]  # client id, order id


@dataclass(slots=True)
class Alive:
    """A placed order that has not ended; `left` shares may still trade."""

    placed: Placed
    left: float
    acknowledged: bool = False
    cancelling: bool = False

    @property
    def untouched(self) -> bool:
        """Known at the broker, whole, and not being cancelled: its OCA group can count on it."""
        whole = self.left == self.placed.shares
        return self.acknowledged and whole and not self.cancelling


class Orders:
    """Follows every order placed, by client and order id."""

    def __init__(self) -> None:
        self.placed: dict[Key, Placed] = {}
        self.answered: set[Key] = set()
        """TWS has said something of them. Others may wait in one of its dialogs, in no book."""
        self.alive: dict[Key, Alive] = {}
        self.others: dict[int, OrderSaid] = {}
        """By perm id: orders of somebody else, as they were told last."""
        self._untold: dict[Key, float] = {}
        """Shares of filled orders whose executions were not told yet."""
        self._perm_ids: dict[int, Key] = {}
        self._unlisted: dict[int, set[Key]] = {}  # by connection: since its last question
        self._others_unlisted: dict[int, set[int]] = {}

    def place(self, order: Placed) -> None:
        key = (order.client_id, order.order_id)
        self.placed[key] = order
        if not order.what_if:
            self.alive[key] = Alive(order, order.shares)

    def said(self, said: OrderSaid) -> None:
        key = (said.owner, said.order_id)
        self._perm_ids[said.perm_id] = key
        self.answered.add(key)
        for unlisted in self._unlisted.values():
            unlisted.discard(key)
        if said.what_if:
            return
        if said.owner != said.client_id:
            self._said_of_others(said)
        if said.status in ENDED:
            ended = self.alive.pop(key, None)
            if ended is not None and said.status == "Filled":
                self._untold[key] = ended.left
        elif key in self.alive:
            self.alive[key].acknowledged = True

    def _said_of_others(self, said: OrderSaid) -> None:
        if said.status in ENDED:
            self.others.pop(said.perm_id, None)
        elif said.perm_id not in self.others:
            self.others[said.perm_id] = said
        for unlisted in self._others_unlisted.values():
            unlisted.discard(said.perm_id)

    def refused(self, error: ErrorSaid) -> None:
        if error.code != ID_USED:
            self.answered.add((error.client_id, error.req_id))
        if error.code in REJECTS:
            self.alive.pop((error.client_id, error.req_id), None)

    def executed(self, execution: Executed) -> None:
        key = (execution.owner, execution.order_id)
        self.answered.add(key)
        if key in self._untold:
            self._untold[key] = max(0.0, self._untold[key] - execution.shares)
        alive = self.alive.get(key)
        if alive is not None:
            alive.left = max(0.0, alive.left - execution.shares)

    def cancel_asked(self, cancel: CancelAsked) -> None:
        alive = self.alive.get((cancel.client_id, cancel.order_id))
        if alive is not None:
            alive.cancelling = True

    def completed(self, order: OrderCompleted) -> None:
        """Told after a reconnect: an order that ended while nobody listened."""
        key = self._perm_ids.get(order.perm_id)
        if key is None:
            refs = {alive.placed.order_ref: key for key, alive in self.alive.items()}
            key = refs.get(order.order_ref)
        if key is not None:
            self.answered.add(key)
            self.alive.pop(key, None)

    def asked_for_open(self, asked: OpenOrdersAsked) -> None:
        """From here to the end of the answer, what is not listed is not alive any more."""
        mine = {key for key in self.alive if key[0] == asked.client_id}
        self._unlisted[asked.connection] = mine
        self._others_unlisted[asked.connection] = set(self.others)

    def listed(self, ended: OpenOrdersEnded) -> None:
        for key in self._unlisted.pop(ended.connection, set()):
            self.alive.pop(key, None)
        for perm_id in self._others_unlisted.pop(ended.connection, set()):
            self.others.pop(perm_id, None)

    def others_at(self, host_ns: int) -> list[OrderSaid]:
        """Orders of others that were told of before."""
        return [said for said in self.others.values() if said.host_ns < host_ns]

    @property
    def sales(self) -> list[Alive]:
        return [alive for alive in self.alive.values() if alive.placed.action == "SELL"]

    @property
    def stops(self) -> list[Alive]:
        """Stops that rest at the broker, or sell."""
        return [alive for alive in self.sales if alive.placed.rests]

    def selling(self, from_ns: int) -> bool:
        """Is a sale under way: an exit, or a stop that has been triggered? An exit sent since then
        without any answer is: TWS may hold it in a dialog, where no book lists it."""
        unanswered = any(
            order.action == "SELL" and order.ns >= from_ns and not (order.rests or order.what_if)
            for key, order in self.placed.items()
            if key not in self.answered
        )
        sold = any(left and self.placed[key].action == "SELL" for key, left in self._untold.items())
        under_way = any(not a.placed.rests or a.left < a.placed.shares for a in self.sales)
        return unanswered or sold or under_way

    @property
    def sold_by_others(self) -> float:
        """Shares that resting orders of others may sell."""
        return sum(said.sells for said in self.others.values())

    def shares_in_sales(self, beside: str = "") -> float:
        """An OCA group counts once while each of it is untouched; `beside`: a group not counted
        as far as it is, because it excludes the order that is asked about."""
        each, once = 0.0, dict[str, float]()
        for alive in self.sales:
            group = alive.placed.oca_group
            if group and alive.untouched:
                once[group] = max(once.get(group, 0.0), alive.left)
            else:
                each += alive.left
        once.pop(beside, None)
        return each + sum(once.values())
