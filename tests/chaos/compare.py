"""When all is over: the journals, the broker's books and the wire, held against each other."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common import messages as m
from common import topology
from common.tws.messages import SendOrder
from tests.chaos import books, logs, promises
from tests.chaos.report import Result
from tests.chaos.schedule import Round
from tests.chaos.world import World
from tests.oracle import facts as f
from tests.oracle.frames import read
from tests.oracle.judge import judge
from tests.whole.system import System


@dataclass(slots=True)
class Fought:
    """What was struck. `skipped`: kinds that could not be, and why; `ready_s`: host time to READY
    or HALTED after each stretch of faults."""

    seed: int
    skipped: Mapping[str, str]
    struck: Counter[str] = field(default_factory=Counter)
    two_at_once: int = 0
    ready_s: list[float] = field(default_factory=list)

    def count(self, round_: Round) -> None:
        self.struck.update(blow.kind for blow in round_.blows)
        self.two_at_once += len(round_.blows) > 1


def compared(world: World, fought: Fought, broker_state: Path) -> Result:
    system = world.run
    placed = [fact for frame in read(system.wire) if isinstance(fact := f.decode(frame), f.Placed)]
    verdict = judge(system.wire, gateway_starts=sys.maxsize)
    said = system.said(topology.GATEWAY, m.Message)
    broker = books.theirs(broker_state, placed, verdict.executions)
    risk_states = [
        (now.market_ns, state) for now, state in system.said_when(topology.RISK, m.RiskState)
    ]
    latches = [
        (now.host_ns, latch) for now, latch in system.said_when(topology.GATEWAY, m.HaltLatch)
    ]
    inputs, wrong = judged_again(system)
    return Result(
        seed=fought.seed,
        struck=fought.struck,
        two_at_once=fought.two_at_once,
        skipped=fought.skipped,
        days=verdict.figures.days,
        days_traded=len({sent.order.day for sent in said if isinstance(sent, SendOrder)}),
        orders=len(broker.orders),
        fills=len(broker.executions),
        inputs_judged=inputs,
        halts=world.halts,
        ready_s=fought.ready_s,
        differences=books.differences(books.ours(said), broker),
        broken=[
            *promises.broken(verdict.violations, risk_states),
            *promises.entries_while_halted(placed, latches),
        ],
        wrong=[*world.complaints, *logs.failures(system.var_dir / "log"), *wrong],
    )


def judged_again(system: System) -> tuple[int, list[str]]:
    """How many recorded inputs were decided on again, and what came out differently."""
    inputs, wrong = 0, []
    for service, path in system.journals():
        judged = system.judged_again(service, path)
        inputs += judged.inputs
        if judged.difference is not None:
            wrong.append(f"{service} {path.name} judged again: {judged.difference}")
    return inputs, wrong
