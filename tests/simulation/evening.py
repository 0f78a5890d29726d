"""Trading after the close: wide quotes, few shares shown, and a price that moves away or not."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from common.clock import SECOND_NS
from services.sim_tws.market import SessionTimes, Tick
from services.sim_tws.tape import extended_hours

STEP_NS = 5 * SECOND_NS
FRESH_NS = 15 * STEP_NS
"""Over a stretch longer than this only its beginning, its turns and its end are told."""


@dataclass(frozen=True, slots=True)
class Evening:
    """From `from_ns` on the price moves by `fraction` within `length_ns` and stays there."""

    close_ns: int
    end_ns: int
    from_ns: int
    length_ns: int
    fraction: float
    width: float
    shown: int

    def windows(self, walk: int, quick: int) -> list[tuple[int, int, int]]:
        """What happens: the sale after the final close, and the end of it all. From, to, and how
        fast it may pass."""
        sale_ns = self.close_ns + 66 * SECOND_NS
        waits_ns, over_ns = sale_ns + 40 * SECOND_NS, self.end_ns - SECOND_NS
        return [
            (sale_ns, waits_ns, walk),
            (waits_ns, over_ns, quick),
            (over_ns, self.end_ns + 3 * SECOND_NS, walk),
        ]

    def tick(self, ts_ns: int, close_usd: float) -> Tick:
        at_ns = max(self.close_ns, min(ts_ns, self.end_ns) // STEP_NS * STEP_NS)
        gone = min(1.0, max(0.0, (at_ns - self.from_ns) / self.length_ns))
        usd = close_usd * (1 + self.fraction * gone)
        bid, ask = round(usd * (1 - self.width / 2), 2), round(usd * (1 + self.width / 2), 2)
        return Tick(at_ns, bid, ask, round(usd, 2), self.shown, self.shown, self.shown)

    def path(self, after_ns: int, until_ns: int, close_usd: float) -> list[Tick]:
        """The moves in (after, until]."""
        first_ns = max(after_ns, self.close_ns) // STEP_NS * STEP_NS + STEP_NS
        last_ns = min(until_ns, self.end_ns) // STEP_NS * STEP_NS
        if last_ns - first_ns > FRESH_NS:
            moved_ns = self.from_ns + self.length_ns
            turns = {
                first_ns,
                self.from_ns // STEP_NS * STEP_NS,
                moved_ns // STEP_NS * STEP_NS,
                last_ns,
            }
            instants = sorted(
                {ns // STEP_NS * STEP_NS for ns in turns if first_ns <= ns <= last_ns}
            )
        else:
            instants = list(range(first_ns, last_ns + 1, STEP_NS))
        return [self.tick(ns, close_usd) for ns in instants]


def draw(chance: Random, times: SessionTimes) -> Evening:
    """An evening: calm, or away from the limit of whoever wants to sell, or the other way."""
    from_ns = times.close_ns + int(chance.choice((1, 50, 62, 70, 600, 5_000)) * SECOND_NS)
    return Evening(
        times.close_ns,
        extended_hours(times)[1],
        from_ns,
        int(chance.choice((1, 20, 1_000)) * SECOND_NS),
        chance.choice((0.0, 0.0, -0.003, -0.008, -0.008, -0.03, 0.004)),
        chance.choice((0.0004, 0.002, 0.006)),
        chance.choice((50, 400, 4_000)),
    )
