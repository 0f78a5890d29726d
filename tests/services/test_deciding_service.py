"""A deciding service as a real process: killed at any moment it comes back knowing what it knew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from common import service, topology, wire
from common.bus import Bus
from common.messages import Accepted, Heartbeat, Message, OrderState, Recap, SubmitOrder
from tests.core.risk_play import session
from tests.core.test_orders import ENTRY, LINK, place, update

ROOT = Path(__file__).parent.parent.parent
DEADLINE_S = 30.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="td") as run_dir:
        yield {**os.environ, "TRADER_VAR": str(tmp_path), "TRADER_RUN": run_dir}


@contextmanager
def executor(home: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "services.order_executor"],
        cwd=ROOT,
        env=home,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


class Peers:
    """The gateway and the risk monitor, played by the test over the real sockets."""

    def __init__(self, run_dir: Path) -> None:
        self.gateway = Bus(topology.GATEWAY, run_dir)
        self.feed = Bus(topology.FEED, run_dir)
        self.risk = Bus(topology.RISK, run_dir)
        self.facts: list[Any] = []
        self.asked: list[Any] = []
        self.answers: list[Any] = []

    def close(self) -> None:
        for bus in (self.gateway, self.feed, self.risk):
            bus.close()

    def until(self, found: Callable[[], object], again: Callable[[], object]) -> None:
        """Plays on until it is found; `again` is said each time, as the loops do."""
        end = time.monotonic() + DEADLINE_S
        while not found():
            assert time.monotonic() < end, f"{self.facts[-3:]} {self.asked[-3:]} {self.answers}"
            again()
            self.gateway.wait(0.05)
            for kind, peer, frame in self.gateway.heard():
                if kind == "command":
                    envelope = wire.decode_command(frame)
                    self.asked.append(envelope.body)
                    yes = Accepted(key=envelope.body.key, note="")
                    self.gateway.answer(peer, wire.encode(_said(topology.GATEWAY, yes)))
            for kind, _, frame in self.risk.heard():
                if kind == "answer":
                    self.answers.append(wire.decode_answer(frame).body)
                elif kind == "fact":
                    self.facts.append(wire.decode_fact(frame).body)


def _said(speaker: str, body: Message, seq: int = 1) -> wire.Envelope[Any]:
    return wire.Envelope(wire.WIRE_VERSION, speaker, 1, seq, 1, 1, body)


@pytest.fixture
def peers(home: dict[str, str]) -> Iterator[Peers]:
    played = Peers(Path(home["TRADER_RUN"]))
    yield played
    played.close()


def test_a_kill_between_order_and_fill_loses_and_doubles_nothing(
    home: dict[str, str], peers: Peers
) -> None:
    asked = wire.encode(_said(topology.RISK, place(ENTRY)))

    def set_out() -> None:
        peers.feed.say(wire.encode_fact(_said(topology.FEED, session())))
        peers.gateway.say(wire.encode_fact(_said(topology.GATEWAY, LINK)))
        peers.risk.ask(topology.EXECUTOR, asked)

    with executor(home) as process:
        peers.until(lambda: SubmitOrder in map(type, peers.asked), set_out)
        process.send_signal(signal.SIGKILL)
        process.wait()
    peers.asked.clear()
    peers.facts.clear()
    filled = wire.encode_fact(_said(topology.GATEWAY, update(ENTRY, "Filled", 7500)))
    recap = wire.encode(_said(topology.RISK, Recap(key="recap", deadline_ns=0)))
    known = Accepted(key=ENTRY.intent_id, note="Filled")

    def go_on() -> None:
        peers.gateway.say(filled)
        peers.risk.ask(topology.EXECUTOR, recap)  # as the loop does: it may have missed a word

    with executor(home):
        peers.until(
            lambda: any(isinstance(f, OrderState) and f.status == "Filled" for f in peers.facts),
            go_on,
        )
        peers.until(
            lambda: known in peers.answers,
            lambda: peers.risk.ask(topology.EXECUTOR, asked),
        )
    submitted = [body for body in peers.asked if isinstance(body, SubmitOrder)]
    assert {order.key for order in submitted} <= {ENTRY.intent_id}, "one order, whatever died"


def test_a_second_copy_stops_at_once(home: dict[str, str], peers: Peers) -> None:
    with executor(home):
        peers.until(lambda: Heartbeat in map(type, peers.facts), lambda: None)
        second = subprocess.run(
            [sys.executable, "-m", "services.order_executor"],
            cwd=ROOT, env=home, capture_output=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
    assert second.returncode == service.EXIT_SECOND_COPY
    assert b"a second copy of order_executor is running" in second.stderr


def test_told_to_stop_it_stops_in_order_and_exits_0(home: dict[str, str], peers: Peers) -> None:
    with executor(home) as process:
        peers.until(lambda: Heartbeat in map(type, peers.facts), lambda: None)
        process.terminate()
        assert process.wait(timeout=DEADLINE_S) == 0
        assert process.stderr is not None
        log = process.stderr.read().decode()
    assert log.rstrip().endswith("stopped")


def test_settings_that_cannot_be_used_are_refused_with_their_path(home: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.order_executor"],
        cwd=ROOT, env={**home, "TRADER__STOP__LOSS_FRACTION": "2"},
        capture_output=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert b"stop.loss_fraction" in done.stderr
