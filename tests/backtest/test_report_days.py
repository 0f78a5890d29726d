"""Where a day's result came from, and how far stops ended beyond their limit, on days by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from services.backtest.compiled_path import run_compiled
from services.backtest.history import History
from services.backtest.options import Options
from services.backtest.report.days import Day, explained
from services.backtest.report.market import market_days
from services.backtest.report.stops import Overshoot, overshoot
from services.backtest.result import Result
from services.backtest.sheet import lay_out
from services.sim_tws.market.session_path import PriceBar
from tests.backtest.market import Prices, history_of, random_history, weekdays
from tests.backtest.test_meaning import CALM, FREE, RISING

ENTERED = (99.0, 99.0, 100.0)
"""The day that is entered at its close: ten shares for each $333."""


def play(days: Sequence[Prices], world: dict[str, Any] | None = None, **rules: Any) -> list[Day]:
    """Nine rising days and `days`: in at the first one's close with three times the equity."""
    return explained(*_run([*RISING[:9], *days], world, rules))


def stopped(days: Sequence[Prices], world: dict[str, Any] | None = None, **rules: Any) -> Overshoot:
    result, market = _run([*RISING[:9], *days], world, rules)
    return overshoot(result, market)


def _run(rows: list[Prices], world: dict[str, Any] | None, rules: dict[str, Any]) -> Any:
    history = history_of(rows, **(world or {}))
    options = Options(**(FREE | {"first": weekdays(10)[9]} | rules))
    return _of(history, options)


def _of(history: History, options: Options) -> tuple[Result, Any]:
    result = run_compiled(history, options)
    return result, market_days(lay_out(history, options), result)


def parts(day: Day) -> list[float]:
    return [day.gap_pct, day.session_pct, day.entry_pct, day.paid_pct]


def test_a_gap_with_a_position_held_overnight_is_the_cause() -> None:
    _, day = play([ENTERED, (92.0, 91.9, 92.0)], baseline="off")

    assert day.cause == "overnight gap"
    assert day.gap_pct == pytest.approx(-24.0)  # 30 shares, $8 each, of $1000
    assert [day.smh_gap_pct, day.session_pct] == pytest.approx([-8.0, 0.0])
    assert day.story == "SMH opened −8.0 % with 3.00x held overnight; held through the day"


def test_a_stop_within_the_session_is_the_cause() -> None:
    _, day = play([ENTERED, (100.0, 95.0, 96.0)], reentry=False)

    assert day.cause == "stop"
    assert [day.return_pct, day.session_pct] == pytest.approx([-2.0, -2.0])
    assert "stopped at 99.33" in day.story


def test_a_reentry_that_is_stopped_as_well_is_the_cause_when_it_took_more() -> None:
    bar_s = 300
    down = tuple(
        PriceBar(at * bar_s, bar_s, price, price, low, price, 1.0)
        for at, (price, low) in enumerate(
            [(100.0, 99.0)] * 77 + [(98.0, 90.0)]  # the last bar begins with the entry
        )
    )
    _, day = play(
        [ENTERED, (100.0, 90.0, 90.0)],
        {"intraday": {10: down}},
        bars="5min",
    )

    stops = [trade.reason for trade in day.ended]
    assert stops == ["stop", "stop"]
    assert day.begun[0].entry_day == day.day
    assert "re-entered at 98.00" in day.story
    assert day.entry_pct == pytest.approx(-2.0, abs=0.05)
    assert day.return_pct == pytest.approx(day.session_pct + day.entry_pct)


def test_the_first_day_counts_from_the_start_equity_with_no_night_before_it() -> None:
    first, _ = play([ENTERED, (100.0, 100.0, 101.0)], baseline="off", slippage_bp=100.0)

    assert first.return_pct == pytest.approx(-3.0, abs=0.1)
    assert (first.smh_gap_pct, first.leverage, first.gap_pct) == (0.0, 0.0, 0.0)
    assert first.cause == "after the entry"


def test_a_bear_exit_after_a_fall_overnight_says_so() -> None:
    days = play([ENTERED, (100.0, 99.5, 80.0), (79.0, 78.0, 79.0)], baseline="off")

    assert "bear signal, sold at 79.00" in days[-1].story


def test_a_liquidation_by_the_broker_is_the_cause_whatever_took_more() -> None:
    days = play([ENTERED, (80.0, 60.0, 61.0)], baseline="off", margin="pm:0.30")

    assert days[1].cause == "liquidation"
    assert "liquidated by the broker" in days[1].story


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_parts_add_up_to_the_day_and_what_was_paid_to_interest_and_commission(
    seed: int,
) -> None:
    options = Options(ema_fast=3, ema_slow=8, history_slow_multiple=1, bars="5min")
    result, market = _of(random_history(seed, 200, bars=78), options)

    days = explained(result, market)
    befores = [options.start_equity_usd, *result.equity_usd[:-1]]
    paid = sum(day.paid_pct / 100.0 * before for day, before in zip(days, befores, strict=True))

    assert [sum(parts(day)) for day in days] == pytest.approx([day.return_pct for day in days])
    assert -paid == pytest.approx(result.interest_usd + result.commission_usd, rel=1e-6)


# --- stops beyond their limit ------------------------------------------------------------------


def test_a_stop_after_a_gap_ended_beyond_the_limit_by_the_gap() -> None:
    (stop,) = stopped([ENTERED, (95.0, 90.0, 95.0)], reentry=False).stops

    assert stop.day == weekdays(11)[10]
    assert stop.gap_pct == pytest.approx(-15.0)  # 30 shares, $5 each, of $1000
    assert stop.loss_pct == pytest.approx(15.0 + 2.0 * 0.85)
    assert stop.beyond_pct == pytest.approx(stop.loss_pct - 2.0)
    assert stop.below_level_pct == pytest.approx(0.0)


def test_a_stop_at_its_level_without_a_gap_ended_at_the_limit() -> None:
    (stop,) = stopped([ENTERED, (100.0, 90.0, 95.0)], reentry=False).stops

    assert stop.beyond_pct == pytest.approx(0.0, abs=1e-9)


def test_a_gap_below_the_level_shows_at_the_fill() -> None:
    (stop,) = stopped([ENTERED, (97.0, 96.0, 97.0)], baseline="previous_close", reentry=False).stops

    assert stop.level_usd == pytest.approx(100.0 - 20.0 / 30.0)
    assert stop.fill_usd == 97.0
    assert stop.below_level_pct == pytest.approx(7.0)
    assert stop.beyond_pct == pytest.approx(7.0)


def test_a_rise_before_the_stop_is_a_negative_distance() -> None:
    found = stopped([ENTERED, (105.0, 90.0, 100.0)], reentry=False)

    assert found.stops[0].beyond_pct < -10.0
    assert found.share_beyond_pct(0.0) == 0.0


def test_slippage_is_part_of_the_distance() -> None:
    (stop,) = stopped([ENTERED, CALM, (100.0, 90.0, 95.0)], reentry=False, slippage_bp=50.0).stops

    assert stop.below_level_pct == pytest.approx(stop.loss_pct - 2.0, abs=0.05)
    assert stop.below_level_pct > 1.0


def test_the_worst_come_first() -> None:
    days = [ENTERED, (99.0, 90.0, 100.0), (95.0, 90.0, 100.0), (98.0, 90.0, 100.0)]

    worst = stopped(days).worst(2)

    assert [stop.day for stop in worst] == [weekdays(12)[11], weekdays(13)[12]]
