"""The two instruments, as TWS is asked for them."""

from __future__ import annotations

from ib_insync import Contract, Index, Stock

from common.settings import Strategy

VIX = "VIX"


def contract_of(strategy: Strategy, symbol: str) -> Contract:
    """The strategy's stock, or an index of CBOE."""
    if symbol == strategy.symbol:
        return Stock(symbol, strategy.exchange, "USD", primaryExchange=strategy.primary_exchange)
    return Index(symbol, "CBOE", "USD")
