"""Daily closes as the wire told them, and the two averages computed from them again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from tests.oracle.facts import SECOND_NS, BarsAsked, BarsSaid, Fact
from tests.oracle.sessions import Session

FAST_SPAN = 25
SLOW_SPAN = 125
FINAL_AFTER_NS = 60 * SECOND_NS
TOO_CLOSE = 1e-6  # averages nearer than this, as a share of the slow one, prove neither side

Side = Literal["BULL", "BEAR", "UNPROVEN"]


@dataclass(slots=True)
class DailyPrices:
    """Final daily opens and closes of one symbol, by day, and when each was told first.

    A longer history replaces what was told before it.
    """

    symbol: str
    sessions: dict[date, Session]
    opens: dict[date, float] = field(default_factory=dict)
    closes: dict[date, float] = field(default_factory=dict)
    told_ns: dict[date, int] = field(default_factory=dict)
    _asked: dict[tuple[int, int], BarsAsked] = field(default_factory=dict)

    def learn(self, passed: Iterable[Fact]) -> None:
        """Takes every daily bar that was told, over the whole recording."""
        for fact in passed:
            if isinstance(fact, BarsAsked):
                self._asked[fact.connection, fact.req_id] = fact
            elif isinstance(fact, BarsSaid):
                self._said(fact)

    def close_before(self, day: date) -> float:
        """NaN where nobody told it."""
        before = [other for other in self.closes if other < day]
        return self.closes[max(before)] if before else float("nan")

    def _said(self, said: BarsSaid) -> None:
        """Takes the bars whose session had been over for a minute when they were told."""
        asked = self._asked.get((said.connection, said.req_id))
        if asked is None or asked.symbol != self.symbol:
            return
        if asked.bar_size != "1 day" or asked.show != "TRADES":
            return
        final = [bar for bar in said.bars if self._is_final(bar[0], said.ns)]
        if len(final) > len(self.closes):
            self.opens.clear()
            self.closes.clear()
        for day, opened, closed in final:
            self.opens[day] = opened
            self.closes[day] = closed
            self.told_ns.setdefault(day, said.ns)

    def _is_final(self, day: date, told_ns: int) -> bool:
        session = self.sessions.get(day)
        if session is not None:
            return told_ns >= session.close_ns + FINAL_AFTER_NS
        return not self.sessions or day < min(self.sessions)


def sides(closes: dict[date, float]) -> dict[date, Side]:
    """The signal at each day's close: EMA 25 against EMA 125, both seeded with the first close."""
    found: dict[date, Side] = {}
    fast = slow = 0.0
    for number, day in enumerate(sorted(closes)):
        close = closes[day]
        if number == 0:
            fast = slow = close
        fast += 2.0 / (FAST_SPAN + 1) * (close - fast)
        slow += 2.0 / (SLOW_SPAN + 1) * (close - slow)
        if abs(fast / slow - 1.0) < TOO_CLOSE:
            found[day] = "UNPROVEN"
        else:
            found[day] = "BULL" if fast > slow else "BEAR"
    return found
