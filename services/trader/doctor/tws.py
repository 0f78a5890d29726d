"""What TWS itself tells: account, permissions, clock and its checkboxes. No order is sent.

A connection of its own with a spare client id, beside those of a running system; it asks for the
account's summary, because account updates may be taken away from the gateway. Assumed, because
no real TWS could be asked: with "Read-Only API" ticked, completed orders are never answered or are
refused with 321; a PnL that stays away for a held position means its box is not ticked.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from ib_insync import Contract, Index, Stock

from common.clock import Clock
from common.core.gateway.limits import account_refusal, shortened
from common.settings import Settings
from common.tws.codes import INVALID_REQUEST, LINK_LOST, is_read_only, look_up
from common.tws.connection import TwsConnection
from common.tws.link_messages import ClockCompared, LinkDown, LinkMessage, LinkUp, TwsError
from services.trader.doctor.check import Check

SPARE_CLIENT_IDS = range(900, 990)
CLOCK_WAIT_S = 12.0
"""Host seconds for five comparisons, a second apart."""
TICKS_WAIT_S = 6.0
UNTESTABLE = (
    ("precautions", "Presets and 'Bypass Order Precautions for API Orders'"),
    ("auto restart", "Lock and Exit, 'Auto restart'"),
)
"""Boxes that only an order or a night would show."""


def examine(settings: Settings, clock: Clock, ticks_s: float = TICKS_WAIT_S) -> list[Check]:
    """Connects, asks, hangs up; takes up to half a minute of host time.

    `ticks_s`: how long a price, a PnL or the completed orders may stay away, s of host time.
    """
    return asyncio.run(_Visit(settings, clock, ticks_s).checks())


class _Visit:
    """One connection and what came of it."""

    def __init__(self, settings: Settings, clock: Clock, ticks_s: float) -> None:
        self._settings = settings
        self._ticks_s = ticks_s
        self._up: LinkUp | None = None
        self._down = ""
        self._offset_s: float | None = None
        self._errors: list[TwsError] = []
        self._account_rows: dict[str, dict[str, tuple[str, str]]] = {}
        self._rows: dict[str, tuple[str, str]] = {}
        self._con_id = 0
        self._ended: set[str] = set()
        self._contracts: dict[int, list[Any]] = {}
        self._ticks: dict[int, int] = {}
        self._kinds: dict[int, int] = {}
        self._held = 0.0
        self._pnl_heard = False
        client_id = SPARE_CLIENT_IDS[os.getpid() % len(SPARE_CLIENT_IDS)]
        self._connection = TwsConnection(
            settings, clock, client_id, self._hear, self._prepare, asks_the_time=True
        )

    async def checks(self) -> list[Check]:
        """Every row, in the order in which a person would mend them."""
        running = asyncio.ensure_future(self._connection.run())
        try:
            await self._until(lambda: self._up is not None or bool(self._down), self._patience_s)
            if self._up is None:
                return [self._no_handshake()]
            return [check async for check in self._ask(self._up)]
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _ask(self, up: LinkUp) -> Any:
        yield Check(
            name="TWS API",
            verdict="ok",
            found=f"handshake on port {up.port}, server version {up.server_version}; "
            "'Enable ActiveX and Socket Clients' is ticked and this machine is trusted",
        )
        account, refusal, _ = account_refusal(self._settings.account, up.accounts)
        if not account:
            yield Check(name="account", verdict="fail", found=refusal, mend=MEND_ACCOUNT)
            return
        kind = "paper" if account.startswith("D") else "LIVE, real money"
        yield Check(name="account", verdict="ok", found=f"{shortened(account)}, {kind}")
        client = self._connection.ib.client
        summary_id = client.getReqId()
        client.reqAccountSummary(summary_id, "All", "AccountType,NetLiquidation")
        client.reqPositions()
        await self._until(lambda: {"account", "positions"} <= self._ended, self._patience_s)
        client.cancelAccountSummary(summary_id)
        self._rows = self._account_rows.get(account, {})
        yield self._base_currency()
        yield await self._read_only()
        for check in await self._data():
            yield check
        yield await self._pnl(account)
        yield await self._clock_offset()
        yield self._server_link()
        for name, box in UNTESTABLE:
            yield Check(
                name=name,
                verdict="skip",
                found="cannot be tested without an order or a night",
                mend=f"look at it yourself in TWS: {box}",
            )

    # --- what TWS says ---------------------------------------------------------------------------

    def _hear(self, message: LinkMessage) -> None:
        match message:
            case LinkUp():
                self._up = message
            case LinkDown(reason=reason):
                self._down = reason
            case ClockCompared(offset_s=offset_s):
                self._offset_s = offset_s
            case TwsError():
                self._errors.append(message)

    def _prepare(self, ib: Any) -> None:
        wrapper = ib.wrapper

        def account_row(_id: int, account: str, tag: str, value: str, currency: str) -> None:
            self._account_rows.setdefault(account, {})[tag] = (value, currency)

        def position(_account: str, contract: Contract, held: float, _cost: float) -> None:
            if contract.symbol == self._settings.strategy.symbol and contract.secType == "STK":
                self._held += held

        def price(req_id: int, _type: int, value: float, _size: float) -> None:
            if value > 0:
                self._ticks[req_id] = self._ticks.get(req_id, 0) + 1

        def pnl(*_values: float) -> None:
            self._pnl_heard = True

        wrapper.accountSummary = account_row
        wrapper.accountSummaryEnd = lambda _id: self._ended.add("account")
        wrapper.position = position
        wrapper.positionEnd = lambda: self._ended.add("positions")
        wrapper.completedOrdersEnd = lambda: self._ended.add("completed")
        wrapper.contractDetails = lambda req_id, found: self._contracts[req_id].append(found)
        wrapper.contractDetailsEnd = lambda req_id: self._ended.add(f"contract {req_id}")
        wrapper.priceSizeTick = price
        wrapper.tickSize = wrapper.tickString = wrapper.tickGeneric = lambda *_values: None
        wrapper.marketDataType = self._kinds.__setitem__
        wrapper.pnlSingle = pnl

    # --- rows ------------------------------------------------------------------------------------

    def _no_handshake(self) -> Check:
        mend = (
            "look for a dialog in TWS; tick 'Allow connections from localhost only' or add this "
            "machine under 'Trusted IPs'; a Gateway must be logged in"
        )
        found = self._down or "TWS took the connection but never answered"
        return Check(name="TWS API", verdict="fail", found=found, mend=mend)

    def _base_currency(self) -> Check:
        value, currency = self._rows.get("NetLiquidation", ("", ""))
        if not value:
            return Check(
                name="base currency",
                verdict="fail",
                found="no net liquidation value came",
                mend="wait until TWS has loaded the account, then try again",
            )
        if currency != "USD":
            mend = "sizes are computed in USD: change the base currency in Client Portal"
            return Check(name="base currency", verdict="fail", found=currency, mend=mend)
        kind = self._rows.get("AccountType", ("unknown", ""))[0]
        return Check(name="base currency", verdict="ok", found=f"USD (account type {kind})")

    async def _read_only(self) -> Check:
        self._connection.ib.client.reqCompletedOrders(apiOnly=False)
        answered = await self._until(
            lambda: "completed" in self._ended or self._says_read_only(), self._ticks_s
        )
        if answered and not self._says_read_only():
            found = "'Read-Only API' is not ticked"
            return Check(name="orders", verdict="ok", found=found)
        mend = "untick Global Configuration, API, Settings, 'Read-Only API'"
        found = "TWS does not answer for completed orders: the API seems to be read-only"
        return Check(name="orders", verdict="fail", found=found, mend=mend)

    def _says_read_only(self) -> bool:
        return any(
            error.code == INVALID_REQUEST and is_read_only(error.code, error.text)
            for error in self._errors
        )

    async def _data(self) -> list[Check]:
        """The instrument, then SMH and VIX: live, else delayed, else what is missing."""
        strategy = self._settings.strategy
        smh = Stock(
            strategy.symbol, strategy.exchange, "USD", primaryExchange=strategy.primary_exchange
        )
        client = self._connection.ib.client
        req_id = client.getReqId()
        self._contracts[req_id] = []
        client.reqContractDetails(req_id, smh)
        await self._until(
            lambda: f"contract {req_id}" in self._ended or self._error_of(req_id) is not None,
            self._patience_s,
        )
        found = self._contracts[req_id]
        if len(found) != 1:
            listings = ", ".join(details.contract.primaryExchange for details in found) or "none"
            mend = "set strategy.primary_exchange (NASDAQ for SMH)"
            text = f"{strategy.symbol} on {strategy.exchange}: {len(found)} listings ({listings})"
            return [Check(name="instrument", verdict="fail", found=text, mend=mend)]
        self._con_id = found[0].contract.conId
        text = f"{strategy.symbol}, {found[0].contract.primaryExchange}, conId {self._con_id}"
        return [
            Check(name="instrument", verdict="ok", found=text),
            await self._quotes(smh, "SMH data", needed=True),
            await self._quotes(Index("VIX", "CBOE", "USD"), "VIX data", needed=False),
        ]

    async def _quotes(self, contract: Contract, name: str, *, needed: bool) -> Check:
        for number, kind in ((1, "live"), (3, "delayed")):
            req_id = await self._listen(contract, number)
            if self._ticks.get(req_id):
                told = {1: "live", 2: "frozen", 3: "delayed", 4: "delayed, frozen"}
                return self._quoted(name, told.get(self._kinds.get(req_id, number), kind))
        error = self._error_of(req_id)
        found = f"{error.text} ({error.code})" if error else "no price came; is the market closed?"
        mend = (error and look_up(error.code).mend) or "Client Portal: market data subscriptions"
        verdict: Any = "warn" if not needed or error is None else "fail"
        if not needed:
            mend += f"; without a VIX the leverage is {self._settings.leverage.base:g}x"
        return Check(name=name, verdict=verdict, found=found, mend=mend)

    def _quoted(self, name: str, kind: str) -> Check:
        settings = self._settings
        if "delayed" in kind and settings.account.mode == "live" and settings.data.require_live:
            mend = "subscribe to live data, or set data.require_live = false"
            return Check(name=name, verdict="warn", found=kind, mend=mend)
        return Check(name=name, verdict="ok", found=kind)

    async def _listen(self, contract: Contract, kind: int) -> int:
        """Subscribes until a price or a refusal comes; the id under which either is found."""
        client = self._connection.ib.client
        req_id: int = client.getReqId()
        client.reqMarketDataType(kind)
        client.reqMktData(
            req_id, contract, "", snapshot=False, regulatorySnapshot=False, mktDataOptions=[]
        )
        await self._until(
            lambda: bool(self._ticks.get(req_id)) or self._barred(req_id), self._ticks_s
        )
        client.cancelMktData(req_id)
        return req_id

    async def _pnl(self, account: str) -> Check:
        name = "PnL"
        box = "'Prepare portfolio PnL data when downloading positions'"
        if not self._held:
            found = f"{box} can only be tested while {self._settings.strategy.symbol} is held"
            return Check(name=name, verdict="skip", found=found, mend="see that it is ticked")
        client = self._connection.ib.client
        client.reqPnLSingle(client.getReqId(), account, "", self._con_id)
        if await self._until(lambda: self._pnl_heard, self._ticks_s):
            return Check(name=name, verdict="ok", found=f"{box} works")
        mend = f"tick Global Configuration, API, Settings, {box}"
        return Check(name=name, verdict="warn", found="no PnL of the position came", mend=mend)

    async def _clock_offset(self) -> Check:
        await self._until(lambda: self._offset_s is not None, CLOCK_WAIT_S)
        if self._offset_s is None:
            found = "TWS did not tell its time"
            mend = "where the system runs, `trader status` shows its clock; else restart TWS"
            return Check(name="clock", verdict="fail", found=found, mend=mend)
        most_s = self._settings.data.clock_offset_s_max
        found = f"{self._offset_s:+,.1f} s from TWS's (entries stop beyond {most_s:g} s)"
        if abs(self._offset_s) > most_s:
            mend = "set this machine's clock: switch on time synchronisation"
            return Check(name="clock", verdict="fail", found=found, mend=mend)
        return Check(name="clock", verdict="ok", found=found)

    def _server_link(self) -> Check:
        if any(error.code == LINK_LOST for error in self._errors):
            mend = "wait, or check this machine's network; TWS reconnects by itself"
            found = "TWS has lost its connection to IB (1100)"
            return Check(name="IB servers", verdict="fail", found=found, mend=mend)
        broken = [e for e in self._errors if e.ref_id == -1 and look_up(e.code).kind == "data"]
        if broken:
            found = "; ".join(f"{error.text} ({error.code})" for error in broken[:3])
            return Check(name="IB servers", verdict="warn", found=found, mend="wait a minute")
        return Check(name="IB servers", verdict="ok", found="TWS reports no trouble")

    # --- waiting ---------------------------------------------------------------------------------

    @property
    def _patience_s(self) -> float:
        return self._settings.broker.request_timeout_s

    def _error_of(self, req_id: int) -> TwsError | None:
        return next((error for error in self._errors if error.ref_id == req_id), None)

    def _barred(self, req_id: int) -> bool:
        error = self._error_of(req_id)
        return error is not None and look_up(error.code).kind in ("data", "reject")

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Waits for a condition that TWS's words bring about, at most `timeout_s` of host time."""
        end = asyncio.get_running_loop().time() + timeout_s
        while not condition():
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(0.05)
        return True


MEND_ACCOUNT = "log in to the account that settings.toml means, or change account.mode, account.id"
