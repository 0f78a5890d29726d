"""The ledger: which executions are in the broker's count already, and whose the shares are."""

from __future__ import annotations

import msgspec
import pytest

from common.clock import SECOND_NS
from common.messages import PlaceOrder, PreviewMargin, StopArmed, StopHit, SubmitOrder
from common.settings import Settings
from tests.core.risk_play import CLOSE_USD, TUESDAY, RiskDay, held_day, settings
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
