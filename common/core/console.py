"""Decider of the console: each event becomes lines once, each trouble an alert until acknowledged.

A killed console repeats no line and loses none: lines carry the byte at which they belong in the
console's file, the newest are offered again at each start, and the edge leaves out what is there.
"""

from __future__ import annotations

from msgspec import Struct, field

from common import settings as settings_file
from common.clock import SECOND_NS
from common.console_messages import (
    EDGE_MESSAGES,
    AlertRan,
    Outcome,
    Print,
    RunAlertCommand,
    RunBegan,
    Stopping,
)
from common.core import console_lines as lines
from common.messages import (
    Accepted,
    AckAlerts,
    Alert,
    BaselineSet,
    BrokerLink,
    BrokerNotice,
    DaySummary,
    DiskState,
    DistributionCounted,
    Entered,
    EntryClamped,
    EntryRefused,
    Exited,
    ExitFailed,
    FeedState,
    GoNoGo,
    HaltLatch,
    Message,
    Now,
    OrderState,
    Restarted,
    RiskState,
    RunEnded,
    Signal,
    SignalChanged,
    Started,
    StopHit,
    TestAlert,
    Tick,
)
from common.settings import Settings

__all__ = ["EDGE_MESSAGES", "State", "busy", "decide", "evolve", "ready", "start"]

MAY_FORGET = True  # on a full disk an alert without a record is better than none
RECENT = 40  # groups of lines offered again at a start
COMMANDS_WAITING_MAX = 200  # alert commands kept for a console that comes back
KEYS_KEPT = 50
READ_ONLY = "read-only API"  # how the gateway's reason calls it
PATIENCE_NS = 10 * SECOND_NS  # host time for which a trouble that may pass by itself is not printed
CROSSING_NS = 3 * SECOND_NS  # the same for an exit refused while a stop rests at the broker
ORDER_KEY = "order "


class Page(Struct):
    """A trouble that has not ended; said at `due_ns` (host time), and again unless acknowledged."""

    text: str
    due_ns: int
    told: bool = False
    acknowledged: bool = False


class Pending(Struct):
    """A standing line that is printed at `due_ns` (host time) unless it has changed by then."""

    value: str
    text: str
    due_ns: int


class State(Struct):
    """What the person has been told, and what they still have to be told."""

    settings: Settings
    run: str = ""
    offset: int = 0
    recent: list[Print] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)
    signal: Signal | None = None
    baseline: BaselineSet | None = None
    linked: bool = False
    linked_host_ns: int = 0
    away: bool = False
    """The link was lost since it was ready last."""
    back: bool = False
    """It is ready again by the newest word."""
    shares: int = 0
    resting_usd: float | None = None
    resting_sold: bool = False
    data_seen: bool = False
    no_data: str = ""
    days: list[DaySummary] = field(default_factory=list)
    """Of the journal, whichever start summed them up: a run that is continued is one run."""
    ended: RunEnded | None = None
    ended_host_ns: int = 0
    pages: dict[str, Page] = field(default_factory=dict)
    patient_until_ns: int = 0
    ended_untold: bool = False
    commands: list[RunAlertCommand] = field(default_factory=list)
    next_command: int = 0
    answered: list[str] = field(default_factory=list)
    outcome: Outcome | None = None


def start(settings: Settings) -> State:
    return State(settings=settings)


def ready(state: State) -> str:
    return "" if state.run else "the edge has not started"


def busy(state: State) -> bool:  # noqa: ARG001 - nothing here is worth slowing the market for
    return False


def evolve(state: State, now: Now, message: Message) -> None:
    """Takes one message into the state; the only place that changes it."""
    match message:
        case Started(settings_json=text):
            state.settings = settings_file.from_json(text)
            for page in state.pages.values():
                page.due_ns = now.host_ns  # host time of another boot means nothing
            for pending in state.pending.values():
                pending.due_ns = now.host_ns
        case RunBegan(run=run) if run != state.run:
            state.run, state.shown, state.pending = run, {}, {}
            # At a start everything is missing for a moment.
            state.patient_until_ns = now.host_ns + PATIENCE_NS
            state.data_seen, state.no_data, state.linked = False, "", False
            state.away = state.back = False
            state.ended, state.outcome = None, None
        case Alert():
            _take_alert(state, now, message)
        case AckAlerts():
            for page in state.pages.values():
                page.acknowledged = True
        case Accepted(key=key):
            state.answered = [*state.answered, key][-KEYS_KEPT:]
        case Print():
            _take_print(state, message)
        case RunAlertCommand() | AlertRan():
            _take_command(state, now, message)
        case Outcome():
            state.outcome = message
        case _:
            _take_fact(state, now, message)


def _link_line(state: State, link: BrokerLink) -> tuple[str, str]:
    """What the standing line of the link says now, and its text; as it was while it only starts."""
    if link.state == "ready":
        return f"ready {link.port}", lines.connected(link, state.settings)
    if link.state == "locked" or link.reason:
        # One line per outage: which of the ports refused last is no news.
        why = "" if link.state == "down" else link.reason
        return f"{link.state} {why}"[:2000], lines.not_connected(link)
    return state.shown.get("link", ""), ""


def _take_standing(state: State, now: Now, key: str, value: str, text: str) -> None:
    """A line that stands is due once it differs from what is shown, trouble after a while."""
    if value == state.shown.get(key, ""):
        state.pending.pop(key, None)
        return
    known = state.pending.get(key)
    good = not value or value.startswith("ready")
    due_ns = now.host_ns + (0 if good else PATIENCE_NS)
    if known is not None and not good:
        due_ns = min(due_ns, known.due_ns)
    state.pending[key] = Pending(value, text, due_ns)


def _take_fact(state: State, now: Now, message: Message) -> None:
    match message:
        case BrokerLink():
            state.back = state.away and message.state == "ready"
            state.away = state.linked and message.state != "ready"
            if message.state == "ready" and not state.linked:
                state.linked, state.linked_host_ns = True, now.host_ns
            _take_standing(state, now, "link", *_link_line(state, message))
        case FeedState():
            state.data_seen = state.data_seen or message.kind != "none"
            state.no_data = "" if state.data_seen else _no_data(state, message)
            _take_standing(state, now, "data", message.problem, lines.data_problem(message))
        case Signal():
            state.signal = message
        case BaselineSet():
            state.baseline = message
        case Entered() | Exited():
            state.resting_sold = isinstance(message, Exited) and message.reason == "resting_stop"
            _excuse_refused(state, now)
        case OrderState():
            _take_refused(state, now, message)
        case RiskState(shares=shares, resting_usd=resting_usd):
            state.shares, state.resting_usd = shares, resting_usd
        case DaySummary():
            state.days = [day for day in state.days if day.day != message.day] + [message]
        case RunEnded():
            state.ended, state.ended_host_ns = message, now.host_ns
        case _:
            pass


def _take_refused(state: State, now: Now, order: OrderState) -> None:
    """The broker refuses an exit when the stop that rested there sells first, and the two are told
    by two speakers: while one rests, a refusal waits a little for the sale that explains it."""
    key = _order_key(order.intent_id)
    beaten = state.resting_sold or state.resting_usd is not None
    told = key in state.pending or state.shown.get(key) == order.status
    if order.purpose == "EXIT" and order.status == "REJECTED" and beaten and not told:
        due_ns = now.host_ns + CROSSING_NS
        state.pending[key] = Pending(order.status, lines.order_trouble(order), due_ns)
        _excuse_refused(state, now)


def _excuse_refused(state: State, now: Now) -> None:
    if not state.resting_sold:
        return
    for key, pending in state.pending.items():
        if key.startswith(ORDER_KEY):
            pending.text = lines.exit_not_needed(key.removeprefix(ORDER_KEY))
            pending.due_ns = now.host_ns


def _order_key(intent_id: str) -> str:
    return f"{ORDER_KEY}{intent_id}"


def _no_data(state: State, feed: FeedState) -> str:
    """Why no data will ever come, or "". A competing session's end brings them by itself."""
    hopeless = feed.connected and not feed.competing
    begins = f"no {state.settings.strategy.symbol} data"
    return feed.problem if hopeless and feed.problem.startswith(begins) else ""


def _take_command(state: State, now: Now, message: RunAlertCommand | AlertRan) -> None:
    waiting = [command for command in state.commands if command.number != message.number]
    if isinstance(message, AlertRan):
        state.commands = waiting
        return
    state.commands = [*waiting, message][-COMMANDS_WAITING_MAX:]
    state.next_command = max(state.next_command, message.number + 1)
    page = state.pages.get(message.page)
    if page is not None:
        page.told = True
        page.due_ns = now.host_ns + int(state.settings.alerts.repeat_s * SECOND_NS)


def _take_alert(state: State, now: Now, alert: Alert) -> None:
    known = state.pages.get(alert.code)
    if not alert.raised:
        state.ended_untold = known is not None and not known.told
        state.pages.pop(alert.code, None)
    elif alert.level == "page" and (known is None or known.text != alert.text):
        due_ns = max(now.host_ns, state.patient_until_ns)
        state.pages[alert.code] = Page(alert.text, due_ns)


def _take_print(state: State, printed: Print) -> None:
    if printed.offset < state.offset:
        return  # offered again at a start
    state.offset = printed.offset + len(printed.text.encode())
    state.recent = [*state.recent, printed][-RECENT:]
    for key, value in printed.shown:
        state.shown[key] = value
        state.pending.pop(key, None)


class _Said:
    """What one message leads to: lines, standing values, alert texts."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.lines: list[str] = []
        self.shown: dict[str, str] = {}
        self.alerts: list[tuple[str, str]] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def alert(self, text: str, page: str = "") -> None:
        """A line that also goes to the alert command."""
        self.lines.append(text)
        self.alerts.append((text, page))

    def standing(self, key: str, value: str, text: str) -> bool:
        """A line that stands until its value changes; whether it was new."""
        if self.state.shown.get(key) == value:
            return False
        self.lines.append(text)
        self.shown[key] = value[:2000]
        return True

    def messages(self, now: Now) -> list[Message]:
        out: list[Message] = []
        for number, (alert, page) in enumerate(self.alerts, start=self.state.next_command):
            out.append(RunAlertCommand(number=number, text=alert[:2000], page=page))
        if self.lines:
            text = "\n".join([lines.market_time(now.market_ns), *self.lines])[:16_000] + "\n"
            out.append(Print(self.state.offset, text, tuple(self.shown.items())))
        return out


def decide(state: State, now: Now, message: Message) -> list[Message]:
    """Lines, alerts and answers for one message."""
    match message:
        case Started():
            return list(state.commands)
        case RunBegan():
            again: list[Message] = list(state.recent)
            return again if state.outcome is None else [*again, state.outcome]
        case Tick():
            said = _Said(state)
            _tell_due(said, now)
            _tell_pages(said, now)
            return [*said.messages(now), *(_outcome(state, now) or _refusal(state, now, message))]
        case DiskState():
            return _disk(state, now, message)
        case AckAlerts(key=key):
            return _acknowledge(state, now, key)
        case TestAlert(key=key):
            return _test(state, now, key)
        case Stopping():
            said = _Said(state)
            # Before the broker was heard nobody knows the position, whatever the risk monitor says.
            shares = state.shares if state.linked else None
            said.line(lines.shutdown(shares, state.resting_usd))
            return said.messages(now)
        case _:
            said = _Said(state)
            _tell(said, now, message)
            return [*said.messages(now), *_refusal(state, now, message)]


def _tell(said: _Said, now: Now, message: Message) -> None:  # noqa: C901, PLR0912 - one line per message
    state = said.state
    match message:
        case BrokerLink():
            _tell_due(said, now)
            if state.back and "link" not in said.shown:  # too short to have been told
                said.line(lines.connected_again(message))
        case FeedState():
            _tell_due(said, now)
        case Restarted():
            said.line(lines.restarted(message))
        case Signal() | BaselineSet():
            if state.shown.get("link", "").startswith("ready"):
                _tell_standing(said)
        case DistributionCounted():
            said.line(lines.distribution(message, state.settings))
        case GoNoGo():
            said.line(lines.go_no_go(message))
        case Entered():
            said.alert(lines.entered(message))
        case EntryRefused():
            (said.alert if message.final else said.line)(lines.entry_refused(message))
        case EntryClamped():
            said.line(lines.entry_clamped(message))
        case StopHit():
            said.alert(lines.stop_hit(message))
        case Exited():
            said.alert(lines.exited(message))
        case ExitFailed():
            said.alert(lines.exit_failed(message))
        case SignalChanged():
            said.alert(lines.signal_changed(message))
        case DaySummary():
            said.line(lines.day_summary(message))
        case BrokerNotice():
            said.line(lines.notice(message))
        case OrderState(intent_id=intent_id, status=status) if status in lines.BAD_STATUSES:
            if _order_key(intent_id) not in state.pending:
                said.standing(_order_key(intent_id), status, lines.order_trouble(message))
        case HaltLatch(mode=mode, reason=reason):
            if mode != "ACTIVE" or "mode" in state.shown:
                said.standing("mode", f"{mode} {reason}", lines.mode(message))
        case RiskState(breached=breached):
            if breached or state.shown.get("breached"):
                said.standing("breached", breached, lines.breached(message))
        case Alert():
            _tell_alert(said, now, message)
        case AlertRan(problem=problem) if problem:
            said.line(f"❌ alerts.alert_command: {problem}")
        case _:
            pass


def _tell_due(said: _Said, now: Now) -> None:
    """Prints the standing lines whose time has come; after a connection what belongs to it."""
    for key, pending in said.state.pending.items():
        if now.host_ns >= pending.due_ns:
            said.standing(key, pending.value, pending.text)
            if key == "link" and pending.value.startswith("ready"):
                _tell_standing(said)


def _tell_standing(said: _Said) -> None:
    """The averages once per run and the day's baseline once per day, after the connection."""
    state = said.state
    if state.signal is not None and "averages" not in state.shown:
        said.standing("averages", "initialized", lines.averages(state.signal, state.settings))
    if state.baseline is not None:
        day = state.baseline.day.isoformat()
        said.standing("baseline", day, lines.day_start(state.baseline, state.settings))


def _outcome(state: State, now: Now) -> list[Message]:
    """The run's end, once its last day is summed up: two speakers, so either may come first."""
    if state.ended is None or state.outcome is not None:
        return []
    complete = len(state.days) >= state.ended.days
    if not complete and now.host_ns - state.ended_host_ns < PATIENCE_NS:
        return []
    return [Outcome(refused="", days=tuple(state.days))]


def _refusal(state: State, now: Now, message: Message) -> list[Message]:
    """A start that TWS makes impossible ends, instead of waiting for a person to look."""
    reason = ""
    if isinstance(message, BrokerLink) and not state.linked:
        # A read-only API never finishes the comparison, so it never gets as far as a lock.
        impossible = message.state == "locked" or READ_ONLY in message.reason
        reason = message.reason if impossible else ""
    elif state.linked and now.host_ns - state.linked_host_ns >= PATIENCE_NS and not state.shares:
        # Shares that are held, or not told of yet, need their stop first.
        reason = state.no_data
    return [Outcome(refused=reason, days=())] if reason and state.outcome is None else []


def _disk(state: State, now: Now, disk: DiskState) -> list[Message]:
    """A page of our own while the disk that all journals share is full."""
    page = state.pages.get("disk")
    if disk.roomy == (page is None):
        return []
    text = lines.disk(disk, state.settings) if page is None else page.text
    news = Alert(level="page", code="disk", text=text, raised=page is None)
    said = _Said(state)
    if page is not None and page.told:
        said.line(lines.alert(news))
    return [news, *said.messages(now)]


def _tell_alert(said: _Said, now: Now, alert: Alert) -> None:
    if alert.raised and alert.level == "page":
        _tell_pages(said, now)
    elif alert.raised:
        said.alert(lines.alert(alert))
    elif not said.state.ended_untold:
        said.line(lines.alert(alert))


def _tell_pages(said: _Said, now: Now) -> None:
    for code, page in said.state.pages.items():
        if not page.acknowledged and now.host_ns >= page.due_ns:
            again = f"🚨 Still: {page.text} (trader ack)"
            said.alert(again if page.told else f"🚨 {page.text}", code)


def _acknowledge(state: State, now: Now, key: str) -> list[Message]:
    count = len(state.pages)
    note = f"{count} pages acknowledged; they stay listed until they end"
    if key in state.answered:
        return [Accepted(key=key, note=note)]
    said = _Said(state)
    for page in state.pages.values():
        said.line(f"✅ Acknowledged: {page.text}")
    return [*said.messages(now), Accepted(key=key, note=note if count else "no pages are open")]


def _test(state: State, now: Now, key: str) -> list[Message]:
    command = state.settings.alerts.alert_command
    note = "sent; a failure is printed" if command else "printed; alerts.alert_command is empty"
    if key in state.answered:
        return [Accepted(key=key, note=note)]
    said = _Said(state)
    said.alert("🚨 TEST: this is what a page looks like")
    return [*said.messages(now), Accepted(key=key, note=note)]
