"""What the broker gateway knows: its link, its orders, the broker's books, its latch.

Plain data that a journal can hold; `outbox` alone changes it. Times named `_host_ns` are monotonic
host time and start anew with each process; `_market_ns` are UTC.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from msgspec import Struct, field

from common.clock import SECOND_NS
from common.core.gateway.guard import Guard
from common.messages import (
    AccountSnapshot,
    Action,
    BrokerLink,
    BrokerNotice,
    BrokerPnl,
    CancelOrder,
    Commission,
    DataKind,
    Fill,
    Halt,
    HaltLatch,
    MarginPreview,
    Mode,
    Now,
    Order,
    OrderBook,
    OrderStatus,
    OrderUpdate,
    PreviewMargin,
    Resume,
    Session,
    SubmitOrder,
    Unlock,
)
from common.settings import Settings

News = Fill | Commission | OrderUpdate | AccountSnapshot | BrokerPnl | BrokerNotice | MarginPreview
Asked = SubmitOrder | CancelOrder | PreviewMargin | Halt | Resume | Unlock

# PREPARED on disk, nothing left; SENDING the send is on disk, TWS has not answered; UNKNOWN it may
# or may not have left; WORKING TWS knows it; DONE nothing more can happen to it.
Stage = Literal["PREPARED", "SENDING", "UNKNOWN", "WORKING", "DONE"]
IN_DOUBT: frozenset[str] = frozenset({"SENDING", "UNKNOWN"})
AT_BROKER: frozenset[str] = frozenset({"SENDING", "UNKNOWN", "WORKING"})
WORKED_ON: frozenset[str] = frozenset({"PreSubmitted", "Submitted", "PendingCancel"})
"""The words in which TWS says that IB has an order."""
LIVE_AT_BROKER: frozenset[str] = WORKED_ON | {"PendingSubmit"}

NOT_YET = "not connected yet"
"""Why the link is down before the first attempt has ended."""


READ_ONLY = "the API is read-only: in TWS untick Global Configuration, API, Settings, Read-Only API"


class Outbound(Struct):
    """One order of ours, from its acceptance to its end; it has one order id, for ever."""

    order: Order
    stage: Stage = "PREPARED"
    status: OrderStatus = "PendingSubmit"
    order_id: int = 0
    perm_id: int = 0
    filled: int = 0
    """By executions; TWS's status reports may run ahead of them, see `reported_filled`."""
    cost_usd: float = 0.0
    reported_filled: int = 0
    average_usd: float = 0.0
    code: int = 0
    reason: str = ""
    sends: int = 0
    sent_host_ns: int = 0
    link_number: int = 0
    """The connection it was last sent on."""
    oca_group: str = ""
    """As it was sent; a second send bears the same."""
    position_before: int = 0
    traded_before: int | None = None
    """The position by fills, and `State.traded_shares`, when it was sent first: each execution that
    is told later counts in both."""
    missing: bool = False
    """The newest snapshot knew nothing of it; another will be taken."""
    absent: int = 0
    """Sound snapshots in a row that knew nothing of it."""
    absent_host_ns: int = 0
    inactive_host_ns: int = 0
    """Since when TWS calls it Inactive, or did until it ended; 0 while it does not."""
    absence_proven: bool = False
    """It never reached the broker: see `reconcile`."""
    cancel_wanted: bool = False
    cancel_sent: bool = False
    cancel_sent_host_ns: int = 0
    cancels: int = 0
    ended_at: int = 0
    """The newest comparison asked for when it was done: those books may tell of its life before."""
    found: bool = False
    """The broker's books told of it; that it was sent is not in this journal."""
    update: OrderUpdate | None = None
    """The newest word on it."""

    @property
    def remaining(self) -> int:
        """Shares that may still trade."""
        return max(0, self.order.shares - max(self.filled, self.reported_filled))

    @property
    def average_price_usd(self) -> float:
        return self.cost_usd / self.filled if self.filled else self.average_usd

    @property
    def untouched(self) -> bool:
        """Proven to be at the broker, and nothing of it has traded."""
        unfilled = not (self.filled or self.reported_filled)
        return self.stage == "WORKING" and self.status in WORKED_ON and unfilled

    @property
    def done(self) -> bool:
        return self.stage == "DONE"


class BookedFill(Struct):
    """An execution that was counted; `revision` is the newest correction of it."""

    revision: int
    intent_id: str
    action: Action
    shares: int
    price_usd: float
    market_ns: int


class ForeignOrder(Struct):
    """A live SMH order that is not ours."""

    action: Action
    remaining: int
    order_id: int
    client_id: int


class Preview(Struct):
    """A what-if under way."""

    key: str
    shares: int
    order_id: int
    asked_host_ns: int


class Link(Struct):
    """The connection, and what was compared over it."""

    up: bool = False
    number: int = 0
    """Counts connections; a send belongs to one of them."""
    port: int = 0
    account: str = ""
    next_order_id: int = 0
    """As the handshake said it: TWS has not seen this id, nor a larger one, from us."""
    refusal: str = ""
    """Why nothing may be sent to this TWS, or ""."""
    wrong_account: bool = False
    down_reason: str = NOT_YET
    degraded: bool = False
    """TWS has lost IB (1100, 2110)."""
    away: bool = False
    """By 2110 alone, which 1101 or 1102 need not end: a farm that is back ends it too."""
    healthy_host_ns: int = 0
    """Since when the link is up and not degraded."""
    since_market_ns: int = 0
    reconciled: bool = False
    position_said: bool = False
    """TWS has reported the SMH position over this connection."""
    refreshed: bool = False
    """The account was completely reported over this connection."""
    clock_offset_s: float | None = None
    subscribed_host_ns: int = 0
    account_asked_host_ns: int = 0
    instrument: str = ""
    """Why the instrument cannot be traded, or "" once it is known."""

    @property
    def healthy(self) -> bool:
        """Something may be sent and will reach IB."""
        return self.up and not self.degraded and not self.refusal


class Snapshots(Struct):
    """Comparisons with the broker's books."""

    number: int = 0
    pending: bool = False
    routine: bool = False
    """The pending one looks for orders that nobody tells us of; nothing waits for it."""
    wanted: bool = False
    next_host_ns: int = 0
    asked_host_ns: int = 0
    taken_market_ns: int = 0
    failure: str = ""
    failing_host_ns: int = 0
    """Since when each comparison that something waits for has failed; 0 while none has."""
    ever: bool = False
    """The books were compared at least once since this journal began."""

    @property
    def awaited(self) -> bool:
        """Nothing that adds risk is sent before this comparison."""
        return self.wanted or (self.pending and not self.routine)


class Said(Struct):
    """The newest words of each kept topic, so that only news is said."""

    link: BrokerLink | None = None
    book: OrderBook | None = None
    latch: HaltLatch | None = None
    alerts: dict[str, str] = field(default_factory=dict)


class State(Struct):
    """Everything; a fold of the journal."""

    settings: Settings
    link: Link = field(default_factory=Link)
    snapshots: Snapshots = field(default_factory=Snapshots)
    said: Said = field(default_factory=Said)
    unsaid: list[News] = field(default_factory=list)
    """Facts that a change brought about; the decision on that same change says them."""
    account: AccountSnapshot | None = None
    account_host_ns: int = 0
    mode: Mode = "ACTIVE"
    mode_reason: str = ""
    mode_since_ns: int = 0
    session: Session | None = None
    orders: dict[str, Outbound] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    fills: dict[str, BookedFill] = field(default_factory=dict)
    commissions: dict[str, float] = field(default_factory=dict)
    """By execution id, as charged."""
    foreign: dict[str, ForeignOrder] = field(default_factory=dict)
    """By the best of its `foreign.names`."""
    asked: Asked | None = None
    """The command being judged; its Accepted or Refused puts it into force."""
    position_reported: int = 0
    position_by_fills: int = 0
    position_part: float = 0.0
    """Of a share, beside those reported; it cannot be sold over the API and does not count."""
    traded_shares: int = 0
    """Bought less sold, by every execution heard of since this journal began."""
    differs_since_host_ns: int = 0
    excess_since_host_ns: int = 0
    """Since when stops at the broker might sell more than is held; 0 while they do not."""
    unexplained: str = ""
    """A position that neither executions nor a split explain; it halts."""
    liquidated: str = ""
    """What IB itself has sold, in words; "" once a person has resumed."""
    liquidated_shares: int = 0
    noticed: dict[int, int] = field(default_factory=dict)
    """Host ns at which a code was last said: TWS repeats some of them in bursts."""
    order_ids_used: int = 0
    """The largest order id we know of, ours or not."""
    actions: dict[str, int] = field(default_factory=dict)
    """Orders and cancels sent, by session day; those of stops at the broker for themselves."""
    preview: Preview | None = None
    previewed: dict[str, MarginPreview] = field(default_factory=dict)
    price_usd: float = 0.0
    price_market_ns: int = 0
    price_host_ns: int = 0
    price_kind: DataKind = "none"
    pnl_market_ns: int = 0
    pnl_host_ns: int = 0
    guard: Guard = field(default_factory=Guard)
    portfolio_margin: bool | None = None
    disk_roomy: bool = True
    relearning: bool = False
    """The journal was damaged: what it may have forgotten is yet to be learnt from the broker."""

    @property
    def held_proven(self) -> int:
        """Shares certainly held: the smaller of what TWS reports and what the fills add up to."""
        return min(self.position_reported, self.position_by_fills)

    @property
    def held_at_most(self) -> int:
        return max(self.position_reported, self.position_by_fills)

    def open_orders(self) -> list[Outbound]:
        """Our orders that are not done, oldest first."""
        return [out for out in self.orders.values() if out.stage != "DONE"]

    def by_order_id(self, order_id: int) -> Outbound | None:
        """The order of ours with that id; ids are never used twice."""
        if order_id <= 0:
            return None
        return next((o for o in self.orders.values() if o.order_id == order_id), None)

    def working_sells(self, but: str = "", group: str = "") -> int:
        """Shares that orders at the broker may still sell, ours (except `but`) and foreign ones.

        Orders of one OCA group count once while each is proven to be there untouched; otherwise
        each for itself. Those of `group` that so exclude `but` do not count beside it.
        """
        compared = self.link.healthy and self.link.reconciled
        each, once = self.foreign_sells, dict[str, int]()
        for intent, out in self.orders.items():
            if out.stage not in AT_BROKER or out.order.action != "SELL" or intent == but:
                continue
            if compared and out.oca_group and out.untouched:
                once[out.oca_group] = max(once.get(out.oca_group, 0), out.remaining)
            else:
                each += out.remaining
        once.pop(group, None)
        return each + sum(once.values())

    @property
    def foreign_sells(self) -> int:
        """Shares that live orders which are not ours may still sell."""
        return sum(order.remaining for order in self.foreign.values() if order.action == "SELL")

    @property
    def equity_usd(self) -> float:
        """Own equity: the last complete refresh, moved along by the own price; 0 when unknown."""
        account = self.account
        if account is None:
            return 0.0
        if not (self.price_usd and account.mark_usd and account.shares > 0):
            return account.net_liquidation_usd
        return account.net_liquidation_usd + account.shares * (self.price_usd - account.mark_usd)

    def next_order_id(self) -> int:
        """Never used, never reused: above the journal's, TWS's and every id seen."""
        return max(self.order_ids_used + 1, self.link.next_order_id, 1)


def seconds_since(now: Now, host_ns: int) -> float:
    """Host seconds since an instant of this process."""
    return (now.host_ns - host_ns) / SECOND_NS


def session_day(state: State, now: Now) -> date | None:
    """The session that `now` belongs to, or the coming one; None when no session is known."""
    session = state.session
    if session is None:
        return None
    return session.day if now.market_ns < session.next_open_ns else session.next_day
