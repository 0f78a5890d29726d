"""The event path: the live deciders judge every message; a queue stands where the sockets were.

signal_engine's and risk_monitor's deciders run as they are. The order desk and the gateway between
them and the broker are left out: orders go to the bar broker, which answers in their messages.
Host time stands still: a backtest takes the deciders no time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import timedelta

import numpy as np

from common.clock import MINUTE_NS, SECOND_NS
from common.core import risk, rules, strategy
from common.messages import (
    BreachSuspected,
    BrokerLink,
    DailyBar,
    DailyHistory,
    Distribution,
    HaltLatch,
    Message,
    Now,
    OpeningPrint,
    OrderBook,
    PlaceOrder,
    PreviewMargin,
    Quote,
    Resume,
    Session,
    Signal,
    StopHit,
    TargetPosition,
    Tick,
    VixLevel,
)
from services.backtest.bar_broker import BarBroker
from services.backtest.history import History
from services.backtest.options import Options
from services.backtest.result import Result, leverage_of
from services.backtest.sheet import Sheet, lay_out

HOST_NS = 1
FINAL_AFTER_NS = MINUTE_NS  # the daily bar is official so long after the close
DAY_NS = 24 * 60 * MINUTE_NS
Told = Callable[[Now, Message], None]
TICKS_MAX = 6  # readiness, its preview, the order's preview, the order: then nothing more comes


def run_event(history: History, options: Options) -> Result:
    """The backtest of `history` by the live deciders. OptionsError for what it cannot serve."""
    return run_sheet(lay_out(history, options), options)


def run_sheet(sheet: Sheet, options: Options, told: Told | None = None) -> Result:
    """The same on a sheet that is laid out already.

    `told` hears every message that risk_monitor's decider hears or says, but for the quotes within
    a session that lead to nothing.
    """
    return _Run(sheet, options, told).result()


class _Run:
    """One backtest under way: two deciders, their queue, the broker."""

    def __init__(self, sheet: Sheet, options: Options, told: Told | None = None) -> None:
        settings = options.settings()
        self.told = told
        self.sheet = sheet
        self.days = sheet.days
        self.options = options
        self.at_close = options.decide_at == "close"
        self.entry_before_ns = int(settings.entry.minutes_before_close * MINUTE_NS)
        self.signal = strategy.start(settings)
        self.risk = risk.start(settings)
        self.broker = BarBroker(options)
        self.queue: deque[Message] = deque()
        self.now = Now(market_ns=int(sheet.opens_ns[0]), host_ns=HOST_NS)
        self.day = self.days[0]
        self.hit: StopHit | None = None
        # Plain lists: an element of a numpy array costs a Python number each time it is read.
        self.opens = sheet.open_usd.tolist()
        self.closes = sheet.close_usd.tolist()
        self.entries = sheet.entry_usd.tolist()
        self.vix = sheet.vix.tolist()
        self.dividends = sheet.dividend_usd.tolist()
        self.night_factors = sheet.night_factor.tolist()
        self.bar_ns = sheet.bar_ns.tolist()
        self.bar_opens = sheet.bar_open_usd.tolist()
        self.bar_lows = sheet.bar_low_usd.tolist()
        self.bar_first = sheet.bar_first.tolist()
        self.bar_entry = sheet.bar_entry.tolist()

    def result(self) -> Result:
        sheet, begin = self.sheet, self.sheet.begin
        equity = np.full(sheet.sessions - begin, self.options.start_equity_usd)
        values = np.zeros(sheet.sessions - begin)
        self._introduce()
        for s in range(begin + 1 if self.at_close else begin, sheet.sessions):
            self._session(s)
            values[s - begin] = self.broker.shares * self.closes[s]
            equity[s - begin] = self.broker.cash_usd + values[s - begin]
        broker = self.broker
        still = broker.open_trade()
        return Result(
            options=self.options,
            days=self.days[begin:],
            equity_usd=equity,
            leverage=leverage_of(values, equity),
            trades=(*broker.trades, *([still] if still else [])),
            interest_usd=broker.interest_usd,
            commission_usd=broker.commission_usd,
            dividend_usd=broker.dividend_usd,
            fine_days=sheet.fine,
        )

    # --- the course of a session -------------------------------------------------------------

    def _introduce(self) -> None:
        """A broker that is linked, compared and not halted; the closes before the first session."""
        ns = self.now.market_ns
        book = OrderBook(
            reconciled=True, working=(), unknown=(), foreign_buy_shares=0, foreign_sell_shares=0
        )
        self._tell(
            BrokerLink(
                state="ready", account="", port=0, since_ns=ns, clock_offset_s=0.0, reason=""
            )
        )
        self._tell(book)
        self._tell(HaltLatch(mode="ACTIVE", reason="", since_ns=ns))
        known = self.sheet.begin + 1 if self.at_close else self.sheet.begin
        heard = known - 1 if self.options.bear_exit == "next_close" else known
        if heard > 0:
            self._signal_hears(self._history(heard))
        if known > 0:
            self._tell(self._daily_bar(known - 1))
        self._tell(self.broker.snapshot(0.0, ns))

    def _session(self, s: int) -> None:
        session, broker = self._hours(s), self.broker
        previous_usd = self.closes[s - 1] if s else self.closes[s]
        opening_usd = previous_usd if self.at_close else self.opens[s]
        self.day = self.days[s - 1 if self.at_close else s]
        self._at(session.open_ns - SECOND_NS)
        if self.risk.halts:
            self._tell(Resume(key=f"resume-{s}", deadline_ns=0, by="backtest"))
        if not self.at_close:
            self._night(s)
        self._hear_session(session)
        self._morning(s, previous_usd)

        self._at(session.open_ns)
        broker.market_usd = opening_usd
        self._tell(OpeningPrint(day=session.day, price_usd=opening_usd, official=True))
        if broker.shares:
            self._tell(Tick())
        if self.at_close:
            self._enter(opening_usd, self.vix[s - 1])
            self._night(s)
            self.day = session.day
        self._bars(self.bar_first[s], self.bar_entry[s])
        if not self.at_close:
            self._at(session.close_ns - self.entry_before_ns)
            broker.market_usd = self.entries[s]
            if self.options.bear_exit == "next_close" and s > 0:
                self._signal_hears_close(s - 1)
            self._enter(self.entries[s], self.vix[s])
        self._bars(self.bar_entry[s], self.bar_first[s + 1])
        self._close(s, session)

    def _hours(self, s: int) -> Session:
        """Session s as it is told. Decided at the close, it begins when the one before it ends."""
        sheet, days = self.sheet, self.days
        first = int(sheet.closes_ns[s - 1]) + SECOND_NS if self.at_close else int(sheet.opens_ns[s])
        last = s + 1 == sheet.sessions
        close_ns = int(sheet.closes_ns[s])
        return Session(
            previous_day=days[s - 1] if s else days[0] - timedelta(days=1),
            day=days[s],
            open_ns=first,
            close_ns=close_ns,
            early=False,
            next_day=days[s] + timedelta(days=1) if last else days[s + 1],
            next_open_ns=close_ns + DAY_NS if last else int(sheet.opens_ns[s + 1]),
            next_close_ns=close_ns + DAY_NS if last else int(sheet.closes_ns[s + 1]),
            broker_agrees=True,
        )

    def _night(self, s: int) -> None:
        self.broker.pass_night(self.dividends[s], self.night_factors[s])

    def _morning(self, s: int, previous_usd: float) -> None:
        """The account before the open; a dividend accrues and is paid before anything trades. As
        everything before the bell is one instant at the close, nobody tells of it there."""
        broker, ns = self.broker, self.now.market_ns
        self._tell(broker.snapshot(previous_usd, ns))
        if not broker.accrued_usd:
            return
        paid_usd = rules.distribution(previous_usd, previous_usd - self.dividends[s])
        if not self.at_close:
            self._tell(Distribution(self.days[s], paid_usd))
        broker.pay()
        self._tell(broker.snapshot(previous_usd, ns))

    def _bars(self, first: int, until: int) -> None:
        """Each bar's lowest price, as a quote; one that may not fire alone is said again."""
        broker, state, margin = self.broker, self.risk, self.options.margin != "off"
        evolve, decide = risk.evolve, risk.decide
        bars = slice(first, until)
        for ns, open_usd, low_usd in zip(
            self.bar_ns[bars], self.bar_opens[bars], self.bar_lows[bars], strict=True
        ):
            touch_usd, liquidation_usd = low_usd, 0.0
            if margin:
                broker.bar_open_usd = open_usd
                liquidation_usd = broker.liquidation_usd()
                if low_usd <= liquidation_usd:
                    touch_usd = min(open_usd, liquidation_usd)
                else:
                    liquidation_usd = 0.0
            now = Now(ns, HOST_NS)
            quote = Quote(ns, None, None, None, touch_usd, True, "live", HOST_NS)  # noqa: FBT003  (as in _quote: a call less for each bar)
            evolve(state, now, quote)
            outputs = decide(state, now, quote)
            if outputs:
                self.now = now
                broker.bar_open_usd = open_usd
                self._said(outputs)
                if any(isinstance(output, BreachSuspected) for output in outputs):
                    self._at(ns + SECOND_NS)
                    self._tell(_quote(touch_usd, self.now.market_ns))
            if liquidation_usd and broker.shares:
                self.now = now
                for told in broker.liquidate(touch_usd, self.day, ns):
                    self._tell(told)

    def _enter(self, price_usd: float, vix: float) -> None:
        """The entry's instant: the VIX, a quote, the account, and time passing while flat."""
        ns = self.now.market_ns
        if vix > 0.0:
            self._signal_hears(VixLevel(tick_ns=ns, level=vix, kind="live"))
        if self.broker.shares:
            return
        self.broker.market_usd = price_usd
        self._tell(_quote(price_usd, ns))
        self._tell(self.broker.snapshot(price_usd, ns))
        for _ in range(TICKS_MAX):
            self._tell(Tick())
            day = self.risk.day
            if self.broker.shares or (day is not None and day.last_refusal):
                return

    def _close(self, s: int, session: Session) -> None:
        """The daily bar becomes official: when, decides at which price a bear signal sells."""
        early = self.options.bear_exit == "close"
        self._at(session.close_ns - SECOND_NS if early else session.close_ns + FINAL_AFTER_NS)
        if self.at_close:
            self._at(session.close_ns)
        self.broker.market_usd = self.closes[s]
        self._tell(self._daily_bar(s))
        if self.options.bear_exit != "next_close":
            self._signal_hears_close(s)

    # --- facts -------------------------------------------------------------------------------

    def _history(self, count: int) -> DailyHistory:
        return DailyHistory(days=self.days[:count], closes_usd=tuple(self.closes[:count]))

    def _daily_bar(self, s: int) -> DailyBar:
        """High and low are those of its open and close: no decider reads them."""
        opened, closed = self.opens[s], self.closes[s]
        return DailyBar(
            day=self.days[s],
            open_usd=opened,
            high_usd=max(opened, closed),
            low_usd=min(opened, closed),
            close_usd=closed,
            final=True,
        )

    # --- who hears what ----------------------------------------------------------------------

    def _at(self, market_ns: int) -> None:
        self.now = Now(market_ns=market_ns, host_ns=HOST_NS)

    def _hear_session(self, session: Session) -> None:
        self._signal_hears(session)
        self._tell(session)

    def _signal_hears_close(self, s: int) -> None:
        self._signal_hears(self._daily_bar(s) if self.signal.days else self._history(s + 1))

    def _signal_hears(self, message: Message) -> None:
        """One message to signal_engine's decider; what it says goes on to risk_monitor's."""
        strategy.evolve(self.signal, self.now, message)
        said = strategy.decide(self.signal, self.now, message)
        for output in said:
            strategy.evolve(self.signal, self.now, output)
        for output in said:
            if isinstance(output, (Signal, TargetPosition)):
                self._tell(output)

    def _tell(self, message: Message) -> None:
        """One message to risk_monitor's decider, and the broker's answers to what it orders."""
        self.queue.append(message)
        while self.queue:
            heard = self.queue.popleft()
            if self.told is not None:
                self.told(self.now, heard)
            risk.evolve(self.risk, self.now, heard)
            self._take(risk.decide(self.risk, self.now, heard))

    def _said(self, outputs: list[Message]) -> None:
        self._take(outputs)
        if self.queue:
            self._tell(self.queue.popleft())

    def _take(self, outputs: list[Message]) -> None:
        """Folds what risk_monitor said, then lets the broker act on it."""
        for output in outputs:
            risk.evolve(self.risk, self.now, output)
            if self.told is not None:
                self.told(self.now, output)
        for output in outputs:
            match output:
                case StopHit():
                    self.hit = output
                case PlaceOrder(order=order):
                    hit = self.hit if order.reason == "stop" else None
                    told = self.broker.carry_out(order, self.day, self.now.market_ns, hit)
                    self.queue.extend(told)
                case PreviewMargin():
                    self.queue.append(self.broker.preview(output))


def _quote(price_usd: float, market_ns: int) -> Quote:
    return Quote(market_ns, None, None, None, price_usd, True, "live", HOST_NS)  # noqa: FBT003  (a field of a message)
