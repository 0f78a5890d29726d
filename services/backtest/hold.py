"""The yardstick: buy SMH once and hold it, without borrowing."""

from __future__ import annotations

import numpy as np

from common.core import rules
from services.backtest.history import History
from services.backtest.options import Options
from services.backtest.result import Result, Trade
from services.backtest.sheet import lay_out


def buy_and_hold(history: History, options: Options) -> Result:
    """Whole shares at the first close, dividends kept as cash, no costs."""
    sheet = lay_out(history, options)
    closes = sheet.close_usd[sheet.begin :]
    dividends = sheet.dividend_usd[sheet.begin :].copy()
    dividends[0] = 0.0  # bought after that day's ex-date price
    shares = rules.shares_for(options.start_equity_usd, 1.0, float(closes[0]))
    cash = options.start_equity_usd - shares * closes[0] + np.cumsum(dividends) * shares
    equity = cash + shares * closes
    days = sheet.days[sheet.begin :]
    parts = options.parts_per_share
    held = Trade(days[0], float(closes[0] * parts), shares / parts, 1.0, None, 0.0, "", 0.0, 0.0)
    return Result(
        options=options,
        days=days,
        equity_usd=equity,
        leverage=shares * closes / equity,
        trades=(held,),
        interest_usd=0.0,
        commission_usd=0.0,
        dividend_usd=float(dividends.sum() * shares),
        fine_days=(),
    )
