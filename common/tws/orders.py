"""Our words to IB's words and back: orders, contracts, and every report about them.

TWS leaves out what it does not know in three ways: an empty string, 1.8e308, or 2147483647. None
of them gets past this file. Sizes are whole shares. Part of a share cannot be sold over the API, so
of what is held or traded it does not count; of a short position, and of an order of somebody else,
it counts as a whole one, so that neither ever looks like nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from ib_insync import Contract, Stock
from ib_insync import Order as IbOrder

from common.messages import WORD_MAX, Action, Order
from common.settings import Strategy
from common.tws.link_messages import ORDER_ID_MAX
from common.tws.messages import (
    CompletedOrder,
    ExecutionReport,
    Holding,
    OpenOrder,
    PnlReport,
    PositionReport,
    StatusReport,
    WhatIfReply,
)

IbContract: Any = Contract
IbStock: Any = Stock
UNSET_INT = 2147483647
AMOUNT_MAX = 1e12
PRICE_MAX = 1e6
SHARES_MAX = 10_000_000
PART_MIN = 1e-6
"""Of a share; less is the noise of a binary fraction."""
PERM_ID_MAX = 1 << 62
INSTANT_NS_MAX = 1 << 62


def wanted_contract(strategy: Strategy) -> Any:
    """The instrument as the settings name it, for the contract details to complete."""
    return IbStock(
        symbol=strategy.symbol,
        exchange=strategy.exchange,
        currency="USD",
        primaryExchange=strategy.primary_exchange,
    )


def known_contract(con_id: int, strategy: Strategy) -> Any:
    """The instrument by TWS's own number, routed as the settings say."""
    return IbContract(
        conId=con_id,
        symbol=strategy.symbol,
        secType="STK",
        exchange=strategy.exchange,
        currency="USD",
    )


CANCEL_WITH_BLOCK = 1
"""OCA type: a fill of one member cancels the rest, and only one at a time is at an exchange."""
DOUBLE_BID_ASK = 1
"""Trigger method: the bid must be at the level in two quotes running. One wild print triggers Last,
one wild quote Bid/Ask and Midpoint."""


def ib_order(order: Order, account: str, order_ref: str, oca_group: str = "") -> IbOrder:
    """An order whose time in force, account and reference always stand on it."""
    placed = IbOrder(
        action=order.action,
        totalQuantity=order.shares,
        orderType=order.order_type,
        tif="DAY",
        account=account,
        orderRef=order_ref,
        outsideRth=order.outside_rth,
    )
    if order.limit_usd is not None:
        placed.lmtPrice = round(order.limit_usd, 2)
    if order.stop_usd is not None:
        placed.auxPrice = round(order.stop_usd, 2)
        placed.triggerMethod = DOUBLE_BID_ASK
    if oca_group:
        placed.ocaGroup = oca_group
        placed.ocaType = CANCEL_WITH_BLOCK
    return placed


def ib_what_if(shares: int, account: str) -> IbOrder:
    """A market purchase that TWS only reckons through."""
    return IbOrder(
        action="BUY",
        totalQuantity=shares,
        orderType="MKT",
        tif="DAY",
        account=account,
        whatIf=True,
    )


def open_order(order_id: int, contract: Any, order: Any, state: Any, con_id: int) -> OpenOrder:
    return OpenOrder(
        order_id=whole_id(order_id),
        client_id=whole_id(order.clientId),
        perm_id=perm_id(order.permId),
        order_ref=word(order.orderRef),
        account=word(order.account),
        symbol=symbol_of(contract, con_id),
        action=action_of(order.action),
        shares=whole(order.totalQuantity),
        status=word(state.status),
    )


def what_if_reply(order_id: int, state: Any) -> WhatIfReply | None:
    """The margins of a what-if; None for the first answer, which has none yet."""
    if amount(state.initMarginChange) is None:
        return None
    commission = next(
        (
            usd
            for usd in map(amount, (state.commission, state.maxCommission, state.minCommission))
            if usd is not None
        ),
        0.0,
    )
    return WhatIfReply(
        order_id=whole_id(order_id),
        init_before_usd=amount(state.initMarginBefore) or 0.0,
        init_after_usd=amount(state.initMarginAfter) or 0.0,
        maint_after_usd=amount(state.maintMarginAfter) or 0.0,
        equity_with_loan_after_usd=amount(state.equityWithLoanAfter) or 0.0,
        commission_usd=commission,
    )


def status_report(
    order_id: int,
    status: str,
    filled: float,
    remaining: float,
    average: float,
    permanent_id: int,
    client_id: int,
    why_held: str,
) -> StatusReport:
    return StatusReport(
        order_id=whole_id(order_id),
        client_id=whole_id(client_id),
        perm_id=perm_id(permanent_id),
        status=word(status),
        filled=whole(filled),
        remaining=whole(remaining),
        average_usd=amount(average) or 0.0,
        why_held=word(why_held),
    )


def completed_order(contract: Any, order: Any, state: Any, con_id: int) -> CompletedOrder:
    return CompletedOrder(
        perm_id=perm_id(order.permId),
        order_ref=word(order.orderRef),
        account=word(order.account),
        symbol=symbol_of(contract, con_id),
        action=action_of(order.action),
        status=word(state.status),
        filled=whole(order.filledQuantity),
        reason=str(state.completedStatus)[:2000],
    )


def execution_report(contract: Any, execution: Any, con_id: int) -> ExecutionReport | None:
    """None for an execution without a price or a whole share."""
    price_usd, shares = price(execution.price), max(0, held(execution.shares))
    if price_usd is None or not shares:
        return None
    return ExecutionReport(
        exec_id=word(execution.execId),
        order_id=whole_id(execution.orderId),
        client_id=whole_id(execution.clientId),
        perm_id=perm_id(execution.permId),
        order_ref=word(execution.orderRef),
        account=word(execution.acctNumber),
        symbol=symbol_of(contract, con_id),
        action="BUY" if execution.side == "BOT" else "SELL",
        shares=shares,
        price_usd=price_usd,
        executed_ns=max(0, min(INSTANT_NS_MAX, int(execution.time.timestamp()) * 1_000_000_000)),
        liquidation=bool(execution.liquidation),
    )


EXECUTION_TIME = 15
"""Where the time stands in the fields of an execution, in every version that is spoken."""
_UTC_TIME = re.compile(r"(\d{8})-(\d\d:\d\d:\d\d)")


def with_named_zone(fields: Sequence[str]) -> list[str]:
    """An execution's fields as the library reads them right: `20260413-19:27:04` is UTC, which it
    would take for this machine's zone. TWS sends that form where it is set to UTC."""
    named = list(fields)
    if len(named) > EXECUTION_TIME:
        named[EXECUTION_TIME] = _UTC_TIME.sub(r"\1 \2 UTC", named[EXECUTION_TIME])
    return named


def position_report(
    account: str, contract: Any, shares: float, average_cost: float, con_id: int
) -> PositionReport:
    return PositionReport(
        account=word(account),
        symbol=symbol_of(contract, con_id),
        shares=held(shares),
        average_cost_usd=amount(average_cost) or 0.0,
        part=part(shares),
    )


def holding(
    contract: Any, shares: float, mark: float, average_cost: float, unrealized: float,
    realized: float, con_id: int,
) -> Holding:  # fmt: skip
    """Unrealized and realized profit are added up: a sale only moves it from one to the other."""
    profit = (amount(unrealized) or 0.0) + (amount(realized) or 0.0)
    return Holding(
        symbol=symbol_of(contract, con_id),
        security=word(contract.secType),
        shares=held(shares),
        mark_usd=price(mark),
        profit_usd=amount(profit) or 0.0 if contract.currency == "USD" else 0.0,
        average_cost_usd=amount(average_cost) or 0.0,
    )


def pnl_report(shares: float, daily: float, unrealized: float, value: float) -> PnlReport | None:
    """None until TWS has reckoned. The value is that of the shares that count: the price follows
    from the two."""
    value_usd, unrealized_usd = amount(value), amount(unrealized)
    if value_usd is None or unrealized_usd is None:
        return None
    counted, told = held(shares), amount(shares) or 0.0
    return PnlReport(
        shares=counted,
        value_usd=value_usd * counted / told if counted and part(shares) else value_usd,
        unrealized_usd=unrealized_usd,
        daily_usd=amount(daily),
    )


def symbol_of(contract: Any, con_id: int) -> str:
    """The symbol of our one instrument, `con_id`; anything else gets a name that is never ours.

    Several listings bear the symbol SMH, one in London in USD among them.
    """
    ours = contract.secType == "STK" and contract.conId == con_id
    return word(contract.symbol if ours else f"{contract.symbol} {contract.conId}")


def action_of(action: str) -> Action:
    return "BUY" if action == "BUY" else "SELL"


def amount(value: Any) -> float | None:
    """A finite amount, or None for every way of saying that there is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and abs(number) <= AMOUNT_MAX else None


def price(value: Any) -> float | None:
    """A number that can be a price per share, or None: -1 and 0 are none, nor is a million."""
    number = amount(value)
    return number if number is not None and 0 < number <= PRICE_MAX else None


def whole(value: Any) -> int:
    return min(SHARES_MAX, math.ceil(abs(amount(value) or 0.0) - PART_MIN))


def held(value: Any) -> int:
    """Shares of a position, or traded, toward zero; of a short position away from it."""
    number = amount(value) or 0.0
    return min(SHARES_MAX, math.floor(number + PART_MIN)) if number >= 0 else -whole(value)


def part(value: Any) -> float:
    """What is held beside the whole shares, below one; 0 of a short position."""
    number = max(0.0, amount(value) or 0.0)
    beside = number - math.floor(number + PART_MIN)
    return round(beside, 6) if beside > PART_MIN else 0.0


def whole_id(value: Any) -> int:
    """An order or client id; 0 where it is none."""
    number = int(value or 0)
    return number if abs(number) <= ORDER_ID_MAX else 0


def perm_id(value: Any) -> int:
    """IB's own number of an order; 0 where it has none yet."""
    number = int(value or 0)
    return number if 0 < number <= PERM_ID_MAX and number != UNSET_INT else 0


def word(value: Any) -> str:
    return str(value)[:WORD_MAX]
