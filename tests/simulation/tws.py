"""The simulated TWS without its sockets: the same broker, exchange and account, other doors.

What it says is made into the messages that the edges make of real bytes, and told to the witness as
the oracle's facts. Truth is kept as well: what really traded, whoever was told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from common.clock import MINUTE_NS, SECOND_NS
from common.messages import DataKind, Message
from common.tws import messages as tws
from common.tws.link_messages import TwsError
from common.tws.market_messages import ASK, BID, HALTED, LAST, OPEN
from common.tws.orders import held as whole_shares
from common.tws.orders import part as part_of
from common.tws.orders import pnl_report
from services.sim_tws.account import Account
from services.sim_tws.announcer import Announcer
from services.sim_tws.broker import Broker
from services.sim_tws.contracts import SMH
from services.sim_tws.data_desk import DELAY_NS
from services.sim_tws.day_cycle import DayCycle
from services.sim_tws.market import VIX, Tick
from services.sim_tws.market_time import new_york_date
from services.sim_tws.orders import Execution, Order, Ticket
from services.sim_tws.switches import Switches
from services.sim_tws.tape import Tape
from tests.simulation.answers import Answers
from tests.simulation.market import SimMarket
from tests.simulation.permissions import COMPETING, DELAYED_TYPE, Permissions, PnlWays, code
from tests.simulation.pipe import Pipe
from tests.simulation.timeline import Act, Timeline, seconds

ACCOUNT = "DU1234567"
ORDERS_CLIENT, DATA_CLIENT = 1, 2
LINK_LOST, LINK_BACK_LOST, LINK_BACK = 1100, 1101, 1102
REFRESH_NS = 3 * MINUTE_NS
UNSET = 1e300


@dataclass(frozen=True, slots=True)
class Prices:
    """What one TCP chunk brings of a symbol's prices: (tick type, value), in order."""

    symbol: str
    ticks: tuple[tuple[int, float], ...]


class Truth:
    """What really happened at the broker, whoever was told. `broken`: what never may."""

    def __init__(self) -> None:
        self.exec_ids: list[str] = []
        self.liquidated = self.others_traded = False
        self.broken: list[str] = []
        self._bought_by = ""

    def traded(self, fill: Execution, held: float) -> None:
        """`held`: shares after it. No purchase of ours adds to what another one bought."""
        self.exec_ids.append(fill.exec_id)
        self.liquidated = self.liquidated or fill.liquidation
        self.others_traded = self.others_traded or fill.client_id != ORDERS_CLIENT
        if held < 0:
            self.broken.append(f"short by {-held:g} after {fill.exec_id}")
        if fill.side > 0 and fill.order_ref:
            first = held < fill.shares + 1 or self._bought_by in {"", fill.order_ref}
            if not first:
                self.broken.append(f"{fill.order_ref} buys on top of {self._bought_by}")
            self._bought_by = fill.order_ref
        if held < 1:  # part of a share is nobody's
            self._bought_by = ""


class Voice(Announcer):
    """The broker's voice with messages in place of bytes; it tells `truth` as well."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self.truth, self._account = Truth(), account

    def whole_order(self, order: Order) -> None:
        self._tell(order.client_id, open_order(order))

    def status(self, order: Order, status: str = "") -> None:
        self._tell(order.client_id, order_status(order, status))

    def error(self, order: Order, code: int, text: str) -> None:
        self._tell(order.client_id, TwsError(order.order_id, code, text))

    def execution(self, fill: Execution) -> None:
        self.truth.traded(fill, self._account.smh.shares)
        self._tell(fill.client_id, execution(fill))

    def commission(self, fill: Execution) -> None:
        self._tell(fill.client_id, tws.CommissionCharged(fill.exec_id, fill.commission_usd))

    def _tell(self, client_id: int, message: Message) -> None:
        self.tell(client_id, cast("Callable[[int], bytes]", message))


class SimTws:
    """One TWS and IB behind it. `beat` moves it on; the rest are requests and faults."""

    def __init__(
        self, timeline: Timeline, market: SimMarket, chance: Random, account: Account
    ) -> None:
        self.timeline, self.market, self.chance = timeline, market, chance
        self.tape = Tape(market)
        self.switches = Switches()
        voice = Voice(account)
        self.home = self.broker = self._login(account, voice)
        self.truth = voice.truth
        self.cycle = DayCycle(self.broker)
        self.pipes: dict[int, Pipe] = {}
        self.port_open = True
        self.frozen = False
        self.late_s = 0.0
        self.commissions_late_s = self.executions_late_s = 0.0
        self.bad_tick: float | None = None
        self.twice = False
        self.on_dialog: Act | None = None
        self.answers = Answers()
        self.permissions = Permissions()
        self.pnl = PnlWays()
        self.live_told_host_ns = self.pnl_told_host_ns = 0
        """Host time at which the feed was told a live price, and the gateway of what is held."""
        self._count, self._count_before, self._counted_ns = 0.0, 0.0, 0
        self._delayed: set[tuple[int, str]] = set()
        self._accounts_told: dict[int, tws.AccountRows] = {}
        self._positions_told: set[int] = set()
        self._pnl_told: dict[int, int] = {}
        self._prices_told: dict[int, dict[str, tuple[float, ...]]] = {}
        self._position_moved = False
        self._refresh_ns = 0
        self._published_ns = timeline.market_ns
        self._number = 0
        self._halt_told: set[int] = set()

    @property
    def market_ns(self) -> int:
        return self.timeline.market_ns

    @property
    def account_id(self) -> str:
        return self.broker.account.account_id

    def _login(self, account: Account, voice: Voice) -> Broker:
        broker = Broker(self.tape, [account], self.market_ns, self.switches)
        broker.say, voice.outlet = voice, self
        return broker

    def log_in(self, account: Account | None) -> None:
        """As the user of that account, or again of the one from the beginning, whose orders go on
        at IB meanwhile and are told to nobody."""
        self.advance()
        self.home.say.outlet = self if account is None else None
        self.broker = self.home if account is None else self._login(account, Voice(account))

    # --- connections ---------------------------------------------------------------------------

    def connect(self, client_id: int, listener: Any) -> Pipe | None:
        """A new connection; None when that client id is still taken by a live one."""
        old = self.pipes.get(client_id)
        if old is not None and old.alive:
            return None
        self._number += 1
        pipe = Pipe(self.timeline, self.chance, self._number, client_id, listener)
        pipe.late_s = self.late_s
        self.pipes[client_id] = pipe
        self._positions_told.discard(client_id)
        self._accounts_told.pop(client_id, None)
        self._pnl_told.pop(client_id, None)
        self._prices_told.pop(client_id, None)
        return pipe

    def live(self, client_id: int) -> Pipe | None:
        pipe = self.pipes.get(client_id)
        return pipe if pipe is not None and pipe.alive else None

    def next_order_id(self, client_id: int) -> int:
        return self.broker.next_order_id(client_id)

    def freeze(self) -> None:
        self.frozen = True
        for pipe in self.pipes.values():
            pipe.freeze()

    def thaw(self) -> None:
        self.frozen = False
        for pipe in self.pipes.values():
            pipe.thaw()

    def forget_subscriptions(self) -> None:
        """What a link that comes back with its data lost (1101) does."""
        self._prices_told.clear()

    # --- the broker's outlet -------------------------------------------------------------------

    def to_client(self, client_id: int, encode: Any) -> None:
        pipe = self.live(client_id)
        message = what_if_reply(encode(176)) if callable(encode) else encode
        if pipe is None or message is None:
            return
        if isinstance(message, tws.WhatIfReply):
            self.answers.give("what-if", lambda: pipe.tell(message))
            return
        if isinstance(message, tws.CommissionCharged) and self.commissions_late_s:
            self.timeline.after(self.commissions_late_s, lambda: pipe.tell(message))
            return
        if isinstance(message, tws.ExecutionReport) and self.executions_late_s:
            self.timeline.after(self.executions_late_s, lambda: pipe.tell(message))
            return
        pipe.tell(message)
        if self.twice and isinstance(
            message, tws.OpenOrder | tws.StatusReport | tws.ExecutionReport
        ):
            self.timeline.after(self.chance.uniform(0.0, 2.0), lambda: pipe.tell(message))

    def position_changed(self) -> None:
        self._position_moved = True

    # --- requests ------------------------------------------------------------------------------

    def advance(self) -> None:
        self.home.exchange.advance(self.market_ns)
        if self.broker is not self.home:
            self.broker.exchange.advance(self.market_ns)

    def place(self, pipe: Pipe, order_id: int, ticket: Ticket) -> None:
        if self.broker is not self.home:
            self.truth.broken.append(f"order {order_id} reached account {self.account_id}")
        self.advance()
        if not self.broker.link_up:
            return  # lost: TWS does not resend after an outage
        shown = len(self.broker.dialogs)
        refusal = self.broker.place(pipe.client_id, order_id, SMH, "SMART", ticket)
        if len(self.broker.dialogs) > shown and self.on_dialog is not None:
            self.on_dialog()
        if refusal is not None:
            self.to_client(pipe.client_id, TwsError(order_id, *refusal))
        alive = [o for o in self.broker.books.live() if o.client_id == ORDERS_CLIENT]
        if sum(order.ticket.side > 0 for order in alive) > 1:
            self.truth.broken.append("two entries are alive at the broker")
        self.publish_account()

    def cancel(self, pipe: Pipe, order_id: int) -> None:
        self.advance()
        if not self.broker.link_up:
            return
        refusal = self.broker.cancel(pipe.client_id, order_id)
        if refusal is not None:
            self.to_client(pipe.client_id, TwsError(order_id, *refusal))
        self.publish_account()

    def open_orders(self) -> list[Message]:
        found: list[Message] = []
        for order in self.broker.seen.live():
            found += [open_order(order), order_status(order)]
        return found

    def completed(self) -> tuple[tws.CompletedOrder, ...]:
        today = new_york_date(self.market_ns)
        return tuple(
            tws.CompletedOrder(
                perm_id=order.told_perm_id, order_ref=order.ticket.order_ref,
                account=order.ticket.account, symbol="SMH", action=_action(order),
                status=order.status, filled=int(order.filled), reason=order.completed_reason,
            )
            for order in self.broker.seen.orders.values()
            if order.done and new_york_date(order.completed_ns) == today
        )  # fmt: skip

    def executions(self) -> list[Execution]:
        today = new_york_date(self.market_ns)
        return [fill for fill in self.broker.seen.executions if new_york_date(fill.ts_ns) == today]

    def positions(self) -> list[tws.PositionReport]:
        held = self.broker.seen.accounts[0].smh
        if not (held.shares or held.traded_usd):
            return []
        average_usd = round(held.average_usd, 6)
        whole, part = whole_shares(held.shares), part_of(held.shares)
        return [tws.PositionReport(self.account_id, "SMH", whole, average_usd, part)]

    def subscribe_account(self, pipe: Pipe) -> None:
        self._accounts_told[pipe.client_id] = rows = self.account_rows()
        pipe.tell(rows)

    def subscribe_positions(self, pipe: Pipe) -> None:
        self._positions_told.add(pipe.client_id)

    def subscribe_pnl(self, pipe: Pipe) -> None:
        self._pnl_told[pipe.client_id] = 0

    def subscribe_prices(self, pipe: Pipe, symbol: str, *, live: bool) -> tuple[int, DataKind]:
        """`live`: live data or none. What TWS says of it, and the kind of data that follows."""
        said, kind = self.permissions.answer(symbol, live=live)
        shown = self._prices_told.setdefault(pipe.client_id, {})
        self._delayed.discard((pipe.client_id, symbol))
        if kind == "none":
            shown.pop(symbol, None)
            return said, kind
        if kind == "delayed":
            self._delayed.add((pipe.client_id, symbol))
        shown[symbol] = ()
        self._halt_told.discard(pipe.client_id)  # a new subscription is told a halt that goes on
        return said, kind

    def compete(self) -> None:
        """Another session of this login takes the data: every subscription of the feed's ends."""
        self.permissions.competing = True
        self._prices_told.pop(ORDERS_CLIENT, None)
        pipe = self.live(DATA_CLIENT)
        for symbol in self._prices_told.pop(DATA_CLIENT, {}):
            if pipe is not None:
                pipe.tell(code(symbol, COMPETING))

    def account_rows(self) -> tws.AccountRows:
        now_ns = self.market_ns
        account = self.broker.seen.accounts[0]
        smh_usd = self.tape.mark(now_ns)
        value = account.valuation(smh_usd, now_ns)
        net = f"{value.net_liquidation_usd:.2f}"
        amounts = {
            "NetLiquidation": net,
            "TotalCashValue": f"{value.cash_usd:.2f}",
            "EquityWithLoanValue": net,
            "InitMarginReq": f"{value.init_margin_usd:.2f}",
            "MaintMarginReq": f"{value.maint_margin_usd:.2f}",
            "ExcessLiquidity": f"{value.excess_liquidity_usd:.2f}",
            "SMA": f"{value.sma_usd:.2f}",
        }
        rows = [(key, text, "USD") for key, text in amounts.items()]
        trading = "PMRGN" if account.margin_kind == "portfolio" else "STKMRGN"
        rows += [("AccountReady", "true", ""), ("TradingType-S", trading, "")]
        holdings = tuple(
            tws.Holding("SMH", "STK", whole_shares(item.shares), item.price_usd, 0.0,
                        round(item.average_usd, 6))
            for item in value.holdings
        )  # fmt: skip
        return tws.AccountRows(account=self.account_id, rows=tuple(rows), holdings=holdings)

    # --- publication ---------------------------------------------------------------------------

    def beat(self) -> None:
        """The exchange goes on; who subscribed is told."""
        self.advance()
        after_ns, self._published_ns = self._published_ns, self.market_ns
        if not self.broker.link_up:
            return
        self.publish_account()
        if not self.switches.quotes_frozen:
            asked = {
                (symbol, self._lag_ns(client_id, symbol))
                for client_id, told in self._prices_told.items()
                for symbol in told
            }
            moves = {
                (symbol, lag_ns): self.tape.path(symbol, after_ns - lag_ns, self.market_ns - lag_ns)
                for symbol, lag_ns in asked
            }
            for client_id in list(self._prices_told):
                self._publish_prices(client_id, after_ns, moves)
        self._publish_pnl()

    def publish_account(self) -> None:
        if not self.broker.link_up:
            return
        moved, self._position_moved = self._position_moved, False
        if not moved and self.market_ns < self._refresh_ns:
            return
        self._refresh_ns = self.market_ns - self.market_ns % REFRESH_NS + REFRESH_NS
        for client_id in sorted(self._positions_told):
            pipe = self.live(client_id)
            for report in self.positions() if moved and pipe else ():
                cast("Pipe", pipe).tell(report)
        for client_id in sorted(self._accounts_told):
            pipe, rows = self.live(client_id), self.account_rows()
            if pipe is not None and rows != self._accounts_told[client_id]:  # else nothing changed
                self._accounts_told[client_id] = rows
                pipe.tell(rows)

    def _lag_ns(self, client_id: int, symbol: str) -> int:
        return DELAY_NS if (client_id, symbol) in self._delayed else 0

    def _publish_pnl(self) -> None:
        held, ways = self.broker.account.smh, self.pnl
        if held.shares != self._count:
            self._count_before, self._count = self._count, held.shares
            self._counted_ns = self.market_ns
        young = self.market_ns - self._counted_ns < seconds(ways.old_count_s)
        shares = self._count_before if young else held.shares
        for client_id, told_ns in self._pnl_told.items():
            pipe = self.live(client_id)
            due = self.market_ns - told_ns >= SECOND_NS and not ways.silent
            if pipe is None or not due or not (held.shares or held.traded_usd):
                continue
            self._pnl_told[client_id] = self.market_ns
            usd = self.tape.mark(self.market_ns - seconds(ways.late_s)) * (1 + ways.wild)
            ways.wild = 0.0
            reckoned = (held.daily_usd(usd), held.unrealized_usd(usd), shares * usd)
            report = pnl_report(shares, *(round(amount, 4) for amount in reckoned))
            if report is not None:
                if not young:
                    self.pnl_told_host_ns = self.timeline.host_ns
                pipe.tell(report)

    def _publish_prices(
        self, client_id: int, after_ns: int, moves: dict[tuple[str, int], list[Tick]]
    ) -> None:
        pipe = self.live(client_id)
        if pipe is None:
            return
        shown = self._prices_told[client_id]
        for symbol, before in shown.items():
            lag_ns = self._lag_ns(client_id, symbol)
            ticks = moves[symbol, lag_ns]
            if not before and not ticks:
                ticks = [self.tape.tick(symbol, self.market_ns - lag_ns)]
            said = self._open_tick(symbol, after_ns, lag_ns, subscribed=bool(before))
            newest = before or (0.0, 0.0, 0.0)
            halted = symbol == SMH.symbol and self.tape.halted
            for tick in ticks:
                last = newest[2] if halted and before else tick.last  # nothing trades meanwhile
                prices = (tick.bid, tick.ask, last)
                said += self._moved(symbol, newest, prices)
                newest = prices
            if not ticks and not said:
                continue
            shown[symbol] = newest if ticks else before
            if (
                halted and client_id not in self._halt_told
            ):  # its end is not told: a trade proves it
                said.append((HALTED, 1.0))
                self._halt_told.add(client_id)
            if lag_ns:
                said = [(DELAYED_TYPE[kind], value) for kind, value in said]
            elif (client_id, symbol) == (DATA_CLIENT, SMH.symbol) and self.bad_tick is None:
                self.live_told_host_ns = self.timeline.host_ns
            pipe.tell(Prices(symbol, tuple(said)))
        if not self.tape.halted:
            self._halt_told.clear()

    def _moved(
        self, symbol: str, before: tuple[float, ...], after: tuple[float, ...]
    ) -> list[tuple[int, float]]:
        """The sides that changed; an index has no sides."""
        wrong = self.bad_tick
        return [
            (kind, new if wrong is None else wrong)
            for kind, old, new in zip((BID, ASK, LAST), before, after, strict=True)
            if old != new and (symbol != VIX or kind == LAST)
        ]

    def _open_tick(
        self, symbol: str, after_ns: int, lag_ns: int, *, subscribed: bool
    ) -> list[tuple[int, float]]:
        """At the open the official print; to a new subscriber the newest there is."""
        after_ns, now_ns = after_ns - lag_ns, self.market_ns - lag_ns
        session = self.tape.session(now_ns)
        if session is None or (subscribed and not after_ns < session.open_ns <= now_ns):
            return []
        if now_ns >= session.open_ns:
            return [(OPEN, self.tape.market.opening_print(symbol, session.date))]
        close = self.tape.close_before(symbol, session.date)
        return [] if close is None else [(OPEN, close)]


# --- how TWS's objects are told ------------------------------------------------------------------


def _action(order: Order) -> Any:
    return "BUY" if order.ticket.side > 0 else "SELL"


def open_order(order: Order) -> tws.OpenOrder:
    return tws.OpenOrder(
        order_id=order.order_id, client_id=order.client_id, perm_id=order.told_perm_id,
        order_ref=order.ticket.order_ref, account=order.ticket.account, symbol="SMH",
        action=_action(order), shares=int(order.quantity), status=order.status,
    )  # fmt: skip


def order_status(order: Order, status: str = "") -> tws.StatusReport:
    return tws.StatusReport(
        order_id=order.order_id, client_id=order.client_id, perm_id=order.told_perm_id,
        status=status or order.status, filled=int(order.filled), remaining=int(order.remaining),
        average_usd=round(order.average_usd, 8), why_held=order.why_held,
    )  # fmt: skip


def execution(fill: Execution) -> tws.ExecutionReport:
    return tws.ExecutionReport(
        exec_id=fill.exec_id, order_id=fill.order_id, client_id=fill.client_id,
        perm_id=fill.perm_id, order_ref=fill.order_ref, account=fill.account, symbol="SMH",
        action="BUY" if fill.side > 0 else "SELL", shares=int(fill.shares),
        price_usd=fill.price_usd, executed_ns=fill.ts_ns // SECOND_NS * SECOND_NS,
        liquidation=fill.liquidation,
    )  # fmt: skip


def what_if_reply(payload: bytes) -> tws.WhatIfReply | None:
    """The margins in a what-if's answer; None for the first one, which has none yet."""
    fields = payload.decode().split("\0")
    if float(fields[98]) >= UNSET:
        return None
    margins = [float(text) for text in fields[95:105]]
    return tws.WhatIfReply(
        order_id=int(fields[1]), init_before_usd=margins[0], init_after_usd=margins[6],
        maint_after_usd=margins[7], equity_with_loan_after_usd=margins[8],
        commission_usd=margins[9],
    )  # fmt: skip
