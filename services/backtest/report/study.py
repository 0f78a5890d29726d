"""Everything the report says about one run, worked out before a line of it is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from services.backtest.caveats import caveats
from services.backtest.history import History
from services.backtest.hold import buy_and_hold
from services.backtest.metrics import Metrics, metrics
from services.backtest.options import gross
from services.backtest.report import days as by_day
from services.backtest.report import drag as costs
from services.backtest.report import grids, sources, stops
from services.backtest.report.days import Day
from services.backtest.report.drag import Drag
from services.backtest.report.grids import Grid
from services.backtest.report.luck import RESAMPLES, Luck, luck
from services.backtest.report.market import market_days
from services.backtest.report.periods import Period, months, years
from services.backtest.report.sources import Run, Series
from services.backtest.report.stops import Overshoot
from services.backtest.result import Result
from services.backtest.sheet import lay_out

BAD_DAY_PCT = -5.0
WORST_DAYS, WORST_STOPS = 20, 12


@dataclass(frozen=True)
class Study:
    """One run from every side; `hold` is buying SMH on its first day and keeping it."""

    result: Result
    figures: Metrics
    hold: Result
    hold_figures: Metrics
    days: tuple[Day, ...]
    overshoot: Overshoot
    months: tuple[Period, ...]
    years: tuple[Period, ...]
    drag: Drag
    grids: tuple[Grid, ...]
    luck: Luck | None
    series: tuple[Series, ...]
    caveats: tuple[str, ...]
    intraday: tuple[Run, ...]

    @property
    def worst_days(self) -> list[Day]:
        """The days that lost most, the worst first."""
        lost = [day for day in self.days if day.return_pct < 0.0]
        return sorted(lost, key=lambda day: day.return_pct)[:WORST_DAYS]

    @property
    def worst_stops(self) -> list[stops.StopOut]:
        return self.overshoot.worst(WORST_STOPS)

    @property
    def bad_days(self) -> list[tuple[str, int]]:
        """How many days lost more than 5 %, by cause, the most frequent first."""
        bad = Counter(day.cause for day in self.days if day.return_pct < BAD_DAY_PCT)
        return bad.most_common()


def study(history: History, result: Result, *, resamples: int = RESAMPLES) -> Study:
    """The run `result` of `history`. OptionsError for rules that nobody can trade."""
    options = result.options
    market = market_days(lay_out(history, options), result)
    hold = buy_and_hold(history, gross(options))
    return Study(
        result=result,
        figures=metrics(result),
        hold=hold,
        hold_figures=metrics(hold),
        days=tuple(by_day.explained(result, market)),
        overshoot=stops.overshoot(result, market),
        months=tuple(months(result)),
        years=tuple(years(result)),
        drag=costs.drag(history, result),
        grids=(grids.ema_grid(history, options), grids.stop_grid(history, options)),
        luck=luck(result, hold, resamples=resamples),
        series=tuple(sources.series(history)),
        caveats=tuple(caveats(history, options, result.days)),
        intraday=tuple(sources.runs(result.fine_days, result.days)),
    )
