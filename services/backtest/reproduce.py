"""The published figures, the rules that produced them, and the document's own rules beside them.

The data must cover the published window; longer periods that they do not cover are left out, and
that is said.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import date
from typing import NamedTuple

from msgspec.structs import replace

from services.backtest.caveats import closes_needed, first_entry_day, rates_gap, vix_gaps
from services.backtest.compiled_path import run_compiled
from services.backtest.history import RATES_FILE, SMH_FILE, History
from services.backtest.hold import buy_and_hold
from services.backtest.metrics import Metrics, drawdown_of_largest_dollar_fall_pct, metrics
from services.backtest.options import Options, OptionsError, gross
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
LONGER = (
    ("from 2022", date(2022, 1, 3)),
    ("from 2012", date(2012, 1, 3)),
    ("from 2000", date(2000, 6, 5)),
)
"""Periods to the end of the data, each from its year's first session (2000: SMH's first here)."""
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
    notes: tuple[str, ...]
    """What the data lack."""


def reproduce(history: History) -> Reproduction:
    """Every row of every period that the history covers. OptionsError where it does not cover the
    published window."""
    _require_window(history)
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
    covered = _covered(history)
    for name, first, last in [("the published window", *WINDOW), *covered]:
        for what, options, run in _variants():
            result = run(history, replace(options, first=first, last=last))
            rows.append(Row(what, name, _figures(result)))
            if (first, last) == WINDOW and what in DRAWN:
                curves.append(_curve(what, result))
    title = f"$100,000, {WINDOW[0]} to {WINDOW[1]}: the published rules and the document's own"
    paragraph = _paragraph(rows, history)
    notes = tuple(_notes(history, covered))
    return Reproduction(tuple(rows), compared, paragraph, title, tuple(curves), notes)


def _require_window(history: History) -> None:
    """OptionsError where a row of the published window would be another window's."""
    first, last = WINDOW
    days, rates = history.days, history.rates.days
    before, needed = bisect_left(days, first), closes_needed(Options())
    if before < needed:
        raise OptionsError(
            f"{SMH_FILE} has {before:,} sessions before {first}, where the published window begins,"
            f" and {needed:,} closes must come before an entry: get the older rows "
            "(`trader history --data DIR`)"
        )
    if days[-1] < last:
        raise OptionsError(
            f"{SMH_FILE} ends on {days[-1]}, the published window on {last}: "
            "`trader history --data DIR` brings it up to date"
        )
    if not rates or rates[0] > first:
        there = f"begins on {rates[0]}" if rates else "is not among the data"
        raise OptionsError(
            f"{RATES_FILE} {there}, and the published window begins on {first}: add the rates of "
            "all its months (date,rate in percent a year; FRED has them)"
        )


def _covered(history: History) -> list[tuple[str, date, date]]:
    """The longer periods that the data hold from their first day on."""
    known_from = max(history.days[0], history.rates.days[0])
    return [(name, first, history.days[-1]) for name, first in LONGER if first >= known_from]


def _notes(history: History, covered: list[tuple[str, date, date]]) -> Iterator[str]:
    left_out = [name for name, _ in LONGER if name not in {name for name, _, _ in covered}]
    if left_out:
        known_from = max(history.days[0], history.rates.days[0])
        yield f"Left out: {', '.join(left_out)}. The data begin on {known_from}."
    for name, first, last in covered:
        day = first_entry_day(history, Options(first=first, last=last))
        if day is not None and day > first:
            yield (
                f"{name.capitalize()} the first entry may come on {day}: before it fewer than "
                f"{closes_needed(Options()):,} closes are known."
            )
    begin = min([WINDOW[0], *(first for _, first, _ in covered)])
    days = history.days[bisect_left(history.days, begin) :]
    yield from vix_gaps(history, Options(), days)
    yield from rates_gap(history, Options(), days[-1])


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
        if found is None:
            raise OptionsError(
                f"{name} has no value under the rules behind the published figures: they never "
                f"traded, so {SMH_FILE} does not hold SMH's prices"
            )
        reproduced = round(found, 2) == published
        yield Compared(name, published, found, reproduced, note if reproduced else "not reproduced")


def _paragraph(rows: list[Row], history: History) -> str:
    """What a user may expect, in plain words and with this run's own figures."""

    def of(name: str, period: str) -> dict[str, float | None]:
        return next(row.figures for row in rows if row.name == name and row.period == period)

    period, span = "from 2012", f"from 2012 to {history.days[-1]}"
    if all(row.period != period for row in rows):
        period, span = "the published window", f"from {WINDOW[0]} to {WINDOW[1]}"
    real, dear = (of(f"with interest, commission, {bp} bp slippage", period) for bp in (2, 10))
    unstopped, held = (of(name, period) for name in ("defaults, no stop", "buy and hold"))
    return (
        "The published line is not what the document's rules give. It needs signal, entry and exit "
        "at one and the same close, stops that lose exactly 2 % even where the price gapped below, "
        "fractional shares, dividend-adjusted prices and no cost at all; its drawdown is the one "
        "that was largest in dollars, not in percent, and its win rate was not reproduced. Under "
        f"the document's own rules about {real['trades_per_year']:.0f} trades a year are made and "
        f"{_share(real):.0f} % of them end at the stop, so what is paid at each fill decides: "
        f"{span} {real['cagr_pct']:.0f} % a year at 2 basis points of slippage "
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
    return (figures["stops"] or 0.0) / (figures["entries"] or 1.0) * 100.0
