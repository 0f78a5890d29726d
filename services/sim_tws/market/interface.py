"""What the simulated TWS may ask its market: sessions, quotes, prints, bars, corporate actions.

Every answer is a pure function of its arguments and the market's seed, in any order of asking.
All instants are UTC nanoseconds; SMH prices are USD per share, VIX levels are index points.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple, Protocol

SMH = "SMH"
VIX = "VIX"
SYMBOLS = (SMH, VIX)


class MarketDataError(Exception):
    """A data file cannot be traded on; the text names the file, the row and the reason."""


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """One regular session of the New York exchanges (a full day: 09:30 to 16:00 ET)."""

    date: date
    open_ns: int
    close_ns: int
    early: bool


class Tick(NamedTuple):
    """The quote and the last print from `ts_ns` on, until the next tick.

    Sizes are shares. The VIX is an index: nobody bids for it, so bid = ask = last, sizes 0.
    A `last_size` of 0 is a quote that moved without a trade.
    """

    ts_ns: int
    bid: float
    ask: float
    last: float
    bid_size: int
    ask_size: int
    last_size: int


@dataclass(frozen=True, slots=True)
class Bar:
    """Prices from `start_ns` (included) to the start of the next bar; `volume` in shares.

    `count` is the number of prints, `wap` their volume-weighted average price.
    """

    start_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    count: int
    wap: float


@dataclass(frozen=True, slots=True)
class Action:
    """A corporate action: new shares per old one, or USD per share of that day.

    A move is none, and no market has it: its value is a close / the one before, which a person
    vouches for where it looks like a split's.
    """

    kind: Literal["split", "dividend", "move"]
    value: float


class Market(Protocol):
    """Prices of SMH and VIX from the open of `first_day` to the end of `last_day`.

    Asking for an instant before `first_day`, a session after `last_day`, or another symbol raises
    LookupError. Prices are those of their own day (before a split: undivided). Bars are adjusted
    for the splits up to the day `as_of`, by default the day they end on: a broker shows history
    adjusted up to the day of the request, so on a split's morning `as_of` is that day.
    """

    @property
    def first_day(self) -> date: ...

    @property
    def last_day(self) -> date: ...

    def session_on(self, day: date) -> SessionTimes | None:
        """That day's session; None on a weekend, a holiday, or outside the market's days."""

    def session_at_or_after(self, ts_ns: int) -> SessionTimes:
        """The session running at `ts_ns` (open <= ts < close), else the next one."""

    def sessions_before(self, day: date, count: int) -> list[SessionTimes]:
        """The last `count` sessions before `day`, oldest first; fewer at the market's start."""

    def tick(self, symbol: str, ts_ns: int) -> Tick:
        """The quote in force at `ts_ns`; its own `ts_ns` says when it last moved.

        From a second after the close until the next open it is the last one, its spread wide.
        """

    def path(self, symbol: str, after_ns: int, until_ns: int) -> list[Tick]:
        """Every move in (after, until], oldest first, at most a few hundred.

        A longer path is thinned: of each of its equal stretches the lowest, the highest and the
        last tick stay, so no extreme is lost and the last tick is always that of `until_ns`.
        """

    def opening_print(self, symbol: str, day: date) -> float:
        """Official opening auction price, the day's first print; LookupError without one."""

    def closing_print(self, symbol: str, day: date) -> float:
        """Official closing auction price, the day's last print; LookupError without one."""

    def bars(
        self, symbol: str, start_ns: int, end_ns: int, bar_s: int, as_of: date | None = None
    ) -> list[Bar]:
        """Regular-session bars that start in [start, end), from what had happened by `end_ns`.

        `bar_s` divides an hour (else ValueError); bars begin on its multiples, the first of a
        session at the open. The closing auction, printed at the close, is in no bar but the daily.
        """

    def daily_bars(
        self, symbol: str, until: date, count: int, as_of: date | None = None
    ) -> list[tuple[date, Bar]]:
        """The last `count` whole sessions' bars up to and including `until`, oldest first."""

    def actions_on(self, day: date) -> list[Action]:
        """What takes effect before that day's open."""
