"""The paragraphs on top: what happened, in plain words and with this run's own figures."""

from __future__ import annotations

from services.backtest.metrics import Metrics
from services.backtest.report import grids
from services.backtest.report.study import BAD_DAY_PCT, Study

NOTABLE_PCT = 0.5
"""Of equity: stops that lose no more than this beyond their limit are not counted here."""

LARGE_USD = 1e7
"""Equity from which the page says that no such order is filled at one price."""


def paragraphs(study: Study) -> list[str]:
    """What came out and how thin it is, what it did, what it paid and how much is luck, and what
    no backtest knows. No return without its drawdown and its worst day."""
    parts = (
        (_outcome(study), _more_slippage(study)),
        (_trading(study), _stops(study), _bad_days(study)),
        (_costs(study), _luck(study)),
        (*study.caveats, _caution(study)),
    )
    texts = (" ".join(sentence for sentence in part if sentence) for part in parts)
    return [text.replace(" -", " −") for text in texts if text]


def figures(found: Metrics) -> str:
    """A return with what belongs beside it."""
    growth = "no yearly figure" if found.cagr_pct is None else f"{found.cagr_pct:.1f} % a year"
    return (
        f"{growth} with a drawdown of {found.max_drawdown_pct:.1f} % "
        f"and a worst day of {found.worst_day_pct:.1f} %"
    )


def _outcome(study: Study) -> str:
    result, found = study.result, study.figures
    return (
        f"From {result.days[0]} to {result.days[-1]} these rules turned "
        f"${result.options.start_equity_usd:,.0f} into ${found.final_equity_usd:,.0f}: "
        f"{figures(found)}. Buying SMH and holding it gave {figures(study.hold_figures)}."
    )


def _more_slippage(study: Study) -> str:
    """What is left of it when the fills are worse."""
    grid = next(grid for grid in study.grids if grid.column_name == grids.SLIPPAGE)
    loss_pct, own_bp = grid.own
    cells = zip(grid.columns, grid.cells[grid.rows.index(loss_pct)], strict=True)
    worse = [f"at {bp:g} bp {figures(found)}" for bp, found in cells if bp > own_bp and found]
    if not worse or not study.figures.entries:
        return ""
    return f"It assumes fills {own_bp:g} bp off the price; {'; '.join(worse)}."


def _trading(study: Study) -> str:
    found = study.figures
    if not found.entries:
        return "It never entered: no bull signal with enough history before it."
    forced = sum(trade.reason == "liquidation" for trade in study.result.trades)
    liquidated = f", {forced:,} were liquidated by the broker" if forced else ""
    first = study.result.trades[0].entry_day
    return (
        f"It entered {found.entries:,} times, first on {first}; {found.stops:,} positions ended at "
        f"the stop{liquidated}."
    )


def _stops(study: Study) -> str:
    found = study.overshoot
    if not found.stops:
        return ""
    worst = study.worst_stops[0]
    return (
        f"The stop's {found.limit_pct:g} % are measured from the day's baseline "
        f"({study.result.options.baseline}), and the night comes on top: counted from the last "
        f"close, {found.share_beyond_pct(NOTABLE_PCT):.0f} % of the stops lost over "
        f"{found.limit_pct + NOTABLE_PCT:g} % of equity, the worst {worst.loss_pct:.1f} % "
        f"({worst.day})."
    )


def _bad_days(study: Study) -> str:
    causes = study.bad_days
    if not causes:
        return ""
    total = sum(count for _, count in causes)
    named = ", ".join(f"{cause} {count:,}" for cause, count in causes)
    return f"{total:,} days lost more than {-BAD_DAY_PCT:g} %, by their cause: {named}."


def _costs(study: Study) -> str:
    free = study.drag.steps[0].figures
    if free == study.figures:
        return ""
    return f"Without interest, commission and slippage it would have been {figures(free)}."


def _luck(study: Study) -> str:
    found = study.luck
    if found is None:
        return ""
    return (
        f"The same days, fills no worse, drawn again in blocks of about {found.block_sessions} "
        f"sessions gave from "
        f"{found.cagr_pct.low:.1f} to {found.cagr_pct.high:.1f} % a year in nine cases of ten, "
        f"with drawdowns from {found.max_drawdown_pct.low:.0f} to "
        f"{found.max_drawdown_pct.high:.0f} % and worst days from {found.worst_day_pct.low:.1f} to "
        f"{found.worst_day_pct.high:.1f} %; {found.losing_pct:.0f} % of them lost money and "
        f"{found.behind_hold_pct:.0f} % ended behind holding SMH."
    )


def _caution(study: Study) -> str:
    said = []
    if study.result.equity_usd.max() > LARGE_USD:
        said.append(
            "Amounts of many millions are arithmetic: orders of that size would move the market."
        )
    fine, sessions = len(study.result.fine_days), len(study.result.days)
    if fine < sessions:
        days = f"{sessions - fine:,} of {sessions:,} days" if fine else "every day"
        said.append(
            f"On {days} a single daily bar stands for the session: a stop is taken to fill at its "
            "level, which a fast market does not promise. Expect less than this."
        )
    return " ".join(said)
