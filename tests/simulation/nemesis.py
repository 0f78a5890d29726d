"""Everything that goes wrong, drawn from the seed: what, when, for how long.

Faults begin at instants that matter (around the open, a fall, the entry, the close) and end by
themselves. Each is a method: it does the harm, and returns how many host seconds later what mends
it. Processes that die are restarted as supervisord does it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from common import topology, wire
from common.clock import MINUTE_NS, SECOND_NS
from common.messages import Flatten, Halt, Resume
from common.tws.link_messages import TwsError
from services.sim_tws.orders import Ticket
from tests.oracle import facts as f
from tests.simulation.market import ENTRY_NS
from tests.simulation.process import PERSON, Process
from tests.simulation.standby import TAKEOVER_S
from tests.simulation.timeline import Act, seconds
from tests.simulation.tws import DATA_CLIENT, LINK_BACK, LINK_BACK_LOST, LINK_LOST, ORDERS_CLIENT

if TYPE_CHECKING:
    from tests.simulation.world import World

NEVER_NS = 1 << 62
HALT_KEY, RESUME_KEY = "halt-", "resume-"
RESTART_S = (0.8, 2.0)
WATCHDOG_S = (3.0, 4.0)
CALM_S = 2.0
Harm = tuple[float, Act | None]
NOTHING: Harm = (0.0, None)
STANDING = -1.0
"""The harm waits for its occasion; it is mended when the plan is over."""


@dataclass(frozen=True, slots=True)
class Planned:
    market_ns: int
    name: str


class Nemesis:
    """`waiting` faults begin at `next_ns` (UTC ns of market time); `active` ones are under way."""

    def __init__(self, world: World, chance: Random, faults: bool) -> None:
        self.world, self.chance = world, chance
        self.waiting: list[Planned] = []
        self.active: list[str] = []
        self.ended_ns = 0
        self.trouble: list[tuple[str, int, int]] = []
        """Every fault with its host instants, the mending included."""
        self.flattened = self.traded_by_hand = False
        self._standing: list[Act] = []
        self._killed_for_good: set[str] = set()
        if faults:
            self._draw()

    def _draw(self) -> None:
        anchors = [ns for ns in self._anchors() if ns > self.world.start_ns + 8 * SECOND_NS]
        names = list(FAULTS)
        weights = [FAULTS[name] for name in names]
        count = self.chance.choices((0, 1, 2, 3, 4), (4, 26, 34, 24, 12))[0]
        for _ in range(count):
            name = self.chance.choices(names, weights)[0]
            self.waiting.append(Planned(self.chance.choice(anchors), name))
        self.waiting.sort(key=lambda planned: planned.market_ns)

    def _anchors(self) -> Iterator[int]:
        def near(ns: int, before_s: float, after_s: float) -> int:
            return ns + seconds(self.chance.uniform(-before_s, after_s))

        for times in self.world.market.sessions:
            entry_ns = times.close_ns - ENTRY_NS
            yield near(times.open_ns, 4, 8)
            yield near(entry_ns, 6, 1)
            yield near(entry_ns, 0, 6)
            yield near(entry_ns, 0, 250)
            yield near(times.close_ns - 10 * MINUTE_NS, 5, 5)
            yield near(times.close_ns, 8, 4)
            for fall in self.world.market.days[times.date].falls:
                yield near(fall.from_ns, 8, 0)
                yield near(fall.from_ns, 0, fall.length_s + 2)
                yield near(fall.from_ns, 0, fall.length_s + 2)

    @property
    def next_ns(self) -> int:
        return self.waiting[0].market_ns if self.waiting else NEVER_NS

    def look(self) -> None:
        while self.waiting and self.waiting[0].market_ns <= self.world.timeline.market_ns:
            self.begin(self.waiting.pop(0).name)

    def begin(self, name: str) -> None:
        world = self.world
        world.injected[name] += 1
        world.note(f"--- {name}")
        began_ns = world.timeline.host_ns
        last_s, mend = getattr(self, f"_{name}")()
        if last_s == STANDING:
            if mend is not None:
                self._standing.append(mend)
            self._over(name, began_ns)
            return
        self.active.append(name)

        def end() -> None:
            if mend is not None:
                mend()
                world.note(f"--- {name} is over")
            self.active.remove(name)
            self._over(name, began_ns)

        world.timeline.after(last_s, end)

    def mend_all(self) -> None:
        """The plan is over: nothing more goes wrong."""
        standing, self._standing = self._standing, []
        for mend in standing:
            mend()

    def _over(self, name: str, began_ns: int) -> None:
        now_ns = self.world.timeline.host_ns
        self.ended_ns = now_ns
        self.trouble.append((name, began_ns, now_ns))
        self.world.disturbed_ns = max(self.world.disturbed_ns, now_ns + seconds(CALM_S))

    # --- processes -----------------------------------------------------------------------------

    def died(self, process: Process) -> None:
        """supervisord starts it again. Where a standby follows, that one goes on at once, and the
        copy that is started stands by."""
        if process.name in self._killed_for_good:
            return
        standby = self.world.standby
        if standby is None or standby.active is not process:
            self._comes_back(f"restart of {process.name}", process, RESTART_S, process.start)
            return
        if standby.up:
            self._comes_back(f"takeover of {process.name}", process, TAKEOVER_S, standby.take_over)
            self.world.timeline.after(
                self.chance.uniform(*RESTART_S), lambda: self._start(process, standby.start)
            )
        else:
            self._comes_back(f"restart of {process.name}", process, RESTART_S, standby.start)

    def _comes_back(
        self, name: str, process: Process, within_s: tuple[float, float], start: Act
    ) -> None:
        began_ns = self.world.timeline.host_ns
        self.active.append(name)

        def come() -> None:
            self.active.remove(name)
            self._over(name, began_ns)
            self._start(process, start)

        self.world.timeline.after(self.chance.uniform(*within_s), come)

    def _start(self, process: Process, start: Act) -> None:
        """Unless the power was cut meanwhile: then the boot starts it."""
        if process.name not in self._killed_for_good:
            start()

    def _process(self) -> Process:
        names = (*topology.DECIDERS, topology.GATEWAY, topology.RISK)
        return self.world.processes[self.chance.choice(names)]

    def _kill(self) -> Harm:
        process = self._process()
        process.kill("kill -9", bytes_lost=self.chance.random() < 0.3)
        return NOTHING

    def _kill_at_a_point(self) -> Harm:
        """At the n-th write, sync, send or effect from now on; half of a write may be there."""
        return self._at_a_point(lambda: None)

    def _power_cut_at_a_point(self) -> Harm:
        """There everything stops: what one has heard another may not have on disk."""
        return self._at_a_point(lambda: self.begin("power_cut"))

    def _at_a_point(self, strike: Act) -> Harm:
        world, process = self.world, self._process()
        kinds = POINTS if process.hands is not None else POINTS[:-1]
        kind, left = self.chance.choice(kinds), self.chance.randint(1, 8)
        process.disk.torn_at = self.chance.randint(1, 60) if kind == "mid-write" else 0

        def point(at: Process, found: str, _data: bytes) -> bool:
            nonlocal left
            left -= at is process and found == kind
            if left > 0:
                return False
            disarm()
            strike()
            return True

        def disarm() -> None:
            process.disk.torn_at = 0
            if world.on_point is point:
                world.on_point = None

        world.on_point = point
        return 10.0, disarm

    def _pause(self) -> Harm:
        """SIGSTOP; the watchdog kills what stays silent."""
        process, pause_s = self._process(), self.chance.choice((0.3, 1.0, 2.5, 10.0))
        patience_s, life = self.chance.uniform(*WATCHDOG_S), process.lives
        process.pause()

        def end() -> None:
            if process.lives == life and process.up:
                process.go_on()

        def kill() -> None:
            if process.lives == life and process.up:
                process.kill("the watchdog killed it")

        return (pause_s, end) if pause_s < patience_s else (patience_s, kill)

    def _power_cut(self) -> Harm:
        """The machine with everything on it: TWS too, and host time starts anew."""
        world = self.world
        names = list(world.processes)
        if self._killed_for_good:
            return NOTHING  # it is off already
        off_s = self.chance.uniform(8, 15)
        self._killed_for_good.update(names)
        for process in world.processes.values():
            process.kill("the power is cut", bytes_lost=self.chance.random() < 0.5)
            process.disk.lose_power(self.chance)
        if world.standby is not None:
            world.standby.kill()
        self._drop(("the power is cut"), (ORDERS_CLIENT, DATA_CLIENT))
        world.tws.port_open = False

        def boot() -> None:
            self._killed_for_good.difference_update(names)
            world.boot_ns = world.timeline.host_ns - seconds(20)
            world.tws.port_open = True
            self._roll_ids_back()
            for process in world.processes.values():
                process.start()
            if world.standby is not None:
                world.standby.start()

        return off_s, boot

    # --- disk ----------------------------------------------------------------------------------

    def _disk_full(self) -> Harm:
        disks = [p.disk for p in self.world.processes.values()]
        if self.chance.random() < 0.5:
            disks = [self._process().disk]
        short = self.chance.random() < 0.5
        for disk in disks:
            disk.room_bytes, disk.short_writes = self.chance.choice((0, 100, 5_000)), short

        def freed() -> None:
            for disk in disks:
                disk.room_bytes, disk.short_writes = None, False

        return self.chance.uniform(1, 12), freed

    def _sync_error(self) -> Harm:
        self._process().disk.sync_fails = True
        return NOTHING

    # --- clocks --------------------------------------------------------------------------------

    def _clock_step(self) -> Harm:
        world = self.world
        before_ns = world.clock_off_ns
        off_s = self.chance.choice((-2.5, 2.5, -30.0, 30.0, -3600.0, 3600.0))
        self._set_clock(before_ns + seconds(off_s))
        return self.chance.uniform(4, 15), lambda: self._set_clock(before_ns)

    def _set_clock(self, off_ns: int) -> None:
        self.world.clock_off_ns = off_ns
        for process in self.world.processes.values():
            hands, pipe = process.hands, process.hands.pipe if process.hands else None
            if hands is not None and pipe is not None:
                process.later(3.5, lambda hands=hands, pipe=pipe: hands.compare_clocks(pipe))  # type: ignore[misc] # defaults bind the loop's values

    # --- bus -----------------------------------------------------------------------------------

    def _bus_late(self) -> Harm:
        link = self.world.bus.links[self.chance.choice(sorted(self.world.bus.links))]
        link.late_ns = seconds(self.chance.choice((0.05, 0.5, 1.5, 3.0)))
        return self.chance.uniform(1, 8), lambda: setattr(link, "late_ns", 0)

    def _bus_loses(self) -> Harm:
        links = [self.world.bus.links[self.chance.choice(sorted(self.world.bus.links))]]
        if self.chance.random() < 0.3:
            links = list(self.world.bus.links.values())
        share = self.chance.choice((0.2, 0.6, 1.0))
        for link in links:
            link.lose = share

        def end() -> None:
            for link in links:
                link.lose = 0.0

        return self.chance.uniform(0.5, 6), end

    # --- TWS and its link ----------------------------------------------------------------------

    def _drop(self, why: str, client_ids: tuple[int, ...]) -> None:
        for client_id in client_ids:
            pipe = self.world.tws.live(client_id)
            if pipe is not None:
                pipe.die(why, bytes_lost=self.chance.random() < 0.5)

    def _connection_dies(self) -> Harm:
        which = self.chance.choice(((ORDERS_CLIENT,), (DATA_CLIENT,), (ORDERS_CLIENT, DATA_CLIENT)))
        self._drop("the connection was closed", which)
        return NOTHING

    def _ib_link_lost(self) -> Harm:
        tws = self.world.tws
        if not tws.broker.link_up:
            return NOTHING
        tws.broker.lose_link()
        self._tell_all(LINK_LOST, "Connectivity between IB and TWS has been lost.")
        code = self.chance.choice((LINK_BACK, LINK_BACK_LOST))
        tells_missed = self.chance.random() < 0.5

        def back() -> None:
            if code == LINK_BACK_LOST:
                tws.forget_subscriptions()
            self._tell_all(code, "Connectivity between IB and TWS has been restored.")
            tws.broker.restore_link(tells_missed)

        return self.chance.choice((0.5, 4.0, 12.0, 25.0)), back

    def _tell_all(self, code: int, text: str) -> None:
        for client_id in (ORDERS_CLIENT, DATA_CLIENT):
            pipe = self.world.tws.live(client_id)
            if pipe is not None:
                pipe.tell(TwsError(-1, code, text))

    def _roll_ids_back(self) -> None:
        books = self.world.tws.broker.books
        back = self.chance.choice((0, 0, 1, 2, 5))
        for client_id in books.last_order_id:
            books.last_order_id[client_id] = max(0, books.last_order_id[client_id] - back)

    def _tws_restart(self) -> Harm:
        tws = self.world.tws
        tws.port_open = False
        self._drop("TWS was closed", (ORDERS_CLIENT, DATA_CLIENT))

        def back() -> None:
            self._roll_ids_back()
            tws.port_open = True

        return self.chance.choice((1.0, 6.0, 20.0)), back

    def _tws_frozen(self) -> Harm:
        tws = self.world.tws
        if tws.frozen:
            return NOTHING
        tws.freeze()
        for pipe in tws.pipes.values():
            if pipe.alive:
                pipe.listener.notice_silence(pipe)  # type: ignore[attr-defined] # the hands have it
        return self.chance.choice((1.0, 5.0, 9.0, 16.0)), tws.thaw

    def _half_open(self) -> Harm:
        pipe = self.world.tws.live(self.chance.choice((ORDERS_CLIENT, DATA_CLIENT)))
        if pipe is not None:
            pipe.cut = True
            pipe.listener.notice_silence(pipe)  # type: ignore[attr-defined] # as above
        return 7.0, None

    def _tws_slow(self) -> Harm:
        self._set_late(self.chance.choice((0.3, 1.0, 2.5)))
        return self.chance.uniform(2, 10), lambda: self._set_late(0.0)

    def _set_late(self, late_s: float) -> None:
        self.world.tws.late_s = late_s
        for pipe in self.world.tws.pipes.values():
            pipe.late_s = late_s

    def _commissions_late(self) -> Harm:
        self.world.tws.commissions_late_s = self.chance.choice((0.5, 3.0, 9.0))
        return STANDING, lambda: setattr(self.world.tws, "commissions_late_s", 0.0)

    def _executions_late(self) -> Harm:
        """A status comes before the executions that explain it."""
        self.world.tws.executions_late_s = self.chance.choice((0.2, 1.0, 2.5))
        return STANDING, lambda: setattr(self.world.tws, "executions_late_s", 0.0)

    def _reports_twice(self) -> Harm:
        self.world.tws.twice = True
        return STANDING, lambda: setattr(self.world.tws, "twice", False)

    # --- orders --------------------------------------------------------------------------------

    def _reject(self) -> Harm:
        switches = self.world.tws.switches
        switches.reject_code = self.chance.choice((201, 201, 110, 10349))
        switches.reject_text = "Order rejected - reason:simulated"
        switches.rejects_left = self.chance.choice((1, 1, 2, 3))
        return STANDING, lambda: setattr(switches, "rejects_left", 0)

    def _order_vanishes(self) -> Harm:
        switches = self.world.tws.switches
        switches.lose_orders = 1
        return STANDING, lambda: setattr(switches, "lose_orders", 0)

    def _harmless_notice(self) -> Harm:
        switches = self.world.tws.switches
        switches.notice_code = self.chance.choice((10349, 399, 404, 161, 2109))
        switches.notice_text = "simulated notice"
        return STANDING, lambda: setattr(switches, "notice_code", 0)

    def _fill_beats_cancel(self) -> Harm:
        self.world.tws.switches.fill_beats_cancel = True
        return STANDING, lambda: setattr(self.world.tws.switches, "fill_beats_cancel", False)

    def _execution_corrected(self) -> Harm:
        broker = self.world.tws.broker
        if broker.books.executions:
            old_usd = broker.books.executions[-1].price_usd
            broker.correct_last_execution(round(old_usd + self.chance.choice((-0.02, 0.03)), 2))
        return NOTHING

    def _traded_by_hand(self) -> Harm:
        """The owner trades in TWS, or IB liquidates."""
        tws = self.world.tws
        tws.advance()
        held = int(tws.broker.account.smh.shares)
        buys = held <= 0 or self.chance.random() < 0.3
        shares = self.chance.choice((1, 50)) if buys else self.chance.randint(1, max(1, held // 2))
        self.traded_by_hand = True
        tws.broker.place_own(
            Ticket("BUY" if buys else "SELL", float(shares), "MKT"),
            liquidation=not buys and self.chance.random() < 0.3,
        )
        tws.publish_account()
        return NOTHING

    # --- market and account --------------------------------------------------------------------

    def _wild_print(self) -> Harm:
        tws = self.world.tws
        where = self.chance.choice(("last", "bid", "ask", "quote", "all"))
        percent = self.chance.choice((-30.0, -9.0, -3.0, -1.0, 2.0, 12.0))
        tws.tape.inject("SMH", tws.market_ns, percent, where)
        return NOTHING

    def _bad_ticks(self) -> Harm:
        self.world.tws.bad_tick = self.chance.choice((math.nan, -1.0, 0.0, 1e9, math.inf))
        return self.chance.uniform(0.3, 4), lambda: setattr(self.world.tws, "bad_tick", None)

    def _quotes_stop(self) -> Harm:
        switches = self.world.tws.switches
        switches.quotes_frozen = True
        return self.chance.choice((1.0, 4.0, 9.0, 20.0)), lambda: setattr(
            switches, "quotes_frozen", False
        )

    def _trading_halt(self) -> Harm:
        tws = self.world.tws
        tws.advance()
        tws.tape.halted = True

        def resume() -> None:
            tws.advance()
            tws.tape.halted = False
            tws.broker.exchange.sweep()

        return self.chance.choice((2.0, 8.0, 20.0)), resume

    def _money_moved(self) -> Harm:
        amount = self.chance.choice((-200_000.0, -30_000.0, 5_000.0, 100_000.0, 1_000_000.0))
        world = self.world
        world.account.move_cash(amount)
        world.witness.note(f.MoneyMoved(*world.witness.head(0, 0), amount))
        return NOTHING

    def _margin_raised(self) -> Harm:
        self.world.account.stress_rate = self.chance.choice((0.2, 0.3))
        return NOTHING

    # --- the person ----------------------------------------------------------------------------

    def _person_halts(self) -> Harm:
        both = (topology.RISK, topology.GATEWAY)
        self._ask(lambda now: Halt(f"{HALT_KEY}{now}", 0, "the person", "a test"), both)
        return self.chance.uniform(3, 20), lambda: self._ask(
            lambda now: Resume(f"{RESUME_KEY}{now}", 0, "the person"), both
        )

    def _person_flattens(self) -> Harm:
        self.flattened = True
        self._ask(lambda now: Flatten(f"flatten-{now}", 0, "the person"), (topology.RISK,))
        return NOTHING

    def _ask(self, command: Callable[[int], Any], answerers: tuple[str, ...]) -> None:
        """As the command line asks: both, once."""
        for answerer in answerers:
            process = self.world.processes[answerer]
            envelope: wire.Envelope[Any] = wire.Envelope(
                wire.WIRE_VERSION, topology.TRADER, 1, 0, 0, self.world.now_ns(),
                command(self.world.timeline.host_ns),
            )  # fmt: skip
            if process.up and not process.paused:
                now_ns = self.world.timeline.host_ns
                process.deliver(now_ns, "command", PERSON, wire.encode(envelope))


POINTS = (
    "before-write", "after-write", "mid-write", "after-sync", "before-say", "after-say",
    "before-ask", "after-ask", "after-answer", "after-perform",
)  # fmt: skip

FAULTS: dict[str, int] = {
    "kill": 12,
    "kill_at_a_point": 22,
    "pause": 10,
    "power_cut": 3,
    "power_cut_at_a_point": 5,
    "disk_full": 4,
    "sync_error": 2,
    "clock_step": 3,
    "bus_late": 5,
    "bus_loses": 6,
    "connection_dies": 5,
    "ib_link_lost": 8,
    "tws_restart": 6,
    "tws_frozen": 5,
    "half_open": 4,
    "tws_slow": 4,
    "commissions_late": 4,
    "executions_late": 4,
    "reports_twice": 4,
    "reject": 5,
    "order_vanishes": 3,
    "harmless_notice": 2,
    "fill_beats_cancel": 2,
    "execution_corrected": 2,
    "traded_by_hand": 2,
    "wild_print": 5,
    "bad_ticks": 3,
    "quotes_stop": 4,
    "trading_halt": 3,
    "money_moved": 2,
    "margin_raised": 2,
    "person_halts": 2,
    "person_flattens": 2,
}
"""Each fault and how often it is drawn, relative to the others."""
