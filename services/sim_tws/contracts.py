"""The instruments this TWS knows, and how a client's description finds them.

Only SMH trades here and only VIX is quoted beside it; a second SMH listing stands in the book so
that a description without a currency is as ambiguous as it is at IB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.sim_tws.wire import FieldError, Fields


@dataclass(frozen=True, slots=True)
class Contract:
    """A client's description of an instrument (the twelve fields every request shares)."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    strike: float = 0.0
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One line of the security master."""

    con_id: int
    symbol: str
    sec_type: str
    currency: str
    primary_exchange: str
    trading_class: str
    long_name: str
    stock_type: str
    valid_exchanges: tuple[str, ...]
    order_types: str
    market_rule: int
    min_tick: float
    tradable: bool
    local_symbol: str

    def contract(self, exchange: str = "") -> Contract:
        """Its full description, routed to `exchange` (its natural route when empty)."""
        route = exchange or ("SMART" if "SMART" in self.valid_exchanges else self.primary_exchange)
        return Contract(
            con_id=self.con_id,
            symbol=self.symbol,
            sec_type=self.sec_type,
            exchange=route,
            primary_exchange=self.primary_exchange,
            currency=self.currency,
            local_symbol=self.local_symbol,
            trading_class=self.trading_class,
        )


_US_VENUES = [
    "SMART",
    "AMEX",
    "NYSE",
    "CBOE",
    "PHLX",
    "ISE",
    "CHX",
    "ARCA",
    "NASDAQ",
    "ISLAND",
    "DRCTEDGE",
    "BEX",
    "BATS",
    "EDGEA",
    "BYX",
    "IEX",
    "EDGX",
    "FOXRIVER",
    "PEARL",
    "NYSENAT",
    "LTSE",
    "MEMX",
    "IBEOS",
    "OVERNIGHT",
    "PSX",
]
_STOCK_ORDER_TYPES = (
    "ACTIVETIM,AD,ADJUST,ALERT,ALGO,ALLOC,AON,AVGCOST,BASKET,BENCHPX,CASHQTY,COND,CONDORDER,"
    "DARKONLY,DARKPOLL,DAY,DEACT,DEACTDIS,DEACTEOD,DIS,DUR,GAT,GTC,GTD,GTT,HID,IBKRATS,ICE,IOC,LIT,"
    "LMT,LOC,MIT,MKT,MOC,MTL,NGCOMB,NODARK,NONALGO,OCA,OPG,OPGREROUT,PEGBENCH,PEGMID,POSTATS,"
    "POSTONLY,PREOPGRTH,PRICECHK,REL,REL2MID,RELPCTOFS,RTH,SCALE,SCALEODD,SCALERST,SIZECHK,SNAPMID,"
    "SNAPMKT,SNAPREL,STP,STPLMT,SWEEP,TRAIL,TRAILLIT,TRAILLMT,TRAILMIT,WHATIF"
)

SMH = Instrument(
    con_id=229725622,
    symbol="SMH",
    sec_type="STK",
    currency="USD",
    primary_exchange="NASDAQ",
    trading_class="NMS",
    long_name="VANECK SEMICONDUCTOR ETF",
    stock_type="ETF",
    valid_exchanges=tuple(_US_VENUES),
    order_types=_STOCK_ORDER_TYPES,
    market_rule=26,
    min_tick=0.01,
    tradable=True,
    local_symbol="SMH",
)
SMH_MEXICO = Instrument(
    con_id=282033180,
    symbol="SMH",
    sec_type="STK",
    currency="MXN",
    primary_exchange="MEXI",
    trading_class="MEXI",
    long_name="VANECK SEMICONDUCTOR ETF",
    stock_type="ETF",
    valid_exchanges=("MEXI",),
    order_types="LMT,MKT",
    market_rule=26,
    min_tick=0.01,
    tradable=False,
    local_symbol="SMHN",
)
VIX = Instrument(
    con_id=13455763,
    symbol="VIX",
    sec_type="IND",
    currency="USD",
    primary_exchange="CBOE",
    trading_class="VIX",
    long_name="CBOE Volatility Index",
    stock_type="",
    valid_exchanges=("CBOE",),
    order_types="",
    market_rule=0,
    min_tick=0.01,
    tradable=False,
    local_symbol="VIX",
)
INSTRUMENTS = (SMH, SMH_MEXICO, VIX)
SEC_TYPES = frozenset(
    [
        "STK",
        "OPT",
        "FUT",
        "CONTFUT",
        "IND",
        "FOP",
        "CASH",
        "BAG",
        "WAR",
        "BOND",
        "CMDTY",
        "NEWS",
        "FUND",
        "CFD",
        "CRYPTO",
        "EC",
        "IOPT",
    ]
)


def read(fields: Fields) -> Contract:
    """The twelve contract fields, in the order all requests share."""
    return Contract(
        con_id=fields.integer(),
        symbol=fields.text(),
        sec_type=fields.text(),
        expiry=fields.text(),
        strike=fields.number() or 0.0,
        right=fields.text(),
        multiplier=fields.text(),
        exchange=fields.text(),
        primary_exchange=fields.text(),
        currency=fields.text(),
        local_symbol=fields.text(),
        trading_class=fields.text(),
    )


def read_legs(fields: Fields, contract: Contract) -> None:
    """Steps over the legs of a combination; they are parsed only to reach what follows."""
    if contract.sec_type == "BAG":
        for _ in range(fields.count()):
            fields.skip(4)


def find(contract: Contract, double_listed: bool = False) -> list[Instrument]:
    """All instruments the description fits.

    `double_listed` makes SMH/USD ambiguous (a fault). FieldError for an unknown security type.
    """
    if contract.sec_type and contract.sec_type not in SEC_TYPES:
        raise FieldError("Please enter a valid security type")
    found = [instrument for instrument in INSTRUMENTS if _fits(instrument, contract)]
    if double_listed and found == [SMH]:
        twin = replace(SMH, con_id=SMH.con_id + 1, primary_exchange="LSEETF", trading_class="ETF")
        found.append(twin)
    return found


def _fits(instrument: Instrument, asked: Contract) -> bool:
    if asked.con_id:
        return asked.con_id == instrument.con_id and _routed(instrument, asked)
    named = asked.symbol or asked.local_symbol
    return (
        bool(named)
        and asked.symbol.upper() in {"", instrument.symbol}
        and asked.local_symbol.upper() in {"", instrument.local_symbol}
        and asked.sec_type in {"", instrument.sec_type}
        and asked.currency in {"", instrument.currency}
        and asked.primary_exchange in {"", instrument.primary_exchange, _alias(instrument)}
        and asked.trading_class in {"", instrument.trading_class}
        and not asked.expiry
        and _routed(instrument, asked)
    )


def _routed(instrument: Instrument, asked: Contract) -> bool:
    return asked.exchange in {"", *instrument.valid_exchanges}


def _alias(instrument: Instrument) -> str:
    return "ISLAND" if instrument.primary_exchange == "NASDAQ" else instrument.primary_exchange
