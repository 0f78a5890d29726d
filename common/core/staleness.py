"""When something is too old to be believed, by both clocks."""

from __future__ import annotations

from common.core.rules import SECOND_NS
from common.messages import Now


def late(since: Now, now: Now, s_max: float) -> bool:
    """Whether more than `s_max` seconds of market time have passed, and up to one of host time.

    On a real TWS the two clocks are one. In a fast-forwarded market a stream that speaks twenty
    times a host second is not silent, and while market time is held nothing grows old. Host time
    that went back is another boot's, and proves nothing young.
    """
    return late_since(since.market_ns, since.host_ns, now, s_max)


def late_since(market_ns: int, host_ns: int, now: Now, s_max: float) -> bool:
    """The same of an instant given by its two clocks."""
    if now.market_ns - market_ns <= s_max * SECOND_NS:
        return False
    return not 0 <= now.host_ns - host_ns <= min(s_max, 1.0) * SECOND_NS
