"""Encoders of what TWS says about orders: open and completed orders, status, fills, commission.

Field order and the odd constants ('?', 'None', ocaType 3, clearing intent IB) are those real
TWS sends. Versions 157..176; each gate stands beside the fields it guards.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.sim_tws.market_time import new_york_text, utc_text
from services.sim_tws.orders import Execution, Order, Ticket
from services.sim_tws.replies import size
from services.sim_tws.wire import UNSET_FLOAT, UNSET_FLOAT_TEXT, UNSET_INT, Value, payload


@dataclass(frozen=True, slots=True)
class MarginImpact:
    """The second reply to a what-if order: nine margins in USD, and the commission."""

    init_before: float
    maint_before: float
    equity_before: float
    init_after: float
    maint_after: float
    equity_after: float
    commission: float
    warning: str = ""

    def fields(self) -> list[Value]:
        changes = (
            self.init_after - self.init_before,
            self.maint_after - self.maint_before,
            self.equity_after - self.equity_before,
        )
        amounts = (
            self.init_before, self.maint_before, self.equity_before, *changes,
            self.init_after, self.maint_after, self.equity_after,
        )  # fmt: skip
        return [*(round(amount, 2) for amount in amounts), self.commission, "", "", "USD"]


# How the first reply to a what-if spells its unset margins. ib_insync waits for the second reply
# only when it reads this spelling; servers that write the other one end its wait too early.
PENDING_MARGIN = "1.7976931348623157e+308"


def open_order(
    order: Order,
    version: int,
    impact: MarginImpact | None = None,
    unset_margin: str = UNSET_FLOAT_TEXT,
) -> bytes:
    """OPEN_ORDER; `impact` fills in the margins of a what-if."""
    ticket = order.ticket
    body: list[Value] = [5, order.order_id, *_head(order, ticket, version)]
    body += [order.client_id, order.told_perm_id, ticket.outside_rth, ticket.hidden]
    body += [ticket.discretionary_usd, ticket.good_after]
    body += [f"{float(order.told_perm_id)}/{ticket.account}/{size(order.quantity, version)}"]
    body += _allocation(ticket)
    body += [ticket.good_till, ticket.rule_80a, "", ticket.settling_firm, 0, "", -1, 0]
    body += ["", "", "", "", ""]  # startingPrice .. stockRangeUpper
    body += [UNSET_INT if ticket.display_size is None else ticket.display_size]
    body += [ticket.block_order, ticket.sweep_to_fill, ticket.all_or_none, ticket.min_quantity]
    body += [ticket.oca_type or 3, 0, 0, "", ticket.parent_id, ticket.trigger_method]
    body += ["", 0, "None", "", 0, "", "", "", "?", 0, 0, ""]  # volatility, delta-neutral block
    body += [0, 0, order.stop_usd, ticket.trailing_percent, "", "", "", 0, 0, 0]
    body += [UNSET_INT, UNSET_INT, "", "", ticket.opt_out_smart_routing]
    body += [ticket.clearing_account, ticket.clearing_intent or "IB", ticket.not_held, 0, ""]
    body += [ticket.solicited, ticket.what_if, order.status]
    body += _margins(order, impact, unset_margin)
    body += [impact.warning if impact else "", ticket.randomize_size, ticket.randomize_price, 0]
    body += ["None", *[UNSET_FLOAT_TEXT] * 6, 0, "", "", "", ticket.cash_quantity or 0, 1, 0, 0]
    body += [ticket.use_price_mgmt_algo]
    if version >= 158:
        body.append(ticket.duration_s)
    if version >= 160:
        body.append("")  # postToAts
    if version >= 162:
        body.append(ticket.auto_cancel_parent)
    if version >= 170:
        body += ["", "", "", "", ""]  # minTradeQty .. midOffsetAtHalf
    return payload(*body)


def completed_order(order: Order, version: int) -> bytes:
    """COMPLETED_ORDER; it carries no order id, and a filled one has total quantity 0."""
    ticket = order.ticket
    body: list[Value] = [101, *_head(order, ticket, version, total=0.0 if order.filled else None)]
    body += [order.perm_id, ticket.outside_rth, ticket.hidden, ticket.discretionary_usd]
    body += [ticket.good_after, *_allocation(ticket), ticket.good_till, ticket.rule_80a, ""]
    body += [ticket.settling_firm, 0, "", -1, "", "", "", "", ""]
    body += [UNSET_INT if ticket.display_size is None else ticket.display_size]
    body += [ticket.sweep_to_fill, ticket.all_or_none, ticket.min_quantity, ticket.oca_type or 3]
    body += [ticket.trigger_method, "", 0, "None", "", 0, 0, 0, "", 0, 0]
    body += [order.stop_usd, ticket.trailing_percent, "", 0, 0, 0]
    body += [UNSET_INT, UNSET_INT, "", "", ticket.clearing_account]
    body += [ticket.clearing_intent or "IB", ticket.not_held, 0, "", ticket.solicited]
    body += [order.status, ticket.randomize_size, ticket.randomize_price, 0]
    body += [UNSET_FLOAT_TEXT, UNSET_FLOAT_TEXT, ticket.cash_quantity or 0, 1, 0, ""]
    body += [size(order.filled, version), 0, ticket.auto_cancel_parent, "Not an insider", 0, 0]
    body += [0, new_york_text(order.completed_ns, version), order.completed_reason]
    if version >= 170:
        body += ["", "", "", "", ""]
    return payload(*body)


def order_status(order: Order, version: int, status: str = "", client_id: int = -1) -> bytes:
    return payload(
        3, order.order_id, status or order.status, size(order.filled, version),
        size(order.remaining, version), round(order.average_usd, 8), order.told_perm_id,
        order.ticket.parent_id, order.last_fill_usd,
        order.client_id if client_id < 0 else client_id, order.why_held, 0,
    )  # fmt: skip


def execution(fill: Execution, req_id: int, version: int, *, utc: bool = False) -> bytes:
    """EXECUTION_DATA; `req_id` is -1 when it was not asked for. `utc`: in which its time stands."""
    item = fill.instrument
    return payload(
        11, req_id, fill.order_id, item.con_id, item.symbol, item.sec_type, "", 0.0, "", "",
        fill.exchange, item.currency, item.local_symbol, item.trading_class, fill.exec_id,
        utc_text(fill.ts_ns) if utc else new_york_text(fill.ts_ns, version), fill.account,
        fill.exchange,
        "BOT" if fill.side > 0 else "SLD", size(fill.shares, version), fill.price_usd,
        fill.perm_id, fill.client_id, fill.liquidation, size(fill.cumulative, version),
        round(fill.average_usd, 8), fill.order_ref, "", "", "", 2,
    )  # fmt: skip


def execution_end(req_id: int) -> bytes:
    return payload(55, 1, req_id)


def commission(fill: Execution) -> bytes:
    realized = UNSET_FLOAT if fill.realized_usd is None else round(fill.realized_usd, 6)
    return payload(59, 1, fill.exec_id, fill.commission_usd, "USD", realized, UNSET_FLOAT, "")


def open_order_end() -> bytes:
    return payload(53, 1)


def completed_orders_end() -> bytes:
    return payload(102)


def order_bound(perm_id: int, client_id: int, order_id: int) -> bytes:
    return payload(100, perm_id, client_id, order_id)


def _head(order: Order, ticket: Ticket, version: int, total: float | None = None) -> list[Value]:
    """Instrument and main order fields, the same in open and completed orders."""
    item = order.instrument
    quantity = order.quantity if total is None else total
    return [
        item.con_id, item.symbol, item.sec_type, "", 0, "?", "", order.exchange, item.currency,
        item.local_symbol, item.trading_class, ticket.action, size(quantity, version),
        ticket.order_type, ticket.limit_usd or 0.0, ticket.aux_usd or 0.0, ticket.tif,
        ticket.oca_group, ticket.account, ticket.open_close if order.client_id < 0 else "",
        ticket.origin, ticket.order_ref,
    ]  # fmt: skip


def _allocation(ticket: Ticket) -> list[Value]:
    return [
        ticket.fa_group, ticket.fa_method, ticket.fa_percentage, ticket.fa_profile,
        ticket.model_code,
    ]  # fmt: skip


def _margins(order: Order, impact: MarginImpact | None, unset: str) -> list[Value]:
    if impact is not None:
        return impact.fields()
    charged = round(order.commission_usd, 6) if order.status == "Filled" else ""
    return [*[unset] * 9, charged, "", "", "USD" if charged else ""]
