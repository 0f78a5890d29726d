"""What TWS or the exchange refuses before an order works: (code, text), first reason wins.

The texts are those seen from real servers where one was seen; see the table of assumptions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from common.clock import MINUTE_NS
from services.sim_tws import account as money
from services.sim_tws import orders as st
from services.sim_tws.account import Account
from services.sim_tws.contracts import Instrument
from services.sim_tws.market_time import read_instant_ns
from services.sim_tws.orders import Order, Ticket
from services.sim_tws.tape import Phase, Tape, extended_hours
from services.sim_tws.wire import FieldError

Refusal = tuple[int, str]

MOC_CUTOFF_NS = 5 * MINUTE_NS  # Nasdaq: before the close
LOC_CUTOFF_NS = 2 * MINUTE_NS
OPG_CUTOFF_NS = 2 * MINUTE_NS  # Nasdaq: before the open
ORDERS_PER_SIDE_MAX = 20
SHARES_MAX = 100_000_000
READ_ONLY_TEXT = "The API interface is currently in Read-Only mode."


def invalid(cause: str) -> Refusal:
    return 321, f"Error validating request.-'bN' : cause - {cause}"


def ticket_refusal(
    ticket: Ticket, exchange: str, instrument: Instrument, accounts: Sequence[str]
) -> Refusal | None:
    """What is wrong with the order itself, whatever the hour."""
    if not exchange:
        return invalid("Missing order exchange.")
    if ticket.unsupported:
        return invalid(f"This server does not trade {ticket.unsupported}.")
    if not instrument.tradable:
        return 201, "Order rejected - reason:No trading permission."
    if ticket.action not in {"BUY", "SELL", "SSHORT"}:
        return invalid("Invalid side.")
    if not 0 < ticket.quantity <= SHARES_MAX:
        return invalid("Order size does not conform to market rule.")
    if ticket.quantity != int(ticket.quantity):
        return 10243, "Fractional-sized order cannot be placed via API."
    return _terms_refusal(ticket, instrument) or _account_refusal(ticket, accounts)


def _terms_refusal(ticket: Ticket, instrument: Instrument) -> Refusal | None:
    if ticket.order_type not in st.ORDER_TYPES:
        return 387, "Unsupported order type for this exchange and security type."
    if ticket.tif not in st.TIFS:
        return 10052, f"Invalid time in force:{ticket.tif}"
    if ticket.tif == "OPG" and ticket.order_type not in {"MKT", "LMT"}:
        return 10052, "Invalid time in force:OPG"
    if ticket.order_type in st.LIMIT_TYPES and not _positive(ticket.limit_usd):
        return invalid("Missing or invalid limit price.")
    if ticket.order_type in {"STP", "STP LMT", "MIT"} and not _positive(ticket.aux_usd):
        return invalid("Missing or invalid stop price.")
    if ticket.order_type == "TRAIL" and not (
        _positive(ticket.aux_usd) or _positive(ticket.trailing_percent)
    ):
        return invalid("Missing or invalid trailing amount.")
    for price in (ticket.limit_usd, ticket.aux_usd, ticket.trail_stop_usd):
        if price is not None and not _on_grid(price, instrument.min_tick):
            return 110, (
                "The price does not conform to the minimum price variation for this contract."
            )
    if ticket.tif == "GTD":
        try:
            read_instant_ns(ticket.good_till)
        except FieldError as wrong:
            return invalid(f"Invalid good till date: {wrong}")
    return None


def _account_refusal(ticket: Ticket, accounts: Sequence[str]) -> Refusal | None:
    if not ticket.account and len(accounts) > 1:
        return 435, "You must specify an account."
    if ticket.account and ticket.account not in accounts:
        return invalid(f"Invalid account code '{ticket.account}'.")
    return None


def window_refusal(ticket: Ticket, tape: Tape, now_ns: int) -> Refusal | None:
    """Is it too late, or too early, for an order of that kind?"""
    session = tape.session(now_ns)
    if ticket.order_type in st.CLOSE_TYPES and session is not None:
        cutoff_ns = MOC_CUTOFF_NS if ticket.order_type == "MOC" else LOC_CUTOFF_NS
        if session.close_ns - cutoff_ns <= now_ns < session.close_ns:
            return 201, (
                "Order rejected - reason:The exchange no longer accepts "
                f"{ticket.order_type} orders for this session."
            )
    if ticket.tif == "OPG":
        opens_ns = tape.next_open_ns(now_ns)
        in_evening = session is not None and (
            session.open_ns - OPG_CUTOFF_NS <= now_ns < extended_hours(session)[1]
        )
        if in_evening or now_ns >= opens_ns - OPG_CUTOFF_NS:
            return 201, (
                "Order rejected - reason:The exchange does not accept at-the-opening orders now."
            )
    return None


def closed_refusal(ticket: Ticket, tape: Tape, now_ns: int) -> Refusal | None:
    """For a server told to refuse orders outside hours instead of holding them."""
    phase = tape.phase(now_ns)
    if phase is Phase.REGULAR or (phase is Phase.EXTENDED and ticket.outside_rth):
        return None
    return (201, "Order rejected - reason:Exchange is closed.") if ticket.tif != "OPG" else None


def crowd_refusal(ticket: Ticket, live: Sequence[Order]) -> Refusal | None:
    same = sum(order.ticket.action == ticket.action for order in live)
    if same < ORDERS_PER_SIDE_MAX:
        return None
    return 201, (
        f"Order rejected - reason:{same} working orders on the same side are the most allowed "
        "for this contract and account."
    )


def group_refusal(ticket: Ticket, *, used_up: bool) -> Refusal | None:
    """A one-cancels-all group that has traded or ended takes no further order under its name."""
    if not used_up:
        return None
    return 201, f"Order rejected - reason:OCA group {ticket.oca_group} is closed."


def margin_refusal(
    side: int, shares: float, price: float, live: Sequence[Order], account: Account, smh_usd: float
) -> Refusal | None:
    """Would the position, with every working order of that side filled, be too large?"""
    pending = sum(order.remaining * side for order in live if order.ticket.side == side)
    held = account.smh.shares
    after = held + pending + side * shares
    if abs(after) <= abs(held):
        return None
    equity = account.net_liquidation_usd(smh_usd) - side * shares * (price - smh_usd)
    if account.margin_kind == money.PORTFOLIO and equity < money.PORTFOLIO_USD_MIN:
        return 201, (
            "Order rejected - reason:YOUR ACCOUNT IS BELOW THE MINIMUM EQUITY OF "
            f"[{money.PORTFOLIO_USD_MIN:.2f} USD] FOR PORTFOLIO MARGIN. ONLY ORDERS THAT REDUCE "
            "MARGIN ARE ACCEPTED."
        )
    needed = account.margin_usd(smh_usd, pending + side * shares)
    if equity >= needed:
        return None
    return 201, (
        "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED "
        f"POSITION YOUR EQUITY WITH LOAN VALUE [{equity:.2f} USD] MUST EXCEED THE INITIAL MARGIN "
        f"[{needed:.2f} USD]"
    )


def _positive(price: float | None) -> bool:
    return price is not None and 0 < price < math.inf


def _on_grid(price: float, step: float) -> bool:
    steps = price / step
    return math.isfinite(steps) and abs(steps - round(steps)) < 1e-6
