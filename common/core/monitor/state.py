"""What the risk monitor knows, and what follows from it by arithmetic.

The baseline remembers position, price and equity at one instant, so that the stop's equity =
baseline + profit and loss of SMH since: deposits and other holdings cannot move it. How each
message changes all this stands in heard.py.
"""

from __future__ import annotations

import re
from datetime import date

from msgspec import Struct, field

from common.clock import SECOND_NS
from common.core import rules
from common.messages import (
    DONE_STATUSES,
    AccountSnapshot,
    BreachSuspected,
    BrokerLink,
    BrokerPnl,
    DailyBar,
    Distribution,
    FeedState,
    HaltLatch,
    MarginPreview,
    Now,
    OpeningPrint,
    Order,
    OrderBook,
    OrderStatus,
    Quote,
    RiskState,
    Session,
    Signal,
    StopArmed,
    TargetPosition,
)
from common.settings import Settings

PRICE_USD_MAX = 1e6  # what messages take for a price
EXIT_RETRY_S_MAX = 30
"""Host seconds between two tries of an exit, at most."""
FORGOTTEN_NS = 10 * SECOND_NS
"""Host time after which a stop that the gateway does not list is none: its journal was damaged."""
BEFORE_OPEN_NS = 600 * SECOND_NS
"""IB reports an account at least every three minutes."""
SPLIT_DAYS = 7
"""Within which no price halves or doubles without a split."""
FILLS_COME_NS = 5 * SECOND_NS
"""Host time by which executions may come after the status that reports them."""


class Anchor(Struct):
    """What net liquidation is compared with: itself and the profit explained, in one account.

    Taken anew with the first account of each session: a day's interest is within the tolerance,
    that of weeks would look like a withdrawal. What accrues of dividends since is added.
    """

    day: date
    net_liquidation_usd: float
    profit_usd: float


class Baseline(Struct):
    """Equity, position and price at the instant the stop is measured from.

    `cash_flow_usd`: money from fills since then, sales positive, commissions negative. `recounted`:
    the broker's share count was believed since then without a fill that explains it. `retaken`: it
    stands in the place of another one of its day. `settled_flow_usd`: money moved until
    the anchor was taken. `unused_usd`: net liquidation beyond `account.capital_usd_max`.
    """

    day: date
    baseline_usd: float
    shares: int
    price_usd: float
    source: str
    labelled: str = ""
    cash_flow_usd: float = 0.0
    recounted: bool = False
    retaken: bool = False
    anchor: Anchor | None = None
    settled_flow_usd: float = 0.0
    unused_usd: float = 0.0


class BrokerPrice(Struct):
    """The first price of SMH that the broker's own account told in a session, USD."""

    day: date
    price_usd: float
    heard_ns: int
    borne_out: bool


class Booked(Struct):
    """A fill as it stands in the ledger, so that a repeat changes nothing and a correction does."""

    day: date
    revision: int
    intent_id: str
    signed_shares: int
    price_usd: float


class Plan(Struct):
    """An order of ours on its way, from the decision until it is done."""

    order: Order
    asked_host_ns: int
    leverage: float = 0.0
    equity_usd: float = 0.0
    sized_on: AccountSnapshot | None = None
    """An entry's account, of which `equity_usd` may be used."""
    status: OrderStatus = "PendingSubmit"
    reason: str = ""
    reported: int = 0
    filled: int = 0
    value_usd: float = 0.0
    acknowledged: bool = False
    direct: bool = False
    again: bool = False
    cancelling: bool = False
    recounted: bool = False
    """The broker's share count was believed since it was asked for: it may hold fills of it."""
    ended_host_ns: int = 0
    """When its last status was heard."""


class SaidRefusal(Struct):
    """A reason why there was no entry: when it was said first (market time), and how."""

    first_ns: int
    reason: str


class Day(Struct):
    """What happened in one session, for its summary and its once-a-day rules."""

    day: date
    entries: int = 0
    stops: int = 0
    exits: int = 0
    rests: int = 0
    """Stops placed at the broker."""
    guards: int = 0
    """Number of the gateway's own exit that was followed last."""
    entry_done: bool = False
    entry_over: str = ""
    refusals: int = 0
    rejections: int = 0
    retry_ns: int = 0
    stop_ns: int = 0
    overnight_shares: int = 0
    """Held when the day's session became the current one, usually the evening before."""
    accrued_usd: float = 0.0
    """Dividends of all holdings that accrued since the close before the session."""
    evening_usd: float = 0.0
    """Those that accrued after its own close."""
    counted_usd: float = 0.0
    """Of them SMH's own, as counted for its stop."""
    start_equity_usd: float = 0.0
    close_equity_usd: float = 0.0
    """Equity of the close before; 0 where nothing was held at it, or it is not known."""
    settled_usd: float = 0.0
    """Profit since that close under baselines that were replaced, and what entries cost."""
    summed_usd: float = 0.0
    """Equity at the summary; 0 before it, and where nothing was held at it."""
    readiness_said: bool = False
    summary_said: bool = False
    last_refusal: str = ""
    refusals_said: dict[str, SaidRefusal] = field(default_factory=dict)
    """By the reason without its figures."""
    given_up: Plan | None = None
    """The last entry that ended without a share; the broker may fill it after all."""


class State(Struct):
    """Everything the risk monitor decides from; each field is set by `evolve` alone."""

    settings: Settings
    session: Session | None = None
    quote: Quote | None = None
    before_quote: Quote | None = None
    pnl: BrokerPnl | None = None
    broker_open: BrokerPrice | None = None
    opening: OpeningPrint | None = None
    opening_ns: int = 0
    """Market time when the day's opening price was heard first."""
    distribution: Distribution | None = None
    closing: DailyBar | None = None
    signal: Signal | None = None
    target: TargetPosition | None = None
    feed: FeedState | None = None
    link: BrokerLink | None = None
    clock_ahead_ns: int = 0
    """How far this machine's clock was ahead of the broker's when they were compared last, where
    that is too far."""
    account: AccountSnapshot | None = None
    book: OrderBook | None = None
    latch: HaltLatch | None = None
    silent: set[str] = field(default_factory=set)
    roomy: bool = True

    shares: int | None = None
    counted: Now | None = None
    """When their number changed last."""
    ledger_from_ns: int = 0
    unexplained_shares: int = 0
    """By which the broker's count moved when it was believed, as far as no execution explains it;
    sold: negative."""
    ours: bool = True
    mismatch_since_ns: int = 0
    mismatch_since_host_ns: int = 0
    fills: dict[str, Booked] = field(default_factory=dict)
    commissions: dict[str, float] = field(default_factory=dict)
    baseline: Baseline | None = None
    accrued_usd: float | None = None
    """Dividends accrued, as the broker said them last."""
    flow_usd: float = 0.0
    uninvested_usd: float = 0.0

    day: Day | None = None
    breach: BreachSuspected | None = None
    stop_fired: bool = False
    fired_host_ns: int = 0
    bear_pending: bool = False
    flatten_pending: bool = False
    flatten_called_off: bool = False
    """By the newest resume: what was to be sold is kept."""
    entry: Plan | None = None
    exit: Plan | None = None
    exit_attempt: dict[str, int] = field(default_factory=dict)
    exit_failures: int = 0
    exit_rejected: str = ""
    exit_retry_host_ns: int = 0
    exit_piece: int = 0
    """Shares that an exit sells at once since the broker rejected more; 0: all."""
    exit_pieces_sold: int = 0
    """Pieces of that size sold so far."""
    resting: Plan | None = None
    """The newest stop at the broker, also when it is done; None once its sale was told."""
    cancelled: set[str] = field(default_factory=set)
    """Orders whose cancel was asked for today."""
    unrested_host_ns: int = 0
    """Since when a stop that should rest at the broker does not; 0 while all is well."""
    preview: MarginPreview | None = None
    preview_asked: str = ""
    preview_count: int = 0
    preview_host_ns: int = 0
    preview_rejections: int = 0
    """How often the broker's what-if rejected a size of this entry."""

    halts: dict[str, str] = field(default_factory=dict)
    liquidated_shares: int = 0
    """Sold by the broker itself, as the halt of that name says."""
    alerts: dict[str, str] = field(default_factory=dict)
    said_state: RiskState | None = None
    said_armed: StopArmed | None = None
    said_equity_host_ns: int = 0
    done_keys: set[str] = field(default_factory=set)


def start(settings: Settings) -> State:
    return State(settings=settings)


def plans(state: State) -> list[Plan]:
    """The orders of ours that are followed."""
    return [plan for plan in (state.entry, state.exit, state.resting) if plan is not None]


def profit_usd(state: State, mark_usd: float) -> float:
    """Profit of SMH since the baseline at `mark_usd`; 0 without a baseline."""
    base = state.baseline
    if base is None:
        return 0.0
    return rules.profit_since(
        state.shares or 0, mark_usd, base.shares, base.price_usd, base.cash_flow_usd
    )


def equity_usd(state: State, mark_usd: float) -> float:
    """The stop's equity: baseline plus profit since."""
    base = state.baseline
    if base is None:
        return 0.0
    return base.baseline_usd + rules.profit_since(
        state.shares or 0, mark_usd, base.shares, base.price_usd, base.cash_flow_usd
    )


def stop_usd(state: State) -> float:
    """The equity at which the stop fires."""
    return level_usd(state, state.settings.stop.loss_fraction)


def level_usd(state: State, loss_fraction: float) -> float:
    """The equity at which this much is lost. After a withdrawal the smaller base is the stricter.

    Under `account.capital_usd_max` what the cap leaves unused is withdrawn first.
    """
    base = state.baseline
    if base is None:
        return 0.0
    baseline_usd, flow_usd = base.baseline_usd, state.flow_usd
    if state.settings.account.capital_usd_max > 0:
        flow_usd += base.unused_usd
    return rules.stop_level(baseline_usd, rules.risk_base(baseline_usd, flow_usd), loss_fraction)


def reference_price(state: State) -> float:
    """The price the stop is measured from: the baseline's, or what an entry paid; 0 without one."""
    base = state.baseline
    if base is None or not state.shares:
        return 0.0
    return rules.reference_price(state.shares, base.price_usd, base.cash_flow_usd)


def split_reference(state: State) -> float:
    """The price that a split's is told by: the one the stop is measured from while it is recent,
    later the last close; 0 without one."""
    base, session, closing = state.baseline, state.session, state.closing
    if base is None or session is None or closing is None or not state.shares:
        return reference_price(state)
    recent = (session.day - base.day).days <= SPLIT_DAYS
    return reference_price(state) if recent else closing.close_usd


def shown_price(usd: float | None, digits: int = 9) -> float | None:
    """`usd` where it can be a price, else None: of a last share, the price at which millions would
    be won back is none."""
    price = 0.0 if usd is None else round(usd, digits)
    return price if 0.0 < price <= PRICE_USD_MAX else None


def without_figures(reason: str) -> str:
    """A reason as it is told apart from others: an age that counts up is no news."""
    return re.sub(r"[\d.,]+", "#", reason)


def capped(state: State, equity: float) -> float:
    """Equity the strategy may use: at most `account.capital_usd_max`, when that is set."""
    cap = state.settings.account.capital_usd_max
    return min(equity, cap) if cap > 0 else equity


def stop_alive(state: State, now: Now) -> bool:
    """Whether the stop at the broker may still sell, as far as is known."""
    plan, book = state.resting, state.book
    if plan is None or plan.status in DONE_STATUSES:
        return False
    listed = book is None or plan.order.intent_id in (*book.working, *book.unknown)
    young = 0 <= now.host_ns - plan.asked_host_ns < FORGOTTEN_NS
    return listed or young or not plan.acknowledged


def selling(state: State, now: Now) -> bool:
    """Whether the stop at the broker has begun to sell: then it is the exit, until it is done and
    the fills that it reports have had a moment to arrive."""
    plan = state.resting
    if plan is None or not max(plan.filled, plan.reported):
        return False
    awaited = plan.filled < plan.reported and 0 <= now.host_ns - plan.ended_host_ns < FILLS_COME_NS
    return stop_alive(state, now) or awaited


def of_session(state: State, account: AccountSnapshot) -> bool:
    """Whether the account was reported in this session, or just before its open: what was moved
    over night is no flow of the day's."""
    session = state.session
    return session is not None and account.refreshed_ns >= session.open_ns - BEFORE_OPEN_NS


def since_open_ns(state: State, now: Now, session: Session) -> int:
    """Market time since the open. Where our clock is known to run ahead the broker's counts: no
    price from before the open may be one of the session."""
    return now.market_ns - state.clock_ahead_ns - session.open_ns


def in_session(state: State, now: Now) -> bool:
    session = state.session
    return session is not None and session.open_ns <= now.market_ns < session.close_ns
