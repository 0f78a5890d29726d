"""Everything that goes wrong, drawn from the seed: what, when, for how long.

Faults begin at instants that matter (around the open, a fall, the entry, the close) and end by
themselves. What each does stands in the tables of the `*_faults` modules. Processes that die are
restarted as supervisord does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from common.clock import MINUTE_NS, SECOND_NS
from tests.simulation.dialog_faults import DIALOGS
from tests.simulation.fault import STANDING, Fault
from tests.simulation.login_faults import LOGINS
from tests.simulation.machine_faults import MACHINE, REPEATS
from tests.simulation.market_faults import MARKET
from tests.simulation.order_faults import ODD
from tests.simulation.others_faults import OTHERS
from tests.simulation.permission_faults import CHANGES, DELAYED, PNL
from tests.simulation.process import Process
from tests.simulation.question_faults import QUESTIONS
from tests.simulation.quote_faults import QUOTES
from tests.simulation.standby import TAKEOVER_S
from tests.simulation.timeline import Act, seconds
from tests.simulation.tws_faults import TWS

if TYPE_CHECKING:
    from tests.simulation.world import World

NEVER_NS = 1 << 62
RESTART_S = (0.8, 2.0)
CALM_S = 2.0
EVENING_S = (30, 60, 62, 63, 65, 120, 14_400)
"""After the close: before and after its bar is final, and when the evening is over."""
FIRST = {**MACHINE, **TWS, **MARKET}


@dataclass(frozen=True, slots=True)
class Later:
    """A table of faults that came later: the share of runs that meet one of it. Each is drawn for
    itself, so that a new one leaves all other runs, of kept seeds too, as they were."""

    faults: dict[str, Fault]
    share: float
    at_falls: bool = False
    """It begins about when a fall does, if there is one."""
    at_start: bool = False
    """It is there from the first instant on."""


LATER = {
    "questions": Later(QUESTIONS, 0.2),
    "quotes": Later(QUOTES, 0.15, at_falls=True),
    "dialogs": Later(DIALOGS, 0.1),
    "others": Later(OTHERS, 0.12),
    "logins": Later(LOGINS, 0.06),
    "odd": Later(ODD, 0.12),
    "repetitions": Later(REPEATS, 0.05),
    "delayed": Later(DELAYED, 0.1, at_start=True),
    "permissions": Later(CHANGES, 0.03),
    "profit and loss": Later(PNL, 0.04, at_falls=True),
}
FAULTS = FIRST | {name: fault for later in LATER.values() for name, fault in later.faults.items()}


def meets(seed: int, name: str) -> bool:
    """Whether the run of that seed meets one of that later table."""
    return Random(f"{seed} {name}").random() < LATER[name].share


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
        self.resting: list[str] = []
        self.rested_ns: list[int] = []
        """Host time at which each of those that rested was gone."""
        self.ended_ns = 0
        self.trouble: list[tuple[str, int, int]] = []
        """Every fault with its host instants, the mending included."""
        self.flattened = self.traded_by_hand = False
        self._standing: list[Act] = []
        self._anchored: list[int] = []
        self.switched_off: set[str] = set()
        if faults:
            self._draw()

    def _draw(self) -> None:
        self._anchored = anchors = [
            ns for ns in self._anchors() if ns > self.world.start_ns + 8 * SECOND_NS
        ]
        count = self.chance.choices((0, 1, 2, 3, 4), (4, 26, 34, 24, 12))[0]
        self._plan(self.chance, anchors, FIRST, count)
        for name, later in LATER.items():
            chance = Random(f"{self.world.seed} {name}")
            if chance.random() < later.share:
                falls = list(self._at_falls(chance)) if later.at_falls else []
                at = [self.world.start_ns] if later.at_start else falls or anchors
                self._plan(chance, at, later.faults, 1)
        self._draw_evenings()
        self.waiting.sort(key=lambda planned: planned.market_ns)

    def also(self, table: dict[str, Fault]) -> None:
        """One more, of that table, brought on by one that has begun."""
        falls = list(self._at_falls(self.chance)) if table is PNL else []
        self._plan(self.chance, falls or self._anchored, table, 1)
        self.waiting.sort(key=lambda planned: planned.market_ns)

    def _draw_evenings(self) -> None:
        """About the sale after the close, and while it waits for a buyer."""
        chance = Random(f"{self.world.seed} evenings' faults")
        anchors = [
            evening.close_ns + seconds(chance.choice(EVENING_S) + chance.uniform(-2, 4))
            for evening in self.world.market.evenings.values()
        ]
        if anchors:
            self._plan(chance, anchors, FIRST, chance.choice((0, 1, 1, 2)))

    def _plan(
        self, chance: Random, anchors: list[int], table: dict[str, Fault], count: int
    ) -> None:
        weights = [fault.weight for fault in table.values()]
        for _ in range(count):
            name = chance.choices(list(table), weights)[0]
            self.waiting.append(Planned(chance.choice(anchors), name))

    def _anchors(self) -> Iterator[int]:
        def near(ns: int, before_s: float, after_s: float) -> int:
            return ns + seconds(self.chance.uniform(-before_s, after_s))

        for times in self.world.market.sessions:
            entry_ns = times.close_ns - self.world.market.entry_ns
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

    def _at_falls(self, chance: Random) -> Iterator[int]:
        for times in self.world.market.sessions:
            for fall in self.world.market.days[times.date].falls:
                if fall.from_ns > self.world.start_ns + 20 * SECOND_NS:
                    yield fall.from_ns - seconds(chance.uniform(-1, 2))

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
        last_s, mend = FAULTS[name].begin(self)
        if last_s == STANDING:
            if mend is not None:
                self._standing.append(mend)
            self._over(name, began_ns)
        else:
            self.lasts(name, last_s, mend, began_ns)

    def lasts(self, name: str, last_s: float, mend: Act | None, began_ns: int = 0) -> None:
        """A harm that is under way from now on, until `mend`."""
        world = self.world
        began_ns = began_ns or world.timeline.host_ns
        self.active.append(name)

        def end() -> None:
            if mend is not None:
                mend()
                world.note(f"--- {name} is over")
            self.active.remove(name)
            self._over(name, began_ns)

        world.timeline.after(last_s, end)

    def rests(self, name: str, last_s: float, end: Act) -> None:
        """Something that is there from now on and is no trouble: time passes at a walk beside it,
        and it excuses nothing."""
        self.resting.append(name)

        def over() -> None:
            end()
            self.world.note(f"--- {name} is over")
            self.resting.remove(name)
            self.rested_ns.append(self.world.timeline.host_ns)

        self.world.timeline.after(last_s, over)

    def troubled_since(self, from_ns: int, but: str = "") -> bool:
        """Whether anything `but` that is under way, or has gone wrong since."""
        beside = [name for name in self.active if name != but]
        return bool(beside) or any(to_ns > from_ns for _, _, to_ns in self.trouble)

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
        if process.name in self.switched_off:
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
        if process.name not in self.switched_off:
            start()
