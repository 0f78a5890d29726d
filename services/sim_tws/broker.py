"""The broker behind the sockets: takes orders, works them, books fills, tells who may hear it.

It knows client ids, never sockets. Everything a client could ask about orders, fills and money is
in `Books`; while the link to IB is lost, clients see the books as they were when it broke.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.sim_tws import account as money
from services.sim_tws import order_checks as checks
from services.sim_tws import order_replies
from services.sim_tws import orders as st
from services.sim_tws.account import Account
from services.sim_tws.announcer import Announcer
from services.sim_tws.books import Books
from services.sim_tws.contracts import SMH, Instrument
from services.sim_tws.exchange import Exchange
from services.sim_tws.market_time import new_york, new_york_date, read_instant_ns
from services.sim_tws.order_checks import Refusal
from services.sim_tws.order_replies import MarginImpact
from services.sim_tws.orders import Execution, Order, Ticket
from services.sim_tws.switches import Switches
from services.sim_tws.tape import Tape
from services.sim_tws.wire import UNSET_FLOAT_TEXT

MANUAL_CLIENT = 0  # orders entered in TWS itself, and IB's own liquidations
REJECTED = 201
CANCELLED_TEXT = "Order Canceled - reason:"


class Broker:
    """One login's orders and money; implements the exchange's `Reports`."""

    def __init__(
        self, tape: Tape, accounts: list[Account], start_ns: int, switches: Switches
    ) -> None:
        self.tape = tape
        self.switches = switches
        self.books = Books(accounts)
        self.exchange = Exchange(tape, self, start_ns)
        self.say = Announcer()
        self.link_up = True
        self._books_at_loss: Books | None = None
        self._staged: dict[tuple[int, int], tuple[Instrument, str, Ticket]] = {}
        self.dialogs: dict[tuple[int, int], Order] = {}
        """Orders that TWS shows to its user first, by client and order id: no book knows them."""

    @property
    def account(self) -> Account:
        """The account that trades (the first of the login)."""
        return self.books.accounts[0]

    @property
    def seen(self) -> Books:
        """What clients may know: the books, as of the loss while the link is down."""
        return self._books_at_loss or self.books

    @property
    def account_ids(self) -> list[str]:
        return [account.account_id for account in self.books.accounts]

    @property
    def now_ns(self) -> int:
        return self.exchange.now_ns

    def next_order_id(self, client_id: int) -> int:
        return self.books.last_order_id.get(client_id, 0) + 1

    # Link to IB

    def lose_link(self) -> None:
        if self.link_up:
            self.link_up = False
            self.say.fall_silent()
            self._books_at_loss = copy.deepcopy(self.books)

    def restore_link(self, tell_missed: bool) -> None:
        """Clients hear again; what they missed is told now or, if not, only when they ask."""
        self.link_up = True
        self._books_at_loss = None
        self.say.speak_again(tell_missed)

    # Orders in

    def place(
        self, client_id: int, order_id: int, instrument: Instrument, exchange: str, ticket: Ticket
    ) -> Refusal | None:
        """A client's order or change of one.

        Returns why TWS did not take it, for the caller to send. An order that IB refuses was
        taken: it shows as Inactive, after an error of its own.
        """
        live = self.books.find(client_id, order_id)
        if live is not None and not live.done:
            return self._modify(live, ticket)
        if (client_id, order_id) in self.dialogs:
            return None  # the same order, shown already
        staged = self._staged.pop((client_id, order_id), None)
        if staged is None and order_id <= self.books.last_order_id.get(client_id, 0):
            if live is not None and live.status == st.FILLED:
                return 104, "Cannot modify a filled order."
            return 103, "Duplicate order id"
        refusal = checks.ticket_refusal(ticket, exchange, instrument, self.account_ids)
        if refusal is not None:
            return refusal
        ticket = replace(ticket, account=ticket.account or self.account.account_id)
        if ticket.what_if:
            return self._what_if(client_id, order_id, instrument, exchange, ticket)
        self.books.last_order_id[client_id] = max(
            order_id, self.books.last_order_id.get(client_id, 0)
        )
        if not ticket.transmit:
            self._staged[client_id, order_id] = (instrument, exchange, ticket)
            return None
        for other_id, parts in self._staged_family(client_id, ticket):
            self._enter(self._new_order(client_id, other_id, *parts))
        self._enter(self._new_order(client_id, order_id, instrument, exchange, ticket))
        return None

    def place_own(self, ticket: Ticket, liquidation: bool = False) -> Order:
        """An order of the account's owner in TWS, or of IB itself (a liquidation)."""
        ticket = replace(ticket, account=self.account.account_id)
        order = self._new_order(MANUAL_CLIENT, 0, SMH, "SMART", ticket)
        order.liquidation = liquidation
        self._enter(order)
        return order

    def cancel(self, client_id: int, order_id: int) -> Refusal | None:
        waiting: tuple[dict[tuple[int, int], Any], ...] = (self._staged, self.dialogs)
        if any(orders.pop((client_id, order_id), None) is not None for orders in waiting):
            return None
        order = self.books.find(client_id, order_id)
        if order is None and self.switches.cancel_by_anyone:
            order = next((o for o in self.books.live() if o.order_id == order_id != 0), None)
        if order is None:
            return 10147, f"OrderId {order_id} that needs to be cancelled is not found."
        if order.done:
            return 10148, (
                f"OrderId {order_id} that needs to be cancelled cannot be cancelled, "
                f"state: {order.status}."
            )
        if self.switches.fill_beats_cancel:
            self.switches.fill_beats_cancel = False
            self.say.status(order, st.PENDING_CANCEL)
            self.filled(order, order.remaining, self._market_price(order), self.now_ns)
            return None
        self.say.status(order, st.PENDING_CANCEL)
        self.exchange.end(order, "")
        return None

    def cancel_all(self) -> None:
        for order in self.books.live():
            self.exchange.end(order, "")

    def lose_staged(self) -> None:
        """Orders that were never transmitted live in TWS only: a restart loses them."""
        self._staged.clear()
        self.dialogs.clear()

    def answer_dialogs(self, send: bool) -> None:
        """TWS's user sends what waits in dialogs, or discards it."""
        waiting, self.dialogs = self.dialogs, {}
        for order in waiting.values():
            if send:
                self._reach(order)
            else:
                self.books.orders[order.perm_id] = order
                self.exchange.end(order, "")

    def resume(self, books: Books) -> None:
        """Takes over the books of an earlier run; working orders go on working."""
        self.books = books
        for order in books.live():
            if not order.held_for_parent:
                self._plan_end(order)
                self.exchange.adopt(order)

    # What the exchange did (Reports)

    def filled(self, order: Order, shares: float, price_usd: float, ts_ns: int) -> None:
        fee = money.commission_usd(order.filled + shares, order.commission_usd)
        realized = self.account.trade(order.ticket.side, shares, price_usd, fee)
        order.commission_usd = round(order.commission_usd + fee, 6)
        total = order.filled + shares
        order.average_usd = (order.average_usd * order.filled + price_usd * shares) / total
        order.filled = total
        order.last_fill_usd = price_usd
        order.why_held = ""
        order.status = st.FILLED if order.remaining <= 0 else st.SUBMITTED
        fill = self._execution(order, shares, price_usd, ts_ns, fee, realized)
        self.books.executions.append(fill)
        self.say.execution(fill)
        self.say.order(order)
        if order.done:
            self.exchange.withdraw(order)
            self._complete(order, f"Filled Size: {order.filled:g}", ts_ns)
            self.say.whole_order(order)
        self.say.commission(fill)
        self.say.position_changed()
        self._one_cancels_all(order, shares)
        if order.status == st.FILLED:
            self._release_children(order)

    def status_changed(self, order: Order) -> None:
        self.say.order(order)

    def ended(self, order: Order, reason: str, ts_ns: int) -> None:
        """Cancelled or expired."""
        if order.done:
            return
        order.status = st.CANCELLED
        order.why_held = ""
        self._complete(order, reason or "Cancelled by Trader", ts_ns)
        self.say.status(order)
        self.say.error(order, 202, f"{CANCELLED_TEXT}{reason}")
        for child in self.books.children(order):
            self.exchange.end(child, "")

    def correct_last_execution(self, price_usd: float) -> bool:
        """Tells the newest fill again at another price, as IB does: same id, revision up by one."""
        if not self.books.executions:
            return False
        old = self.books.executions[-1]
        root, _, revision = old.exec_id.rpartition(".")
        fill = replace(old, exec_id=f"{root}.{int(revision) + 1:02d}", price_usd=price_usd)
        self.books.executions[-1] = fill
        change = (old.price_usd - price_usd) * old.side * old.shares
        self.account.move_cash(round(change, 2))
        position = self.account.smh
        if position.shares:
            position.average_usd -= change / position.shares
        position.traded_usd += change
        self.say.execution(fill)
        self.say.commission(fill)
        self.say.position_changed()
        return True

    # Order life cycle

    def _new_order(
        self, client_id: int, order_id: int, instrument: Instrument, exchange: str, ticket: Ticket
    ) -> Order:
        return Order(
            client_id=client_id,
            order_id=order_id,
            perm_id=self.books.next_perm_id(),
            instrument=instrument,
            exchange=exchange,
            ticket=ticket,
            unnumbered=self.switches.unnumbered_orders,
        )

    def _enter(self, order: Order) -> None:
        """The order is transmitted: lost, held back by TWS, or on its way to IB."""
        self.books.orders_placed += order.client_id != MANUAL_CLIENT or order.order_id != 0
        if self.switches.lose_orders > 0:
            self.switches.lose_orders -= 1
            return
        if self.switches.hold_orders > 0 and order.client_id != MANUAL_CLIENT:
            self.switches.hold_orders -= 1
            self.dialogs[order.key] = order
            return
        self._reach(order)

    def _reach(self, order: Order) -> None:
        """It reaches IB: refused, held or worked."""
        refusal = None if order.liquidation else self._house_refusal(order)
        if refusal is not None:
            self._refuse(order, refusal)
            return
        self.books.orders[order.perm_id] = order
        if self.switches.deactivate_orders > 0:
            self.switches.deactivate_orders -= 1
            order.status, order.deactivated = st.INACTIVE, True
            self.say.order(order)
            return
        order.status = st.PRE_SUBMITTED
        order.held_for_parent = self._waits_for_parent(order)
        order.why_held = "trigger" if order.waits_for_trigger else ""
        if self.switches.notice_code:
            self.say.error(order, self.switches.notice_code, self.switches.notice_text)
        self.say.order(order)
        if not order.held_for_parent:
            self._work(order)

    def _work(self, order: Order) -> None:
        if self._waits_for_open(order):
            self.say.error(order, 399, self._held_text(order))
        self._plan_end(order)
        self.exchange.work(order)

    def _plan_end(self, order: Order) -> None:
        """A good-till-date order ends at its instant."""
        if order.ticket.tif == "GTD":
            ends_ns = read_instant_ns(order.ticket.good_till)
            self.exchange.at(ends_ns, lambda _ts: self.exchange.end(order, ""))

    def _refuse(self, order: Order, refusal: Refusal) -> None:
        """Only what IB itself rejects is an order, Inactive; TWS's own refusals leave no trace."""
        code, text = refusal
        self.say.error(order, code, text)
        if code == REJECTED:
            self.books.orders[order.perm_id] = order
            order.status = st.INACTIVE
            self._complete(order, text, self.now_ns)
            self.say.order(order)

    def _house_refusal(self, order: Order) -> Refusal | None:
        """Everything that depends on the moment: injected, hours, crowding, margin."""
        switches, ticket = self.switches, order.ticket
        if switches.rejects_left > 0:
            switches.rejects_left -= 1
            return switches.reject_code, switches.reject_text
        live = self.books.live()
        refusal = checks.window_refusal(ticket, self.tape, self.now_ns)
        if refusal is None and switches.reject_outside_hours:
            refusal = checks.closed_refusal(ticket, self.tape, self.now_ns)
        used_up = self.books.group_is_used_up(ticket.oca_group)
        used_up = used_up or (switches.refuse_group_joins and bool(self.books.group(order)))
        refusal = refusal or checks.group_refusal(ticket, used_up=used_up)
        return refusal or checks.crowd_refusal(ticket, live) or self._margin_refusal(order, live)

    def _margin_refusal(self, order: Order, live: Sequence[Order]) -> Refusal | None:
        ticket = order.ticket
        if ticket.parent_id:
            return None
        smh_usd = self.tape.mark(self.now_ns)
        exclusive = self.books.group(order)
        live = [other for other in live if other not in exclusive]
        return checks.margin_refusal(
            ticket.side, order.remaining, self._market_price(order), live, self.account, smh_usd
        )

    def _modify(self, order: Order, ticket: Ticket) -> Refusal | None:
        old = order.ticket
        ticket = replace(ticket, account=ticket.account or old.account)
        if (ticket.action, ticket.account) != (old.action, old.account):
            return 105, "Order being modified does not match original order"
        refusal = checks.ticket_refusal(ticket, order.exchange, order.instrument, self.account_ids)
        if refusal is not None:
            return refusal
        before = order.quantity
        self.exchange.withdraw(order)
        order.ticket, order.quantity = ticket, ticket.quantity
        if order.quantity > before and (limit := self._margin_refusal(order, [])) is not None:
            order.ticket, order.quantity = old, before
            self.exchange.work(order)
            return limit
        if order.remaining <= 0:
            self._finish(order)
            return None
        order.triggered = order.triggered and ticket.order_type == old.order_type
        order.stop_usd = ticket.trail_stop_usd
        self.say.order(order)
        if not order.held_for_parent:
            self.exchange.work(order)
        return None

    def _what_if(
        self, client_id: int, order_id: int, instrument: Instrument, exchange: str, ticket: Ticket
    ) -> Refusal | None:
        """Two replies: the order with unset margins, then the computed ones."""
        order = self._new_order(client_id, order_id, instrument, exchange, ticket)
        refusal = self._margin_refusal(order, self.books.live())
        if refusal is not None:
            return refusal
        order.status = st.PRE_SUBMITTED
        smh_usd = self.tape.mark(self.now_ns)
        equity = self.account.net_liquidation_usd(smh_usd)
        before = self.account.margin_usd(smh_usd)
        after = self.account.margin_usd(smh_usd, ticket.side * ticket.quantity)
        fee = money.commission_usd(ticket.quantity, 0.0)
        impact = MarginImpact(before, before, equity, after, after, equity - fee, fee)
        early = self.switches.early_what_if
        unset = UNSET_FLOAT_TEXT if early else order_replies.PENDING_MARGIN
        self.say.tell(
            client_id, lambda version: order_replies.open_order(order, version, unset_margin=unset)
        )
        self.say.tell(client_id, lambda version: order_replies.open_order(order, version, impact))
        return None

    def _staged_family(
        self, client_id: int, ticket: Ticket
    ) -> list[tuple[int, tuple[Instrument, str, Ticket]]]:
        """Untransmitted parent and siblings that a transmitted child takes along, parent first."""
        parent = ticket.parent_id
        family = [
            (key[1], parts)
            for key, parts in sorted(self._staged.items())
            if key[0] == client_id and parent and parent in {key[1], parts[2].parent_id}
        ]
        for order_id, _ in family:
            del self._staged[client_id, order_id]
        return family

    def _waits_for_parent(self, order: Order) -> bool:
        parent = self.books.find(order.client_id, order.ticket.parent_id)
        return bool(order.ticket.parent_id) and parent is not None and parent.status != st.FILLED

    def _release_children(self, order: Order) -> None:
        for child in self.books.children(order):
            if child.held_for_parent:
                child.held_for_parent = False
                self._work(child)

    def _one_cancels_all(self, order: Order, shares: float) -> None:
        """OCA: any fill cancels the rest of the group (type 1) or shrinks it in proportion."""
        share = shares / order.quantity
        for other in self.books.group(order):
            if order.ticket.oca_type in {2, 3} and order.status != st.FILLED:
                other.quantity = max(other.filled, other.quantity - round(other.quantity * share))
                if other.filled and not other.remaining:
                    self._finish(other)
                else:
                    self.say.order(other)
            else:
                self.exchange.end(other, "")

    def _finish(self, order: Order) -> None:
        """An order cut down to what it has filled already is done."""
        self.exchange.withdraw(order)
        order.quantity = order.filled
        order.status = st.FILLED
        self._complete(order, f"Filled Size: {order.filled:g}", self.now_ns)
        self.say.order(order)

    def _complete(self, order: Order, reason: str, ts_ns: int) -> None:
        order.completed_ns = ts_ns
        order.completed_reason = reason

    def _waits_for_open(self, order: Order) -> bool:
        ticket = order.ticket
        if ticket.tif == "OPG" or ticket.order_type in st.CLOSE_TYPES:
            return False
        return not self.exchange.can_trade(order, self.now_ns)

    def _held_text(self, order: Order) -> str:
        opens = new_york(self.tape.next_open_ns(self.now_ns))
        return (
            f"Order Message:\n{order.ticket.action} {order.quantity:g} {order.instrument.symbol} "
            f"{order.instrument.primary_exchange}.{order.instrument.trading_class}\nWarning: Your "
            f"order will not be placed at the exchange until {opens:%Y-%m-%d %H:%M:%S} US/Eastern."
        )

    def _market_price(self, order: Order) -> float:
        tick = self.tape.tick(SMH.symbol, self.now_ns)
        return tick.ask if order.ticket.side > 0 else tick.bid

    def _execution(
        self, order: Order, shares: float, price: float, ts_ns: int, fee: float,
        realized: float | None,
    ) -> Execution:  # fmt: skip
        self.books.last_execution += 1
        number = self.books.last_execution
        return Execution(
            exec_id=f"0000e0d5.{new_york_date(ts_ns):%y%m%d}{number:04x}.01.01",
            ts_ns=ts_ns,
            instrument=order.instrument,
            client_id=order.client_id,
            order_id=order.order_id,
            perm_id=order.perm_id,
            account=order.ticket.account,
            exchange="ISLAND" if order.exchange == "SMART" else order.exchange,
            side=order.ticket.side,
            shares=shares,
            price_usd=price,
            cumulative=order.filled,
            average_usd=order.average_usd,
            order_ref=order.ticket.order_ref,
            liquidation=order.liquidation,
            commission_usd=fee,
            realized_usd=realized,
        )
