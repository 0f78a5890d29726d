"""What TWS is asked, and the one question that it leaves unanswered for a while."""

from __future__ import annotations

from typing import Literal

from tests.simulation.timeline import Act

Question = Literal[
    "contract", "open orders", "completed orders", "positions", "executions", "account", "pnl",
    "prices", "what-if", "order ids", "history",
]  # fmt: skip
Way = Literal["lost", "late", "end lost", "end late"]
"""What happens to an answer: nothing of it ever comes, it comes when TWS speaks again, or so does
only its End, the message by which TWS says that it was all."""


def _nothing() -> None: ...


class Answers:
    """`give` tells an answer, or does with it what TWS does to this question now."""

    def __init__(self) -> None:
        self.silent_on: Question | None = None
        self._way: Way = "lost"
        self._kept: list[Act] = []

    def fall_silent(self, question: Question, way: Way) -> None:
        self.silent_on, self._way = question, way

    def speak_again(self) -> None:
        self.silent_on = None
        kept, self._kept = self._kept, []
        for tell in kept:
            tell()

    def give(self, question: Question, answer: Act, end: Act = _nothing) -> None:
        if question != self.silent_on:
            answer()
            end()
            return
        if self._way.startswith("end"):
            answer()
        elif self._way == "late":
            self._kept.append(answer)
        if self._way.endswith("late"):
            self._kept.append(end)
