"""The market on a result's own days, and where its trades lie among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from services.backtest.options import Options, OptionsError
from services.backtest.result import Result, Trade
from services.backtest.sheet import Floats, Sheet


class Held(NamedTuple):
    """A trade and the first and the last day it was held on, as places among the days."""

    trade: Trade
    first: int
    last: int


@dataclass(frozen=True)
class MarketDays:
    """SMH by traded day: prices in USD per share, dividends in USD per share by ex-date."""

    days: Sequence[date]
    open_usd: Floats
    close_usd: Floats
    dividend_usd: Floats

    def held(self, trades: Sequence[Trade]) -> Iterator[Held]:
        """Each trade with its places; one still open is held to the last day."""
        place = {day: at for at, day in enumerate(self.days)}
        for trade in trades:
            last = place[trade.exit_day] if trade.exit_day else len(self.days) - 1
            yield Held(trade, place[trade.entry_day], last)


def market_days(sheet: Sheet, result: Result) -> MarketDays:
    """The sheet's traded days. OptionsError for rules under which an order has no instant."""
    _must_be_tradable(result.options)
    part = slice(sheet.begin, None)
    return MarketDays(
        result.days, sheet.open_usd[part], sheet.close_usd[part], sheet.dividend_usd[part]
    )


def _must_be_tradable(options: Options) -> None:
    if options.decide_at == "close" or options.parts_per_share != 1:
        raise OptionsError(
            "a report needs rules that can be traded: whole shares, before the close"
        )
