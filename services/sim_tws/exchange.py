"""Matching: working orders against the tape, in market-time order, also across a jumped night.

Market orders take the displayed size at the quote and the rest in later pieces at slightly worse
prices; limits fill at the quote or better; stops trigger on every turning point of the path.
Auctions fill at the official prints.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from math import ceil
from typing import Protocol

from common.clock import SECOND_NS
from services.sim_tws import orders as st
from services.sim_tws.contracts import SMH
from services.sim_tws.market import SessionTimes, Tick
from services.sim_tws.orders import Order
from services.sim_tws.tape import Phase, Tape

PIECES_MAX = 8  # a large order is done after this many pieces, however small the displayed size
PIECE_GAP_NS = SECOND_NS // 4
PIECE_SLIPPAGE_USD = 0.01

# Trigger methods of stop orders (0 is the default for a US stock: last; 7 is last or bid/ask).
DOUBLE_BID_ASK = 1
LAST_METHODS = frozenset({0, 2})
DOUBLE_LAST = 3
BID_ASK = 4
MIDPOINT = 8


class Reports(Protocol):
    """Who hears what the exchange did."""

    def filled(self, order: Order, shares: float, price_usd: float, ts_ns: int) -> None: ...

    def status_changed(self, order: Order) -> None: ...

    def ended(self, order: Order, reason: str, ts_ns: int) -> None: ...


class Exchange:
    """All working orders of one instrument, and the events that wait for their market instant."""

    def __init__(self, tape: Tape, reports: Reports, start_ns: int) -> None:
        self.tape = tape
        self.now_ns = start_ns
        self._reports = reports
        self._working: dict[int, Order] = {}  # by permId
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._numbers = itertools.count()

    @property
    def working(self) -> set[int]:
        """permIds of the orders it works."""
        return set(self._working)

    def at(self, ts_ns: int, action: Callable[[int], None]) -> None:
        """Runs `action(ts_ns)` when market time reaches `ts_ns`."""
        heapq.heappush(self._events, (ts_ns, next(self._numbers), action))

    def advance(self, to_ns: int) -> None:
        """Everything that happens in (now, to], in order; time never goes back."""
        if to_ns < self.now_ns:
            return
        if self._working and to_ns > self.now_ns and not self.tape.halted:
            for tick in self.tape.path(SMH.symbol, self.now_ns, to_ns):
                self._run_events(tick.ts_ns)
                self.now_ns = max(self.now_ns, tick.ts_ns)
                self._match_all(tick)
        self._run_events(to_ns)
        self.now_ns = max(self.now_ns, to_ns)

    def work(self, order: Order) -> None:
        """Takes an accepted order and does with it what can be done at once."""
        self._working[order.perm_id] = order
        if order.waits_for_trigger:
            order.why_held = "trigger"
            self._set_status(order, st.PRE_SUBMITTED)
        elif order.ticket.order_type in st.CLOSE_TYPES or order.ticket.tif == "OPG":
            self._set_status(order, st.PRE_SUBMITTED)
        elif self.can_trade(order, self.now_ns) and order.ticket.order_type != "MKT":
            self._set_status(order, st.SUBMITTED)
        tick = self.tape.tick(SMH.symbol, self.now_ns)
        if not self.tape.halted:
            self._match(order, tick)
        if order.ticket.tif in {"IOC", "FOK"} and not order.done:
            self.end(order, "")

    def adopt(self, order: Order) -> None:
        """Goes on working an order of an earlier run, without a report."""
        self._working[order.perm_id] = order

    def withdraw(self, order: Order) -> None:
        """Stops working it, without a report."""
        self._working.pop(order.perm_id, None)

    def end(self, order: Order, reason: str) -> None:
        self.withdraw(order)
        self._reports.ended(order, reason, self.now_ns)

    def can_trade(self, order: Order, ts_ns: int) -> bool:
        """Is the order live in continuous trading at that instant?"""
        if order.ticket.order_type in st.CLOSE_TYPES or order.ticket.tif == "OPG":
            return False
        phase = self.tape.phase(ts_ns)
        if phase is Phase.REGULAR:
            return True
        return phase is Phase.EXTENDED and _trades_extended(order)

    def open_auction(self, session: SessionTimes) -> None:
        """The opening cross: OPG orders and what waited for the open, at the official print."""
        price = self.tape.market.opening_print(SMH.symbol, session.date)
        for order in list(self._working.values()):
            waits = order.ticket.tif == "OPG" or self.can_trade(order, session.open_ns)
            if waits and not order.waits_for_trigger and _allows(order, price):
                self._fill(order, order.remaining, price, session.open_ns)
            elif order.ticket.tif == "OPG":
                self.end(order, "")
            elif order.ticket.order_type == "LMT":
                self._set_status(order, st.SUBMITTED)

    def close_auction(self, session: SessionTimes) -> None:
        """The closing cross, then the end of the day's orders."""
        price = self.tape.market.closing_print(SMH.symbol, session.date)
        for order in list(self._working.values()):
            if order.ticket.order_type in st.CLOSE_TYPES:
                if _allows(order, price):
                    self._fill(order, order.remaining, price, session.close_ns)
                else:
                    self.end(order, "")
            elif order.ticket.tif != "DAY" or _trades_extended(order):
                continue
            else:
                self.end(order, "")

    def end_of_extended_hours(self) -> None:
        for order in list(self._working.values()):
            if order.ticket.tif == "DAY" and _trades_extended(order):
                self.end(order, "")

    def sweep(self) -> None:
        """Matches all orders against the standing quote (phase changes, resumed trading)."""
        if not self.tape.halted:
            self._match_all(self.tape.tick(SMH.symbol, self.now_ns))

    def _run_events(self, until_ns: int) -> None:
        while self._events and self._events[0][0] <= until_ns:
            ts_ns, _, action = heapq.heappop(self._events)
            self.now_ns = max(self.now_ns, ts_ns)
            action(self.now_ns)

    def _match_all(self, tick: Tick) -> None:
        for order in list(self._working.values()):
            self._match(order, tick)

    def _match(self, order: Order, tick: Tick) -> None:
        if order.done or order.remaining <= 0 or not self.can_trade(order, self.now_ns):
            return
        if order.waits_for_trigger:
            _trail(order, tick)
            if not _triggers(order, tick):
                return
            order.triggered = True
            order.why_held = ""
            self._set_status(order, st.SUBMITTED)
        quote = tick
        if self.tape.is_wild(tick):
            quote = self.tape.tick(SMH.symbol, self.now_ns)
        self._take(order, quote)

    def _take(self, order: Order, quote: Tick) -> None:
        """One piece at the quote, if price and time allow; the next piece comes a moment later."""
        if self.now_ns < order.slice_due_ns:
            return
        buys = order.ticket.side > 0
        best, shown = (quote.ask, quote.ask_size) if buys else (quote.bid, quote.bid_size)
        if best <= 0 or not _allows(order, best):
            return
        price = round(best + order.ticket.side * PIECE_SLIPPAGE_USD * order.slices, 2)
        if not _allows(order, price):
            price = best
        if (order.ticket.tif == "FOK" or order.ticket.all_or_none) and shown < order.remaining:
            return
        piece = min(order.remaining, float(max(shown, ceil(order.quantity / PIECES_MAX))))
        order.slices += 1
        order.slice_due_ns = self.now_ns + PIECE_GAP_NS
        self._fill(order, piece, price, self.now_ns)
        if not order.done and order.remaining > 0 and order.ticket.tif != "IOC":
            self.at(order.slice_due_ns, lambda _ts: self._next_piece(order))

    def _next_piece(self, order: Order) -> None:
        if not order.done and not self.tape.halted and order.perm_id in self._working:
            self._match(order, self.tape.tick(SMH.symbol, self.now_ns))

    def _fill(self, order: Order, shares: float, price: float, ts_ns: int) -> None:
        if shares >= order.remaining:
            self.withdraw(order)
        self._reports.filled(order, shares, price, ts_ns)

    def _set_status(self, order: Order, status: str) -> None:
        if order.status != status:
            order.status = status
            self._reports.status_changed(order)


def _trades_extended(order: Order) -> bool:
    """Outside regular hours only limit orders trade, if they say so, and IB's liquidations."""
    limited = order.ticket.order_type in st.LIMIT_TYPES or order.liquidation
    return order.ticket.outside_rth and limited


def _allows(order: Order, price: float) -> bool:
    """Does the order's limit, if it has one, allow that price?"""
    limit = order.ticket.limit_usd
    if order.ticket.order_type not in st.LIMIT_TYPES or limit is None:
        return True
    return price <= limit if order.ticket.side > 0 else price >= limit


def _trail(order: Order, tick: Tick) -> None:
    """Moves a trailing level after the market; the first tick sets it."""
    ticket = order.ticket
    if ticket.order_type != "TRAIL":
        return
    gap = ticket.aux_usd or 0.0
    if ticket.trailing_percent is not None:
        gap = tick.last * ticket.trailing_percent / 100
    level = tick.last + ticket.side * gap
    if order.stop_usd is None or (level - order.stop_usd) * ticket.side < 0:
        order.stop_usd = round(level, 2)


def _triggers(order: Order, tick: Tick) -> bool:
    """Has the stop's level been touched, by its trigger method?"""
    ticket = order.ticket
    level = order.stop_usd if ticket.order_type == "TRAIL" else ticket.aux_usd
    if level is None:
        return False
    rises = (ticket.side > 0) != (ticket.order_type == "MIT")
    quoted = tick.ask if ticket.side > 0 else tick.bid
    touched: Callable[[float], bool] = lambda p: p >= level if rises else 0 < p <= level  # noqa: E731 - two uses below, nowhere else
    method = ticket.trigger_method
    if method in LAST_METHODS or method == DOUBLE_LAST:
        return touched(tick.last) and tick.last_size > 0
    if method == DOUBLE_BID_ASK:
        size = tick.ask_size if ticket.side > 0 else tick.bid_size
        return _touched_twice(order, quoted, size, touched(quoted))
    if method == BID_ASK:
        return touched(quoted)
    if method == MIDPOINT:
        return touched((tick.bid + tick.ask) / 2)
    return touched(tick.last) or touched(quoted)


def _touched_twice(order: Order, price: float, size: float, touched: bool) -> bool:
    """Whether this quote is the second running beyond the level: another price, or more shown."""
    before = order.touched
    order.touched = (price, size) if touched else None
    if not touched or before is None:
        return False
    if price == before[0] and size <= before[1]:
        order.touched = before
        return False
    return True
