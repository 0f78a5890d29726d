"""A folder of CSV files, read and checked: SMH, VIX, dividends, rates, intraday bars.

Files: SMH_daily.csv and VIX_daily.csv; where present SMH_actions.csv, SMH_adjclose.csv,
FEDFUNDS_monthly.csv and DFF_daily*.csv (percent a year), and for intraday bars SMH_1min.csv and
SMH_5min.csv. The reader and its refusals are the ones of the simulated TWS's replay.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from math import isfinite
from pathlib import Path

from common.clock import SECOND_NS
from services.backtest.options import Bars
from services.sim_tws.market import data_files
from services.sim_tws.market.data_files import DailyRow
from services.sim_tws.market.interface import MarketDataError, SessionTimes
from services.sim_tws.market.session_path import PriceBar
from services.sim_tws.market.sessions import Sessions

SMH_FILE, VIX_FILE = "SMH_daily.csv", "VIX_daily.csv"
ACTIONS_FILE, ADJUSTED_FILE = "SMH_actions.csv", "SMH_adjclose.csv"
RATES_FILE, RECENT_RATES = "FEDFUNDS_monthly.csv", "DFF_daily*.csv"
INTRADAY = {"1min": ("SMH_1min.csv", 60), "5min": ("SMH_5min.csv", 300)}
# A day with fewer of its bars, or without the first, is taken from the daily file instead.
COVERAGE_MIN = 0.95


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
    ex-date. `rates`: percent a year. `intraday`: the finest whole session of bars, by day.
    """

    sessions: tuple[SessionTimes, ...]
    smh: tuple[DailyRow, ...]
    vix: Quotation
    dividends: Mapping[date, float] = field(default_factory=dict)
    adjusted: Quotation = Quotation()
    rates: Quotation = Quotation()
    intraday: Mapping[date, Sequence[PriceBar]] = field(default_factory=dict)

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
    smh_path, vix_path = data_dir / SMH_FILE, data_dir / VIX_FILE
    smh = data_files.read_daily(smh_path)
    vix = data_files.read_daily(vix_path, widen=True)
    every = Sessions(min(smh[0].date, vix[0].date), max(smh[-1].date, vix[-1].date))
    data_files.check_sessions(smh_path, smh, every, holes=False)
    data_files.check_sessions(vix_path, vix, every, holes=True)
    data_files.check_splits(smh_path, smh)
    sessions = every.part(smh[0].date, smh[-1].date)
    actions_path = data_dir / ACTIONS_FILE
    actions = data_files.read_actions(actions_path, sessions) if actions_path.exists() else []
    return History(
        sessions=tuple(sessions.all),
        smh=tuple(smh),
        vix=Quotation(tuple(row.date for row in vix), tuple(row.close for row in vix)),
        dividends={day: action.value for day, action in actions if action.kind == "dividend"},
        adjusted=_adjusted(data_dir / ADJUSTED_FILE),
        rates=_rates(data_dir),
        intraday=_intraday(data_dir, bars, sessions, smh),
    )


def _intraday(
    data_dir: Path, bars: Bars, sessions: Sessions, smh: Sequence[DailyRow]
) -> dict[date, Sequence[PriceBar]]:
    """Whole sessions of the bars asked for; with "auto" each day's finest."""
    if bars == "daily":
        return {}
    by_day = {row.date: row for row in smh}
    found: dict[date, Sequence[PriceBar]] = {}
    for name in ("5min", "1min") if bars == "auto" else (bars,):
        file, bar_s = INTRADAY[name]
        path = data_dir / file
        if not path.exists():
            if bars == "auto":
                continue
            raise HistoryError(f"{file}: no such file in {data_dir}, which --bars {bars} needs")
        for day, of_day in data_files.read_intraday(path, bar_s, sessions, by_day).items():
            session = sessions.on(day)
            assert session is not None
            length_s = (session.close_ns - session.open_ns) // SECOND_NS
            if of_day[0].start_s == 0 and len(of_day) * bar_s >= COVERAGE_MIN * length_s:
                found[day] = tuple(of_day)
    return found


def _adjusted(path: Path) -> Quotation:
    return _column(path, "adjclose", above=0.0) if path.exists() else Quotation()


def _rates(data_dir: Path) -> Quotation:
    """Monthly means, each from its month's first day on; from the first daily row on, those."""
    path = data_dir / RATES_FILE
    monthly = _column(path, "rate", above=-100.0) if path.exists() else Quotation()
    daily: dict[date, float] = {}
    for recent in sorted(data_dir.glob(RECENT_RATES)):
        found = _column(recent, "rate", above=-100.0)
        daily.update(zip(found.days, found.values, strict=True))
    begin = min(daily, default=date.max)
    rates = {
        day: rate for day, rate in zip(monthly.days, monthly.values, strict=True) if day < begin
    } | daily
    return Quotation(tuple(sorted(rates)), tuple(rates[day] for day in sorted(rates)))


def _column(path: Path, name: str, above: float) -> Quotation:
    """One numeric column by date, oldest first; HistoryError at the first unusable row."""
    days: list[date] = []
    values: list[float] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for wanted in ("date", name):
            if wanted not in (reader.fieldnames or ()):
                raise HistoryError(f"{path.name}, row 1: needs a column '{wanted}'")
        for row in reader:
            where = f"{path.name}, row {reader.line_num}"
            try:
                day, value = date.fromisoformat(row["date"]), float(row[name])
            except (TypeError, ValueError) as error:
                raise HistoryError(f"{where}: {error}") from error
            if days and day <= days[-1]:
                raise HistoryError(f"{where}: date {day} does not come after {days[-1]}")
            if not (isfinite(value) and value > above):
                raise HistoryError(f"{where}: {name} {row[name]} is out of range")
            days.append(day)
            values.append(value)
    return Quotation(tuple(days), tuple(values))
