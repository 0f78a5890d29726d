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

    def day(self, symbol: str, session: SessionTimes) -> DayPrices | None:
        """The session's prices; None when the source has none for that symbol and day."""

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
        for index in range(self._sessions.opened_by(ts_ns) - 1, -1, -1):
            path = self._path_of(_known(symbol), self._sessions.all[index])
            if path is not None:
                count = path.ticks_until(ts_ns)
                return path.ticks(slice(count - 1, count))[0]
        raise LookupError(f"{symbol}: no price before the open of {self.first_day}")

    def path(self, symbol: str, after_ns: int, until_ns: int) -> list[Tick]:
        ticks: list[Tick] = []
        opened = self._sessions.opened_by
        # The session before the window still moves its quote once after its close.
        for session in self._sessions.all[max(0, opened(after_ns) - 1) : opened(until_ns)]:
            path = self._path_of(_known(symbol), session)
            if path is not None:
                ticks += path.between(after_ns, until_ns)
        return thinned(ticks)

    def opening_print(self, symbol: str, day: date) -> float:
        return self._prices(symbol, day).open

    def closing_print(self, symbol: str, day: date) -> float:
        return self._prices(symbol, day).close

    def bars(self, symbol: str, start_ns: int, end_ns: int, bar_s: int) -> list[Bar]:
        if bar_s <= 0 or 3600 % bar_s:
            raise ValueError(f"a bar of {bar_s} s does not divide an hour")
        as_of = datetime.fromtimestamp(end_ns / SECOND_NS, UTC).astimezone(NEW_YORK).date()
        bars: list[Bar] = []
        opened = self._sessions.opened_by
        for session in self._sessions.all[max(0, opened(start_ns) - 1) : opened(end_ns)]:
            path = self._path_of(_known(symbol), session)
            if path is not None:
                factor = self._split_factor(symbol, session.date, as_of)
                bars += [_divided(b, factor) for b in path.bars(start_ns, end_ns, bar_s)]
        return bars

    def daily_bars(self, symbol: str, until: date, count: int) -> list[tuple[date, Bar]]:
        bars: list[tuple[date, Bar]] = []
        whole = self._sessions.before(until + timedelta(days=1), len(self._sessions.all))
        for session in reversed(whole):
            if len(bars) == count:
                break
            prices = self._source.day(_known(symbol), session)
            if prices is not None:
                factor = self._split_factor(symbol, session.date, until)
                bars.append((session.date, _divided(_daily_bar(session, prices), factor)))
        return bars[::-1]

    def actions_on(self, day: date) -> list[Action]:
        return [action for on, action in self._source.actions if on == day]

    def _prices(self, symbol: str, day: date) -> DayPrices:
        session = self._sessions.on(day)
        prices = None if session is None else self._source.day(_known(symbol), session)
        if prices is None:
            raise LookupError(f"{symbol}: no prices on {day}")
        return prices

    def _draw(self, symbol: str, session: SessionTimes) -> SessionPath | None:
        prices = self._source.day(symbol, session)
        if prices is None:
            return None
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


def _known(symbol: str) -> str:
    if symbol not in SYMBOLS:
        raise LookupError(f"no such symbol here: {symbol}")
    return symbol


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
