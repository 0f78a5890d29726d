"""The gateway's edge over a simulated connection: see `common.tws.gateway_edge`."""

from __future__ import annotations

from common.clock import SECOND_NS
from common.messages import DataKind, Message
from common.tws import market_messages as mm
from common.tws import messages as tws
from common.tws.books import COMPLETED, EXECUTIONS, OPEN, POSITIONS, Books
from common.tws.orders import CANCEL_WITH_BLOCK, DOUBLE_BID_ASK
from services.sim_tws.contracts import SMH
from services.sim_tws.orders import Execution, Ticket
from tests.oracle import facts as f
from tests.simulation.hands import Hands, Part
from tests.simulation.pipe import Pipe
from tests.simulation.timeline import Act
from tests.simulation.tws import ORDERS_CLIENT, Prices, execution


class GatewayHands(Hands):
    """The orders' connection."""

    client_id = ORDERS_CLIENT

    def connected(self) -> None:
        self._known = False
        self._books: Books | None = None
        self._ends_owed: frozenset[str] = frozenset()
        self._prices: dict[int, float] = {}
        self._price_said_ns = 0
        self._price_kind: DataKind = "live"

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
            case tws.AskAccount():
                self.ask(self._answer_account)
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
                self.ask(self._answer_ids)

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
            wanted = Ticket(
                "BUY", float(effect.shares), "MKT", account=effect.account, what_if=True
            )
            self.ask(lambda pipe: self.tws.place(pipe, effect.order_id, wanted))

    # --- subscriptions and snapshots -----------------------------------------------------------

    def _answer_ids(self, pipe: Pipe) -> None:
        next_id = tws.NextOrderId(self.tws.next_order_id(self.client_id))
        self.tws.answers.give("order ids", lambda: pipe.tell(next_id))

    def _subscribe(self) -> None:
        known, pipe = tws.ContractKnown(SMH.con_id, "SMH", "NASDAQ"), self.pipe
        if self._known:
            self._pass_on(known)
            return
        waits = [True]

        def identify() -> None:
            if waits.pop() if waits else False:
                self._pass_on(known)

        def details(to: Pipe) -> None:
            if self.tws.broker.link_up:
                self.tws.answers.give("contract", lambda: to.tell(Part(identify)))

        def give_up() -> None:
            waits.clear()
            if self.pipe is pipe and pipe is not None and not self._known:
                if self._known_once:
                    self._pass_on(known)
                else:
                    self.host.tell(tws.ContractProblem("no answer on SMH"))

        self.ask(details)
        self.host.later(self.settings.broker.request_timeout_s, give_up)

    def _take_snapshot(self, number: int) -> None:
        if self.pipe is None:
            self.host.tell(tws.SnapshotFailed(number, "no connection"))
            return
        books = Books(number, self.host.mono_ns(), number, self._ends_owed)
        self._books, self._ends_owed = books, frozenset()
        if self._known:
            self._ask_books(books)

        def give_up() -> None:
            if self._books is books:
                self._books, self._ends_owed = None, books.owes
                why = f"TWS did not finish its answer on: {books.missing}"
                self.host.tell(tws.SnapshotFailed(number, why))

        self.host.later(self.settings.broker.request_timeout_s, give_up)

    def _ask_books(self, books: Books) -> None:
        books.asked = True
        self.witness.note(f.OpenOrdersAsked(*self.head()))
        for answer in (self._answer_open, self._answer_completed, self._answer_positions):
            self.ask(answer)
        self.ask(lambda pipe: self._answer_executions(pipe, books.executions_request))

    def _answer_account(self, pipe: Pipe) -> None:
        self.tws.answers.give("account", lambda: self.tws.subscribe_account(pipe))

    def _answer_open(self, pipe: Pipe) -> None:
        def answer() -> None:
            self.tws.advance()
            for message in self.tws.open_orders():
                pipe.tell(message)

        self.tws.answers.give("open orders", answer, self._end_of(pipe, OPEN))

    def _answer_completed(self, pipe: Pipe) -> None:
        def answer() -> None:
            for order in self.tws.completed():
                pipe.tell(order)

        self.tws.answers.give("completed orders", answer, self._end_of(pipe, COMPLETED))

    def _answer_positions(self, pipe: Pipe) -> None:
        def answer() -> None:
            self.tws.subscribe_positions(pipe)
            for report in self.tws.positions():
                pipe.tell(report)

        self.tws.answers.give("positions", answer, self._end_of(pipe, POSITIONS))

    def _answer_executions(self, pipe: Pipe, request: int) -> None:
        def answer() -> None:
            for fill in self.tws.executions():
                pipe.tell(Part(lambda fill=fill: self._executed_before(fill, request)))  # type: ignore[misc] # a default binds the loop's value

        end = self._end_of(pipe, EXECUTIONS, request)
        self.tws.answers.give("executions", answer, end)

    def _executed_before(self, fill: Execution, request: int) -> None:
        """An answer to the executions' question, and not just now."""
        report = execution(fill)
        if self._books is not None and self._books.executions_request == request:
            self._books.executions.append(report)
            self.witness.executed(self.head(), report)
        else:
            self._pass_on(report)
        self._pass_on(tws.CommissionCharged(fill.exec_id, fill.commission_usd))

    def _end_of(self, pipe: Pipe, part: str, request: int = 0) -> Act:
        """What tells that a part was all; only the executions' End says whose it is."""

        def learn() -> None:
            if part == OPEN:
                self.witness.note(f.OpenOrdersEnded(*self.head()))
            if self._books is None:
                self._ends_owed -= {part}
            elif request in {0, self._books.executions_request}:
                self._ended(self._books, part)

        return lambda: pipe.tell(Part(learn))

    def _ended(self, books: Books, part: str) -> None:
        snapshot = books.ended(part)
        if snapshot is not None:
            self._books = None
            self.host.tell(snapshot)

    # --- what TWS says -------------------------------------------------------------------------

    def heard(self, message: object) -> None:
        if isinstance(message, Part):
            message.act()
        elif isinstance(message, Prices):
            self._price(message)
        elif isinstance(message, Message):
            self._pass_on(message)

    def _pass_on(self, message: Message) -> None:
        books = self._books
        if isinstance(message, tws.ContractKnown):
            self._identify()
        elif isinstance(message, tws.CompletedOrder):
            self.witness.note(f.OrderCompleted(*self.head(), message.perm_id, message.order_ref))
            if books is not None:
                books.completed.append(message)
            return
        elif books is not None and isinstance(message, tws.OpenOrder):
            books.open_orders.append(message)
        elif books is not None and isinstance(message, tws.StatusReport):
            books.statuses.append(message)
        elif books is not None and isinstance(message, tws.PositionReport):
            books.positions[message.account] = message
        self.witness.heard(self.head(), message)
        self.host.tell(message)

    def _identify(self) -> None:
        self._known = self._known_once = True
        self._prices.clear()
        if self._books is not None and not self._books.asked:
            self._ask_books(self._books)

        def subscribe(pipe: Pipe) -> None:
            def prices() -> None:
                self.tws.subscribe_prices(pipe, "SMH", live=False)

            give = self.tws.answers.give
            self._answer_account(pipe)
            give("prices", prices)
            give("pnl", lambda: self.tws.subscribe_pnl(pipe))

        self.ask(subscribe)

    def _price(self, prices: Prices) -> None:
        kinds = [mm.LIVE_TYPE.get(kind, kind) for kind, _ in prices.ticks]
        self._prices.update(zip(kinds, (value for _, value in prices.ticks), strict=True))
        bid, ask, last = (self._prices.get(kind, 0.0) for kind in (mm.BID, mm.ASK, mm.LAST))
        widest = self.settings.data.spread_fraction_max
        printed = last if mm.LAST in kinds else 0.0
        mark = (bid + ask) / 2 if 0 < bid <= ask and ask - bid <= widest * ask else printed
        now_ns = self.host.now_ns()
        if 0 < mark < 1e6 and not 0 <= now_ns - self._price_said_ns < SECOND_NS:
            if prices.ticks:
                delayed = prices.ticks[-1][0] in mm.LIVE_TYPE
                self._price_kind = "delayed" if delayed else "live"
            self._price_said_ns = now_ns
            self.host.tell(tws.OwnPrice(mark, self._price_kind))


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
