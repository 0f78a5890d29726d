"""Replays recorded days: `SMH_daily.csv` and `VIX_daily.csv`, finer where intraday bars exist.

The files are split-adjusted; the market trades the prices of the day, so SMH before the 2-for-1
split of 2023-05-05 costs twice what its file says. A day is drawn from `SMH_1min.csv` if that has
nearly all its bars, else from `SMH_5min.csv`, else through the daily open, high, low and close.
Official prints and daily bars are always the daily file's; intraday bars are replayed as they
are, so a day's extremes there may differ from its daily bar by what the vendors differ (to 0.2%).
A day without a VIX row leaves the VIX where it was.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from math import prod
from pathlib import Path

from common.clock import SECOND_NS
from services.sim_tws.market import data_files
from services.sim_tws.market.data_files import DailyRow
from services.sim_tws.market.interface import SMH, VIX, Action, Market, SessionTimes
from services.sim_tws.market.session_market import SessionMarket
from services.sim_tws.market.session_path import (
    INTRADAY_VOLUME_SHARE,
    DayPrices,
    PriceBar,
)
from services.sim_tws.market.sessions import Sessions

# Finest first. Both may be absent.
INTRADAY_FILES = (("SMH_1min.csv", 60), ("SMH_5min.csv", 300))
# A day with fewer of its bars, or without the first, is drawn from the next coarser source.
INTRADAY_COVERAGE_MIN = 0.95


def replay(data_dir: Path, seed: int) -> Market:
    """The market of a folder of CSV files; the seed (>= 0) draws what the files do not say.

    Raises MarketDataError naming file, row and reason for anything it cannot trade on.
    """
    smh_path, vix_path = data_dir / "SMH_daily.csv", data_dir / "VIX_daily.csv"
    smh = data_files.read_daily(smh_path)
    vix = data_files.read_daily(vix_path, widen=True)
    first_day, last_day = smh[0].date, smh[-1].date
    all_sessions = Sessions(min(first_day, vix[0].date), max(last_day, vix[-1].date))
    data_files.check_sessions(smh_path, smh, all_sessions, holes=False)
    data_files.check_sessions(vix_path, vix, all_sessions, holes=True)

    sessions = all_sessions.part(first_day, last_day)
    smh_by_day = {row.date: row for row in smh}
    actions_path = data_dir / "SMH_actions.csv"
    actions = data_files.read_actions(actions_path, sessions) if actions_path.exists() else []
    data_files.check_splits(smh_path, smh, actions)
    intraday = [
        data_files.read_intraday(data_dir / name, bar_s, sessions, smh_by_day)
        for name, bar_s in INTRADAY_FILES
        if (data_dir / name).exists()
    ]
    vix_by_day = {row.date: row for row in vix}
    return SessionMarket(
        ReplayPrices({SMH: smh_by_day, VIX: vix_by_day}, intraday, actions), sessions, seed
    )


class ReplayPrices:
    """Day prices of files that were found good, in the prices of their own day."""

    def __init__(
        self,
        daily: dict[str, dict[date, DailyRow]],
        intraday: list[dict[date, list[PriceBar]]],
        adjusted_actions: list[tuple[date, Action]],
    ) -> None:
        self._daily = daily
        self._intraday = intraday
        self._splits = [(on, a.value) for on, a in adjusted_actions if a.kind == "split"]
        self.actions = [
            (on, replace(a, value=a.value * self._later_splits(on)) if a.kind == "dividend" else a)
            for on, a in adjusted_actions
            if a.kind != "move"
        ]

    def has(self, symbol: str, day: date) -> bool:
        return day in self._daily[symbol]

    def day(self, symbol: str, session: SessionTimes) -> DayPrices:
        row = self._daily[symbol][session.date]
        length_s = (session.close_ns - session.open_ns) // SECOND_NS
        factor = self._later_splits(session.date) if symbol == SMH else 1.0
        bars = self._bars(session.date, length_s) if symbol == SMH else None
        if bars is None:
            volume = INTRADAY_VOLUME_SHARE * row.volume
            bars = [PriceBar(0, length_s, row.open, row.high, row.low, row.close, volume)]
        return DayPrices(
            _raw(row.open, factor),
            _raw(row.high, factor),
            _raw(row.low, factor),
            _raw(row.close, factor),
            row.volume / factor,
            tuple(bars if factor == 1.0 else (_raw_bar(bar, factor) for bar in bars)),
        )

    def _bars(self, day: date, length_s: int) -> list[PriceBar] | None:
        """The finest bars that cover the session; None when the day has none."""
        for source in self._intraday:
            bars = source.get(day)
            if bars and bars[0].start_s == 0:
                covered_s = sum(bar.length_s for bar in bars)
                if covered_s >= INTRADAY_COVERAGE_MIN * length_s:
                    return bars
        return None

    def _later_splits(self, day: date) -> float:
        """Shares of the file's last day per share of `day`."""
        return prod(value for on, value in self._splits if day < on)


def _raw(adjusted: float, factor: float) -> float:
    return round(adjusted * factor, 4)


def _raw_bar(bar: PriceBar, factor: float) -> PriceBar:
    return replace(
        bar,
        open=_raw(bar.open, factor),
        high=_raw(bar.high, factor),
        low=_raw(bar.low, factor),
        close=_raw(bar.close, factor),
        volume=bar.volume / factor,
    )
