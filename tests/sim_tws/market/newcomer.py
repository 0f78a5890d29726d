"""A bare trader of the published rules, written apart from the system: EMA 25/125 on the closes,
in five minutes before the close while bullish, out at a 2% fall from the open (or from its own
entry), out at the open after a bear close. It trades without cost at the last price.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from common.clock import MINUTE_NS
from services.sim_tws.market import SMH, Market, SessionTimes

STOP_SHARE = 0.02
ENTRY_BEFORE_CLOSE_NS = 5 * MINUTE_NS
LOOK_NS = 5 * MINUTE_NS  # short enough that the market leaves no move out


@dataclass(frozen=True)
class Deed:
    day: int  # 1 is the first session traded
    kind: Literal["enter", "stop", "bear exit"]
    ts_ns: int


def ema_gap(closes: list[float]) -> float:
    """EMA 25 over EMA 125, less 1."""
    fast = slow = closes[0]
    for close in closes[1:]:
        fast += 2 / 26 * (close - fast)
        slow += 2 / 126 * (close - slow)
    return fast / slow - 1


def trade(market: Market, sessions: list[SessionTimes], leverage: float) -> list[Deed]:
    """What it does in these sessions, beginning flat with an equity of 1."""
    deeds: list[Deed] = []
    cash, shares = 1.0, 0.0
    for day, session in enumerate(sessions, start=1):
        before = market.daily_bars(SMH, session.date - timedelta(days=1), 1300)
        bullish = ema_gap([bar.close for _, bar in before]) > 0
        baseline = cash + shares * market.opening_print(SMH, session.date)
        if shares and not bullish:
            deeds.append(Deed(day, "bear exit", session.open_ns))
            cash, shares = baseline, 0.0
        entry_ns = session.close_ns - ENTRY_BEFORE_CLOSE_NS
        for start_ns in range(session.open_ns - 1, session.close_ns - 1, LOOK_NS):
            if not shares and start_ns + LOOK_NS < entry_ns:
                continue
            for tick in market.path(SMH, start_ns, start_ns + LOOK_NS):
                equity = cash + shares * tick.last
                if shares and equity <= baseline * (1 - STOP_SHARE):
                    deeds.append(Deed(day, "stop", tick.ts_ns))
                    cash, shares = equity, 0.0
                elif not shares and bullish and tick.ts_ns == entry_ns:
                    deeds.append(Deed(day, "enter", tick.ts_ns))
                    shares = leverage * equity / tick.last
                    cash, baseline = equity - shares * tick.last, equity
    return deeds
