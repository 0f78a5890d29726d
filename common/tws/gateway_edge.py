"""The gateway's hands: carries out effects on one TWS connection, repeats what TWS says.

It decides nothing. The library's own books of orders are not used: they call a live order
cancelled on many harmless codes, and its placeOrder raises after it has sent. So the callbacks of
its wrapper are replaced one by one, and orders go to the client beneath it. Everything is heard in
order, outside the library's decoder, which would swallow an exception.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ib_insync import ExecutionFilter

from common.clock import SECOND_NS, Clock, host_ns
from common.messages import DataKind, Message
from common.settings import Settings
from common.tws import messages as tws
from common.tws import orders
from common.tws.books import COMPLETED, EXECUTIONS, OPEN, POSITIONS, Books
from common.tws.connection import TwsConnection
from common.tws.link_messages import LinkDown

log = logging.getLogger(__name__)

BID, ASK, LAST = 1, 2, 4
DELAYED_TICKS = {66: BID, 67: ASK, 68: LAST}
DELAYED_IF_NO_LIVE = 3
EXECUTION_DATA = 11  # TWS's message
NEVER_ENDED = {
    COMPLETED: "a read-only API never does: untick Read-Only API in TWS's API settings",
    EXECUTIONS: "some builds of TWS never do (as 10.30): install the newest stable one",
}
"""Why TWS may leave one part of its books unfinished for ever."""


@dataclass(slots=True)
class _Connection:
    """What belongs to one connection and is forgotten with it."""

    account: str = ""
    con_id: int = 0
    held: int = 0
    books: Books | None = None
    ends_owed: frozenset[str] = frozenset()
    """Of the books given up last."""
    price_request: int = 0
    prices: dict[int, float] = field(default_factory=dict)
    price_kind: DataKind = "none"
    price_said_ns: int = 0
    pnl_request: int = 0
    rows: dict[tuple[str, str], str] = field(default_factory=dict)
    holdings: dict[int, tws.Holding] = field(default_factory=dict)
    equity_told: bool = False
    holding_told: bool = False
    """Since the account was said last; see `GatewayEdge._on_updateAccountTime`."""
    downloaded: bool = False
    """TWS has told the whole account once; before that its holdings may still lack."""


class GatewayEdge:
    """See `common.service.Edge`."""

    def __init__(self, settings: Settings, clock: Clock, hear: Callable[[Message], None]) -> None:
        self._settings = settings
        self._clock = clock
        self._hear = hear
        self._said: deque[Message] = deque()
        self._connection = TwsConnection(
            settings, clock, settings.broker.orders_client_id, self._on_link, self._prepare,
            asks_the_time=True,
        )  # fmt: skip
        self._running: asyncio.Task[None] | None = None
        self._subscribing: asyncio.Task[None] | None = None
        self._effects: dict[type[Message], Callable[[Any], None]] = {
            tws.Subscribe: self._subscribe,
            tws.AskAccount: self._ask_account,
            tws.TakeSnapshot: self._take_snapshot,
            tws.SendOrder: self._send_order,
            tws.SendCancel: self._send_cancel,
            tws.AskPreview: self._ask_preview,
            tws.ReserveIds: self._reserve_ids,
        }
        self._at = _Connection()
        self._instrument: tws.ContractKnown | None = None
        """As it was identified last, over whatever connection."""

    async def start(self) -> None:
        self._running = asyncio.ensure_future(self._connection.run())

    def perform(self, effect: Message) -> None:
        self._effects[type(effect)](effect)

    async def stop(self) -> None:
        """Closes the socket; orders and positions stay as they are."""
        for task in (self._subscribing, self._running):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})

    # --- effects -------------------------------------------------------------------------------

    def _send_order(self, effect: tws.SendOrder) -> None:
        deadline_ns = effect.order.deadline_ns
        if deadline_ns and self._clock.now_ns() > deadline_ns:
            self._say(tws.NotSent(effect.order_id, "past its deadline at the last moment"))
            return
        order = orders.ib_order(effect.order, effect.account, effect.order_ref, effect.oca_group)
        self._place(effect.order_id, order)

    def _ask_preview(self, effect: tws.AskPreview) -> None:
        self._place(effect.order_id, orders.ib_what_if(effect.shares, effect.account))

    def _place(self, order_id: int, order: Any) -> None:
        """Writes to the socket now, or proves by NotSent that nothing was written."""
        if not self._at.con_id:
            self._say(tws.NotSent(order_id, "the instrument is not identified"))
        elif not self._connection.order_room:
            self._say(tws.NotSent(order_id, "no room for a message to TWS at this moment"))
        else:
            contract = orders.known_contract(self._at.con_id, self._settings.strategy)
            self._ib.client.placeOrder(order_id, contract, order)

    def _send_cancel(self, effect: tws.SendCancel) -> None:
        if self._connection.connected:
            self._ib.client.cancelOrder(effect.order_id)

    def _reserve_ids(self, _effect: tws.ReserveIds) -> None:
        if self._connection.connected:
            self._ib.client.reqIds(1)

    def _take_snapshot(self, effect: tws.TakeSnapshot) -> None:
        if not self._connection.connected:
            self._say(tws.SnapshotFailed(effect.number, "no connection"))
            return
        books = Books(effect.number, host_ns(), self._ib.client.getReqId(), self._at.ends_owed)
        self._at.books, self._at.ends_owed = books, frozenset()
        if self._at.con_id:
            self._ask_books(books)
        timeout_s = self._settings.broker.request_timeout_s
        asyncio.get_running_loop().call_later(timeout_s, self._give_up, books)

    def _ask_books(self, books: Books) -> None:
        """Only once our instrument's contract id is known: others may bear its symbol."""
        if books.asked:
            return
        books.asked = True
        client = self._ib.client
        client.reqAllOpenOrders()
        client.reqCompletedOrders(apiOnly=False)
        client.reqPositions()
        client.reqExecutions(books.executions_request, ExecutionFilter(acctCode=self._at.account))

    def _give_up(self, books: Books) -> None:
        if self._at.books is books:
            self._at.books, self._at.ends_owed = None, books.owes
            reason = f"TWS did not finish its answer on: {books.missing}"
            mend = NEVER_ENDED.get(books.missing)
            reason += f"; {mend}" if mend else ""
            self._say(tws.SnapshotFailed(books.number, reason))

    def _subscribe(self, effect: tws.Subscribe) -> None:
        if self._subscribing is not None:
            self._subscribing.cancel()
        self._subscribing = asyncio.ensure_future(self._subscribe_all(effect.account))

    def _ask_account(self, effect: tws.AskAccount) -> None:
        if not self._connection.connected:
            return
        if self._at.downloaded:  # only a new subscription tells what has not changed
            self._ib.client.reqAccountUpdates(subscribe=False, acctCode=effect.account)
        self._ib.client.reqAccountUpdates(subscribe=True, acctCode=effect.account)

    async def _subscribe_all(self, account: str) -> None:
        ib = self._ib
        self._at.account = account
        problem = "" if self._at.con_id else await self._identify(ib)
        if not self._connection.connected:
            return
        if problem or self._instrument is None:
            self._say(tws.ContractProblem(problem))
            return
        self._at.con_id = self._instrument.con_id
        self._say(self._instrument)
        self._ask_account(tws.AskAccount(account))
        if self._at.books is not None:
            self._ask_books(self._at.books)
        self._subscribe_price(ib)
        self._subscribe_pnl(ib)

    async def _identify(self, ib: Any) -> str:
        """Asks which instrument it is; "" once known. No answer leaves the one known before: an
        exit shall not wait for a second proof of the same contract id."""
        strategy = self._settings.strategy
        try:
            details = await asyncio.wait_for(
                ib.reqContractDetailsAsync(orders.wanted_contract(strategy)),
                self._settings.broker.request_timeout_s,
            )
        except (ConnectionError, TimeoutError) as error:
            return "" if self._instrument else f"no answer on {strategy.symbol}: {error!r}"
        found = {detail.contract.conId: detail.contract for detail in details}
        if len(found) == 1:
            con_id, contract = found.popitem()
            self._instrument = tws.ContractKnown(con_id, contract.symbol, contract.primaryExchange)
        elif found or self._instrument is None:
            return contract_problem(strategy.symbol, found.values())
        return ""

    def _subscribe_price(self, ib: Any) -> None:
        if self._at.price_request:
            ib.client.cancelMktData(self._at.price_request)
        self._at.price_request = ib.client.getReqId()
        self._at.prices.clear()  # a new bid makes no mid with an ask of before the silence
        contract = orders.known_contract(self._at.con_id, self._settings.strategy)
        ib.client.reqMarketDataType(DELAYED_IF_NO_LIVE)
        ib.client.reqMktData(
            self._at.price_request, contract, "", snapshot=False, regulatorySnapshot=False,
            mktDataOptions=[],
        )  # fmt: skip

    def _subscribe_pnl(self, ib: Any) -> None:
        if self._at.pnl_request:
            ib.client.cancelPnLSingle(self._at.pnl_request)
        self._at.pnl_request = ib.client.getReqId()
        ib.client.reqPnLSingle(self._at.pnl_request, self._at.account, "", self._at.con_id)

    # --- what TWS says -------------------------------------------------------------------------

    @property
    def _ib(self) -> Any:
        return self._connection.ib

    def _on_link(self, message: Message) -> None:
        if isinstance(message, LinkDown):
            self._forget_connection()
        self._say(message)

    def _forget_connection(self) -> None:
        if self._subscribing is not None:
            self._subscribing.cancel()
        self._at = _Connection()

    def _prepare(self, ib: Any) -> None:
        """Puts our callbacks in the place of the library's, before a connection is made."""
        wrapper = ib.wrapper
        handshake_id = wrapper.nextValidId

        def next_valid_id(order_id: int) -> None:
            handshake_id(order_id)
            if self._connection.connected:
                self._say(tws.NextOrderId(orders.whole_id(order_id)))

        wrapper.nextValidId = next_valid_id
        read = ib.client.decoder.handlers[EXECUTION_DATA]
        ib.client.decoder.handlers[EXECUTION_DATA] = lambda fields: read(
            orders.with_named_zone(fields)
        )
        for name in (
            "openOrder", "openOrderEnd", "orderStatus", "completedOrder", "completedOrdersEnd",
            "execDetails", "execDetailsEnd", "commissionReport", "position", "positionEnd",
            "updateAccountValue", "updatePortfolio", "updateAccountTime", "accountDownloadEnd",
            "pnlSingle", "priceSizeTick", "tickSize",
        ):  # fmt: skip
            setattr(wrapper, name, getattr(self, f"_on_{name}"))

    def _on_openOrder(self, order_id: int, contract: Any, order: Any, state: Any) -> None:  # noqa: N802 (the library's name)
        if order.whatIf:
            reply = orders.what_if_reply(order_id, state)
            if reply is not None:
                self._say(reply)
            return
        report = orders.open_order(order_id, contract, order, state, self._at.con_id)
        if self._at.books is not None:
            self._at.books.open_orders.append(report)
        self._say(report)

    def _on_openOrderEnd(self) -> None:  # noqa: N802 (the library's name)
        self._ended(OPEN)

    def _on_orderStatus(  # noqa: N802 (the library's name)
        self, order_id: int, status: str, filled: float, remaining: float, average: float,
        perm_id: int, _parent_id: int, _last_usd: float, client_id: int, why_held: str,
        _cap_usd: float = 0.0,
    ) -> None:  # fmt: skip
        report = orders.status_report(
            order_id, status, filled, remaining, average, perm_id, client_id, why_held
        )
        if self._at.books is not None:
            self._at.books.statuses.append(report)
        self._say(report)

    def _on_completedOrder(self, contract: Any, order: Any, state: Any) -> None:  # noqa: N802 (the library's name)
        if self._at.books is not None:
            report = orders.completed_order(contract, order, state, self._at.con_id)
            self._at.books.completed.append(report)

    def _on_completedOrdersEnd(self) -> None:  # noqa: N802 (the library's name)
        self._ended(COMPLETED)

    def _on_execDetails(self, request_id: int, contract: Any, execution: Any) -> None:  # noqa: N802 (the library's name)
        report = orders.execution_report(contract, execution, self._at.con_id)
        if report is None:
            log.warning("an execution without a price or a whole share: %s", execution)
        elif self._at.books is not None and request_id == self._at.books.executions_request:
            self._at.books.executions.append(report)
        else:
            self._say(report)

    def _on_execDetailsEnd(self, request_id: int) -> None:  # noqa: N802 (the library's name)
        if self._at.books is not None and request_id == self._at.books.executions_request:
            self._ended(EXECUTIONS)

    def _on_commissionReport(self, report: Any) -> None:  # noqa: N802 (the library's name)
        charged = orders.amount(report.commission)
        if charged is not None:
            self._say(tws.CommissionCharged(orders.word(report.execId), charged))

    def _on_position(self, account: str, contract: Any, shares: float, cost: float) -> None:
        report = orders.position_report(account, contract, shares, cost, self._at.con_id)
        if self._at.books is not None:
            self._at.books.positions[f"{account} {contract.conId}"] = report
        self._say(report)
        if contract.conId == self._at.con_id and self._at.pnl_request:
            if report.shares and not self._at.held:
                self._subscribe_pnl(self._ib)  # TWS says nothing on a position not held yet
            self._at.held = report.shares

    def _on_positionEnd(self) -> None:  # noqa: N802 (the library's name)
        self._ended(POSITIONS)

    def _ended(self, part: str) -> None:
        if self._at.books is None:
            self._at.ends_owed -= {part}
            return
        books = self._at.books
        snapshot = books.ended(part)
        if snapshot is not None:
            self._at.books = None
            too_many = tws.SnapshotFailed(books.number, "TWS told more reports than can be kept")
            self._say(too_many if books.too_many else snapshot)

    def _on_updateAccountValue(self, key: str, value: str, currency: str, account: str) -> None:  # noqa: N802 (the library's name)
        if account in {"", self._at.account} and key.removeprefix("$LEDGER-") in ROWS:
            self._keep(self._at.rows, (key, currency), value)
            self._at.equity_told = self._at.equity_told or key.endswith("NetLiquidation")

    def _on_updatePortfolio(  # noqa: N802 (the library's name)
        self, contract: Any, shares: float, price: float, _value: float, average_cost: float,
        unrealized: float, realized: float, account: str,
    ) -> None:  # fmt: skip
        if account == self._at.account:
            row = orders.holding(
                contract, shares, price, average_cost, unrealized, realized, self._at.con_id
            )
            self._keep(self._at.holdings, contract.conId, row)
            self._at.holding_told = self._at.holding_told or contract.conId == self._at.con_id

    @staticmethod
    def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
        """The newest by key; as many keys as a message holds, an account has far fewer."""
        if key in kept or len(kept) < tws.REPORTS_MAX:
            kept[key] = value

    def _on_updateAccountTime(self, _stamp: str) -> None:  # noqa: N802 (the library's name)
        """Rows may stop here for a moment; a refresh is complete when it brought the equity and,
        of shares that are held, their price: the new one beside the other's old one would look
        like money taken out."""
        at = self._at
        held = at.holdings.get(at.con_id)
        paired = at.holding_told or held is None or not held.shares
        if at.downloaded and at.equity_told and paired:
            self._say_account()

    def _on_accountDownloadEnd(self, account: str) -> None:  # noqa: N802 (the library's name)
        if account == self._at.account:
            self._at.downloaded = True
            self._say_account()

    def _say_account(self) -> None:
        self._at.equity_told = self._at.holding_told = False
        report = tws.AccountRows(
            account=self._at.account,
            rows=tuple(
                (orders.word(key), orders.word(value), orders.word(currency))
                for (key, currency), value in self._at.rows.items()
            ),
            holdings=tuple(self._at.holdings.values()),
        )
        if not self._said or self._said[-1] != report:
            self._say(report)

    def _on_pnlSingle(  # noqa: N802 (the library's name)
        self, request_id: int, shares: float, daily: float, unrealized: float, _realized: float,
        value: float,
    ) -> None:  # fmt: skip
        report = orders.pnl_report(shares, daily, unrealized, value)
        if report is not None and request_id == self._at.pnl_request:
            self._say(report)

    def _on_priceSizeTick(self, request_id: int, kind: int, price: float, _size: float) -> None:  # noqa: N802 (the library's name)
        side = DELAYED_TICKS.get(kind, kind)
        if request_id != self._at.price_request or side not in {BID, ASK, LAST}:
            return
        self._at.prices[side] = orders.price(price) or 0.0
        self._at.price_kind = "delayed" if kind in DELAYED_TICKS else "live"
        now_ns = self._clock.now_ns()
        mark_usd = self._mark_usd(side)
        if mark_usd and not 0 <= now_ns - self._at.price_said_ns < SECOND_NS:
            self._at.price_said_ns = now_ns
            self._say(tws.OwnPrice(mark_usd, self._at.price_kind))

    def _on_tickSize(self, _request_id: int, _kind: int, _size: float) -> None:  # noqa: N802 (the library's name)
        """Sizes alone say nothing that the limits need."""

    def _mark_usd(self, side: int) -> float:
        """The mid, which every tick confirms; a last print is one sample, told by its own tick."""
        bid, ask, last = (self._at.prices.get(side, 0.0) for side in (BID, ASK, LAST))
        widest = self._settings.data.spread_fraction_max
        if 0 < bid <= ask and ask - bid <= widest * ask:
            return (bid + ask) / 2
        return last if side == LAST else 0.0

    # --- hearing -------------------------------------------------------------------------------

    def _say(self, message: Message) -> None:
        """Queues what was heard; it is judged in order, after the library's callback has ended."""
        if not self._said:
            asyncio.get_running_loop().call_soon(self._drain)
        self._said.append(message)

    def _drain(self) -> None:
        try:
            while self._said:
                self._hear(self._said[0])
                self._said.popleft()
        except Exception:
            log.exception("what TWS says can no longer be judged or recorded: stopping")
            raise SystemExit(1) from None  # the one exception that an event loop lets through


ROWS: frozenset[str] = frozenset(
    {
        "AccountReady",
        "AccountType",
        "AccruedDividend",
        "EquityWithLoanValue",
        "ExcessLiquidity",
        "InitMarginReq",
        "MaintMarginReq",
        "NetLiquidation",
        "SMA",
        "TotalCashValue",
        "TradingType-S",
    }
)
"""The account rows that are judged; TWS sends some 150."""


def contract_problem(symbol: str, found: Any) -> str:
    """Why the settings name no single instrument, and which setting mends it."""
    exchanges = sorted({str(contract.primaryExchange) for contract in found})
    if not exchanges:
        return (
            f"TWS knows no stock {symbol} in USD under these settings: check strategy.symbol and "
            "strategy.primary_exchange (SMH has been on NASDAQ, not ARCA, since 2020)"
        )
    listed = ", ".join(exchanges)
    return f"{symbol} is ambiguous: set strategy.primary_exchange to one of {listed}"
