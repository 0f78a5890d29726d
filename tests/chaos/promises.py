"""Which promises of docs/spec.md were broken, by the wire and two words of our journals.

The oracle judges the wire. It sees no BREACHED: where it finds a broken stop without an order, the
risk monitor's journal must say BREACHED between the breach and the end of that session. Nor does it
see a halt: no entry may reach the broker later than a second after the gateway's latch fell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from common.clock import SECOND_NS
from common.messages import HaltLatch, RiskState
from tests.oracle.facts import Placed
from tests.oracle.verdict import Violation

UNANSWERED = "the stop was broken and no sell order followed"
SESSION_NS = 24 * 3600 * SECOND_NS
HALT_NS = SECOND_NS


def broken(
    violations: Iterable[Violation], risk_states: Sequence[tuple[int, RiskState]]
) -> list[str]:
    """`risk_states`: the market instant (UTC ns) of each and what it said, in order."""
    return [str(v) for v in violations if not _excused(v, risk_states)]


def _excused(violation: Violation, risk_states: Sequence[tuple[int, RiskState]]) -> bool:
    return violation.sentence == UNANSWERED and any(
        state.breached and violation.ns <= at_ns < violation.ns + SESSION_NS
        for at_ns, state in risk_states
    )


def entries_while_halted(
    placed: Iterable[Placed], latches: Sequence[tuple[int, HaltLatch]]
) -> list[str]:
    """`latches`: the host instant (monotonic ns) of each word of the latch, in order."""
    return [
        f"entry {order.order_ref} reached the broker {late_ns / SECOND_NS:.1f} s into a halt"
        for order in placed
        if order.action == "BUY" and not order.what_if
        for late_ns in [_into_a_halt_ns(order.host_ns, latches)]
        if late_ns > HALT_NS
    ]


def _into_a_halt_ns(host_ns: int, latches: Sequence[tuple[int, HaltLatch]]) -> int:
    """How long the latch had been down without a break; 0 when it was not."""
    since_ns = 0
    for at_ns, latch in latches:
        if at_ns > host_ns:
            break
        since_ns = 0 if latch.mode == "ACTIVE" else since_ns or at_ns
    return host_ns - since_ns if since_ns else 0
