"""One API connection between a service and TWS: bytes go both ways, in order, late or never."""

from __future__ import annotations

from random import Random
from typing import Protocol

from tests.simulation.timeline import Act, Timeline, seconds


class Listener(Protocol):
    """The client's end: hears what TWS says."""

    def deliver(self, message: object) -> None: ...
    def closed(self, why: str) -> None: ...


class Pipe:
    """`cut`: nothing more passes (half-open until somebody notices)."""

    def __init__(
        self, timeline: Timeline, chance: Random, number: int, client_id: int, listener: Listener
    ) -> None:
        self.timeline, self.chance = timeline, chance
        self.number, self.client_id, self.listener = number, client_id, listener
        self.alive = True
        self.cut = False
        self.frozen: list[Act] | None = None
        """What waits at a frozen TWS; None while it is not frozen."""
        self.late_s = 0.0
        self._to_tws_ns = self._to_client_ns = 0

    def ask(self, act: Act) -> None:
        """Bytes to TWS; `act`: what it does when they arrive. A dead client's may still arrive."""
        self._to_tws_ns = max(self._to_tws_ns, self.timeline.host_ns + self._delay_ns())

        def arrive() -> None:
            if self.cut:
                return
            if self.frozen is not None:
                self.frozen.append(act)
            else:
                act()

        self.timeline.at(self._to_tws_ns, arrive)

    def tell(self, message: object) -> None:
        """Bytes to the client."""
        self._to_client_ns = max(
            self._to_client_ns, self.timeline.host_ns + self._delay_ns() + seconds(self.late_s)
        )

        def arrive() -> None:
            if self.alive and not self.cut:
                self.listener.deliver(message)

        self.timeline.at(self._to_client_ns, arrive)

    def freeze(self) -> None:
        self.frozen = self.frozen or []

    def thaw(self) -> None:
        waiting, self.frozen = self.frozen or [], None
        for act in waiting:
            act()

    def die(self, why: str, *, bytes_lost: bool) -> None:
        """The connection ends. `bytes_lost`: what is on its way to TWS never arrives."""
        if not self.alive:
            return
        self.alive = False
        self.cut = self.cut or bytes_lost
        self.listener.closed(why)

    def _delay_ns(self) -> int:
        return self.chance.randint(100_000, 1_500_000)
