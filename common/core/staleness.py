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
    host_ns = now.host_ns - since.host_ns
    young = 0 <= host_ns <= min(s_max, 1.0) * SECOND_NS
    return now.market_ns - since.market_ns > s_max * SECOND_NS and not young
