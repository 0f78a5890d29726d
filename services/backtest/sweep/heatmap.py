"""A sweep as one SVG file: two of its axes as a coloured grid, each cell with its number.

Drawn by hand, as the curves in picture.py are: a picture of rectangles needs no library.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

import numpy as np

from services.backtest.sheet import Floats
from services.backtest.sweep.grid import AXES, document, shown
from services.backtest.sweep.outcome import Outcome
from services.backtest.sweep.ranking import SMALLER_IS_BETTER, varied

LEFT, TOP, RIGHT, BOTTOM = 110, 96, 30, 64
BOX_WIDTH, BOX_HEIGHT = 58, 26
NUMBERS_MAX = 2_000  # boxes; above, colours alone: nobody could read them
PREFERRED = ("ema_fast", "ema_slow", "stop_loss_fraction", "leverage", "slippage_bp")
TITLES = {
    "ema_fast": "fast EMA, closes",
    "ema_slow": "slow EMA, closes",
    "stop_loss_fraction": "stop, % of the baseline",
    "leverage": "leverage",
    "slippage_bp": "slippage, basis points a side",
}
# From bad to good, told apart by the colour-blind as well (Brewer's RdYlBu, shortened).
COLOURS = ((215, 48, 39), (253, 174, 97), (255, 255, 191), (171, 217, 233), (69, 117, 180))
UNKNOWN = "#eeeeee"


def svg(outcome: Outcome, figure: str, name: str) -> str:
    """The picture; `name` is the figure in words. The document's own cell has a frame."""
    across, down = drawn_axes(outcome)
    values, folded = _table(outcome, figure, across, down)
    rows, columns = values.shape
    small = values.size > NUMBERS_MAX
    box_width, box_height = (8, 8) if small else (BOX_WIDTH, BOX_HEIGHT)
    width = max(LEFT + columns * box_width + RIGHT, 560)
    height = TOP + rows * box_height + BOTTOM
    known = values[~np.isnan(values)]
    ends = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="12" role="img" '
            f'aria-label="{escape(name)} by {TITLES[across]} and {TITLES[down]}">'
        ),
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(LEFT, 26, f"{name}, {outcome.first} to {outcome.last}", size=15, anchor="start"),
        _text(LEFT, 46, _what(len(outcome.grid), folded, ends), anchor="start"),
        _text(LEFT, 64, _risk(outcome), anchor="start"),
        _text(LEFT + columns * box_width / 2, height - 14, TITLES[across]),
        _turned(24, TOP + rows * box_height / 2, TITLES[down]),
    ]
    marks = {axis: getattr(outcome.grid, axis) for axis in (across, down)}
    for at, value in enumerate(marks[across]):
        if not small or at % 8 == 0:
            x = LEFT + (at + 0.5) * box_width
            parts.append(_text(x, TOP + rows * box_height + 18, shown(across, value)))
    for at, value in enumerate(marks[down]):
        if not small or at % 8 == 0:
            y = TOP + (at + 0.5) * box_height + 4
            parts.append(_text(LEFT - 8, y, shown(down, value), anchor="end"))
    for row in range(rows):
        for column in range(columns):
            x, y = LEFT + column * box_width, TOP + row * box_height
            value = float(values[row, column])
            fill = _colour(value, ends, reverse=figure in SMALLER_IS_BETTER)
            parts.append(
                f'<rect x="{x}" y="{y}" width="{box_width}" height="{box_height}" fill="{fill}"/>'
            )
            if not small:
                number = "-" if np.isnan(value) else _short(value)
                parts.append(_text(x + box_width / 2, y + box_height / 2 + 4, number))
    own = document(outcome.grid.base)
    if all(getattr(own, axis)[0] in marks[axis] for axis in marks):
        x = LEFT + marks[across].index(getattr(own, across)[0]) * box_width
        y = TOP + marks[down].index(getattr(own, down)[0]) * box_height
        parts.append(
            f'<rect x="{x}" y="{y}" width="{box_width}" height="{box_height}" fill="none" '
            'stroke="#000000" stroke-width="2"><title>the document’s own</title></rect>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def drawn_axes(outcome: Outcome) -> tuple[str, str]:
    """The axis across and the one down: the first two that vary."""
    vary = varied(outcome)
    chosen = sorted(PREFERRED, key=lambda axis: (axis not in vary, PREFERRED.index(axis)))
    return chosen[0], chosen[1]


def _table(outcome: Outcome, figure: str, across: str, down: str) -> tuple[Floats, int]:
    """(down, across) of the figure, and of how many cells each is the median: never the best."""
    values = outcome.column(figure).reshape(outcome.grid.shape)
    ordered = np.moveaxis(values, (AXES.index(down), AXES.index(across)), (0, 1))
    flat = ordered.reshape(*ordered.shape[:2], -1)
    unknown = np.isnan(flat).all(axis=2)
    table = np.full(flat.shape[:2], np.nan)
    table[~unknown] = np.nanmedian(flat[~unknown], axis=1)
    return table, flat.shape[2]


def _what(cells: int, folded: int, ends: tuple[float, float]) -> str:
    median = f"each box the median of {folded}; " if folded > 1 else ""
    return f"{cells:,} cells, {median}{_short(ends[0])} to {_short(ends[1])}"


def _risk(outcome: Outcome) -> str:
    """No return is shown without it."""
    falls, days = outcome.column("max_drawdown_pct"), outcome.column("worst_day_pct")
    if np.isnan(days).all():
        return f"max drawdown {falls.min():.1f} to {falls.max():.1f} %"
    return (
        f"max drawdown {falls.min():.1f} to {falls.max():.1f} %, "
        f"worst day {np.nanmin(days):.1f} to {np.nanmax(days):.1f} %; framed: the document's own"
    )


def _colour(value: float, ends: tuple[float, float], *, reverse: bool) -> str:
    if np.isnan(value):
        return UNKNOWN
    low, high = ends
    share = (value - low) / (high - low) if high > low else 0.5
    place = (1.0 - share if reverse else share) * (len(COLOURS) - 1)
    at = min(int(place), len(COLOURS) - 2)
    mixed = (
        round(one + (other - one) * (place - at))
        for one, other in zip(COLOURS[at], COLOURS[at + 1], strict=True)
    )
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.1f}{letter}"
    return f"{value:.2f}" if abs(value) < 100.0 else f"{value:.0f}"


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
    )


def _turned(x: float, y: float, text: str) -> str:
    return (
        f'<text transform="translate({x:g},{y:g}) rotate(-90)" text-anchor="middle">'
        f"{escape(text)}</text>"
    )
