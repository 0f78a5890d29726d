"""The market's answers, the same for replayed and synthetic prices: one drawn path per session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import prod
from typing import Protocol

import numpy as np

from common.clock import NEW_YORK, SECOND_NS
from services.sim_tws.market.interface import SYMBOLS, VIX, Action, Bar, SessionTimes, Tick
from services.sim_tws.market.session_path import (
    DayPrices,
    SessionPath,
    draw_index,
    draw_traded,
    thinned,
)
from services.sim_tws.market.sessions import Sessions

# Cboe publishes the VIX every 15 seconds; here only while the stock market is open.
VIX_STEP_S = 15
# Two symbols, some days of look-back each: about 1 MB a session.
PATHS_KEPT = 24


class DayPriceSource(Protocol):
    """Where the prices come from: files or a seeded model. SMH prices are those of their day."""

    def has(self, symbol: str, day: date) -> bool:
        """Whether there are prices of that symbol on that session's day."""

    def day(self, symbol: str, session: SessionTimes) -> DayPrices:
        """The session's prices, which the source has."""

    @property
    def actions(self) -> Sequence[tuple[date, Action]]: ...


class SessionMarket:
    """A `Market` on day prices: see there for what each method promises."""

    def __init__(self, source: DayPriceSource, sessions: Sessions, seed: int) -> None:
        self._source = source
        self._sessions = sessions
        self._seed = seed
        self._path_of = lru_cache(maxsize=PATHS_KEPT)(self._draw)

    @property
    def first_day(self) -> date:
        return self._sessions.first_day

    @property
    def last_day(self) -> date:
        return self._sessions.last_day

    def session_on(self, day: date) -> SessionTimes | None:
        return self._sessions.on(day)

    def session_at_or_after(self, ts_ns: int) -> SessionTimes:
        return self._sessions.at_or_after(ts_ns)

    def sessions_before(self, day: date, count: int) -> list[SessionTimes]:
        return self._sessions.before(day, count)

    def tick(self, symbol: str, ts_ns: int) -> Tick:
        _must_be_known(symbol)
        for index in range(self._sessions.opened_by(ts_ns) - 1, -1, -1):
            session = self._sessions.all[index]
            if self._source.has(symbol, session.date):
                path = self._path_of(symbol, session)
                count = path.ticks_until(ts_ns)
                return path.ticks(slice(count - 1, count))[0]
        raise LookupError(f"{symbol}: no price before the open of {self.first_day}")

    def path(self, symbol: str, after_ns: int, until_ns: int) -> list[Tick]:
        ticks: list[Tick] = []
        for session in self._touched(symbol, after_ns, until_ns):
            ticks += self._path_of(symbol, session).between(after_ns, until_ns)
        return thinned(ticks)

    def opening_print(self, symbol: str, day: date) -> float:
        return self._prices(symbol, day).open

    def closing_print(self, symbol: str, day: date) -> float:
        return self._prices(symbol, day).close

    def bars(
        self, symbol: str, start_ns: int, end_ns: int, bar_s: int, as_of: date | None = None
    ) -> list[Bar]:
        if bar_s <= 0 or 3600 % bar_s:
            raise ValueError(f"a bar of {bar_s} s does not divide an hour")
        end_day = datetime.fromtimestamp(end_ns / SECOND_NS, UTC).astimezone(NEW_YORK).date()
        bars: list[Bar] = []
        for session in self._touched(symbol, start_ns, end_ns):
            factor = self._split_factor(symbol, session.date, as_of or end_day)
            path = self._path_of(symbol, session)
            bars += [_divided(b, factor) for b in path.bars(start_ns, end_ns, bar_s)]
        return bars

    def daily_bars(
        self, symbol: str, until: date, count: int, as_of: date | None = None
    ) -> list[tuple[date, Bar]]:
        _must_be_known(symbol)
        bars: list[tuple[date, Bar]] = []
        whole = self._sessions.before(until + timedelta(days=1), len(self._sessions.all))
        for session in reversed(whole):
            if len(bars) == count:
                break
            if self._source.has(symbol, session.date):
                factor = self._split_factor(symbol, session.date, as_of or until)
                bar = _daily_bar(session, self._source.day(symbol, session))
                bars.append((session.date, _divided(bar, factor)))
        return bars[::-1]

    def actions_on(self, day: date) -> list[Action]:
        return [action for on, action in self._source.actions if on == day]

    def _prices(self, symbol: str, day: date) -> DayPrices:
        _must_be_known(symbol)
        session = self._sessions.on(day)
        if session is None or not self._source.has(symbol, day):
            raise LookupError(f"{symbol}: no prices on {day}")
        return self._source.day(symbol, session)

    def _touched(self, symbol: str, after_ns: int, until_ns: int) -> list[SessionTimes]:
        """The sessions with ticks in (after, until]; the one before still closes in it."""
        _must_be_known(symbol)
        opened = self._sessions.opened_by
        sessions = self._sessions.all[max(0, opened(after_ns) - 1) : opened(until_ns)]
        return [s for s in sessions if self._source.has(symbol, s.date)]

    def _draw(self, symbol: str, session: SessionTimes) -> SessionPath:
        prices = self._source.day(symbol, session)
        rng = np.random.default_rng((self._seed, SYMBOLS.index(symbol), session.date.toordinal()))
        if symbol == VIX:
            return draw_index(session, prices, VIX_STEP_S, rng)
        return draw_traded(session, prices, rng)

    def _split_factor(self, symbol: str, day: date, as_of: date) -> float:
        """Shares of `as_of` per share of `day`; the only splits here are those of SMH."""
        if symbol == VIX:
            return 1.0
        return prod(
            action.value
            for on, action in self._source.actions
            if action.kind == "split" and day < on <= as_of
        )


def _must_be_known(symbol: str) -> None:
    if symbol not in SYMBOLS:
        raise LookupError(f"no such symbol here: {symbol}")


def _daily_bar(session: SessionTimes, day: DayPrices) -> Bar:
    return Bar(
        session.open_ns, day.open, day.high, day.low, day.close, day.volume,
        count=(session.close_ns - session.open_ns) // SECOND_NS,
        wap=(day.open + day.high + day.low + day.close) / 4,
    )  # fmt: skip


def _divided(bar: Bar, factor: float) -> Bar:
    if factor == 1.0:
        return bar
    return Bar(
        bar.start_ns, bar.open / factor, bar.high / factor, bar.low / factor, bar.close / factor,
        bar.volume * factor, bar.count, bar.wap / factor,
    )  # fmt: skip
