"""Tells clients about their orders, in the real order of messages; silent while the link is down.

Every message is encoded when it is sent, in the version of whoever hears it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Protocol

from services.sim_tws import order_replies, replies
from services.sim_tws.orders import Execution, Order

Encode = Callable[[int], bytes]  # server version -> payload


class Outlet(Protocol):
    """Where the broker's words go; the server knows which socket that is."""

    def to_client(self, client_id: int, encode: Encode) -> None: ...

    def position_changed(self) -> None: ...


class Announcer:
    """The broker's voice. What is said while the link is down is kept for later, or lost."""

    def __init__(self) -> None:
        self.outlet: Outlet | None = None
        self.utc_times = False
        """How executions tell their time: in UTC, as a TWS that is set to it."""
        self._silent = False
        self._missed: list[tuple[int, Encode]] = []

    def fall_silent(self) -> None:
        self._silent = True

    def speak_again(self, tell_missed: bool) -> None:
        """What clients missed is told now or, if not, only when they ask."""
        self._silent = False
        missed, self._missed = self._missed, []
        if tell_missed:
            for client_id, encode in missed:
                self.tell(client_id, encode)
        self.position_changed()

    def order(self, order: Order) -> None:
        """The pair every change brings: the whole order, then its status."""
        self.whole_order(order)
        self.status(order)

    def whole_order(self, order: Order) -> None:
        shown = copy.copy(order)
        self.tell(order.client_id, lambda version: order_replies.open_order(shown, version))

    def status(self, order: Order, status: str = "") -> None:
        shown = copy.copy(order)
        self.tell(
            order.client_id, lambda version: order_replies.order_status(shown, version, status)
        )

    def error(self, order: Order, code: int, text: str) -> None:
        order_id = order.order_id
        self.tell(order.client_id, lambda version: replies.error(order_id, code, text, version))

    def execution(self, fill: Execution) -> None:
        self.tell(
            fill.client_id,
            lambda version: order_replies.execution(
                fill, replies.NO_ID, version, utc=self.utc_times
            ),
        )

    def commission(self, fill: Execution) -> None:
        self.tell(fill.client_id, lambda _version: order_replies.commission(fill))

    def tell(self, client_id: int, encode: Encode) -> None:
        if self._silent:
            self._missed.append((client_id, encode))
        elif self.outlet is not None:
            self.outlet.to_client(client_id, encode)

    def position_changed(self) -> None:
        if not self._silent and self.outlet is not None:
            self.outlet.position_changed()
