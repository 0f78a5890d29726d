"""One engine on a folder of its own: a decider that does as the test says, an outlet that keeps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from common import topology, wire
from common.clock import SECOND_NS
from common.engine import Engine
from common.fold import Decider, Fold
from common.journal import Journal, read
from common.messages import (
    CancelOrder,
    Commission,
    DaySummary,
    Heartbeat,
    Message,
    Now,
    Quote,
    Recap,
    RiskState,
    Tick,
)
from common.settings import Settings

MARKET_NS = 1_772_548_200 * SECOND_NS
Outputs = dict[str, list[Message]]


class Rung(Message, frozen=True):
    """An effect for the test's edge, and what the edge answers."""

    times: int


class Memory(Struct):
    settings: Settings
    seen: list[str] = field(default_factory=list)
    """Name of everything heard and said, in order."""


class Scripted:
    """Says the outputs of `script` whenever a message of that name is heard."""

    State = Memory
    EDGE_MESSAGES = (Rung,)
    DURABLE = frozenset({Rung})
    MAY_FORGET = False

    def __init__(self, script: Outputs | None = None) -> None:
        self.script = script or {}

    def start(self, settings: Settings) -> Memory:
        return Memory(settings)

    def evolve(self, state: Memory, now: Now, message: Message) -> None:  # noqa: ARG002  (the protocol's)
        if not isinstance(message, (Tick, Heartbeat)):
            state.seen.append(_name(message))

    def decide(self, state: Memory, now: Now, message: Message) -> list[Message]:  # noqa: ARG002  (the same)
        return list(self.script.get(_name(message), []))

    def ready(self, state: Memory) -> str:  # noqa: ARG002  (the same)
        return ""

    def busy(self, state: Memory) -> bool:  # noqa: ARG002  (the same)
        return False


def _name(message: Message) -> str:
    key = getattr(message, "exec_id", getattr(message, "times", getattr(message, "key", "")))
    return f"{type(message).__name__}{key}"


class World:
    """Outlet, clocks and disk of one engine."""

    def __init__(self) -> None:
        self.market_ns, self.host_ns = MARKET_NS, 1_000 * SECOND_NS
        self.said: list[wire.Envelope[Any]] = []
        self.asked: list[tuple[str, Any]] = []
        self.answered: list[Any] = []
        self.performed: list[Message] = []
        self.order: list[str] = []
        self.on_perform: Callable[[Message], None] = lambda _: None
        self.before_leaving: Callable[[], None] = lambda: None

    def now_ns(self) -> int:
        return self.market_ns

    def say(self, frame: bytes) -> None:
        self.before_leaving()
        self.said.append(wire.decode_fact(frame))
        self.order.append("say")

    def ask(self, answerer: str, frame: bytes) -> bool:
        self.before_leaving()
        self.asked.append((answerer, wire.decode_command(frame).body))
        return True

    def answer(self, peer: bytes, frame: bytes) -> bool:
        assert peer
        self.before_leaving()
        self.answered.append(wire.decode_answer(frame).body)
        return True

    def perform(self, effect: Message) -> None:
        self.performed.append(effect)
        self.order.append("perform")
        self.on_perform(effect)

    def wait(self, host_s: float) -> None:
        self.host_ns += round(host_s * SECOND_NS)
        self.market_ns += round(host_s * SECOND_NS)

    def commands(self) -> list[Any]:
        """What was asked but recaps."""
        return [command for _, command in self.asked if not isinstance(command, Recap)]

    def recaps(self) -> list[str]:
        return [answerer for answerer, command in self.asked if isinstance(command, Recap)]

    def facts(self, kind: type[Message]) -> list[wire.Envelope[Any]]:
        return [envelope for envelope in self.said if isinstance(envelope.body, kind)]


class WatchedJournal(Journal):
    """Tells the world when it made something survive a power cut."""

    order: list[str]

    def sync(self) -> None:
        super().sync()
        self.order.append("sync")


class Loop:
    """risk_monitor's engine on a folder of its own; `restart` is a kill -9 and a new process."""

    def __init__(
        self, folder: Path, decider: Decider, name: str = topology.RISK, restore: bool = True
    ) -> None:
        self.folder, self.decider, self.name = folder, decider, name
        self.build, self.boot = "b1", "boot-1"
        self.world = World()
        self.engine = self._new()
        if restore:
            self.engine.restore()

    def _new(self) -> Engine:
        journal = self.journal = WatchedJournal(self.folder)
        journal.order = self.world.order
        world = self.world
        return Engine(
            self.name,
            self.decider,
            Settings(),
            world,
            lambda: world.host_ns,
            journal,
            world,
            self.build,
            self.boot,
        )

    def restart(self, fold: Fold | None = None) -> int:
        """Another process on the same journal; returns how many records it folded.

        `fold`: what it has folded already, as a standby that takes over."""
        self.close()
        old, self.world = self.world, World()
        self.world.market_ns, self.world.host_ns = old.market_ns, old.host_ns
        self.engine = self._new()
        return self.engine.restore(fold)

    def close(self) -> None:
        """Gives back what the process had open; one that is killed has it taken."""
        self.journal.close()

    def fact(
        self, body: Message, seq: int, speaker: str = "", epoch: int = 7, floor: int = 1
    ) -> None:
        speaker = speaker or topology.FACTS[type(body)].speaker
        envelope: wire.Envelope[Any] = wire.Envelope(1, speaker, epoch, seq, floor, 1, body)
        self.engine.hear("fact", b"", wire.encode_fact(envelope))

    def command(self, body: Message, speaker: str = topology.TRADER) -> None:
        envelope: wire.Envelope[Any] = wire.Envelope(1, speaker, 7, 0, 0, 1, body)
        self.engine.hear("command", b"peer", wire.encode(envelope))

    def answer(self, body: Message, speaker: str) -> None:
        envelope: wire.Envelope[Any] = wire.Envelope(1, speaker, 7, 0, 0, 1, body)
        self.engine.hear("answer", b"", wire.encode(envelope))

    def ticks(self, host_s: float, every_s: float = 0.2) -> None:
        for _ in range(round(host_s / every_s)):
            self.world.wait(every_s)
            self.engine.tick()

    @property
    def seen(self) -> list[str]:
        return list(self.engine.state.seen)

    def records(self) -> list[wire.Record[Any]]:
        """Everything in the newest file but its header."""
        payloads = [payload for _, payload in read(Journal(self.folder).files()[-1])]
        decoder = wire.record_decoder((Rung,))
        return [decoder.decode(payload) for payload in payloads[1:]]


def commission(number: int) -> Commission:
    return Commission(exec_id=str(number), commission_usd=1.0)


def quote(mark_usd: float) -> Quote:
    return Quote(
        tick_ns=1, bid_usd=None, ask_usd=None, last_usd=None, mark_usd=mark_usd, agree=True,
        kind="live",
    )  # fmt: skip


def summary(day: int) -> DaySummary:
    return DaySummary(
        day=date(2026, 3, day), entries=0, stops=0, exits=0, shares=0, start_equity_usd=1.0,
        equity_usd=1.0, return_fraction=0.0,
    )  # fmt: skip


def beat(*said: tuple[str, int]) -> Heartbeat:
    return Heartbeat(
        pid=1, ready=True, busy=False, caught_up_ns=1, build="b", settings_hash="h", verdict="",
        said=said,
    )  # fmt: skip


STATE = RiskState(
    mode="ACTIVE", breached="", reasons=(), pending="", shares=0, entry_done=False,
    stop_fired=False, uninvested_usd=0.0, liquidation_price_usd=None, protected_by="",
)  # fmt: skip
ASK = CancelOrder(key="c1", deadline_ns=0, intent_id="20260303-ENTRY-1", why="")


def loop(folder: Path, script: Outputs | None = None, name: str = topology.RISK) -> Loop:
    return Loop(folder, Scripted(script), name)
