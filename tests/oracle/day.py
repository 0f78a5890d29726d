"""One session as the oracle follows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.oracle.averages import Side
from tests.oracle.facts import SECOND_NS, Placed
from tests.oracle.orders import Key
from tests.oracle.rules import Rules
from tests.oracle.sessions import Session
from tests.oracle.stop import APART_NS, JITTER_NS, Baseline, FirstMid, Samples

LAST_MOMENTS_NS = 30 * SECOND_NS  # a breach this near the close may have to wait for the next open


@dataclass(slots=True)
class Breach:
    """A true breach that must be answered by a sell order."""

    ns: int
    host_ns: int
    answered: bool = False
    answered_host_ns: int = 0
    last_host_ns: int = 0
    """The newest print by which it was still true."""


@dataclass(slots=True)
class BearClose:
    """A BEAR close with shares held that are to be sold the same evening."""

    ns: int
    host_ns: int
    sold_host_ns: int | None = None


@dataclass(slots=True)
class Day:
    """`signal`: the side at the close before; None when no daily bar tells.

    `signal_ns`: when that bar was told first, UTC ns.
    """

    session: Session
    signal: Side | None
    signal_ns: int
    shares_at_open: float
    rules: Rules
    baseline: Baseline | None = None
    bought: Key | None = None
    first_mid: FirstMid = field(default_factory=FirstMid)
    marked_ns: int = 0
    """After the open: when the broker's own mark could be its first; 0 before."""
    breach: Breach | None = None
    stop_may_fire: bool = False
    leaves_since_yesterday: bool = False
    sold: bool = False
    stopped: bool = False
    due_for_entry: bool = False
    entries: list[Placed] = field(default_factory=list)
    bear_close: BearClose | None = None
    must: Samples = field(default_factory=lambda: Samples(APART_NS + JITTER_NS))
    may: Samples = field(default_factory=lambda: Samples(APART_NS - JITTER_NS))
    """By these samples an honest stop must fire, by those it may."""

    @property
    def entry_from_ns(self) -> int:
        early_ns = self.session.close_ns - self.rules.entry_from_ns
        return self.session.open_ns if self.rules.all_day else early_ns

    @property
    def entry_until_ns(self) -> int:
        return self.session.close_ns - self.rules.entry_until_ns

    def holds_open_breach(self) -> bool:
        return self.breach is not None and not self.breach.answered
