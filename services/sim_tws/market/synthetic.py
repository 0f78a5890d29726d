"""A seeded market on the exchange's own sessions; no data file needed.

Its history, eight years of it, ends as the opening act needs it; the first week after the start
is that act; then `price_model` is free. There are no splits and no dividends.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property, lru_cache

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
    sessions = _sessions_around(start)
    return SessionMarket(SyntheticPrices(start, seed), sessions, seed)


@lru_cache(maxsize=4)
def _sessions_around(start: date) -> Sessions:
    return Sessions(
        start.replace(year=start.year - YEARS_BEFORE, day=1),
        start.replace(year=start.year + YEARS_AFTER, day=1),
    )


@lru_cache(maxsize=4)
def _beginning(start: date, seed: int) -> tuple[tuple[Day, ...], bytes]:
    """The history before the start, bent and scaled so that the opening act can follow it, and the
    pickled model that goes on from there: markets of one seed share the work, never the state."""
    sessions = _sessions_around(start)
    rng = np.random.default_rng((seed, start.toordinal()))
    model = PriceModel(rng, 100.0, VIX_MEAN, BULL, BULL.sessions_max)
    before = sessions.before(start, len(sessions.all))
    history = _bent([model.next_free(session) for session in before], model)
    last = history[-1]
    model.smh, model.vix = last.smh.close, last.vix.close
    model.regime = BEAR
    model.sessions_left = len(opening_act.ACT) + FIRST_BEAR_SESSIONS
    return tuple(history), pickle.dumps(model)


class SyntheticPrices:
    """Day prices drawn in order from the first session on, as far as somebody asked."""

    actions: Sequence[tuple[date, Action]] = ()

    def __init__(self, start: date, seed: int) -> None:
        self._sessions = _sessions_around(start)
        self._start, self._seed = start, seed

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
        return list(_beginning(self._start, self._seed)[0])

    @cached_property
    def _model(self) -> PriceModel:
        model = pickle.loads(_beginning(self._start, self._seed)[1])  # noqa: S301  (our own bytes)
        assert isinstance(model, PriceModel)
        return model

    def _next(self) -> Day:
        session = self._sessions.all[len(self._days)]
        act_day = len(self._days) - len(_beginning(self._start, self._seed)[0])
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
