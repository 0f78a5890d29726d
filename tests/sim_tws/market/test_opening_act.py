"""The synthetic market tells a newcomer the same story whatever seed, leverage or week."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from common.clock import MINUTE_NS
from services.sim_tws.market import DEFAULT_START, SMH, VIX, Market, SessionTimes, synthetic
from services.sim_tws.market.opening_act import ACT, BENT_SESSIONS
from tests.sim_tws.market.newcomer import ema_gap, trade

SEEDS = range(20)
THANKSGIVING_WEEK = date(2025, 11, 24)  # Thursday shut, Friday until 13:00
A_SUNDAY = date(2024, 3, 10)  # the clocks go forward


@pytest.fixture(scope="module", params=SEEDS)
def market(request: pytest.FixtureRequest) -> Market:
    """One market per seed for the tests of this file."""
    return synthetic(request.param)


def first_sessions(market: Market, start: date, count: int) -> list[SessionTimes]:
    sessions = [session for n in range(2 * count) if (session := market.session_on(day(start, n)))]
    return sessions[:count]


def day(start: date, days: int) -> date:
    return start + timedelta(days=days)


def test_first_week_shows_entry_stop_same_day_reentry_and_bear_exit(market: Market) -> None:
    sessions = first_sessions(market, DEFAULT_START, len(ACT))

    deeds = trade(market, sessions, leverage=3.0)

    assert [(deed.day, deed.kind) for deed in deeds] == [
        (1, "enter"),
        (2, "stop"),
        (2, "enter"),
        (4, "stop"),
        (4, "enter"),
        (5, "bear exit"),
    ]
    for deed in deeds:
        if deed.kind == "stop":
            close_ns = sessions[deed.day - 1].close_ns
            assert deed.ts_ns < close_ns - 30 * MINUTE_NS


@pytest.mark.parametrize("leverage", [2.0, 3.75])
@pytest.mark.parametrize("start", [DEFAULT_START, THANKSGIVING_WEEK, A_SUNDAY])
def test_story_holds_for_every_leverage_and_every_week(leverage: float, start: date) -> None:
    market = synthetic(7, start)

    deeds = trade(market, first_sessions(market, start, len(ACT)), leverage)

    assert [deed.kind for deed in deeds] == [
        "enter", "stop", "enter", "stop", "enter", "bear exit",
    ]  # fmt: skip


def test_half_year_before_the_act_is_bent_without_a_jump(market: Market) -> None:
    days = market.daily_bars(SMH, day(DEFAULT_START, -1), 5 * 252)

    closes = [bar.close for _, bar in days]
    assert 0.003 < ema_gap(closes) < 0.006
    assert 250 <= closes[-1] <= 300
    moves = [abs(after / before - 1) for before, after in pairwise(closes[-BENT_SESSIONS - 2 :])]
    assert max(moves) < 0.15


def test_vix_begins_ordinary_and_rises_with_the_slide(market: Market) -> None:
    sessions = first_sessions(market, DEFAULT_START, len(ACT))

    vix = [market.closing_print(VIX, session.date) for session in sessions]

    assert 14 < vix[0] < 17
    assert max(vix) > 20
