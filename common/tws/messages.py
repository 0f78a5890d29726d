"""What TWS tells the broker gateway's decider, and the effects the decider orders of its edge.

TWS's words are kept as TWS said them, cleaned of what is no number; what they mean is decided in
`common/core`. Amounts are USD per account or share, shares whole, times UTC ns of market time.
"""

from __future__ import annotations

from typing import Annotated, get_args

from msgspec import Meta, Struct

from common.messages import (
    Action,
    DataKind,
    Message,
    Ns,
    Order,
    Price,
    Shares,
    SignedShares,
    Text,
    Usd,
    Word,
)
from common.tws.link_messages import (
    ORDER_ID_MAX,
    ClockCompared,
    LinkDown,
    LinkUp,
    TwsError,
    Unread,
)

OrderId = Annotated[int, Meta(ge=-(1 << 31), le=1 << 31)]
HeardId = Annotated[int, Meta(ge=-ORDER_ID_MAX, le=ORDER_ID_MAX)]
PermId = Annotated[int, Meta(ge=0, le=1 << 62)]
REPORTS_MAX = 5000
Many = Meta(max_length=REPORTS_MAX)

# --- orders, as TWS reports them ---------------------------------------------------------------


class OpenOrder(Message, frozen=True):
    """Message 5: an order TWS considers open (or was just told about)."""

    order_id: HeardId
    client_id: HeardId
    perm_id: PermId
    order_ref: Word
    account: Word
    symbol: Word
    action: Action
    shares: Shares
    status: Word


class StatusReport(Message, frozen=True):
    """Message 3. It names no instrument: the order is known by `client_id` and `order_id`."""

    order_id: HeardId
    client_id: HeardId
    perm_id: PermId
    status: Word
    filled: Shares
    remaining: Shares
    average_usd: Usd
    why_held: Word


class CompletedOrder(Message, frozen=True):
    """Message 101: an order of today that is done. It carries no order id."""

    perm_id: PermId
    order_ref: Word
    account: Word
    symbol: Word
    action: Action
    status: Word
    filled: Shares
    reason: Text


class ExecutionReport(Message, frozen=True):
    """Message 11. `exec_id` ends in a revision: corrections repeat the rest of it."""

    exec_id: Word
    order_id: HeardId
    client_id: HeardId
    perm_id: PermId
    order_ref: Word
    account: Word
    symbol: Word
    action: Action
    shares: Annotated[int, Meta(gt=0, le=10_000_000)]
    price_usd: Price
    executed_ns: Ns
    liquidation: bool


class CommissionCharged(Message, frozen=True):
    """Message 59."""

    exec_id: Word
    commission_usd: Usd


class PositionReport(Message, frozen=True):
    """Message 61. `part` of a share is held beside the whole ones; it does not count."""

    account: Word
    symbol: Word
    shares: SignedShares
    average_cost_usd: Usd
    part: Annotated[float, Meta(ge=0, lt=1)] = 0.0


class Snapshot(Message, frozen=True):
    """The broker's books, asked for in one go; each part was ended by TWS's own End message.

    `begun_ns` is host time at which it was asked for.
    """

    number: int
    begun_ns: Ns
    open_orders: Annotated[tuple[OpenOrder, ...], Many]
    statuses: Annotated[tuple[StatusReport, ...], Many]
    completed: Annotated[tuple[CompletedOrder, ...], Many]
    executions: Annotated[tuple[ExecutionReport, ...], Many]
    positions: Annotated[tuple[PositionReport, ...], Many]


class SnapshotFailed(Message, frozen=True):
    number: int
    reason: Text


class NotSent(Message, frozen=True):
    """Proof that an order or what-if never left: nothing of it was written to the socket."""

    order_id: OrderId
    reason: Text


class NextOrderId(Message, frozen=True):
    """Message 9 after the handshake: TWS has seen every smaller id from this client id."""

    order_id: HeardId


# --- account and price -------------------------------------------------------------------------


class Holding(Struct, frozen=True, array_like=True, gc=False):
    """One row of TWS's portfolio. `mark_usd` is None where TWS has no price; `profit_usd`, of the
    day's sales and of what is held, is 0 where TWS tells it in another currency."""

    symbol: Word
    security: Word
    shares: SignedShares
    mark_usd: Price | None
    profit_usd: Usd
    average_cost_usd: Usd


class AccountRows(Message, frozen=True):
    """All account rows (key, value, currency) as they stood when a refresh was complete."""

    account: Word
    rows: Annotated[tuple[tuple[Word, Word, Word], ...], Many]
    holdings: Annotated[tuple[Holding, ...], Many]


class PnlReport(Message, frozen=True):
    """Message 95, of the SMH position; `daily_usd` is None while TWS has none."""

    shares: SignedShares
    value_usd: Usd
    unrealized_usd: Usd
    daily_usd: Usd | None


class WhatIfReply(Message, frozen=True):
    """The second answer to a what-if, the one with the margins."""

    order_id: HeardId
    init_before_usd: Usd
    init_after_usd: Usd
    maint_after_usd: Usd
    equity_with_loan_after_usd: Usd
    commission_usd: Usd


class OwnPrice(Message, frozen=True):
    """The gateway's own sight of SMH, for its limits: the mid of a sound quote, else the last."""

    price_usd: Price
    kind: DataKind


class ContractKnown(Message, frozen=True):
    """The one instrument, as TWS's contract details name it."""

    con_id: int
    symbol: Word
    primary_exchange: Word


class ContractProblem(Message, frozen=True):
    """The settings name no instrument, or more than one."""

    reason: Text


# --- effects -----------------------------------------------------------------------------------


class Subscribe(Message, frozen=True):
    """Account rows, SMH's contract, price and profit and loss of this account, from now on."""

    account: Word


class AskAccount(Message, frozen=True):
    """Account rows alone, all of them anew."""

    account: Word


class TakeSnapshot(Message, frozen=True):
    """Ask for open and completed orders, executions and positions; Snapshot or SnapshotFailed."""

    number: int
    account: Word


class SendOrder(Message, frozen=True):
    """placeOrder. On disk before it is performed; NotSent when nothing could be written.

    Orders of one `oca_group` exclude each other at the broker: a fill of one cancels the rest.
    """

    order_id: OrderId
    account: Word
    order_ref: Word
    order: Order
    oca_group: Word = ""


class SendCancel(Message, frozen=True):
    order_id: OrderId


class AskPreview(Message, frozen=True):
    """A what-if for a market purchase."""

    key: Word
    order_id: OrderId
    account: Word
    shares: Shares


class ReserveIds(Message, frozen=True):
    """Ask TWS for its next order id; NextOrderId."""


TwsMessage = (
    LinkUp | LinkDown | TwsError | ClockCompared | Unread
    | OpenOrder | StatusReport | ExecutionReport | CommissionCharged | PositionReport
    | Snapshot | SnapshotFailed | NotSent | NextOrderId
    | AccountRows | PnlReport | WhatIfReply | OwnPrice | ContractKnown | ContractProblem
)  # fmt: skip
Effect = Subscribe | AskAccount | TakeSnapshot | SendOrder | SendCancel | AskPreview | ReserveIds
TWS_MESSAGES: tuple[type[Message], ...] = get_args(TwsMessage)
EFFECTS: tuple[type[Message], ...] = get_args(Effect)
