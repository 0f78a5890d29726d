"""The whole send protocol against a model of TWS, with crashes, losses and roll-backs, by chance.

The model: bytes on the wire arrive late, or are lost when a connection or a process dies; TWS takes
an order id once, answers 103 to an older one, and after a restart may give ids out again. Bytes
older than the wire wait are dead: IB gives no such bound, which is why the proof asks for more.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from common.clock import SECOND_NS
from common.core import outbox
from common.core.gateway import outbound, reconcile
from common.core.gateway.state import Outbound, State
from common.messages import (
    DONE_STATUSES,
    CancelOrder,
    Fill,
    Message,
    Now,
    Order,
    Purpose,
    SubmitOrder,
)
from common.settings import Limits, Settings
from common.tws import messages as tws
from common.tws.link_messages import ClockCompared
from tests.core.outbox_play import ACCOUNT, Play, account_rows, order

WIRE_S = 30.0


class Placed:
    """An order that TWS took."""

    def __init__(self, sent: tws.SendOrder) -> None:
        self.sent = sent
        self.filled = 0
        self.live = True

    @property
    def left(self) -> int:
        return self.sent.order.shares - self.filled


class ModelTws:
    """TWS and IB behind it."""

    def __init__(self) -> None:
        self.last_id = 0
        self.orders: list[Placed] = []
        self.wire: list[tuple[int, tws.SendOrder]] = []
        self.fills: list[tuple[Placed, int]] = []
        self.takes_joins = True
        """Whether it takes a second order into a group."""

    @property
    def position(self) -> int:
        return sum(
            shares if placed.sent.order.action == "BUY" else -shares
            for placed, shares in self.fills
        )

    def worst_sells(self) -> int:
        """Shares that all live sales may take; of a group only the largest member can."""
        groups: dict[str, int] = {}
        for placed in self.orders:
            if placed.live and placed.sent.order.action == "SELL":
                name = placed.sent.oca_group or placed.sent.order_ref
                groups[name] = max(groups.get(name, 0), placed.left)
        return sum(groups.values())

    def one_cancels_all(self, filled: Placed) -> list[Placed]:
        """Ends the rest of a group of which something was filled."""
        group = filled.sent.oca_group
        others = [
            p
            for p in self.orders
            if group and p.live and p is not filled and p.sent.oca_group == group
        ]
        for other in others:
            other.live = False
        return others

    def arrive(self, sent: tws.SendOrder) -> int:
        """0 when taken (or the same order again), else the code of the refusal."""
        same = [p for p in self.orders if p.sent.order_id == sent.order_id and p.live]
        if same:
            return 0
        if sent.order_id <= self.last_id:
            return 103
        self.last_id = sent.order_id
        group = [p for p in self.orders if sent.oca_group and p.sent.oca_group == sent.oca_group]
        if any(p.filled for p in group) or (group and not any(p.live for p in group)):
            return 201  # its group is closed
        if any(p.live for p in group) and not self.takes_joins:
            return 201
        self.orders.append(Placed(sent))
        return 0


class SendProtocol:
    """Everything that may happen to the gateway and its TWS; `chance` settles the details."""

    def __init__(self, chance: random.Random, *, stops: bool = False) -> None:
        self.chance = chance
        self.stops = stops
        """Whether a stop rests at the broker in this walk; it holds exits back at times."""
        self.play = Play(Settings(limits=Limits(orders_per_day_max=20)))
        self.tws = ModelTws()
        self.attempts: dict[Purpose, int] = {"ENTRY": 0, "EXIT": 0, "STOP": 0}
        self.up = False

    def walk(self, steps: int) -> None:
        """AssertionError as soon as a promise is broken."""
        happenings = [
            (6, self.ask), (1, self.ask_too_much), (6, self.wait), (8, self.arrive),
            (5, self.rest), (2, self.cancel_the_stop),
            (5, self.fill), (2, self.kill), (2, self.disconnect), (1, self.kill_before_the_record),
            (1, self.restart_tws), (2, self.kill_between_record_and_send),
            (1, self.degrade_and_recover),
        ]  # fmt: skip
        weights = [weight for weight, _ in happenings]
        for _ in range(steps):
            self.chance.choices(happenings, weights)[0][1]()
            self.judge()

    def judge(self) -> None:
        """What must hold after every happening."""
        self.one_order_at_the_broker_per_intent()
        self.one_order_id_per_intent()
        self.never_short_and_never_two_entries_alive()
        self.every_fill_is_said_once()

    # --- the two ends of the wire --------------------------------------------------------------

    def hear(self, message: Message) -> None:
        self.perform(self.play.hear(message))

    def perform(self, outputs: list[Message]) -> None:
        for effect in outputs:
            if isinstance(effect, tws.SendOrder):
                if self.up:
                    self.tws.wire.append((self.play.host_ns, effect))
            elif isinstance(effect, tws.SendCancel) and self.up:
                self.cancelled(effect.order_id)
            elif isinstance(effect, tws.TakeSnapshot) and self.up:
                self.books(effect.number)
            elif isinstance(effect, tws.ReserveIds) and self.up:
                self.hear(tws.NextOrderId(self.tws.last_id + 1))

    def books(self, number: int) -> None:
        play = self.play
        opened = tuple(play.opened(p.sent) for p in self.tws.orders if p.live)
        executions = tuple(
            play.execution(p.sent, shares, number=i) for i, (p, shares) in enumerate(self.tws.fills)
        )
        held = self.tws.position
        rows = (tws.PositionReport(ACCOUNT, "SMH", held, 100.0),) if held else ()
        self.hear(tws.Snapshot(number, play.host_ns, opened, (), (), executions, rows))

    # --- what may happen -----------------------------------------------------------------------

    def connect(self) -> None:
        if self.up:
            return
        self.up = True
        self.perform(self.play.link_up(next_id=self.tws.last_id + 1))
        self.hear(tws.ContractKnown(1, "SMH", "NASDAQ"))
        self.hear(account_rows(shares=self.tws.position))
        self.hear(tws.OwnPrice(100.0, "live"))
        self.hear(ClockCompared(self.play.market_ns, 0.0))
        self.tick()

    def tick(self) -> None:
        for _ in range(3):
            self.perform(self.play.pass_s(0.05))

    def come_up(self) -> None:
        """Most asks find a sound link; otherwise chance would hardly ever send anything."""
        self.connect()
        self.hear(tws.OwnPrice(100.0, "live"))
        self.tick()

    def disconnect(self) -> None:
        if self.up:
            self.up = False
            if self.chance.random() < 0.5:
                self.tws.wire.clear()
            self.perform(self.play.link_down())

    def kill(self) -> None:
        """kill -9: what was written may still arrive, or not."""
        self.up = False
        if self.chance.random() < 0.3:
            self.tws.wire.clear()
        self.play.crash()

    def kill_before_the_record(self) -> None:
        self.come_up()
        wanted = self.next_order()
        self.play.judge(SubmitOrder("k", 0, wanted))
        self.kill()

    def kill_between_record_and_send(self) -> None:
        self.come_up()
        wanted = self.next_order()
        message = SubmitOrder("k", 0, wanted)
        self.play.record(message, self.play.judge(message))
        self.kill()

    def restart_tws(self) -> None:
        """Its ids roll back, though never below an order it still has."""
        self.disconnect()
        self.tws.wire.clear()
        back = self.chance.randint(0, 3)
        live = [p.sent.order_id for p in self.tws.orders if p.live]
        self.tws.last_id = max([0, self.tws.last_id - back, *live])

    def degrade_and_recover(self) -> None:
        if self.up:
            self.perform(self.play.error(1100))
            self.perform(self.play.error(1102))

    def next_order(self) -> Order:
        purpose: Purpose = "EXIT" if self.tws.position else "ENTRY"
        before = self.play.state.orders.get(f"20240604-{purpose}-{self.attempts[purpose]}")
        if before is None or before.status in DONE_STATUSES:
            self.attempts[purpose] += 1
        shares = self.tws.position if purpose == "EXIT" else 1000
        if before is not None and before.status not in DONE_STATUSES:
            return before.order
        if purpose == "EXIT":
            return order("EXIT", self.attempts[purpose], shares, deadline_s=20_000)
        return order("ENTRY", self.attempts[purpose], shares, deadline_s=20_000)

    def ask(self) -> None:
        if self.chance.random() < 0.8:
            self.come_up()
        self.hear(SubmitOrder("k", 0, self.next_order()))

    def hold(self) -> None:
        """An entry that went well."""
        self.come_up()
        self.hear(SubmitOrder("k", 0, self.next_order()))
        _, sent = self.tws.wire.pop()
        self.tws.arrive(sent)
        self.hear(self.play.opened(sent))
        self.trade(self.tws.orders[-1], sent.order.shares, tell=True)

    def ask_too_much(self) -> None:
        """A second sale of everything, beside whatever is under way."""
        self.come_up()
        self.attempts["EXIT"] += 1
        wanted = order("EXIT", self.attempts["EXIT"], max(1, self.tws.position), deadline_s=20_000)
        self.hear(SubmitOrder("greedy", 0, wanted))

    def rest(self) -> None:
        """A stop for everything held; the risk monitor asks again when one has ended."""
        if not self.tws.position or not self.stops:
            return
        self.come_up()
        before = self.play.state.orders.get(f"20240604-STOP-{self.attempts['STOP']}")
        if before is None or before.status in DONE_STATUSES:
            self.attempts["STOP"] += 1
            shares = self.tws.position
            wanted = order("STOP", self.attempts["STOP"], shares, deadline_s=20_000)
            self.hear(SubmitOrder("s", 0, wanted))

    def cancel_the_stop(self) -> None:
        intent_id = f"20240604-STOP-{self.attempts['STOP']}"
        if intent_id in self.play.state.orders:
            self.hear(CancelOrder(f"{intent_id}-CANCEL", 0, intent_id, "its level has moved"))
            self.tick()

    def cancelled(self, order_id: int) -> None:
        """TWS takes the cancel at once; whether it says so is chance, as ever."""
        for placed in self.tws.orders:
            if placed.live and placed.sent.order_id == order_id:
                placed.live = False
                self.hear(self.play.status(placed.sent, "Cancelled", placed.filled))
                return
        self.perform(self.play.error(10147, ref_id=order_id))

    def wait(self) -> None:
        seconds = self.chance.choice([0.1, 1.0, 6.0, 12.0, 31.0])
        self.play.market_ns += int(seconds * SECOND_NS)
        self.play.host_ns += int(seconds * SECOND_NS)
        dead = self.play.host_ns - int(WIRE_S * SECOND_NS)
        self.tws.wire = [(at, sent) for at, sent in self.tws.wire if at > dead]
        self.hear(tws.OwnPrice(100.0, "live"))
        self.tick()

    def arrive(self) -> None:
        tell = self.chance.random() < 0.7
        if self.tws.wire:
            _, sent = self.tws.wire.pop(0)
            code = self.tws.arrive(sent)
            if tell and self.up:
                if code:
                    self.perform(self.play.error(code, ref_id=sent.order_id))
                else:
                    self.hear(self.play.opened(sent))

    def fill(self) -> None:
        live = [p for p in self.tws.orders if p.live]
        if not live:
            return
        whole, tell = self.chance.random() < 0.5, self.chance.random() < 0.7
        placed = self.chance.choice(live)
        self.trade(placed, placed.left if whole else max(1, placed.left // 2), tell=tell)

    def trade(self, placed: Placed, shares: int, *, tell: bool) -> None:
        placed.filled += shares
        placed.live = placed.left > 0
        self.tws.fills.append((placed, shares))
        ended = self.tws.one_cancels_all(placed)
        if tell and self.up:
            number = len(self.tws.fills) - 1
            self.hear(self.play.execution(placed.sent, shares, number=number))
            self.hear(tws.PositionReport(ACCOUNT, "SMH", self.tws.position, 100.0))
            for other in ended:
                self.hear(self.play.status(other.sent, "Cancelled", other.filled))

    # --- what must always hold -----------------------------------------------------------------

    def one_order_at_the_broker_per_intent(self) -> None:
        intents = [placed.sent.order.intent_id for placed in self.tws.orders]
        assert len(intents) == len(set(intents)), "an intent became two orders"

    def one_order_id_per_intent(self) -> None:
        ids: dict[int, str] = {}
        for sent in self.play.sent:
            assert ids.setdefault(sent.order_id, sent.order.intent_id) == sent.order.intent_id
        assert len(set(ids.values())) == len(ids), "an intent got two order ids"

    def never_short_and_never_two_entries_alive(self) -> None:
        assert self.tws.position >= 0
        assert self.tws.worst_sells() <= self.tws.position, "more is being sold than is held"
        entries = [p for p in self.tws.orders if p.live and p.sent.order.action == "BUY"]
        assert len(entries) <= 1

    def every_fill_is_said_once(self) -> None:
        said = [fill.exec_id for fill in self.play.all(Fill)]
        assert len(said) == len(set(said))


WALKS, STEPS = 64, 90


def walks(count: int = WALKS) -> Iterator[SendProtocol]:
    for seed in range(count):
        protocol = SendProtocol(random.Random(seed), stops=seed % 2 == 1)
        protocol.tws.takes_joins = seed % 4 != 3
        try:
            protocol.walk(STEPS)
        except AssertionError as broken:
            raise AssertionError(f"seed {seed}: {broken}") from broken
        yield protocol


def test_whatever_breaks_one_intent_is_one_order_and_nothing_is_sold_short() -> None:
    told = list(walks())
    placed = [order for walk in told for order in walk.tws.orders]
    resent = sum(
        len(walk.play.sent) - len({sent.order_id for sent in walk.play.sent}) for walk in told
    )
    fills = sum(len(walk.tws.fills) for walk in told)
    assert (len(placed) > WALKS / 2, fills > WALKS / 2, resent > 0) == (True, True, True), "dull"


def prepared_again(state: State) -> None:
    """Forgets that a send may have left."""
    for out in state.open_orders():
        if out.stage == "SENDING":
            out.stage = "PREPARED"


def fresh_id(state: State, now: Now, out: Outbound) -> tws.SendOrder:
    """Sends again under a new order id."""
    return msgspec.structs.replace(SEND(state, now, out), order_id=state.next_order_id())


def at_once(state: State, now: Now, out: Outbound, _begun_ns: int, _reported: int) -> None:
    """Takes one early snapshot for proof."""
    reconcile._resolve(state, now, out, out.position_before)


SEND = outbox._send


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (outbound, "doubt", prepared_again),
        (outbox, "_send", fresh_id),
        (reconcile, "_take_absence", at_once),
        (State, "working_sells", lambda *_given: 0),
    ],
    ids=["no doubt", "new id", "no proof", "no limit on sales"],
)
def test_the_walk_finds_a_protocol_that_is_broken(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, broken: Any
) -> None:
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(AssertionError):
        list(walks())
