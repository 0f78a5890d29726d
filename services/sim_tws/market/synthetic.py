"""A seeded market with the shapes of the real one; no data file needed.

SMH drifts in regimes (bull and bear, weeks to months long, so that EMA 25/125 cross every few
months), its volatility follows the VIX, part of each move happens overnight, tails are fat. The
log of the VIX reverts to its mean and jumps when SMH falls. Sessions are the exchange's own. The
first week after the start is scripted: see `opening_act`. There are no splits and no dividends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from math import exp, log

import numpy as np

from common.clock import SECOND_NS
from services.sim_tws.market import opening_act
from services.sim_tws.market.interface import SMH, Action, Market, SessionTimes
from services.sim_tws.market.session_market import SessionMarket
from services.sim_tws.market.session_path import (
    INTRADAY_VOLUME_SHARE,
    DayPrices,
    PriceBar,
)
from services.sim_tws.market.sessions import Sessions

# A Monday; its week and the three after it hold one holiday (Juneteenth) and no early close.
DEFAULT_START = date(2025, 6, 2)
YEARS_BEFORE = 8
YEARS_AFTER = 30


@dataclass(frozen=True, slots=True)
class Regime:
    """Mean log change a session, and the shortest and the longest life in sessions."""

    drift: float
    sessions_min: int
    sessions_max: int


BULL = Regime(0.0019, 60, 170)
BEAR = Regime(-0.0020, 30, 75)
# The falling regime after the opening act: long enough that the signal stays BEAR for a while.
FIRST_BEAR_SESSIONS = 25

START_PRICE = (255.0, 295.0)
SESSIONS_A_YEAR = 252

VIX_MEAN = 17.5
VIX_START = 15.5
VIX_MIN = 9.0
VIX_REVERSION = 0.015
VIX_VOLATILITY = 0.065
VIX_SMH_CORRELATION = -0.7
# SMH moves about one and a half times as much as the index behind the VIX.
SMH_OVER_VIX = 1.5
OVERNIGHT_SHARE = 0.35
TAIL_FREEDOM = 5
VOLUME = 8_000_000


def synthetic(seed: int, start: date = DEFAULT_START) -> Market:
    """Eight years of history before `start` and thirty years after it, by that seed (>= 0)."""
    sessions = Sessions(
        start.replace(year=start.year - YEARS_BEFORE, day=1),
        start.replace(year=start.year + YEARS_AFTER, day=1),
    )
    return SessionMarket(SyntheticPrices(sessions, start, seed), sessions, seed)


@dataclass(slots=True)
class Levels:
    """Where the market stands after a session."""

    close: float
    vix: float
    drift: float
    sessions_left: int


@dataclass(frozen=True, slots=True)
class Day:
    smh: DayPrices
    vix: DayPrices


class SyntheticPrices:
    """Day prices drawn in order from the first session on, as far as they were asked for."""

    actions: Sequence[tuple[date, Action]] = ()

    def __init__(self, sessions: Sessions, start: date, seed: int) -> None:
        self._sessions = sessions
        self._start = start
        self._rng = np.random.default_rng((seed, start.toordinal()))

    def day(self, symbol: str, session: SessionTimes) -> DayPrices | None:
        index = self._index[session.date]
        while len(self._days) <= index:
            self._days.append(self._next(self._sessions.all[len(self._days)]))
        day = self._days[index]
        return day.smh if symbol == SMH else day.vix

    @cached_property
    def _index(self) -> dict[date, int]:
        return {session.date: index for index, session in enumerate(self._sessions.all)}

    @cached_property
    def _days(self) -> list[Day]:
        """The history before the start, bent and scaled so that the opening act can follow."""
        sessions = self._sessions.before(self._start, len(self._sessions.all))
        self._levels = Levels(100.0, VIX_MEAN, BULL.drift, BULL.sessions_max)
        days = [self._free(session) for session in sessions]
        smh_factors = opening_act.bend(np.array([day.smh.close for day in days]))
        smh_factors *= self._rng.uniform(*START_PRICE) / (days[-1].smh.close * smh_factors[-1])
        vix_factors = (VIX_START / days[-1].vix.close) ** opening_act.ramp(len(days))
        bent = [
            Day(_scaled(day.smh, by_smh), _scaled(day.vix, by_vix))
            for day, by_smh, by_vix in zip(
                days, smh_factors.tolist(), vix_factors.tolist(), strict=True
            )
        ]
        last = bent[-1]
        self._levels = Levels(
            last.smh.close, last.vix.close, BEAR.drift, len(opening_act.ACT) + FIRST_BEAR_SESSIONS
        )
        self._act_begins = len(bent)
        return bent

    def _next(self, session: SessionTimes) -> Day:
        act_day = len(self._days) - self._act_begins
        if act_day < len(opening_act.ACT):
            return self._scripted(opening_act.ACT[act_day], session)
        return self._free(session)

    def _scripted(self, act: opening_act.ActDay, session: SessionTimes) -> Day:
        levels, rng = self._levels, self._rng
        volume = round(VOLUME * rng.uniform(0.8, 1.6))
        smh = opening_act.prices_of(act, session, levels.close, volume, rng.uniform(0.95, 1.05))
        log_move = log(1 + act.vix_change * rng.uniform(0.8, 1.2))
        vix = _vix_day(session, levels.vix, levels.vix * exp(log_move), rng)
        self._levels.close, self._levels.vix = smh.close, vix.close
        self._levels.sessions_left -= 1
        return Day(smh, vix)

    def _free(self, session: SessionTimes) -> Day:
        levels, rng = self._levels, self._rng
        if levels.sessions_left == 0:
            regime = BEAR if levels.drift > 0 else BULL
            levels.drift = regime.drift
            levels.sessions_left = int(
                rng.integers(regime.sessions_min, regime.sessions_max, endpoint=True)
            )
        levels.sessions_left -= 1

        shock = rng.standard_normal()
        vix_log = log(levels.vix) + VIX_REVERSION * log(VIX_MEAN / levels.vix)
        vix_close = max(VIX_MIN, exp(vix_log + VIX_VOLATILITY * shock))
        tail = rng.standard_t(TAIL_FREEDOM) * ((TAIL_FREEDOM - 2) / TAIL_FREEDOM) ** 0.5
        own = (1 - VIX_SMH_CORRELATION**2) ** 0.5
        sigma = levels.vix / 100 / SESSIONS_A_YEAR**0.5 * SMH_OVER_VIX
        move = levels.drift + sigma * (VIX_SMH_CORRELATION * shock + own * tail)
        gap = OVERNIGHT_SHARE * move + 0.4 * sigma * rng.standard_normal()
        smh = _whole_session(
            session,
            levels.close * exp(gap),
            levels.close * exp(move),
            reach=0.45 * sigma,
            volume=round(VOLUME * exp(0.3 * rng.standard_normal() + 10 * abs(move))),
            rng=rng,
        )
        vix = _vix_day(session, levels.vix, vix_close, rng)
        levels.close, levels.vix = smh.close, vix.close
        return Day(smh, vix)


def _vix_day(
    session: SessionTimes, close_before: float, close: float, rng: np.random.Generator
) -> DayPrices:
    open_ = (close_before * close) ** 0.5 * exp(0.015 * rng.standard_normal())
    return _whole_session(session, open_, close, reach=0.03, volume=0, rng=rng)


def _whole_session(
    session: SessionTimes,
    open_: float,
    close: float,
    *,
    reach: float,
    volume: int,
    rng: np.random.Generator,
) -> DayPrices:
    """A day known by its four prices; `reach` is about how far the extremes leave open and close
    (a share of the price)."""
    up, down = np.abs(rng.standard_normal(2)) * reach
    bar = PriceBar(
        0,
        (session.close_ns - session.open_ns) // SECOND_NS,
        round(open_, 2),
        round(max(open_, close) * exp(up), 2),
        round(min(open_, close) * exp(-down), 2),
        round(close, 2),
        INTRADAY_VOLUME_SHARE * volume,
    )
    return DayPrices(bar.open, bar.high, bar.low, bar.close, volume, (bar,))


def _scaled(day: DayPrices, factor: float) -> DayPrices:
    (bar,) = day.bars
    bar = replace(
        bar,
        open=round(bar.open * factor, 2),
        high=round(bar.high * factor, 2),
        low=round(bar.low * factor, 2),
        close=round(bar.close * factor, 2),
    )
    return DayPrices(bar.open, bar.high, bar.low, bar.close, day.volume, (bar,))
