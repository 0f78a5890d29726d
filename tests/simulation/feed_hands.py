"""The feed's edge over a simulated connection: see `common.tws.market`."""

from __future__ import annotations

from collections.abc import Callable

from common.clock import SECOND_NS
from common.messages import Message
from common.tws import market_messages as mm
from services.sim_tws.contracts import SMH
from tests.oracle import facts as f
from tests.simulation.answers import Question
from tests.simulation.hands import Hands, Part
from tests.simulation.market import calendar, opening_within
from tests.simulation.permissions import code
from tests.simulation.pipe import Pipe
from tests.simulation.tws import DATA_CLIENT, Prices
from tests.simulation.witness import BARS_REQUEST, PRICE_REQUEST

DAY_NS = 86_400 * SECOND_NS
BARS_ASKED = 200  # all there are: the first close seeds the averages


class FeedHands(Hands):
    """The data's connection."""

    client_id = DATA_CLIENT

    def perform(self, effect: Message) -> None:
        match effect:
            case mm.Subscribe(symbol=symbol, live=live):
                self._subscribe(symbol, live=live)
            case mm.AskContract():
                self._question("contract", self._contract, lambda why: mm.ContractsFound((), why))
            case mm.ReadHistory(asked_ns=asked_ns):
                self._question(
                    "history",
                    lambda: self._history(asked_ns),
                    lambda why: mm.HistoryRead(asked_ns, (), why),
                )
            case mm.ReadCalendar(asked_ns=asked_ns):
                self.host.later(0.05, lambda: self.host.tell(calendar_read(asked_ns)))

    def _subscribe(self, symbol: str, *, live: bool) -> None:
        if self.pipe is None:
            return
        if symbol == "SMH":
            self.witness.note(f.QuotesAsked(*self.head(), PRICE_REQUEST, symbol))

        def subscribe(pipe: Pipe) -> None:
            if self.tws.broker.link_up:
                self.tws.answers.give("prices", lambda: tell(pipe))

        def tell(pipe: Pipe) -> None:
            said, kind = self.tws.subscribe_prices(pipe, symbol, live=live)
            if said:
                pipe.tell(code(symbol, said))
            if kind != "none":
                pipe.tell(mm.KindSaid(symbol, kind))

        self.ask(subscribe)

    def _question(
        self, question: Question, answer: Callable[[], Message], failed: Callable[[str], Message]
    ) -> None:
        pipe = self.pipe
        if pipe is None:
            self.host.tell(failed("not connected to TWS"))
            return
        answered = [False]

        def end(message: Message) -> None:
            if not answered[0]:
                answered[0] = True
                self.host.tell(message)

        def reply(to: Pipe) -> None:
            if self.tws.broker.link_up:
                self.tws.answers.give(question, lambda: tell(to, answer()))

        def tell(to: Pipe, message: Message) -> None:
            to.tell(Part(lambda: end(message)))

        def give_up() -> None:
            lost = self.pipe is not pipe
            end(failed("the connection to TWS was lost" if lost else "TWS did not answer"))

        self.ask(reply)
        self.host.later(self.settings.broker.request_timeout_s, give_up)

    def _contract(self) -> Message:
        now_ns = self.tws.market_ns
        hours = tuple(
            mm.SessionHours(s.date, s.open_ns, s.close_ns)
            for s in opening_within(now_ns - DAY_NS, now_ns + 6 * DAY_NS)
        )
        line = mm.ContractLine(SMH.con_id, "NASDAQ", SMH.long_name, hours)
        return mm.ContractsFound((line,), "")

    def _history(self, asked_ns: int) -> Message:
        market, now_ns = self.tws.market, self.tws.market_ns
        today = calendar().at_or_after(now_ns)
        (ended,) = calendar().before(today.date, 1)
        as_of = today.date if today.open_ns - now_ns < 9 * 3600 * SECOND_NS else ended.date
        bars = tuple(
            mm.PriceBar(day, bar.open, bar.high, bar.low, bar.close)
            for day, bar in market.daily_bars("SMH", ended.date, BARS_ASKED, as_of)
        )
        rows = tuple((bar.day, bar.open_usd, bar.close_usd) for bar in bars)
        head = self.head()
        self.witness.note(f.BarsAsked(*head, BARS_REQUEST, "SMH", "1 day", "TRADES"))
        self.witness.note(f.BarsSaid(*head, BARS_REQUEST, rows))
        return mm.HistoryRead(asked_ns, bars, "")

    def heard(self, message: object) -> None:
        if isinstance(message, Part):
            message.act()
        elif isinstance(message, Prices):
            self._prices(message)
        elif isinstance(message, Message):
            if isinstance(message, mm.KindSaid) and message.symbol == "SMH":
                live = message.kind == "live"
                self.witness.note(f.KindSaid(*self.head(), PRICE_REQUEST, live=live))
            if isinstance(message, mm.DataCode) and message.symbol == "SMH":
                said = (PRICE_REQUEST, message.code, message.text)
                self.witness.note(f.ErrorSaid(*self.head(), *said))
            self.host.tell(message)

    def _prices(self, prices: Prices) -> None:
        if prices.symbol == "SMH":
            head = self.head()
            for kind, value in prices.ticks:
                if kind in mm.LIVE_TYPE:
                    if mm.LIVE_TYPE[kind] == mm.LAST:
                        self.witness.note(f.DelayedSaid(*head, PRICE_REQUEST, value))
                elif kind != mm.HALTED:
                    self.witness.note(f.PriceSaid(*head, PRICE_REQUEST, kind, value))
            delayed = any(kind in mm.LIVE_TYPE for kind, _ in prices.ticks)
            if not delayed and (not prices.ticks or prices.ticks[-1][0] != mm.LAST):
                self.witness.note(f.LastSizeSaid(*head, PRICE_REQUEST))
        raw = tuple(mm.RawTick(kind, value) for kind, value in prices.ticks)
        self.host.tell(mm.RawTicks(prices.symbol, raw))


def calendar_read(asked_ns: int) -> mm.CalendarRead:
    """The exchange's sessions around an instant; the real edge gives some more weeks of them."""
    near = opening_within(asked_ns - 5 * DAY_NS, asked_ns + 12 * DAY_NS)
    past = opening_within(asked_ns - 300 * DAY_NS, asked_ns + 1)
    hours = tuple(mm.SessionHours(s.date, s.open_ns, s.close_ns) for s in near)
    return mm.CalendarRead(asked_ns, tuple(s.date for s in past[-200:]), hours, "")
