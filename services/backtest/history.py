"""A folder of CSV files, read and checked: SMH, VIX, dividends, rates, intraday bars.

Files: SMH_daily.csv and VIX_daily.csv; where present SMH_actions.csv, SMH_adjclose.csv,
FEDFUNDS_monthly.csv and DFF_daily*.csv (percent a year), and for intraday bars SMH_1min.csv and
SMH_5min.csv. The reader and its refusals are the ones of the simulated TWS's replay. `load` stops
at the first of them; `examination.py` lists them all by the same functions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from pathlib import Path

from common.clock import SECOND_NS
from services.backtest.options import Bars
from services.sim_tws.market import data_files
from services.sim_tws.market.data_files import Cell, DailyRow, Refuse, at_once
from services.sim_tws.market.interface import SMH, VIX, Action, MarketDataError, SessionTimes
from services.sim_tws.market.session_path import PriceBar
from services.sim_tws.market.sessions import Sessions

SMH_FILE, VIX_FILE = "SMH_daily.csv", "VIX_daily.csv"
ACTIONS_FILE, ADJUSTED_FILE = "SMH_actions.csv", "SMH_adjclose.csv"
RATES_FILE, RECENT_RATES = "FEDFUNDS_monthly.csv", "DFF_daily*.csv"
INTRADAY = {"5min": 300, "1min": 60}
"""Kinds of intraday bars and their seconds."""
# A day with fewer of its bars, or without the first, is taken from the daily file instead.
COVERAGE_MIN = 0.95


# Adjusted closes lie at or below the closes; they are rounded.
ADJUSTED_ABOVE_MAX = 1.001
RATE_PCT_MIN = -100.0
RATES_AGE_MAX_DAYS = 45
"""A mean is dated by its month's first day and used to the month's end."""
NO_DAY = date(2000, 1, 3)  # stands for the range of a folder without a single row


class HistoryError(MarketDataError):
    """The folder cannot be used; the text names file, row and reason."""


@dataclass(frozen=True)
class Quotation:
    """A daily series as dates and values of the same length, oldest first."""

    days: tuple[date, ...] = ()
    values: tuple[float, ...] = ()

    def until(self, last: date) -> Quotation:
        count = bisect_right(self.days, last)
        return Quotation(self.days[:count], self.values[:count])


@dataclass(frozen=True)
class History:
    """Everything a backtest may know, each row with its date; SMH rows are whole sessions.

    Prices: USD per share, split-adjusted, not dividend-adjusted. `dividends`: USD per share by
    ex-date. `rates`: percent a year. `intraday`: the finest whole session of bars, by day;
    `vix_intraday`: the finest bars of the VIX, whole session or not.
    """

    sessions: tuple[SessionTimes, ...]
    smh: tuple[DailyRow, ...]
    vix: Quotation
    dividends: Mapping[date, float] = field(default_factory=dict)
    adjusted: Quotation = Quotation()
    rates: Quotation = Quotation()
    intraday: Mapping[date, Sequence[PriceBar]] = field(default_factory=dict)
    vix_intraday: Mapping[date, Sequence[PriceBar]] = field(default_factory=dict)

    @property
    def days(self) -> list[date]:
        return [row.date for row in self.smh]

    def until(self, last: date) -> History:
        """The history as it was known at the close of `last`."""
        count = bisect_right(self.smh, last, key=lambda row: row.date)
        return replace(
            self,
            sessions=self.sessions[:count],
            smh=self.smh[:count],
            vix=self.vix.until(last),
            dividends={day: usd for day, usd in self.dividends.items() if day <= last},
            adjusted=self.adjusted.until(last),
            rates=self.rates.until(last),
            intraday={day: bars for day, bars in self.intraday.items() if day <= last},
            vix_intraday={day: bars for day, bars in self.vix_intraday.items() if day <= last},
        )


def load(data_dir: Path, bars: Bars = "daily") -> History:
    """The folder's history; HistoryError names file, row and reason of what is unusable."""
    try:
        return _load(data_dir, bars)
    except HistoryError:
        raise
    except MarketDataError as error:
        raise HistoryError(str(error)) from error


def _load(data_dir: Path, bars: Bars) -> History:
    smh, vix, sessions = read_prices(data_dir)
    actions = read_actions(data_dir, sessions, smh)
    adjusted = read_adjusted(data_dir, smh)
    return History(
        sessions=tuple(sessions.all),
        smh=tuple(smh),
        vix=Quotation(tuple(row.date for row in vix), tuple(row.close for row in vix)),
        dividends={day: action.value for day, action in actions if action.kind == "dividend"},
        adjusted=_series(adjusted),
        rates=_rates(data_dir),
        intraday=_intraday(data_dir, bars, sessions, smh),
        vix_intraday=_vix_intraday(data_dir, bars, sessions, vix),
    )


def read_prices(
    data_dir: Path, refuse: Refuse = at_once
) -> tuple[list[DailyRow], list[DailyRow], Sessions]:
    """The daily rows of SMH and VIX, and the exchange's sessions over SMH's range."""
    smh_path, vix_path = data_dir / SMH_FILE, data_dir / VIX_FILE
    smh = data_files.read_daily(smh_path, refuse=refuse)
    vix = data_files.read_daily(vix_path, widen=True, refuse=refuse)
    days = [row.date for row in (*smh, *vix)] or [NO_DAY]
    every = Sessions(min(days), max(days))
    data_files.check_sessions(smh_path, smh, every, holes=False, refuse=refuse)
    data_files.check_sessions(vix_path, vix, every, holes=True, refuse=refuse)
    return smh, vix, every.part(smh[0].date, smh[-1].date) if smh else every


def read_actions(
    data_dir: Path, sessions: Sessions, smh: list[DailyRow], refuse: Refuse = at_once
) -> list[tuple[date, Action]]:
    """The actions; with them it is known which large moves of the price are vouched for."""
    path = data_dir / ACTIONS_FILE
    actions = data_files.read_actions(path, sessions, refuse=refuse) if path.exists() else []
    data_files.check_splits(data_dir / SMH_FILE, smh, actions, refuse=refuse)
    return actions


def read_adjusted(data_dir: Path, smh: Sequence[DailyRow], refuse: Refuse = at_once) -> list[Cell]:
    """Dividend-adjusted closes; one above its own close is on another split's scale."""
    path = data_dir / ADJUSTED_FILE
    if not path.exists():
        return []
    cells = data_files.read_column(path, "adjclose", 0.0, refuse=refuse)
    closes = {row.date: row.close for row in smh}
    for cell in cells:
        close = closes.get(cell.date)
        if close is not None and cell.value > close * ADJUSTED_ABOVE_MAX:
            reason = f"adjclose {cell.value:g} is above the day's close {close:g}"
            refuse(MarketDataError(f"{path.name}, row {cell.row}: {reason}"))
    return cells


def intraday_file(symbol: str, kind: str) -> str:
    return f"{symbol}_{kind}.csv"


def read_bars(
    data_dir: Path,
    symbol: str,
    kind: str,
    sessions: Sessions,
    daily: Sequence[DailyRow],
    refuse: Refuse = at_once,
) -> dict[date, list[PriceBar]]:
    """The intraday bars of one kind ("1min", "5min") by day, whole sessions or not."""
    path, by_day = data_dir / intraday_file(symbol, kind), {row.date: row for row in daily}
    return data_files.read_intraday(path, INTRADAY[kind], sessions, by_day, refuse=refuse)


def read_rates(path: Path, refuse: Refuse = at_once) -> list[Cell]:
    """Percent a year; a rate that would stand for longer than a month is a hole."""
    cells = data_files.read_column(path, "rate", RATE_PCT_MIN, refuse=refuse)
    for before, cell in pairwise(cells):
        if (cell.date - before.date).days > RATES_AGE_MAX_DAYS:
            reason = f"no rate between {before.date} and {cell.date}: each month needs one"
            refuse(MarketDataError(f"{path.name}, row {cell.row}: {reason}"))
    return cells


def is_whole(bars: Sequence[PriceBar], session: SessionTimes) -> bool:
    """Whether a day's bars begin at the open and hardly any is missing."""
    length_s = (session.close_ns - session.open_ns) // SECOND_NS
    covered_s = sum(bar.length_s for bar in bars)
    return bool(bars) and bars[0].start_s == 0 and covered_s >= COVERAGE_MIN * length_s


def rate_files(data_dir: Path) -> list[Path]:
    """The files of interest rates that are there: the monthly one first."""
    monthly = data_dir / RATES_FILE
    return [*([monthly] if monthly.exists() else []), *sorted(data_dir.glob(RECENT_RATES))]


def files_of(data_dir: Path, bars: Bars) -> list[Path]:
    """The files that a history of these bars is made of, as far as they are there."""
    names = (
        SMH_FILE, VIX_FILE, ACTIONS_FILE, ADJUSTED_FILE,
        *(intraday_file(symbol, kind) for symbol in (SMH, VIX) for kind in _kinds(bars)),
    )  # fmt: skip
    paths = (data_dir / name for name in names)
    return [*(path for path in paths if path.exists()), *rate_files(data_dir)]


def _intraday(
    data_dir: Path, bars: Bars, sessions: Sessions, smh: Sequence[DailyRow]
) -> dict[date, Sequence[PriceBar]]:
    """Whole sessions of the bars asked for; with "auto" each day's finest."""
    if bars == "daily":
        return {}
    found: dict[date, Sequence[PriceBar]] = {}
    for kind in _kinds(bars):
        file = intraday_file(SMH, kind)
        if not (data_dir / file).exists():
            if bars == "auto":
                continue
            raise HistoryError(f"{file}: no such file in {data_dir}, which --bars {bars} needs")
        for day, of_day in read_bars(data_dir, SMH, kind, sessions, smh).items():
            session = sessions.on(day)
            assert session is not None
            if is_whole(of_day, session):
                found[day] = tuple(of_day)
    return found


def _vix_intraday(
    data_dir: Path, bars: Bars, sessions: Sessions, vix: Sequence[DailyRow]
) -> dict[date, Sequence[PriceBar]]:
    """The finest of the bars asked for, where there are any."""
    found: dict[date, Sequence[PriceBar]] = {}
    for kind in _kinds(bars):
        if (data_dir / intraday_file(VIX, kind)).exists():
            found |= read_bars(data_dir, VIX, kind, sessions, vix)
    return found


def _kinds(bars: Bars) -> tuple[str, ...]:
    """Kinds of intraday bars that are asked for, the finest last."""
    return tuple(kind for kind in INTRADAY if bars in (kind, "auto"))


def _rates(data_dir: Path) -> Quotation:
    """Monthly means, each from its month's first day on; from the first daily row on, those."""
    monthly: dict[date, float] = {}
    daily: dict[date, float] = {}
    for path in rate_files(data_dir):
        known = monthly if path.name == RATES_FILE else daily
        known.update((cell.date, cell.value) for cell in read_rates(path))
    begin = min(daily, default=date.max)
    rates = {day: rate for day, rate in monthly.items() if day < begin} | daily
    return Quotation(tuple(sorted(rates)), tuple(rates[day] for day in sorted(rates)))


def _series(cells: Sequence[Cell]) -> Quotation:
    return Quotation(tuple(cell.date for cell in cells), tuple(cell.value for cell in cells))
