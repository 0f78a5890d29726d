"""What passed on the wire, as facts: frames decoded by field number.

The numbers are those of the TWS protocol at server version 176; the first field (0) is the message
id. Only messages that a promise depends on are decoded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from tests.oracle.frames import Frame

NEW_YORK = ZoneInfo("America/New_York")
SECOND_NS = 1_000_000_000
PLAIN_ORDER_FIELDS = 115
BAR_FIELDS = 8
BID, ASK, LAST, OPEN, LAST_SIZE = 1, 2, 4, 14, 5  # tick types of live data
PRICES = {str(kind): kind for kind in (BID, ASK, LAST, OPEN)}
DELAYED_LAST = "68"
LIVE_KINDS = {"1", "2"}
UNSET = 1e300  # TWS writes an absent double as the largest one


@dataclass(slots=True)
class Fact:
    """When (market time, UTC ns; host time, monotonic ns) and on whose connection."""

    ns: int
    host_ns: int
    connection: int
    client_id: int


@dataclass(slots=True)
class Opened(Fact):
    pass


@dataclass(slots=True)
class Closed(Fact):
    pass


@dataclass(slots=True)
class ApiStarted(Fact):
    """The client named itself: `client_id` is the id it claims."""


@dataclass(slots=True)
class Placed(Fact):
    """PLACE_ORDER. `content`: every field after the order id, to compare a resend with."""

    order_id: int
    symbol: str
    action: str
    shares: float
    order_type: str
    tif: str
    account: str
    order_ref: str
    outside_rth: bool
    what_if: bool
    content: tuple[str, ...]
    stop_usd: float = math.nan
    oca_group: str = ""
    oca_type: str = ""
    trigger_method: str = ""

    @property
    def plain(self) -> bool:
        """Has the shape of an order without algorithm, scale, hedge or conditions."""
        return len(self.content) == PLAIN_ORDER_FIELDS - 2

    @property
    def rests(self) -> bool:
        """A stop that waits at the broker for its price."""
        return self.order_type == "STP"


@dataclass(slots=True)
class CancelAsked(Fact):
    order_id: int


@dataclass(slots=True)
class QuotesAsked(Fact):
    req_id: int
    symbol: str


@dataclass(slots=True)
class BarsAsked(Fact):
    req_id: int
    symbol: str
    bar_size: str
    show: str


@dataclass(slots=True)
class OpenOrdersAsked(Fact):
    pass


@dataclass(slots=True)
class OrderSaid(Fact):
    """OPEN_ORDER or ORDER_STATUS: the order `order_id` of client `owner` stands at `status`."""

    order_id: int
    owner: int
    perm_id: int
    status: str
    what_if: bool
    sells: float = 0.0
    """The shares of an OPEN_ORDER that sells."""


@dataclass(slots=True)
class OpenOrdersEnded(Fact):
    pass


@dataclass(slots=True)
class OrderCompleted(Fact):
    perm_id: int
    order_ref: str


@dataclass(slots=True)
class ErrorSaid(Fact):
    req_id: int
    code: int
    text: str


@dataclass(slots=True)
class Executed(Fact):
    """One execution. `traded_ns`: when it happened by its own text, whole seconds."""

    exec_id: str
    order_id: int
    owner: int
    symbol: str
    side: int
    shares: float
    price_usd: float
    traded_ns: int


@dataclass(slots=True)
class Charged(Fact):
    exec_id: str
    commission_usd: float


@dataclass(slots=True)
class PositionSaid(Fact):
    account: str
    symbol: str
    shares: float


@dataclass(slots=True)
class AccountSaid(Fact):
    key: str
    value: str
    currency: str


@dataclass(slots=True)
class Split(Fact):
    """So many shares for each one of `symbol` held. No wire tells it; a simulation does."""

    symbol: str
    ratio: float


@dataclass(slots=True)
class PnlSaid(Fact):
    """IB's own word on the position's value, USD; a stop without quotes stands on it."""

    shares: float
    value_usd: float


@dataclass(slots=True)
class MoneyMoved(Fact):
    """A deposit (+) or withdrawal (-), USD; as with a split, only a simulation tells it."""

    amount_usd: float


@dataclass(slots=True)
class AccountsNamed(Fact):
    accounts: tuple[str, ...]


@dataclass(slots=True)
class PriceSaid(Fact):
    """`kind`: BID, ASK, LAST or OPEN."""

    req_id: int
    kind: int
    price: float


@dataclass(slots=True)
class DelayedSaid(Fact):
    """The last price of a quarter of an hour ago."""

    req_id: int
    price: float


@dataclass(slots=True)
class KindSaid(Fact):
    """Whether what follows is live."""

    req_id: int
    live: bool


@dataclass(slots=True)
class LastSizeSaid(Fact):
    req_id: int


@dataclass(slots=True)
class BarsSaid(Fact):
    """Daily bars: (day, open, close), oldest first."""

    req_id: int
    bars: tuple[tuple[date, float, float], ...]


def decode(frame: Frame) -> Fact | None:
    """The fact in a frame; None when no promise depends on it."""
    head = (frame.market_ns, frame.host_ns, frame.connection, frame.client_id)
    if frame.direction == "open":
        return Opened(*head)
    if frame.direction == "close":
        return Closed(*head)
    table = _FROM_CLIENTS if frame.direction == "in" else _FROM_SERVER
    reader = table.get(frame.payload[: frame.payload.find(b"\0")])
    if reader is None:
        return None
    fields = frame.payload.decode("utf-8", "backslashreplace").split("\0")[:-1]
    return reader(head, fields)


Head = tuple[int, int, int, int]
Reader = Callable[[Head, list[str]], Fact | None]


def number(text: str) -> float:
    """A number of the wire; NaN when absent, unset or not finite."""
    if not text:
        return math.nan
    value = float(text)
    return value if abs(value) < UNSET else math.nan


def _price_said(head: Head, f: list[str]) -> Fact | None:
    if f[3] == DELAYED_LAST:
        return DelayedSaid(*head, int(f[2]), number(f[4]))
    kind = PRICES.get(f[3])
    return None if kind is None else PriceSaid(*head, int(f[2]), kind, number(f[4]))


def _size_said(head: Head, f: list[str]) -> Fact | None:
    return LastSizeSaid(*head, int(f[2])) if f[3] == str(LAST_SIZE) else None


def _api_started(head: Head, f: list[str]) -> Fact | None:
    return ApiStarted(*head[:3], int(f[2])) if len(f) > 2 else None  # the greeting is no 71


def _placed(head: Head, f: list[str]) -> Fact:
    return Placed(
        *head, order_id=int(f[1]), symbol=f[3], action=f[16], shares=number(f[17]),
        order_type=f[18], stop_usd=number(f[20]), tif=f[21], oca_group=f[22], account=f[23],
        order_ref=f[26], trigger_method=f[32], outside_rth=f[33] == "1", oca_type=f[47],
        what_if=f[85] == "1", content=tuple(f[2:]),
    )  # fmt: skip


def _open_order(head: Head, f: list[str]) -> Fact:
    return OrderSaid(
        *head, order_id=int(f[1]), owner=int(f[24]), perm_id=int(f[25]), status=f[94],
        what_if=f[93] == "1", sells=number(f[14]) if f[13] == "SELL" else 0.0,
    )  # fmt: skip


def _order_status(head: Head, f: list[str]) -> Fact:
    return OrderSaid(
        *head, order_id=int(f[1]), owner=int(f[9]), perm_id=int(f[6]), status=f[2], what_if=False
    )


def _executed(head: Head, f: list[str]) -> Fact:
    return Executed(
        *head, exec_id=f[14], order_id=int(f[2]), owner=int(f[22]), symbol=f[4],
        side=1 if f[18] == "BOT" else -1, shares=float(f[19]), price_usd=float(f[20]),
        traded_ns=_instant_ns(f[15]),
    )  # fmt: skip


def _daily_bars(head: Head, f: list[str]) -> Fact | None:
    rows = [f[at : at + BAR_FIELDS] for at in range(5, 5 + int(f[4]) * BAR_FIELDS, BAR_FIELDS)]
    if not rows or len(rows[0][0]) != len("yyyymmdd"):
        return None
    bars = tuple((_day(row[0]), float(row[1]), float(row[4])) for row in rows)
    return BarsSaid(*head, req_id=int(f[1]), bars=bars)


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def _instant_ns(text: str) -> int:
    """`20250415 19:38:31 US/Eastern`; the simulated TWS writes New York time."""
    day, clock, *_ = text.split()
    local = datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S").replace(tzinfo=NEW_YORK)
    return int(local.timestamp()) * SECOND_NS


_FROM_CLIENTS: dict[bytes, Reader] = {
    b"71": _api_started,
    b"3": _placed,
    b"4": lambda head, f: CancelAsked(*head, order_id=int(f[2])),
    b"1": lambda head, f: QuotesAsked(*head, req_id=int(f[2]), symbol=f[4]),
    b"20": lambda head, f: BarsAsked(
        *head, req_id=int(f[1]), symbol=f[3], bar_size=f[16], show=f[19]
    ),
    b"5": lambda head, _: OpenOrdersAsked(*head),
    b"16": lambda head, _: OpenOrdersAsked(*head),
}

_FROM_SERVER: dict[bytes, Reader] = {
    b"1": _price_said,
    b"2": _size_said,
    b"3": _order_status,
    b"4": lambda head, f: ErrorSaid(*head, req_id=int(f[2]), code=int(f[3]), text=f[4]),
    b"5": _open_order,
    b"6": lambda head, f: AccountSaid(*head, key=f[2], value=f[3], currency=f[4]),
    b"11": _executed,
    b"15": lambda head, f: AccountsNamed(*head, accounts=tuple(f[2].split(","))),
    b"17": _daily_bars,
    b"53": lambda head, _: OpenOrdersEnded(*head),
    b"58": lambda head, f: KindSaid(*head, req_id=int(f[2]), live=f[3] in LIVE_KINDS),
    b"59": lambda head, f: Charged(*head, exec_id=f[2], commission_usd=float(f[3])),
    b"61": lambda head, f: PositionSaid(*head, account=f[2], symbol=f[4], shares=float(f[14])),
    b"73": lambda head, f: AccountSaid(*head, key=f[5], value=f[6], currency=f[7]),
    b"101": lambda head, f: OrderCompleted(*head, perm_id=int(f[23]), order_ref=f[22]),
}
