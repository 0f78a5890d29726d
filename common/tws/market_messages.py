"""What the feed's edge tells its decider, and the effects the decider asks of it.

TWS's words are passed on as they came: a tick's value may be NaN, -1 or 0, and it is the decider
that judges. Each question (AskContract, ReadHistory, ReadCalendar) is answered exactly once; its
answer's `problem` is empty when it succeeded.
"""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from common.messages import DataKind, Message, Ns, Text, Word
from common.tws.link_messages import LinkMessage

# IB's tick types for prices (https://interactivebrokers.github.io/tws-api/tick_types.html), live
# and delayed. 90 is the delayed form of 49.
BID, ASK, LAST, CLOSE, OPEN, HALTED = 1, 2, 4, 9, 14, 49
LIVE_TYPE = {66: BID, 67: ASK, 68: LAST, 75: CLOSE, 76: OPEN, 90: HALTED}
TICK_TYPES = frozenset({BID, ASK, LAST, CLOSE, OPEN, HALTED, *LIVE_TYPE})
"""The ticks that are passed on; every other one only proves that the stream is alive."""


class RawTick(Struct, frozen=True, array_like=True, gc=False):
    """One tick as TWS said it: IB's tick type, and a price (USD, index points) or a flag."""

    type: int
    value: float


class RawTicks(Message, frozen=True):
    """All ticks of one TCP chunk, in order; none of them dropped. Empty: alive, no price moved."""

    symbol: Word
    ticks: tuple[RawTick, ...]


class KindSaid(Message, frozen=True):
    """TWS's message 58: what kind of data a subscription gets."""

    symbol: Word
    kind: DataKind


class DataCode(Message, frozen=True):
    """An error or warning code of TWS about a subscription."""

    symbol: Word
    code: int
    text: Text


class SessionHours(Struct, frozen=True, array_like=True, gc=False):
    """One regular session, UTC ns."""

    day: date
    open_ns: Ns
    close_ns: Ns


class ContractLine(Struct, frozen=True, array_like=True):
    """One contract that fits. `hours`: the open days of the broker's liquidHours; `closed_days`:
    those that it calls CLOSED."""

    con_id: int
    primary_exchange: Word
    name: Text
    hours: tuple[SessionHours, ...]
    closed_days: tuple[date, ...] = ()


class ContractsFound(Message, frozen=True):
    """The answer to AskContract: every contract that fits the settings."""

    lines: tuple[ContractLine, ...]
    problem: Text


class PriceBar(Struct, frozen=True, array_like=True, gc=False):
    """One day's bar as the broker gave it, USD; nothing about it is checked yet."""

    day: date
    open_usd: float
    high_usd: float
    low_usd: float
    close_usd: float


class HistoryRead(Message, frozen=True):
    """The answer to ReadHistory, oldest bar first; today's bar may be in it, unfinished."""

    asked_ns: Ns
    bars: tuple[PriceBar, ...]
    problem: Text


class CalendarRead(Message, frozen=True):
    """The answer to ReadCalendar.

    `past_days`: every session day of the history's years; `sessions`: the hours of those from a
    fortnight before the instant asked for to seven weeks after it.
    """

    asked_ns: Ns
    past_days: tuple[date, ...]
    sessions: tuple[SessionHours, ...]
    problem: Text


class Subscribe(Message, frozen=True):
    """Effect: a fresh subscription of `symbol`, in place of any older one.

    `live` asks for live data only; else delayed data is taken where live data is not permitted.
    """

    symbol: Word
    live: bool


class AskContract(Message, frozen=True):
    """Effect: which contracts fit the settings' symbol and exchange, and their hours."""

    asked_ns: Ns


class ReadHistory(Message, frozen=True):
    """Effect: daily TRADES bars of the regular sessions, the last so many years."""

    asked_ns: Ns
    years: int


class ReadCalendar(Message, frozen=True):
    """Effect: the exchange's sessions around an instant, computed apart from the ticks."""

    asked_ns: Ns
    years: int


MarketMessage = (
    RawTicks | KindSaid | DataCode | ContractsFound | HistoryRead | CalendarRead
    | Subscribe | AskContract | ReadHistory | ReadCalendar
)  # fmt: skip
FeedMessage = LinkMessage | MarketMessage
