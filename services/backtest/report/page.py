"""The page: a study poured into page.html, everything it needs inside the one file."""

from __future__ import annotations

from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from services.backtest.options import Options
from services.backtest.report import charts, words
from services.backtest.report.charts import Line
from services.backtest.report.periods import Period
from services.backtest.report.sources import File
from services.backtest.report.study import Study

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FULL_COLOUR_PCT = 60.0
"""A yearly growth from this on, either way, has a heatmap's full colour."""
FULL_COLOUR_MONTH_PCT = 20.0
GOOD, BAD = "0, 114, 178", "213, 94, 0"  # blue and vermilion: apart for the colour-blind too


def html(study: Study, market: str, files: list[File]) -> str:
    """The whole report as HTML. `market`: where the prices came from, in the reader's words."""
    pages = Environment(
        loader=PackageLoader("services.backtest.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(fixed=_fixed, count=_count, num=_num, shade=_shade, value=_value)
    return pages.get_template("page.html").render(
        study=study,
        market=market,
        files=files,
        paragraphs=words.paragraphs(study),
        charts=_charts(study),
        style=_raw(pages, "page.css"),
        script=_raw(pages, "tables.js"),
        months=MONTHS,
        calendar=_calendar(study),
        steps=[(step.name, step.figures) for step in study.drag.steps],
        settings=_settings(study.result.options),
        rolling_sessions=charts.ROLLING_SESSIONS,
        full_growth=FULL_COLOUR_PCT,
        full_month=FULL_COLOUR_MONTH_PCT,
    )


def _raw(pages: Environment, name: str) -> Markup:
    """Our own style or script, as it stands."""
    assert pages.loader is not None
    return Markup(pages.loader.get_source(pages, name)[0])  # noqa: S704  (our own file)


def _charts(study: Study) -> dict[str, Markup]:
    """Each picture with its words for those who cannot see it."""
    result, hold = study.result, study.hold
    own = Line("this run", result.days, result.equity_usd)
    held = Line("SMH, bought and held", hold.days, hold.equity_usd)
    drawn = {
        "equity": charts.equity(
            [own, held], "Equity of this run against SMH bought and held, on a log axis"
        ),
        "drawdown": charts.drawdown([own, held], "Fall below the running maximum, in percent"),
        "rolling": charts.rolling(
            result, f"Sharpe over {charts.ROLLING_SESSIONS} sessions, and leverage at each close"
        ),
        "drag": charts.equity(
            [
                Line(step.name, step.result.days, step.result.equity_usd)
                for step in study.drag.steps
            ],
            "Equity with no cost, then with interest, commission and slippage added one by one",
        ),
    }
    if study.overshoot.stops:
        drawn["beyond"] = charts.beyond(
            study.overshoot, "Histogram: how far beyond the limit each stop ended"
        )
    if study.luck is not None:
        drawn["luck"] = charts.equity(
            [own], "Equity of this run inside the band of its resamples", study.luck
        )
    return {name: Markup(text) for name, text in drawn.items()}  # noqa: S704  (escaped there)


def _calendar(study: Study) -> list[tuple[Period, list[Period | None]]]:
    """By year the year itself and its twelve months, newest year first."""
    by_month = {(period.year, period.month): period for period in study.months}
    return [
        (year, [by_month.get((year.year, month)) for month in range(1, 13)])
        for year in reversed(study.years)
    ]


def _settings(options: Options) -> list[tuple[str, Any, bool]]:
    """Name, value, and whether it differs from the default."""
    usual = msgspec.to_builtins(Options())
    return [
        (name, value, value != usual[name]) for name, value in msgspec.to_builtins(options).items()
    ]


def _shade(value: float | None, full: float) -> str:
    """The background of a cell: the farther from zero, the stronger."""
    if value is None:
        return ""
    strength = min(abs(value) / full, 1.0) * 0.55
    return f"background: rgba({GOOD if value >= 0.0 else BAD}, {strength:.2f})"


def _fixed(value: float | None, digits: int = 2) -> str:
    """A figure with so many digits; a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _num(value: float) -> str:
    return f"{value:g}"


def _value(value: Any) -> str:
    """A setting's value as a person would write it."""
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(item) for item in value) or "none"
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
