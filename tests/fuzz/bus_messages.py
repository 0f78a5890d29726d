"""Targets `decoders`, `deciders` and `sockets`: hostile messages on the bus.

A frame is a message or a WireError. Whatever valid message comes from a speaker that may say it, a
decider neither raises, nor orders what nobody asked it to, nor writes a journal that a restart
could not read.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import zmq

from common import topology, wire
from common.bus import Bus
from common.clock import SECOND_NS
from common.core import orders, outbox, quotes, risk, strategy
from common.engine import Engine
from common.fold import Decider, edge_messages
from common.journal import Journal
from common.messages import FACTS, Message, SubmitOrder
from common.settings import Settings
from common.tws import market_messages as market
from common.tws import messages as tws
from tests.fuzz import messages as valid
from tests.fuzz import mutations, restart
from tests.fuzz.target import Broken, Tally, Target, shown

DECIDERS: dict[str, Decider] = {
    topology.FEED: quotes,
    topology.SIGNAL: strategy,
    topology.RISK: risk,
    topology.EXECUTOR: orders,
    topology.GATEWAY: outbox,
}
DECODERS: dict[str, Callable[[bytes], wire.Envelope[Any]]] = {
    "fact": wire.decode_fact,
    "command": wire.decode_command,
    "answer": wire.decode_answer,
}
EDGE_SAYS = frozenset({*tws.TWS_MESSAGES, *quotes.EDGE_MESSAGES}) - frozenset(
    {market.Subscribe, market.AskContract, market.ReadHistory, market.ReadCalendar}
)
SOCKETS_DEADLINE_S = 20.0


# --- decoders ----------------------------------------------------------------------------------


def decoders(rng: random.Random, messages: int, _folder: Path) -> Tally:
    """Mutated frames of every message of the system into the three decoders."""
    tally = Tally()
    for _ in range(messages):
        kind = rng.choice(valid.SPOKEN)
        frame = mutations.packed(rng, valid.example(rng, kind))
        if kind in FACTS and rng.random() < 0.98:
            frame = wire.topic_of(kind) + frame
        for decode in DECODERS.values():
            try:
                decoded = decode(frame)
            except wire.WireError:
                tally.rejected += 1
            except Exception as error:
                raise Broken(f"{decode.__name__} raised {error!r} on {shown(frame)}") from error
            else:
                tally.accepted += 1
                if not isinstance(decoded.body, Message):
                    raise Broken(f"{decode.__name__} took {shown(frame)}")
    return tally


# --- deciders ----------------------------------------------------------------------------------


class Service:
    """One decider's real engine on a folder, its outlet only looked at, its clocks counted up."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.market_ns = 1_772_548_200 * SECOND_NS
        self.host_ns = 1_000 * SECOND_NS
        self.asked_for: set[str] = set()
        self.engine = self.started()

    def started(self) -> Engine:
        engine = Engine(
            self.name, DECIDERS[self.name], Settings(), self, lambda: self.host_ns,
            Journal(self.folder / self.name), self, "fuzz",
        )  # fmt: skip
        engine.restore()
        return engine

    def now_ns(self) -> int:
        return self.market_ns

    def say(self, frame: bytes) -> None:
        wire.decode_fact(frame)

    def ask(self, _answerer: str, frame: bytes) -> bool:
        wire.decode_command(frame)
        return True

    def answer(self, _peer: bytes, frame: bytes) -> bool:
        wire.decode_answer(frame)
        return True

    def perform(self, effect: Message) -> None:
        if isinstance(effect, tws.SendOrder) and effect.order.intent_id not in self.asked_for:
            raise Broken(f"an order left that nobody asked for: {effect}")

    def edge_says(self, message: Message) -> None:
        """A message of the service's own edge."""
        try:
            self.engine.hear_local(message, source="tws")
        except Broken:
            raise
        except Exception as error:
            raise Broken(f"{self.name} raised {error!r} on {message}") from error

    def hear(self, kind: type[Message] | None, frame: bytes) -> None:
        """A frame of the bus; None: time passes."""
        door = "fact" if kind in FACTS else "command"
        try:
            if kind is None:
                self.engine.tick()
                return
            frame = wire.topic_of(kind) + frame if kind in FACTS else frame
            self._note_order(door, frame)
            self.engine.hear(door, b"peer", frame)
        except Broken:
            raise
        except Exception as error:
            raise Broken(f"{self.name} raised {error!r} on {kind}: {shown(frame)}") from error

    def _note_order(self, door: str, frame: bytes) -> None:
        try:
            body = DECODERS[door](frame).body
        except wire.WireError:
            return
        if isinstance(body, SubmitOrder):
            self.asked_for.add(body.order.intent_id)


def deciders(rng: random.Random, messages: int, folder: Path) -> Tally:
    """Valid and mutated messages, from the speakers that may say them, into one service."""
    service = Service(rng.choice(topology.DECIDERS), folder)
    heard = [
        (speaker, fact)
        for speaker, facts in topology.heard_by(service.name).items()
        for fact in facts
    ]
    asked = [
        (row.askers[0], command)
        for command, row in topology.COMMANDS.items()
        if service.name in row.answerers
    ]
    own = [kind for kind in edge_messages(service.engine.decider) if kind in EDGE_SAYS]
    for number in range(1, messages + 1):
        service.market_ns += rng.randrange(2 * SECOND_NS)
        service.host_ns += rng.randrange(2 * SECOND_NS)
        if own and rng.random() < 0.3:
            service.edge_says(valid.drawn(rng, rng.choice(own)))
        else:
            speaker, kind = rng.choice([*heard, *asked])
            envelope = valid.example(rng, kind)
            envelope[1], envelope[3] = speaker, number
            hostile = rng.random() < 0.2
            frame = mutations.packed(rng, envelope) if hostile else msgpack.packb(envelope)
            service.hear(kind, frame)
        if rng.random() < 0.3:
            service.hear(None, b"")
    restart.check(service.engine, folder / service.name)
    dropped = service.engine.dropped
    return Tally(accepted=max(0, messages - dropped), rejected=dropped)


# --- sockets -----------------------------------------------------------------------------------


def sockets(rng: random.Random, messages: int, _folder: Path) -> Tally:
    """Real sockets: what a stranger on the ipc folder sends to a ROUTER and to a SUB."""
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="fz") as run:
        run_dir = Path(run)
        bus = Bus(topology.RISK, run_dir)
        context = zmq.Context()
        try:
            asker = context.socket(zmq.DEALER)
            asker.set(zmq.LINGER, 0)
            asker.set(zmq.IMMEDIATE, 1)
            asker.set(zmq.SNDTIMEO, 5000)
            asker.connect(topology.asks_endpoint(run_dir, topology.RISK))
            speaker = context.socket(zmq.XPUB)
            speaker.set(zmq.LINGER, 0)
            speaker.bind(topology.facts_endpoint(run_dir, topology.FEED))
            speaker.set(zmq.RCVTIMEO, 10_000)
            speaker.recv()  # the subscriptions have arrived: nothing is lost to a late joiner
            for _ in range(messages):
                _send(rng, asker, speaker, bus, tally)
            _still_hears(asker, bus, tally)
        finally:
            context.destroy(linger=0)
            bus.close()
    return tally


def _send(rng: random.Random, asker: Any, speaker: Any, bus: Bus, tally: Tally) -> None:
    kind = rng.choice(valid.SPOKEN)
    frame = mutations.packed(rng, valid.example(rng, kind))
    if kind in FACTS and rng.random() < 0.7:
        speaker.send(wire.topic_of(kind) + frame)
    else:
        parts = [frame] * rng.choice((1, 1, 1, 0, 2, 3, 40))
        try:
            asker.send_multipart(parts or [b""])
        except zmq.Again:
            raise Broken(f"the bus took no more after {tally}") from None
    _drain(bus, tally)


def _drain(bus: Bus, tally: Tally) -> None:
    for kind, peer, frame in bus.heard():
        try:
            DECODERS[kind](frame)
        except wire.WireError:
            tally.rejected += 1
        else:
            tally.accepted += 1
        if kind == "command" and not peer:
            raise Broken("a command without a peer to answer")


def _still_hears(asker: Any, bus: Bus, tally: Tally) -> None:
    """After all of it a sound command arrives, and its answer goes back."""
    halt = msgpack.packb([wire.WIRE_VERSION, "trader", 1, 0, 0, 1, ["Halt", "last", 0, "me", ""]])
    asker.send(halt)
    end_s = time.monotonic() + SOCKETS_DEADLINE_S
    while time.monotonic() < end_s:
        bus.wait(0.1)
        for kind, peer, frame in bus.heard():
            if frame == halt and kind == "command":
                if not bus.answer(peer, b"yes"):
                    raise Broken("the asker of a sound command could not be answered")
                return
            tally.rejected += 1
    raise Broken("a sound command was not heard any more")


TARGETS = (
    Target("decoders", "mutated MessagePack into the three decoders", decoders, 5000, 0.35),
    Target("deciders", "messages of every kind into each service's engine", deciders, 1000, 0.15),
    Target("sockets", "frames and parts into a real ROUTER and SUB", sockets, 2000, 0.10),
)
