"""Every message of the system, on one page.

Commands are imperative and are asked of one service, which answers Accepted or Refused. Facts are
past tense or nouns and are published by the one service that `topology.py` names. All are frozen,
typed and validated when decoded: a NaN, an infinity, a bool for a number or a field too many is
refused at the door. Units stand last in names: `_usd`, `_ns` (UTC nanoseconds of market time unless
the name says host), `_s`, `_fraction`. Money and prices are finite floats; shares are whole.
"""

# No postponed annotations here: msgspec would compile each of them anew at every start.
from datetime import date
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

Usd = Annotated[float, Meta(ge=-1e12, le=1e12)]
ReckonedUsd = Annotated[float, Meta(ge=-1e18, le=1e18)]
"""An amount that we work out: of shares and prices at their bounds it may exceed what is heard."""
Price = Annotated[float, Meta(gt=0, le=1e6)]
Ratio = Annotated[float, Meta(ge=0, le=1e3)]
Shares = Annotated[int, Meta(ge=0, le=10_000_000)]
SignedShares = Annotated[int, Meta(ge=-10_000_000, le=10_000_000)]
Ns = Annotated[int, Meta(ge=0, le=1 << 62)]
Seconds = Annotated[float, Meta(ge=-1e9, le=1e9)]
WORD_MAX = 80
Word = Annotated[str, Meta(max_length=WORD_MAX)]
TEXT_MAX = 2000
Text = Annotated[str, Meta(max_length=TEXT_MAX)]

DataKind = Literal["none", "live", "frozen", "delayed", "delayed_frozen"]
Side = Literal["BULL", "BEAR"]
Action = Literal["BUY", "SELL"]
Purpose = Literal["ENTRY", "EXIT", "STOP"]
Reason = Literal["signal", "test", "stop", "bear", "flatten", "resting_stop"]
OrderType = Literal["MKT", "LMT", "STP"]
Mode = Literal["ACTIVE", "HALTED", "LOCKED"]
AlertLevel = Literal["page", "notice"]

# IB's own strings, then ours: DENIED by us before sending, REJECTED by the broker, UNKNOWN until
# proven, ABANDONED when it is proven that an entry never reached the broker.
OrderStatus = Literal[
    "PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "ApiCancelled", "Cancelled",
    "Filled", "Inactive", "DENIED", "REJECTED", "UNKNOWN", "ABANDONED",
]  # fmt: skip
DONE_STATUSES: frozenset[str] = frozenset(
    {"ApiCancelled", "Cancelled", "Filled", "DENIED", "REJECTED", "ABANDONED"}
)


class Message(Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True, gc=False):
    """What all messages share: a tuple on the wire, its type's name first."""


class Now(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The instant at which a decider judges: market time (UTC ns) and host time (monotonic ns)."""

    market_ns: Ns
    host_ns: Ns


# --- what the loop itself tells a decider ------------------------------------------------------


class Started(Message, frozen=True):
    """The process has folded its journal and joined the bus; `settings_json` are today's."""

    settings_json: Annotated[str, Meta(max_length=20_000)]


class Tick(Message, frozen=True):
    """Time has passed (at least twenty times a host second). Never changes a state by itself."""


class DiskState(Message, frozen=True):
    """Whether the journal's disk has room; without it entries stop and exits still leave."""

    roomy: bool
    free_mb: Usd


class JournalDamaged(Message, frozen=True):
    """The journal was readable only up to `offset` of `file`; what came after is set aside."""

    file: Text
    offset: Annotated[int, Meta(ge=0)]
    why: Text


class Silence(Message, frozen=True):
    """A topic that topology gives a longest silence has fallen silent (or speaks again)."""

    topic: Word
    silent: bool


class Unanswered(Message, frozen=True):
    """A command of ours passed its deadline without an answer; it is no longer asked."""

    key: Word
    command: Word


# --- market_feed -------------------------------------------------------------------------------


class Quote(Message, frozen=True):
    """A valid SMH price. `mark_usd` = mid of a fresh uncrossed narrow quote, else last.

    `agree`: mid and last tell the same story, so one sample may confirm a breach.
    `tick_ns`, `tick_host_ns`: market and host time at which the newest tick behind it was heard.
    """

    tick_ns: Ns
    bid_usd: Price | None
    ask_usd: Price | None
    last_usd: Price | None
    mark_usd: Price
    agree: bool
    kind: DataKind
    tick_host_ns: Ns = 0


class VixLevel(Message, frozen=True):
    """The VIX index, in points, and how it reached us."""

    tick_ns: Ns
    level: Price
    kind: DataKind


class Session(Message, frozen=True):
    """Today's (or the coming) regular session and the one after it, in UTC ns.

    `previous_day`: the session before it, whose close the day's signal stands on. `broker_agrees`
    is None until the broker's liquidHours were seen; False stops entries.
    """

    previous_day: date
    day: date
    open_ns: Ns
    close_ns: Ns
    early: bool
    next_day: date
    next_open_ns: Ns
    next_close_ns: Ns
    broker_agrees: bool | None


class OpeningPrint(Message, frozen=True):
    """The session's official opening price (`official`), or the first valid mid in its place: of
    the first minute, or of later in the day where the official one does not come.

    `corrected`: it takes the place of one that was of before the open.
    """

    day: date
    price_usd: Price
    official: bool
    corrected: bool = False


class Distribution(Message, frozen=True):
    """What TWS's two closes say that a share of SMH is paid, `day` being its ex-date.

    The final daily close of the session before, less tick 9, which is that close adjusted for
    corporate actions. 0 takes back what was said before.
    """

    day: date
    distribution_usd: Annotated[float, Meta(ge=0, le=1e6)]


class DailyHistory(Message, frozen=True):
    """All final daily closes, oldest first, on one split-adjusted scale, not dividend-adjusted."""

    days: Annotated[tuple[date, ...], Meta(max_length=3000)]
    closes_usd: Annotated[tuple[Price, ...], Meta(max_length=3000)]

    def __post_init__(self) -> None:
        if len(self.days) != len(self.closes_usd):
            raise ValueError("a daily history has one close for each day")


class DailyBar(Message, frozen=True):
    """One session's bar: provisional at the close, final once the broker's daily bar confirms."""

    day: date
    open_usd: Price
    high_usd: Price
    low_usd: Price
    close_usd: Price
    final: bool


class FeedState(Message, frozen=True):
    """The feed about itself. `problem` is a plain sentence with the mend, or empty."""

    connected: bool
    kind: DataKind
    halted: bool
    competing: bool
    tick_ns: Ns
    problem: Text


# --- signal_engine -----------------------------------------------------------------------------


class Signal(Message, frozen=True):
    """Both EMAs at a session's close and the side they give.

    `flip_close_usd`: the next close at which the side would turn (None when no price could).
    """

    day: date
    fast_usd: Price
    slow_usd: Price
    side: Side
    final: bool
    bars: Annotated[int, Meta(ge=0, le=100_000)]
    flip_close_usd: Price | None


class SignalChanged(Message, frozen=True):
    """The side turned at a session's close."""

    day: date
    before: Side
    after: Side
    final: bool


class TargetPosition(Message, frozen=True):
    """What the strategy wants held: leverage x equity in SMH, or nothing (0.0).

    Decided on the final signal of `signal_day`, for the session `day`; void after `valid_until_ns`.
    """

    day: date
    signal_day: date
    leverage: Ratio
    leverage_why: Text
    valid_until_ns: Ns


# --- risk_monitor ------------------------------------------------------------------------------


class BaselineSet(Message, frozen=True):
    """The equity that the day's stop is measured from, written once at the open.

    `night_usd`: what the price made since the close before of the shares held over night; None
    where nothing was held or that close is not known.
    """

    day: date
    baseline_usd: ReckonedUsd
    shares: Shares
    price_usd: Price | None
    source: Word
    labelled: Text
    night_usd: ReckonedUsd | None = None


class DistributionCounted(Message, frozen=True):
    """SMH's own distribution, which is no loss of the stop's: so much of it has accrued as well.

    `counted_usd`: of all shares, since the session's day began.
    """

    day: date
    distribution_usd: Price
    counted_usd: Usd


class Equity(Message, frozen=True):
    """The stop's arithmetic now. `equity_usd` = baseline + profit and loss of SMH since.

    `age_s`: of its price when this was said; `sampled_ns`: when that price was heard.
    """

    day: date
    equity_usd: ReckonedUsd
    baseline_usd: ReckonedUsd
    stop_usd: ReckonedUsd
    stop_price_usd: Price | None
    shares: SignedShares
    mark_usd: Price
    leverage: Ratio
    flow_usd: ReckonedUsd
    source: Word
    age_s: Seconds
    armed: bool
    sampled_ns: Ns = 0


class StopArmed(Message, frozen=True):
    """The stop's level for the position as it stands. Its silence tells the gateway that nobody
    watches it."""

    day: date
    stop_usd: ReckonedUsd
    stop_price_usd: Price | None
    shares: Shares


class BreachSuspected(Message, frozen=True):
    """A sample below the stop that may not fire alone; a second one confirms or clears it."""

    day: date
    sampled_ns: Ns
    equity_usd: ReckonedUsd
    stop_usd: ReckonedUsd
    mark_usd: Price
    source: Word


class BreachCleared(Message, frozen=True):
    """The next sample was above the stop: the suspected breach was none."""

    day: date
    mark_usd: Price


class StopHit(Message, frozen=True):
    """A confirmed breach; stays fired until flat."""

    day: date
    equity_usd: ReckonedUsd
    stop_usd: ReckonedUsd
    mark_usd: Price
    why: Text


class Check(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    name: Word
    ok: bool
    detail: Text


class GoNoGo(Message, frozen=True):
    """The readiness line before the entry: each thing that an entry needs, ok or its reason."""

    day: date
    checks: Annotated[tuple[Check, ...], Meta(max_length=32)]


class EntryRefused(Message, frozen=True):
    """No entry, with the reason a person can act on. `final`: not tried again this session."""

    day: date
    reason: Text
    final: bool


class EntryClamped(Message, frozen=True):
    """The margin rule lowered the leverage below the table's."""

    day: date
    table: Ratio
    allowed: Ratio
    why: Text


class Entered(Message, frozen=True):
    day: date
    shares: Shares
    price_usd: Price
    leverage: Ratio
    equity_usd: ReckonedUsd
    again: bool


class Exited(Message, frozen=True):
    day: date
    shares: Shares
    price_usd: Price
    reason: Reason
    profit_usd: ReckonedUsd
    equity_usd: ReckonedUsd


class ExitFailed(Message, frozen=True):
    """An exit order ended with shares left; another follows. `rejected`: by the broker."""

    day: date
    intent_id: Word
    shares_left: Shares
    rejected: bool
    reason: Text


class RiskState(Message, frozen=True):
    """Mode, alarm and everything that answers "why am I not in the market?".

    `resting_usd`: the level of the stop that rests at the broker; None while none does.
    `unwatched`: why the stop monitor would not sell what is held at its stop; "" while it would.
    """

    mode: Mode
    breached: Text
    reasons: Annotated[tuple[Text, ...], Meta(max_length=32)]
    pending: Text
    shares: SignedShares
    entry_done: bool
    stop_fired: bool
    uninvested_usd: ReckonedUsd
    liquidation_price_usd: Price | None
    protected_by: Text
    resting_usd: Price | None = None
    unwatched: Text = ""


class DaySummary(Message, frozen=True):
    """A session in one line. `return_fraction`: since the close before it, the gap included.

    `start_equity_usd`: of that close where shares were held at it, else the day's first baseline.
    """

    day: date
    entries: Annotated[int, Meta(ge=0)]
    stops: Annotated[int, Meta(ge=0)]
    exits: Annotated[int, Meta(ge=0)]
    shares: SignedShares
    start_equity_usd: ReckonedUsd
    equity_usd: ReckonedUsd
    return_fraction: Annotated[float, Meta(ge=-100, le=100)]


# --- order_executor ----------------------------------------------------------------------------


class Order(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An order as decided, independent of any broker.

    `intent_id` is deterministic (session, purpose, attempt) and travels in IB's orderRef.
    `price_usd` is what it was sized at; past `deadline_ns` (market time) it must not leave.
    `purpose` STOP: it rests at the broker, who sells at market once the bid has fallen to
    `stop_usd`; `limit_usd` and `stop_usd` belong to order types LMT and STP alone.
    """

    intent_id: Annotated[str, Meta(max_length=32, pattern=r"^\d{8}-(ENTRY|EXIT|STOP)-\d{1,3}\Z")]
    day: date
    purpose: Purpose
    reason: Reason
    action: Action
    shares: Annotated[int, Meta(gt=0, le=10_000_000)]
    order_type: OrderType
    limit_usd: Price | None
    outside_rth: bool
    price_usd: Price
    deadline_ns: Ns
    stop_usd: Price | None = None


def purpose_of(intent_id: str) -> str:
    """The purpose that an intent's id names; "" where it names none."""
    _, _, rest = intent_id.partition("-")
    return rest.partition("-")[0]


GUARD_FIRST = 900
"""Exits numbered from here on are the gateway's own; below it, the stop monitor's."""


def guards(intent_id: str) -> bool:
    """Whether that order is an exit that the gateway decided on by itself."""
    _, _, number = intent_id.rpartition("-")
    return purpose_of(intent_id) == "EXIT" and number.isdigit() and int(number) >= GUARD_FIRST


class OrderState(Message, frozen=True):
    """Where an order stands, as far as it is proven."""

    intent_id: Word
    purpose: Purpose
    status: OrderStatus
    shares: Shares
    filled: Shares
    average_usd: Usd
    reason: Text


# --- broker_gateway ----------------------------------------------------------------------------


class BrokerLink(Message, frozen=True):
    """The gateway's word on its TWS. Entries need "ready"; exits of proven quantity need a link.

    down: no connection; reconciling: connected, not yet compared; degraded: TWS has lost IB (1100);
    ready: compared; locked: wrong account or mode, nothing is sent.
    """

    state: Literal["down", "reconciling", "degraded", "ready", "locked"]
    account: Word
    port: Annotated[int, Meta(ge=0, le=65535)]
    since_ns: Ns
    clock_offset_s: Seconds | None
    reason: Text


class AccountSnapshot(Message, frozen=True):
    """The account as the broker last said it; values of one completed refresh belong together.

    `refreshed_ns`: market time at which the broker completed the refresh (every 3 minutes, or when
    a position changes). `sma_usd` is None where the broker sends none. `portfolio_margin` is None
    when unproven. `other_profit_usd` is the profit of everything that is not SMH: unrealized, and
    realized since the broker's day began. `accrued_dividends_usd`: what net liquidation holds of
    dividends from their ex-date to their payment, of all holdings; None where the broker says none.
    """

    refreshed_ns: Ns
    net_liquidation_usd: Usd
    cash_usd: Usd
    equity_with_loan_usd: Usd
    init_margin_usd: Usd
    maint_margin_usd: Usd
    excess_liquidity_usd: Usd
    sma_usd: Usd | None
    portfolio_margin: bool | None
    shares: SignedShares
    average_cost_usd: Usd
    mark_usd: Price | None
    other_profit_usd: Usd
    accrued_dividends_usd: Usd | None = None


class BrokerPnl(Message, frozen=True):
    """IB's own profit and loss of the SMH position, about once a second (reqPnLSingle)."""

    heard_ns: Ns
    shares: SignedShares
    value_usd: Usd
    unrealized_usd: Usd
    daily_usd: Usd | None
    heard_host_ns: Ns = 0


class OrderUpdate(Message, frozen=True):
    """News of one of our orders from the broker, or the gateway's own verdict on it."""

    intent_id: Word
    order_id: Annotated[int, Meta(ge=0)]
    perm_id: Annotated[int, Meta(ge=0)]
    status: OrderStatus
    filled: Shares
    remaining: Shares
    average_usd: Usd
    code: int
    reason: Text


class Fill(Message, frozen=True):
    """One execution, once. `intent_id` is empty when the order was not ours.

    `liquidation`: IB forced it. `revision`: corrections carry the same root id, a higher revision.
    """

    exec_id: Word
    revision: Annotated[int, Meta(ge=0)]
    intent_id: Word
    action: Action
    shares: Annotated[int, Meta(gt=0, le=10_000_000)]
    price_usd: Price
    filled_ns: Ns
    liquidation: bool


class Commission(Message, frozen=True):
    exec_id: Word
    commission_usd: Usd


class OrderBook(Message, frozen=True):
    """Which SMH orders are alive, unknown or foreign; entries need all of it empty.

    `reconciled`: it was compared with the broker since the link came up.
    """

    reconciled: bool
    working: Annotated[tuple[Word, ...], Meta(max_length=64)]
    unknown: Annotated[tuple[Word, ...], Meta(max_length=64)]
    foreign_buy_shares: Shares
    foreign_sell_shares: Shares


class HaltLatch(Message, frozen=True):
    """The durable latch at the last hop: HALTED stops entries, LOCKED stops everything."""

    mode: Mode
    reason: Text
    since_ns: Ns


class MarginPreview(Message, frozen=True):
    """The answer of a what-if; `problem` says why there is none.

    `rejected`: the broker itself would not take an order of this size (201).
    """

    key: Word
    shares: Shares
    init_before_usd: Usd
    init_after_usd: Usd
    maint_after_usd: Usd
    equity_with_loan_after_usd: Usd
    commission_usd: Usd
    problem: Text
    rejected: bool = False


class BrokerNotice(Message, frozen=True):
    """A code from TWS that a person should see, translated by the table in `tws_codes.py`."""

    code: int
    kind: Literal["notice", "reject", "link", "data", "unknown"]
    text: Text
    mend: Text


# --- watchdog ----------------------------------------------------------------------------------


class Restarted(Message, frozen=True):
    """A process had ended and runs again.

    `count`: how often since the watchdog's start, or of itself since the system's.
    """

    process: Word
    count: Annotated[int, Meta(ge=1, le=1_000_000)]
    restarted_ns: Ns


# --- anyone ------------------------------------------------------------------------------------


class Heartbeat(Message, frozen=True):
    """Said by the work loop after a completed cycle, so a stuck loop falls silent.

    `caught_up_ns`: market time up to which everything heard was worked off. `said`: per topic kept
    for the session, how many facts this epoch has said, so that a hearer notices what it missed.
    """

    pid: int
    ready: bool
    busy: bool
    caught_up_ns: Ns
    build: Word
    settings_hash: Word
    verdict: Text
    said: Annotated[tuple[tuple[Word, int], ...], Meta(max_length=16)]


class Alert(Message, frozen=True):
    """What a person must know: a page repeats until acknowledged, a notice is said once.

    `code` names the condition, so that the same trouble is one alert; `raised` False ends it.
    """

    level: AlertLevel
    code: Word
    text: Text
    raised: bool


class Pace(Message, frozen=True):
    """The pacer's word in a simulated run: speed of market time and who holds it."""

    speed: Annotated[float, Meta(ge=0, le=1e6)]
    held_by: Text
    days_done: Annotated[int, Meta(ge=0)]


class RunEnded(Message, frozen=True):
    """The simulated days that were asked for are over."""

    days: Annotated[int, Meta(ge=0)]


# --- commands and their answers ----------------------------------------------------------------


class PlaceOrder(Message, frozen=True):
    """risk_monitor to order_executor: bring this order about and follow its life."""

    key: Word
    deadline_ns: Ns
    order: Order


class SubmitOrder(Message, frozen=True):
    """To broker_gateway: send this order once. The same key again is the same order."""

    key: Word
    deadline_ns: Ns
    order: Order


class CancelOrder(Message, frozen=True):
    """To broker_gateway: cancel the order of this intent."""

    key: Word
    deadline_ns: Ns
    intent_id: Word
    why: Text


class PreviewMargin(Message, frozen=True):
    """risk_monitor to broker_gateway: what-if for a purchase; answered again by MarginPreview."""

    key: Word
    deadline_ns: Ns
    shares: Annotated[int, Meta(gt=0, le=10_000_000)]


class Halt(Message, frozen=True):
    """No new risk from now on; exits go. Durable."""

    key: Word
    deadline_ns: Ns
    by: Word
    reason: Text


class Resume(Message, frozen=True):
    """Leave HALTED, after the person has seen what differs."""

    key: Word
    deadline_ns: Ns
    by: Word


class Flatten(Message, frozen=True):
    """Sell all SMH now (or at the next open) and stay out until resumed."""

    key: Word
    deadline_ns: Ns
    by: Word


class Adopt(Message, frozen=True):
    """Take the SMH position that was found as ours."""

    key: Word
    deadline_ns: Ns
    by: Word


class Unlock(Message, frozen=True):
    """Leave LOCKED, with the reason on record."""

    key: Word
    deadline_ns: Ns
    by: Word
    reason: Text


class AckAlerts(Message, frozen=True):
    """A person has seen the pages; they stop repeating."""

    key: Word
    deadline_ns: Ns
    by: Word


class TestAlert(Message, frozen=True):
    """Send a page through the alert command, to see that it arrives."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    key: Word
    deadline_ns: Ns


class Recap(Message, frozen=True):
    """Say your state again: asked by a hearer that starts or has missed something."""

    key: Word
    deadline_ns: Ns


class Accepted(Message, frozen=True):
    """The answer yes: done, or already done before under the same key."""

    key: Word
    note: Text


class Refused(Message, frozen=True):
    """The answer no, with the reason a person can act on. Nothing was changed."""

    key: Word
    reason: Text


Internal = Started | Tick | DiskState | JournalDamaged | Silence | Unanswered
Fact = (
    Quote | VixLevel | Session | OpeningPrint | Distribution | DailyHistory | DailyBar | FeedState
    | Signal | SignalChanged | TargetPosition
    | BaselineSet | DistributionCounted | Equity | StopArmed
    | BreachSuspected | BreachCleared | StopHit | GoNoGo | EntryRefused | EntryClamped
    | Entered | Exited | ExitFailed | RiskState | DaySummary
    | OrderState
    | BrokerLink | AccountSnapshot | BrokerPnl | OrderUpdate | Fill | Commission | OrderBook
    | HaltLatch | MarginPreview | BrokerNotice
    | Restarted | Heartbeat | Alert | Pace | RunEnded
)  # fmt: skip
Command = (
    PlaceOrder | SubmitOrder | CancelOrder | PreviewMargin | Halt | Resume | Flatten | Adopt
    | Unlock | AckAlerts | TestAlert | Recap
)  # fmt: skip
Answer = Accepted | Refused
FACTS: tuple[type[Message], ...] = get_args(Fact)
COMMANDS: tuple[type[Message], ...] = get_args(Command)
ANSWERS: tuple[type[Message], ...] = get_args(Answer)
INTERNALS: tuple[type[Message], ...] = get_args(Internal)
