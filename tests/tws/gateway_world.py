"""The gateway's real engine, journal and edge in the test's event loop, on a simulated TWS in its
own process and a market clock that the test starts. A crash is a new Gateway on the same folder."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from common import wire
from common.clock import SECOND_NS, Clock, host_ns
from common.core import outbox
from common.engine import Engine
from common.journal import Journal
from common.messages import (
    Accepted,
    Action,
    BrokerLink,
    Fill,
    Halt,
    Message,
    Order,
    OrderType,
    OrderUpdate,
    PreviewMargin,
    Purpose,
    Reason,
    Refused,
    Session,
    SubmitOrder,
)
from common.settings import Settings
from common.tws.gateway_edge import GatewayEdge

DEADLINE_S = 20.0
MINUTE_NS = 60 * SECOND_NS
_keys = itertools.count(1)


def session_around(now_ns: int) -> Session:
    """A session that is open now, whatever the hour."""
    return Session(
        day=date(2024, 6, 4),
        open_ns=now_ns - 60 * MINUTE_NS,
        close_ns=now_ns + 240 * MINUTE_NS,
        early=False,
        previous_day=date(2024, 6, 3),
        next_day=date(2024, 6, 5),
        next_open_ns=now_ns + 1440 * MINUTE_NS,
        next_close_ns=now_ns + 1830 * MINUTE_NS,
        broker_agrees=True,
    )


class Gateway:
    """broker_gateway without its bus: facts and answers are collected as they would be sent."""

    def __init__(self, settings: Settings, clock: Clock, folder: Path) -> None:
        self.settings, self.clock = settings, clock
        self.said: list[Message] = []
        self.answers: list[Any] = []
        self.effects: list[Message] = []
        self.mute = False
        """A crash: nothing is performed or heard any more."""
        self.edge = GatewayEdge(settings, clock, self._hear)
        journal = Journal(folder / "journal", 0)
        self.engine = Engine("broker_gateway", outbox, settings, clock, host_ns, journal, self, "t")

    async def start(self) -> None:
        self.engine.restore()
        await self.edge.start()
        self.engine.hear_local(session_around(self.clock.now_ns()), source="market_feed")

    async def stop(self) -> None:
        self.mute = True
        await self.edge.stop()

    def _hear(self, message: Message) -> None:
        if not self.mute:
            self.engine.hear_local(message, source="tws")

    def say(self, frame: bytes) -> None:
        self.said.append(wire.decode_fact(frame).body)

    def ask(self, _answerer: str, _frame: bytes) -> bool:
        return False

    def answer(self, _peer: bytes, frame: bytes) -> bool:
        self.answers.append(wire.decode_answer(frame).body)
        return True

    def perform(self, effect: Message) -> None:
        self.effects.append(effect)
        if not self.mute:
            self.edge.perform(effect)

    # --- what a test does ----------------------------------------------------------------------

    @property
    def state(self) -> outbox.State:
        state: outbox.State = self.engine.state
        return state

    def newest(self, kind: type[Any]) -> Any:
        return next((fact for fact in reversed(self.said) if isinstance(fact, kind)), None)

    def all(self, kind: type[Any]) -> list[Any]:
        """Every fact of that kind, once, repeats left out."""
        found: list[Any] = []
        for fact in self.said:
            if isinstance(fact, kind) and fact not in found:
                found.append(fact)
        return found

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Lets time pass until the condition holds; fails after a while of host time."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}; {self.said[-5:]}"
            await asyncio.sleep(0.02)
            self.engine.tick()

    async def until_link(self, state: str) -> None:
        await self.until(
            lambda: (link := self.newest(BrokerLink)) is not None and link.state == state,
            f"link {state}",
        )

    def ask_for(self, command: Any, asker: str = "risk_monitor") -> Accepted | Refused:
        """One command through the real door; returns its answer."""
        envelope = wire.Envelope(wire.WIRE_VERSION, asker, 1, 0, 0, 0, command)
        self.engine.hear("command", b"peer", wire.encode(envelope))
        answer: Accepted | Refused = self.answers[-1]
        assert answer.key == command.key
        return answer

    def submit(self, order: Order, key: str = "") -> Accepted | Refused:
        key = key or f"submit-{next(_keys)}"
        return self.ask_for(SubmitOrder(key=key, deadline_ns=0, order=order))

    def preview(self, shares: int) -> Accepted | Refused:
        key = f"preview-{next(_keys)}"
        return self.ask_for(PreviewMargin(key=key, deadline_ns=0, shares=shares))

    def halt(self) -> Accepted | Refused:
        key = f"halt-{next(_keys)}"
        return self.ask_for(Halt(key=key, deadline_ns=0, by="test", reason="a test"), "trader")

    def order(
        self,
        purpose: Purpose,
        shares: int,
        attempt: int = 1,
        order_type: OrderType = "MKT",
        limit_usd: float | None = None,
        stop_usd: float | None = None,
    ) -> Order:
        action: Action = "BUY" if purpose == "ENTRY" else "SELL"
        reasons: dict[Purpose, Reason] = {"ENTRY": "signal", "EXIT": "stop", "STOP": "resting_stop"}
        return Order(
            intent_id=f"20240604-{purpose}-{attempt}",
            day=date(2024, 6, 4),
            purpose=purpose,
            reason=reasons[purpose],
            action=action,
            shares=shares,
            order_type="STP" if purpose == "STOP" else order_type,
            limit_usd=limit_usd,
            stop_usd=stop_usd,
            outside_rth=False,
            price_usd=self.state.price_usd or limit_usd or 200.0,
            deadline_ns=self.clock.now_ns() + 60 * MINUTE_NS,
        )

    def updates(self, order: Order) -> list[OrderUpdate]:
        return [u for u in self.all(OrderUpdate) if u.intent_id == order.intent_id]

    def status(self, order: Order) -> str:
        found = self.updates(order)
        return found[-1].status if found else ""

    def filled(self, order: Order) -> int:
        return sum(f.shares for f in self.all(Fill) if f.intent_id == order.intent_id)


def copy_of(state: outbox.State) -> outbox.State:
    """The state as a journal's header would hold it."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=outbox.State)
