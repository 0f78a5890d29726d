"""Equity curves as one SVG file: a log axis, years below, each line named at its end.

Drawn by hand, since a picture of five lines needs no library; it opens and prints anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import floor, log10
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 960, 500
LEFT, RIGHT, TOP, BOTTOM = 86, 270, 50, 40  # margins; the names stand in the right one
NAME_HEIGHT = 16
# Told apart by the colour-blind as well (Okabe and Ito).
COLOURS = ("#000000", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9")
STEPS = (1, 2, 5)


class Curve(NamedTuple):
    """Equity in USD at each close of `days`; at least two, all above 0."""

    name: str
    days: Sequence[date]
    equity_usd: Sequence[float]


def svg(title: str, curves: Sequence[Curve]) -> str:
    """The picture of the curves on common axes."""
    days = [day.toordinal() for curve in curves for day in curve.days]
    lows, highs = (
        pick(log10(usd) for curve in curves for usd in curve.equity_usd) for pick in (min, max)
    )
    first, last, span = min(days), max(days), max(highs - lows, 1e-9)

    def x(ordinal: float) -> float:
        return LEFT + (ordinal - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(usd: float) -> float:
        return HEIGHT - BOTTOM - (log10(usd) - lows) / span * (HEIGHT - TOP - BOTTOM)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="26" font-size="15">{escape(title)}</text>',
    ]
    for usd in _round_amounts(lows, highs):
        parts.append(_rule(LEFT, y(usd), WIDTH - RIGHT, y(usd)))
        parts.append(_text(LEFT - 8, y(usd) + 4, f"${usd:,.0f}", anchor="end"))
    for year in range(date.fromordinal(first).year + 1, date.fromordinal(last).year + 1):
        at = x(date(year, 1, 1).toordinal())
        parts.append(_rule(at, TOP, at, HEIGHT - BOTTOM))
        parts.append(_text(at, HEIGHT - BOTTOM + 18, str(year), anchor="middle"))
    heights = _apart([y(curve.equity_usd[-1]) for curve in curves])
    for index, curve in enumerate(curves):
        colour = COLOURS[index % len(COLOURS)]
        points = " ".join(
            f"{x(day.toordinal()):.1f},{y(usd):.1f}"
            for day, usd in zip(curve.days, curve.equity_usd, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        parts.append(_text(WIDTH - RIGHT + 8, heights[index] + 4, curve.name, fill=colour))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _round_amounts(lows: float, highs: float) -> list[float]:
    """1, 2 and 5 times each power of ten between two logarithms."""
    powers = range(floor(lows), floor(highs) + 1)
    amounts = [step * 10.0**power for power in powers for step in STEPS]
    return [usd for usd in amounts if lows <= log10(usd) <= highs]


def _apart(heights: Sequence[float]) -> list[float]:
    """The heights moved down where two names would stand on each other."""
    placed = [0.0] * len(heights)
    free = float(TOP)
    for index in sorted(range(len(heights)), key=lambda index: heights[index]):
        placed[index] = max(heights[index], free)
        free = placed[index] + NAME_HEIGHT
    return placed


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = "#000000") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'
    )
