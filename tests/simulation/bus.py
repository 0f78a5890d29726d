"""The bus in memory: real frames, late, lost or cut off as ZeroMQ allows it.

Facts: in order on one connection; lost while a listener is not (yet) connected, when its queue is
full, or when the speaker dies with them unsent. Commands: not sent to an absent peer, lost when it
dies before it reads them. Answers: lost when the asker is gone. Nothing is ever altered. One fault
goes beyond ZeroMQ: frames that come again after newer ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from common import topology, wire
from common.messages import Heartbeat
from tests.simulation.timeline import Timeline, seconds

HIGH_WATER = 1000
Deliver = Callable[[int, str, bytes, bytes], None]
"""Host instant, kind, peer, frame."""


@dataclass(slots=True)
class Link:
    """One direction between two processes, and what is wrong with it."""

    late_ns: int = 0
    lose: float = 0.0
    again: float = 0.0
    """Share of frames that come a second time, after newer ones: no ZeroMQ does so."""
    open_ns: int = 0
    last_ns: int = 0


class Bus:
    """Delivers between the processes of `topology.DECIDERS` and a few taps."""

    def __init__(self, timeline: Timeline, chance: Random) -> None:
        self._timeline, self._chance = timeline, chance
        self._deliver: dict[str, Deliver] = {}
        self._alive: set[str] = set()
        self._lives: dict[str, int] = {}
        self.links: dict[tuple[str, str], Link] = {
            (a, b): Link() for a in topology.DECIDERS for b in topology.DECIDERS if a != b
        }
        self._hearers: dict[tuple[str, bytes], list[str]] = {}
        for hearer in topology.DECIDERS:
            for speaker, facts in topology.heard_by(hearer).items():
                for fact in facts:
                    self._hearers.setdefault((speaker, wire.topic_of(fact)), []).append(hearer)
        self.heartbeat = wire.topic_of(Heartbeat)

    def join(self, name: str, deliver: Deliver) -> None:
        """A process comes up; its connections stand a moment later."""
        self._deliver[name] = deliver
        self._alive.add(name)
        self._lives[name] = self._lives.get(name, 0) + 1
        for (a, b), link in self.links.items():
            if name in (a, b):
                link.open_ns = self._timeline.host_ns + self._chance.randint(
                    seconds(0.01), seconds(0.15)
                )

    def leave(self, name: str) -> None:
        self._alive.discard(name)

    def say(self, speaker: str, frame: bytes) -> None:
        topic = frame[: frame.index(b"\0") + 1]
        for hearer in self._hearers.get((speaker, topic), ()):
            self._send(speaker, hearer, "fact", b"", frame)

    def ask(self, asker: str, answerer: str, frame: bytes) -> bool:
        link = self.links[asker, answerer]
        if answerer not in self._alive or self._timeline.host_ns < link.open_ns:
            return False
        peer = f"{asker} {self._lives[asker]}".encode()
        self._send(asker, answerer, "command", peer, frame)
        return True

    def answer(self, answerer: str, peer: bytes, frame: bytes) -> bool:
        asker, _, life = peer.decode().partition(" ")
        if asker not in self._alive or str(self._lives[asker]) != life:
            return False
        self._send(answerer, asker, "answer", b"", frame)
        return True

    def _send(self, a: str, b: str, kind: str, peer: bytes, frame: bytes) -> None:
        link = self.links[a, b]
        now_ns = self._timeline.host_ns
        if b not in self._alive or now_ns < link.open_ns:
            return
        if link.lose and self._chance.random() < link.lose:
            return
        link.last_ns = max(link.last_ns, now_ns + 300_000 + link.late_ns)
        self._deliver[b](link.last_ns, kind, peer, frame)
        if link.again and self._chance.random() < link.again:
            self._deliver[b](link.last_ns + self._chance.randint(0, seconds(2)), kind, peer, frame)
