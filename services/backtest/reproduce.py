"""The published figures, the rules that produced them, and the document's own rules beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import NamedTuple

from msgspec.structs import replace

from services.backtest.compiled_path import run_compiled
from services.backtest.history import History
from services.backtest.hold import buy_and_hold
from services.backtest.metrics import Metrics, drawdown_of_largest_dollar_fall_pct, metrics
from services.backtest.options import Options, gross
from services.backtest.picture import Curve
from services.backtest.result import Result

WINDOW = (date(2022, 7, 5), date(2026, 1, 30))
PUBLISHED: dict[str, float] = {
    "cagr_pct": 99.30,
    "max_drawdown_pct": 20.84,
    "sharpe": 1.64,
    "trades_per_year": 2.8,
    "win_rate_pct": 40.0,
}
PUBLISHED_RULES = gross(
    Options(
        first=WINDOW[0],
        last=WINDOW[1],
        ema_from=date(2022, 1, 3),
        history_slow_multiple=1,
        baseline="entry",
        decide_at="close",
        gap_fill="level",
        parts_per_share=1 << 20,
        prices="dividend_adjusted",
    )
)
"""What the published figures rest on; docs/research.md lists each deviation from the document."""
PM_RATE = "pm:0.30"  # IB's stressed rate of a concentrated portfolio-margin position

DRAWN = (
    "document's rules, gross",
    "with interest, commission, 2 bp slippage",
    "with interest, commission, 10 bp slippage",
    "defaults, no stop",
    "buy and hold",
)
"""The rows in the picture, beside the rules that produced the published figures."""


class Row(NamedTuple):
    """One line of the table. The published line has None where nothing was published."""

    name: str
    period: str
    figures: dict[str, float | None]


class Compared(NamedTuple):
    """A published figure beside the one found under the rules that produced it."""

    figure: str
    published: float
    found: float
    reproduced: bool
    note: str


class Reproduction(NamedTuple):
    rows: tuple[Row, ...]
    compared: tuple[Compared, ...]
    paragraph: str
    title: str
    """What the picture is called."""
    curves: tuple[Curve, ...]
    """Equity over the published window, for the picture."""


def reproduce(history: History) -> Reproduction:
    """Every row. OptionsError where the history lacks what one needs."""
    under_its_rules = run_compiled(history, PUBLISHED_RULES)
    compared = tuple(_compare(under_its_rules))
    period = f"{WINDOW[0]} to {WINDOW[1]}"
    published: dict[str, float | None] = {name: PUBLISHED.get(name) for name in Metrics._fields}
    found = _figures(under_its_rules)
    in_dollars = drawdown_of_largest_dollar_fall_pct(under_its_rules)
    rows = [
        Row("published line", period, published),
        Row("rules that produced it", period, found),
        Row(
            "the same, drawdown at the largest fall in dollars",
            period,
            found | {"max_drawdown_pct": in_dollars},
        ),
    ]
    curves = [_curve("rules behind the published figures", under_its_rules)]
    for name, first, last in _periods(history):
        for what, options, run in _variants():
            result = run(history, replace(options, first=first, last=last))
            rows.append(Row(what, name, _figures(result)))
            if (first, last) == WINDOW and what in DRAWN:
                curves.append(_curve(what, result))
    title = f"$100,000, {WINDOW[0]} to {WINDOW[1]}: the published rules and the document's own"
    paragraph = _paragraph(rows, history)
    return Reproduction(tuple(rows), compared, paragraph, title, tuple(curves))


Run = Callable[[History, Options], Result]


def _variants() -> Iterator[tuple[str, Options, Run]]:
    """The document's own rules: first what they give gross, then what each cost and choice does."""
    costly = Options()
    yield "document's rules, gross", gross(costly), run_compiled
    yield "with interest", replace(gross(costly), interest=True), run_compiled
    for bp in (0.0, 2.0, 5.0, 10.0):
        what = f"with interest, commission, {bp:g} bp slippage"
        yield what, replace(costly, slippage_bp=bp), run_compiled
    yield "defaults: the same at 1 bp", costly, run_compiled
    yield f"defaults, margin clamp {PM_RATE}", replace(costly, margin=PM_RATE), run_compiled
    yield "defaults, margin clamp regt", replace(costly, margin="regt"), run_compiled
    yield "defaults, no same-day re-entry", replace(costly, reentry=False), run_compiled
    yield (
        "defaults, baseline previous_close",
        replace(costly, baseline="previous_close"),
        run_compiled,
    )
    yield "defaults, baseline entry", replace(costly, baseline="entry"), run_compiled
    yield "defaults, no stop", replace(costly, baseline="off"), run_compiled
    yield "buy and hold", gross(costly), buy_and_hold


def _periods(history: History) -> list[tuple[str, date, date]]:
    """The published window, then from 2022, 2012 and 2000 to the end of the data."""
    first, last = history.days[0], history.days[-1]
    periods = [("the published window", *WINDOW)]
    for year in (2022, 2012, 2000):
        begin = max(date(year, 1, 1), first)
        periods.append((f"from {year}", begin, last))
    return periods


def _curve(name: str, result: Result) -> Curve:
    return Curve(name, result.days, tuple(result.equity_usd.tolist()))


def _figures(result: Result) -> dict[str, float | None]:
    return dict(metrics(result)._asdict())


def _compare(result: Result) -> Iterator[Compared]:
    """Each published figure: a two-decimal match reproduces it."""
    figures = _figures(result)
    for name, published in PUBLISHED.items():
        found, note = figures[name], ""
        if name == "max_drawdown_pct":
            note = f"at the largest fall in dollars; the largest in percent is {found:.2f}"
            found = drawdown_of_largest_dollar_fall_pct(result)
        assert found is not None
        reproduced = round(found, 2) == published
        yield Compared(name, published, found, reproduced, note if reproduced else "not reproduced")


def _paragraph(rows: list[Row], history: History) -> str:
    """What a user may expect, in plain words and with this run's own figures."""

    def of(name: str, period: str) -> dict[str, float | None]:
        return next(row.figures for row in rows if row.name == name and row.period == period)

    real, dear = (of(f"with interest, commission, {bp} bp slippage", "from 2012") for bp in (2, 10))
    unstopped, held = (of(name, "from 2012") for name in ("defaults, no stop", "buy and hold"))
    return (
        "The published line is not what the document's rules give. It needs signal, entry and exit "
        "at one and the same close, stops that lose exactly 2 % even where the price gapped below, "
        "fractional shares, dividend-adjusted prices and no cost at all; its drawdown is the one "
        "that was largest in dollars, not in percent, and its win rate was not reproduced. Under "
        f"the document's own rules about {real['trades_per_year']:.0f} trades a year are made and "
        f"{_share(real):.0f} % of them end at the stop, so what is paid at each fill decides: from "
        f"2012 to {history.days[-1]} {real['cagr_pct']:.0f} % a year at 2 basis points of slippage "
        f"becomes {dear['cagr_pct']:.0f} % at 10, with drawdowns of "
        f"{real['max_drawdown_pct']:.0f} % and {dear['max_drawdown_pct']:.0f} % and worst days of "
        f"{real['worst_day_pct']:.0f} % and {dear['worst_day_pct']:.0f} %. Daily bars flatter all "
        "of it: a stop is taken to fill at its level and the same day's close to be there for the "
        "way back in, which no fast market promises. Without the stop it is "
        f"{_beside(unstopped)}; buying SMH and holding it was {_beside(held)}. Expect less than "
        "any of these, and a day that costs a quarter of the account."
    )


def _beside(figures: dict[str, float | None]) -> str:
    """A return with what belongs beside it."""
    return (
        f"{figures['cagr_pct']:.0f} % a year with a drawdown of "
        f"{figures['max_drawdown_pct']:.0f} % and a worst day of {figures['worst_day_pct']:.0f} %"
    )


def _share(figures: dict[str, float | None]) -> float:
    stops, entries = figures["stops"], figures["entries"]
    assert stops is not None
    assert entries
    return stops / entries * 100.0
