"""What a service's loop remembers beside its decider's state; the journal brings both back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from common import topology, wire
from common.messages import COMMANDS, Accepted, Message, Refused, Unanswered


@dataclass(slots=True)
class Open:
    """A command that waits for its answer."""

    command: Any
    answerer: str
    ask_again_ns: int


@dataclass(slots=True)
class Kept:
    """A fact that is said again; `file`: the session's in which it was said."""

    file: str
    seq: int
    message: Message


@dataclass(slots=True)
class Memory:
    """Numbers said and heard, facts kept to be said again, commands not yet answered.

    `heard`: (speaker, topic) to (epoch, seq) of the newest fact taken; `next_seq`: per topic;
    `last` per topic and `session` in order: facts kept; `open`: per (answerer, key).
    """

    name: str
    epoch: int = 0
    heard: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    next_seq: dict[str, int] = field(default_factory=dict)
    last: dict[str, Kept] = field(default_factory=dict)
    session: list[Kept] = field(default_factory=list)
    open: dict[tuple[str, str], Open] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, loop: wire.LoopState, decode: Callable[[bytes], Any]) -> Memory:
        """As a journal's header tells it; `decode` reads one message. msgspec.MsgspecError."""
        memory = cls(name, epoch=loop.epoch, next_seq=dict(loop.next_seq))
        memory.heard = {(s, t): (epoch, seq) for s, t, epoch, seq in loop.heard}
        for file, seq, raw in loop.kept:
            memory.keep(file, seq, decode(raw))
        for answerer, raw in loop.asked:
            command = decode(raw)
            memory.open[(answerer, command.key)] = Open(command, answerer, 0)
        return memory

    def loop_state(self) -> wire.LoopState:
        """For a journal's header."""
        return wire.LoopState(
            epoch=self.epoch,
            heard=tuple((s, t, e, q) for (s, t), (e, q) in self.heard.items()),
            next_seq=tuple(self.next_seq.items()),
            kept=tuple(
                (k.file, k.seq, raw(k.message)) for k in (*self.last.values(), *self.session)
            ),
            asked=tuple((waits.answerer, raw(waits.command)) for waits in self.open.values()),
        )

    def remember(self, record: wire.Record[Any], file: str) -> None:
        """The loop's own part of a fold: one record of the session's file `file`."""
        if record.seq:
            topic = type(record.message).__name__
            self.heard[(record.source, topic)] = (record.epoch, record.seq)
        if isinstance(record.message, (Accepted, Refused)):
            self.open.pop((record.source, record.message.key), None)
        elif isinstance(record.message, Unanswered):
            self.drop_open(record.message.key)
        for seq, output in record.outputs:
            if seq:
                self.next_seq[type(output).__name__] = seq + 1
                self.keep(file, seq, output)
            elif isinstance(output, COMMANDS):
                self.open_command(output)

    def keep(self, file: str, seq: int, fact: Message) -> None:
        keep = topology.keep_of(type(fact))
        if keep == "last":
            self.last[type(fact).__name__] = Kept(file, seq, fact)
        elif keep == "session":
            self.session.append(Kept(file, seq, fact))

    def open_command(self, command: Any) -> list[Open]:
        """Keeps a command open toward each of its answerers until they have answered."""
        opened = []
        for answerer in topology.COMMANDS[type(command)].answerers:
            if answerer != self.name:
                waiting = Open(command, answerer, 0)
                self.open[(answerer, command.key)] = waiting
                opened.append(waiting)
        return opened

    def drop_open(self, key: str) -> None:
        for waiting in [open_key for open_key in self.open if open_key[1] == key]:
            del self.open[waiting]


def raw(value: object) -> msgspec.Raw:
    """A value's bytes, to be put into a header as they are."""
    return msgspec.Raw(wire.encode_any(value))
