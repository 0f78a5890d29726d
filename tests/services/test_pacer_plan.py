"""The pacer's rule: slow where things happen, and never past a service that is behind."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.clock import MINUTE_NS, SECOND_NS
from common.core import pace
from common.core.pace import Beaten, SessionTimes, Stretch
from services.pacer import sessions_between

OPEN_NS = 1_748_871_000 * SECOND_NS  # 2025-06-02 09:30 ET
CLOSE_NS = OPEN_NS + 390 * MINUTE_NS
DAY_NS = 1440 * MINUTE_NS
SESSIONS = [SessionTimes(OPEN_NS + n * DAY_NS, CLOSE_NS + n * DAY_NS) for n in range(3)]
ENTRY_NS = 5 * MINUTE_NS  # before the close
NOW_NS = 1_000 * SECOND_NS
PLAN = [Stretch(CLOSE_NS, 1_000.0)]


def beat(
    *,
    host_ns: int = NOW_NS,
    ready: bool = True,
    busy: bool = False,
    caught_up_ns: int = OPEN_NS,
    verdict: str = "",
) -> Beaten:
    return Beaten(host_ns, ready, busy, caught_up_ns, verdict)


@pytest.mark.parametrize("seconds_per_day", [3.0, 15.0, 120.0])
def test_a_day_takes_the_host_seconds_asked_for(seconds_per_day: float) -> None:
    plan = pace.stretches(SESSIONS, seconds_per_day, ENTRY_NS)
    market_ns, host_s = SESSIONS[0].open_ns - pace.WARM_UP_NS, 0.0
    for stretch in plan:
        host_s += (stretch.end_ns - market_ns) / SECOND_NS / stretch.speed
        market_ns = stretch.end_ns
    assert host_s == pytest.approx(len(SESSIONS) * seconds_per_day, rel=0.15)


def test_the_plan_never_runs_backwards_and_ends_when_the_last_day_has_settled() -> None:
    plan = pace.stretches(SESSIONS, 15.0, ENTRY_NS)
    assert all(before.end_ns < after.end_ns for before, after in pairwise(plan))
    assert plan[-1].end_ns == SESSIONS[-1].close_ns + pace.SETTLE_NS
    assert pace.days_done(SESSIONS, plan[-1].end_ns) == 3


@pytest.mark.parametrize("minute", [0, 4, 380, 385, 389, 391])
def test_the_open_the_entry_and_the_close_are_slower_than_the_quiet_hours(minute: int) -> None:
    plan = pace.stretches(SESSIONS, 15.0, ENTRY_NS)

    def speed_at(ts_ns: int) -> float:
        return next(s.speed for s in plan if s.end_ns > ts_ns)

    assert speed_at(OPEN_NS + minute * MINUTE_NS) * 5 < speed_at(OPEN_NS + 120 * MINUTE_NS)


@pytest.mark.parametrize("instant_ns", [OPEN_NS, CLOSE_NS - ENTRY_NS, CLOSE_NS - SECOND_NS])
def test_the_very_moments_are_slower_still(instant_ns: int) -> None:
    plan = pace.stretches(SESSIONS, 15.0, ENTRY_NS)
    now = next(s.speed for s in plan if s.end_ns > instant_ns + SECOND_NS // 2)
    before = next(s.speed for s in plan if s.end_ns > instant_ns - MINUTE_NS)
    assert now * 5 < before


def test_a_day_as_long_as_the_real_one_runs_at_speed_one() -> None:
    assert all(s.speed >= 1.0 for s in pace.stretches(SESSIONS, 86_400.0, ENTRY_NS))
    assert min(s.speed for s in pace.stretches(SESSIONS, 86_400.0, ENTRY_NS)) == 1.0


def test_with_everybody_caught_up_the_market_runs_two_steps_ahead() -> None:
    step = pace.step(PLAN, OPEN_NS, {"risk_monitor": beat()}, NOW_NS, 0)
    assert step == pace.Step(1_000.0, OPEN_NS + 100 * SECOND_NS, "")


@pytest.mark.parametrize(
    "dead", [None, beat(host_ns=NOW_NS - pace.FRESH_NS - 1)], ids=["unheard", "silent"]
)
def test_a_dead_service_stops_the_market_where_it_stands(dead: Beaten | None) -> None:
    step = pace.step(PLAN, OPEN_NS, {"risk_monitor": dead, "market_feed": beat()}, NOW_NS, 0)
    assert step == pace.Step(0.0, OPEN_NS, "no heartbeat of risk_monitor")


def test_a_service_behind_stops_the_market_two_steps_ahead_of_it() -> None:
    behind = beat(caught_up_ns=OPEN_NS)
    market_ns = OPEN_NS + 200 * SECOND_NS
    step = pace.step(PLAN, market_ns, {"risk_monitor": behind}, NOW_NS, 0)
    assert step.limit_ns == market_ns


def test_an_unready_service_stops_the_market_and_is_named_with_its_reason() -> None:
    unready = beat(ready=False, verdict="no history yet")
    step = pace.step(PLAN, OPEN_NS, {"signal_engine": unready}, NOW_NS, 0)
    assert step == pace.Step(0.0, OPEN_NS, "signal_engine: no history yet")


def test_a_service_unready_for_long_lets_the_market_walk_and_stays_named() -> None:
    unready = beat(ready=False, verdict="no link")
    step = pace.step(PLAN, OPEN_NS, {"broker_gateway": unready}, NOW_NS, pace.WALK_AFTER_NS)
    assert step.speed == 1.0
    assert step.held_by == "broker_gateway: no link"


def test_while_an_order_is_under_way_the_market_runs_slowly() -> None:
    step = pace.step(PLAN, OPEN_NS, {"order_executor": beat(busy=True)}, NOW_NS, 0)
    assert step.speed == pace.BUSY_SPEED


def test_an_order_that_nobody_hears_of_for_a_minute_no_longer_slows_the_days() -> None:
    busy = {"order_executor": beat(busy=True)}
    step = pace.step(PLAN, OPEN_NS, busy, NOW_NS, 0, busy_ns=pace.BUSY_NS_MAX)
    assert step.speed == 1_000.0


def test_after_the_plan_market_time_stands() -> None:
    step = pace.step(PLAN, CLOSE_NS, {"risk_monitor": beat(caught_up_ns=CLOSE_NS)}, NOW_NS, 0)
    assert step == pace.Step(0.0, CLOSE_NS, "")


@given(
    market_s=st.integers(0, 24_000),
    behind_s=st.integers(0, 500),
    ready=st.booleans(),
    busy=st.booleans(),
    age_ns=st.integers(0, SECOND_NS),
)
def test_no_step_leaves_its_stretch_or_runs_from_the_slowest_service(
    market_s: int, behind_s: int, ready: bool, busy: bool, age_ns: int
) -> None:
    plan = pace.stretches(SESSIONS, 15.0, ENTRY_NS)
    market_ns = OPEN_NS + market_s * SECOND_NS
    slowest_ns = market_ns - behind_s * SECOND_NS
    beats = {
        "risk_monitor": beat(
            host_ns=NOW_NS - age_ns, ready=ready, busy=busy, caught_up_ns=slowest_ns
        )
    }
    step = pace.step(plan, market_ns, beats, NOW_NS, 0)
    stretch = next(s for s in plan if s.end_ns > market_ns)
    assert market_ns <= step.limit_ns <= stretch.end_ns
    assert step.limit_ns - slowest_ns <= max(market_ns - slowest_ns, step.speed * pace.LEASH_NS + 1)


def test_sessions_know_weekends_holidays_and_early_closes() -> None:
    sessions = sessions_between(date(2025, 11, 26), date(2025, 12, 1))
    lengths_min = [(s.close_ns - s.open_ns) // MINUTE_NS for s in sessions]
    assert lengths_min == [390, 210, 390]  # Thanksgiving shut, the Friday after closes at 13:00
