"""The market that the simulated TWS trades on: replayed from files, or synthetic."""

from services.sim_tws.market.interface import (
    SMH,
    SYMBOLS,
    VIX,
    Action,
    Bar,
    Market,
    MarketDataError,
    SessionTimes,
    Tick,
)
from services.sim_tws.market.replay import replay
from services.sim_tws.market.synthetic import DEFAULT_START, synthetic

__all__ = [
    "DEFAULT_START",
    "SMH",
    "SYMBOLS",
    "VIX",
    "Action",
    "Bar",
    "Market",
    "MarketDataError",
    "SessionTimes",
    "Tick",
    "replay",
    "synthetic",
]
