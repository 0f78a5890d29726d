"""What the risk monitor knows, and how each message changes it. Decisions stand in risk.py.

The ledger follows the SMH position from fills alone; the broker's own count is compared with it,
never mixed into it. The baseline remembers position, price and equity at one instant, so that the
stop's equity = baseline + profit and loss of SMH since: deposits and other holdings cannot move it.
"""

from __future__ import annotations

import re
from datetime import date

from msgspec import Struct, field

from common import settings as settings_file
from common.clock import SECOND_NS
from common.core import rules
from common.messages import (
    DONE_STATUSES,
    Accepted,
    AccountSnapshot,
    Adopt,
    Alert,
    BaselineSet,
    BreachCleared,
    BreachSuspected,
    BrokerLink,
    BrokerPnl,
    Commission,
    DailyBar,
    DaySummary,
    DiskState,
    Entered,
    EntryRefused,
    Equity,
    Exited,
    ExitFailed,
    FeedState,
    Fill,
    Flatten,
    GoNoGo,
    Halt,
    HaltLatch,
    JournalDamaged,
    MarginPreview,
    Message,
    Now,
    OpeningPrint,
    Order,
    OrderBook,
    OrderState,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    PreviewMargin,
    Quote,
    Reason,
    Refused,
    Resume,
    RiskState,
    Session,
    Signal,
    Silence,
    Started,
    StopArmed,
    StopHit,
    SubmitOrder,
    TargetPosition,
)
from common.settings import Settings

# A position change without a fill is believed after so long: fills and snapshots race each other.
MISMATCH_NS = 2 * SECOND_NS


class Baseline(Struct):
    """Equity, position and price at the instant the stop is measured from.

    `cash_flow_usd`: money from fills since then, sales positive, commissions negative.
    """

    day: date
    baseline_usd: float
    shares: int
    price_usd: float
    source: str
    labelled: str = ""
    cash_flow_usd: float = 0.0
    anchor_nlv_usd: float | None = None
    anchor_profit_usd: float = 0.0


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
    asked_ns: int
    leverage: float = 0.0
    equity_usd: float = 0.0
    status: OrderStatus = "PendingSubmit"
    reason: str = ""
    reported: int = 0
    filled: int = 0
    value_usd: float = 0.0
    acknowledged: bool = False
    direct: bool = False
    again: bool = False


class Day(Struct):
    """What happened in one session, for its summary and its once-a-day rules."""

    day: date
    entries: int = 0
    stops: int = 0
    exits: int = 0
    entry_done: bool = False
    entry_over: str = ""
    refusals: int = 0
    stop_ns: int = 0
    start_equity_usd: float = 0.0
    gap_usd: float = 0.0
    readiness_said: bool = False
    summary_said: bool = False
    last_refusal: str = ""
    refusals_said: set[str] = field(default_factory=set)


class State(Struct):
    """Everything the risk monitor decides from; each field is set by `evolve` alone."""

    settings: Settings
    session: Session | None = None
    quote: Quote | None = None
    before_quote: Quote | None = None
    pnl: BrokerPnl | None = None
    opening: OpeningPrint | None = None
    closing: DailyBar | None = None
    signal: Signal | None = None
    target: TargetPosition | None = None
    feed: FeedState | None = None
    link: BrokerLink | None = None
    account: AccountSnapshot | None = None
    book: OrderBook | None = None
    latch: HaltLatch | None = None
    silent: set[str] = field(default_factory=set)
    roomy: bool = True

    shares: int | None = None
    ledger_from_ns: int = 0
    ours: bool = True
    mismatch_since_ns: int = 0
    fills: dict[str, Booked] = field(default_factory=dict)
    commissions: dict[str, float] = field(default_factory=dict)
    baseline: Baseline | None = None
    flow_usd: float = 0.0
    uninvested_usd: float = 0.0

    day: Day | None = None
    breach: BreachSuspected | None = None
    stop_fired: bool = False
    fired_host_ns: int = 0
    bear_pending: bool = False
    flatten_pending: bool = False
    entry: Plan | None = None
    exit: Plan | None = None
    exit_attempt: dict[str, int] = field(default_factory=dict)
    exit_failures: int = 0
    exit_retry_host_ns: int = 0
    exit_slices: int = 1
    preview: MarginPreview | None = None
    preview_asked: str = ""
    preview_count: int = 0
    preview_host_ns: int = 0

    halts: dict[str, str] = field(default_factory=dict)
    alerts: dict[str, str] = field(default_factory=dict)
    said_state: RiskState | None = None
    said_armed: StopArmed | None = None
    said_equity_host_ns: int = 0
    done_keys: set[str] = field(default_factory=set)


def start(settings: Settings) -> State:
    return State(settings=settings)


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
    return 0.0 if base is None else base.baseline_usd + profit_usd(state, mark_usd)


def stop_usd(state: State) -> float:
    """The equity at which the stop fires. After a withdrawal the smaller base is the stricter."""
    base = state.baseline
    if base is None:
        return 0.0
    risk_base_usd = base.baseline_usd + min(0.0, state.flow_usd)
    return rules.stop_level(
        base.baseline_usd, max(0.0, risk_base_usd), state.settings.stop.loss_fraction
    )


def without_figures(reason: str) -> str:
    """A reason as it is told apart from others: an age that counts up is no news."""
    return re.sub(r"[\d.,]+", "#", reason)


def capped(state: State, equity: float) -> float:
    """Equity the strategy may use: at most `account.capital_usd_max`, when that is set."""
    cap = state.settings.account.capital_usd_max
    return min(equity, cap) if cap > 0 else equity


def in_session(state: State, now: Now) -> bool:
    session = state.session
    return session is not None and session.open_ns <= now.market_ns < session.close_ns


def evolve(state: State, now: Now, message: Message) -> None:  # noqa: C901, PLR0912, PLR0915  (one case a message: a table)
    """Folds one message into the state."""
    match message:
        case Quote():
            if state.breach is None:  # a jump is measured from the last price nobody doubted
                state.before_quote = state.quote
            state.quote = message
        case BrokerPnl():
            state.pnl = message
        case Session():
            _take_session(state, message)
        case OpeningPrint():
            state.opening = message
        case DailyBar():
            if message.final or state.closing is None or state.closing.day <= message.day:
                state.closing = message
        case Signal():
            _take_signal(state, message)
        case TargetPosition():
            state.target = message
        case FeedState():
            state.feed = message
        case BrokerLink():
            state.link = message
        case AccountSnapshot():
            _take_account(state, now, message)
        case OrderBook():
            state.book = message
        case HaltLatch():
            state.latch = message
        case Fill():
            _take_fill(state, message)
        case Commission():
            _take_commission(state, message)
        case OrderUpdate():
            _take_status(state, message)
        case OrderState():
            if message.status in ("DENIED", "UNKNOWN"):
                _take_status(state, message)
        case MarginPreview():
            if message.key == state.preview_asked:
                state.preview = message
        case Accepted() | Refused():
            _take_answer(state, message)
        case Silence():
            (state.silent.add if message.silent else state.silent.discard)(message.topic)
        case DiskState():
            state.roomy = message.roomy
        case JournalDamaged():
            state.halts["journal"] = f"journal {message.file} damaged at byte {message.offset}"
        case Started():
            state.settings = settings_file.from_json(message.settings_json)
            state.silent = set()
            state.said_state = None
        case Halt() | Resume() | Adopt() | Flatten():
            _take_person(state, message)
        case _:
            _take_own(state, now, message)


def _take_own(state: State, now: Now, message: Message) -> None:  # noqa: C901, PLR0912, PLR0915  (the same)
    """What the risk monitor itself has said: its decisions become its state here."""
    match message:
        case BaselineSet():
            _take_baseline(state, message)
        case BreachSuspected():
            state.breach = message
        case BreachCleared():
            state.breach = None
        case StopHit():
            state.stop_fired = True
            state.fired_host_ns = now.host_ns
            state.breach = None
            if state.day is not None:
                state.day.stops += 1
                state.day.stop_ns = now.market_ns
        case StopArmed():
            state.said_armed = message
        case Equity():
            state.said_equity_host_ns = now.host_ns
        case RiskState():
            state.said_state = message
        case Alert():
            if message.raised:
                state.alerts[message.code] = message.text
            else:
                state.alerts.pop(message.code, None)
        case GoNoGo():
            if state.day is not None:
                state.day.readiness_said = True
            state.preview, state.preview_asked = None, ""
        case EntryRefused():
            if state.day is not None:
                state.day.last_refusal = message.reason
                state.day.refusals_said.add(without_figures(message.reason))
                if state.entry is not None and state.entry.status in DONE_STATUSES:
                    state.day.refusals += 1
                    state.entry = None
                    state.preview, state.preview_asked = None, ""
                if message.final:
                    state.day.entry_over = message.reason
        case Entered():
            if state.day is not None:
                state.day.entries += 1
            state.entry = None
            state.uninvested_usd = 0.0
        case Exited():
            _take_exited(state, message)
        case DaySummary():
            if state.day is not None:
                state.day.summary_said = True
        case PreviewMargin():
            state.preview_asked = message.key
            state.preview_count += 1
            state.preview_host_ns = now.host_ns
            state.preview = None
        case PlaceOrder():
            _take_plan(state, now, message.order)
        case SubmitOrder():
            if state.exit is not None:
                state.exit.direct = True
        case ExitFailed():
            _take_exit_failed(state, now, message)
        case _:
            pass


def refusal(state: State, command: Halt | Resume | Adopt | Flatten) -> str:
    """Why a person's command changes nothing; "" when it is carried out."""
    if isinstance(command, (Resume, Adopt)) and (state.shares or 0) < 0:
        return "the account is short SMH; cover it in TWS first"
    return ""


def _take_person(state: State, command: Halt | Resume | Adopt | Flatten) -> None:
    """What a person commands, once per key: a late repeat must not undo a later command."""
    if command.key in state.done_keys or refusal(state, command):
        return
    state.done_keys.add(command.key)
    match command:
        case Halt(by="risk_monitor"):
            pass  # our own word to the gateway's latch; here it is set already
        case Halt():
            state.halts["person"] = command.reason
        case Resume():
            state.halts.clear()
            state.flatten_pending = False
        case Adopt():
            state.ours = True
        case Flatten():
            state.halts["flatten"] = f"flattened by {command.by}"
            state.flatten_pending = bool(state.shares) or state.entry is not None


def _take_session(state: State, session: Session) -> None:
    state.session = session
    if state.day is None or session.day > state.day.day:
        state.day = Day(day=session.day)
        state.opening = state.opening if _same_day(state.opening, session.day) else None
        state.breach = None
        state.preview, state.preview_asked = None, ""
        state.preview_count = 0
        state.exit_attempt = {}
        state.entry = None
        if state.exit is not None and state.exit.status in DONE_STATUSES:
            state.exit = None  # executions it reported never came; the broker's count was believed
        if state.shares:
            state.uninvested_usd = max(0.0, state.uninvested_usd + state.flow_usd)
        state.flow_usd = 0.0
        state.done_keys = set()
        # A correction or a commission may come a day late.
        state.fills = {k: f for k, f in state.fills.items() if f.day >= session.previous_day}
        state.commissions = {k: c for k, c in state.commissions.items() if k in state.fills}
        _when_flat(state)


def _when_flat(state: State) -> None:
    """With nothing held and no exit on its way, every reason to leave has been served."""
    if not state.shares and state.exit is None:
        state.stop_fired = False
        state.bear_pending = False
        state.flatten_pending = state.flatten_pending and state.entry is not None


def _same_day(opening: OpeningPrint | None, day: date) -> bool:
    return opening is not None and opening.day == day


def _take_signal(state: State, signal: Signal) -> None:
    state.signal = signal
    if signal.final:
        state.bear_pending = signal.side == "BEAR" and bool(state.shares)


def _take_account(state: State, now: Now, account: AccountSnapshot) -> None:
    state.account = account
    if state.shares is None:
        state.shares = account.shares
        state.ledger_from_ns = account.refreshed_ns
        state.ours = account.shares == 0
        _halt_when_short(state)
    if account.shares == state.shares:
        state.mismatch_since_ns = 0
        _compare_net_liquidation(state, account)
    elif state.mismatch_since_ns == 0:
        state.mismatch_since_ns = now.market_ns
    elif now.market_ns - state.mismatch_since_ns > MISMATCH_NS:
        _believe_broker(state, account)


def _believe_broker(state: State, account: AccountSnapshot) -> None:
    """The broker is the truth for positions. A split changes shares and price together; anything
    else that no fill explains was done by someone else and halts."""
    before = state.shares or 0
    state.mismatch_since_ns = 0
    if _split_booked(state, before, account):
        return
    base = state.baseline
    state.shares = account.shares
    state.halts["foreign"] = (
        f"the position went from {before} to {account.shares} shares without an order of ours"
    )
    if base is not None and account.mark_usd is not None:
        base.cash_flow_usd -= (account.shares - before) * account.mark_usd
    state.ours = state.ours and account.shares == 0
    _halt_when_short(state)
    _when_flat(state)


def _split_booked(state: State, before: int, account: AccountSnapshot) -> bool:
    """Takes a split: the share count moved by a split's ratio, and the broker's mark stands nearer
    to the price that leads to than to the price before."""
    base, mark_usd, price_usd = state.baseline, account.mark_usd, reference_price(state)
    if base is None or mark_usd is None or before <= 0 or price_usd <= 0:
        return False
    ratio = account.shares / before
    if not is_split(ratio) or abs(mark_usd - price_usd / ratio) >= abs(mark_usd - price_usd):
        return False
    state.shares = account.shares
    base.price_usd /= ratio
    base.shares = round(base.shares * ratio)
    base.labelled = f"split {ratio:g}"
    state.quote = state.before_quote = None
    if state.day is not None:
        state.day.entry_over = "a split was booked today"
    return True


def reference_price(state: State) -> float:
    """The price the stop is measured from: the baseline's, or what an entry paid; 0 without one."""
    base = state.baseline
    if base is None or not state.shares:
        return 0.0
    return base.price_usd or max(0.0, -base.cash_flow_usd / state.shares)


def _halt_when_short(state: State) -> None:
    if (state.shares or 0) < 0:
        state.halts["short"] = "the account is short SMH; cover it in TWS"


def is_split(ratio: float) -> bool:
    """Whether a ratio of share counts is one that splits come in."""
    known = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 1.5, 4 / 3, 1.25)
    return ratio > 0 and any(
        abs(value / r - 1.0) < 0.01 for r in known for value in (ratio, 1.0 / ratio)
    )


def _compare_net_liquidation(state: State, account: AccountSnapshot) -> None:
    """Net liquidation of one completed refresh against what fills and prices explain."""
    base = state.baseline
    if base is None or (account.mark_usd is None and state.shares):
        return
    profit = profit_usd(state, account.mark_usd or 0.0)
    if base.anchor_nlv_usd is None:
        base.anchor_nlv_usd = account.net_liquidation_usd
        base.anchor_profit_usd = profit
        return
    explained = base.anchor_nlv_usd + profit - base.anchor_profit_usd
    difference = account.net_liquidation_usd - explained
    limit = state.settings.stop.flow_fraction_max * abs(account.net_liquidation_usd)
    state.flow_usd = difference if abs(difference) > limit else 0.0


def _take_fill(state: State, fill: Fill) -> None:
    booked = state.fills.get(fill.exec_id)
    if booked is not None and booked.revision >= fill.revision:
        return
    signed = fill.shares if fill.action == "BUY" else -fill.shares
    today = state.session.day if state.session is not None else date.min
    day = booked.day if booked is not None else today
    state.fills[fill.exec_id] = Booked(day, fill.revision, fill.intent_id, signed, fill.price_usd)
    if state.shares is None or (booked is None and fill.filled_ns <= state.ledger_from_ns):
        return  # the account snapshot that began the ledger holds it already
    _book_plan(state, fill, booked)
    old_shares = booked.signed_shares if booked else 0
    old_usd = booked.signed_shares * booked.price_usd if booked else 0.0
    if not state.shares:
        _first_fill(state, fill, today)
    state.shares += signed - old_shares
    state.mismatch_since_ns = 0
    if state.baseline is not None:
        state.baseline.cash_flow_usd -= signed * fill.price_usd - old_usd
    if booked is None:
        _charge(state, fill.exec_id)
    if fill.liquidation:
        state.halts["liquidation"] = f"the broker liquidated {fill.shares} shares"
    elif not fill.intent_id:
        state.halts["foreign"] = f"{fill.action} {fill.shares} shares that we did not order"
    _halt_when_short(state)
    _when_flat(state)


def _first_fill(state: State, fill: Fill, today: date) -> None:
    """From an entry's first share on, the stop is measured from the equity of that moment."""
    entry = state.entry
    if entry is None or fill.intent_id != entry.order.intent_id:
        return
    if state.settings.stop.baseline != "off":
        state.baseline = Baseline(
            day=today,
            baseline_usd=entry.equity_usd,
            shares=0,
            price_usd=0.0,
            source="entry fill",
        )
    state.breach = None
    state.stop_fired = False
    state.flow_usd = 0.0
    if state.day is not None:
        state.day.entry_done = True


def _book_plan(state: State, fill: Fill, before: Booked | None) -> None:
    for plan in (state.entry, state.exit):
        if plan is not None and plan.order.intent_id == fill.intent_id:
            plan.acknowledged = True
            plan.filled += fill.shares - (abs(before.signed_shares) if before else 0)
            plan.value_usd += fill.shares * fill.price_usd - (
                abs(before.signed_shares) * before.price_usd if before else 0.0
            )


def _take_commission(state: State, commission: Commission) -> None:
    if commission.exec_id not in state.commissions:
        state.commissions[commission.exec_id] = commission.commission_usd
        _charge(state, commission.exec_id)


def _charge(state: State, exec_id: str) -> None:
    """Counts a commission once it and its fill are both known, in whichever order they came, when
    the fill belongs to this baseline. An entry's lowers the baseline itself: the stop is measured
    after the fill."""
    base, booked = state.baseline, state.fills.get(exec_id)
    commission_usd = state.commissions.get(exec_id, 0.0)
    if base is None or booked is None or booked.day < base.day:
        return
    if booked.signed_shares > 0:
        base.baseline_usd -= commission_usd
    else:
        base.cash_flow_usd -= commission_usd


def _take_status(state: State, news: OrderUpdate | OrderState) -> None:
    for plan in (state.entry, state.exit):
        if plan is not None and plan.order.intent_id == news.intent_id:
            plan.reported = max(plan.reported, news.filled)
            if plan.status in DONE_STATUSES and news.status not in DONE_STATUSES:
                return
            plan.status = news.status
            plan.reason = news.reason or plan.reason
            plan.acknowledged = plan.acknowledged or news.status != "UNKNOWN"


def _take_answer(state: State, answer: Accepted | Refused) -> None:
    for plan in (state.entry, state.exit):
        if plan is not None and plan.order.intent_id == answer.key:
            plan.acknowledged = True
            if isinstance(answer, Refused) and plan.filled == 0:
                plan.status = "DENIED"
                plan.reason = answer.reason
    if answer.key == state.preview_asked and isinstance(answer, Refused):
        state.preview = MarginPreview(
            key=answer.key,
            shares=0,
            init_before_usd=0.0,
            init_after_usd=0.0,
            maint_after_usd=0.0,
            equity_with_loan_after_usd=0.0,
            commission_usd=0.0,
            problem=answer.reason,
        )


def _take_plan(state: State, now: Now, order: Order) -> None:
    plan = Plan(order=order, asked_host_ns=now.host_ns, asked_ns=now.market_ns)
    if order.purpose == "EXIT":
        state.exit = plan
        key = f"{order.day:%Y%m%d}"
        state.exit_attempt[key] = state.exit_attempt.get(key, 0) + 1
        return
    account = state.account
    plan.equity_usd = capped(state, account.net_liquidation_usd) if account else 0.0
    plan.leverage = order.shares * order.price_usd / plan.equity_usd if plan.equity_usd > 0 else 0.0
    plan.again = state.day is not None and state.day.stops > 0
    state.entry = plan
    state.preview, state.preview_asked = None, ""


def _take_baseline(state: State, message: BaselineSet) -> None:
    state.baseline = Baseline(
        day=message.day,
        baseline_usd=message.baseline_usd,
        shares=message.shares,
        price_usd=message.price_usd or 0.0,
        source=message.source,
        labelled=message.labelled,
    )
    state.flow_usd = 0.0
    state.breach = None
    if state.day is not None and state.day.start_equity_usd == 0.0:
        state.day.start_equity_usd = message.baseline_usd
        if message.price_usd is not None and state.closing is not None:
            gap = message.price_usd - state.closing.close_usd
            state.day.gap_usd = message.shares * gap if state.closing.day < message.day else 0.0
    if state.account is not None and state.account.shares == state.shares:
        _compare_net_liquidation(state, state.account)


def _take_exited(state: State, message: Exited) -> None:
    reason: Reason = message.reason
    if state.day is not None:
        state.day.exits += 1
    state.exit = None
    state.exit_slices = 1
    state.exit_failures = 0
    if state.shares and reason == "bear":
        state.bear_pending = True
    _when_flat(state)


def _take_exit_failed(state: State, now: Now, message: ExitFailed) -> None:
    """An exit that ended unfilled is tried again, each time a little later, after a margin
    rejection in smaller pieces."""
    state.exit = None
    state.exit_failures += 1
    wait_s = min(30, 2**state.exit_failures)
    state.exit_retry_host_ns = now.host_ns + wait_s * SECOND_NS
    if message.rejected:
        state.exit_slices = min(
            state.exit_slices * state.settings.exit.reject_slices, state.shares or 1
        )
