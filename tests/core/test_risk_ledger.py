"""The ledger: which executions are in the broker's count already, and whose the shares are."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec
import pytest

from common.clock import SECOND_NS
from common.core.monitor.state import stop_usd
from common.messages import (
    Adopt,
    Alert,
    BaselineSet,
    EntryRefused,
    GoNoGo,
    Message,
    PlaceOrder,
    PreviewMargin,
    Resume,
    StopArmed,
    StopHit,
    SubmitOrder,
)
from common.settings import Settings
from tests.core.risk_play import CASH_USD, CLOSE_USD, TUESDAY, RiskDay, held_day, session, settings
from tests.playbook import instant, of, one

# --- executions that the broker's count holds already ------------------------------------------


def test_an_entry_filled_in_the_second_of_the_first_account_is_held_and_armed() -> None:
    # given: a monitor that begins at 11:00:00.3; TWS says times of executions in whole seconds
    day = RiskDay(settings(entry={"test_entry": True}), at="11:00:00.3")
    asked = of(PreviewMargin, day.quote(CLOSE_USD) + day.tick())
    order = one(PlaceOrder, day.preview(asked[-1]) + day.tick()).order
    # when
    day.fill(order, order.shares, CLOSE_USD, filled_ns=instant(TUESDAY, "11:00:00"))
    # then
    assert day.state.shares == order.shares
    assert one(StopArmed, day.tick()).shares == order.shares
    one(StopHit, day.quote(397.0, 0.3))


@pytest.mark.parametrize("hours", [-6, 5], ids=["read as Berlin's time", "read as New York's"])
def test_a_fill_of_our_order_counts_whatever_its_time_says(hours: int) -> None:
    day = RiskDay(at="10:00")
    day.open_at()
    order = day.entry_order()
    stamped_ns = day.now.market_ns + hours * 3600 * SECOND_NS
    day.fill(order, order.shares, CLOSE_USD, filled_ns=stamped_ns)
    assert one(StopArmed, day.tick()).shares == order.shares
    day.sold(day.stopped_at(397.0), 397.0)
    assert day.state.shares == 0


def believed_day(given: Settings | None = None) -> RiskDay:
    """Somebody else's sale of 100 shares was believed at 11:00:00.6, a moment ago."""
    day = held_day(given=given)
    day.quote(CLOSE_USD)
    day.held, day.cash_usd = day.held - 100, day.cash_usd + 100 * CLOSE_USD
    day.wait_until(instant(TUESDAY, "10:57:00"))
    day.account()
    day.wait_until(instant(TUESDAY, "11:00:00.6"))
    day.account()
    assert day.state.shares == 7400
    return day


def test_a_sale_asked_for_after_a_count_was_believed_counts_in_the_same_second_too() -> None:
    day = believed_day()
    order = day.stopped_at(396.0)
    day.fill(order, 7400, 396.0, filled_ns=instant(TUESDAY, "11:00:00"))
    assert day.state.shares == 0
    assert not of(PlaceOrder, day.update(order, "Filled", 7400) + day.ticks(20))


def test_a_resting_stop_that_sells_in_the_second_of_a_believed_count_counts() -> None:
    # given: a stop that rested before; its sale may be in the count that was believed
    day = held_day(given=settings(stop={"resting": True}))
    stop = day.newest(SubmitOrder).order
    day.update(stop, "PreSubmitted")
    day.quote(CLOSE_USD)
    day.held, day.cash_usd = 7400, day.cash_usd + 100 * CLOSE_USD
    day.account()
    day.wait_until(instant(TUESDAY, "11:00:00.6"))
    day.account()
    assert day.state.shares == 7400
    # when
    day.wait(0.3)
    day.fill(stop, 7400, 396.0, filled_ns=instant(TUESDAY, "11:00:00"))
    # then
    assert day.state.shares == 0


def test_executions_that_come_after_their_count_was_believed_count_once() -> None:
    # given: an exit whose sale of 4,000 was seen in the broker's count alone
    day = held_day()
    order = day.stopped_at(397.0)
    day.update(order, "Submitted", 4000)
    sold_ns = day.now.market_ns
    day.held, day.cash_usd = 3500, day.cash_usd + 4000 * 396.0
    day.account(1.0)
    day.account(30.0)
    assert day.state.shares == 3500
    # when
    day.held, day.cash_usd = 7500, day.cash_usd - 4000 * 396.0
    day.fill(order, 4000, 396.0, filled_ns=sold_ns)
    # then
    assert day.state.shares == 3500


def test_what_the_guard_sold_before_the_first_account_is_not_sold_again() -> None:
    day = RiskDay(at="11:00")
    day.open_at()
    sold_ns = day.now.market_ns - 600 * SECOND_NS
    guard = msgspec.structs.replace(held_day().stopped_at(397.0), intent_id="20260303-EXIT-900")
    day.update(guard, "Filled", 7500)
    day.held = 7500
    day.fill(guard, 7500, 397.0, filled_ns=sold_ns)
    assert day.state.shares == 0
    assert not day.state.halts


# --- money that moves before anything of the new position was compared ---------------------------


@pytest.mark.parametrize(("moved_usd", "allowed_usd"), [(-500_000.0, 10_000.0), (90_000.0, 20_000)])
def test_money_that_moves_between_an_entrys_size_and_its_fill_is_seen(
    moved_usd: float, allowed_usd: float
) -> None:
    # given: an entry sized on $1,000,000
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    day.cash_usd += moved_usd
    # when
    day.fill(order, order.shares, CLOSE_USD, commission_usd=37.5)
    day.account()
    # then: a withdrawal leaves a loss of 2 % of what is left
    assert day.state.flow_usd == pytest.approx(moved_usd)
    baseline_usd = CASH_USD - 37.5
    assert baseline_usd - stop_usd(day.state) == pytest.approx(allowed_usd, rel=1e-3)
    assert "flow" in [alert.code for alert in of(Alert, day.tick())]


def test_what_an_entry_costs_is_no_flow() -> None:
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    day.fill(order, order.shares, CLOSE_USD * 1.002, commission_usd=4_000.0)
    day.account()
    assert day.state.flow_usd == 0.0


def test_money_withdrawn_before_a_held_days_first_account_makes_its_stop_stricter() -> None:
    # given: shares held over night, and a link that comes after the open
    day = held_day()
    day.account()
    day.next_session()
    day.cash_usd -= 500_000.0
    baseline = one(BaselineSet, day.open_at(401.0))
    # when: the first account since yesterday
    day.account(30.0)
    # then
    assert day.state.flow_usd == pytest.approx(-500_000.0)
    loss_usd = baseline.baseline_usd - stop_usd(day.state)
    assert loss_usd == pytest.approx(0.02 * (baseline.baseline_usd - 500_000.0))


def test_a_size_whose_what_if_shows_less_equity_waits_for_the_next_account() -> None:
    day = RiskDay()
    day.open_at()
    day.asked_at("15:54")
    day.cash_usd -= 300_000.0  # the account is not told again yet; the what-if knows
    day.wait_until(instant(TUESDAY, "15:55"))
    asked = of(PreviewMargin, day.quote(CLOSE_USD) + day.tick())
    refused = one(EntryRefused, day.preview(asked[-1]) + day.tick())
    assert "the what-if counts equity with loan $700,0" in refused.reason
    assert not refused.final
    assert not of(PlaceOrder, day.ticks(30))


def test_the_readiness_line_tells_of_money_that_left_since_the_account() -> None:
    day = RiskDay()
    day.open_at()
    day.ready_at("15:49:59")
    day.cash_usd -= 300_000.0
    asked = of(PreviewMargin, day.at("15:50"))
    line = one(GoNoGo, day.preview(asked[-1]) + day.tick())
    assert [check.name for check in line.checks if not check.ok] == ["margin"]


@pytest.mark.parametrize("choice", ["open", "entry"])
def test_money_added_while_shares_are_held_is_shown_once_however_many_nights_pass(
    choice: str,
) -> None:
    day = RiskDay(settings(stop={"baseline": choice}))
    day.open_at()
    day.enter()
    day.cash_usd += 100_000.0
    day.account(60.0)
    today, before = date(2026, 3, 4), TUESDAY
    for _ in range(3):
        day.next_session(session(today, before, today + timedelta(days=1)))
        day.open_at()
        day.account()
        day.tick()
        today, before = today + timedelta(days=1), today
    assert day.state.said_state.uninvested_usd == pytest.approx(100_000.0)


# --- what else the account holds -----------------------------------------------------------------


def large_account() -> RiskDay:
    """$10,000 of it for SMH; $900,000 in other shares."""
    day = RiskDay(settings(account={"capital_usd_max": 10_000.0}), cash_usd=100_000.0, at="09:20")
    day.other_usd, day.other_profit_usd = 900_000.0, 150_000.0
    day.account()
    day.open_at()
    return day


@pytest.mark.parametrize("change_usd", [-45_000.0, 45_000.0])
def test_what_other_holdings_gain_or_lose_keeps_nobody_from_entering(change_usd: float) -> None:
    day = large_account()
    day.other_usd += change_usd
    day.other_profit_usd += change_usd
    order = day.entry_order()
    # and after it, from the entry's own anchor
    day.fill(order, order.shares, CLOSE_USD)
    day.other_usd -= change_usd
    day.other_profit_usd -= change_usd
    day.account()
    assert day.state.flow_usd == 0.0


def test_trades_in_other_holdings_are_no_flow_and_a_withdrawal_paid_by_them_is() -> None:
    day = large_account()
    day.other_usd, day.cash_usd = day.other_usd - 50_000.0, day.cash_usd + 50_000.0
    day.account()
    assert day.state.flow_usd == 0.0
    day.cash_usd -= 50_000.0
    day.account()
    assert day.state.flow_usd == pytest.approx(-50_000.0)


# --- whose the shares are ------------------------------------------------------------------------


def bear_open(day: RiskDay) -> list[Message]:
    """What is said from a BEAR close to the next session's first minutes."""
    said = day.at("16:01") + day.hear(day.bar(390.0, TUESDAY), day.signal("BEAR", TUESDAY))
    said += day.tick()
    day.next_session()
    return said + day.open_at(390.0) + day.ticks(10)


def test_our_position_stays_ours_when_a_part_goes_without_an_execution() -> None:
    # given: our entry, 100 shares of which are transferred
    day = RiskDay()
    day.open_at()
    day.enter()
    day.held, day.cash_usd = day.held - 100, day.cash_usd + 100 * CLOSE_USD
    day.account(1.0)
    day.account(3.0)
    assert "foreign" in day.state.halts
    day.hear(Resume(key="r", deadline_ns=0, by="me"))
    # then: a BEAR close sells the rest
    order = one(PlaceOrder, bear_open(day)).order
    assert (order.shares, order.reason) == (7400, "bear")


@pytest.mark.parametrize(("more", "ours"), [(0, True), (1, False)])
def test_shares_of_an_entry_whose_executions_never_came_are_ours(more: int, ours: bool) -> None:
    day = RiskDay()
    day.open_at()
    order = day.entry_order()
    day.update(order, "Filled", order.shares)
    day.held, day.cash_usd = order.shares + more, day.cash_usd - order.shares * CLOSE_USD
    day.account()
    day.account(30.0)
    assert day.state.shares == order.shares + more
    assert day.state.ours == ours


def test_a_position_bought_by_somebody_while_we_hold_none_is_not_ours() -> None:
    day = RiskDay()
    day.open_at()
    day.held = 50
    day.account()
    day.account(3.0)
    assert (day.state.shares, day.state.ours) == (50, False)


def test_a_bear_close_pages_while_what_is_held_waits_to_be_adopted() -> None:
    day = RiskDay(held=100, cash_usd=CASH_USD - 100 * CLOSE_USD, adopted=False)
    day.open_at()
    said = bear_open(day)
    assert not of(PlaceOrder, said)
    pages = [alert for alert in of(Alert, said) if alert.code == "bear-adopt"]
    assert [(page.level, page.raised) for page in pages] == [("page", True)]
    assert day.state.said_state.pending == "the bear exit waits for trader adopt"
    said = day.hear(Adopt(key="a", deadline_ns=0, by="me")) + day.ticks(5)
    assert one(PlaceOrder, said).order.reason == "bear"
    assert "bear-adopt" not in day.state.alerts


def test_a_liquidation_told_after_its_count_was_believed_is_named_and_counts_once() -> None:
    # given: IB sold a part, which is told to nobody before the next comparison
    day = held_day()
    day.held, day.cash_usd = 5000, day.cash_usd + 2500 * 400.0
    day.account(1.0)
    day.account(3.0)
    assert day.state.shares == 5000
    # when: the comparison brings the execution
    day.fill(None, 2500, 400.0, liquidation=True, filled_ns=day.now.market_ns - 3 * 10**9)
    # then
    assert day.state.shares == 5000
    assert day.state.halts["liquidation"] == "the broker liquidated 2500 shares"
    day.tick()
    assert "halt-liquidation" in {alert.code for alert in day.all(Alert) if alert.raised}


@pytest.mark.parametrize(("stamps_back_s", "left"), [((50, 10, 0), 7494), ((50, 10, 0, 0), 7492)])
def test_what_explains_the_count_that_was_believed_counts_once_in_the_second_of_its_telling_too(
    stamps_back_s: tuple[int, ...], left: int
) -> None:
    # given: IB sells by and by; its newest sale is of the second in which the count was told
    day = held_day()
    day.held = 7494
    day.account(50.0)
    day.account(3.0)
    assert (day.state.shares, day.state.ledger_from_ns) == (7494, day.now.market_ns - 10**9)
    # when: the executions come, in whole seconds, and a sale of after it in the same second
    for back_s in stamps_back_s:
        stamp_ns = day.now.market_ns - back_s * 10**9
        day.fill(None, 2, 400.0, liquidation=True, filled_ns=stamp_ns)
    # then
    assert day.state.shares == left


def test_a_liquidation_in_several_executions_is_told_with_all_its_shares() -> None:
    day = held_day()
    day.fill(None, 2000, 400.0, liquidation=True)
    day.fill(None, 500, 399.9, liquidation=True)
    assert day.state.halts["liquidation"] == "the broker liquidated 2500 shares"
