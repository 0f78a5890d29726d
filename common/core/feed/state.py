"""What market_feed knows: its state, and how everything heard and said changes it.

Part of market_feed's decider; `quotes.py` decides on it.
"""

from __future__ import annotations

from datetime import date

from msgspec import Struct, field

from common import settings as settings_file
from common.core.feed import market_day
from common.core.feed.market_day import DELAY_NS, MINUTE_NS
from common.core.feed.price_book import Book, Level, near, valid_price
from common.core.feed.subscription import DATA_KEPT, DATA_LOST, Subscription
from common.core.rules import SECOND_NS, narrow_mid
from common.core.staleness import late
from common.messages import (
    Alert,
    BrokerLink,
    DailyBar,
    Distribution,
    FeedState,
    Message,
    Now,
    OpeningPrint,
    Quote,
    Session,
    Started,
    Tick,
    VixLevel,
)
from common.settings import Settings
from common.tws.link_messages import LinkDown, LinkUp, TwsError
from common.tws.market_messages import (
    CLOSE,
    HALTED,
    LAST,
    LIVE_TYPE,
    OPEN,
    AskContract,
    CalendarRead,
    ContractLine,
    ContractsFound,
    HistoryRead,
    KindSaid,
    PriceBar,
    RawTicks,
    ReadCalendar,
    ReadHistory,
    SessionHours,
    Subscribe,
)

VIX = "VIX"
VIX_MIN, VIX_MAX = 5.0, 200.0  # the index was never outside 8 to 90
VIX_QUIET_S_MAX = 300.0  # it is calculated every 15 s
RETRY_S = 60.0  # market time, between two tries of one question
HALT_PRINTS_S = 10.0
"""So long after a halt a trade proves that it is over, market time; until then one of before it may
be told late. TWS says the end itself only of what stands in a watchlist (IB's page on tick 49)."""
FIRST_MID_NS = MINUTE_NS  # after the open; a later mid is no opening price
MIDS_APART_NS = SECOND_NS
"""So much later, market time, the first mid must still stand or be borne out."""
OPEN_FRACTION_MAX = 0.02
"""An opening print or a second mid that is farther from the first than this says that one of them
is wild: the stop of a whole day would be measured from it."""
OPEN_TICK_S = 60.0
"""After a subscription, market time, for TWS to tell the official open. Then any mid has to serve:
a position without a baseline has no stop, and the stop monitor takes the stricter price."""
LINK_LOST = 1100


class Question(Struct):
    """Something asked of TWS or the calendar. `good_ns`: when the last good answer was asked."""

    asked: Now | None = None
    waiting: bool = False
    problem: str = ""
    good_ns: int = 0

    def ask(self, now: Now) -> None:
        self.asked, self.waiting = now, True

    def answered(self, asked_ns: int, problem: str) -> None:
        self.waiting, self.problem = False, problem
        if not problem:
            self.good_ns = asked_ns

    def free(self, now: Now) -> bool:
        """Whether it may be asked now: no answer is due, and a failure is a minute old."""
        if self.waiting:
            return False
        return not self.problem or self.asked is None or late(self.asked, now, RETRY_S)


class DayPrices(Struct):
    """The session's prices as they were quoted to us, USD."""

    open_usd: float
    high_usd: float
    low_usd: float
    last_usd: float


class State(Struct):
    settings: Settings
    smh: Subscription
    vix: Subscription
    book: Book
    vix_level: Level
    linked: bool = False
    link_problem: str = ""
    cut: bool = False
    halt: Now | None = None
    """Since when trading is halted, as TWS says it."""
    contract: Question = field(default_factory=Question)
    calendar: Question = field(default_factory=Question)
    history: Question = field(default_factory=Question)
    line: ContractLine | None = None
    listed: tuple[SessionHours, ...] = ()
    """The calendar's sessions, as they were read."""
    hours: tuple[SessionHours, ...] = ()
    """Those of them that took place, or will."""
    called_closed: set[date] = field(default_factory=set)
    """Days of the calendar's that the broker's list has called CLOSED."""
    closures: tuple[date, ...] = ()
    """Those of them that are over and have no daily bar: the calendar did not know better."""
    past_days: tuple[date, ...] = ()
    final_day: date | None = None
    final_closes_usd: tuple[float, ...] = ()
    """The last two of the final daily closes."""
    close_tick_usd: float | None = None
    """TWS's close of the day before, heard since the session became the current one."""
    distribution_said: Distribution | None = None
    session: Session | None = None
    book_day: date | None = None
    open_before_usd: float | None = None
    open_usd: float | None = None
    first_mid_usd: float | None = None
    first_mid_ns: int = 0
    """When it was heard, by the clock that the broker agrees with."""
    first_mid_borne_out: bool = False
    """A later mid was near it."""
    prices: DayPrices | None = None
    quotes: list[Quote] = []
    open_newest_usd: float | None = None
    """TWS's newest word on an open, the day before's too; heard at `open_at`."""
    open_at: Now | None = None
    opening_said: OpeningPrint | None = None
    opening_at: Now | None = None
    """When the session's first one was said."""
    opening_early: bool = False
    """An opening print was said before the open, and nothing in its place yet."""
    clock_ahead_ns: int = 0
    """How far this machine's clock is ahead of the broker's, where that is too far."""
    vix_said: VixLevel | None = None
    vix_news: VixLevel | None = None
    bar_said: DailyBar | None = None
    feed_said: FeedState | None = None
    feed_said_at: Now | None = None
    alerts: dict[str, str] = {}


def start(settings: Settings) -> State:
    return State(
        settings=settings,
        smh=Subscription(settings.strategy.symbol, 2.0 * settings.data.quote_age_s_max),
        vix=Subscription(VIX, VIX_QUIET_S_MAX),
        book=Book(Level()),
        vix_level=Level(),
    )


def evolve(state: State, now: Now, message: Message) -> None:
    """The only place that changes the state."""
    match message:
        case RawTicks(symbol=symbol):
            subscription = state.vix if symbol == VIX else state.smh
            subscription.hear(now, message)
            if symbol == VIX:
                _hear_vix(state, now, message)
            else:
                _hear_smh(state, now, message)
            return
        case Quote() | Tick():
            return  # a quote was learned with the tick behind it, and time teaches nothing
        case Started(settings_json=text):
            _restart(state, settings_file.from_json(text))
        case LinkUp() | LinkDown() | TwsError() | BrokerLink():
            _hear_link(state, now, message)
        case KindSaid(symbol=symbol) | Subscribe(symbol=symbol):
            if symbol == state.smh.symbol:
                state.book.clear()
                state.halt = None if isinstance(message, Subscribe) else state.halt
        case ContractsFound() | CalendarRead() | HistoryRead():
            _hear_answer(state, message)
        case AskContract():
            state.contract.ask(now)
        case ReadCalendar():
            state.calendar.ask(now)
        case ReadHistory():
            state.history.ask(now)
        case _:
            _hear_self(state, now, message)
    state.smh.hear(now, message)
    state.vix.hear(now, message)


def _restart(state: State, settings: Settings) -> None:
    """What the last process had asked for is gone; what it had learned stands."""
    fresh = start(settings)
    state.settings, state.smh, state.vix = settings, fresh.smh, fresh.vix
    state.book.clear()
    state.linked, state.link_problem, state.cut, state.halt = False, "", False, None
    state.contract, state.history = Question(), Question()
    state.calendar = Question(good_ns=state.calendar.good_ns)


def _hear_link(state: State, now: Now, message: LinkUp | LinkDown | TwsError | BrokerLink) -> None:
    match message:
        case BrokerLink(clock_offset_s=offset_s):
            if offset_s is not None:  # a new connection has not compared yet, the clock is the same
                _hear_clock(state, now, offset_s)
            return
        case LinkUp():
            state.linked, state.link_problem, state.cut, state.halt = True, "", False, None
            state.contract = Question()
        case LinkDown(reason=reason):
            state.linked, state.link_problem = False, reason
        case TwsError(code=code) if code == LINK_LOST:
            state.cut = True
        case TwsError(code=code) if code in {DATA_LOST, DATA_KEPT}:
            state.cut = False
        case _:
            return
    state.book.clear()


def _hear_clock(state: State, now: Now, offset_s: float) -> None:
    """It takes some comparisons to find out a clock that was set ahead. What it took for the open
    until then is put right: host time tells how long ago that was, whatever the clock did."""
    limit_s, session = state.settings.data.clock_offset_s_max, state.session
    ahead_ns = int(offset_s * SECOND_NS) if offset_s > limit_s else 0
    found_out = ahead_ns > 0 and not state.clock_ahead_ns
    state.clock_ahead_ns = ahead_ns
    if not found_out or session is None:
        return
    opens_ns = prices_from_ns(state, session)
    state.opening_early = _early(state, now, state.opening_at, opens_ns)
    before_open = agreed_ns(state, now) < opens_ns
    if not (state.opening_early or before_open):
        return
    early = before_open or _early(state, now, state.open_at, opens_ns)
    state.open_before_usd = state.open_newest_usd if early else None
    state.open_usd = None if early else state.open_newest_usd
    state.opening_said = state.opening_at = None
    state.first_mid_usd = state.prices = state.book_day = None
    state.first_mid_borne_out = False


def _early(state: State, now: Now, heard: Now | None, opens_ns: int) -> bool:
    """Whether that was heard before the open; what another boot has heard is not known."""
    if heard is None or now.host_ns < heard.host_ns:
        return False
    heard_ns = agreed_ns(state, now) - (now.host_ns - heard.host_ns)
    return heard_ns < opens_ns - SECOND_NS  # TWS's time is of whole seconds


def _hear_answer(state: State, message: ContractsFound | CalendarRead | HistoryRead) -> None:
    match message:
        case ContractsFound():
            problem = _contract_problem(state.settings, message)
            asked = state.contract.asked
            state.contract.answered(asked.market_ns if asked else 0, problem)
            if not problem:
                _hear_contract(state, message.lines[0])
        case CalendarRead():
            state.calendar.answered(message.asked_ns, message.problem)
            if not message.problem:
                state.listed, state.past_days = message.sessions, message.past_days
                _leave_out_closures(state)
        case HistoryRead():
            if not message.problem:
                state.closures = _closures(state, message)
                _leave_out_closures(state)
            bars = final_bars(state, message)
            problem = history_problem(state, message)
            state.history.answered(message.asked_ns, problem)
            if not problem:
                state.final_day = bars[-1].day
                state.final_closes_usd = tuple(bar.close_usd for bar in bars[-2:])
                if state.book.level.value is None:
                    state.book.level.value = bars[-1].close_usd


def _hear_contract(state: State, line: ContractLine) -> None:
    """The list reaches a week ahead, so what it says of a day is remembered."""
    state.line = line
    state.called_closed.update(line.closed_days)
    state.called_closed.difference_update(hours.day for hours in line.hours)
    known = {*state.past_days, *(hours.day for hours in state.listed)}
    if known:
        state.called_closed &= known


def _closures(state: State, message: HistoryRead) -> tuple[date, ...]:
    """The days before now that the broker called CLOSED and that have no bar: sessions by the
    calendar alone. A bar that comes after all makes its day a session again."""
    last = market_day.last_final(message.asked_ns, state.listed, delayed=delayed(state))
    if last is None:
        return ()
    barless = state.called_closed - {bar.day for bar in message.bars}
    return tuple(sorted(day for day in barless if day <= last.day))


def _leave_out_closures(state: State) -> None:
    state.hours = tuple(hours for hours in state.listed if hours.day not in state.closures)


def _hear_self(state: State, now: Now, message: Message) -> None:
    """What this service said, remembered so that it is said once."""
    match message:
        case Session():
            if state.session is None or message.day != state.session.day:
                state.open_before_usd = state.open_usd or state.open_before_usd
                state.open_usd = state.first_mid_usd = state.prices = state.opening_said = None
                state.first_mid_borne_out = False
                state.opening_at, state.opening_early = None, False
                state.close_tick_usd = state.distribution_said = None
            state.session = message
        case Distribution():
            state.distribution_said = message
        case OpeningPrint():
            state.opening_at = now if state.opening_said is None else state.opening_at
            state.opening_said, state.opening_early = message, False
        case DailyBar():
            state.bar_said = message
        case VixLevel():
            state.vix_said = message
        case FeedState():
            state.feed_said, state.feed_said_at = message, now
        case Alert(code=code, text=text, raised=raised):
            state.alerts.pop(code, None)
            if raised:
                state.alerts[code] = text


def _hear_smh(state: State, now: Now, message: RawTicks) -> None:
    """Each tick by itself, in order: a dip between two others is a price too."""
    if in_session(state, now) and state.session and state.book_day != state.session.day:
        state.book_day = state.session.day
        state.book.clear()  # a price from before the open is none of the session's
    data, kind = state.settings.data, state.smh.kind
    state.quotes = []
    for tick in message.ticks:
        side = LIVE_TYPE.get(tick.type, tick.type)
        if side == LAST and state.halt is not None and late(state.halt, now, HALT_PRINTS_S):
            state.halt = None if valid_price(tick.value) is not None else state.halt
        if side == HALTED and tick.value >= 0:
            state.halt = (state.halt or now) if tick.value > 0 else None
        elif side == OPEN:
            _hear_open(state, now, valid_price(tick.value))
        elif side == CLOSE:
            state.close_tick_usd = valid_price(tick.value) or state.close_tick_usd
        elif kind in {"live", "delayed"}:
            quote = state.book.hear(tick, now, kind, data)
            if quote is not None:
                state.quotes.append(quote)
    if not state.quotes and kind in {"live", "delayed"}:
        repeated = state.book.repeat(now, kind, data)
        state.quotes = [] if repeated is None else [repeated]
    for quote in state.quotes:
        _take_day_price(state, now, quote)


def _hear_open(state: State, now: Now, price: float | None) -> None:
    """IB's open tick is the day before's until the session's own is known (tick type 14)."""
    if price is None:
        return
    state.open_newest_usd, state.open_at = price, now
    if not _prices_are_of_session(state, now):
        state.open_before_usd = price
    elif price != state.open_before_usd and (state.open_usd is None or _just_said(state, now)):
        state.open_usd = price


def _just_said(state: State, now: Now) -> bool:
    """Another word of TWS's on the open, within a minute, is the session's own: the first was the
    day before's."""
    said_at = state.opening_at
    return said_at is None or 0 <= now.host_ns - said_at.host_ns < FIRST_MID_NS


def _take_day_price(state: State, now: Now, quote: Quote) -> None:
    if state.session is None or not _prices_are_of_session(state, now):
        return
    mark = quote.mark_usd
    last = quote.last_usd if quote.last_usd is not None and quote.agree else mark
    day = state.prices
    if day is None:
        state.prices = DayPrices(mark, mark, mark, last)
    else:
        day.high_usd, day.low_usd = max(day.high_usd, mark), min(day.low_usd, mark)
        day.last_usd = last
    mid = narrow_mid(quote.bid_usd, quote.ask_usd, state.settings.data.spread_fraction_max)
    in_time = agreed_ns(state, now) < prices_from_ns(state, state.session) + FIRST_MID_NS
    if mid is not None and (in_time or _open_is_missing(state, now)):
        _take_first_mid(state, mid, agreed_ns(state, now))


def _take_first_mid(state: State, mid_usd: float, heard_ns: int) -> None:
    """A quote can be wild as a print can: the first mid is one that a later one is near, else the
    later one takes its place."""
    if near(mid_usd, state.first_mid_usd, OPEN_FRACTION_MAX):
        borne_out = heard_ns - state.first_mid_ns >= MIDS_APART_NS
        state.first_mid_borne_out = state.first_mid_borne_out or borne_out
    elif not state.first_mid_borne_out:
        state.first_mid_usd, state.first_mid_ns = mid_usd, heard_ns


def _open_is_missing(state: State, now: Now) -> bool:
    asked = state.smh.asked
    return state.open_usd is None and asked is not None and late(asked, now, OPEN_TICK_S)


def _hear_vix(state: State, now: Now, message: RawTicks) -> None:
    state.vix_news = None
    for tick in message.ticks:
        level = valid_price(tick.value)
        if LIVE_TYPE.get(tick.type, tick.type) != LAST or level is None:
            continue
        known = state.vix_level.value is not None
        if not VIX_MIN <= level <= VIX_MAX or state.vix.kind not in {"live", "delayed"}:
            continue
        if not known:
            state.vix_level.value = level
        if state.vix_level.take(level, now.market_ns, state.settings.data.jump_fraction_max):
            state.vix_news = VixLevel(tick_ns=now.market_ns, level=level, kind=state.vix.kind)


# --- readings ----------------------------------------------------------------------------------


def agreed_ns(state: State, now: Now) -> int:
    """Market time as the broker's clock has it, where ours is known to run ahead: no price from
    before the open may be taken for one of the session."""
    return now.market_ns - state.clock_ahead_ns


def in_session(state: State, now: Now) -> bool:
    session = state.session
    return session is not None and session.open_ns <= agreed_ns(state, now) < session.close_ns


def session_age_s(state: State, now: Now) -> float:
    """Since the session's open, market time; 0 outside it."""
    if state.session is None or not in_session(state, now):
        return 0.0
    return (agreed_ns(state, now) - state.session.open_ns) / SECOND_NS


def delayed(state: State) -> bool:
    return state.smh.kind in {"delayed", "delayed_frozen"}


def prices_from_ns(state: State, session: Session) -> int:
    """From when on what we hear is of the session itself: delayed data is of before the open."""
    return session.open_ns + (DELAY_NS if delayed(state) else 0)


def _prices_are_of_session(state: State, now: Now) -> bool:
    session = state.session
    if session is None:
        return False
    return prices_from_ns(state, session) <= agreed_ns(state, now) < session.close_ns


def _contract_problem(settings: Settings, message: ContractsFound) -> str:
    strategy = settings.strategy
    asked = f"{strategy.symbol} (stock, USD, {strategy.exchange}"
    asked += f", {strategy.primary_exchange})" if strategy.primary_exchange else ")"
    if message.problem:
        return f"TWS did not answer for {asked}: {message.problem}"
    if not message.lines:
        return (
            f"TWS knows no {asked}: check strategy.symbol and strategy.primary_exchange "
            "(empty takes the listing that TWS names)"
        )
    if len(message.lines) > 1:
        exchanges = ", ".join(line.primary_exchange for line in message.lines)
        return f"{asked} is ambiguous: set strategy.primary_exchange to one of {exchanges}"
    return ""


def final_bars(state: State, message: HistoryRead) -> tuple[PriceBar, ...]:
    last = market_day.last_final(message.asked_ns, state.hours, delayed=delayed(state))
    return market_day.finished(message.bars, last.day) if last is not None else ()


def history_problem(state: State, message: HistoryRead) -> str:
    if message.problem:
        return message.problem
    last = market_day.last_final(message.asked_ns, state.hours, delayed=delayed(state))
    strategy = state.settings.strategy
    bars = final_bars(state, message)
    needed = strategy.history_slow_multiple * strategy.ema_slow
    # The calendar may have been read before the newest bar's day, so its coming days count too.
    days = sorted({*state.past_days, *(hours.day for hours in state.hours)} - {*state.closures})
    fault = market_day.history_fault(bars, days, needed)
    if not fault and last is not None and bars[-1].day < last.day:
        return f"the daily bar of {last.day} is not there yet"
    return fault or market_day.unadjusted(bars[-strategy.ema_slow :])
