"""The market as this TWS sees it: the given prices, session phases, halts and injected prints.

An injected (wild) print is published and can trigger stops, as a real bad print does; nobody
trades at it.
"""

from __future__ import annotations

from bisect import insort
from datetime import date, timedelta
from enum import Enum

from common.clock import MINUTE_NS, SECOND_NS
from services.sim_tws.contracts import SMH
from services.sim_tws.market import Action, Market, SessionTimes, Tick
from services.sim_tws.market_time import instant_ns, new_york_date

PRE_OPEN_HOUR = 4
POST_CLOSE_HOUR = 20
POST_CLOSE_HOUR_EARLY = 17
NO_SESSION_NS = 7 * 24 * 60 * MINUTE_NS
OVERNIGHT_NS_MIN = 240 * MINUTE_NS  # a quote older than this is from another session
WILD_PRINT_NS = SECOND_NS // 1000  # how long a wild quote stands before the honest one returns


class Phase(Enum):
    CLOSED = "closed"
    EXTENDED = "extended"
    REGULAR = "regular"


class Tape:
    """Quotes and sessions of one market, with the faults a market can have."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.halted = False
        self._wild: dict[str, list[Tick]] = {}
        self._wild_ns: set[int] = set()

    def tick(self, symbol: str, ts_ns: int) -> Tick:
        """The honest quote in force at `ts_ns`, in shares of that day even before its open."""
        tick = self.market.tick(symbol, ts_ns)
        if ts_ns - tick.ts_ns < OVERNIGHT_NS_MIN or symbol != SMH.symbol:
            return tick
        ratio = self.split_ratio(new_york_date(tick.ts_ns), new_york_date(ts_ns))
        if ratio == 1.0:
            return tick
        bid, ask, last = (round(price / ratio, 4) for price in (tick.bid, tick.ask, tick.last))
        return tick._replace(bid=bid, ask=ask, last=last)

    def split_ratio(self, day: date, until: date) -> float:
        """New shares per share of `day`, by the splits in (day, until]."""
        ratio = 1.0
        while day < until:
            day += timedelta(days=1)
            for action in self.market.actions_on(day):
                if action.kind == "split":
                    ratio *= action.value
        return ratio

    def close_before(self, symbol: str, day: date) -> float | None:
        """The last official close before `day`, in shares of that day; None at the beginning."""
        before = self.market.sessions_before(day, 1)
        if not before:
            return None
        close = self.market.closing_print(symbol, before[0].date)
        ratio = self.split_ratio(before[0].date, day) if symbol == SMH.symbol else 1.0
        return round(close / ratio, 4)

    def adjusted_close(self, symbol: str, day: date) -> float | None:
        """The same, less the dividends whose ex-date is `day`: tick 9 as IB documents it."""
        close = self.close_before(symbol, day)
        if close is None or symbol != SMH.symbol:
            return close
        paid = sum(a.value for a in self.market.actions_on(day) if a.kind == "dividend")
        return round(close - paid, 4)

    def path(self, symbol: str, after_ns: int, until_ns: int) -> list[Tick]:
        """Every move in (after, until], wild ones included, oldest first."""
        honest = self.market.path(symbol, after_ns, until_ns)
        wild = [t for t in self._wild.get(symbol, []) if after_ns < t.ts_ns <= until_ns]
        return sorted(honest + wild, key=lambda t: t.ts_ns) if wild else honest

    def is_wild(self, tick: Tick) -> bool:
        return tick.ts_ns in self._wild_ns

    def inject(self, symbol: str, now_ns: int, percent: float, where: str) -> None:
        """A print or quote `percent` off just after `now_ns`; in last, bid, ask, quote or all."""
        honest = self.tick(symbol, now_ns)
        factor = 1 + percent / 100
        changed = {"quote": ("bid", "ask"), "all": ("bid", "ask", "last")}.get(where, (where,))
        values = {name: round(getattr(honest, name) * factor, 2) for name in changed}
        wild = honest._replace(ts_ns=now_ns + 1, last_size=max(1, honest.last_size), **values)
        ticks = self._wild.setdefault(symbol, [])
        insort(ticks, wild)
        insort(ticks, honest._replace(ts_ns=now_ns + WILD_PRINT_NS))
        self._wild_ns.add(wild.ts_ns)

    def session(self, ts_ns: int) -> SessionTimes | None:
        """The session of that instant's New York date."""
        return self.market.session_on(new_york_date(ts_ns))

    def phase(self, ts_ns: int) -> Phase:
        session = self.session(ts_ns)
        if session is None:
            return Phase.CLOSED
        if session.open_ns <= ts_ns < session.close_ns:
            return Phase.REGULAR
        first_ns, last_ns = extended_hours(session)
        return Phase.EXTENDED if first_ns <= ts_ns < last_ns else Phase.CLOSED

    def next_open_ns(self, ts_ns: int) -> int:
        """The open of the next session to begin; after the last one, a week from now."""
        try:
            session = self.market.session_at_or_after(ts_ns)
            if session.open_ns <= ts_ns:
                session = self.market.session_at_or_after(session.close_ns)
        except LookupError:
            return ts_ns + NO_SESSION_NS
        return session.open_ns

    def actions_on(self, day: date) -> list[Action]:
        return self.market.actions_on(day)

    def mark(self, ts_ns: int) -> float:
        """What the account values SMH at: the middle of the quote, the last print outside hours."""
        tick = self.tick(SMH.symbol, ts_ns)
        if self.phase(ts_ns) is Phase.REGULAR:
            return round((tick.bid + tick.ask) / 2, 4)
        return tick.last


def extended_hours(session: SessionTimes) -> tuple[int, int]:
    """When trading outside regular hours begins and ends on a session's day."""
    evening = POST_CLOSE_HOUR_EARLY if session.early else POST_CLOSE_HOUR
    return instant_ns(session.date, PRE_OPEN_HOUR), instant_ns(session.date, evening)
