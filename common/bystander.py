"""A process on the bus that decides nothing about money: the watchdog and the pacer.

It hears every heartbeat, says a few facts and keeps no journal: what it knows is a second old at
most and heals by listening. Each start is a new epoch of its sequence numbers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from common import topology, wire
from common.bus import Bus
from common.clock import SECOND_NS, Clock, host_ns
from common.messages import Accepted, Heartbeat, Message, Recap, Refused
from common.settings import Settings

log = logging.getLogger(__name__)

REPEAT_NS = SECOND_NS  # host time between two sayings of a kept fact or askings of a command


class Beat(NamedTuple):
    """A heartbeat and who gave it; `host_ns`: when it was taken from the socket."""

    speaker: str
    host_ns: int
    heartbeat: Heartbeat


@dataclass(slots=True)
class _Asked:
    answerer: str
    frame: bytes
    again_ns: int


class Bystander:
    """Sockets, heartbeat, repeats. Call `hear` in a loop, at least a few times a second."""

    def __init__(
        self, name: str, run_dir: Path, settings: Settings, clock: Clock, build: str
    ) -> None:
        self.name = name
        self._bus = Bus(name, run_dir)
        self._settings_hash = settings.hash()
        self._build = build
        self._clock = clock
        self._epoch = host_ns()
        self._said: dict[str, list[Message]] = {}
        self._asked: dict[tuple[str, str], _Asked] = {}
        self._repeat_ns = host_ns()

    def hear(self, wait_s: float) -> Iterator[Beat]:
        """Heartbeats that came within `wait_s` of host time, oldest first; answers Recaps."""
        self._bus.wait(wait_s)
        for kind, peer, frame in self._bus.heard():
            try:
                if kind == "fact":
                    envelope = wire.decode_fact(frame)
                    if isinstance(envelope.body, Heartbeat):
                        yield Beat(envelope.speaker, host_ns(), envelope.body)
                elif kind == "command":
                    self._answer(peer, wire.decode_command(frame).body)
                else:
                    answer = wire.decode_answer(frame)
                    self._asked.pop((answer.speaker, answer.body.key), None)
            except wire.WireError as error:
                log.warning("dropped a %s: %s", kind, error)
        self._repeat()

    def say(self, fact: Message) -> None:
        """Publishes a fact of ours; the newest of its kind (every Alert) is said again later."""
        said = self._said.setdefault(type(fact).__name__, [])
        said.append(fact)
        self._publish(fact, len(said))

    def ask(self, command: Any) -> None:
        """Asks all its answerers, every second of host time until each has answered."""
        for answerer in topology.COMMANDS[type(command)].answerers:
            asked = _Asked(answerer, wire.encode(self._envelope(command, 0, 0)), 0)
            self._asked[(answerer, command.key)] = asked
            self._ask(asked)

    def beat(self, verdict: str = "") -> None:
        """Says that our work loop has completed a cycle; `verdict`: why we are not ready, or ""."""
        said = tuple(
            (topic, len(facts))
            for topic, facts in self._said.items()
            if topology.keep_of(type(facts[-1])) == "session"
        )
        heartbeat = Heartbeat(
            pid=os.getpid(),
            ready=not verdict,
            busy=False,
            caught_up_ns=self._clock.now_ns(),
            build=self._build,
            settings_hash=self._settings_hash,
            verdict=verdict,
            said=said,
        )
        self._bus.say(wire.encode_fact(self._envelope(heartbeat, 0, 0)))

    def close(self) -> None:
        self._bus.close()

    def _answer(self, peer: bytes, command: Any) -> None:
        answer: Message = Refused(key=command.key, reason=f"{self.name} answers nothing")
        if isinstance(command, Recap):
            for facts in self._said.values():
                for number, fact in enumerate(facts, start=1):
                    self._publish(fact, number)
            answer = Accepted(key=command.key, note="")
        self._bus.answer(peer, wire.encode(self._envelope(answer, 0, 0)))

    def _repeat(self) -> None:
        now_ns = host_ns()
        if now_ns - self._repeat_ns >= REPEAT_NS:
            self._repeat_ns = now_ns
            for facts in self._said.values():
                if topology.keep_of(type(facts[-1])) == "last":
                    self._publish(facts[-1], len(facts))
        for asked in self._asked.values():
            if now_ns >= asked.again_ns:
                self._ask(asked)

    def _ask(self, asked: _Asked) -> None:
        asked.again_ns = host_ns() + REPEAT_NS
        self._bus.ask(asked.answerer, asked.frame)

    def _publish(self, fact: Message, number: int) -> None:
        self._bus.say(wire.encode_fact(self._envelope(fact, number, 1)))

    def _envelope(self, body: Message, seq: int, floor: int) -> wire.Envelope[Any]:
        return wire.Envelope(
            wire.WIRE_VERSION, self.name, self._epoch, seq, floor, self._clock.now_ns(), body
        )
