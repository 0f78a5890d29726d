"""What must hold at the end of a run, and what it means that all is settled.

The wire's promises are the oracle's (tests/oracle). Here are those that the wire does not show:
what is on disk, what a fold of it gives, what the broker's own books say.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from common import topology, wire
from common.core import outbox
from common.fold import Fold
from common.journal import read_bytes
from common.messages import DONE_STATUSES, Fill
from common.tws.orders import held as whole_shares
from tests.oracle.day import LAST_MOMENTS_NS, BearClose, Breach
from tests.oracle.judge import UNANSWERED, judge_facts
from tests.oracle.sessions import Session, new_york_text
from tests.simulation.drawn import rules
from tests.simulation.market import calendar
from tests.simulation.others_faults import FORGOTTEN_S, OTHERS
from tests.simulation.question_faults import QUESTIONS
from tests.simulation.timeline import seconds

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

IN_DOUBT = ("SENDING", "UNKNOWN")
CLOCK_FAULTS = re.compile(
    r"outside the entry window|^(resting stop|exit) \d+ outside the session"
    r"|^exit \d+ without a breach"
)
"""What a clock that is set wrong may lead to before it is found out, a baseline from before the
open among it."""
HEALTHY_NS = seconds(2)
RECOVERY_NS = seconds(10)
SAMPLES_NS = seconds(1)


def unsettled(world: World) -> str:
    """Why the system is not at rest and in order yet, or "" (I21)."""
    for process in world.processes.values():
        if not process.up or process.paused:
            return f"{process.name} is not running"
    if world.standby is not None and not world.standby.up:
        return "nobody stands by"
    gateway: Any = world.processes[topology.GATEWAY].engine.state
    risk: Any = world.processes[topology.RISK].engine.state
    if gateway.mode == "LOCKED":
        return f"locked: {gateway.mode_reason}"
    for process in world.processes.values():
        if verdict := process.engine.unready():
            return f"{process.name}: {verdict}"
    if not gateway.link.reconciled or gateway.snapshots.pending or gateway.snapshots.wanted:
        return "the gateway is comparing"
    for order in gateway.open_orders():
        if order.stage in IN_DOUBT and not _rightly_in_doubt(gateway, order):
            return f"in doubt: {order.order.intent_id}"
    truth = whole_shares(world.account.smh.shares)
    told = (gateway.position_reported, gateway.position_by_fills, risk.shares)
    if told != (truth, truth, truth):
        return f"{truth} shares are held; reported, by fills and at the stop monitor: {told}"
    alive = {o.ticket.order_ref for o in world.tws.broker.books.live() if o.client_id == 1}
    working = {o.order.intent_id for o in gateway.open_orders() if o.stage == "WORKING"}
    if {ref.rpartition(".")[0] for ref in alive} != working:
        return f"orders at the broker {sorted(alive)}, at the gateway {sorted(working)}"
    return _disagreement(world)


def _disagreement(world: World) -> str:
    """What the gateway has said last and another process believes otherwise, or ""."""
    gateway: Any = world.processes[topology.GATEWAY].engine.state
    risk: Any = world.processes[topology.RISK].engine.state
    executor: Any = world.processes[topology.EXECUTOR].engine.state
    for name in ("link", "book", "latch"):
        said, believed = getattr(gateway.said, name), getattr(risk, name)
        if said != believed:
            return f"the gateway says {said}, the stop monitor believes {believed}"
    for intent, life in executor.lives.items():
        out = gateway.orders.get(intent)
        if out is not None and out.done and life.status not in DONE_STATUSES:
            return f"{intent} is {out.status}, the executor believes {life.status}"
    return ""


def _rightly_in_doubt(gateway: Any, order: Any) -> bool:
    """TWS has seen an entry's id and has no trace of it: only the session's end proves it dead."""
    seen: bool = gateway.link.next_order_id > order.order_id
    return order.order.purpose == "ENTRY" and seen


def check_end(world: World) -> None:
    """Everything that can be judged once a run is over."""
    _executions_are_on_disk_once(world)
    _fold_is_live_state(world)
    _wire(world)


def journal_records(process: Process) -> list[wire.Record[Any]]:
    """Every record of all of a process's journal files, oldest first."""
    decode = wire.record_decoder(outbox.EDGE_MESSAGES).decode
    found = []
    for path in sorted(process.disk.files):
        if path.suffix == ".journal":
            payloads = [p for _, p in read_bytes(bytes(process.disk.files[path].data), path)]
            found += [decode(payload) for payload in payloads[1:]]
    return found


def _executions_are_on_disk_once(world: World) -> None:
    """I6: every execution of the broker stands in the gateway's journal exactly once."""
    told: dict[tuple[str, int], int] = {}
    for record in journal_records(world.processes[topology.GATEWAY]):
        for _, output in record.outputs:
            if isinstance(output, Fill):
                key = (output.exec_id, output.revision)
                told[key] = told.get(key, 0) + 1
    for key, times in told.items():
        if times > 1:
            world.fail(f"execution {key} is {times} times in the gateway's journal")
    roots = {exec_id for exec_id, _ in told}
    missing = {fill.rpartition(".")[0] for fill in world.tws.truth.exec_ids} - roots
    gateway: Any = world.processes[topology.GATEWAY].engine.state
    if missing and gateway.mode == "ACTIVE":
        world.fail(f"executions {sorted(missing)} are not in the gateway's journal")


def _fold_is_live_state(world: World) -> None:
    """I16: what the journal gives is what the process knows: read at once of one process a run, in
    turn, and read on all the time by whoever stands by."""
    names = list(world.processes)
    process = world.processes[names[world.seed % len(names)]]
    fold = Fold(process.name, process.decider, world.settings, process.disk)
    fold.read_on(process.folder)
    _same(world, process, fold.state, "its journal does not fold to its state")
    if world.standby is not None:
        followed = world.standby.read_on()
        _same(world, world.standby.active, followed, "its standby does not know its state")


def _same(world: World, process: Process, folded: Any, else_: str) -> None:
    live = process.engine.state
    # For bytes a NaN is itself; for equality a set has no order of its own.
    same = msgspec.msgpack.encode(live) == msgspec.msgpack.encode(folded)
    if not same and live != folded:
        differing = [
            name for name in live.__struct_fields__ if getattr(live, name) != getattr(folded, name)
        ]
        world.fail(f"{process.name}: {else_}: {differing}")


def _wire(world: World) -> None:
    """The oracle's judgement of what passed between the system and TWS."""
    facts = world.witness.facts
    if not facts:
        world.fail("nothing passed on the wire")
        return
    days = [times.date for times in world.market.sessions]
    flattened = days if world.nemesis.flattened else ()
    verdict = judge_facts(
        facts, sessions(days[0], days[-1]), gateway_starts=1 << 30, flattened_on=flattened,
        rules=rules(world.settings, world.account),
    )  # fmt: skip
    for violation in verdict.violations:
        # A clock that is set wrong is found out by five comparisons, some seconds later.
        wrong_clock = "clock_step" in world.injected and CLOCK_FAULTS.search(violation.sentence)
        unseen = violation.sentence == UNANSWERED and any(
            breach.ns == violation.ns and _unseen(world, breach) for breach in verdict.breaches
        )
        if not (world.meddled or wrong_clock or unseen):
            world.fail(f"at {violation}")
    for breach in () if world.meddled else verdict.breaches:
        if not _unseen(world, breach):
            _answered_in_time(world, breach)
    for close in () if world.meddled else verdict.bear_closes:
        _sold_in_the_evening(world, close)


def _sold_in_the_evening(world: World, close: BearClose) -> None:
    """A BEAR close sells at once where the settings say so, as far as nothing else is wrong."""
    sold_ns = world.timeline.host_ns if close.sold_host_ns is None else close.sold_host_ns
    allowed_ns = close.host_ns + HEALTHY_NS
    for _, from_ns, to_ns in world.nemesis.trouble:
        if from_ns < allowed_ns and to_ns > close.host_ns - RECOVERY_NS:
            allowed_ns = max(allowed_ns, to_ns + RECOVERY_NS)
    for gone_ns in world.nemesis.rested_ns:  # what others may sell is not sold until it is missed
        if gone_ns <= allowed_ns:
            allowed_ns = max(allowed_ns, gone_ns + seconds(FORGOTTEN_S))
    if sold_ns > allowed_ns:
        late_s = (sold_ns - close.host_ns) / 1e9
        world.fail(
            f"a BEAR close, final at {new_york_text(close.ns)}, was sold after {late_s:.1f} s"
        )


def _unseen(world: World, breach: Breach) -> bool:
    """It came and went while the stop monitor was dead or stopped and nobody stood by, but for its
    first sample."""
    out = {f"restart of {topology.RISK}", f"pause of {topology.RISK}"}
    seen_ns = breach.host_ns + SAMPLES_NS
    until_ns = 0
    for name, from_ns, to_ns in sorted(world.nemesis.trouble, key=itemgetter(1)):
        if name in out and from_ns <= max(seen_ns, until_ns):
            until_ns = max(until_ns, to_ns)
    return not breach.answered and breach.last_host_ns <= until_ns


def _answered_in_time(world: World, breach: Breach) -> None:
    """Promise 2: an order within 2 s while all is well, within 10 s of the last fault otherwise; or
    an alarm that says why not."""
    began_ns = breach.host_ns
    ended_ns = breach.answered_host_ns or world.timeline.host_ns
    allowed_ns = began_ns + HEALTHY_NS
    for from_ns, to_ns in _excuses(world):
        if from_ns < allowed_ns and to_ns > began_ns - RECOVERY_NS:
            allowed_ns = max(allowed_ns, to_ns + RECOVERY_NS)
    told_ns = allowed_ns
    if allowed_ns > began_ns + HEALTHY_NS:  # BREACHED is said after ten seconds
        told_ns = max(allowed_ns, began_ns + RECOVERY_NS + HEALTHY_NS)
    # The system may act, and be refused, on the first of the two samples that make a breach here.
    alarmed = any(began_ns - SAMPLES_NS <= ns <= told_ns for ns in world.alarms_ns)
    closes_ns = next(t.close_ns for t in world.market.sessions if breach.ns < t.close_ns)
    world.stop_host_ns.append(ended_ns - began_ns)
    shut = closes_ns - breach.ns < LAST_MOMENTS_NS
    if ended_ns > allowed_ns and not alarmed and not shut:
        late_s = (ended_ns - began_ns) / 1e9
        world.fail(f"a breach at {new_york_text(breach.ns)} was answered after {late_s:.1f} s, "
                   "and no alarm said why")  # fmt: skip


def _excuses(world: World) -> list[tuple[int, int]]:
    """Host instants of what may delay an exit. An order of others that rests is none; a question
    without an answer is one where what was known had to be asked anew."""
    trouble = [fault for fault in world.nemesis.trouble if fault[0] not in OTHERS]
    unanswered = [fault for fault in trouble if fault[0] in QUESTIONS]
    faults = [(from_ns, to_ns) for name, from_ns, to_ns in trouble if name not in QUESTIONS]
    return faults + [
        (from_ns, to_ns)
        for _, from_ns, to_ns in unanswered
        if any(a < to_ns and b > from_ns - RECOVERY_NS for a, b in faults)
    ]


def sessions(first: date, last: date) -> dict[date, Session]:
    return {
        s.date: Session(s.date, s.open_ns, s.close_ns)
        for s in calendar().all
        if first - timedelta(days=10) <= s.date <= last
    }
