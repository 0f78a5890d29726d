"""One run: five processes, a bus, a TWS, a market, a nemesis, all on one timeline from one seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

import msgspec
from msgspec.structs import replace

from common import topology, wire
from common.clock import MINUTE_NS, NEW_YORK, SECOND_NS
from common.core import orders, outbox, quotes, risk, strategy
from common.fold import Decider
from common.journal import newest_file
from common.messages import Accepted, Alert, EntryClamped, Message, RiskState
from common.tws import messages as tws
from services.sim_tws.account import PORTFOLIO, REG_T, Account
from services.sim_tws.market_time import instant_ns
from services.sim_tws.tape import Phase
from tests.oracle import facts as f
from tests.simulation import nemesis, person, promises
from tests.simulation.bus import Bus
from tests.simulation.drawn import CHOICES, drawn
from tests.simulation.feed_hands import FeedHands
from tests.simulation.gateway_hands import GatewayHands
from tests.simulation.hands import Hands
from tests.simulation.market import SimMarket
from tests.simulation.permission_faults import Sight
from tests.simulation.process import Killed, Process
from tests.simulation.standby import Standby
from tests.simulation.timeline import Timeline, seconds
from tests.simulation.tws import ACCOUNT, SimTws
from tests.simulation.witness import Witness

BEAT_S = 0.25
SETTLE_S_MAX = 120.0
QUIET, NIGHT, LATE, WALK = 20_000, 400_000, 200, 8
NEVER_NS = 1 << 62
STEPS_MAX = 200_000
PATIENT = 40
PATIENCE_NS = {
    topology.RISK: seconds(5),
    topology.EXECUTOR: seconds(60),
    topology.GATEWAY: seconds(60),
}
"""How long each may hold market time: an entry may wait for a margin for minutes, or be in doubt
until the session is over."""
EVENING, EVENING_PATIENCE_NS = 2_000, seconds(2)
"""A sale outside regular hours may wait for its price until they are over."""
DECIDERS: dict[str, Decider] = {
    topology.FEED: quotes,
    topology.SIGNAL: strategy,
    topology.RISK: risk,
    topology.EXECUTOR: orders,
    topology.GATEWAY: outbox,
}
MORNINGS_AFTER = 0.6
"""Share of the runs with evenings that have a second session for certain."""
STOP_ALONE_BLIND = 0.5
"""Share of those without live data in which no stop rests at the broker: the stop monitor goes by
PnL there, a sample a second."""
REAL_MONEY = 0.15
"""Share of runs without live data in which the account is live: no entry may leave in them then."""
LIVE_TOLD_NS = seconds(10)
SLOW_DISKS = 0.25
"""Share of runs in which others hear a fact long before it is on its speaker's platter."""
STANDING_BY = 0.5
"""Share of runs in which a second stop monitor stands by; in the others it restarts from disk."""
RISK_STATE, ALERT = wire.topic_of(RiskState), wire.topic_of(Alert)
CLAMPED = wire.topic_of(EntryClamped)
ALARMS = frozenset({"blind", "breached", "exit-rejected", "unarmed", "no-session"})


@dataclass(frozen=True, slots=True)
class Script:
    """What a run is to be, apart from its seed: everything by chance, or nothing but one kill."""

    faults: bool = True
    sessions: int = 0
    """0: by chance."""
    standby: bool | None = None
    """Whether a second stop monitor stands by; None: by chance."""
    choices: frozenset[str] = frozenset(CHOICES)
    """Of the settings that a run with faults may draw."""


@dataclass(slots=True)
class Window:
    """Market time up to `end_ns` runs at `speed`."""

    end_ns: int
    speed: int


class World:
    """`run` plays it to the end; `failures` then holds every broken promise, in plain words."""

    def __init__(self, seed: int, script: Script | None = None, *, trace: bool = False) -> None:
        script = script or Script()
        self.seed, self.script = seed, script
        self.drawn = drawn(seed, script.choices if script.faults else frozenset())
        self.settings = self.drawn.settings
        draw = Random(f"{seed} market")
        sessions = script.sessions or draw.choices((1, 2, 3), (55, 38, 7))[0]
        evenings = Random(f"{seed} evenings") if "after hours" in self.drawn.names else None
        if evenings is not None and evenings.random() < MORNINGS_AFTER:
            sessions = max(2, sessions)
        entry_ns = int(self.settings.entry.minutes_before_close * MINUTE_NS)
        self.market = SimMarket(draw, sessions, entry_ns=entry_ns, evenings=evenings)
        self.start_ns = self._start_ns(draw)
        self.timeline = Timeline(self.start_ns)
        no_live_data = script.faults and nemesis.meets(seed, "delayed")
        if no_live_data and Random(f"{seed} alone").random() < STOP_ALONE_BLIND:
            self.settings = replace(self.settings, stop=replace(self.settings.stop, resting=False))
        trying = self.settings.entry.test_entry  # which real money refuses
        real_money = no_live_data and Random(f"{seed} mode").random() < REAL_MONEY
        self.real_money = real_money and not trying
        if self.real_money:
            account = replace(self.settings.account, mode="live", id=ACCOUNT)
            self.settings = replace(self.settings, account=account)
        margin = REG_T if draw.random() < 0.1 or self.drawn.reg_t else PORTFOLIO
        self.account = Account(ACCOUNT, 1_000_000.0, margin, draw.choice((0.15, 0.15, 0.3)))
        self.tws = SimTws(self.timeline, self.market, Random(f"{seed} tws"), self.account)
        self.bus = Bus(self.timeline, Random(f"{seed} bus"))
        self.witness = Witness(self.timeline)
        self.processes = {name: Process(self, name, DECIDERS[name]) for name in DECIDERS}
        follows = Random(f"{seed} standby").random() < STANDING_BY
        self.standby: Standby | None = None
        if follows if script.standby is None else script.standby:
            self.standby = Standby(self.processes[topology.RISK])
        self.clock_off_ns = 0
        self.boot_ns = 0
        self.trace: list[str] | None = [] if trace else None
        self.failures: list[str] = []
        self.injected = Counter(f"drawn: {name}" for name in self.drawn.names)
        self.paged_ns: dict[str, int] = {}
        """Every page by its code: the host instant at which it was said last."""
        self.pages: set[str] = set()
        """Those that stand."""
        self.alarms_ns: list[int] = []
        """Host instants at which the stop monitor said BREACHED, or paged that it cannot see."""
        self.stop_host_ns: list[int] = []
        """From each true breach to its order, host ns."""
        self.halted_ns: int | None = None
        """Since when (host ns) a person's halt is in force; None while none is."""
        self.sent: list[tws.SendOrder] = []
        self._hash = hashlib.blake2b(digest_size=16)
        self._said_risk: dict[str, bytes] = {}
        self._windows = self._plan()
        self._chance = Random(f"{seed} nemesis")
        self.on_point: Callable[[Process, str, bytes], bool] | None = None
        self.disturbed_ns = 0
        self._slow_disk = Random(f"{seed} disk") if draw.random() < SLOW_DISKS else None
        self._over_ns = 0
        if self.market.split is not None:
            day, ratio = self.market.split
            self.tws.broker.exchange.at(instant_ns(day, 0), lambda _: self._split(ratio))
        self.nemesis = nemesis.Nemesis(self, self._chance, script.faults)
        self.sight = Sight(self)
        self.above_leverage = 0

    @property
    def meddled(self) -> bool:
        """Somebody else traded on the account: a person, or IB itself."""
        truth = self.tws.truth
        return self.nemesis.traded_by_hand or truth.liquidated or truth.others_traded

    # --- plan ----------------------------------------------------------------------------------

    def _start_ns(self, draw: Random) -> int:
        first = self.market.sessions[0]
        if len(self.market.sessions) == 1 and draw.random() < 0.25:
            return first.open_ns - 40 * SECOND_NS
        return first.close_ns - max(5 * MINUTE_NS, self.market.entry_ns) - 6 * MINUTE_NS

    def _plan(self) -> list[Window]:
        """How fast each stretch of market time may pass when nobody is in trouble."""
        windows: list[Window] = []

        def until(end_ns: int, speed: int) -> None:
            if end_ns > self.start_ns and (not windows or end_ns > windows[-1].end_ns):
                windows.append(Window(end_ns, speed))

        for times in self.market.sessions:
            close_ns = times.close_ns
            entry_ns = close_ns - self.market.entry_ns
            fine: list[tuple[int, int, int]] = [
                (times.open_ns - 31 * MINUTE_NS, times.open_ns - 29 * MINUTE_NS, 60),
                (times.open_ns - SECOND_NS, times.open_ns + 6 * SECOND_NS, 1),
                (close_ns - 601 * SECOND_NS, close_ns - 597 * SECOND_NS, WALK),
                (entry_ns - SECOND_NS, entry_ns + 3 * SECOND_NS, 1),
                (close_ns - SECOND_NS, close_ns + SECOND_NS, 1),
                (close_ns + 58 * SECOND_NS, close_ns + 66 * SECOND_NS, WALK),
            ]  # fmt: skip
            if times.date in self.market.evenings:
                fine += self.market.evenings[times.date].windows(WALK, EVENING)
            for fall in self.market.days[times.date].falls:
                length_s = min(fall.length_s + fall.hold_s, 15.0) + 4.0
                fine.append((fall.from_ns - SECOND_NS, fall.from_ns + seconds(length_s), 1))
            for from_ns, to_ns, speed in sorted(fine):
                if from_ns < times.open_ns:
                    until(from_ns, NIGHT if from_ns < times.open_ns - 29 * MINUTE_NS else QUIET)
                else:
                    until(from_ns, LATE if from_ns > entry_ns else QUIET)
                until(to_ns, speed)
        return windows

    @property
    def ends_ns(self) -> int:
        return self._windows[-1].end_ns

    # --- run -----------------------------------------------------------------------------------

    def run(self) -> None:
        for process in self.processes.values():
            process.start()
        if self.standby is not None:
            self.standby.start()
        self._beat()
        self.timeline.run(STEPS_MAX)
        if not self.timeline.over:
            self.fail("the run does not come to an end")
        if not self.failures:
            promises.check_end(self)

    def _beat(self) -> None:
        """The market moves on; the nemesis has its turn; the clock's speed is chosen anew."""
        self.tws.beat()
        if self.tws.truth.broken and not self.meddled:
            self.fail(self.tws.truth.broken[0])
        self.nemesis.look()
        self.sight.look()
        if self.standby is not None:
            self.standby.look()
        if self._ended():
            self.timeline.over = True
            return
        speed, room_ns = self._speed()
        self.timeline.speed = speed
        beat_ns = min(seconds(BEAT_S), room_ns // speed + 1)
        self.timeline.at(self.timeline.host_ns + beat_ns, self._beat)

    def _speed(self) -> tuple[int, int]:
        """Market seconds in a host second, and market ns until it is to be chosen again."""
        now_ns = self.timeline.market_ns
        window = next((w for w in self._windows if w.end_ns > now_ns), None)
        room_ns = window.end_ns - now_ns if window else seconds(1)
        speed = window.speed if window else 1
        due_ns = self.nemesis.next_ns - now_ns
        if due_ns > 0:
            room_ns = min(room_ns, due_ns)
        if speed > 1 and self._troubled():
            speed = 1
        elif speed > WALK and self.nemesis.resting:
            speed = WALK
        elif speed > PATIENT and any(self.processes[name].busy for name in PATIENCE_NS):
            speed = min(speed, EVENING if self._evening else PATIENT)
        return speed, room_ns

    @property
    def _evening(self) -> bool:
        """An order may wait for hours then."""
        evenings, now_ns = self.market.evenings, self.timeline.market_ns
        return bool(evenings) and self.tws.tape.phase(now_ns) is not Phase.REGULAR

    def _troubled(self) -> bool:
        if self.timeline.host_ns < self.disturbed_ns or self.nemesis.active:
            return True
        longest_ns = EVENING_PATIENCE_NS if self._evening else NEVER_NS
        return any(
            not process.up
            or process.paused
            or (
                process.busy
                and process.busy_for_ns < min(longest_ns, PATIENCE_NS.get(process.name, NEVER_NS))
            )
            or process.engine.unready()
            for process in self.processes.values()
        )

    def _ended(self) -> bool:
        """The plan is over and all is well again, or time for that is up."""
        nemesis = self.nemesis
        under_way = nemesis.active or nemesis.waiting or nemesis.resting
        if self.timeline.market_ns < self.ends_ns or under_way:
            return False
        if not self._over_ns:
            self._over_ns = self.timeline.host_ns
            self.nemesis.mend_all()
        since_ns = max(self.nemesis.ended_ns, self._over_ns)
        unsettled = promises.unsettled(self)
        if not unsettled:
            return True
        if self.timeline.host_ns - since_ns > seconds(SETTLE_S_MAX):
            self.fail(f"not settled after {SETTLE_S_MAX:.0f} s: {unsettled}")
            return True
        return False

    def _split(self, ratio: float) -> None:
        """Just after the exchange has booked it."""
        self.witness.note(f.Split(*self.witness.head(0, 0), symbol="SMH", ratio=ratio))
        self.note(f"--- SMH splits {ratio:g} for 1")

    # --- what processes need (`process.Surroundings`) ------------------------------------------

    def now_ns(self) -> int:
        return self.timeline.market_ns + self.clock_off_ns

    def mono_ns(self) -> int:
        return self.timeline.host_ns - self.boot_ns

    def point(self, process: Process, kind: str, data: bytes) -> None:
        if self.on_point is not None and process.up and self.on_point(process, kind, data):
            self._tell(f"{process.name} is killed {kind} {named(kind, data)}")
            raise Killed

    def said(self, process: Process, frame: bytes) -> None:
        self._hash.update(frame)
        if frame.startswith(CLAMPED) and self.settings.margin.check != "clamp":
            self.fail("an entry was made smaller, which the settings do not allow")
        if frame.startswith((RISK_STATE, ALERT)):
            self._see_alarm(wire.decode_fact(frame).body)
        if self.trace is not None and not frame.startswith(self.bus.heartbeat):
            self._trace_frame(process, frame)

    def performed(self, process: Process, effect: Message) -> None:
        self._hash.update(msgspec.msgpack.encode(effect))
        self.note(f"{process.name} does {effect}")
        if isinstance(effect, tws.SendOrder):
            self.sent.append(effect)
            self._must_be_durable(process, effect)
            halted = self.halted_ns is not None
            if halted and effect.order.purpose == "ENTRY":
                self.fail(f"entry {effect.order_id} left although a person had halted")
            if effect.order.purpose == "ENTRY":
                self._look_at_entry(effect)

    def _look_at_entry(self, effect: tws.SendOrder) -> None:
        """No real money goes in on delayed prices; elsewhere it is counted what they led to."""
        told_ns = self.tws.live_told_host_ns
        if self.real_money and self.timeline.host_ns - told_ns > LIVE_TOLD_NS:
            self.fail(f"entry {effect.order_id} left in live mode without live data")
        mark_usd, account = self.tws.tape.mark(self.tws.market_ns), self.account
        equity_usd = account.valuation(mark_usd, self.tws.market_ns).net_liquidation_usd
        limit = self.settings.leverage.largest * self.settings.limits.leverage_tolerance
        self.above_leverage += effect.order.shares * mark_usd > limit * equity_usd

    def busy_changed(self) -> None:
        speed, _ = self._speed()
        self.timeline.speed = min(speed, self.timeline.speed)

    def sync_s(self) -> float:
        """How long a sync takes: nothing, but in some runs as long as on a slow disk."""
        return self._slow_disk.uniform(0.0002, 0.01) if self._slow_disk else 0.0

    def new_hands(self, process: Process) -> Hands | None:
        kind = {topology.GATEWAY: GatewayHands, topology.FEED: FeedHands}.get(process.name)
        return None if kind is None else kind(process, self.tws, self.witness, self.settings)

    def died(self, process: Process, why: str) -> None:
        self.note(f"{process.name} is dead: {why}")
        self.nemesis.died(process)

    def broke(self, process: Process, story: str) -> None:
        self.fail(f"{process.name} raised:\n{story}")

    def events(self) -> Counter[str]:
        """What the run is worth: counted over many, it shows that they are not dull."""
        counts = Counter(f"{sent.order.purpose} orders sent" for sent in self.sent)
        counts["sessions"] = len(self.market.sessions)
        counts["splits"] = int(self.market.split is not None)
        counts["entries above the limit at the true price"] = self.above_leverage
        counts["executions"] = len(self.tws.truth.exec_ids)
        counts["breaches of the stop"] = len(self.stop_host_ns)
        counts["process starts"] = sum(process.lives for process in self.processes.values())
        counts["facts on the wire"] = len(self.witness.facts)
        return counts

    # --- judging as it goes --------------------------------------------------------------------

    def fail(self, sentence: str) -> None:
        at = datetime.fromtimestamp(self.timeline.market_ns / 1e9, NEW_YORK)
        self.failures.append(f"{at:%m-%d %H:%M:%S} {sentence}")
        self.timeline.over = True
        self.note(f"BROKEN: {sentence}")

    def _must_be_durable(self, process: Process, effect: tws.SendOrder) -> None:
        """I5: the decision to send is in the bytes that survive a power cut."""
        encoded = wire.encode_any(effect)
        newest = newest_file(process.folder, process.disk)
        if newest is None or encoded not in process.disk.durable_bytes(newest):
            self.fail(f"order {effect.order_id} left before its SENDING was durable")

    def _see_alarm(self, said: Any) -> None:
        if isinstance(said, Alert) and said.raised and said.level == "page":
            self.paged_ns[said.code] = self.timeline.host_ns
            self.pages.add(said.code)
        elif isinstance(said, Alert):
            self.pages.discard(said.code)
        loud = (
            said.raised and said.level == "page" and said.code in ALARMS
            if isinstance(said, Alert)
            else said.breached
        )
        if loud:
            self.alarms_ns.append(self.timeline.host_ns)

    def answered(self, process: Process, frame: bytes) -> None:
        """A person's halt counts from the gateway's word on it; so does its end."""
        answer = wire.decode_answer(frame).body
        if process.name == topology.GATEWAY and isinstance(answer, Accepted):
            if answer.key.startswith(person.HALT_KEY):
                self.halted_ns = self.timeline.host_ns
            elif answer.key.startswith(person.RESUME_KEY):
                self.halted_ns = None

    # --- trace ---------------------------------------------------------------------------------

    def note(self, line: str) -> None:
        """Part of the story and of its hash."""
        self._hash.update(line.encode())
        self._tell(line)

    def _tell(self, line: str) -> None:
        if self.trace is not None:
            at = datetime.fromtimestamp(self.timeline.market_ns / 1e9, NEW_YORK)
            host_s = self.timeline.host_ns / SECOND_NS - 5_000
            self.trace.append(f"{host_s:9.3f} {at:%m-%d %H:%M:%S.%f}"[:-3] + f" {line}")

    def hash(self) -> str:
        """Of everything that was said, done and broken, in order."""
        return self._hash.hexdigest()

    def _trace_frame(self, process: Process, frame: bytes) -> None:
        body = wire.decode_fact(frame).body
        name = type(body).__name__
        encoded = msgspec.msgpack.encode(body)
        if name in {"Quote", "Equity", "BrokerPnl", "VixLevel", "DailyHistory"}:
            return
        if self._said_risk.get(name) != encoded:
            self._said_risk[name] = encoded
            self._tell(f"{process.name} says {body}"[:400])


def named(kind: str, data: bytes) -> str:
    """What is being written or sent, as far as its bytes tell."""
    if kind.endswith("say"):
        return data[: data.index(b"\0")].decode()
    if kind.endswith("perform"):
        return data.decode()
    if kind.endswith(("ask", "answer")):
        return str(msgspec.msgpack.decode(data)[6][0])
    return ""
