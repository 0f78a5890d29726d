"""The process's place on the bus: one PUB and one ROUTER bound, SUB and DEALERs connected.

Plain synchronous sockets that never block: facts are dropped for a listener that is not there, a
command to an absent peer is simply not sent (False) and asked again by the loop. Settings and their
reasons: docs/architecture.md, section "The bus".
"""

from __future__ import annotations

import select
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import zmq

from common import topology, wire
from common.messages import Message

Kind = Literal["fact", "command", "answer"]
Heard = tuple[Kind, bytes, bytes]
"""Kind, peer (the ROUTER's routing id, else empty) and frame."""

# So many frames of one socket are worked off before the next has its turn: a flood of facts must
# not keep a command waiting.
_BATCH = 64

# Plain integers: the enums' own conversion would cost as much as the calls.
_NOBLOCK, _EVENTS, _POLLIN = int(zmq.NOBLOCK), int(zmq.EVENTS), int(zmq.POLLIN)


class Bus:
    """Sockets of one process. `name` must be in topology; `run_dir` a private 0700 folder."""

    def __init__(self, name: str, run_dir: Path) -> None:
        self.name = name
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 64)
        self._publisher = self._socket(zmq.PUB, high_water=1000)
        self._router = self._socket(zmq.ROUTER, high_water=100)
        self._router.set(zmq.ROUTER_MANDATORY, 1)
        if name in topology.SPEAKERS:
            self._publisher.bind(topology.facts_endpoint(run_dir, name))
            self._router.bind(topology.asks_endpoint(run_dir, name))
        self._subscriber = self._socket(zmq.SUB, high_water=1000)
        for speaker, facts in topology.heard_by(name).items():
            self._subscriber.connect(topology.facts_endpoint(run_dir, speaker))
            self.subscribe(facts)
        self._dealers: dict[str, zmq.Socket[bytes]] = {}
        for answerer in topology.answerers_for(name):
            dealer = self._socket(zmq.DEALER, high_water=100)
            dealer.set(zmq.IMMEDIATE, 1)  # nothing waits in a queue for a peer that is not there
            dealer.connect(topology.asks_endpoint(run_dir, answerer))
            self._dealers[answerer] = dealer
        self._readers: list[tuple[Kind, zmq.Socket[bytes]]] = [
            ("command", self._router),
            *(("answer", dealer) for dealer in self._dealers.values()),
            ("fact", self._subscriber),
        ]
        self._by_descriptor = {int(socket.get(zmq.FD)): socket for _, socket in self._readers}
        self._poller = select.poll()
        for descriptor in self._by_descriptor:
            self._poller.register(descriptor, select.POLLIN)
        self._woken: set[zmq.Socket[bytes]] = set()

    def _socket(self, kind: int, high_water: int) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, high_water)
        socket.set(zmq.RCVHWM, high_water)
        socket.set(zmq.MAXMSGSIZE, wire.FRAME_BYTES_MAX)
        socket.set(zmq.RECONNECT_IVL, 10)
        socket.set(zmq.RECONNECT_IVL_MAX, 30)
        if kind not in (zmq.PUB, zmq.SUB):
            # Not where facts stream: a hearer whose queue is full reads no heartbeat, is cut off,
            # and libzmq 4.3.5 aborts its process when it reads on (libzmq issue 3937).
            socket.set(zmq.HEARTBEAT_IVL, 1000)
            socket.set(zmq.HEARTBEAT_TIMEOUT, 3000)
            socket.set(zmq.HEARTBEAT_TTL, 3000)
        return socket

    def subscribe(self, facts: Iterable[type[Message]]) -> None:
        for fact in facts:
            self._subscriber.subscribe(wire.topic_of(fact))

    def say(self, frame: bytes) -> None:
        """Publishes a fact's frame to whoever listens."""
        self._publisher.send(frame, _NOBLOCK)

    def ask(self, answerer: str, frame: bytes) -> bool:
        """Sends a command; False when the answerer is not there (the loop asks again)."""
        try:
            self._dealers[answerer].send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def answer(self, peer: bytes, frame: bytes) -> bool:
        """Answers the peer that asked; False when it has gone meanwhile."""
        try:
            self._router.send_multipart([peer, frame], zmq.NOBLOCK)
        except (zmq.Again, zmq.ZMQError):
            return False
        return True

    def wait(self, timeout_s: float) -> None:
        """Returns when something can be heard, or after `timeout_s` of host time."""
        self._woken = self._filled()
        if not self._woken:
            woken = self._poller.poll(max(0, int(timeout_s * 1000)))
            self._woken = {self._by_descriptor[descriptor] for descriptor, _ in woken}

    def heard(self) -> Iterator[Heard]:
        """Everything that waits, commands first, without blocking."""
        filled, self._woken = self._woken or self._filled(), set()
        while filled:
            for kind, socket in self._readers:
                if socket in filled:
                    yield from self._batch(kind, socket)
            filled = self._filled()

    def _filled(self) -> set[zmq.Socket[bytes]]:
        # An empty socket's Again costs more than a frame, so only those are read that have one.
        return {socket for _, socket in self._readers if int(socket.get(_EVENTS)) & _POLLIN}

    def _batch(self, kind: Kind, socket: zmq.Socket[bytes]) -> Iterator[Heard]:
        try:
            for _ in range(_BATCH):
                if kind == "command":
                    peer, *frames = socket.recv_multipart(_NOBLOCK)
                    # What is not one frame is no command: an empty one is refused and counted.
                    yield kind, peer, frames[0] if len(frames) == 1 else b""
                else:
                    yield kind, b"", socket.recv(_NOBLOCK)
        except zmq.Again:
            return

    def descriptors(self) -> list[int]:
        """File descriptors for an event loop. They signal edges only: drain `heard` each time, and
        again after sending."""
        return list(self._by_descriptor)

    def close(self) -> None:
        self._context.destroy(linger=0)
