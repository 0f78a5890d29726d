"""A drawn path keeps to the bars it is drawn through, whatever they are."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common.clock import SECOND_NS
from services.sim_tws.market import SessionTimes
from services.sim_tws.market.session_path import DayPrices, PriceBar, draw_index, draw_traded

OPEN_NS = 1_748_871_000 * SECOND_NS
BAR_S = 60


@st.composite
def days(draw: st.DrawFn) -> tuple[SessionTimes, DayPrices]:
    """A session of up to thirty one-minute bars with any prices, halves of a cent included."""
    half_cents = st.integers(200, 200_000)
    bars = []
    for minute in range(draw(st.integers(1, 30))):
        low, one, other, high = (n / 200 for n in sorted(draw(st.tuples(*[half_cents] * 4))))
        open_, close = draw(st.permutations([one, other]))
        volume = draw(st.integers(0, 100_000))
        bars.append(PriceBar(BAR_S * minute, BAR_S, open_, high, low, close, volume))
    official = draw(half_cents) / 200
    high, low = max(bar.high for bar in bars), min(bar.low for bar in bars)
    close_ns = OPEN_NS + len(bars) * BAR_S * SECOND_NS
    return (
        SessionTimes(date(2025, 6, 2), OPEN_NS, close_ns, early=False),
        DayPrices(bars[0].open, high, low, official, 1e6, tuple(bars)),
    )


@settings(max_examples=40, deadline=None)
@given(days(), st.integers(0, 2**32))
def test_each_bar_comes_back_with_its_four_prices(
    known: tuple[SessionTimes, DayPrices], seed: int
) -> None:
    session, day = known

    path = draw_traded(session, day, np.random.default_rng(seed))

    drawn = path.bars(session.open_ns, session.close_ns, BAR_S)
    assert [(b.open, b.high, b.low, b.close) for b in drawn] == [
        (b.open, b.high, b.low, b.close) for b in day.bars
    ]
    for bar, known_bar in zip(drawn, day.bars, strict=True):
        assert known_bar.volume - 1 <= bar.volume <= known_bar.volume + BAR_S


@settings(max_examples=40, deadline=None)
@given(days(), st.integers(0, 2**32))
def test_quotes_bracket_every_print_and_are_never_crossed(
    known: tuple[SessionTimes, DayPrices], seed: int
) -> None:
    session, day = known

    ticks = draw_traded(session, day, np.random.default_rng(seed)).ticks(slice(None))

    assert all(tick.bid <= tick.last <= tick.ask for tick in ticks)
    assert all(tick.bid < tick.ask for tick in ticks)
    assert ticks[-2].last == ticks[-1].last == day.close
    assert [tick.ts_ns for tick in ticks[-2:]] == [session.close_ns, session.close_ns + SECOND_NS]


@settings(max_examples=40, deadline=None)
@given(days(), st.integers(0, 2**32))
def test_index_keeps_to_its_bars_too(known: tuple[SessionTimes, DayPrices], seed: int) -> None:
    session, day = known

    path = draw_index(session, day, 15, np.random.default_rng(seed))

    drawn = path.bars(session.open_ns, session.close_ns, BAR_S)
    assert [(b.open, b.high, b.low, b.close) for b in drawn] == [
        (b.open, b.high, b.low, b.close) for b in day.bars
    ]
