"""The edges of the gateway and the feed over a simulated connection.

They do at the level of messages what `common/tws/gateway_edge.py`, `market.py` and `connection.py`
do with real bytes: connect for ever, notice a frozen TWS, ask, collect a snapshot, pass on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from common.clock import SECOND_NS
from common.messages import Message
from common.settings import Settings
from common.tws import market_messages as mm
from common.tws import messages as tws
from common.tws.connection import RECONNECT_S
from common.tws.link_messages import ClockCompared, LinkDown, LinkUp, TwsError
from common.tws.orders import CANCEL_WITH_BLOCK, DOUBLE_BID_ASK
from services.sim_tws.contracts import SMH
from services.sim_tws.orders import Ticket
from tests.oracle import facts as f
from tests.simulation.market import calendar, opening_within
from tests.simulation.pipe import Pipe
from tests.simulation.timeline import Act
from tests.simulation.tws import (
    ACCOUNT,
    DATA_CLIENT,
    LINK_LOST,
    ORDERS_CLIENT,
    Prices,
    SimTws,
    execution,
)
from tests.simulation.witness import BARS_REQUEST, PRICE_REQUEST, Witness

FROZEN_S = 6.5  # two time requests without an answer
CONNECT_TIMEOUT_S = 10.0
COMPARED_S = 1.0
DAY_NS = 86_400 * SECOND_NS
BARS_ASKED = 200  # all there are: the first close seeds the averages


class Host(Protocol):
    """The process that the hands belong to."""

    def now_ns(self) -> int: ...
    def mono_ns(self) -> int: ...
    def tell(self, message: Message) -> None: ...
    def later(self, host_s: float, act: Act) -> None: ...
    def when_awake(self, act: Act) -> None: ...


class Hands:
    """One connection, for ever."""

    client_id = 0

    def __init__(self, host: Host, tws_side: SimTws, witness: Witness, settings: Settings) -> None:
        self.host, self.tws, self.witness, self.settings = host, tws_side, witness, settings
        self.pipe: Pipe | None = None
        self._attempt = 0
        self._said_down = ""
        self._said_offset_s: float | None = None

    def start(self) -> None:
        self.host.later(0.01, self._connect)

    def stop(self, *, bytes_lost: bool) -> None:
        """The process is dead; its socket closes."""
        pipe, self.pipe = self.pipe, None
        if pipe is not None:
            pipe.alive = False
            pipe.cut = pipe.cut or bytes_lost

    # --- connecting ----------------------------------------------------------------------------

    def _connect(self) -> None:
        if not self.tws.port_open:
            self._failed("nothing listens on 127.0.0.1", listening=False)
        elif self.tws.frozen:
            self.host.later(
                CONNECT_TIMEOUT_S, lambda: self._failed("no API handshake", listening=True)
            )
        else:
            self.host.later(0.02, self._handshake)

    def _handshake(self) -> None:
        pipe = None
        if self.tws.port_open and not self.tws.frozen:
            pipe = self.tws.connect(self.client_id, self)
        if pipe is None:
            self._failed("client id is in use by another program (326)", listening=True)
            return
        self.pipe, self._attempt, self._said_down = pipe, 0, ""
        self._said_offset_s = None
        self.witness.note(f.AccountsNamed(*self.head(), accounts=(ACCOUNT,)))
        next_id = self.tws.next_order_id(self.client_id)
        self.connected()
        self.host.tell(LinkUp(7497, 176, (ACCOUNT,), next_id))
        if not self.tws.broker.link_up:
            self.host.tell(TwsError(-1, LINK_LOST, "Connectivity has been lost."))
        self.host.later(COMPARED_S, lambda: self.compare_clocks(pipe))

    def _failed(self, reason: str, *, listening: bool) -> None:
        self._say_down(reason, listening=listening)
        self._attempt += 1
        self.host.later(RECONNECT_S[min(self._attempt, len(RECONNECT_S) - 1)], self._connect)

    def _say_down(self, reason: str, *, listening: bool) -> None:
        if reason != self._said_down:
            self._said_down = reason
            self.host.tell(LinkDown(reason, listening))

    def closed(self, why: str) -> None:
        def learn() -> None:
            self.pipe = None
            self.disconnected()
            self._say_down(why, listening=False)
            self.host.later(RECONNECT_S[0], self._connect)

        self.host.when_awake(learn)

    def deliver(self, message: object) -> None:
        self.host.when_awake(lambda: self.heard(message))

    def notice_silence(self, pipe: Pipe) -> None:
        """Probes find a frozen or half-open TWS out after some seconds."""

        def look() -> None:
            if self.pipe is pipe and (self.tws.frozen or pipe.cut):
                pipe.die("TWS is frozen: no answer to two time requests", bytes_lost=pipe.cut)

        self.host.later(FROZEN_S, look)

    def compare_clocks(self, pipe: Pipe) -> None:
        if self.pipe is not pipe or self.tws.frozen or pipe.cut:
            return
        offset_s = round((self.host.now_ns() - self.tws.market_ns) / SECOND_NS, 3)
        if self._said_offset_s is None or abs(offset_s - self._said_offset_s) >= 0.1:
            self._said_offset_s = offset_s
            self.host.tell(ClockCompared(self.host.now_ns(), offset_s))

    def head(self) -> tuple[int, int, int, int]:
        return self.witness.head(self.pipe.number if self.pipe else 0, self.client_id)

    def ask(self, act: Callable[[Pipe], None]) -> None:
        pipe = self.pipe
        if pipe is not None:
            pipe.ask(lambda: act(pipe))

    # --- for the two kinds of hands ------------------------------------------------------------

    def connected(self) -> None: ...
    def disconnected(self) -> None: ...
    def heard(self, message: object) -> None: ...
    def perform(self, effect: Message) -> None: ...


class _Books:
    """A snapshot being collected."""

    def __init__(self, number: int, begun_ns: int, *, owed: bool) -> None:
        self.number, self.begun_ns = number, begun_ns
        self.asked = False
        self.owed = self.owed_first = owed
        """The next answer counts for the books given up before."""
        self.open_orders: list[tws.OpenOrder] = []
        self.statuses: list[tws.StatusReport] = []
        self.completed: tuple[tws.CompletedOrder, ...] = ()
        self.executions: list[tws.ExecutionReport] = []
        self.positions: tuple[tws.PositionReport, ...] = ()


class _Part:
    """A piece of a snapshot's answer, with its End."""

    def __init__(self, act: Act) -> None:
        self.act = act


class GatewayHands(Hands):
    """See `common.tws.gateway_edge.GatewayEdge`."""

    client_id = ORDERS_CLIENT

    def connected(self) -> None:
        self._known = False
        self._books: _Books | None = None
        self._answer_owed = False
        self._prices: dict[int, float] = {}
        self._price_said_ns = 0

    def disconnected(self) -> None:
        self._known, self._books = False, None

    def start(self) -> None:
        self._known_once = False
        self.connected()
        super().start()

    def perform(self, effect: Message) -> None:
        match effect:
            case tws.Subscribe():
                self._subscribe()
            case tws.TakeSnapshot(number=number):
                self._take_snapshot(number)
            case tws.SendOrder():
                self._send_order(effect)
            case tws.SendCancel(order_id=order_id):
                if self.pipe is not None:
                    self.witness.note(f.CancelAsked(*self.head(), order_id=order_id))
                self.ask(lambda pipe: self.tws.cancel(pipe, order_id))
            case tws.AskPreview():
                self._ask_preview(effect)
            case tws.ReserveIds():
                self.ask(
                    lambda pipe: pipe.tell(tws.NextOrderId(self.tws.next_order_id(self.client_id)))
                )

    # --- orders --------------------------------------------------------------------------------

    def _sendable(self, order_id: int) -> bool:
        if self._known and self.pipe is not None:
            return True
        self.host.tell(tws.NotSent(order_id, "the instrument is not identified"))
        return False

    def _send_order(self, effect: tws.SendOrder) -> None:
        order = effect.order
        if order.deadline_ns and self.host.now_ns() > order.deadline_ns:
            self.host.tell(tws.NotSent(effect.order_id, "past its deadline at the last moment"))
            return
        if self._sendable(effect.order_id):
            self.witness.placed(self.head(), effect)
            self.ask(lambda pipe: self.tws.place(pipe, effect.order_id, ticket(effect)))

    def _ask_preview(self, effect: tws.AskPreview) -> None:
        if self._sendable(effect.order_id):
            self.witness.placed(self.head(), effect)
            wanted = Ticket("BUY", float(effect.shares), "MKT", account=ACCOUNT, what_if=True)
            self.ask(lambda pipe: self.tws.place(pipe, effect.order_id, wanted))

    # --- subscriptions and snapshots -----------------------------------------------------------

    def _subscribe(self) -> None:
        def details(pipe: Pipe) -> None:
            if self.tws.broker.link_up:
                pipe.tell(known)

        known = tws.ContractKnown(SMH.con_id, "SMH", "NASDAQ")
        pipe = self.pipe
        if self._known:
            self._pass_on(known)
            return
        self.ask(details)

        def give_up() -> None:
            if self.pipe is pipe and pipe is not None and not self._known:
                if self._known_once:
                    self._pass_on(known)
                else:
                    self.host.tell(tws.ContractProblem("no answer on SMH"))

        self.host.later(self.settings.broker.request_timeout_s, give_up)

    def _take_snapshot(self, number: int) -> None:
        if self.pipe is None:
            self.host.tell(tws.SnapshotFailed(number, "no connection"))
            return
        books = self._books = _Books(number, self.host.mono_ns(), owed=self._answer_owed)
        self._answer_owed = False
        if self._known:
            self._ask_books(books)

        def give_up() -> None:
            if self._books is books:
                self._books = None
                self._answer_owed = books.asked and not books.owed_first
                self.host.tell(tws.SnapshotFailed(number, "TWS did not finish its answer"))

        self.host.later(self.settings.broker.request_timeout_s, give_up)

    def _ask_books(self, books: _Books) -> None:
        books.asked = True
        self.witness.note(f.OpenOrdersAsked(*self.head()))
        for answer in (
            self._answer_open, self._answer_completed, self._answer_positions,
            self._answer_executions,
        ):  # fmt: skip
            self.ask(lambda pipe, answer=answer: answer(pipe, books))  # type: ignore[misc] # a default binds the loop's value

    def _answer_open(self, pipe: Pipe, _books: _Books) -> None:
        self.tws.advance()
        for message in self.tws.open_orders():
            pipe.tell(message)
        pipe.tell(_Part(lambda: self.witness.note(f.OpenOrdersEnded(*self.head()))))

    def _answer_completed(self, pipe: Pipe, books: _Books) -> None:
        completed = self.tws.completed()

        def take() -> None:
            books.completed = completed
            for order in completed:
                self.witness.note(f.OrderCompleted(*self.head(), order.perm_id, order.order_ref))

        pipe.tell(_Part(take))

    def _answer_positions(self, pipe: Pipe, books: _Books) -> None:
        self.tws.subscribe_positions(pipe)
        positions = tuple(self.tws.positions())

        def take() -> None:
            books.positions = positions
            for report in positions:
                self._pass_on(report)

        pipe.tell(_Part(take))

    def _answer_executions(self, pipe: Pipe, books: _Books) -> None:
        fills = self.tws.executions()

        def take() -> None:
            for fill in fills:
                report = execution(fill)
                books.executions.append(report)
                self.witness.executed(self.head(), report)
                self._pass_on(tws.CommissionCharged(fill.exec_id, fill.commission_usd))
            self._complete(books)

        pipe.tell(_Part(take))

    def _complete(self, books: _Books) -> None:
        if self._books is None:
            self._answer_owed = False
            return
        if self._books.owed:
            self._books.owed = False
            return
        if self._books is not books:
            return
        self._books = None
        self.host.tell(
            tws.Snapshot(
                number=books.number, begun_ns=books.begun_ns,
                open_orders=tuple(books.open_orders), statuses=tuple(books.statuses),
                completed=books.completed, executions=tuple(books.executions),
                positions=books.positions,
            )
        )  # fmt: skip

    # --- what TWS says -------------------------------------------------------------------------

    def heard(self, message: object) -> None:
        if isinstance(message, _Part):
            message.act()
        elif isinstance(message, Prices):
            self._price(message)
        elif isinstance(message, Message):
            self._pass_on(message)

    def _pass_on(self, message: Message) -> None:
        if isinstance(message, tws.ContractKnown):
            self._identify()
        elif self._books is not None and isinstance(message, tws.OpenOrder):
            self._books.open_orders.append(message)
        elif self._books is not None and isinstance(message, tws.StatusReport):
            self._books.statuses.append(message)
        self.witness.heard(self.head(), message)
        self.host.tell(message)

    def _identify(self) -> None:
        self._known = self._known_once = True
        self._prices.clear()
        if self._books is not None and not self._books.asked:
            self._ask_books(self._books)

        def subscribe(pipe: Pipe) -> None:
            self.tws.subscribe_account(pipe)
            self.tws.subscribe_prices(pipe, "SMH")
            self.tws.subscribe_pnl(pipe)

        self.ask(subscribe)

    def _price(self, prices: Prices) -> None:
        self._prices.update(prices.ticks)
        bid, ask, last = (self._prices.get(kind, 0.0) for kind in (mm.BID, mm.ASK, mm.LAST))
        widest = self.settings.data.spread_fraction_max
        printed = last if any(kind == mm.LAST for kind, _ in prices.ticks) else 0.0
        mark = (bid + ask) / 2 if 0 < bid <= ask and ask - bid <= widest * ask else printed
        now_ns = self.host.now_ns()
        if 0 < mark < 1e6 and not 0 <= now_ns - self._price_said_ns < SECOND_NS:
            self._price_said_ns = now_ns
            self.host.tell(tws.OwnPrice(mark, "live"))


class FeedHands(Hands):
    """See `common.tws.market.MarketData`."""

    client_id = DATA_CLIENT

    def perform(self, effect: Message) -> None:
        match effect:
            case mm.Subscribe(symbol=symbol):
                self._subscribe(symbol)
            case mm.AskContract():
                self._question(self._contract, lambda why: mm.ContractsFound((), why))
            case mm.ReadHistory(asked_ns=asked_ns):
                self._question(
                    lambda: self._history(asked_ns), lambda why: mm.HistoryRead(asked_ns, (), why)
                )
            case mm.ReadCalendar(asked_ns=asked_ns):
                self.host.later(0.05, lambda: self.host.tell(calendar_read(asked_ns)))

    def _subscribe(self, symbol: str) -> None:
        if self.pipe is None:
            return
        if symbol == "SMH":
            self.witness.note(f.QuotesAsked(*self.head(), PRICE_REQUEST, symbol))

        def subscribe(pipe: Pipe) -> None:
            if self.tws.broker.link_up:
                pipe.tell(mm.KindSaid(symbol, "live"))
                self.tws.subscribe_prices(pipe, symbol)

        self.ask(subscribe)

    def _question(self, answer: Callable[[], Message], failed: Callable[[str], Message]) -> None:
        pipe = self.pipe
        if pipe is None:
            self.host.tell(failed("not connected to TWS"))
            return
        answered = [False]

        def end(message: Message) -> None:
            if not answered[0]:
                answered[0] = True
                self.host.tell(message)

        def reply(to: Pipe) -> None:
            if self.tws.broker.link_up:
                message = answer()
                to.tell(_Part(lambda: end(message)))

        def give_up() -> None:
            lost = self.pipe is not pipe
            end(failed("the connection to TWS was lost" if lost else "TWS did not answer"))

        self.ask(reply)
        self.host.later(self.settings.broker.request_timeout_s, give_up)

    def _contract(self) -> Message:
        now_ns = self.tws.market_ns
        hours = tuple(
            mm.SessionHours(s.date, s.open_ns, s.close_ns)
            for s in opening_within(now_ns - DAY_NS, now_ns + 6 * DAY_NS)
        )
        line = mm.ContractLine(SMH.con_id, "NASDAQ", SMH.long_name, hours)
        return mm.ContractsFound((line,), "")

    def _history(self, asked_ns: int) -> Message:
        market, now_ns = self.tws.market, self.tws.market_ns
        today = calendar().at_or_after(now_ns)
        (ended,) = calendar().before(today.date, 1)
        as_of = today.date if today.open_ns - now_ns < 9 * 3600 * SECOND_NS else ended.date
        bars = tuple(
            mm.PriceBar(day, bar.open, bar.high, bar.low, bar.close)
            for day, bar in market.daily_bars("SMH", ended.date, BARS_ASKED, as_of)
        )
        rows = tuple((bar.day, bar.open_usd, bar.close_usd) for bar in bars)
        head = self.head()
        self.witness.note(f.BarsAsked(*head, BARS_REQUEST, "SMH", "1 day", "TRADES"))
        self.witness.note(f.BarsSaid(*head, BARS_REQUEST, rows))
        return mm.HistoryRead(asked_ns, bars, "")

    def heard(self, message: object) -> None:
        if isinstance(message, _Part):
            message.act()
        elif isinstance(message, Prices):
            self._prices(message)
        elif isinstance(message, Message):
            self.host.tell(message)

    def _prices(self, prices: Prices) -> None:
        if prices.symbol == "SMH":
            head = self.head()
            for kind, value in prices.ticks:
                if kind != mm.HALTED:
                    self.witness.note(f.PriceSaid(*head, PRICE_REQUEST, kind, value))
            if not prices.ticks or prices.ticks[-1][0] != mm.LAST:
                self.witness.note(f.LastSizeSaid(*head, PRICE_REQUEST))
        raw = tuple(mm.RawTick(kind, value) for kind, value in prices.ticks)
        self.host.tell(mm.RawTicks(prices.symbol, raw))


def ticket(effect: tws.SendOrder) -> Ticket:
    """The order as TWS reads it."""
    order = effect.order
    return Ticket(
        order.action, float(order.shares), order.order_type, limit_usd=order.limit_usd,
        tif="DAY", account=effect.account, order_ref=effect.order_ref,
        outside_rth=order.outside_rth, aux_usd=order.stop_usd, oca_group=effect.oca_group,
        oca_type=CANCEL_WITH_BLOCK if effect.oca_group else 0,
        trigger_method=DOUBLE_BID_ASK if order.stop_usd is not None else 0,
    )  # fmt: skip


def calendar_read(asked_ns: int) -> mm.CalendarRead:
    """The exchange's sessions around an instant; the real edge gives some more weeks of them."""
    near = opening_within(asked_ns - 5 * DAY_NS, asked_ns + 12 * DAY_NS)
    past = opening_within(asked_ns - 300 * DAY_NS, asked_ns + 1)
    hours = tuple(mm.SessionHours(s.date, s.open_ns, s.close_ns) for s in near)
    return mm.CalendarRead(asked_ns, tuple(s.date for s in past[-200:]), hours, "")
