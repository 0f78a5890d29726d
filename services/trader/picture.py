"""What is known of the system right now: the newest of each fact, and who is silent.

Facts come from the bus (`hear`) or, where a speaker is silent, from its journal (`recall`). A fact
that was heard is never replaced by one that was only read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from common import messages as m
from common import topology

Fact = TypeVar("Fact", bound=m.Message)


@dataclass(frozen=True, slots=True)
class Beat:
    """A speaker's last heartbeat, and the host instant (monotonic ns) at which it was heard."""

    heartbeat: m.Heartbeat
    heard_ns: int


@dataclass(slots=True)
class Picture:
    """Filled by `hear` and `recall`, then read."""

    expected: tuple[str, ...]
    """The services that should be speaking."""
    beats: dict[str, Beat] = field(default_factory=dict)
    alerts: dict[tuple[str, str], m.Alert] = field(default_factory=dict)
    orders: dict[str, m.OrderState] = field(default_factory=dict)
    restarts: dict[str, m.Restarted] = field(default_factory=dict)
    """The newest restart of each process."""
    recalled_ns: dict[str, int] = field(default_factory=dict)
    """Per silent speaker, the market instant of its last journal record."""
    _heard: dict[type[m.Message], m.Message] = field(default_factory=dict)
    _recalled: dict[type[m.Message], m.Message] = field(default_factory=dict)

    def hear(self, speaker: str, fact: m.Message, host_ns: int) -> None:
        if isinstance(fact, m.Heartbeat):
            self.beats[speaker] = Beat(fact, host_ns)
        else:
            self._keep(self._heard, speaker, fact)

    def recall(self, speaker: str, fact: m.Message, market_ns: int) -> None:
        self.recalled_ns[speaker] = max(market_ns, self.recalled_ns.get(speaker, 0))
        self._keep(self._recalled, speaker, fact)

    def _keep(self, facts: dict[type[m.Message], m.Message], speaker: str, fact: m.Message) -> None:
        if isinstance(fact, m.Alert):
            self.alerts[speaker, fact.code] = fact
        elif isinstance(fact, m.Restarted):
            self.restarts[fact.process] = fact
        elif isinstance(fact, m.OrderState):
            self.orders[fact.intent_id] = fact
        else:
            facts[type(fact)] = fact

    def last(self, kind: type[Fact]) -> Fact | None:
        """The newest fact of a kind, heard or else read; None when nobody said one."""
        return cast("Fact | None", self._heard.get(kind) or self._recalled.get(kind))

    @property
    def silent(self) -> tuple[str, ...]:
        return tuple(name for name in self.expected if name not in self.beats)

    @property
    def raised_alerts(self) -> list[tuple[str, m.Alert]]:
        """Standing alerts with their speakers, pages first."""
        raised = [(who, alert) for (who, _), alert in self.alerts.items() if alert.raised]
        return sorted(raised, key=lambda item: (item[1].level != "page", item[0], item[1].code))

    @property
    def market_ns(self) -> int | None:
        """Newest market time that anyone has worked off, or has recorded."""
        instants: Iterable[int] = [
            *(beat.heartbeat.caught_up_ns for beat in self.beats.values()),
            *self.recalled_ns.values(),
        ]
        return max(instants, default=None)


def expected_services(broker: str) -> tuple[str, ...]:
    """Who should be speaking: the pacer only where time is replayed."""
    return tuple(name for name in topology.SPEAKERS if name != topology.PACER or broker == "sim")
