"""What the oracle answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from tests.oracle.day import BearClose, Breach
from tests.oracle.facts import Executed
from tests.oracle.sessions import new_york_text


class Violation(NamedTuple):
    """A broken promise: the market instant (UTC ns) and one sentence."""

    ns: int
    sentence: str

    def __str__(self) -> str:
        return f"{new_york_text(self.ns)} {self.sentence}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted on the wire; money in USD.

    `entries`, `stops` and `exits` count orders that traded; `exits` are those that were no stop.
    `missed_entries`: days on which an entry was due and none was placed; a refusal has its reason,
    which is not on the wire. `stop_host_s`: host time from each true breach to its sell order.
    `connections`: how often each client id was accepted.
    """

    days: int
    entries: int
    stops: int
    exits: int
    shares: float
    cash_usd: float
    published_cash_usd: float
    missed_entries: tuple[date, ...]
    stop_host_s: tuple[float, ...]
    connections: dict[int, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`executions`: each once, corrections in place of what they correct, in order; `breaches`:
    every true breach, and when a sale answered it; `bear_closes`: those to be sold in the evening,
    and when they were."""

    violations: tuple[Violation, ...]
    executions: tuple[Executed, ...]
    figures: Figures
    breaches: tuple[Breach, ...] = ()
    bear_closes: tuple[BearClose, ...] = ()

    def text(self) -> str:
        """The violations a line each, for an assertion's message."""
        return "\n".join(map(str, self.violations)) or "nothing"
