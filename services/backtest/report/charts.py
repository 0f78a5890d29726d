"""The report's pictures: matplotlib's SVG, cut down to what one page can hold beside others.

Text stays text, so that it can be read aloud and searched; nothing in a picture names another file.
The same figures give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from html import escape
from io import StringIO
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from services.backtest.metrics import SESSIONS_PER_YEAR, daily_returns, drawdowns
from services.backtest.report.luck import PERCENTILES, Luck
from services.backtest.report.stops import Overshoot
from services.backtest.result import Result
from services.backtest.sheet import Floats

WIDTH_IN = 9.6
LEFT_IN, BELOW_IN = 0.72, 0.42  # room for the axes' words
# Told apart by the colour-blind (Okabe and Ito), and by their dashes on a grey printer.
COLOURS = ("#0072B2", "#555555", "#D55E00", "#009E73")
DASHES = ("-", "--", "-.", ":")
STYLE: dict[Any, Any] = {
    # A person's own matplotlibrc must not change the page.
    **{key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"},
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "legend.frameon": False,
}
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
ROLLING_SESSIONS = 126
BIN_PCT = 0.5
NARROW = 300.0  # a log axis that spans less than this has ticks at 2 and 5 as well
BAND_STEP = 5  # sessions between two points of an area's edge: areas are not simplified


class Line(NamedTuple):
    """A named series over sessions."""

    name: str
    days: Sequence[date]
    values: Floats


def equity(lines: Sequence[Line], label: str, luck: Luck | None = None) -> str:
    """Equity in USD on a log axis; with `luck`, its band behind the lines."""
    with mpl.rc_context(STYLE):
        figure, (axes,) = _figure((3.9,))
        if luck is not None:
            low, middle, high = (_above_zero(line) for line in luck.band_usd)
            name = f"{PERCENTILES[0]:g} to {PERCENTILES[2]:g} % of {luck.resamples:,} resamples"
            week = slice(None, None, BAND_STEP)
            days = _x(luck.days)
            axes.fill_between(
                days[week], low[week], high[week], color=COLOURS[0], alpha=0.15, linewidth=0,
                label=name,
            )  # fmt: skip
            axes.plot(days, middle, color=COLOURS[0], linestyle=":", label="their median")
        for at, line in enumerate(lines):
            axes.plot(
                _x(line.days), _above_zero(line.values),
                color=COLOURS[at], linestyle=DASHES[at], label=line.name,
            )  # fmt: skip
        axes.set_yscale("log")
        _dollars(axes)
        axes.legend(loc="upper left")
        return _fragment(figure, label)


def drawdown(lines: Sequence[Line], label: str) -> str:
    """Fall from the running maximum in percent, downwards. `values`: equity in USD."""
    with mpl.rc_context(STYLE):
        figure, (axes,) = _figure((2.5,))
        for at, line in enumerate(lines):
            fall = -100.0 * drawdowns(line.values, float(line.values[0]))
            axes.plot(_x(line.days), fall, color=COLOURS[at], linestyle=DASHES[at], label=line.name)
        axes.set_ylabel("% below the maximum")
        axes.legend(loc="lower left")
        return _fragment(figure, label)


def rolling(result: Result, label: str) -> str:
    """Sharpe over the last half year of sessions; below it the leverage at each close."""
    returns = pd.Series(daily_returns(result.equity_usd))
    window = returns.rolling(ROLLING_SESSIONS)
    deviation = window.std().replace(0.0, np.nan)
    sharpe = (window.mean() / deviation * SESSIONS_PER_YEAR**0.5).to_numpy()
    days = _x(result.days)
    with mpl.rc_context(STYLE):
        figure, (above, below) = _figure((2.0, 1.4))
        above.plot(days[1:], sharpe, color=COLOURS[0])
        above.axhline(0.0, color="#000000", linewidth=0.6)
        above.set_ylabel(f"Sharpe, {ROLLING_SESSIONS} days")
        below.plot(days, result.leverage, drawstyle="steps-mid", color=COLOURS[2], linewidth=0.5)
        below.set_ylim(bottom=0.0)
        below.set_ylabel("leverage")
        return _fragment(figure, label)


def beyond(found: Overshoot, label: str) -> str:
    """How many stops ended how far beyond their limit; a log axis, since the tail matters."""
    values = np.array(found.beyond_pct)
    low, high = np.floor(values.min() / BIN_PCT), np.ceil(values.max() / BIN_PCT) + 1
    with mpl.rc_context(STYLE):
        figure, (axes,) = _figure((2.5,))
        axes.hist(values, bins=(np.arange(low, high + 1) * BIN_PCT).tolist(), color=COLOURS[0])
        axes.axvline(0.0, color=COLOURS[2], linewidth=1.2)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylabel("stops")
        axes.set_xlabel(f"% of equity beyond the limit of {found.limit_pct:g} % (right: worse)")
        return _fragment(figure, label)


def _figure(heights_in: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Axes under each other on one time axis."""
    height = sum(heights_in)
    figure = Figure(figsize=(WIDTH_IN, height))
    grid = figure.add_gridspec(
        len(heights_in), 1, height_ratios=heights_in, hspace=0.12,
        left=LEFT_IN / WIDTH_IN, right=0.995, bottom=BELOW_IN / height, top=1.0 - 0.08 / height,
    )  # fmt: skip
    axes: list[Axes] = []
    for row in range(len(heights_in)):
        axes.append(figure.add_subplot(grid[row, 0], sharex=axes[0] if axes else None))
        axes[-1].tick_params(labelbottom=row + 1 == len(heights_in))
    figure.align_ylabels(axes)
    return figure, axes


def _x(days: Sequence[date]) -> Any:
    """Days as matplotlib's time axis has them."""
    return np.array(days, dtype="datetime64[D]")


def _above_zero(values: Floats) -> Floats:
    """What a log axis can show; a gap where nothing is left."""
    return np.where(values > 0.0, values, np.nan)


def _dollars(axes: Axes) -> None:
    low, high = axes.get_ylim()
    steps = (1.0, 2.0, 5.0) if high / low < NARROW else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(base=10.0, subs=steps, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda usd, _: _short_usd(usd)))
    axes.yaxis.set_minor_locator(NullLocator())


def _short_usd(usd: float) -> str:
    """$500, $20k, $3M, $1B."""
    for unit, sign in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if usd >= unit:
            return f"${usd / unit:g}{sign}"
    return f"${usd:g}"


def _fragment(figure: Figure, label: str) -> str:
    """The figure as an element of a page: named for who cannot see it, its ids its own."""
    file = StringIO()
    with mpl.rc_context({"svg.hashsalt": label}):
        figure.savefig(file, format="svg", metadata=NO_METADATA)
    text = file.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL).replace("xlink:href", "href")
    pointed_at = set(re.findall(r"#([\w.-]+)", body))
    body = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in pointed_at else "", body)
    body = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", body)
    width, height = (inches * 72 for inches in figure.get_size_inches())
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f"{body}</svg>"
    )
