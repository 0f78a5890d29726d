"""The bus over real sockets: what is said to nobody is gone, and nothing is delivered late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from common import topology, wire
from common.bus import Bus, Heard
from common.messages import Accepted, Halt, Message
from tests.engine_play import quote

DEADLINE_S = 20.0


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A short private folder: an ipc path has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="tb") as folder:
        yield Path(folder)


@pytest.fixture
def buses(run_dir: Path) -> Iterator[Callable[[str], Bus]]:
    """Opens a service's place on the bus; all are closed at the end."""
    opened: list[Bus] = []

    def open_bus(name: str) -> Bus:
        opened.append(Bus(name, run_dir))
        return opened[-1]

    yield open_bus
    for bus in opened:
        with suppress(zmq.ZMQError):
            bus.close()


def frame(body: Message, speaker: str) -> bytes:
    envelope: wire.Envelope[Any] = wire.Envelope(1, speaker, 1, 1, 1, 1, body)
    return wire.encode_fact(envelope) if type(body) in topology.FACTS else wire.encode(envelope)


def until(
    bus: Bus, found: Callable[[list[Heard]], bool], again: Callable[[], object]
) -> list[Heard]:
    """Everything heard until it is enough; `again` is tried each time, as the loops do."""
    heard: list[Heard] = []
    end = time.monotonic() + DEADLINE_S
    while not found(heard):
        assert time.monotonic() < end, f"not heard within {DEADLINE_S} s: {heard}"
        again()
        bus.wait(0.05)
        heard += bus.heard()
    return heard


def quiet(bus: Bus, for_s: float = 0.3) -> list[Heard]:
    """What comes within a moment in which nothing should."""
    heard: list[Heard] = []
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        bus.wait(0.05)
        heard += bus.heard()
    return heard


ASK = frame(Halt(key="h1", deadline_ns=0, by="me", reason="lunch"), topology.TRADER)


def test_a_fact_reaches_those_the_table_names_and_nobody_else(
    buses: Callable[[str], Bus],
) -> None:
    feed, risk, executor = (
        buses(name) for name in (topology.FEED, topology.RISK, topology.EXECUTOR)
    )
    said = frame(quote(400.0), topology.FEED)
    heard = until(risk, bool, lambda: feed.say(said))
    assert set(heard) == {("fact", b"", said)}
    assert quiet(executor) == []


def test_a_command_and_its_answer_go_to_and_fro(buses: Callable[[str], Bus]) -> None:
    risk, trader = buses(topology.RISK), buses(topology.TRADER)
    asked: list[bool] = []
    heard = until(
        risk, bool, lambda: asked.append(trader.ask(topology.RISK, ASK)) if not any(asked) else None
    )
    (kind, peer, got) = heard[0]
    assert (kind, got) == ("command", ASK)
    answer = frame(Accepted(key="h1", note=""), topology.RISK)
    assert risk.answer(peer, answer)
    assert until(trader, bool, lambda: None) == [("answer", b"", answer)]


def test_an_absent_peer_is_false_at_once_and_nothing_is_delivered_when_it_comes(
    buses: Callable[[str], Bus],
) -> None:
    """Five halts to a dead service are no storm when it is back."""
    trader = buses(topology.TRADER)
    assert [trader.ask(topology.RISK, ASK) for _ in range(5)] == [False] * 5
    risk = buses(topology.RISK)
    assert quiet(risk) == []
    later = frame(Halt(key="h2", deadline_ns=0, by="me", reason=""), topology.TRADER)
    heard = until(risk, bool, lambda: trader.ask(topology.RISK, later))
    assert {got for _, _, got in heard} == {later}


def test_a_peer_that_died_is_false_too_and_its_successor_hears_only_what_is_new(
    buses: Callable[[str], Bus],
) -> None:
    trader, risk = buses(topology.TRADER), buses(topology.RISK)
    until(risk, bool, lambda: trader.ask(topology.RISK, ASK))
    risk.close()
    end = time.monotonic() + DEADLINE_S
    while trader.ask(topology.RISK, ASK):
        assert time.monotonic() < end, "a dead peer still takes commands"
        trader.wait(0.02)
        list(trader.heard())
    again = buses(topology.RISK)
    later = frame(Halt(key="h2", deadline_ns=0, by="me", reason=""), topology.TRADER)
    heard = until(again, bool, lambda: trader.ask(topology.RISK, later))
    assert {got for _, _, got in heard} == {later}


def test_an_answer_to_somebody_who_has_gone_is_false(buses: Callable[[str], Bus]) -> None:
    risk = buses(topology.RISK)
    assert not risk.answer(b"nobody", frame(Accepted(key="k", note=""), topology.RISK))


def test_a_restarted_speaker_is_heard_again(buses: Callable[[str], Bus]) -> None:
    risk, feed = buses(topology.RISK), buses(topology.FEED)
    until(risk, bool, lambda: feed.say(frame(quote(400.0), topology.FEED)))
    feed.close()
    quiet(risk, 0.1)
    back = buses(topology.FEED)
    new = frame(quote(401.0), topology.FEED)
    assert ("fact", b"", new) in until(risk, bool, lambda: back.say(new))


def test_an_oversized_frame_is_dropped_and_what_follows_still_arrives(
    buses: Callable[[str], Bus],
) -> None:
    risk, trader = buses(topology.RISK), buses(topology.TRADER)
    until(risk, bool, lambda: trader.ask(topology.RISK, ASK))
    trader.ask(topology.RISK, b"x" * (wire.FRAME_BYTES_MAX + 1))
    later = frame(Halt(key="h2", deadline_ns=0, by="me", reason=""), topology.TRADER)
    heard = until(
        risk,
        lambda got: any(entry[2] == later for entry in got),
        lambda: trader.ask(topology.RISK, later),
    )
    assert max(len(got) for _, _, got in heard) <= wire.FRAME_BYTES_MAX


def test_a_frame_in_parts_is_heard_as_nothing_and_counted(
    buses: Callable[[str], Bus], run_dir: Path
) -> None:
    risk = buses(topology.RISK)
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.linger = 0
        stranger.connect(topology.asks_endpoint(run_dir, topology.RISK))
        stranger.send_multipart([b"two", b"parts"])
        stranger.send(ASK)
        heard = until(risk, lambda got: len(got) == 2, lambda: None)
    assert [got for _, _, got in heard] == [b"", ASK]
    with pytest.raises(wire.WireError):
        wire.decode_command(b"")


def test_a_flood_of_facts_keeps_no_command_waiting(buses: Callable[[str], Bus]) -> None:
    risk, feed, trader = (buses(n) for n in (topology.RISK, topology.FEED, topology.TRADER))
    price = frame(quote(400.0), topology.FEED)
    until(risk, bool, lambda: feed.say(price))
    until(risk, lambda got: ("command" in [kind for kind, _, _ in got]),
          lambda: trader.ask(topology.RISK, ASK))  # fmt: skip
    quiet(risk, 0.1)
    for _ in range(900):
        feed.say(price)
    assert trader.ask(topology.RISK, ASK)
    heard = until(risk, lambda got: len(got) > 900, lambda: None)
    kinds = [kind for kind, _, _ in heard]
    assert kinds.index("command") < 900, "the command had its turn before the flood was over"


def test_saying_to_a_stuck_listener_never_blocks(
    buses: Callable[[str], Bus], run_dir: Path
) -> None:
    """A stopped process takes nothing off its socket; the speaker loses facts, not time."""
    feed = buses(topology.FEED)
    code = (
        "import sys, time; from pathlib import Path; from common.bus import Bus\n"
        "bus = Bus('risk_monitor', Path(sys.argv[1]))\n"
        "while not list(bus.heard()): bus.wait(0.05)\n"
        "print('heard', flush=True); time.sleep(60)\n"
    )
    listener = subprocess.Popen(
        [sys.executable, "-c", code, str(run_dir)],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
    )
    try:
        assert listener.stdout is not None
        price = frame(quote(400.0), topology.FEED)
        os.set_blocking(listener.stdout.fileno(), False)
        end = time.monotonic() + DEADLINE_S
        while not listener.stdout.read():
            assert time.monotonic() < end
            feed.say(price)
            time.sleep(0.02)
        os.kill(listener.pid, signal.SIGSTOP)
        for _ in range(20_000):
            feed.say(price)
    finally:
        listener.kill()
        listener.wait()
        assert listener.stdout is not None
        listener.stdout.close()


def test_each_socket_that_can_be_read_has_a_descriptor_for_an_event_loop(
    buses: Callable[[str], Bus],
) -> None:
    descriptors = buses(topology.RISK).descriptors()
    asked = topology.answerers_for(topology.RISK)
    assert len(set(descriptors)) == len(descriptors) == len(("facts", "commands")) + len(asked)


SLOW_HEARER = """
    import sys, time
    from pathlib import Path
    from common.bus import Bus
    bus = Bus("risk_monitor", Path(sys.argv[1]))
    heard = 0
    while not heard:
        bus.wait(1.0)
        heard = len(list(bus.heard()))
    print("hears", flush=True)
    time.sleep(5.0)
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        bus.wait(0.1)
        heard += len(list(bus.heard()))
    print(heard, flush=True)
"""


def test_a_hearer_that_stalls_while_its_queue_fills_reads_on_and_lives(
    run_dir: Path, buses: Callable[[str], Bus]
) -> None:
    """With ZMTP heartbeats libzmq would cut it off after 3 s and abort its process as it reads."""
    feed, said = buses(topology.FEED), frame(quote(100.0), topology.FEED)
    code = textwrap.dedent(SLOW_HEARER)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run_dir)], stdout=subprocess.PIPE, text=True
    ) as hearer:
        assert hearer.stdout is not None
        while hearer.poll() is None:
            for _ in range(100):
                feed.say(said)
            time.sleep(0.01)
        assert hearer.returncode == 0
        assert int(hearer.stdout.read().split()[-1]) > 1000
