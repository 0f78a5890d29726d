"""A process without a journal on the real bus: heard by others, asks until answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common import wire
from common.bus import Bus
from common.bystander import Beat, Bystander
from common.clock import WallClock
from common.messages import (
    Accepted,
    Alert,
    Halt,
    Heartbeat,
    Message,
    Pace,
    Recap,
    Refused,
    RunEnded,
)
from common.settings import Settings
from tests.services.waiting import until

HALT = Halt(key="h1", deadline_ns=0, by="watchdog", reason="mixed")


class Peer:
    """Another process's socket, by hand: what it hears, and what it answers."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.bus = Bus(name, folder)
        self.facts: list[wire.Envelope[Any]] = []
        self.commands: list[Message] = []
        self.answers: list[Message] = []
        self.answering = True

    def hear(self) -> None:
        self.bus.wait(0.02)
        for kind, peer, frame in self.bus.heard():
            if kind == "fact":
                self.facts.append(wire.decode_fact(frame))
            elif kind == "command":
                command = wire.decode_command(frame).body
                self.commands.append(command)
                if self.answering:
                    answer = Accepted(key=command.key, note="")
                    self.bus.answer(peer, wire.encode(self.envelope(answer)))
            else:
                self.answers.append(wire.decode_answer(frame).body)

    def envelope(self, body: Message) -> wire.Envelope[Any]:
        return wire.Envelope(wire.WIRE_VERSION, self.name, 1, 0, 0, 0, body)


class Stage:
    """A watchdog or pacer under test among peers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: list[Bystander | Bus] = []

    def bystander(self, name: str) -> Bystander:
        one = Bystander(name, self._folder, Settings(), WallClock(), "build")
        self._open.append(one)
        return one

    def peer(self, name: str) -> Peer:
        peer = Peer(name, self._folder)
        self._open.append(peer.bus)
        return peer

    def close(self) -> None:
        for one in self._open:
            one.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def listen(bystander: Bystander, *peers: Peer) -> list[Beat]:
    beats = list(bystander.hear(0.02))
    for peer in peers:
        peer.hear()
    return beats


def test_it_hears_heartbeats_and_knows_whose_they_are(stage: Stage) -> None:
    watchdog, risk = stage.bystander("watchdog"), stage.peer("risk_monitor")
    beat = Heartbeat(
        pid=7, ready=True, busy=False, caught_up_ns=1, build="b", settings_hash="s", verdict="",
        said=(),
    )  # fmt: skip
    heard: list[Beat] = []

    def arrived() -> bool:
        risk.bus.say(wire.encode_fact(risk.envelope(beat)))
        heard.extend(listen(watchdog))
        return bool(heard)

    until(arrived)
    assert heard[0].speaker == "risk_monitor"
    assert heard[0].heartbeat == beat


def test_a_command_is_asked_until_each_answerer_has_answered(stage: Stage) -> None:
    # given: the risk monitor answers at once, the gateway comes later and is deaf at first
    watchdog, risk = stage.bystander("watchdog"), stage.peer("risk_monitor")
    watchdog.ask(HALT)
    until(lambda: listen(watchdog, risk) or risk.commands)
    gateway = stage.peer("broker_gateway")
    gateway.answering = False
    until(lambda: listen(watchdog, risk, gateway) or len(gateway.commands) >= 2)
    # when: it answers too
    gateway.answering = True
    count = len(gateway.commands)
    until(lambda: listen(watchdog, risk, gateway) or len(gateway.commands) > count)
    # then: nobody is asked any more, for longer than a repeat takes
    listen(watchdog, risk, gateway)
    asked = len(risk.commands), len(gateway.commands)
    quiet_until = time.monotonic() + 1.3
    until(lambda: listen(watchdog, risk, gateway) or time.monotonic() > quiet_until)
    assert (len(risk.commands), len(gateway.commands)) == asked
    assert set(risk.commands + gateway.commands) == {HALT}


def test_a_late_listener_hears_the_newest_of_what_stands(stage: Stage) -> None:
    pacer = stage.bystander("pacer")
    pacer.say(Pace(speed=1.0, held_by="", days_done=0))
    pacer.say(RunEnded(days=3))
    console = stage.peer("console")
    until(lambda: listen(pacer, console) or console.facts)
    assert {type(envelope.body) for envelope in console.facts} == {RunEnded}


def test_a_recap_says_every_alert_again_under_its_number(stage: Stage) -> None:
    watchdog = stage.bystander("watchdog")
    alerts = [Alert(level="notice", code=f"n{n}", text="t", raised=True) for n in range(3)]
    for alert in alerts:
        watchdog.say(alert)
    console = stage.peer("console")
    recap = wire.encode(console.envelope(Recap(key="r1", deadline_ns=0)))
    until(lambda: console.bus.ask("watchdog", recap))
    until(lambda: listen(watchdog, console) or console.answers)
    until(lambda: listen(watchdog, console) or len(console.facts) >= 3)
    assert [(e.seq, e.floor, e.body) for e in console.facts] == [
        (number, 1, alert) for number, alert in enumerate(alerts, start=1)
    ]
    assert console.answers == [Accepted(key="r1", note="")]


def test_a_command_it_does_not_know_is_refused_and_rubbish_is_dropped(stage: Stage) -> None:
    watchdog, console = stage.bystander("watchdog"), stage.peer("console")
    until(lambda: console.bus.ask("watchdog", b"\xff rubbish"))
    console.bus.ask("watchdog", wire.encode(console.envelope(HALT)))
    until(lambda: listen(watchdog, console) or console.answers)
    assert isinstance(console.answers[0], Refused)


def test_its_own_heartbeat_tells_how_many_alerts_it_has_said(stage: Stage) -> None:
    watchdog, pacer = stage.bystander("watchdog"), stage.bystander("pacer")
    watchdog.say(Alert(level="notice", code="n", text="t", raised=True))
    heard: list[Beat] = []

    def arrived() -> bool:
        watchdog.beat("still starting")
        heard.extend(listen(pacer))
        return bool(heard)

    until(arrived)
    assert heard[0].heartbeat.said == (("Alert", 1),)
    assert not heard[0].heartbeat.ready
    assert heard[0].heartbeat.verdict == "still starting"
