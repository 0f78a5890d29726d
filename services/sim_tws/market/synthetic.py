"""A seeded market on the exchange's own sessions; no data file needed.

Its history, eight years of it, ends as the opening act needs it; the first week after the start
is that act; then `price_model` is free. There are no splits and no dividends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property

import numpy as np

from services.sim_tws.market import opening_act
from services.sim_tws.market.interface import SMH, Action, Market, SessionTimes
from services.sim_tws.market.price_model import BEAR, BULL, VIX_MEAN, Day, PriceModel
from services.sim_tws.market.session_market import SessionMarket
from services.sim_tws.market.session_path import DayPrices
from services.sim_tws.market.sessions import Sessions

# A Monday whose week holds no holiday and no early close.
DEFAULT_START = date(2025, 6, 2)
YEARS_BEFORE = 8
YEARS_AFTER = 30

# The last closes before the start: SMH somewhere between these, the VIX at this.
START_SMH = (255.0, 295.0)
START_VIX = 15.5
# How long the market keeps falling after the act, so that the signal stays BEAR for a while.
FIRST_BEAR_SESSIONS = 25


def synthetic(seed: int, start: date = DEFAULT_START) -> Market:
    """Eight years of history before `start` and thirty years after it, by that seed (>= 0)."""
    sessions = Sessions(
        start.replace(year=start.year - YEARS_BEFORE, day=1),
        start.replace(year=start.year + YEARS_AFTER, day=1),
    )
    return SessionMarket(SyntheticPrices(sessions, start, seed), sessions, seed)


class SyntheticPrices:
    """Day prices drawn in order from the first session on, as far as somebody asked."""

    actions: Sequence[tuple[date, Action]] = ()

    def __init__(self, sessions: Sessions, start: date, seed: int) -> None:
        self._sessions = sessions
        self._start = start
        rng = np.random.default_rng((seed, start.toordinal()))
        self._model = PriceModel(rng, 100.0, VIX_MEAN, BULL, BULL.sessions_max)

    def has(self, symbol: str, day: date) -> bool:  # noqa: ARG002 - every symbol, each session
        return self._sessions.on(day) is not None

    def day(self, symbol: str, session: SessionTimes) -> DayPrices:
        index = self._sessions.index(session.date)
        while len(self._days) <= index:
            self._days.append(self._next())
        day = self._days[index]
        return day.smh if symbol == SMH else day.vix

    @cached_property
    def _days(self) -> list[Day]:
        """Begins as the history, bent and scaled so that the opening act can follow it."""
        history = _bent([self._model.next_free(session) for session in self._history], self._model)
        last = history[-1]
        self._model.smh, self._model.vix = last.smh.close, last.vix.close
        self._model.regime = BEAR
        self._model.sessions_left = len(opening_act.ACT) + FIRST_BEAR_SESSIONS
        return history

    @cached_property
    def _history(self) -> list[SessionTimes]:
        return self._sessions.before(self._start, len(self._sessions.all))

    def _next(self) -> Day:
        session = self._sessions.all[len(self._days)]
        act_day = len(self._days) - len(self._history)
        if act_day < len(opening_act.ACT):
            return self._model.next_scripted(opening_act.ACT[act_day], session)
        return self._model.next_free(session)


def _bent(days: list[Day], model: PriceModel) -> list[Day]:
    by_smh = opening_act.bend(np.array([day.smh.close for day in days]))
    by_smh *= model.rng.uniform(*START_SMH) / (days[-1].smh.close * by_smh[-1])
    by_vix = (START_VIX / days[-1].vix.close) ** opening_act.ramp(len(days))
    return [
        Day(_scaled(day.smh, smh), _scaled(day.vix, vix))
        for day, smh, vix in zip(days, by_smh.tolist(), by_vix.tolist(), strict=True)
    ]


def _scaled(day: DayPrices, factor: float) -> DayPrices:
    (whole,) = day.bars
    bar = replace(
        whole,
        open=round(whole.open * factor, 2),
        high=round(whole.high * factor, 2),
        low=round(whole.low * factor, 2),
        close=round(whole.close * factor, 2),
    )
    return DayPrices(bar.open, bar.high, bar.low, bar.close, day.volume, (bar,))
