"""Answers questions about instruments and the past: details, symbols, bars, ticks, schedules."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from common.clock import SECOND_NS, host_ns
from services.sim_tws import contracts, history, replies, requests
from services.sim_tws.contracts import INSTRUMENTS, VIX
from services.sim_tws.data_desk import DELAY_NS, DataDesk
from services.sim_tws.history import NoDataError
from services.sim_tws.market_time import (
    new_york,
    new_york_date,
    new_york_text,
    read_instant_ns,
)
from services.sim_tws.order_desk import NO_DEFINITION
from services.sim_tws.session import Session
from services.sim_tws.subscriptions import HistoryStream
from services.sim_tws.switches import Switches
from services.sim_tws.tape import Tape, extended_hours
from services.sim_tws.wire import FieldError, payload

HOURS_DAYS = 6
LIVE_HISTORY_NS = 5 * SECOND_NS
SMALL_BAR_S = 30
HEAD_DAYS = 30  # the first session lies within a month of the market's first day
# How far back the newest bar of a long-bar request may reach, by the end of its bar size.
RECENT = {"y": "2 D", "D": "2 D", "k": "2 W", "W": "2 W", "h": "2 M", "M": "2 M"}
IDENTICAL_NS = 15 * SECOND_NS
BURST_NS, BURST_MAX = 2 * SECOND_NS, 6
LONG_NS, LONG_MAX = 600 * SECOND_NS, 60
HISTORICAL_TICKS_MAX = 1000
SERVICE_ERROR = "Historical Market Data Service error message:"
PACING = f"{SERVICE_ERROR}Historical data request pacing violation"


class HistoryDesk:
    """Reference and historical requests of all sessions."""

    def __init__(self, tape: Tape, switches: Switches, data: DataDesk) -> None:
        self._tape = tape
        self._switches = switches
        self._data = data
        self._small_requests: deque[tuple[int, requests.Historical]] = deque()

    # Instruments

    def contract_details(
        self, session: Session, request: requests.ContractDetails, now_ns: int
    ) -> None:
        try:
            found = contracts.find(request.contract, self._switches.ambiguous_contract)
        except FieldError as wrong:
            session.error(request.req_id, 321, _invalid(str(wrong)))
            return
        if not found:
            session.error(request.req_id, 200, NO_DEFINITION)
            return
        hours = self._hours(now_ns)
        for instrument in found:
            contract = instrument.contract(request.contract.exchange)
            session.send(
                replies.contract_details(
                    request.req_id, instrument, contract, hours, session.version
                )
            )
        session.send(replies.contract_details_end(request.req_id))

    def matching_symbols(self, session: Session, request: requests.MatchingSymbols) -> None:
        pattern = request.pattern.upper()
        found = [
            item
            for item in INSTRUMENTS
            if pattern and (item.symbol.startswith(pattern) or pattern in item.long_name.upper())
        ]
        session.send(replies.symbol_samples(request.req_id, found, session.version))

    def market_rule(self, session: Session, request: requests.MarketRule) -> None:
        if request.rule_id in {item.market_rule for item in INSTRUMENTS}:
            session.send(replies.market_rule(request.rule_id, 0.0, 0.01))
        else:
            session.error(-1, 321, _invalid(f"Unknown market rule {request.rule_id}"))

    def head_timestamp(self, session: Session, request: requests.HeadTimestamp) -> None:
        instrument = self._data.resolve(session, request.req_id, request.contract)
        if instrument is None:
            return
        market = self._tape.market
        soon = market.first_day + timedelta(days=HEAD_DAYS)
        first = market.daily_bars(instrument.symbol, soon, HEAD_DAYS)[0][1]
        text = f"{new_york(first.start_ns):%Y%m%d-%H:%M:%S}"
        if request.date_format == 2:
            text = str(first.start_ns // SECOND_NS)
        session.send(replies.head_timestamp(request.req_id, text))

    # Bars

    def historical(self, session: Session, request: requests.Historical, now_ns: int) -> None:
        req_id = request.req_id
        instrument = self._data.resolve(session, req_id, request.contract)
        if instrument is None:
            return
        if self._switches.history_error:
            session.error(req_id, 162, f"{SERVICE_ERROR}{self._switches.history_error}")
            return
        if self._too_fast(request):
            session.error(req_id, 162, PACING)
            return
        visible_ns = self._visible_ns(now_ns)
        if visible_ns is None:
            session.error(req_id, 162, f"{SERVICE_ERROR}No market data permissions for "
                          f"{instrument.primary_exchange} {instrument.sec_type}")  # fmt: skip
            return
        if request.show.upper() == "SCHEDULE":
            self._schedule(session, request, visible_ns)
            return
        try:
            found = history.bars(request, instrument, self._tape, visible_ns)
            asked = history.window(request, self._tape, visible_ns)
        except FieldError as wrong:
            session.error(req_id, 321, _invalid(str(wrong)))
            return
        except NoDataError as nothing:
            session.error(req_id, 162, f"{SERVICE_ERROR}HMDS query returned {nothing}")
            return
        rows = [(history.date_text(bar, request, session.version), bar) for bar in found]
        start, end = (new_york_text(at, session.version) for at in (asked.start_ns, asked.end_ns))
        session.send(replies.historical_data(req_id, start, end, rows, session.version))
        if request.keep_up_to_date:
            session.subscriptions.history[req_id] = HistoryStream(
                instrument, request, now_ns + LIVE_HISTORY_NS, found[-1].start_ns
            )

    def cancel_historical(self, session: Session, req_id: int) -> None:
        if session.subscriptions.history.pop(req_id, None) is None:
            session.error(req_id, 366, f"No historical data query found for ticker id:{req_id}")
        else:
            text = f"{SERVICE_ERROR}API historical data query cancelled: {req_id}"
            session.error(req_id, 162, text)

    def publish(self, sessions: Iterable[Session], now_ns: int) -> None:
        """Keeps the last bars up to date, every five seconds of market time."""
        visible_ns = self._visible_ns(now_ns)
        if visible_ns is None or self._switches.quotes_frozen:
            return
        for session in sessions:
            for req_id, stream in session.subscriptions.history.items():
                if now_ns >= stream.next_update_ns:
                    stream.next_update_ns = now_ns + LIVE_HISTORY_NS
                    self._update(session, req_id, stream, visible_ns)

    def _update(
        self, session: Session, req_id: int, stream: HistoryStream, visible_ns: int
    ) -> None:
        """The bars finished since the last update, then the running one."""
        bar_s = history.BAR_SECONDS.get(stream.request.bar_size, 0)
        if bar_s:
            made = self._tape.market.bars(
                stream.instrument.symbol, stream.bar_start_ns, visible_ns, bar_s
            )
        else:
            latest = replace(stream.request, duration=RECENT[stream.request.bar_size[-1]])
            made = history.bars(latest, stream.instrument, self._tape, visible_ns)[-1:]
        for bar in made[-100:]:
            stream.bar_start_ns = bar.start_ns
            text = history.date_text(bar, stream.request, session.version)
            session.send(replies.historical_data_update(req_id, text, bar, session.version))

    def _schedule(self, session: Session, request: requests.Historical, visible_ns: int) -> None:
        try:
            asked = history.window(request, self._tape, visible_ns)
        except FieldError as wrong:
            session.error(request.req_id, 321, _invalid(str(wrong)))
            return
        days = []
        day = new_york_date(asked.start_ns)
        while day <= new_york_date(asked.end_ns):
            times = self._tape.market.session_on(day)
            if times is not None:
                local = (
                    f"{new_york(at):%Y%m%d-%H:%M:%S}" for at in (times.open_ns, times.close_ns)
                )
                days.append((*local, f"{day:%Y%m%d}"))
            day += timedelta(days=1)
        start = days[0][0] if days else ""
        end = days[-1][1] if days else ""
        flat = [text for row in days for text in row]
        session.send(payload(106, request.req_id, start, end, "US/Eastern", len(days), *flat))

    # Ticks of the past

    def ticks(self, session: Session, request: requests.HistoricalTicks, now_ns: int) -> None:
        instrument = self._data.resolve(session, request.req_id, request.contract)
        visible_ns = self._visible_ns(now_ns)
        if instrument is None or visible_ns is None:
            return
        show = request.show.upper()
        if show not in {"TRADES", "BID_ASK", "MIDPOINT"} or bool(request.start) == bool(
            request.end
        ):
            session.error(request.req_id, 321, _invalid("Invalid historical tick request"))
            return
        try:
            at_ns = min(read_instant_ns(request.start or request.end), visible_ns)
        except FieldError as wrong:
            session.error(request.req_id, 321, _invalid(str(wrong)))
            return
        count = max(1, min(request.count, HISTORICAL_TICKS_MAX))
        span_ns = count * SECOND_NS
        first_ns, last_ns = (at_ns, at_ns + span_ns) if request.start else (at_ns - span_ns, at_ns)
        found = self._tape.market.path(instrument.symbol, first_ns - 1, min(last_ns, visible_ns))
        message = {"MIDPOINT": 96, "BID_ASK": 97, "TRADES": 98}[show]
        rows: list[list[str | int | float | None]] = []
        for tick in found:
            stamp = tick.ts_ns // SECOND_NS
            if show == "BID_ASK":
                rows.append([stamp, tick.bid, tick.ask, tick.bid_size, tick.ask_size])
            elif show == "MIDPOINT":
                rows.append([stamp, round((tick.bid + tick.ask) / 2, 4), 0])
            elif tick.last_size or instrument == VIX:
                rows.append([stamp, tick.last, tick.last_size])
        chosen = rows[:count] if request.start else rows[-count:]
        session.send(replies.historical_ticks(message, request.req_id, chosen, done=True))

    # Rules

    def _visible_ns(self, now_ns: int) -> int | None:
        """How far a client may see: delayed permission ends a quarter of an hour ago."""
        if self._switches.live_data:
            return now_ns
        return now_ns - DELAY_NS if self._switches.delayed_data else None

    def _too_fast(self, request: requests.Historical) -> bool:
        """IB's pacing of small bars; it counts real seconds, whatever the market's pace."""
        if history.BAR_SECONDS.get(request.bar_size, SMALL_BAR_S + 1) > SMALL_BAR_S:
            return False
        now_ns, past = host_ns(), self._small_requests
        while past and now_ns - past[0][0] > LONG_NS:
            past.popleft()
        asked = (request.contract, request.bar_size, request.duration, request.end, request.show)
        same_place = (request.contract.con_id, request.contract.symbol, request.show)
        identical = burst = 0
        for at_ns, other in past:
            key = (other.contract, other.bar_size, other.duration, other.end, other.show)
            identical += now_ns - at_ns < IDENTICAL_NS and key == asked
            place = (other.contract.con_id, other.contract.symbol, other.show)
            burst += now_ns - at_ns < BURST_NS and place == same_place
        past.append((now_ns, request))
        if request.show.upper() == "BID_ASK":
            past.append((now_ns, request))
        return bool(identical) or burst + 1 >= BURST_MAX or len(past) > LONG_MAX

    def _hours(self, now_ns: int) -> tuple[str, str]:
        """tradingHours and liquidHours of today and the next days, New York time."""
        trading, liquid = [], []
        day = new_york_date(now_ns)
        for offset in range(HOURS_DAYS):
            date_ = day + timedelta(days=offset)
            times = self._tape.market.session_on(date_)
            if times is None:
                trading.append(f"{date_:%Y%m%d}:CLOSED")
                liquid.append(f"{date_:%Y%m%d}:CLOSED")
                continue
            trading.append(_span(*extended_hours(times)))
            liquid.append(_span(times.open_ns, times.close_ns))
        return ";".join(trading), ";".join(liquid)


def _span(first_ns: int, last_ns: int) -> str:
    return f"{new_york(first_ns):%Y%m%d:%H%M}-{new_york(last_ns):%Y%m%d:%H%M}"


def _invalid(cause: str) -> str:
    return f"Error validating request.-'bN' : cause - {cause}"
