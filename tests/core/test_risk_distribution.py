"""SMH's own distribution is no loss: counted for the stop where closes and account both tell it."""

from __future__ import annotations

import pytest

from common.clock import SECOND_NS
from common.core.monitor.state import stop_usd
from common.messages import (
    BaselineSet,
    CancelOrder,
    Distribution,
    DistributionCounted,
    Message,
    StopArmed,
    StopHit,
    SubmitOrder,
)
from tests.core.risk_play import CASH_USD, CLOSE_USD, TUESDAY, RiskDay, session, settings
from tests.playbook import instant, of, one

SHARES = 7500
PAID_USD = 4.0  # a share: 1 % of the price, 3 % of the equity, more than the stop allows
EX_USD = CLOSE_USD - PAID_USD
WHOLE_USD = SHARES * PAID_USD
KEPT = ["entry", "previous_close"]


def evening(choice: str, **stop: object) -> RiskDay:
    """7,500 shares bought on Tuesday at its close of $400; Wednesday's session is the next."""
    day = RiskDay(settings(stop={"baseline": choice, **stop}))
    day.open_at()
    day.enter()
    day.wait_until(instant(TUESDAY, "16:01"))
    day.hear(day.bar(CLOSE_USD, TUESDAY))
    day.account()
    for rested in day.all(SubmitOrder):  # a day order
        day.update(rested.order, "Cancelled")
    day.forget()
    day.wait_until(instant(TUESDAY, "20:00:01"))
    day.hours = session(day.hours.next_day, TUESDAY, day.hours.next_day.replace(day=5))
    day.hear(day.hours)
    day.mark_usd = EX_USD
    return day


def closes(day: RiskDay, paid_usd: float = PAID_USD) -> list[Message]:
    """The first evidence: TWS's close of the day before is adjusted."""
    return day.hear(Distribution(day=day.hours.day, distribution_usd=paid_usd))


def accrues(day: RiskDay, usd: float = WHOLE_USD) -> list[Message]:
    """The second evidence, in an account of 08:00 or of now."""
    day.accrued_usd += usd
    day.wait_until(max(day.now.market_ns, instant(day.hours.day, "08:00")))
    return day.account()


def opens(day: RiskDay, price_usd: float = EX_USD) -> list[Message]:
    day.wait_until(day.hours.open_ns - 300 * SECOND_NS)
    day.mark_usd = price_usd
    return day.account() + day.open_at(price_usd) + day.ticks(2) + day.account()


def loss_allowed(day: RiskDay) -> float:
    """How far SMH may fall from the ex-price until the stop fires, in USD of equity."""
    said = day.state.said_armed
    assert said is not None
    assert said.stop_price_usd is not None
    return float((EX_USD - said.stop_price_usd) * SHARES)


# --- both evidences ------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", KEPT)
@pytest.mark.parametrize("closes_first", [True, False])
def test_what_closes_and_account_tell_is_no_loss(choice: str, closes_first: bool) -> None:
    # given / when
    day = evening(choice)
    said = closes(day) + accrues(day) if closes_first else accrues(day) + closes(day)
    # then
    counted = one(DistributionCounted, said)
    assert counted.counted_usd == pytest.approx(WHOLE_USD)
    assert not of(StopHit, opens(day))
    assert day.state.flow_usd == 0.0
    assert loss_allowed(day) == pytest.approx(0.02 * CASH_USD, rel=0.04)
    assert of(StopHit, day.quote(EX_USD - 2.8, 0.2))


@pytest.mark.parametrize("choice", KEPT)
def test_without_it_the_same_open_fires_the_stop(choice: str) -> None:
    day = evening(choice)
    assert of(StopHit, opens(day))


@pytest.mark.parametrize("choice", KEPT)
def test_a_stale_close_alone_loosens_nothing(choice: str) -> None:
    day = evening(choice)
    said = closes(day) + opens(day)
    assert not of(DistributionCounted, said)
    assert of(StopHit, said)


@pytest.mark.parametrize("choice", KEPT)
def test_another_holdings_dividend_alone_loosens_nothing(choice: str) -> None:
    day = evening(choice)
    said = accrues(day) + opens(day)
    assert not of(DistributionCounted, said)
    assert of(StopHit, said)


@pytest.mark.parametrize("choice", KEPT)
@pytest.mark.parametrize(
    ("accrued_usd", "counted_usd"),
    [
        (0.85 * WHOLE_USD, 0.85 * WHOLE_USD),  # tax is withheld
        (WHOLE_USD + 9_000.0, WHOLE_USD),  # another holding pays too
        (500.0, 500.0),  # a stale close beside another holding's dividend
    ],
)
def test_no_more_counts_than_either_tells(
    choice: str, accrued_usd: float, counted_usd: float
) -> None:
    day = evening(choice, loss_fraction=0.1)
    said = closes(day) + accrues(day, accrued_usd)
    assert one(DistributionCounted, said).counted_usd == pytest.approx(counted_usd)
    opens(day)
    assert day.state.said_armed is not None
    allowed_usd = 0.1 * CASH_USD - WHOLE_USD + counted_usd
    assert loss_allowed(day) == pytest.approx(allowed_usd, rel=0.05)


@pytest.mark.parametrize("choice", KEPT)
def test_it_counts_once_whatever_is_said_again(choice: str) -> None:
    day = evening(choice)
    said = closes(day) + accrues(day) + closes(day) + day.account()
    day.restart()
    said += closes(day) + opens(day) + day.account(60.0) + day.ticks(5)
    assert len(of(DistributionCounted, said)) == 1
    assert not of(StopHit, said)


@pytest.mark.parametrize("choice", KEPT)
def test_a_payment_days_later_counts_nothing(choice: str) -> None:
    day = evening(choice)
    closes(day)
    accrues(day)
    opens(day)
    level_usd = stop_usd(day.state)
    day.cash_usd, day.accrued_usd = day.cash_usd + day.accrued_usd, 0.0
    said = day.account(180.0)
    assert not of(DistributionCounted, said)
    assert stop_usd(day.state) == pytest.approx(level_usd)
    assert day.state.flow_usd == 0.0


def test_a_dividend_and_a_withdrawal_of_one_night_are_told_apart() -> None:
    day = evening("entry")
    day.cash_usd -= 50_000.0
    closes(day)
    accrues(day)
    assert not of(StopHit, opens(day))
    assert day.state.flow_usd == pytest.approx(-50_000.0)
    assert stop_usd(day.state) == pytest.approx(CASH_USD - 0.02 * 950_000.0)


def test_the_baseline_of_the_previous_close_says_what_it_is_less() -> None:
    day = evening("previous_close")
    closes(day)
    accrues(day)
    baseline = one(BaselineSet, opens(day))
    assert (baseline.price_usd, baseline.source) == (EX_USD, "previous close")
    assert baseline.labelled == "less the distribution of $4.00"


def test_a_stop_that_is_measured_from_the_open_needs_none_of_it() -> None:
    day = evening("open")
    said = closes(day) + accrues(day) + opens(day)
    assert not of(DistributionCounted, said)
    assert loss_allowed(day) == pytest.approx(0.02 * (CASH_USD - WHOLE_USD), abs=1.0)


# --- which shares --------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", KEPT)
def test_shares_bought_on_the_ex_date_are_paid_nothing(choice: str) -> None:
    day = RiskDay(settings(stop={"baseline": choice}))
    closes(day)
    accrues(day)
    day.open_at()
    day.enter()
    said = closes(day) + day.account(60.0) + day.ticks(3)
    assert not of(DistributionCounted, said)


@pytest.mark.parametrize("choice", KEPT)
def test_shares_sold_before_the_ex_date_are_paid_nothing(choice: str) -> None:
    day = RiskDay(settings(stop={"baseline": choice}))
    day.open_at()
    day.enter()
    day.sold(day.stopped_at(390.0), 390.0)
    day.next_session()
    assert not of(DistributionCounted, closes(day) + accrues(day) + opens(day))


def test_shares_added_since_the_evening_are_paid_nothing() -> None:
    # given: somebody doubles the position before the open
    day = evening("entry", loss_fraction=0.2)
    day.wait_until(instant(day.hours.day, "07:00"))
    day.fill(None, SHARES, EX_USD, action="BUY")
    said = closes(day) + accrues(day, 3 * WHOLE_USD)
    assert one(DistributionCounted, said).counted_usd == pytest.approx(WHOLE_USD)


@pytest.mark.parametrize("choice", KEPT)
def test_on_the_day_of_a_split_nothing_counts(choice: str) -> None:
    day = evening(choice)
    day.held, day.mark_usd = 2 * day.held, EX_USD / 2
    day.wait_until(instant(day.hours.day, "07:00"))
    day.account()
    day.account(5.0)
    assert day.state.shares == 2 * SHARES
    said = closes(day, PAID_USD / 2) + accrues(day)
    assert not of(DistributionCounted, said)


# --- late ----------------------------------------------------------------------------------------


def test_a_dividend_that_accrues_before_the_session_is_known_counts() -> None:
    # given: a system that is started in the morning; the account is told first
    day = RiskDay(settings(stop={"baseline": "entry"}))
    day.open_at()
    day.enter()
    day.wait_until(instant(TUESDAY, "16:01"))
    day.account()
    day.restart()
    day.mark_usd, day.accrued_usd = EX_USD, WHOLE_USD
    day.wait_until(instant(TUESDAY.replace(day=4), "08:00"))
    day.account()
    # when
    day.hours = session(TUESDAY.replace(day=4), TUESDAY, TUESDAY.replace(day=5))
    said = day.hear(day.hours) + closes(day)
    # then
    assert one(DistributionCounted, said).counted_usd == pytest.approx(WHOLE_USD)
    assert not of(StopHit, opens(day))


def test_a_restart_on_that_morning_loses_neither_evidence() -> None:
    day = evening("previous_close")
    closes(day)
    day.restart()
    said = accrues(day)
    day.restart()
    said += opens(day)
    assert len(of(DistributionCounted, said)) == 1
    assert not of(StopHit, said)


def test_a_first_account_of_ever_accrues_nothing() -> None:
    day = RiskDay(settings(stop={"baseline": "previous_close"}), held=SHARES, cash_usd=-2e6)
    day.accrued_usd = WHOLE_USD
    assert not of(DistributionCounted, closes(day) + day.account() + day.open_at(EX_USD))


def late(choice: str) -> RiskDay:
    """A distribution that the stop survives, in an account of after the open."""
    day = evening(choice, loss_fraction=0.05, resting=True, resting_loss_fraction=0.06)
    closes(day)
    opens(day)
    return day


def test_what_accrues_after_the_open_takes_the_baseline_of_the_previous_close_again_once() -> None:
    day = late("previous_close")
    before = one(BaselineSet, day.all(BaselineSet))
    day.forget()
    said = accrues(day, WHOLE_USD / 2) + day.ticks(3) + accrues(day, WHOLE_USD / 2) + day.ticks(3)
    baseline = one(BaselineSet, said)
    assert (before.price_usd, baseline.price_usd) == (CLOSE_USD, CLOSE_USD - PAID_USD / 2)
    assert baseline.labelled == "less the distribution of $2.00"


def test_after_a_trade_the_baseline_of_the_previous_close_stays() -> None:
    day = late("previous_close")
    day.fill(None, 100, EX_USD)
    said = accrues(day) + day.ticks(3)
    assert not of(BaselineSet, said)
    assert not of(DistributionCounted, said)


@pytest.mark.parametrize("choice", KEPT)
def test_once_the_stop_fired_nothing_counts(choice: str) -> None:
    day = evening(choice)
    closes(day)
    assert of(StopHit, opens(day))
    assert not of(DistributionCounted, accrues(day) + day.ticks(3))


@pytest.mark.parametrize("choice", KEPT)
def test_the_guards_level_and_the_resting_stop_follow(choice: str) -> None:
    # given: a stop at the broker, at the level of before
    day = late(choice)
    rested = day.newest(SubmitOrder).order
    day.update(rested, "PreSubmitted")
    armed = day.newest(StopArmed)
    day.forget()
    # when
    said = accrues(day) + day.quote(EX_USD, 1.0) + day.ticks(3)
    # then
    now = day.newest(StopArmed)
    assert armed.stop_price_usd is not None
    assert now.stop_price_usd == pytest.approx(armed.stop_price_usd - PAID_USD, rel=1e-3)
    assert one(CancelOrder, said).intent_id == rested.intent_id
    day.update(rested, "Cancelled")
    day.quote(EX_USD, 1.0)
    placed = one(SubmitOrder, day.ticks(5)).order
    assert placed.stop_usd is not None
    assert rested.stop_usd is not None
    assert placed.stop_usd < rested.stop_usd - PAID_USD / 2
