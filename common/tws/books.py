"""One snapshot of the broker's books: four questions, complete when TWS has ended all four."""

from __future__ import annotations

from common.tws.messages import (
    REPORTS_MAX,
    CompletedOrder,
    ExecutionReport,
    OpenOrder,
    PositionReport,
    Snapshot,
    StatusReport,
)

OPEN, COMPLETED, EXECUTIONS, POSITIONS = (
    "open orders",
    "completed orders",
    "executions",
    "positions",
)


class Books:
    """Collects the answers. TWS does not mark which reports are answers and which are news: both
    are true, so both are taken.

    Nor does it mark whose End it says. `owed` are the parts of the books given up before that TWS
    had not ended: the first End of such a part belongs to those, or half an answer would count as a
    whole one. If no second End follows, the first answer was lost; then nothing is owed any more.
    """

    def __init__(
        self, number: int, begun_ns: int, executions_request: int, owed: frozenset[str]
    ) -> None:
        self.number = number
        self.executions_request = executions_request
        self.asked = False
        self.open_orders: list[OpenOrder] = []
        self.statuses: list[StatusReport] = []
        self.completed: list[CompletedOrder] = []
        self.executions: list[ExecutionReport] = []
        self.positions: dict[str, PositionReport] = {}
        self._begun_ns = begun_ns
        self._owed_first = owed
        self._owed = set(owed)
        self._missing = {OPEN, COMPLETED, EXECUTIONS, POSITIONS}

    def ended(self, part: str) -> Snapshot | None:
        """TWS ended a part; the snapshot when that was the last one."""
        if part in self._owed:
            self._owed.discard(part)
            return None
        self._missing.discard(part)
        if self._missing:
            return None
        return Snapshot(
            number=self.number,
            begun_ns=self._begun_ns,
            open_orders=tuple(self.open_orders),
            statuses=tuple(self.statuses),
            completed=tuple(self.completed),
            executions=tuple(self.executions),
            positions=tuple(self.positions.values()),
        )

    @property
    def owes(self) -> frozenset[str]:
        """Parts whose End may still come when these books are given up; executions have an id."""
        if not self.asked:
            return frozenset(self._owed)
        return frozenset(self._missing - self._owed_first - {EXECUTIONS})

    @property
    def too_many(self) -> bool:
        """No account that this system trades has so many reports; a journal could not hold them."""
        parts = (self.open_orders, self.statuses, self.completed, self.executions, self.positions)
        return any(len(part) > REPORTS_MAX for part in parts)

    @property
    def missing(self) -> str:
        return ", ".join(sorted(self._missing))
