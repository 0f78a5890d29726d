"""Services as the command line meets them: real sockets, said facts, answered commands."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import messages as m
from common import topology, wire
from common.bus import Bus
from common.lock import hold_lock
from common.standby import give_sign, sign_path

Answer = Callable[[Any], m.Message | None]


def accept(command: Any) -> m.Message:
    return m.Accepted(key=command.key, note="as you say")


def heartbeat(pid: int = 4711, *, ready: bool = True, verdict: str = "") -> m.Heartbeat:
    return m.Heartbeat(
        pid=pid, ready=ready, busy=False, caught_up_ns=1, build="b" * 12,
        settings_hash="s" * 12, verdict=verdict, said=(),
    )  # fmt: skip


class Speaker(threading.Thread):
    """One service's sockets: says its facts over and over, answers what it is asked."""

    def __init__(
        self, name: str, run_dir: Path, facts: list[m.Message], answer: Answer = accept
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.heard: list[Any] = []
        self._bus = Bus(name, run_dir)
        self._answer = answer
        self._facts = facts
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            for number, fact in enumerate(self._facts, start=1):
                self._bus.say(wire.encode_fact(self._envelope(fact, number)))
            self._bus.wait(0.05)
            for kind, peer, frame in self._bus.heard():
                if kind == "command":
                    self._hear(peer, wire.decode_command(frame).body)
        self._bus.close()

    def _hear(self, peer: bytes, command: Any) -> None:
        if isinstance(command, m.Recap):
            return
        self.heard.append(command)
        answer = self._answer(command)
        if answer is not None:
            self._bus.answer(peer, wire.encode(self._envelope(answer, 0)))

    def _envelope(self, body: m.Message, seq: int) -> wire.Envelope[Any]:
        return wire.Envelope(
            wire.WIRE_VERSION, self.name, 1, seq, 1, 1_748_872_800_000_000_000, body
        )

    def end(self) -> None:
        self._ended.set()
        self.join()


class StandingBy(threading.Thread):
    """The stop monitor's standby: it says nothing, but gives its signs of life."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(daemon=True)
        self._sign = hold_lock(sign_path(run_dir, topology.RISK))
        self._ended = threading.Event()

    def run(self) -> None:
        assert self._sign is not None
        while not self._ended.wait(0.05):
            give_sign(self._sign, heartbeat(4712, verdict="standing by"))
        os.close(self._sign)

    def end(self) -> None:
        self._ended.set()
        self.join()


@contextmanager
def speaking(*speakers: Speaker | StandingBy) -> Iterator[None]:
    for speaker in speakers:
        speaker.start()
    try:
        yield
    finally:
        for speaker in speakers:
            speaker.end()
