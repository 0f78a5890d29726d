"""One order: what the client asked for (the ticket) and what became of it.

States are IB's own strings. A done order never comes back; fills only add.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.sim_tws.contracts import Instrument

PENDING_SUBMIT = "PendingSubmit"
PRE_SUBMITTED = "PreSubmitted"
SUBMITTED = "Submitted"
PENDING_CANCEL = "PendingCancel"
CANCELLED = "Cancelled"
FILLED = "Filled"
INACTIVE = "Inactive"
DONE = frozenset({CANCELLED, FILLED, INACTIVE})

MARKET_TYPES = frozenset({"MKT", "MOC"})
STOP_TYPES = frozenset({"STP", "STP LMT", "TRAIL", "MIT"})
LIMIT_TYPES = frozenset({"LMT", "LOC", "STP LMT"})
CLOSE_TYPES = frozenset({"MOC", "LOC"})
ORDER_TYPES = MARKET_TYPES | STOP_TYPES | LIMIT_TYPES
TIFS = frozenset({"DAY", "GTC", "IOC", "FOK", "OPG", "GTD"})


@dataclass(frozen=True, slots=True)
class Ticket:
    """An order as the client wrote it. Prices in USD, sizes in shares, None = unset."""

    action: str
    quantity: float
    order_type: str
    limit_usd: float | None = None
    aux_usd: float | None = None
    tif: str = "DAY"
    oca_group: str = ""
    account: str = ""
    open_close: str = ""
    origin: int = 0
    order_ref: str = ""
    transmit: bool = True
    parent_id: int = 0
    block_order: bool = False
    sweep_to_fill: bool = False
    display_size: int | None = None
    trigger_method: int = 0
    outside_rth: bool = False
    hidden: bool = False
    discretionary_usd: float = 0.0
    good_after: str = ""
    good_till: str = ""
    fa_group: str = ""
    fa_method: str = ""
    fa_percentage: str = ""
    fa_profile: str = ""
    model_code: str = ""
    oca_type: int = 0
    rule_80a: str = ""
    settling_firm: str = ""
    all_or_none: bool = False
    min_quantity: int | None = None
    trail_stop_usd: float | None = None
    trailing_percent: float | None = None
    opt_out_smart_routing: bool = False
    clearing_account: str = ""
    clearing_intent: str = ""
    not_held: bool = False
    what_if: bool = False
    solicited: bool = False
    randomize_size: bool = False
    randomize_price: bool = False
    cash_quantity: float | None = None
    use_price_mgmt_algo: bool = False
    duration_s: int | None = None
    auto_cancel_parent: bool = False
    unsupported: str = ""  # the first feature asked for that this exchange does not trade

    @property
    def side(self) -> int:
        """+1 buys, -1 sells."""
        return 1 if self.action == "BUY" else -1


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill, as execDetails and commissionReport tell it."""

    exec_id: str
    ts_ns: int
    instrument: Instrument
    client_id: int
    order_id: int
    perm_id: int
    account: str
    exchange: str
    side: int
    shares: float
    price_usd: float
    cumulative: float
    average_usd: float
    order_ref: str
    liquidation: bool
    commission_usd: float
    realized_usd: float | None  # None on an opening fill


@dataclass(slots=True)
class Order:
    """A live or done order in the book."""

    client_id: int
    order_id: int
    perm_id: int
    instrument: Instrument
    exchange: str
    ticket: Ticket
    status: str = PENDING_SUBMIT
    filled: float = 0.0
    average_usd: float = 0.0
    last_fill_usd: float = 0.0
    commission_usd: float = 0.0
    why_held: str = ""
    triggered: bool = False
    touched: tuple[float, float] | None = None  # the quote before, if beyond a double bid/ask level
    held_for_parent: bool = False
    unnumbered: bool = False
    deactivated: bool = False  # Inactive, yet not done: IB may work it later, and a cancel ends it
    stop_usd: float | None = None  # the trailing level, once it has one
    slice_due_ns: int = 0  # no further piece before this market instant
    slices: int = 0
    completed_ns: int = 0
    completed_reason: str = ""
    liquidation: bool = False
    quantity: float = field(default=0.0)

    def __post_init__(self) -> None:
        self.quantity = self.quantity or self.ticket.quantity
        self.stop_usd = self.stop_usd or self.ticket.trail_stop_usd

    @property
    def remaining(self) -> float:
        return max(0.0, self.quantity - self.filled)

    @property
    def done(self) -> bool:
        return self.status in DONE and not (self.deactivated and self.status == INACTIVE)

    @property
    def told_perm_id(self) -> int:
        """As clients hear it."""
        return 0 if self.unnumbered and not self.filled else self.perm_id

    @property
    def key(self) -> tuple[int, int]:
        return self.client_id, self.order_id

    @property
    def waits_for_trigger(self) -> bool:
        return self.ticket.order_type in STOP_TYPES and not self.triggered
