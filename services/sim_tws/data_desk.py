"""Streams of market data: quotes, tick by tick, five-second bars; live or delayed.

A publication sends every turning point since the last one, so a dip between two publications is
in the stream. Delayed data is the same stream a quarter of an hour late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from common.clock import MINUTE_NS, SECOND_NS
from services.sim_tws import contracts, replies, requests
from services.sim_tws.contracts import SMH, VIX, Instrument
from services.sim_tws.market import Tick
from services.sim_tws.market_time import new_york_date
from services.sim_tws.order_desk import AMBIGUOUS, NO_DEFINITION
from services.sim_tws.session import Session
from services.sim_tws.subscriptions import BarStream, Ticker, TickStream
from services.sim_tws.switches import Switches
from services.sim_tws.tape import Phase, Tape
from services.sim_tws.wire import FieldError

DELAY_NS = 15 * MINUTE_NS
TICKERS_MAX = 100
LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4
BAR_NS = 5 * SECOND_NS
BARS_PER_PUBLICATION_MAX = 720
MOVES_SENT_WHOLE = 8

BID, ASK, LAST, HIGH, LOW, VOLUME, CLOSE, OPEN = 1, 2, 4, 6, 7, 8, 9, 14
BID_SIZE, ASK_SIZE, LAST_SIZE, LAST_TIME, HALTED = 0, 3, 5, 45, 49
SHORTABLE, MARK, RT_VOLUME = 46, 37, 48
DELAYED_TYPE = {
    BID: 66, ASK: 67, LAST: 68, BID_SIZE: 69, ASK_SIZE: 70, LAST_SIZE: 71, HIGH: 72, LOW: 73,
    VOLUME: 74, CLOSE: 75, OPEN: 76, LAST_TIME: 88, HALTED: 90,
}  # fmt: skip
SIZE_OF = {BID: BID_SIZE, ASK: ASK_SIZE, LAST: LAST_SIZE}
KNOWN_GENERIC_TICKS = frozenset(
    {100, 101, 104, 105, 106, 165, 221, 225, 232, 233, 236, 256, 258, 292, 293, 294, 295, 318,
     375, 411, 456, 460, 586, 587, 588, 595, 619}
)  # fmt: skip
NOT_SUBSCRIBED = "Requested market data is not subscribed."
DELAYED_AVAILABLE = f"{NOT_SUBSCRIBED}Delayed market data is available.{{}}/TOP/ALL"
SHOWING_DELAYED = f"{NOT_SUBSCRIBED} Displaying delayed market data."
DELAYED_NOT_ENABLED = f"{NOT_SUBSCRIBED} Delayed market data is not enabled."
IN_PART = (
    "Part of requested market data requires additional subscription for API. See link in "
    "'Market Data Connections' dialog for more details. Delayed market data is available."
)
COMPETING = "No market data during competing live session"


@dataclass(slots=True)
class DayFigures:
    """The day's open, high, low and volume so far, and the close before."""

    open: float
    high: float
    low: float
    close: float
    volume: int


class DataDesk:
    """Market-data requests of all sessions."""

    def __init__(self, tape: Tape, switches: Switches, start_ns: int) -> None:
        self._tape = tape
        self._switches = switches
        self._published_ns = start_ns

    # Requests

    def market_data(self, session: Session, request: requests.MarketData, now_ns: int) -> None:
        tickers = session.subscriptions.tickers
        req_id = request.req_id
        if req_id in tickers:
            session.error(
                req_id, 322, "Error processing request.-'bW' : cause - Duplicate ticker id"
            )
            return
        if len(tickers) >= TICKERS_MAX:
            session.error(req_id, 101, "Max number of tickers has been reached")
            return
        instrument = self.resolve(session, req_id, request.contract)
        generic = _generic_ticks(request.generic_ticks)
        if instrument is None:
            return
        if generic is None:
            session.error(
                req_id, 321, "Error validating request.-'bW' : cause - Incorrect generic tick list"
            )
            return
        delayed = self._permitted(session, req_id, instrument)
        if delayed is None:
            return
        ticker = Ticker(instrument, generic, delayed, now_ns)
        self._begin(session, req_id, ticker, now_ns)
        if request.snapshot:
            session.send(replies.tick_snapshot_end(req_id))
        else:
            tickers[req_id] = ticker

    def tick_by_tick(self, session: Session, request: requests.TickByTick, now_ns: int) -> None:
        instrument = self.resolve(session, request.req_id, request.contract)
        if instrument is None:
            return
        if request.tick_type not in {"Last", "AllLast", "BidAsk", "MidPoint"}:
            session.error(request.req_id, 321, "Error validating request.-'bN' : cause - "
                          f"Invalid tick type '{request.tick_type[:20]}'")  # fmt: skip
        elif not self._switches.live_data or instrument == VIX:
            session.error(request.req_id, 10189, "Failed to request tick-by-tick data.No market "
                          f"data permissions for {instrument.primary_exchange}")  # fmt: skip
        else:
            stream = TickStream(instrument, request.tick_type, now_ns)
            session.subscriptions.tick_streams[request.req_id] = stream

    def bars(self, session: Session, request: requests.RealTimeBars, now_ns: int) -> None:
        instrument = self.resolve(session, request.req_id, request.contract)
        if instrument is None:
            return
        if not self._switches.live_data:
            session.error(request.req_id, 420, "Invalid Real-time Query:No market data permissions")
            return
        start_ns = now_ns - now_ns % BAR_NS
        session.subscriptions.bar_streams[request.req_id] = BarStream(instrument, start_ns)

    def cancel_market_data(self, session: Session, req_id: int) -> None:
        if session.subscriptions.tickers.pop(req_id, None) is None:
            session.error(req_id, 300, f"Can't find EId with tickerId:{req_id}")

    def cancel_tick_by_tick(self, session: Session, req_id: int) -> None:
        if session.subscriptions.tick_streams.pop(req_id, None) is None:
            session.error(req_id, 300, f"Can't find EId with tickerId:{req_id}")

    def cancel_bars(self, session: Session, req_id: int) -> None:
        if session.subscriptions.bar_streams.pop(req_id, None) is None:
            session.error(req_id, 300, f"Can't find EId with tickerId:{req_id}")

    def resolve(
        self, session: Session, req_id: int, contract: contracts.Contract
    ) -> Instrument | None:
        """The one quoted instrument the contract means; else its error is sent."""
        try:
            found = contracts.find(contract, self._switches.ambiguous_contract)
        except FieldError as wrong:
            session.error(req_id, 321, f"Error validating request.-'bN' : cause - {wrong}")
            return None
        if len(found) == 1 and found[0] in {SMH, VIX}:
            return found[0]
        text = AMBIGUOUS.format(contract.symbol) if len(found) > 1 else NO_DEFINITION
        session.error(req_id, 200, text)
        return None

    # Publication

    def publish(self, sessions: Iterable[Session], now_ns: int) -> None:
        """Everything since the last publication, to every subscriber."""
        after_ns, self._published_ns = self._published_ns, now_ns
        if now_ns <= after_ns or self._switches.quotes_frozen:
            return
        moves: dict[tuple[str, bool], list[Tick]] = {}
        for session in sessions:
            for req_id, ticker in list(session.subscriptions.tickers.items()):
                key = (ticker.instrument.symbol, ticker.delayed)
                if key not in moves:
                    lag_ns = DELAY_NS if ticker.delayed else 0
                    moves[key] = self._tape.path(key[0], after_ns - lag_ns, now_ns - lag_ns)
                self._send_close(session, req_id, ticker, after_ns, now_ns)
                self._send_opening(session, req_id, ticker, after_ns, now_ns)
                self._send_moves(session, req_id, ticker, moves[key])
            self._publish_streams(session, after_ns, now_ns)

    def halt_changed(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            for req_id, ticker in session.subscriptions.tickers.items():
                if ticker.instrument == SMH:
                    self._send_halt(session, req_id, ticker)

    def compete(self, sessions: Iterable[Session]) -> None:
        """Another live session of the same user takes the data: 10197 for every ticker."""
        for session in sessions:
            for req_id in session.subscriptions.tickers:
                session.error(req_id, 10197, COMPETING)

    def _permitted(self, session: Session, req_id: int, instrument: Instrument) -> bool | None:
        """True: delayed, False: live, None: refused with its error."""
        kind = session.subscriptions.data_kind
        switches = self._switches
        if switches.competing_session:
            session.error(req_id, 10197, COMPETING)
            return None
        if switches.part_permitted and kind not in {DELAYED, DELAYED_FROZEN}:
            session.error(req_id, 10091, IN_PART)
            return None
        if switches.live_data and not switches.part_permitted:
            return False
        if kind in {DELAYED, DELAYED_FROZEN} and switches.delayed_data:
            session.error(req_id, 10167, SHOWING_DELAYED)
            return True
        if kind in {DELAYED, DELAYED_FROZEN} or switches.refused_as_not_enabled:
            session.error(req_id, 10168, DELAYED_NOT_ENABLED)
        elif switches.delayed_data:
            source = f"{instrument.symbol} {instrument.primary_exchange}"
            session.error(req_id, 354, DELAYED_AVAILABLE.format(source))
        else:
            session.error(
                req_id,
                10089,
                "Requested market data requires additional subscription for API. See link in "
                f"'Market Data Connections' dialog for more details.{instrument.symbol} "
                f"{instrument.primary_exchange}/TOP/ALL",
            )
        return None

    def _begin(self, session: Session, req_id: int, ticker: Ticker, now_ns: int) -> None:
        """The first burst: kind of data, parameters, the standing quote, the day's figures."""
        at_ns = now_ns - (DELAY_NS if ticker.delayed else 0)
        session.send(replies.market_data_type(req_id, self._kind(session, ticker, now_ns)))
        instrument = ticker.instrument
        session.send(replies.tick_req_params(req_id, instrument.min_tick, "9c0001"))
        try:
            tick = self._tape.tick(instrument.symbol, at_ns)
        except LookupError:
            return
        self._send_tick(session, req_id, ticker, tick)
        figures = self._figures(instrument.symbol, at_ns, tick)
        for kind, price in (
            (OPEN, figures.open), (HIGH, figures.high), (LOW, figures.low), (CLOSE, figures.close),
        ):  # fmt: skip
            self._send_price(session, req_id, ticker, kind, price)
        if instrument != VIX:
            self._send_size(session, req_id, ticker, VOLUME, figures.volume)
        if 236 in ticker.generic_ticks:
            session.send(replies.tick_generic(req_id, SHORTABLE, 3.0))
        self._send_halt(session, req_id, ticker)

    def _kind(self, session: Session, ticker: Ticker, now_ns: int) -> int:
        if ticker.delayed:
            return DELAYED
        asked = session.subscriptions.data_kind
        closed = self._tape.phase(now_ns) is Phase.CLOSED
        return FROZEN if closed and asked in {FROZEN, DELAYED_FROZEN} else LIVE

    def _send_close(
        self, session: Session, req_id: int, ticker: Ticker, after_ns: int, now_ns: int
    ) -> None:
        """A new day makes of the session before the day before's: its close, adjusted."""
        lag_ns = DELAY_NS if ticker.delayed else 0
        day = new_york_date(now_ns - lag_ns)
        if day == new_york_date(after_ns - lag_ns) or self._tape.market.session_on(day) is None:
            return
        close = self._tape.adjusted_close(ticker.instrument.symbol, day)
        if close is not None:
            self._send_price(session, req_id, ticker, CLOSE, close)

    def _send_opening(
        self, session: Session, req_id: int, ticker: Ticker, after_ns: int, now_ns: int
    ) -> None:
        """A session that opened since the last publication begins with its official open."""
        lag_ns = DELAY_NS if ticker.delayed else 0
        symbol = ticker.instrument.symbol
        opened = self._tape.session(now_ns - lag_ns)
        if opened is None or not after_ns - lag_ns < opened.open_ns <= now_ns - lag_ns:
            return
        try:
            price = self._tape.market.opening_print(symbol, opened.date)
        except LookupError:
            return  # the VIX file has no row for this day
        before = self._tape.adjusted_close(symbol, opened.date)
        for kind, figure in ((OPEN, price), (HIGH, price), (LOW, price), (CLOSE, before or price)):
            self._send_price(session, req_id, ticker, kind, figure)
        ticker.shown[VOLUME] = 0

    def _send_moves(self, session: Session, req_id: int, ticker: Ticker, moves: list[Tick]) -> None:
        lag_ns = DELAY_NS if ticker.delayed else 0
        for tick in _turning_points(moves, self._tape.is_wild):
            if tick.ts_ns + lag_ns > ticker.since_ns:
                self._send_tick(session, req_id, ticker, tick)
        volume = sum(t.last_size for t in moves if t.ts_ns + lag_ns > ticker.since_ns)
        if volume and ticker.instrument != VIX:
            total = int(ticker.shown.get(VOLUME, 0)) + volume // 100 * 100
            self._send_size(session, req_id, ticker, VOLUME, total)

    def _send_tick(self, session: Session, req_id: int, ticker: Ticker, tick: Tick) -> None:
        if ticker.instrument != VIX:
            self._send_price(session, req_id, ticker, BID, tick.bid, tick.bid_size)
            self._send_price(session, req_id, ticker, ASK, tick.ask, tick.ask_size)
        traded = tick.last_size > 0 and not self._tape.halted
        printed = traded or ticker.instrument == VIX
        if printed or LAST not in ticker.shown:
            changed = self._send_price(session, req_id, ticker, LAST, tick.last, tick.last_size)
            if changed:
                stamp = str(tick.ts_ns // SECOND_NS)
                session.send(replies.tick_string(req_id, _type(ticker, LAST_TIME), stamp))
                self._send_extremes(session, req_id, ticker, tick.last)
        if {221, 232} & ticker.generic_ticks:
            self._send_price(session, req_id, ticker, MARK, round((tick.bid + tick.ask) / 2, 4))
        if {233, 375} & ticker.generic_ticks and tick.last_size:
            text = f"{tick.last};{tick.last_size};{tick.ts_ns // 1_000_000};0;{tick.last};true"
            session.send(replies.tick_string(req_id, RT_VOLUME, text))

    def _send_extremes(self, session: Session, req_id: int, ticker: Ticker, last: float) -> None:
        if last > ticker.shown.get(HIGH, last):
            self._send_price(session, req_id, ticker, HIGH, last)
        if last < ticker.shown.get(LOW, last):
            self._send_price(session, req_id, ticker, LOW, last)

    def _send_price(
        self, session: Session, req_id: int, ticker: Ticker, kind: int, price: float,
        shares: int = 0,
    ) -> bool:  # fmt: skip
        """Sends a price if it changed (its size follows, as TWS does); tells whether it did."""
        size_kind = SIZE_OF.get(kind)
        if self._switches.bad_ticks_left > 0 and kind in SIZE_OF:
            self._switches.bad_ticks_left -= 1
            price = self._switches.bad_tick
        if ticker.shown.get(kind) != price:
            ticker.shown[kind] = price
            mask = 1 if kind in {BID, ASK} and not ticker.delayed else 0
            session.send(replies.tick_price(req_id, _type(ticker, kind), price, shares, mask))
            if size_kind is not None:
                ticker.shown[size_kind] = shares
                session.send(replies.tick_size(req_id, _type(ticker, size_kind), shares))
            return True
        if size_kind is not None and ticker.shown.get(size_kind) != shares:
            self._send_size(session, req_id, ticker, size_kind, shares)
            return kind == LAST
        return False

    def _send_size(
        self, session: Session, req_id: int, ticker: Ticker, kind: int, shares: int
    ) -> None:
        ticker.shown[kind] = shares
        session.send(replies.tick_size(req_id, _type(ticker, kind), shares))

    def _send_halt(self, session: Session, req_id: int, ticker: Ticker) -> None:
        """That nothing is halted TWS says only of what stands in a watchlist."""
        halted = self._tape.halted and ticker.instrument == SMH
        if halted or self._switches.watchlist:
            value = 1.0 if halted else 0.0
            session.send(replies.tick_generic(req_id, _type(ticker, HALTED), value))

    def _figures(self, symbol: str, at_ns: int, tick: Tick) -> DayFigures:
        day = new_york_date(at_ns)
        close = self._tape.adjusted_close(symbol, day) or tick.last
        session = self._tape.market.session_on(day)
        if session is None or at_ns <= session.open_ns:
            return DayFigures(close, tick.last, tick.last, close, 0)
        bars = self._tape.market.bars(symbol, session.open_ns, at_ns, 3600)
        return DayFigures(
            open=self._tape.market.opening_print(symbol, day),
            high=max((bar.high for bar in bars), default=tick.last),
            low=min((bar.low for bar in bars), default=tick.last),
            close=close,
            volume=int(sum(bar.volume for bar in bars)),
        )

    def _publish_streams(self, session: Session, after_ns: int, now_ns: int) -> None:
        subscriptions = session.subscriptions
        for req_id, ticks in list(subscriptions.tick_streams.items()):
            for tick in self._tape.path(ticks.instrument.symbol, after_ns, now_ns):
                if tick.ts_ns > ticks.since_ns:
                    _send_tick_by_tick(session, req_id, ticks, tick)
        for req_id, bars in list(subscriptions.bar_streams.items()):
            end_ns = now_ns - now_ns % BAR_NS
            if end_ns <= bars.next_start_ns:
                continue
            made = self._tape.market.bars(bars.instrument.symbol, bars.next_start_ns, end_ns, 5)
            bars.next_start_ns = end_ns
            for bar in made[-BARS_PER_PUBLICATION_MAX:]:
                session.send(replies.real_time_bar(req_id, bar, session.version))


def _turning_points(moves: list[Tick], always: Callable[[Tick], bool]) -> list[Tick]:
    """The moves at which the last price turns, the last one, and those to be sent `always`.

    At a replay's pace a publication spans a minute; every extreme stays, what lies on the way
    between two of them is left out. A few moves are sent as they are.
    """
    if len(moves) <= MOVES_SENT_WHOLE:
        return moves
    kept = [moves[0]]
    for tick, following in pairwise(moves[1:]):
        if (tick.last - kept[-1].last) * (following.last - tick.last) < 0 or always(tick):
            kept.append(tick)
    return [*kept, moves[-1]]


def _send_tick_by_tick(session: Session, req_id: int, stream: TickStream, tick: Tick) -> None:
    epoch_s = tick.ts_ns // SECOND_NS
    if stream.kind in {"Last", "AllLast"}:
        if tick.last_size:
            kind = 1 if stream.kind == "Last" else 2
            session.send(
                replies.tick_by_tick_last(
                    req_id, kind, epoch_s, tick.last, tick.last_size, "NASDAQ"
                )
            )
        return
    quote = (tick.bid, tick.ask, float(tick.bid_size), float(tick.ask_size))
    if quote == stream.shown:
        return
    stream.shown = quote
    if stream.kind == "BidAsk":
        session.send(
            replies.tick_by_tick_quote(
                req_id, epoch_s, tick.bid, tick.ask, tick.bid_size, tick.ask_size
            )
        )
    else:
        mid = round((tick.bid + tick.ask) / 2, 4)
        session.send(replies.tick_by_tick_mid(req_id, epoch_s, mid))


def _type(ticker: Ticker, kind: int) -> int:
    return DELAYED_TYPE.get(kind, kind) if ticker.delayed else kind


def _generic_ticks(text: str) -> frozenset[int] | None:
    """The asked generic ticks; None when one is unknown. `mdoff` and the like are ignored."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    numbers = {int(word) for word in words if word.isdecimal() and len(word) < 6}
    if len(numbers) < len({w for w in words if w.split(":")[0] != "mdoff"}):
        return None
    return frozenset(numbers) if numbers <= KNOWN_GENERIC_TICKS else None
