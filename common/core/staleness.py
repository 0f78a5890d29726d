"""When something is too old to be believed, by both clocks."""

from __future__ import annotations

from common.core.rules import SECOND_NS
from common.messages import Now

SET_BACK_NS = SECOND_NS
"""An instant so far ahead of now was taken before the clock was set back."""


def late(since: Now, now: Now, s_max: float) -> bool:
    """Whether more than `s_max` seconds of market time have passed, and up to one of host time.

    On a real TWS the two clocks are one. In a fast-forwarded market a stream that speaks twenty
    times a host second is not silent, and while market time is held nothing grows old. Host time
    that went back is another boot's, and proves nothing young. Market time that went back was set
    anew: then host time alone decides.
    """
    return late_since(since.market_ns, since.host_ns, now, s_max)


def late_since(market_ns: int, host_ns: int, now: Now, s_max: float) -> bool:
    """The same of an instant given by its two clocks."""
    age_ns = now.market_ns - market_ns
    if -SET_BACK_NS <= age_ns <= s_max * SECOND_NS:
        return False
    patience_s = min(s_max, 1.0) if age_ns > 0 else s_max
    return not 0 <= now.host_ns - host_ns <= patience_s * SECOND_NS
