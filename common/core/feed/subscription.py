"""One market-data subscription's life: live data first, then delayed, and again when it goes dead.

A socket that is up proves nothing: a stream is judged by the age of its ticks. Part of
market_feed's decider. Codes: docs/assumptions.md says which of them were never seen on a real TWS.
"""

from __future__ import annotations

from msgspec import Struct

from common.core.staleness import late
from common.messages import DataKind, Message, Now
from common.tws.link_messages import LinkDown, LinkUp, TwsError
from common.tws.market_messages import (
    ASK,
    BID,
    LAST,
    LIVE_TYPE,
    DataCode,
    KindSaid,
    RawTicks,
    Subscribe,
)

NOT_SUBSCRIBED = frozenset({354, 10089, 10168, 10186})
"""Delayed data is asked for instead. 10168 says the same as 354 where only live data was asked for,
and is final only where delayed data was."""
IN_PART = frozenset({10090, 10091})
"""Part of the data is not permitted. Prices may come all the same; where none do it is as above."""
DELAYED_NOT_ENABLED = 10168
HARMLESS = frozenset({10167, 300, 366})  # shows delayed data; already cancelled
PRICES = frozenset({BID, ASK, LAST})
COMPETING = 10197
DATA_LOST, DATA_KEPT = 1101, 1102  # the link between TWS and IB is back
FARM_BROKEN, FARM_OK = 2103, 2104

RETRY_S = 60.0  # after a refusal, or without an answer, market time
DOUBT_S = 5.0  # for ticks to come back after a data farm did, or to come where part is permitted
OPENING_S = 30.0  # after a quiet morning silence counts from then on

_MENDS = {
    DELAYED_NOT_ENABLED: "subscribe to live data for {symbol}, or enable delayed data in TWS: "
    "Global Configuration, API, Settings",
    COMPETING: "the same IB user takes live data elsewhere: log out there",
    101: "close other market-data windows or programs: IB's limit of tickers is reached",
    200: "TWS does not know {symbol} as asked for: check strategy.symbol and "
    "strategy.primary_exchange",
}
_NO_DATA = "subscribe to market data for {symbol} in IB's Client Portal (delayed data is enough)"


class Subscription(Struct):
    """Where the stream of `symbol` stands. `quiet_s_max`: a longer silence in session is dead."""

    symbol: str
    quiet_s_max: float
    live: bool = True
    asked: Now | None = None
    kind: DataKind = "none"
    tick: Now | None = None
    problem: str = ""
    competing: bool = False
    farm_broken: bool = False
    doubted: Now | None = None
    in_part: Now | None = None
    """Live data was said to be permitted in part, and no price has come since."""

    def hear(self, now: Now, message: Message) -> None:
        """What changes where it stands; anything else is ignored."""
        match message:
            case LinkUp() | LinkDown():
                self._forget()
            case Subscribe(symbol=self.symbol):
                self.asked, self.kind, self.doubted, self.in_part = now, "none", None, None
                self.live = message.live
            case KindSaid(symbol=self.symbol, kind=kind):
                self.kind = kind
            case DataCode(symbol=self.symbol):
                self._refused(now, message)
            case RawTicks(symbol=self.symbol):
                self._alive(now, message)
            case TwsError(code=code):
                self._link_code(now, code)

    @property
    def answered(self) -> bool:
        """TWS has said what we get, or why nothing."""
        return self.kind != "none" or bool(self.problem)

    def due(self, now: Now, session_age_s: float) -> Subscribe | None:
        """The subscription to make now, if any. Call only while TWS is connected to IB.

        `session_age_s`: since the open; 0 outside the session, when silence proves nothing.
        """
        if self.in_part is not None and late(self.in_part, now, DOUBT_S):
            return Subscribe(symbol=self.symbol, live=False)
        if self.asked is None or self._dead(now, session_age_s):
            return Subscribe(symbol=self.symbol, live=self.live)
        return None

    def stale(self, now: Now, age_s_max: float) -> bool:
        """Whether the newest tick is older than that, not counting held market time."""
        return self.tick is None or late(self.tick, now, age_s_max)

    def _forget(self) -> None:
        """Another connection: live data is tried again."""
        self.live, self.asked, self.kind, self.tick = True, None, "none", None
        self.problem, self.competing, self.farm_broken, self.doubted = "", False, False, None
        self.in_part = None

    def _dead(self, now: Now, session_age_s: float) -> bool:
        asked = self.asked or now
        if self.doubted is not None and late(self.doubted, now, DOUBT_S):
            return True
        if self.problem or not self.answered:
            return late(asked, now, RETRY_S)
        quiet = late(asked, now, self.quiet_s_max) and self.stale(now, self.quiet_s_max)
        return quiet and session_age_s > OPENING_S

    def _alive(self, now: Now, message: RawTicks) -> None:
        self.tick = now
        self.problem, self.competing, self.doubted = "", False, None
        if any(LIVE_TYPE.get(tick.type, tick.type) in PRICES for tick in message.ticks):
            self.in_part = None
        if any(tick.type in LIVE_TYPE for tick in message.ticks):
            if self.kind in {"none", "live"}:
                self.kind = "delayed"
        elif message.ticks and self.kind == "none":
            self.kind = "live"

    def _refused(self, now: Now, message: DataCode) -> None:
        if message.code in HARMLESS or 2100 <= message.code < 2200:
            return
        if message.code in IN_PART:
            self.in_part = now if self.live else None
            return
        if message.code in NOT_SUBSCRIBED and self.live:
            self.live, self.asked = False, None
            return
        self.kind = "none"
        self.competing = message.code == COMPETING
        mend = _MENDS.get(message.code, _NO_DATA).format(symbol=self.symbol)
        self.problem = f"no {self.symbol} data: {message.text} ({message.code}): {mend}"

    def _link_code(self, now: Now, code: int) -> None:
        if code in {DATA_LOST, DATA_KEPT}:
            self.asked = None
        elif code == FARM_BROKEN:
            self.farm_broken = True
        elif code == FARM_OK and self.farm_broken:
            self.farm_broken, self.doubted = False, now
