"""Market time of a server that stands alone: sessions at a chosen pace, nights in a moment.

From shortly before the open to shortly after the close market time runs evenly; the rest of the
day passes in `NIGHT_HOST_S`, as if it were skipped, but in order.
"""

from __future__ import annotations

from dataclasses import replace

from common.clock import MINUTE_NS, SECOND_NS, Segment, host_ns
from services.sim_tws.market import Market

BEFORE_OPEN_NS = 5 * MINUTE_NS
AFTER_CLOSE_NS = 30 * MINUTE_NS
NIGHT_HOST_S = 1.0


class OwnClock:
    """A `common.clock.Clock` that runs through the market's sessions by itself."""

    def __init__(self, market: Market, start_ns: int, session_host_s: float | None) -> None:
        """Starts at `start_ns`; a whole session takes `session_host_s`, or its real length."""
        self._market = market
        self._session_host_s = session_host_s
        first = self._next(start_ns, 0)
        self._segment = replace(first, host_ns=host_ns())

    def now_ns(self) -> int:
        now = host_ns()
        while (market_ns := self._segment.at(now)) >= self._segment.limit_ns:
            done = self._segment
            if done.speed == 0:
                break
            ended = done.host_ns + int((done.limit_ns - done.market_ns) / done.speed)
            self._segment = self._next(done.limit_ns, ended)
        return market_ns

    def _next(self, market_ns: int, from_host_ns: int) -> Segment:
        """The stretch that begins at `market_ns`: a day's, a night's, or the market's end."""
        try:
            session = self._market.session_at_or_after(market_ns - AFTER_CLOSE_NS)
        except LookupError:
            return Segment(from_host_ns, market_ns, 0.0, market_ns)
        begins_ns, ends_ns = session.open_ns - BEFORE_OPEN_NS, session.close_ns + AFTER_CLOSE_NS
        if market_ns < begins_ns:
            speed = (begins_ns - market_ns) / (NIGHT_HOST_S * SECOND_NS)
            return Segment(from_host_ns, market_ns, speed, begins_ns)
        if self._session_host_s is None:
            return Segment(from_host_ns, market_ns, 1.0, ends_ns)
        length_ns = session.close_ns - session.open_ns
        return Segment(
            from_host_ns, market_ns, length_ns / (self._session_host_s * SECOND_NS), ends_ns
        )
