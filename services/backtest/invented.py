"""A market for those who have no data yet: the simulated TWS's own, by its seed.

It is shaped like SMH and the VIX and fitted to nothing, so its figures say nothing about either.
"""

from __future__ import annotations

from datetime import date, timedelta

from services.backtest.history import History, Quotation
from services.backtest.options import Bars, OptionsError
from services.sim_tws.market import DEFAULT_START, SMH, VIX, Market, synthetic
from services.sim_tws.market.data_files import DailyRow

RATE_PCT = 4.0
"""Fed funds on every day, percent a year: about the mean of 2023 to 2025."""


def market(seed: int, bars: Bars = "daily") -> History:
    """The eight years before the simulated TWS's first day. OptionsError for finer bars."""
    if bars not in ("daily", "auto"):
        raise OptionsError(f"--bars {bars}: an invented market has daily bars only")
    source = synthetic(seed)
    smh, vix = _daily(source, SMH), _daily(source, VIX)
    sessions = [source.session_on(row.date) for row in smh]
    return History(
        sessions=tuple(session for session in sessions if session is not None),
        smh=tuple(smh),
        vix=Quotation(tuple(row.date for row in vix), tuple(row.close for row in vix)),
        rates=Quotation((smh[0].date, smh[-1].date), (RATE_PCT, RATE_PCT)),
    )


def _daily(source: Market, symbol: str) -> list[DailyRow]:
    until: date = DEFAULT_START - timedelta(days=1)
    every = (until - source.first_day).days
    return [
        DailyRow(row, day, bar.open, bar.high, bar.low, bar.close, bar.volume)
        for row, (day, bar) in enumerate(source.daily_bars(symbol, until, every), start=2)
    ]
