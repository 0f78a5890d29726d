"""A day-by-day model of SMH and the VIX with the shapes of the real ones, fitted to nothing.

SMH drifts in regimes (bull and bear, weeks to months long, so that EMA 25/125 cross every few
months), its volatility follows the VIX, part of each move happens overnight, tails are fat. The
log of the VIX reverts to its mean and jumps when SMH falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import numpy as np

from common.clock import SECOND_NS
from services.sim_tws.market.interface import SessionTimes
from services.sim_tws.market.opening_act import ActDay, scripted_prices
from services.sim_tws.market.session_path import INTRADAY_VOLUME_SHARE, DayPrices, PriceBar


@dataclass(frozen=True, slots=True)
class Regime:
    """Mean log change a session, and the shortest and the longest life in sessions."""

    drift: float
    sessions_min: int
    sessions_max: int


BULL = Regime(0.0019, 60, 170)
BEAR = Regime(-0.0020, 30, 75)

SESSIONS_A_YEAR = 252
VIX_MEAN = 17.5
VIX_MIN = 9.0
VIX_REVERSION = 0.015
VIX_VOLATILITY = 0.065
VIX_SMH_CORRELATION = -0.7
# How far the VIX's extremes leave its open and close, about.
VIX_REACH = 0.03
# SMH moves about one and a half times as much as the index behind the VIX.
SMH_OVER_VIX = 1.5
SMH_REACH_SIGMAS = 0.45
OVERNIGHT_SHARE = 0.35
OVERNIGHT_NOISE_SIGMAS = 0.4
TAIL_FREEDOM = 5
TAIL_MAX = 4.0
VOLUME = 8_000_000


@dataclass(frozen=True, slots=True)
class Day:
    """One session of both symbols."""

    smh: DayPrices
    vix: DayPrices


@dataclass(slots=True)
class PriceModel:
    """Where the market stands after a session, and the draw of the next one."""

    rng: np.random.Generator
    smh: float
    vix: float
    regime: Regime
    sessions_left: int

    def next_free(self, session: SessionTimes) -> Day:
        """A session that goes where the regime, the VIX and chance take it."""
        self._age_regime()
        rng = self.rng
        shock = rng.standard_normal()
        vix_log = log(self.vix) + VIX_REVERSION * log(VIX_MEAN / self.vix)
        vix_close = max(VIX_MIN, exp(vix_log + VIX_VOLATILITY * shock))
        tail = rng.standard_t(TAIL_FREEDOM) * ((TAIL_FREEDOM - 2) / TAIL_FREEDOM) ** 0.5
        tail = min(max(tail, -TAIL_MAX), TAIL_MAX)
        own = (1 - VIX_SMH_CORRELATION**2) ** 0.5
        sigma = self.vix / 100 / SESSIONS_A_YEAR**0.5 * SMH_OVER_VIX
        move = self.regime.drift + sigma * (VIX_SMH_CORRELATION * shock + own * tail)
        gap = OVERNIGHT_SHARE * move + OVERNIGHT_NOISE_SIGMAS * sigma * rng.standard_normal()
        smh = self._session(
            session,
            self.smh * exp(gap),
            self.smh * exp(move),
            reach=SMH_REACH_SIGMAS * sigma,
            volume=round(VOLUME * exp(0.3 * rng.standard_normal() + 10 * abs(move))),
        )
        return self._reached(Day(smh, self._vix_session(session, vix_close)))

    def next_scripted(self, act: ActDay, session: SessionTimes) -> Day:
        """A session of the opening act, its moves a little larger or smaller by the seed."""
        self._age_regime()
        volume = round(VOLUME * self.rng.uniform(0.8, 1.6))
        smh = scripted_prices(act, session, self.smh, volume, self.rng.uniform(0.95, 1.05))
        vix_close = self.vix * (1 + act.vix_change * self.rng.uniform(0.8, 1.2))
        return self._reached(Day(smh, self._vix_session(session, vix_close)))

    def _age_regime(self) -> None:
        if self.sessions_left == 0:
            self.regime = BEAR if self.regime is BULL else BULL
            lives = (self.regime.sessions_min, self.regime.sessions_max)
            self.sessions_left = int(self.rng.integers(*lives, endpoint=True))
        self.sessions_left -= 1

    def _reached(self, day: Day) -> Day:
        self.smh, self.vix = day.smh.close, day.vix.close
        return day

    def _vix_session(self, session: SessionTimes, close: float) -> DayPrices:
        open_ = (self.vix * close) ** 0.5 * exp(VIX_REACH / 2 * self.rng.standard_normal())
        return self._session(session, open_, close, reach=VIX_REACH, volume=0)

    def _session(
        self, session: SessionTimes, open_: float, close: float, *, reach: float, volume: int
    ) -> DayPrices:
        """A day known by its four prices, its extremes about `reach` beyond open and close."""
        up, down = np.abs(self.rng.standard_normal(2)) * reach
        bar = PriceBar(
            start_s=0,
            length_s=(session.close_ns - session.open_ns) // SECOND_NS,
            open=round(open_, 2),
            high=round(max(open_, close) * exp(up), 2),
            low=round(min(open_, close) * exp(-down), 2),
            close=round(close, 2),
            volume=INTRADAY_VOLUME_SHARE * volume,
        )
        return DayPrices(bar.open, bar.high, bar.low, bar.close, volume, (bar,))
