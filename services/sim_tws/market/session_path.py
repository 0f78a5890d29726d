"""One session's prices second by second, drawn through the prices that are known of it.

What is known is a list of bars: the whole session as a single one, or intraday bars. Inside a bar
the path starts at its open, visits the extreme nearer to the open first, then the other, and ends
at its close; the two instants are drawn evenly over the bar. Which extreme came first cannot be
known from a bar; the nearer one is the shorter way. Between these points it is a Brownian bridge,
folded back at the bar's high and low, on whole cents.

The official auction prints frame it: the first tick of the session is the opening print, the tick
at the close is the closing print, and one second later the quote turns wide for the night.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor

import numpy as np
import numpy.typing as npt

from common.clock import SECOND_NS
from services.sim_tws.market.interface import Bar, SessionTimes, Tick

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# A Brownian motion of n steps of this size times range / sqrt(n) spans about the bar's range.
TEXTURE = 0.5
# Half the quoted spread outside the session, as a share of the price: nobody quotes closely then.
NIGHT_HALF_SPREAD = 0.002
# A bar must hold its open, two extremes and its close.
STEPS_PER_BAR_MIN = 4
THINNING_STRETCHES = 128
# What a whole day prints outside its closing auction, where only the day's volume is known.
INTRADAY_VOLUME_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class PriceBar:
    """What is known of the `length_s` seconds that begin `start_s` after the open."""

    start_s: int
    length_s: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class DayPrices:
    """A session's official prices and volume, and the bars known inside it, oldest first."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    bars: tuple[PriceBar, ...]


@dataclass(frozen=True, slots=True)
class SessionPath:
    """The ticks of one session as columns, oldest first; see `Tick` for their meaning."""

    session: SessionTimes
    ts_ns: Ints
    bid: Floats
    ask: Floats
    last: Floats
    bid_size: Ints
    ask_size: Ints
    last_size: Ints

    def ticks_until(self, ts_ns: int) -> int:
        """How many ticks had come by `ts_ns`."""
        return int(self.ts_ns.searchsorted(ts_ns, side="right"))

    def ticks(self, indices: slice | Ints) -> list[Tick]:
        columns = (
            self.ts_ns, self.bid, self.ask, self.last,
            self.bid_size, self.ask_size, self.last_size,
        )  # fmt: skip
        return [Tick(*row) for row in zip(*(c[indices].tolist() for c in columns), strict=True)]

    def between(self, after_ns: int, until_ns: int) -> list[Tick]:
        """The ticks in (after, until]."""
        return self.ticks(slice(self.ticks_until(after_ns), self.ticks_until(until_ns)))

    def bars(self, start_ns: int, end_ns: int, bar_s: int) -> list[Bar]:
        """The bars that start in [start, end); a stretch without a print repeats the last price."""
        step_ns = bar_s * SECOND_NS
        session = self.session
        starts = np.arange(
            session.open_ns // step_ns * step_ns, min(end_ns, session.close_ns), step_ns
        )
        if not starts.size:
            return []
        last_end_ns = int(starts[-1]) + step_ns
        starts[0] = session.open_ns
        done = self.ticks_until(min(end_ns, session.close_ns - 1, last_end_ns - 1))
        firsts = self.ts_ns[:done].searchsorted(starts)
        counts = np.diff(np.append(firsts, done))
        traded = firsts[counts > 0]
        last, size = self.last[:done], self.last_size[:done]
        rows = zip(
            last[traded].tolist(),
            np.maximum.reduceat(last, traded).tolist(),
            np.minimum.reduceat(last, traded).tolist(),
            last[np.append(traded[1:], done) - 1].tolist(),
            np.add.reduceat(size, traded).astype(float).tolist(),
            np.add.reduceat(last * size, traded).tolist(),
            strict=True,
        )
        bars: list[Bar] = []
        close = 0.0
        for bar_start_ns, count in zip(starts.tolist(), counts.tolist(), strict=True):
            if count:
                opened, high, low, close, volume, turnover = next(rows)
                wap = round(turnover / volume, 4) if volume else close
                bars.append(Bar(bar_start_ns, opened, high, low, close, volume, count, wap))
            else:
                bars.append(Bar(bar_start_ns, close, close, close, close, 0.0, 0, close))
        return [bar for bar in bars if bar.start_ns >= start_ns]


def thinned(ticks: list[Tick]) -> list[Tick]:
    """At most three ticks per equal stretch: its lowest, its highest and its last."""
    if len(ticks) <= 3 * THINNING_STRETCHES:
        return ticks
    edges = np.linspace(0, len(ticks), THINNING_STRETCHES + 1).astype(int).tolist()
    kept: list[Tick] = []
    for first, end in pairwise(edges):
        stretch = range(first, end)
        lowest = min(stretch, key=lambda i: ticks[i].last)
        highest = max(stretch, key=lambda i: ticks[i].last)
        kept += [ticks[i] for i in sorted({lowest, highest, end - 1})]
    return kept


def draw_traded(session: SessionTimes, day: DayPrices, rng: np.random.Generator) -> SessionPath:
    """A traded security's session: a print a second, a quote one or two cents wide around it."""
    bars = _opened_by_auction(day)
    seconds = _instants(bars, 1)
    last = _prices(bars, 1, rng)
    last_size = _volumes(bars, seconds, session, rng)
    auction_size = max(1, round(day.volume) - int(last_size.sum()))
    last = np.append(last, (day.close, day.close))
    last_size = np.append(last_size, (auction_size, 0))
    count = len(last)

    spread = rng.integers(1, 3, count)
    at_bid = rng.random(count) < 0.5
    cents = last * 100
    # A price between two cents (a midpoint print) lies inside the spread on either side.
    bid_cents = np.where(at_bid, np.floor(cents + 1e-6), np.ceil(cents - 1e-6) - spread)
    bid = np.round(bid_cents / 100, 2)
    ask = np.round((bid_cents + spread) / 100, 2)
    bid[-1] = floor(100 * day.close * (1 - NIGHT_HALF_SPREAD)) / 100
    ask[-1] = ceil(100 * day.close * (1 + NIGHT_HALF_SPREAD)) / 100
    return SessionPath(
        session, _stamps(session, seconds), bid, ask, last,
        100 * rng.integers(2, 40, count), 100 * rng.integers(2, 40, count), last_size,
    )  # fmt: skip


def draw_index(
    session: SessionTimes, day: DayPrices, step_s: int, rng: np.random.Generator
) -> SessionPath:
    """An index's session: a level every `step_s` seconds, no bid, no ask, no volume."""
    bars = _opened_by_auction(day)
    last = np.append(_prices(bars, step_s, rng), (day.close, day.close))
    none = np.zeros(len(last), np.int64)
    stamps = _stamps(session, _instants(bars, step_s))
    return SessionPath(session, stamps, last, last, last, none, none, none)


def _opened_by_auction(day: DayPrices) -> list[PriceBar]:
    """The day's bars, the first one beginning with the opening print and wide enough for it."""
    first = day.bars[0]
    opened = replace(
        first, open=day.open, high=max(first.high, day.open), low=min(first.low, day.open)
    )
    return [opened, *day.bars[1:]]


def _instants(bars: Sequence[PriceBar], step_s: int) -> Ints:
    """Seconds after the open of every step of every bar."""
    return np.concatenate([np.arange(b.start_s, b.start_s + b.length_s, step_s) for b in bars])


def _stamps(session: SessionTimes, seconds: Ints) -> Ints:
    closing = (session.close_ns, session.close_ns + SECOND_NS)
    return np.append(session.open_ns + seconds * SECOND_NS, closing)


def _prices(bars: Sequence[PriceBar], step_s: int, rng: np.random.Generator) -> Floats:
    steps = np.array([b.length_s // step_s for b in bars])
    if steps.min() < STEPS_PER_BAR_MIN:
        raise ValueError(f"a bar needs at least {STEPS_PER_BAR_MIN} steps of {step_s} s")
    opens, highs, lows, closes = (
        np.array(column) for column in zip(*((b.open, b.high, b.low, b.close) for b in bars),
                                           strict=True)
    )  # fmt: skip
    high_first = highs - opens <= opens - lows
    draws = np.sort(rng.random((len(bars), 2)), axis=1)
    inside = np.floor(draws * (steps - 3)[:, None]).astype(np.int64)
    firsts = np.cumsum(steps) - steps
    points = np.column_stack(
        (firsts, firsts + 1 + inside[:, 0], firsts + 2 + inside[:, 1], firsts + steps - 1)
    ).ravel()
    known = np.column_stack(
        (opens, np.where(high_first, highs, lows), np.where(high_first, lows, highs), closes)
    ).ravel()

    index = np.arange(steps.sum())
    sizes = np.repeat(TEXTURE * (highs - lows) / np.sqrt(steps), steps)
    walk = np.cumsum(sizes * rng.standard_normal(len(index)))
    bridge = walk - np.interp(index, points, walk[points])
    low, high = np.repeat(lows, steps), np.repeat(highs, steps)
    prices = _folded(np.interp(index, points, known) + bridge, low, high)
    prices = np.clip(np.round(prices, 2), low, high)
    prices[points] = known
    return prices


def _folded(prices: Floats, low: Floats, high: Floats) -> Floats:
    """Prices beyond the limits mirrored back inside, as often as it takes."""
    span = np.maximum(high - low, 1e-9)
    offset = np.mod(prices - low, 2 * span)
    return np.asarray(low + np.minimum(offset, 2 * span - offset))


def _volumes(
    bars: Sequence[PriceBar], seconds: Ints, session: SessionTimes, rng: np.random.Generator
) -> Ints:
    """Shares printed each second: each bar's volume, heavier near open and close, at least 1."""
    length_s = (session.close_ns - session.open_ns) // SECOND_NS
    weights = rng.exponential(size=len(seconds)) * (1 + 3 * (2 * seconds / length_s - 1) ** 4)
    steps = [b.length_s for b in bars]
    totals = np.add.reduceat(weights, np.cumsum([0, *steps[:-1]]))
    shares = weights * np.repeat(np.array([b.volume for b in bars]) / totals, steps)
    return np.maximum(1, np.diff(np.floor(np.cumsum(shares)), prepend=0)).astype(np.int64)
