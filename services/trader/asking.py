"""Asks services on a person's behalf and waits for each answer. Nothing is ever assumed done."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from common import topology, wire
from common.bus import Bus
from common.clock import SECOND_NS, host_ns
from common.messages import Accepted, Message
from services.trader.exit_codes import ExitCode

ANSWER_S = 10.0
"""Host seconds a person waits; see topology.COMMANDS."""
ASK_AGAIN_S = 1.0

Outcome = Literal["accepted", "refused", "no answer", "unreachable"]


class Reply(Struct, frozen=True, kw_only=True):
    """What one service made of one command. `text`: its note, its reason, or what to do."""

    service: str
    command: str
    outcome: Outcome
    text: str


@dataclass(slots=True)
class _Question:
    answerer: str
    command: Any
    sent: bool = False
    again_ns: int = 0
    reply: Reply | None = None


def new_key() -> str:
    """A key that no other command bears: repeats of this one are known by it."""
    return f"trader-{os.getpid()}-{host_ns()}"


def ask(
    bus: Bus, questions: Iterable[tuple[str, Message]], answer_s: float = ANSWER_S
) -> list[Reply]:
    """Asks each (service, command), again every second with the same key, until all have answered.

    Returns after `answer_s` of host time at the latest, with one reply for each question.
    """
    open_questions = [_Question(answerer, command) for answerer, command in questions]
    end_ns = host_ns() + int(answer_s * SECOND_NS)
    while host_ns() < end_ns and any(q.reply is None for q in open_questions):
        for question in open_questions:
            if question.reply is None and host_ns() >= question.again_ns:
                _send(bus, question)
        bus.wait(0.05)
        for kind, _, frame in bus.heard():
            if kind == "answer":
                _hear(open_questions, frame)
    return [question.reply or _unanswered(question) for question in open_questions]


def exit_code(replies: Iterable[Reply]) -> ExitCode:
    """A refusal weighs most, then a service that is not there, then one that kept silent."""
    outcomes = {reply.outcome for reply in replies}
    if "refused" in outcomes:
        return ExitCode.NO
    if "unreachable" in outcomes:
        return ExitCode.NOT_RUNNING
    return ExitCode.TIMED_OUT if "no answer" in outcomes else ExitCode.OK


def _send(bus: Bus, question: _Question) -> None:
    envelope = wire.Envelope(wire.WIRE_VERSION, topology.TRADER, 0, 0, 0, 0, question.command)
    if bus.ask(question.answerer, wire.encode(envelope)):
        question.sent = True
        question.again_ns = host_ns() + int(ASK_AGAIN_S * SECOND_NS)


def _hear(questions: list[_Question], frame: bytes) -> None:
    try:
        envelope = wire.decode_answer(frame)
    except wire.WireError:
        return  # not an answer: the question stays open
    answer = envelope.body
    for question in questions:
        if (question.answerer, question.command.key) == (envelope.speaker, answer.key):
            accepted = isinstance(answer, Accepted)
            question.reply = Reply(
                service=question.answerer,
                command=type(question.command).__name__,
                outcome="accepted" if accepted else "refused",
                text=answer.note if isinstance(answer, Accepted) else answer.reason,
            )


def _unanswered(question: _Question) -> Reply:
    row = topology.COMMANDS[type(question.command)]
    outcome: Outcome = "no answer" if question.sent else "unreachable"
    return Reply(
        service=question.answerer,
        command=type(question.command).__name__,
        outcome=outcome,
        text=("it was told and may still act; " if question.sent else "not told; ") + row.if_dead,
    )
