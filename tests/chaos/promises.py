"""Which promises of docs/spec.md were broken, by the oracle's reading of the wire.

The oracle sees no BREACHED: where it finds a broken stop without an order, the risk monitor's
journal must say BREACHED between the breach and the end of that session.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from common.clock import SECOND_NS
from common.messages import RiskState
from tests.oracle.verdict import Violation

UNANSWERED = "the stop was broken and no sell order followed"
SESSION_NS = 24 * 3600 * SECOND_NS


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
