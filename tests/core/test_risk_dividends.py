"""Dividends and interest: what they explain of net liquidation, and what stays a flow."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from common.core.monitor.state import stop_usd
from common.messages import BaselineSet, StopHit
from common.settings import Settings
from tests.core.risk_play import (
    CASH_USD,
    CLOSE_USD,
    TUESDAY,
    WEDNESDAY,
    RiskDay,
    session,
    settings,
)
from tests.playbook import of

BY_ENTRY = {"baseline": "entry"}
SHARES = 7500
PAID_USD = 2.0  # a share: 0.5 % of the price, 1.5 % of the equity


def entered(given: Settings | None = None) -> RiskDay:
    """7,500 shares bought on Tuesday at $400, the stop measured from that."""
    day = RiskDay(given or settings(stop=BY_ENTRY))
    day.open_at()
    day.enter()
    return day


def morning(day: RiskDay) -> RiskDay:
    """The next session's, before the broker has told anything of the night."""
    first = day.hours.next_day
    day.next_session(session(first, day.hours.day, first + timedelta(days=1)))
    return day


def opened(day: RiskDay, price_usd: float = CLOSE_USD) -> RiskDay:
    """The first account of the session, five minutes before its open, and the open."""
    day.wait_until(day.hours.open_ns - 300 * 10**9)
    day.account()
    day.open_at(price_usd)
    day.account()
    return day


def goes_ex(day: RiskDay, net_fraction: float = 1.0) -> None:
    """The night's dividend of SMH: the price falls by it, and what is kept of it accrues."""
    day.mark_usd -= PAID_USD
    day.accrued_usd += SHARES * PAID_USD * net_fraction


# --- interest ------------------------------------------------------------------------------------


def test_the_interest_of_a_month_is_no_withdrawal_however_long_a_position_is_held() -> None:
    # given: 3x, 5.5 % on $2,000,000 that are owed, under a stop that is measured from the entry
    day = entered()
    level_usd = stop_usd(day.state)
    # when
    for _ in range(30):
        morning(day).cash_usd -= 300.0
        opened(day)
        # then
        assert day.state.flow_usd == 0.0
    assert stop_usd(day.state) == level_usd


def test_a_withdrawal_over_night_is_found_by_the_first_account_of_the_session_and_stays_one() -> (
    None
):
    day = entered()
    morning(day).cash_usd -= 100_000.0
    for _ in range(3):
        opened(day)
        assert day.state.flow_usd == pytest.approx(-100_000.0)
        assert stop_usd(day.state) == pytest.approx(CASH_USD - 0.02 * 900_000.0)
        morning(day)


def test_no_message_of_the_next_session_loosens_a_stop_that_a_withdrawal_made_stricter() -> None:
    day = entered()
    day.cash_usd -= 100_000.0
    day.account(60.0)
    level_usd = stop_usd(day.state)
    morning(day)
    assert stop_usd(day.state) == level_usd


def test_a_withdrawal_of_what_was_deposited_days_before_leaves_no_flow() -> None:
    day = entered()
    day.cash_usd += 100_000.0
    opened(morning(day))
    assert day.state.flow_usd == pytest.approx(100_000.0)
    day.cash_usd -= 100_000.0 + 300.0  # with a day's interest
    opened(morning(day))
    assert day.state.flow_usd == 0.0
    day.cash_usd -= 50_000.0
    day.account(60.0)
    assert day.state.flow_usd == pytest.approx(-50_300.0)


def test_a_restart_in_between_changes_nothing_about_a_withdrawal() -> None:
    day = entered()
    day.restart()
    morning(day).cash_usd -= 100_000.0
    day.restart()
    opened(day)
    day.restart()
    opened(morning(day))
    assert day.state.flow_usd == pytest.approx(-100_000.0)


def test_an_account_of_another_share_count_neither_swallows_a_withdrawal_nor_finds_one() -> None:
    day = entered()
    morning(day).cash_usd -= 100_000.0
    held, day.held = day.held, 0
    day.wait_until(day.hours.open_ns - 300 * 10**9)
    day.account()  # another count: a mismatch, which is waited out
    assert day.state.flow_usd == 0.0
    day.held = held
    opened(day)
    assert day.state.flow_usd == pytest.approx(-100_000.0)


def test_what_the_cap_leaves_unused_is_that_of_the_entry_however_the_account_moves_later() -> None:
    # given: $500,000 of $1,000,000 may be used
    given = settings(stop=BY_ENTRY, account={"capital_usd_max": 500_000.0})
    day = entered(given)
    level_usd = stop_usd(day.state)
    # when: other holdings gain, and the account is compared from there on
    day.other_usd += 40_000.0
    day.other_profit_usd += 40_000.0
    opened(morning(day))
    # then
    assert day.state.flow_usd == 0.0
    assert stop_usd(day.state) == level_usd


# --- dividends -----------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["open", "previous_close", "entry"])
def test_a_dividend_of_smh_is_no_flow_from_its_ex_date_to_its_payment(choice: str) -> None:
    day = entered(settings(stop={"baseline": choice, "loss_fraction": 0.1}))
    day.hear(day.bar(CLOSE_USD, TUESDAY))
    # when: the ex-date
    goes_ex(morning(day))
    opened(day, day.mark_usd)
    assert day.state.flow_usd == 0.0
    day.account(180.0)
    assert day.state.flow_usd == 0.0
    # when: the payment
    day.hear(day.bar(day.mark_usd, WEDNESDAY))
    morning(day).cash_usd += day.accrued_usd
    day.accrued_usd = 0.0
    opened(day, day.mark_usd)
    # then
    assert day.state.flow_usd == 0.0


@pytest.mark.parametrize("choice", ["open", "previous_close", "entry"])
def test_a_dividend_of_another_holding_is_no_flow_in_the_session_either(choice: str) -> None:
    day = entered(settings(stop={"baseline": choice}))
    day.other_usd -= 30_000.0
    day.other_profit_usd -= 30_000.0
    day.accrued_usd += 30_000.0
    day.account(60.0)
    assert day.state.flow_usd == 0.0
    day.accrued_usd, day.cash_usd = 0.0, day.cash_usd + 30_000.0
    day.account(60.0)
    assert day.state.flow_usd == 0.0


def test_what_a_short_holding_owes_of_a_dividend_is_no_withdrawal() -> None:
    day = entered()
    day.other_usd += 30_000.0
    day.other_profit_usd += 30_000.0
    day.accrued_usd -= 30_000.0
    day.account(60.0)
    assert day.state.flow_usd == 0.0
    day.accrued_usd, day.cash_usd = 0.0, day.cash_usd - 30_000.0
    day.account(60.0)
    assert day.state.flow_usd == 0.0


def test_a_withdrawal_in_the_night_of_a_dividend_is_found_whole() -> None:
    day = entered(settings(stop={"baseline": "entry", "loss_fraction": 0.1}))
    goes_ex(morning(day))
    day.cash_usd -= 20_000.0
    opened(day, day.mark_usd)
    assert day.state.flow_usd == pytest.approx(-20_000.0)


def test_a_payment_hides_no_withdrawal() -> None:
    day = entered(settings(stop={"baseline": "entry", "loss_fraction": 0.1}))
    goes_ex(morning(day))
    opened(day, day.mark_usd)
    morning(day).accrued_usd = 0.0  # and its cash left at once
    opened(day, day.mark_usd)
    assert day.state.flow_usd == pytest.approx(-SHARES * PAID_USD)


def test_dividends_that_are_not_told_explain_nothing() -> None:
    day = entered(settings(stop={"baseline": "entry", "loss_fraction": 0.1}))
    day.tells_accrued = False
    goes_ex(morning(day))
    opened(day, day.mark_usd)
    assert day.state.flow_usd == pytest.approx(SHARES * PAID_USD)


def test_a_row_that_is_missing_for_a_moment_accrues_nothing_twice() -> None:
    day = entered(settings(stop={"baseline": "entry", "loss_fraction": 0.1}))
    goes_ex(morning(day))
    opened(day, day.mark_usd)
    for told in (False, True):
        day.tells_accrued = told
        day.account(60.0)
        day.restart()
    assert day.state.flow_usd == 0.0


def test_a_day_of_a_dividend_has_its_baseline_and_its_stop() -> None:
    day = entered(settings())
    goes_ex(morning(day))
    day.forget()
    opened(day, day.mark_usd)
    assert [said.day for said in day.all(BaselineSet)] == [date(2026, 3, 4)]
    assert not day.all(StopHit)
    assert of(StopHit, day.quote(day.mark_usd * 0.993, 0.2))
