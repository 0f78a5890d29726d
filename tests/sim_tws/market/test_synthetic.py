"""The free synthetic market: the same for the same seed, and shaped like the real one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from statistics import pstdev

import pytest

from common.clock import MINUTE_NS
from services.sim_tws.market import DEFAULT_START, SMH, VIX, Market, synthetic

SEEDS = range(5)
LATER = date(2027, 3, 15)
YEARS_AHEAD = date(2032, 6, 1)


@pytest.fixture(scope="module", params=SEEDS)
def long_market(request: pytest.FixtureRequest) -> Market:
    """One market per seed for every test of this file."""
    return synthetic(request.param)


def test_same_seed_gives_the_same_answers_in_any_order_of_asking() -> None:
    questions: list[Callable[[Market], object]] = [
        lambda m: m.closing_print(SMH, LATER),
        lambda m: m.daily_bars(VIX, DEFAULT_START, 500),
        lambda m: m.tick(SMH, m.session_at_or_after(0).open_ns + MINUTE_NS),
        lambda m: m.bars(SMH, *hours_of(m, LATER), 60),
        lambda m: m.path(VIX, *hours_of(m, DEFAULT_START)),
    ]
    one, other = synthetic(5), synthetic(5)

    forward = [ask(one) for ask in questions]
    backward = [ask(other) for ask in reversed(questions)]

    assert forward == backward[::-1]


def test_another_seed_gives_another_market() -> None:
    assert synthetic(1).daily_bars(SMH, LATER, 9) != synthetic(2).daily_bars(SMH, LATER, 9)


def test_history_before_the_start_is_more_than_five_years() -> None:
    market = synthetic(3)

    assert len(market.daily_bars(SMH, DEFAULT_START - timedelta(days=1), 10_000)) > 5 * 252
    assert market.first_day < DEFAULT_START - timedelta(days=5 * 366)
    assert market.last_day > DEFAULT_START + timedelta(days=10 * 366)


def test_averages_cross_every_few_months(long_market: Market) -> None:
    closes = [bar.close for _, bar in long_market.daily_bars(SMH, YEARS_AHEAD, 14 * 252)]
    fast = slow = closes[0]
    bullish = []
    for close in closes:
        fast += 2 / 26 * (close - fast)
        slow += 2 / 126 * (close - slow)
        bullish.append(fast > slow)

    crossings = sum(before != after for before, after in pairwise(bullish))

    assert 1 <= crossings / 14 <= 8


def test_vix_visits_every_leverage_tier_and_comes_back(long_market: Market) -> None:
    levels = [bar.close for _, bar in long_market.daily_bars(VIX, YEARS_AHEAD, 14 * 252)]

    for low, high in ((0, 12), (12, 13), (13, 14), (14, 30), (30, 100)):
        assert any(low <= level < high for level in levels)
    assert 14 < sorted(levels)[len(levels) // 2] < 22


def test_moves_are_larger_when_the_vix_is_higher_and_some_happen_overnight(
    long_market: Market,
) -> None:
    days = long_market.daily_bars(SMH, YEARS_AHEAD, 14 * 252)
    levels = [bar.close for _, bar in long_market.daily_bars(VIX, YEARS_AHEAD, 14 * 252)]
    moves = [after.close / before.close - 1 for (_, before), (_, after) in pairwise(days)]
    gaps = [after.open / before.close - 1 for (_, before), (_, after) in pairwise(days)]

    calm = pstdev(move for move, vix in zip(moves, levels, strict=False) if vix < 15)
    wild = pstdev(move for move, vix in zip(moves, levels, strict=False) if vix > 25)

    assert wild > 1.3 * calm
    assert 0.3 < pstdev(gaps) / pstdev(moves) < 0.8
    assert 0.012 < pstdev(moves) < 0.03


def hours_of(market: Market, day: date) -> tuple[int, int]:
    session = market.session_on(day)
    assert session is not None
    return session.open_ns, session.close_ns
