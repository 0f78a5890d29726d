"""What IB lets an API client ask of its historical data, and when. Pure: the caller tells the time.

Source: IB's page "Historical Data Limitations"
(https://interactivebrokers.github.io/tws-api/historical_limitations.html): no identical request
within 15 s; fewer than six within 2 s for the same contract, exchange and tick type; at most 60 in
any ten minutes; and a table of the longest duration for each bar size. IB counts real seconds, so
these are host time, however fast a simulated market runs. It has lifted the hard limits for bars
of a minute and more but asks for care; here they are kept for every size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import NamedTuple

IDENTICAL_S = 15.0
BURST_S, BURST_MAX = 2.0, 5
LONG_S, LONG_MAX = 600.0, 60
LEFT_TO_OTHERS = 6
"""Of LONG_MAX: a running system asks for its daily bars over the same login."""
MARGIN_S = 0.05
"""A request is counted where it arrives, and the way there is not always equally long."""


class BarSize(NamedTuple):
    """`tws`: IB's name. `duration`: the longest one request may span, in IB's words; daily bars
    may be asked for by the year."""

    tws: str
    length_s: int
    duration: str


DAILY = BarSize("1 day", 0, "")
INTRADAY = {"5min": BarSize("5 mins", 300, "1 W"), "1min": BarSize("1 min", 60, "1 D")}
DAYS_MAX = 365
"""A longer duration must be told in years."""


def daily_duration(sessions: int, days: int) -> str:
    """Spans so many sessions within so many calendar days, both including the newest."""
    if sessions <= DAYS_MAX:
        return f"{sessions} D"
    return f"{days // DAYS_MAX + 1} Y"


class Pacing:
    """Keeps one client's requests within the limits."""

    def __init__(self) -> None:
        self._sent: deque[tuple[float, Hashable, Hashable]] = deque()

    def wait_s(self, request: Hashable, place: Hashable, now_s: float) -> float:
        """Host seconds until the request may leave; 0 now.

        `request`: all that makes it identical to another. `place`: contract, exchange, tick type.
        """
        while self._sent and now_s - self._sent[0][0] > LONG_S + MARGIN_S:
            self._sent.popleft()
        same = [at_s for at_s, other, _ in self._sent if other == request]
        near = [at_s for at_s, _, other in self._sent if other == place]
        free_s = [
            now_s,
            *(at_s + IDENTICAL_S + MARGIN_S for at_s in same[-1:]),
            *(at_s + BURST_S + MARGIN_S for at_s in near[-BURST_MAX:][: len(near) >= BURST_MAX]),
        ]
        most = LONG_MAX - LEFT_TO_OTHERS
        if len(self._sent) >= most:
            free_s.append(self._sent[-most][0] + LONG_S + MARGIN_S)
        return max(free_s) - now_s

    def sent(self, request: Hashable, place: Hashable, now_s: float) -> None:
        """The request has left."""
        self._sent.append((now_s, request, place))
