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


OLD_USD, NEW_USD = 400.0, 401.0


class Told:
    """An edge on which the account was told once; it holds so many shares."""

    def __init__(self, shares: float) -> None:
        self.heard: list[Message] = []
        self.edge = GatewayEdge(Settings(), WallClock(), self.heard.append)
        self.edge._at.account, self.edge._at.con_id = "DU1", SMH.conId
        self.shares = shares
        self.equity(1_000_000.0)
        self.holding(OLD_USD)
        self.edge._on_accountDownloadEnd("DU1")

    def equity(self, usd: float) -> None:
        self.edge._on_updateAccountValue("NetLiquidation", f"{usd:.2f}", "USD", "DU1")

    def holding(self, usd: float) -> None:
        self.edge._on_updatePortfolio(
            SMH, self.shares, usd, self.shares * usd, 400.0, 0.0, 0.0, "DU1"
        )

    def stamp(self) -> None:
        self.edge._on_updateAccountTime("10:03")

    async def accounts(self) -> list[tuple[str, float | None]]:
        """Equity and mark of each account since the first."""
        await asyncio.sleep(0)
        said = [message for message in self.heard if isinstance(message, AccountRows)][1:]
        return [(account.rows[0][1], account.holdings[0].mark_usd) for account in said]


def test_a_new_equity_is_told_with_the_new_price_of_what_is_held_in_any_order() -> None:
    """With the old price it would look like money put in or taken out."""

    async def story() -> None:
        told = Told(7500)
        told.equity(1_007_500.0)
        told.stamp()
        assert await told.accounts() == []
        told.holding(NEW_USD)
        told.stamp()
        assert await told.accounts() == [("1007500.00", NEW_USD)]

    asyncio.run(story())


def test_without_shares_the_equity_alone_makes_an_account() -> None:
    async def story() -> None:
        told = Told(0)
        told.equity(1_000_010.0)
        told.stamp()
        assert await told.accounts() == [("1000010.00", OLD_USD)]

    asyncio.run(story())


def test_a_clock_row_before_the_holdings_makes_no_account_without_them() -> None:
    assert asyncio.run(_shares_told()) == [7500, 7500]


async def _shares_told() -> list[int]:
    """The holdings of each account said while TWS tells one, ends it, and refreshes it."""
    heard: list[Message] = []
    edge = GatewayEdge(Settings(), WallClock(), heard.append)
    edge._at.account, edge._at.con_id = "DU1", SMH.conId
    edge._on_updateAccountValue("NetLiquidation", "1000000.00", "USD", "DU1")
    edge._on_updateAccountTime("09:29")
    edge._on_updatePortfolio(SMH, 7500.0, 400.0, 3e6, 400.0, 0.0, 0.0, "DU1")
    edge._on_updateAccountTime("09:29")
    await asyncio.sleep(0)
    edge._on_accountDownloadEnd("DU1")
    await asyncio.sleep(0)
    edge._on_updateAccountValue("NetLiquidation", "1000001.00", "USD", "DU1")
    edge._on_updatePortfolio(SMH, 7500.0, 401.0, 3e6, 400.0, 0.0, 0.0, "DU1")
    edge._on_updateAccountTime("09:32")
    await asyncio.sleep(0)
    edge._on_link(LinkDown("the connection was closed", listening=False))
    edge._at.account = "DU1"
    edge._on_updateAccountValue("NetLiquidation", "1000002.00", "USD", "DU1")
    edge._on_updateAccountTime("09:35")
    await asyncio.sleep(0)
    accounts = [message for message in heard if isinstance(message, AccountRows)]
    return [sum(row.shares for row in account.holdings) for account in accounts]
