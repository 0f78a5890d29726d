"""The opening act: the first five sessions of every synthetic market tell the same story.

A newcomer should see every part of the strategy (EMA 25/125, about 3x, 2% stop) within one
simulated week, so the market is scripted there, openly, for every seed; prices and sizes differ,
the story does not. The half year before it is bent so that the fast average stands a little above
the slow one, and the price a little above both.

    day 1  a quiet gain              bullish: enters five minutes before the close
    day 2  slides by 2.2%            the stop fires; still bullish, so it enters again at 15:55
    day 3  opens 1.3% lower, quiet   no stop: the gap is before the baseline, and is simply lost
    day 4  slides by 3.2%            stop, same-day entry; at the close the averages cross down
    day 5  quiet                     the bear exit leaves at the open

From day 6 on the market is free, beginning in a falling regime.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.clock import MINUTE_NS
from services.sim_tws.market.interface import SessionTimes
from services.sim_tws.market.session_path import (
    INTRADAY_VOLUME_SHARE,
    DayPrices,
    PriceBar,
)

FAST_SPAN = 25
SLOW_SPAN = 125
# Before day 1, as shares of the fast average: the last close above it, and it above the slow one.
CLOSE_OVER_FAST = 0.004
FAST_OVER_SLOW = 0.0042
BENT_SESSIONS = 120
# How far a stretch between two knots may leave the straight way.
WIGGLE = 0.0008


@dataclass(frozen=True, slots=True)
class ActDay:
    """`knots`: (share of the session gone, price over the open - 1), from the open to the close.

    The last tenth of each day is quiet, so an entry there is not stopped at once.
    """

    gap: float
    knots: tuple[tuple[float, float], ...]
    vix_change: float


ACT = (
    ActDay(0.001, ((0.3, -0.0015), (0.6, 0.0015), (0.9, 0.0025), (1.0, 0.003)), -0.02),
    ActDay(-0.001, ((0.15, 0.002), (0.4, -0.009), (0.65, -0.024), (0.9, -0.0215), (1.0, -0.022)),
           0.14),
    ActDay(-0.013, ((0.3, 0.0015), (0.6, -0.001), (0.9, 0.001), (1.0, 0.0005)), 0.05),
    ActDay(-0.002, ((0.2, -0.004), (0.5, -0.018), (0.75, -0.033), (0.9, -0.031), (1.0, -0.032)),
           0.18),
    ActDay(-0.002, ((0.3, 0.002), (0.6, -0.001), (0.9, 0.001), (1.0, 0.0)), -0.03),
)  # fmt: skip


def scripted_prices(
    act: ActDay, session: SessionTimes, close_before: float, volume: float, size: float
) -> DayPrices:
    """The act's day after a close, its moves scaled by `size` (about 1)."""
    opened = round(close_before * (1 + act.gap * size), 2)
    length_min = (session.close_ns - session.open_ns) // MINUTE_NS
    bars = []
    start_s, price = 0, opened
    for share, move in act.knots:
        end_s = 60 * round(share * length_min)
        target = round(opened * (1 + move * size), 2)
        high = round(max(price, target) * (1 + WIGGLE), 2)
        low = round(min(price, target) * (1 - WIGGLE), 2)
        length_s = end_s - start_s
        part = INTRADAY_VOLUME_SHARE * volume * length_s / (60 * length_min)
        bars.append(PriceBar(start_s, length_s, price, high, low, target, part))
        start_s, price = end_s, target
    return DayPrices(
        opened, max(b.high for b in bars), min(b.low for b in bars), price, volume, tuple(bars)
    )


def bend(closes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Factors for a history of closes after which it ends as the act needs it to begin.

    The last `BENT_SESSIONS` are multiplied by 1 + a * ramp + b * hump, both zero at their start;
    the averages are linear in the prices, so a and b solve two linear equations exactly.
    """
    share = ramp(len(closes))
    shapes = (np.ones(len(closes)), share, np.sin(np.pi * share))
    weights_fast, weights_slow = (_ema_weights(len(closes), n) for n in (FAST_SPAN, SLOW_SPAN))
    last = (np.arange(len(closes)) == len(closes) - 1).astype(float)
    conditions = (
        last - (1 + CLOSE_OVER_FAST) * weights_fast,
        (1 - FAST_OVER_SLOW) * weights_fast - weights_slow,
    )
    table = np.array([[c @ (closes * shape) for shape in shapes] for c in conditions])
    of_ramp, of_hump = np.linalg.solve(table[:, 1:], -table[:, 0])
    return np.asarray(shapes[0] + of_ramp * shapes[1] + of_hump * shapes[2])


def ramp(count: int) -> npt.NDArray[np.float64]:
    """0 up to the last `BENT_SESSIONS` of `count` sessions, then evenly up to 1 at the last."""
    return np.clip((np.arange(1, count + 1) - count) / BENT_SESSIONS + 1, 0, 1)


def _ema_weights(count: int, span: int) -> npt.NDArray[np.float64]:
    """What each close counts for in an average of that span seeded with the first close."""
    alpha = 2 / (span + 1)
    weights = alpha * (1 - alpha) ** np.arange(count - 1, -1, -1)
    weights[0] /= alpha
    return np.asarray(weights)
