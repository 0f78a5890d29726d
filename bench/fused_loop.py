"""What a person would write by hand for one crossover: no rules to share, no settings, no costs."""

from __future__ import annotations

import math

import numba
import numpy as np

from services.backtest.sheet import Floats


@numba.njit(error_model="numpy")
def fused(
    opens: Floats, closes: Floats, fast_span: int, slow_span: int, start_usd: float
) -> Floats:
    """Equity at each close: whole shares bought at the close after a bull close, sold at the open
    after a bear one."""
    a, b = 2.0 / (fast_span + 1.0), 2.0 / (slow_span + 1.0)
    fast = slow = closes[0]
    cash, shares = start_usd, 0
    equity = np.empty(len(closes))
    for i in range(len(closes)):
        if shares > 0 and fast < slow:
            cash += shares * opens[i]
            shares = 0
        if shares == 0 and fast > slow and i >= slow_span:
            shares = math.floor(cash / closes[i])
            cash -= shares * closes[i]
        fast += a * (closes[i] - fast)
        slow += b * (closes[i] - slow)
        equity[i] = cash + shares * closes[i]
    return equity
