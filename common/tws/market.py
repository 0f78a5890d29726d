"""market_feed's edge: a data-only TWS connection. Our words become requests, TWS's become messages.

Ticks are taken at the library's callbacks, before it merges or drops any, and handed on once per
TCP chunk, all of them in order. Nothing is judged here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from datetime import date, datetime, timedelta
from typing import Any

from common import calendar
from common.clock import NEW_YORK, SECOND_NS, Clock
from common.messages import DataKind, Message
from common.settings import Settings
from common.tws.codes import NO_DEFINITION
from common.tws.connection import TwsConnection
from common.tws.contracts import contract_of
from common.tws.link_messages import LinkDown, LinkMessage, TwsError
from common.tws.liquid_hours import closed_days, liquid_hours
from common.tws.market_messages import (
    TICK_TYPES,
    AskContract,
    CalendarRead,
    ContractLine,
    ContractsFound,
    DataCode,
    HistoryRead,
    KindSaid,
    PriceBar,
    RawTick,
    RawTicks,
    ReadCalendar,
    ReadHistory,
    SessionHours,
    Subscribe,
)
from common.tws.questions import Questions

log = logging.getLogger(__name__)

KINDS: dict[int, DataKind] = {1: "live", 2: "frozen", 3: "delayed", 4: "delayed_frozen"}
LIVE, DELAYED = 1, 3  # market data types of the request
CALENDAR_TIMEOUT_S = 60.0  # host time; the first import on a slow machine is long
DAYS_BEFORE, DAYS_AFTER = 14, 50  # around the instant, for the calendar's hours


class MarketData:
    """The feed's hands. Every question is answered by exactly one message, failures too."""

    def __init__(self, settings: Settings, clock: Clock, hear: Callable[[Message], None]) -> None:
        self._settings = settings
        self._hear = hear
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscribed: dict[str, int] = {}
        self._symbols: dict[int, str] = {}
        self._chunk: dict[str, list[RawTick]] = {}
        self._connection = TwsConnection(
            settings, clock, settings.broker.data_client_id, self._on_link, self._prepare
        )
        self._questions = Questions(self._connection, settings.broker.request_timeout_s)

    async def start(self) -> None:
        self._spawn(self._connection.run())

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def perform(self, effect: Message) -> None:
        match effect:
            case Subscribe():
                self._subscribe(effect)
            case AskContract():
                self._spawn(self._ask_contract())
            case ReadHistory():
                self._spawn(self._read_history(effect))
            case ReadCalendar():
                self._spawn(self._read_calendar(effect))

    # --- what TWS says ---------------------------------------------------------------------------

    def _prepare(self, ib: Any) -> None:
        """Our callbacks instead of the library's, on each new connection."""
        self._subscribed.clear()
        self._symbols.clear()
        self._questions.forget()
        self._chunk.clear()
        ib.wrapper.priceSizeTick = self._on_price
        ib.wrapper.tickSize = self._on_size
        ib.wrapper.tickGeneric = self._on_price
        ib.wrapper.tickString = self._on_text
        ib.wrapper.marketDataType = self._on_kind
        ib.updateEvent += self._on_chunk_end

    def _on_price(self, req_id: int, tick_type: int, value: float, _size: float = 0.0) -> None:
        symbol = self._symbols.get(req_id)
        if symbol is not None:
            ticks = self._chunk.setdefault(symbol, [])
            if tick_type in TICK_TYPES:
                ticks.append(RawTick(type=tick_type, value=float(value)))

    def _on_size(self, req_id: int, _tick_type: int, _size: float) -> None:
        symbol = self._symbols.get(req_id)
        if symbol is not None:
            self._chunk.setdefault(symbol, [])

    def _on_text(self, req_id: int, _tick_type: int, _value: str) -> None:
        """Times and exchanges of prices: nothing to decide on, and no sign of life in itself."""

    def _on_kind(self, req_id: int, number: int) -> None:
        symbol = self._symbols.get(req_id)
        if symbol is not None:
            self._hear(KindSaid(symbol=symbol, kind=KINDS.get(number, "none")))

    def _on_chunk_end(self) -> None:
        chunk, self._chunk = self._chunk, {}
        for symbol, ticks in chunk.items():
            self._hear(RawTicks(symbol=symbol, ticks=tuple(ticks)))

    def _on_link(self, message: LinkMessage) -> None:
        if isinstance(message, TwsError) and message.ref_id in self._symbols:
            symbol = self._symbols[message.ref_id]
            self._hear(DataCode(symbol=symbol, code=message.code, text=message.text))
            return
        if isinstance(message, TwsError) and message.ref_id > 0:
            self._questions.refused(message)
            return
        if isinstance(message, LinkDown):
            self._symbols.clear()
        self._hear(message)

    # --- what is asked of TWS --------------------------------------------------------------------

    def _subscribe(self, effect: Subscribe) -> None:
        if not self._connection.connected:
            return  # the next LinkUp subscribes anew
        client = self._connection.ib.client
        before = self._subscribed.pop(effect.symbol, None)
        if before is not None:
            del self._symbols[before]
            client.cancelMktData(before)
        req_id = client.getReqId()
        self._subscribed[effect.symbol] = req_id
        self._symbols[req_id] = effect.symbol
        client.reqMarketDataType(LIVE if effect.live else DELAYED)
        client.reqMktData(
            req_id, contract_of(self._settings.strategy, effect.symbol), "",
            snapshot=False, regulatorySnapshot=False, mktDataOptions=[],
        )  # fmt: skip

    async def _ask_contract(self) -> None:
        contract = contract_of(self._settings.strategy, self._settings.strategy.symbol)
        answer = await self._questions.ask("reqContractDetails", contract)
        no_such = answer.code == NO_DEFINITION  # an empty answer, and the decider's to explain
        lines = tuple(
            ContractLine(
                con_id=details.contract.conId,
                primary_exchange=details.contract.primaryExchange,
                name=details.longName,
                hours=liquid_hours(details.liquidHours, details.timeZoneId),
                closed_days=closed_days(details.liquidHours),
            )
            for details in answer.found
        )
        self._hear(ContractsFound(lines=lines, problem="" if no_such else answer.problem))

    async def _read_history(self, effect: ReadHistory) -> None:
        contract = contract_of(self._settings.strategy, self._settings.strategy.symbol)
        answer = await self._questions.ask(
            "reqHistoricalData", contract,
            endDateTime="", durationStr=f"{effect.years} Y", barSizeSetting="1 day",
            whatToShow="TRADES", useRTH=True, formatDate=1, keepUpToDate=False, chartOptions=[],
        )  # fmt: skip
        bars = tuple(
            PriceBar(
                day=bar.date, open_usd=bar.open, high_usd=bar.high, low_usd=bar.low,
                close_usd=bar.close,
            )
            for bar in answer.found
        )  # fmt: skip
        self._hear(HistoryRead(asked_ns=effect.asked_ns, bars=bars, problem=answer.problem))

    async def _read_calendar(self, effect: ReadCalendar) -> None:
        first, last = calendar_range(effect)
        try:
            days = await calendar.read_sessions(first, last, CALENDAR_TIMEOUT_S)
        except (calendar.CalendarError, OSError) as error:
            self._hear(CalendarRead(effect.asked_ns, past_days=(), sessions=(), problem=str(error)))
        else:
            self._hear(calendar_read(effect, days))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a request ended badly", exc_info=task.exception())


def calendar_range(effect: ReadCalendar) -> tuple[date, date]:
    """First and last day to compute: the history's years, to some weeks after the instant."""
    at = _new_york_day(effect.asked_ns)
    return date(at.year - effect.years - 1, at.month, 1), at + timedelta(days=DAYS_AFTER)


def calendar_read(effect: ReadCalendar, days: Iterable[SessionHours]) -> CalendarRead:
    """The answer that the sessions of `calendar_range` make."""
    at = _new_york_day(effect.asked_ns)
    listed = tuple(days)
    return CalendarRead(
        asked_ns=effect.asked_ns,
        past_days=tuple(hours.day for hours in listed if hours.day <= at),
        sessions=tuple(h for h in listed if h.day >= at - timedelta(days=DAYS_BEFORE)),
        problem="",
    )


def _new_york_day(ts_ns: int) -> date:
    return datetime.fromtimestamp(ts_ns // SECOND_NS, NEW_YORK).date()
