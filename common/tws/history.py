"""Asks a TWS for past bars, and for nothing else: no order can leave by this connection.

It has a client id of its own, so it may run beside a trading system. A lost connection is taken up
again, IB's pacing is kept (history_limits.py), and a refusal is told in plain words.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any

from msgspec import Struct

from common.clock import NEW_YORK, SECOND_NS, WallClock
from common.settings import Settings
from common.tws.codes import HISTORY_REFUSED, look_up
from common.tws.connection import TwsConnection
from common.tws.contracts import contract_of
from common.tws.history_limits import Pacing
from common.tws.link_messages import LinkDown, LinkMessage, LinkUp, TwsError
from common.tws.questions import Answer, Questions

CLIENT_IDS = range(990, 1000)
"""Spare ones: 1 and 2 trade, `trader doctor` takes those from 900 to 989."""
ANSWER_S = 60.0  # host time; IB takes its time over a long stretch
CONNECT_S = 30.0
RECONNECT_S = 60.0
ATTEMPTS = 3  # of one request: a lost answer, a broken link, IB's pacing
PACING_PENALTY_S = 60.0
"""After "pacing violation": other clients of this login have used up what IB allows."""
NO_DATA, PACING, PERMISSION = "no data", "pacing violation", "permission"
MEND_PERMISSION = "Client Portal: market data subscriptions for {symbol}, then log in to TWS anew"


class NoTwsError(Exception):
    """There is no TWS to ask, or no longer; the text says why and what mends it."""


class RefusedError(Exception):
    """TWS refuses what was asked; the text says why and what mends it."""


class BarsAsked(Struct, frozen=True):
    """Bars of the regular session, split-adjusted, ended by `end_ns` (UTC; 0: now).

    `size` and `duration` in IB's words.
    """

    symbol: str
    size: str
    duration: str
    end_ns: int


class PastBar(Struct, frozen=True):
    """One bar as TWS said it, nothing about it checked. `start_ns`: UTC, 0 for a daily bar."""

    day: date
    start_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class PastBars:
    """`async with PastBars(settings) as tws:` is connected; NoTwsError when nobody answers."""

    def __init__(
        self, settings: Settings, told: Callable[[str], None] = lambda _text: None
    ) -> None:
        """`told` hears why there is a wait."""
        self._settings = settings
        self._told = told
        self._pacing = Pacing()
        self._changed = asyncio.Event()
        self._down = ""
        self._tws_s = 0
        client_id = CLIENT_IDS[os.getpid() % len(CLIENT_IDS)]
        self._connection = TwsConnection(
            settings, WallClock(), client_id, self._hear, self._prepare, asks_the_time=True
        )
        self._questions = Questions(self._connection, ANSWER_S)
        self._running: asyncio.Future[None] | None = None

    async def __aenter__(self) -> PastBars:
        self._running = asyncio.ensure_future(self._connection.run())
        try:
            await self._until_connected(CONNECT_S, patient=False)
        except NoTwsError:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    @property
    def now_ns(self) -> int:
        """TWS's own clock, UTC ns, in whole seconds: market time, in a simulated market too."""
        return self._tws_s * SECOND_NS

    async def bars(self, asked: BarsAsked) -> list[PastBar]:
        """Oldest first; none where TWS has none. RefusedError, NoTwsError."""
        answer = Answer([])
        for _ in range(ATTEMPTS):
            await self._until_connected(RECONNECT_S, patient=True)
            await self._paced(asked)
            answer = await self._ask(asked)
            if not answer.problem:
                return [_past_bar(bar) for bar in answer.found]
            if answer.code == HISTORY_REFUSED and PACING in answer.problem:
                self._told(f"IB: {PACING}; waiting {PACING_PENALTY_S:g} s")
                await asyncio.sleep(PACING_PENALTY_S)
            elif answer.code == HISTORY_REFUSED and NO_DATA in answer.problem:
                return []
            elif answer.code:
                break
        raise RefusedError(refusal(asked, answer))

    async def _ask(self, asked: BarsAsked) -> Answer:
        end = ""
        if asked.end_ns:
            end = f"{datetime.fromtimestamp(asked.end_ns // SECOND_NS, UTC):%Y%m%d-%H:%M:%S}"
        return await self._questions.ask(
            "reqHistoricalData", contract_of(self._settings.strategy, asked.symbol),
            endDateTime=end, durationStr=asked.duration, barSizeSetting=asked.size,
            whatToShow="TRADES", useRTH=True, formatDate=2, keepUpToDate=False, chartOptions=[],
        )  # fmt: skip

    async def _paced(self, asked: BarsAsked) -> None:
        """Waits until IB allows the request, and counts it."""
        place = asked.symbol
        while (wait_s := self._pacing.wait_s(asked, place, time.monotonic())) > 0.0:
            if wait_s > 1.0:
                self._told(f"waiting {wait_s:.0f} s: IB allows so many requests and no more")
            await asyncio.sleep(wait_s)
        self._pacing.sent(asked, place, time.monotonic())

    # --- the connection --------------------------------------------------------------------------

    async def _until_connected(self, timeout_s: float, *, patient: bool) -> None:
        """Until the handshake is done and TWS has told the time; the impatient take the first no
        for an answer."""
        deadline_s = time.monotonic() + timeout_s
        while not (self._connection.connected and self._tws_s):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0.0 or (self._down and not patient):
                raise NoTwsError(self._down or "TWS took the connection but never answered")
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left_s)
            except TimeoutError:
                continue

    def _hear(self, message: LinkMessage) -> None:
        match message:
            case LinkUp():
                self._down = ""
            case LinkDown(reason=reason):
                self._down = reason
                self._told(reason)
            case TwsError() if message.ref_id > 0:
                self._questions.refused(message)
        self._changed.set()

    def _prepare(self, ib: Any) -> None:
        self._questions.forget()
        compared = ib.wrapper.currentTime

        def current_time(seconds: int) -> None:
            self._tws_s = seconds
            self._changed.set()
            compared(seconds)

        ib.wrapper.currentTime = current_time


def refusal(asked: BarsAsked, answer: Answer) -> str:
    """TWS's refusal in plain words, with the mend."""
    mend = look_up(answer.code).mend if answer.code else "is TWS connected to IB? run it again"
    if PERMISSION in answer.problem.lower() or look_up(answer.code).kind == "data":
        mend = mend or MEND_PERMISSION.format(symbol=asked.symbol)
    said = f"{asked.symbol} {asked.size}: {answer.problem}"
    return f"{said}; {mend}" if mend else said


def _past_bar(bar: Any) -> PastBar:
    """The library's bar: a date for daily ones, else an instant. An index has no volume (-1)."""
    day, start_ns = bar.date, 0
    if isinstance(bar.date, datetime):
        start_ns = int(bar.date.timestamp()) * SECOND_NS
        day = bar.date.astimezone(NEW_YORK).date()
    prices = (float(bar.open), float(bar.high), float(bar.low), float(bar.close))
    return PastBar(day, start_ns, *prices, max(0.0, float(bar.volume)))
