"""Judges a recorded day again: the journaled inputs through today's deciders. Pure.

A journal file is headed by the decider's state; each record holds one input and what was decided on
it. Judged again by the same code, every decision comes out the same; after a change of a rule, the
first record that comes out differently is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import msgspec
from msgspec import Struct

from common import topology, wire
from common.messages import Message, Now

DECIDERS: dict[str, str] = {
    topology.FEED: "common.core.quotes",
    topology.SIGNAL: "common.core.strategy",
    topology.RISK: "common.core.risk",
    topology.EXECUTOR: "common.core.orders",
    topology.GATEWAY: "common.core.outbox",
    topology.CONSOLE: "common.core.console",
}
"""Which pure module decides for which service."""


class Difference(Struct, frozen=True, kw_only=True):
    """The first input on which today's decider decides otherwise.

    `offset`: of the record in the journal file, bytes. `error`: today's decider failed, or "".
    """

    offset: int
    now: Now
    source: str
    event: Any
    recorded: tuple[Any, ...]
    today: tuple[Any, ...]
    error: str = ""


class Judged(Struct, frozen=True, kw_only=True):
    """How many inputs and decisions were compared, and the first difference or None."""

    inputs: int
    decisions: int
    difference: Difference | None = None


def decider_of(service: str) -> Any:
    """The decider module of a service, imported now."""
    return import_module(DECIDERS[service])


def edge_messages(service: str) -> tuple[type[Message], ...]:
    """The message types between a service's decider and its own edge."""
    return tuple(getattr(decider_of(service), "EDGE_MESSAGES", ()))


def state_of(decider: Any, header: wire.Header) -> Any:
    """The state at the head of a journal file; msgspec.MsgspecError when today's differs."""
    return msgspec.msgpack.decode(header.state, type=decider.State)


def rejudge(decider: Any, state: Any, records: Iterable[tuple[int, wire.Record[Any]]]) -> Judged:
    """Runs (offset, record) pairs through `decider`, from `state` on, up to the first difference.

    The state is moved by the decisions that were recorded, as it was on the day.
    """
    inputs = decisions = 0
    for offset, record in records:
        inputs += 1
        recorded = tuple(output for _, output in record.outputs)
        today: tuple[Any, ...] = ()
        error = ""
        try:
            decider.evolve(state, record.now, record.message)
            today = tuple(decider.decide(state, record.now, record.message))
        except Exception as failure:  # noqa: BLE001  (that today's code fails is the finding)
            error = f"{type(failure).__name__}: {failure}"
        if error or today != recorded:
            difference = Difference(
                offset=offset,
                now=record.now,
                source=record.source,
                event=record.message,
                recorded=recorded,
                today=today,
                error=error,
            )
            return Judged(inputs=inputs, decisions=decisions, difference=difference)
        for output in recorded:
            decider.evolve(state, record.now, output)
        decisions += len(recorded)
    return Judged(inputs=inputs, decisions=decisions)
