"""How each message changes what the risk monitor knows: the only place that changes it."""

from __future__ import annotations

from datetime import date

from common import settings as settings_file
from common.clock import SECOND_NS
from common.core.monitor import baseline, dividends, ledger, own_orders, resting
from common.core.monitor.state import (
    Baseline,
    Day,
    SaidRefusal,
    State,
    equity_usd,
    without_figures,
)
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
    CancelOrder,
    Commission,
    DailyBar,
    DaySummary,
    DiskState,
    Distribution,
    DistributionCounted,
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
    OrderBook,
    OrderState,
    OrderUpdate,
    PlaceOrder,
    PreviewMargin,
    Quote,
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
    Tick,
)

PRICES = (BrokerPnl, Equity)
"""Messages that, as a Quote does, leave orders, position and stop level as they are."""

SET_BACK = "this machine's clock had run ahead into the next session: look at its time service"
"""Why a day that comes a second time has no entry: what was done in it is not known any more."""

DENIED_PAUSE_NS = 15 * SECOND_NS
"""Market time before an entry that our own gateway refused is tried again."""


def evolve(state: State, now: Now, message: Message) -> None:
    """Folds one message into the state."""
    if isinstance(message, Quote):  # nearly all that is heard
        if state.breach is None:  # a jump is measured from the last price nobody doubted
            state.before_quote = state.quote
        state.quote = message
        return
    if isinstance(message, Tick):
        return  # time teaches nothing
    shares = state.shares
    _take(state, now, message)
    if not isinstance(message, PRICES):
        state.counted = state.counted if state.shares == shares else now
        own_orders.settle_exit(state, now)
        resting.note(state, now)


def _take(state: State, now: Now, message: Message) -> None:  # noqa: C901, PLR0912, PLR0915  (one case a message: a table)
    match message:
        case BrokerPnl(shares=shares, value_usd=value_usd):
            state.pnl = message
            price_usd = value_usd / shares if shares > 0 else None
            baseline.note_broker_price(
                state, now, shares, price_usd, message.heard_ns, borne_out=False
            )
        case Session():
            _take_session(state, message)
        case OpeningPrint():
            if not _same_day(state.opening, message.day):
                state.opening_ns = now.market_ns
            state.opening = message
        case Distribution():
            state.distribution = message
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
            _take_link(state, message)
        case AccountSnapshot():
            ledger.take_account(state, now, message)
            mark_usd, told_ns = message.mark_usd, message.refreshed_ns
            baseline.note_broker_price(
                state, now, message.shares, mark_usd, told_ns, borne_out=True
            )
        case OrderBook():
            state.book = message
        case HaltLatch():
            if state.latch is not None and state.latch.mode == "LOCKED" != message.mode:
                state.exit_failures = 0  # nothing was sent: the broker has refused nothing
            state.latch = message
        case Fill():
            ledger.take_fill(state, now, message)
            _note_bear(state)
        case Commission():
            ledger.take_commission(state, message)
        case OrderUpdate():
            own_orders.take_status(state, now, message)
        case OrderState():
            if message.status == "DENIED":  # all else the gateway says itself
                own_orders.take_denial(state, message.intent_id, message.reason)
        case MarginPreview():
            if message.key == state.preview_asked:
                state.preview = message
                state.preview_rejections += message.rejected
        case Accepted() | Refused():
            own_orders.take_answer(state, message)
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
            state.unrested_host_ns = 0
        case Halt() | Resume() | Adopt() | Flatten():
            _take_person(state, message)
        case _:
            _take_own(state, now, message)


def _take_own(state: State, now: Now, message: Message) -> None:  # noqa: C901, PLR0912, PLR0915  (the same)
    """What the risk monitor itself has said: its decisions become its state here."""
    match message:
        case BaselineSet():
            _take_baseline(state, message)
        case DistributionCounted():
            dividends.take_counted(state, message)
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
            own_orders.forget_preview(state)
        case EntryRefused():
            if state.day is not None:
                state.day.last_refusal = message.reason
                said = SaidRefusal(now.market_ns, message.reason)
                state.day.refusals_said.setdefault(without_figures(message.reason), said)
                if state.entry is not None and state.entry.status in DONE_STATUSES:
                    state.day.refusals += 1
                    if state.entry.status == "DENIED":  # by our own gateway, perhaps for a moment
                        state.day.retry_ns = now.market_ns + DENIED_PAUSE_NS
                    else:
                        state.day.rejections += 1
                    state.day.given_up, state.entry = state.entry, None
                    own_orders.forget_preview(state)
                if message.final:
                    state.day.entry_over = message.reason
        case Entered():
            if state.day is not None:
                state.day.entries += 1
            state.entry = None
            state.uninvested_usd = 0.0
        case Exited():
            own_orders.take_exited(state, message)
        case DaySummary():
            if state.day is not None:
                state.day.summary_said = True
                state.day.summed_usd = message.equity_usd if message.shares > 0 else 0.0
        case PreviewMargin():
            state.preview_asked = message.key
            state.preview_count += 1
            state.preview_host_ns = now.host_ns
            state.preview = None
        case PlaceOrder():
            own_orders.take_plan(state, now, message.order)
        case SubmitOrder():
            if message.order.purpose == "STOP":
                own_orders.take_stop(state, now, message.order)
            elif state.exit is not None:
                state.exit.direct = True
        case CancelOrder():
            state.cancelled.add(message.intent_id)
            if state.resting is not None and state.resting.order.intent_id == message.intent_id:
                state.resting.cancelling = True
        case ExitFailed():
            own_orders.take_exit_failed(state, now, message)
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
            state.flatten_called_off = state.flatten_pending and state.shares != 0
            state.flatten_pending = False
        case Adopt():
            state.ours = True
            _note_bear(state)
        case Flatten():
            state.halts["flatten"] = f"flattened by {command.by}"
            # None: what the account holds is not known yet, and is sold once it is
            state.flatten_pending = state.shares != 0 or state.entry is not None


def _take_session(state: State, session: Session) -> None:
    state.session = session
    if state.day is None or session.day != state.day.day:
        before = state.day
        went_back = before is not None and session.day < before.day
        state.day = Day(day=session.day, entry_over=SET_BACK if went_back else "")
        state.day.overnight_shares = max(0, state.shares or 0)
        state.day.accrued_usd = 0.0 if before is None or went_back else before.evening_usd
        state.day.close_equity_usd = _close_equity_usd(state, session, before)
        state.opening = state.opening if _same_day(state.opening, session.day) else None
        state.breach = None
        own_orders.forget_preview(state)
        state.preview_count = 0
        state.exit_attempt = {}
        state.entry = None
        if state.exit is not None and state.exit.status in DONE_STATUSES:
            state.exit = None  # executions it reported never came; the broker's count was believed
        if state.resting is not None and state.resting.status in DONE_STATUSES:
            state.resting = None
        state.cancelled = set()
        _carry_flow(state)
        state.done_keys = set()
        # A correction or a commission may come a day late, a repeat after a clock that ran ahead.
        newest = max((fill.day for fill in state.fills.values()), default=session.day)
        oldest = min(session.previous_day, newest)
        state.fills = {k: f for k, f in state.fills.items() if f.day >= oldest}
        state.commissions = {k: c for k, c in state.commissions.items() if k in state.fills}
        ledger.when_flat(state)


def _close_equity_usd(state: State, session: Session, before: Day | None) -> float:
    """What a held position's next day is measured from: the equity that was summed up, so that a
    sale after hours is not lost, else that at the close; 0 where nothing was held."""
    if before is not None and before.day == session.previous_day and before.summed_usd:
        return before.summed_usd
    closing = state.closing
    if not state.shares or closing is None or closing.day != session.previous_day:
        return 0.0
    return equity_usd(state, closing.close_usd)


def _carry_flow(state: State) -> None:
    """A flow lasts as long as the baseline of what is held: under `entry` over the night too."""
    if state.shares and state.settings.stop.baseline == "entry":
        return
    if state.shares:
        state.uninvested_usd = max(0.0, state.uninvested_usd + state.flow_usd)
    state.flow_usd = 0.0


def _take_link(state: State, link: BrokerLink) -> None:
    state.link = link
    offset_s = link.clock_offset_s
    if offset_s is not None:  # a new connection has not compared yet, the clock is the same
        ahead = offset_s > state.settings.data.clock_offset_s_max
        state.clock_ahead_ns = int(offset_s * SECOND_NS) if ahead else 0


def _same_day(opening: OpeningPrint | None, day: date) -> bool:
    return opening is not None and opening.day == day


def _take_signal(state: State, signal: Signal) -> None:
    state.signal = signal
    if signal.final:
        state.bear_pending = False
        _note_bear(state)


def _note_bear(state: State) -> None:
    """What is held on a final BEAR signal is to be sold, whichever of the two was heard first."""
    signal = state.signal
    if signal is not None and signal.final and signal.side == "BEAR" and state.shares:
        state.bear_pending = True


def _take_baseline(state: State, message: BaselineSet) -> None:
    before = state.baseline
    if before is None or before.day != message.day:
        ledger.settle_night(state, message)
    state.baseline = Baseline(
        day=message.day,
        baseline_usd=message.baseline_usd,
        shares=message.shares,
        price_usd=message.price_usd or 0.0,
        source=message.source,
        labelled=message.labelled,
        retaken=before is not None and before.day == message.day,
    )
    state.flow_usd = 0.0
    state.breach = None
    if state.day is not None and state.day.day == message.day:
        state.day.start_equity_usd = message.baseline_usd
    if state.account is not None:  # the one it is made of
        ledger.compare_net_liquidation(state, state.account)
