"""What one connection has asked to be kept informed of. Plain data; the desks act on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.sim_tws.contracts import Instrument
from services.sim_tws.requests import Historical


@dataclass(slots=True)
class Ticker:
    """A running market-data request."""

    instrument: Instrument
    generic_ticks: frozenset[int]
    delayed: bool
    since_ns: int  # nothing before it is sent again
    shown: dict[int, float] = field(default_factory=dict)  # tick type -> last value sent
    halted: bool = False


@dataclass(slots=True)
class TickStream:
    """A running tick-by-tick request."""

    instrument: Instrument
    kind: str
    since_ns: int
    shown: tuple[float, ...] = ()


@dataclass(slots=True)
class BarStream:
    """Running five-second bars."""

    instrument: Instrument
    next_start_ns: int


@dataclass(slots=True)
class HistoryStream:
    """A historical request that keeps its last bar up to date."""

    instrument: Instrument
    request: Historical
    next_update_ns: int
    bar_start_ns: int


@dataclass(slots=True)
class AccountRows:
    """What an account subscriber was last told, so that only changes follow."""

    account_id: str
    rows: dict[tuple[str, str], str] = field(default_factory=dict)
    model: str = ""
    tags: str = ""


@dataclass(slots=True)
class PnlStream:
    account_id: str
    con_id: int = 0


@dataclass(slots=True)
class Subscriptions:
    """All of one connection; dictionaries by request id."""

    data_kind: int = 1  # 1 live, 2 frozen, 3 delayed, 4 delayed-frozen
    tickers: dict[int, Ticker] = field(default_factory=dict)
    tick_streams: dict[int, TickStream] = field(default_factory=dict)
    bar_streams: dict[int, BarStream] = field(default_factory=dict)
    history: dict[int, HistoryStream] = field(default_factory=dict)
    account_updates: AccountRows | None = None
    account_multi: dict[int, AccountRows] = field(default_factory=dict)
    summaries: dict[int, AccountRows] = field(default_factory=dict)
    positions: bool = False
    positions_multi: dict[int, AccountRows] = field(default_factory=dict)
    pnl: dict[int, PnlStream] = field(default_factory=dict)
    pnl_single: dict[int, PnlStream] = field(default_factory=dict)

    def drop_market_data(self) -> None:
        """What a connectivity loss with data loss (1101) does."""
        self.tickers.clear()
        self.tick_streams.clear()
        self.bar_streams.clear()
        self.history.clear()
