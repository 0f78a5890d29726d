"""When TWS's account rows make one account: only once all of them have come."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from common.clock import WallClock
from common.messages import Message
from common.settings import Settings
from common.tws.gateway_edge import GatewayEdge
from common.tws.link_messages import LinkDown
from common.tws.messages import AccountRows

SMH = SimpleNamespace(symbol="SMH", secType="STK", conId=1, currency="USD")


def test_a_clock_row_before_the_holdings_makes_no_account_without_them() -> None:
    assert asyncio.run(_shares_told()) == [7500, 7500]


async def _shares_told() -> list[int]:
    """The holdings of each account said while TWS tells one, ends it, and refreshes it."""
    heard: list[Message] = []
    edge = GatewayEdge(Settings(), WallClock(), heard.append)
    edge._at.account = "DU1"
    edge._on_updateAccountValue("NetLiquidation", "1000000.00", "USD", "DU1")
    edge._on_updateAccountTime("09:29")
    edge._on_updatePortfolio(SMH, 7500.0, 400.0, 3e6, 400.0, 0.0, 0.0, "DU1")
    edge._on_updateAccountTime("09:29")
    await asyncio.sleep(0)
    edge._on_accountDownloadEnd("DU1")
    await asyncio.sleep(0)
    edge._on_updateAccountValue("NetLiquidation", "1000001.00", "USD", "DU1")
    edge._on_updateAccountTime("09:32")
    await asyncio.sleep(0)
    edge._on_link(LinkDown("the connection was closed", listening=False))
    edge._at.account = "DU1"
    edge._on_updateAccountValue("NetLiquidation", "1000002.00", "USD", "DU1")
    edge._on_updateAccountTime("09:35")
    await asyncio.sleep(0)
    accounts = [message for message in heard if isinstance(message, AccountRows)]
    return [sum(row.shares for row in account.holdings) for account in accounts]
