"""A market drawn from a seed: quiet hours, and falls that break stops, where they hurt most.

Prices run straight between knots, a few cents of noise upon them. It answers what the simulated TWS
asks of any market (`services.sim_tws.market.Market`), for the few days of one run.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from random import Random

from common.clock import MINUTE_NS, SECOND_NS
from services.sim_tws.market import SMH, VIX, Action, Bar, SessionTimes, Tick
from services.sim_tws.market.sessions import Sessions
from tests.simulation.evening import Evening
from tests.simulation.evening import draw as draw_evening

BARS = 140
TURNING = 0.75
"""Share of the markets with evenings whose signal is about to turn."""
FIRST_DAYS = (
    date(2025, 1, 14), date(2025, 2, 25), date(2025, 3, 6), date(2025, 3, 7), date(2025, 4, 16),
    date(2025, 5, 22), date(2025, 7, 1), date(2025, 7, 2), date(2025, 8, 12), date(2025, 9, 23),
    date(2025, 10, 30), date(2025, 11, 26), date(2025, 11, 27) - timedelta(days=1),
    date(2025, 12, 22), date(2025, 12, 23),
)  # fmt: skip
"""Plain weeks, early closes, holidays and both changes of the clock."""


@cache
def calendar() -> Sessions:
    """All sessions a run may need."""
    return Sessions(date(2024, 1, 2), date(2026, 1, 30))


def opening_within(from_ns: int, until_ns: int) -> list[SessionTimes]:
    """The sessions that open in [from, until), UTC ns."""
    known = calendar()
    return known.all[known.opened_by(from_ns - 1) : known.opened_by(until_ns - 1)]


@dataclass(slots=True)
class Fall:
    """A move of `fraction` that begins at `from_ns`, and comes back to `back` of itself."""

    from_ns: int
    length_s: float
    fraction: float
    back: float
    hold_s: float


@dataclass(frozen=True, slots=True)
class Wide:
    """Few who trade: quotes `fraction` of the price wide that move on, and a print now and then, of
    which one in four is `odd` (a fraction) off and stands until the next."""

    from_ns: int
    fraction: float
    print_every_ns: int
    odd: float

    def printed_ns(self, ts_ns: int) -> int:
        """When the newest print before `ts_ns` was."""
        return ts_ns - (ts_ns - self.from_ns) % self.print_every_ns

    def off(self, printed_ns: int) -> float:
        number = (printed_ns - self.from_ns) // self.print_every_ns
        return self.odd if number % 4 == 3 else 0.0


@dataclass(slots=True)
class SessionPrices:
    times: SessionTimes
    knots_ns: list[int] = field(default_factory=list)
    knots_usd: list[float] = field(default_factory=list)
    falls: list[Fall] = field(default_factory=list)

    def price(self, ts_ns: int) -> float:
        at = bisect_right(self.knots_ns, ts_ns)
        if at == 0:
            return self.knots_usd[0]
        if at == len(self.knots_ns):
            return self.knots_usd[-1]
        before_ns, after_ns = self.knots_ns[at - 1], self.knots_ns[at]
        before, after = self.knots_usd[at - 1], self.knots_usd[at]
        return before + (after - before) * (ts_ns - before_ns) / (after_ns - before_ns)


class SimMarket:
    """`sessions`: those that are traded in the run; before them there is only history."""

    def __init__(
        self,
        chance: Random,
        sessions_count: int,
        *,
        entry_ns: int,
        evenings: Random | None = None,
    ) -> None:
        """`entry_ns`: before the close, where falls come. `evenings`: of what is traded after it,
        which most runs have nothing of."""
        self.entry_ns = entry_ns
        self._noise = chance.getrandbits(32)
        self.first_day = chance.choice(FIRST_DAYS)
        after = calendar().all[calendar().index(self.first_day) :]
        self.sessions = after[:sessions_count]
        self._known = after[: sessions_count + 12]
        self.last_day = self._known[-1].date
        self.split: tuple[date, float] | None = None
        if sessions_count > 1 and chance.random() < 0.06:
            self.split = (self.sessions[1].date, chance.choice((2.0, 3.0)))
        self.vix = chance.choice((11.5, 12.6, 13.4, 18.0, 30.0))
        self.wide: Wide | None = None
        self._draw_history(chance)
        if evenings is not None and evenings.random() < TURNING:
            self._on_the_edge()
        self.evenings: dict[date, Evening] = {}
        if evenings is not None:
            self.evenings = {t.date: draw_evening(evenings, t) for t in self.sessions}
        self.days: dict[date, SessionPrices] = {}
        price = self._closes[-1][1]
        for times in self._known:
            traded = times in self.sessions
            price = self._draw_day(chance, times, price, traded=traded)
        self._opens_ns = [times.open_ns for times in self._known]
        self._drawn = list(self.days.values())
        self._daily = [(day, _bar(close, close, close, close)) for day, close in self._closes]
        for day, drawn in self.days.items():
            usd = drawn.knots_usd
            self._daily.append((day, _bar(usd[0], max(usd), min(usd), usd[-1])))

    def _draw_history(self, chance: Random) -> None:
        """Mostly BULL; sometimes by so little that one bad day turns it; seldom BEAR."""
        kind = chance.choices(("bull", "thin", "bear"), (70, 22, 8))[0]
        drift = {"bull": 0.0015, "thin": 0.0, "bear": -0.0015}[kind]
        price, self._closes = 250.0, list[tuple[date, float]]()
        before = calendar().before(self.first_day, BARS)
        self._before_ns = before[-1].close_ns
        for number, times in enumerate(before):
            price *= 1 + drift + chance.uniform(-0.0004, 0.0004) * (kind != "thin")
            bump = 1.004 if kind == "thin" and number >= BARS - 4 else 1.0
            self._closes.append((times.date, round(price * bump, 2)))

    def _on_the_edge(self) -> None:
        """BULL by so little that a close below the last one turns it."""
        flat = self._closes[-1][1]
        self._closes = [(day, flat) for day, _ in self._closes]
        self._closes[-1] = (self._closes[-1][0], round(flat * 1.001, 2))

    def _draw_day(
        self, chance: Random, times: SessionTimes, before_usd: float, *, traded: bool
    ) -> float:
        split = self.split[1] if self.split and self.split[0] == times.date else 1.0
        gap = chance.choice((0.0, 0.001, -0.002, -0.004, -0.012, 0.006)) if traded else 0.0
        start = before_usd / split * (1 + gap)
        day = SessionPrices(times)
        moves: list[tuple[int, float]] = []
        if traded:
            day.falls = self._draw_falls(chance, times)
            for fall in day.falls:
                bottom_ns = fall.from_ns + int(fall.length_s * SECOND_NS)
                up_ns = bottom_ns + int(fall.hold_s * SECOND_NS)
                moves += [(fall.from_ns, 0.0), (bottom_ns, fall.fraction), (up_ns, 0.0)]
                moves.append((up_ns + int(fall.length_s * SECOND_NS), -fall.fraction * fall.back))
        moves.append((times.close_ns, chance.uniform(-0.001, 0.001)))
        day.knots_ns, day.knots_usd = [times.open_ns], [round(start, 2)]
        for at_ns, change in moves:
            if day.knots_ns[-1] < at_ns <= times.close_ns:
                day.knots_ns.append(at_ns)
                day.knots_usd.append(round(day.knots_usd[-1] * (1 + change), 2))
        self.days[times.date] = day
        return day.knots_usd[-1]

    def _draw_falls(self, chance: Random, times: SessionTimes) -> list[Fall]:
        """None, or one or two falls at the open, in mid-session, right after the entry, or late."""
        entry_ns = times.close_ns - self.entry_ns
        places = [
            times.open_ns + int(chance.uniform(1, 20) * SECOND_NS),
            times.open_ns + int(chance.uniform(60, 170) * MINUTE_NS),
            entry_ns + int(chance.uniform(-20, 0) * SECOND_NS),
            entry_ns + int(chance.uniform(1, 30) * SECOND_NS),
            entry_ns + int(chance.uniform(60, 280) * SECOND_NS),
        ]
        weights = (3, 3, 1, 5, 3)
        starts = sorted(
            chance.choices(places, weights)[0] for _ in range(chance.choice((0, 1, 1, 1, 2)))
        )
        falls: list[Fall] = []
        for start_ns in starts:
            if falls and start_ns < falls[-1].from_ns + 90 * SECOND_NS:
                continue
            falls.append(
                Fall(
                    start_ns,
                    chance.choice((0.5, 2.0, 6.0, 12.0)),
                    -chance.choice((0.004, 0.008, 0.012, 0.02, 0.04)),
                    chance.choice((0.0, 0.0, 0.5, 1.0)),
                    chance.choice((0.5, 3.0, 20.0)),
                )
            )
        return falls

    # --- the questions of `Market` -------------------------------------------------------------

    def session_on(self, day: date) -> SessionTimes | None:
        found = self.days.get(day)
        return found.times if found else calendar().on(day)

    def session_at_or_after(self, ts_ns: int) -> SessionTimes:
        for times in self._known:
            if ts_ns < times.close_ns:
                return times
        raise LookupError("the run is over")

    def sessions_before(self, day: date, count: int) -> list[SessionTimes]:
        return calendar().before(day, count)

    def tick(self, symbol: str, ts_ns: int) -> Tick:
        if symbol == VIX:
            at_ns = ts_ns - ts_ns % (15 * SECOND_NS)
            return Tick(at_ns, self.vix, self.vix, self.vix, 0, 0, 0)
        day = self._day_at(ts_ns)
        if day is None:
            close = self._closes[-1][1]
            return Tick(self._before_ns, close - 0.05, close + 0.05, close, 100, 100, 0)
        at_ns = min(ts_ns, day.times.close_ns)
        if ts_ns >= day.times.close_ns:
            evening = self.evenings.get(day.times.date)
            if evening is not None:
                return evening.tick(ts_ns, day.knots_usd[-1])
            price, wide = day.knots_usd[-1], 0.15
        else:
            at_ns -= at_ns % (SECOND_NS // 4)
            at_ns = max(at_ns, day.times.open_ns)
            price, wide = day.price(at_ns) + self._cents(at_ns), 0.01
            if self.wide is not None:
                return self._wide_tick(day, self.wide, at_ns, price)
        price = round(price, 2)
        return Tick(at_ns, round(price - wide, 2), round(price + wide, 2), price, 4000, 4000, 100)

    def _wide_tick(self, day: SessionPrices, wide: Wide, at_ns: int, middle_usd: float) -> Tick:
        """Both sides follow the market; the last print stays where it was."""
        printed_ns = max(wide.printed_ns(at_ns), day.times.open_ns)
        last_usd = day.price(printed_ns) * (1 + wide.off(printed_ns)) + self._cents(printed_ns)
        half_usd = middle_usd * wide.fraction / 2
        bid, ask = round(middle_usd - half_usd, 2), round(middle_usd + half_usd, 2)
        return Tick(at_ns, bid, ask, round(last_usd, 2), 4000, 4000, 100)

    def path(self, symbol: str, after_ns: int, until_ns: int) -> list[Tick]:
        day = self._day_at(until_ns)
        if day is None or symbol == VIX:
            return (
                [self.tick(symbol, until_ns)]
                if after_ns // (15 * SECOND_NS) < until_ns // (15 * SECOND_NS)
                else []
            )
        evening = self.evenings.get(day.times.date)
        later = evening.path(after_ns, until_ns, day.knots_usd[-1]) if evening else []
        first_ns, last_ns = max(after_ns, day.times.open_ns - 1), min(until_ns, day.times.close_ns)
        if first_ns >= last_ns:
            return later
        step = SECOND_NS // 4
        if last_ns - first_ns > 8 * step:
            instants = [ns for ns in day.knots_ns if first_ns < ns < last_ns]
        else:
            instants = list(range(first_ns - first_ns % step + step, last_ns, step))
        ticks = [self.tick(symbol, ns) for ns in instants]
        ticks.append(Tick(last_ns, *self.tick(symbol, last_ns)[1:]))
        return ticks + later

    def opening_print(self, symbol: str, day: date) -> float:
        return self.vix if symbol == VIX else self.days[day].knots_usd[0]

    def closing_print(self, symbol: str, day: date) -> float:
        if symbol == VIX:
            return self.vix
        if day in self.days:
            return self.days[day].knots_usd[-1]
        return dict(self._closes)[day]

    def bars(self, *_asked: object, as_of: date | None = None) -> list[Bar]:
        raise LookupError(f"nobody asks for bars of minutes here (as of {as_of})")

    def daily_bars(
        self,
        symbol: str,  # noqa: ARG002  (the protocol's; the VIX's are not asked for)
        until: date,
        count: int,
        as_of: date | None = None,
    ) -> list[tuple[date, Bar]]:
        listed = [(day, bar) for day, bar in self._daily if day <= until][-count:]
        if self.split and self.split[0] <= (as_of or until):
            split_day, ratio = self.split
            listed = [(day, bar if day >= split_day else _over(bar, ratio)) for day, bar in listed]
        return listed

    def actions_on(self, day: date) -> list[Action]:
        return [Action("split", self.split[1])] if self.split and self.split[0] == day else []

    def _day_at(self, ts_ns: int) -> SessionPrices | None:
        """The session running at that instant, or the last one before it."""
        opened = bisect_right(self._opens_ns, ts_ns)
        return self._drawn[opened - 1] if opened else None

    def _cents(self, ts_ns: int) -> float:
        mixed = (ts_ns // (SECOND_NS // 4) * 2_654_435_761 ^ self._noise) >> 7
        return (mixed % 5 - 2) / 100


def _bar(open_usd: float, high_usd: float, low_usd: float, close_usd: float) -> Bar:
    return Bar(0, open_usd, high_usd, low_usd, close_usd, 1e6, 1, close_usd)


def _over(bar: Bar, ratio: float) -> Bar:
    """In shares of which a split made `ratio` of one."""
    return _bar(*(round(usd / ratio, 4) for usd in (bar.open, bar.high, bar.low, bar.close)))


__all__ = ["SMH", "VIX", "Fall", "SessionPrices", "SimMarket", "calendar"]
