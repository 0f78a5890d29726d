"""Every request a client of server version 157..176 may send, as a typed record.

`request_parser` reads them from the wire. A number nobody answers here is `Unsupported`.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.sim_tws.contracts import Contract
from services.sim_tws.orders import Ticket


@dataclass(frozen=True, slots=True)
class StartApi:
    client_id: int


@dataclass(frozen=True, slots=True)
class MarketData:
    req_id: int
    contract: Contract
    generic_ticks: str
    snapshot: bool


@dataclass(frozen=True, slots=True)
class MarketDataType:
    kind: int


@dataclass(frozen=True, slots=True)
class TickByTick:
    req_id: int
    contract: Contract
    tick_type: str
    ticks: int


@dataclass(frozen=True, slots=True)
class RealTimeBars:
    req_id: int
    contract: Contract
    show: str


@dataclass(frozen=True, slots=True)
class Historical:
    req_id: int
    contract: Contract
    end: str
    bar_size: str
    duration: str
    regular_hours: bool
    show: str
    date_format: int
    keep_up_to_date: bool


@dataclass(frozen=True, slots=True)
class HistoricalTicks:
    req_id: int
    contract: Contract
    start: str
    end: str
    count: int
    show: str


@dataclass(frozen=True, slots=True)
class HeadTimestamp:
    req_id: int
    contract: Contract
    show: str
    date_format: int


@dataclass(frozen=True, slots=True)
class ContractDetails:
    req_id: int
    contract: Contract


@dataclass(frozen=True, slots=True)
class MatchingSymbols:
    req_id: int
    pattern: str


@dataclass(frozen=True, slots=True)
class MarketRule:
    rule_id: int


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    order_id: int
    contract: Contract
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class CancelOrder:
    order_id: int


@dataclass(frozen=True, slots=True)
class GlobalCancel:
    pass


@dataclass(frozen=True, slots=True)
class OpenOrders:
    pass


@dataclass(frozen=True, slots=True)
class AllOpenOrders:
    pass


@dataclass(frozen=True, slots=True)
class AutoOpenOrders:
    bind: bool


@dataclass(frozen=True, slots=True)
class CompletedOrders:
    api_only: bool


@dataclass(frozen=True, slots=True)
class Executions:
    req_id: int
    client_id: int
    account: str
    since: str
    symbol: str
    sec_type: str
    exchange: str
    side: str


@dataclass(frozen=True, slots=True)
class Ids:
    pass


@dataclass(frozen=True, slots=True)
class ManagedAccounts:
    pass


@dataclass(frozen=True, slots=True)
class CurrentTime:
    pass


@dataclass(frozen=True, slots=True)
class AccountUpdates:
    subscribe: bool
    account: str


@dataclass(frozen=True, slots=True)
class AccountUpdatesMulti:
    req_id: int
    account: str
    model: str


@dataclass(frozen=True, slots=True)
class AccountSummary:
    req_id: int
    tags: str


@dataclass(frozen=True, slots=True)
class Positions:
    pass


@dataclass(frozen=True, slots=True)
class PositionsMulti:
    req_id: int
    account: str
    model: str


@dataclass(frozen=True, slots=True)
class Pnl:
    req_id: int
    account: str


@dataclass(frozen=True, slots=True)
class PnlSingle:
    req_id: int
    account: str
    con_id: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ends a running subscription or question; `what` is the message that began it."""

    what: int
    req_id: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """Taken without an answer, as TWS does (log level, news bulletins)."""


@dataclass(frozen=True, slots=True)
class Unsupported:
    req_id: int
    name: str


Request = (
    StartApi | MarketData | MarketDataType | TickByTick | RealTimeBars | Historical
    | HistoricalTicks | HeadTimestamp | ContractDetails | MatchingSymbols | MarketRule | PlaceOrder
    | CancelOrder | GlobalCancel | OpenOrders | AllOpenOrders | AutoOpenOrders | CompletedOrders
    | Executions | Ids | ManagedAccounts | CurrentTime | AccountUpdates | AccountUpdatesMulti
    | AccountSummary | Positions | PositionsMulti | Pnl | PnlSingle | Cancel | Ignored | Unsupported
)  # fmt: skip
