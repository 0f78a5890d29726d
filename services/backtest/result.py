"""What a backtest leaves behind, the same from either path."""

from __future__ import annotations

from datetime import date
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from services.backtest.options import Options

ExitReason = Literal["stop", "bear", "liquidation", ""]
EXIT_REASONS: tuple[ExitReason, ...] = ("", "stop", "bear", "liquidation")
"""By the compiled path's code; "" is still open."""


class Trade(Struct, frozen=True):
    """One position from entry to exit; prices as filled. Open: no exit day, reason "".

    `profit_usd`: cash, commissions and dividends included, interest not. `stop_usd`: the price at
    which the stop stood when it fired, 0 for other exits.
    """

    entry_day: date
    entry_usd: float
    shares: float
    leverage: float
    exit_day: date | None
    exit_usd: float
    reason: ExitReason
    stop_usd: float
    profit_usd: float


class Result(Struct, frozen=True):
    """Equity in USD and leverage at each close of `days`, the trades, and what was paid.

    `equity_usd[i]` belongs to `days[i]`; before the first stands `options.start_equity_usd`.
    `fine_days`: days whose intraday bars were used.
    """

    options: Options
    days: tuple[date, ...]
    equity_usd: NDArray[np.float64]
    leverage: NDArray[np.float64]
    trades: tuple[Trade, ...]
    interest_usd: float
    commission_usd: float
    dividend_usd: float
    fine_days: tuple[date, ...]


def leverage_of(
    values_usd: NDArray[np.float64], equity_usd: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Value held as a multiple of equity; 0 where nothing is left."""
    leverage = np.zeros(len(values_usd))
    np.divide(values_usd, equity_usd, out=leverage, where=equity_usd > 0.0)
    return leverage
