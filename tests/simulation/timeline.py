"""Simulated time: one line of events in host time, and a market clock that runs beside it.

Host time is the machine's; market time is the exchange's. `speed` market seconds pass in one host
second: 1 where something happens, thousands in quiet hours, as the pacer does it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from common.clock import SECOND_NS

Act = Callable[[], None]


def seconds(count: float) -> int:
    return int(count * SECOND_NS)


class Timeline:
    """Events in the order of their host instant; equal instants in the order of their asking."""

    def __init__(self, market_ns: int) -> None:
        self.host_ns = seconds(5_000)
        self.market_ns = market_ns
        """The exchange's time, UTC ns."""
        self.speed = 1
        """How fast market time passes from now on."""
        self.over = False
        self._events: list[tuple[int, int, Act]] = []
        self._number = 0

    def at(self, host_ns: int, act: Act) -> None:
        self._number += 1
        heapq.heappush(self._events, (max(host_ns, self.host_ns), self._number, act))

    def after(self, host_s: float, act: Act) -> None:
        self.at(self.host_ns + seconds(host_s), act)

    def run(self, events_max: int) -> None:
        """Goes from event to event and lets each happen, until it is `over` or so many have."""
        events = self._events
        for _ in range(events_max):
            host_ns, _, act = heapq.heappop(events)
            self.market_ns += (host_ns - self.host_ns) * self.speed
            self.host_ns = host_ns
            act()
            if self.over:
                return
