"""Answers everything a client asks about orders and executions."""

from __future__ import annotations

from services.sim_tws import contracts, order_replies, requests
from services.sim_tws.broker import MANUAL_CLIENT, Broker
from services.sim_tws.market_time import new_york_date, read_instant_ns
from services.sim_tws.order_checks import READ_ONLY_TEXT
from services.sim_tws.orders import Execution, Order
from services.sim_tws.session import Session
from services.sim_tws.wire import FieldError

NO_DEFINITION = "No security definition has been found for the request"
AMBIGUOUS = "The contract description specified for {} is ambiguous."
_NO_REQUEST = -1


class OrderDesk:
    """Order requests of all sessions, in front of one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._bound = 0

    def place(self, session: Session, request: requests.PlaceOrder) -> None:
        client_id, order_id = session.client_id, request.order_id
        assert client_id is not None
        switches = self._broker.switches
        if switches.read_only:
            session.error(order_id, 321, _read_only())
            return
        if not self._broker.link_up:
            return  # lost: resubmission after an outage is off by default in TWS
        try:
            found = contracts.find(request.contract, switches.ambiguous_contract)
        except FieldError as wrong:
            session.error(order_id, 321, f"Error validating request.-'bN' : cause - {wrong}")
            return
        if len(found) != 1:
            text = AMBIGUOUS.format(request.contract.symbol) if found else NO_DEFINITION
            session.error(order_id, 200, text)
            return
        exchange = request.contract.exchange
        refusal = self._broker.place(client_id, order_id, found[0], exchange, request.ticket)
        if refusal is not None:
            session.error(order_id, *refusal)

    def cancel(self, session: Session, request: requests.CancelOrder) -> None:
        assert session.client_id is not None
        if self._broker.switches.read_only:
            session.error(request.order_id, 321, _read_only())
        elif self._broker.link_up:
            refusal = self._broker.cancel(session.client_id, request.order_id)
            if refusal is not None:
                session.error(request.order_id, *refusal)

    def cancel_all(self, session: Session, _request: requests.GlobalCancel) -> None:
        if self._broker.switches.read_only:
            session.error(_NO_REQUEST, 321, _read_only())
        elif self._broker.link_up:
            self._broker.cancel_all()

    def open_orders(self, session: Session, _request: requests.OpenOrders) -> None:
        """The client's own orders; client 0 sees what was entered in TWS as well."""
        self._say_orders(session, [o for o in self._broker.seen.live() if self._own(session, o)])

    def push_open_orders(self, session: Session) -> None:
        """What TWS with "download open orders on connection" says right after the start."""
        for order in self._broker.seen.live():
            if self._own(session, order):
                _say_order(session, order)

    def all_open_orders(self, session: Session, _request: requests.AllOpenOrders) -> None:
        self._say_orders(session, self._broker.seen.live())

    def auto_open_orders(self, session: Session, request: requests.AutoOpenOrders) -> None:
        """Only client 0 may bind; orders entered in TWS then get negative ids."""
        if session.client_id != MANUAL_CLIENT:
            session.error(_NO_REQUEST, 321, "Only the default client (i.e 0) can auto bind orders.")
            return
        session.binds_manual_orders = request.bind
        if request.bind:
            self.bind_manual_orders(session)

    def bind_manual_orders(self, session: Session) -> None:
        for order in self._broker.books.live():
            if order.client_id == MANUAL_CLIENT and order.order_id == 0:
                self._bound -= 1
                order.order_id = self._bound
                session.send(order_replies.order_bound(order.perm_id, MANUAL_CLIENT, self._bound))

    def completed_orders(self, session: Session, request: requests.CompletedOrders) -> None:
        """Today's done orders, oldest first; never answered by a read-only server."""
        if self._broker.switches.read_only:
            return
        today = new_york_date(self._broker.now_ns)
        for order in list(self._broker.seen.orders.values()):
            done_today = order.done and new_york_date(order.completed_ns) == today
            if done_today and not (request.api_only and order.client_id == MANUAL_CLIENT):
                session.send(order_replies.completed_order(order, session.version))
        session.send(order_replies.completed_orders_end())

    def executions(self, session: Session, request: requests.Executions) -> None:
        """Fills since midnight that pass the filter, each followed by its commission."""
        try:
            since_ns = read_instant_ns(request.since) if request.since else 0
        except FieldError as wrong:
            session.error(request.req_id, 321, f"Error validating request.-'bN' : cause - {wrong}")
            return
        today = new_york_date(self._broker.now_ns)
        only = session.client_id if self._broker.switches.own_executions_only else None
        for fill in list(self._broker.seen.executions):
            if (
                new_york_date(fill.ts_ns) == today
                and fill.ts_ns >= since_ns
                and (only is None or fill.client_id == only)
                and _passes(fill, request)
            ):
                utc = self._broker.say.utc_times
                session.send(
                    order_replies.execution(fill, request.req_id, session.version, utc=utc)
                )
                session.send(order_replies.commission(fill))
        session.send(order_replies.execution_end(request.req_id))

    def _own(self, session: Session, order: Order) -> bool:
        return order.client_id == session.client_id

    def _say_orders(self, session: Session, live: list[Order]) -> None:
        for order in live:
            _say_order(session, order)
        session.send(order_replies.open_order_end())


def _say_order(session: Session, order: Order) -> None:
    session.send(order_replies.open_order(order, session.version))
    session.send(order_replies.order_status(order, session.version))


def _passes(fill: Execution, asked: requests.Executions) -> bool:
    side = {"BUY": 1, "SELL": -1, "BOT": 1, "SLD": -1}.get(asked.side.upper(), 0)
    return (
        asked.client_id in {0, fill.client_id}
        and asked.account in {"", fill.account}
        and asked.symbol.upper() in {"", fill.instrument.symbol}
        and asked.sec_type in {"", fill.instrument.sec_type}
        and asked.exchange in {"", fill.exchange, "SMART"}
        and side in {0, fill.side}
    )


def _read_only() -> str:
    return f"Error validating request.-'b7' : cause - {READ_ONLY_TEXT}"
