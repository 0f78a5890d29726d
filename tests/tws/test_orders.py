"""What TWS says of orders, holdings and prices becomes messages that a journal can hold."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from common import wire
from common.clock import SECOND_NS
from common.core import outbox
from common.core.gateway import limits
from common.messages import Message, Now
from common.settings import Account
from common.tws import orders
from common.tws.connection import ACCOUNTS_HEARD_MAX, known_accounts
from common.tws.messages import AccountRows

ODD = (math.nan, math.inf, 1.7976931348623157e308, -1.0, 0.0, 1e-300, 1e6, 1.1e6, 1e11, 1e13, "")
SMH = SimpleNamespace(symbol="SMH", secType="STK", conId=229725622, currency="USD")
_decode = wire.record_decoder(outbox.EDGE_MESSAGES).decode


def journaled(message: Message) -> Any:
    """The message as it comes back from a journal; ValidationError when it would not."""
    now = Now(market_ns=SECOND_NS, host_ns=SECOND_NS)
    return _decode(wire.encode_any(wire.Record(now, "tws", 0, 0, message, ()))).message


@pytest.mark.parametrize("odd", ODD)
def test_any_number_in_a_holding_makes_a_message_that_a_journal_can_hold(odd: Any) -> None:
    row = orders.holding(SMH, odd, odd, odd, odd, odd, SMH.conId)
    rows = AccountRows(account="DU1", rows=(), holdings=(row,))
    assert journaled(rows) == rows


@pytest.mark.parametrize("odd", ODD)
def test_any_number_in_an_execution_makes_such_a_message_or_none(odd: Any) -> None:
    execution = SimpleNamespace(
        execId="0001.01", orderId=1, clientId=1, permId=1, orderRef="", acctNumber="DU1",
        side="BOT", shares=odd, price=odd, time=datetime(2026, 3, 3, tzinfo=UTC), liquidation=0,
    )  # fmt: skip
    report = orders.execution_report(SMH, execution, SMH.conId)
    assert report is None or journaled(report) == report


@pytest.mark.parametrize("odd", ODD)
def test_any_profit_and_loss_makes_such_a_message_or_none(odd: Any) -> None:
    report = orders.pnl_report(odd, odd, odd, odd)
    assert report is None or journaled(report) == report


HUGE = (-1, 0, 2**31 - 1, 2**31, 2**62 + 1, 2**70, -(2**70), "", None)


MARGINS = SimpleNamespace(
    initMarginChange=1.0, initMarginBefore=0.0, initMarginAfter=1.0, maintMarginAfter=1.0,
    equityWithLoanAfter=2.0, commission=1.0, maxCommission=1.0, minCommission=1.0,
)  # fmt: skip


@pytest.mark.parametrize("huge", HUGE)
def test_any_id_makes_a_message_that_a_journal_can_hold(huge: Any) -> None:
    order = SimpleNamespace(
        clientId=huge, permId=huge, orderRef="", account="DU1", action="BUY", totalQuantity=1
    )
    status = orders.status_report(huge, "Filled", 1, 0, 1.0, huge, huge, "")
    opened = orders.open_order(huge, SMH, order, SimpleNamespace(status="Filled"), SMH.conId)
    assert (journaled(status), journaled(opened)) == (status, opened)
    reply = orders.what_if_reply(huge, MARGINS)
    assert reply is not None
    assert journaled(reply) == reply


def test_an_id_beyond_all_counting_is_none_so_that_our_next_stays_within_tws_bits() -> None:
    assert [orders.whole_id(number) for number in (7, 10**9, 10**9 + 1, 2**31 - 1, 2**64)] == [
        7, 10**9, 0, 0, 0
    ]  # fmt: skip


@pytest.mark.parametrize("year", [1, 1970, 9999])
def test_an_execution_of_an_impossible_time_is_still_an_execution(year: int) -> None:
    execution = SimpleNamespace(
        execId="0001.01", orderId=1, clientId=1, permId=1, orderRef="", acctNumber="DU1",
        side="BOT", shares=1, price=400.0, time=datetime(year, 1, 2, tzinfo=UTC), liquidation=0,
    )  # fmt: skip
    report = orders.execution_report(SMH, execution, SMH.conId)
    assert report is not None
    assert journaled(report) == report


@pytest.mark.parametrize(
    ("told", "shares", "part"),
    [
        (7355.4, 7355, 0.4), (0.4, 0, 0.4), (-0.4, -1, 0.0), (-7355.4, -7356, 0.0),
        (100.4 - 100, 0, 0.4), (0.1 + 0.2 + 0.7, 1, 0.0), (7356 - 1e-9, 7356, 0.0), (0, 0, 0.0),
    ],
)  # fmt: skip
def test_part_of_a_share_held_counts_as_none_and_of_a_short_one_as_a_whole(
    told: float, shares: int, part: float
) -> None:
    report = orders.position_report("DU1", SMH, told, 400.0, SMH.conId)
    assert (report.shares, report.part) == (shares, part)
    assert orders.holding(SMH, told, 400.0, 400.0, 0.0, 0.0, SMH.conId).shares == shares
    assert journaled(report) == report


def test_part_of_a_share_changes_no_price_that_follows_from_the_profit_and_loss() -> None:
    report = orders.pnl_report(2.4, 0.0, 0.0, 2.4 * 400.0)
    assert report is not None
    assert report.value_usd / report.shares == pytest.approx(400.0)


def test_an_execution_of_part_of_a_share_is_none_and_a_foreign_order_of_it_is_one() -> None:
    execution = SimpleNamespace(
        execId="0001.01", orderId=0, clientId=0, permId=1, orderRef="", acctNumber="DU1",
        side="SLD", shares=0.4, price=400.0, time=datetime(2026, 3, 3, tzinfo=UTC), liquidation=0,
    )  # fmt: skip
    assert orders.execution_report(SMH, execution, SMH.conId) is None
    order = SimpleNamespace(
        clientId=0, permId=1, orderRef="", account="DU1", action="SELL", totalQuantity=0.4
    )
    state = SimpleNamespace(status="Submitted")
    assert orders.open_order(0, SMH, order, state, SMH.conId).shares == 1


def test_a_price_above_a_million_is_none() -> None:
    assert [orders.price(value) for value in (1e6, 1e6 + 1, 0, -1, math.nan)] == [
        1e6, None, None, None, None
    ]  # fmt: skip


def test_of_very_many_accounts_the_named_one_is_known() -> None:
    listed = [f"U{number:07d}" for number in range(1000)]
    known = known_accounts(listed, "U0000999")
    assert len(known) == ACCOUNTS_HEARD_MAX
    assert limits.account_refusal(Account(mode="live", id="U0000999"), known) == (
        "U0000999", "", False
    )  # fmt: skip


def test_very_many_accounts_and_none_named_still_make_one_short_line() -> None:
    listed = known_accounts([f"DU{number:07d}" for number in range(1000)], "")
    _, refusal, _ = limits.account_refusal(Account(), listed)
    assert "set account.id" in refusal
    assert len(refusal) < 500


def test_another_listing_by_the_same_symbol_is_never_ours() -> None:
    london = SimpleNamespace(**{**vars(SMH), "conId": SMH.conId + 1, "currency": "USD"})
    assert orders.symbol_of(SMH, SMH.conId) == "SMH"
    assert orders.symbol_of(london, SMH.conId) != "SMH"
    assert orders.position_report("DU1", london, 100.0, 40.0, SMH.conId).symbol != "SMH"
    assert orders.holding(london, 100.0, 40.0, 40.0, 0.0, 0.0, SMH.conId).symbol != "SMH"
    assert orders.symbol_of(SMH, 0) != "SMH", "before our contract is known nothing is ours"


@pytest.mark.parametrize(("currency", "profit_usd"), [("USD", 250.0), ("JPY", 0.0)])
def test_a_holdings_profit_is_what_it_gained_and_what_was_realized_where_it_is_told_in_usd(
    currency: str, profit_usd: float
) -> None:
    other = SimpleNamespace(symbol="XYZ", secType="STK", conId=7, currency=currency)
    row = orders.holding(other, 10.0, 55.0, 40.0, 150.0, 100.0, SMH.conId)
    assert row.profit_usd == profit_usd
