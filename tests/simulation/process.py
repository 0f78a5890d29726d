"""One service: the real engine, journal and decider, in the loop that `common/service.py` runs.

It can be killed at any point of its work, stopped and continued, and comes back as supervisord
brings it back: a new engine on the same disk.
"""

from __future__ import annotations

import heapq
import traceback
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from common.clock import SECOND_NS, Clock
from common.engine import Engine
from common.fold import Decider, Fold
from common.journal import Journal
from common.messages import Message
from common.settings import Settings
from tests.simulation.bus import HIGH_WATER, Bus
from tests.simulation.disk import RESERVE_BYTES, SimDisk
from tests.simulation.hands import Hands
from tests.simulation.timeline import Act, Timeline, seconds

TICK_NS = seconds(0.2)
BEAT_NS = seconds(0.5)
DISK_NS = seconds(5)
FREE_MB = 10_000.0
BUILD = "simulated"
PERSON = b"trader 1"
Place = tuple[str, int, int]
_FIRST = {"command": 0, "answer": 1, "tws": 2, "fact": 3}


class Killed(BaseException):
    """kill -9 at this very point: nothing of ours catches it."""


class Surroundings(Clock, Protocol):
    """What a process needs of the world around it, the time on its machine's clocks included."""

    timeline: Timeline
    bus: Bus
    settings: Settings
    boot_ns: int

    def mono_ns(self) -> int: ...
    def point(self, process: Process, kind: str, data: bytes) -> None: ...
    def performed(self, process: Process, effect: Message) -> None: ...
    def said(self, process: Process, frame: bytes) -> None: ...
    def answered(self, process: Process, frame: bytes) -> None: ...
    def died(self, process: Process, why: str) -> None: ...
    def broke(self, process: Process, story: str) -> None: ...
    def busy_changed(self) -> None: ...
    def sync_s(self) -> float: ...
    def new_hands(self, process: Process) -> Hands | None: ...


class Process:
    """`up`, `paused`; `engine` while it is up."""

    def __init__(self, world: Surroundings, name: str, decider: Decider) -> None:
        self.world, self.name, self.decider = world, name, decider
        self.folder = Path(f"/journal/{name}")
        self.disk = SimDisk(partial(world.point, self))
        self.up = self.paused = self.busy = self._syncing = False
        self.lives = 0
        self._deeds = 0
        self.engine: Engine = None  # type: ignore[assignment] # set by every start
        self.hands: Hands | None = None
        self._inbox: list[tuple[int, int, int, str, bytes, Any]] = []
        self._asleep: list[Act] = []
        self._number = 0
        self._wake_ns = 0
        self._tick_ns = self._beat_ns = self._disk_ns = self._busy_ns = 0

    # --- life ----------------------------------------------------------------------------------

    def start(self, fold: Fold | None = None) -> None:
        """`fold`: as far as a standby has followed; None: from disk."""
        world = self.world
        self.up, self.paused, self.busy, self._syncing = True, False, False, False
        self.lives += 1
        self._inbox.clear()
        self._asleep.clear()
        self._tick_ns = self._beat_ns = self._busy_ns = 0
        self._wake_ns = 0
        self._disk_ns = world.timeline.host_ns
        journal = Journal(self.folder, RESERVE_BYTES, self.disk)
        self.engine = Engine(
            self.name, self.decider, world.settings, world, world.mono_ns, journal, self, BUILD,
            str(world.boot_ns),
        )  # fmt: skip
        self.hands = world.new_hands(self)
        world.bus.join(self.name, self.deliver)
        self._guarded(partial(self._restore, fold))
        if self.up:
            self._wake_at(world.timeline.host_ns)

    def _restore(self, fold: Fold | None) -> None:
        self.engine.restore(fold)
        if self.hands is not None:
            self.hands.start()

    def kill(self, why: str, *, bytes_lost: bool = False) -> None:
        if not self.up:
            return
        self.up = False
        self.disk.forget_open_files()
        self.world.bus.leave(self.name)
        if self.hands is not None:
            self.hands.stop(bytes_lost=bytes_lost)
        self.world.died(self, why)

    def pause(self) -> None:
        self.paused = True

    def go_on(self) -> None:
        if not (self.up and self.paused):
            return
        self.paused = False
        waiting, self._asleep = self._asleep, []
        for act in waiting:
            act()
        self._wake_at(self.world.timeline.host_ns)

    @property
    def busy_for_ns(self) -> int:
        """Host time since `busy` last changed."""
        return self.world.timeline.host_ns - self._busy_ns

    @property
    def place(self) -> Place:
        """Where it stands among its deeds: between two with the same place nothing has come to
        pass that outlives it, and so a kill at the one leaves what a kill at the other leaves."""
        return self.name, self._deeds, self.disk.changes

    # --- the driver's loop ---------------------------------------------------------------------

    def deliver(self, at_ns: int, kind: str, peer: bytes, frame: Any) -> None:
        if self.paused and len(self._inbox) > HIGH_WATER and kind == "fact":
            return
        self._number += 1
        heapq.heappush(self._inbox, (at_ns, _FIRST[kind], self._number, kind, peer, frame))
        self._wake_at(at_ns)

    def _wake_at(self, at_ns: int) -> None:
        now_ns = self.world.timeline.host_ns
        if self._wake_ns > now_ns and self._wake_ns <= at_ns:
            return
        self._wake_ns = at_ns
        self.world.timeline.at(at_ns, partial(self._wake, at_ns, self.lives))

    def _wake(self, at_ns: int, life: int) -> None:
        if at_ns == self._wake_ns and self.up and not self.paused and life == self.lives:
            self._wake_ns = 0
            if not self._syncing:  # else it goes on when the disk has answered
                self._guarded(self._cycle)

    def _cycle(self) -> None:
        """As `common.service._Driver.cycle`."""
        engine, now_ns = self.engine, self.world.timeline.host_ns
        inbox, slow_s = self._inbox, self.world.sync_s()
        while inbox and inbox[0][0] <= now_ns:
            _, _, _, kind, peer, frame = heapq.heappop(inbox)
            if kind == "tws":
                engine.hear_local(frame, source="tws")
            else:
                engine.hear(kind, peer, frame)
        if now_ns - self._tick_ns >= TICK_NS:
            self._tick_ns = now_ns
            engine.tick()
        if now_ns - self._disk_ns >= DISK_NS:
            self._disk_ns = now_ns
            room = self.disk.room_bytes
            engine.disk_state(FREE_MB if room is None else room / 1e6)
        if slow_s and self.disk.unsynced:
            self._syncing = True
            self.later(slow_s, partial(self._guarded, self._settle))
        else:
            self._settle()

    def _settle(self) -> None:
        """The batch is made to survive a power cut, then the loop goes on."""
        self._syncing = False
        engine, now_ns = self.engine, self.world.timeline.host_ns
        engine.settle()
        busy = engine.busy()
        changed = busy != self.busy
        if changed or now_ns - self._beat_ns >= BEAT_NS:
            self._beat_ns, self.busy = now_ns, busy
            self._busy_ns = now_ns if changed else self._busy_ns
            engine.heartbeat(self.lives)
        if changed:
            self.world.busy_changed()
        tick_ns = self._tick_ns + TICK_NS
        self._wake_at(min(self._inbox[0][0], tick_ns) if self._inbox else tick_ns)

    def _guarded(self, work: Act) -> None:
        self._deeds += 1  # others had their turn
        try:
            work()
        except Killed:
            self.kill("killed in the middle of its work")
        except OSError as error:
            self.kill(f"{type(error).__name__}: {error}")
        except Exception:  # noqa: BLE001 (whatever it is, it is a finding)
            self.world.broke(self, traceback.format_exc())
            self.kill("an error of its own")

    # --- the engine's outlet -------------------------------------------------------------------

    def say(self, frame: bytes) -> None:
        self.world.point(self, "before-say", frame)
        self._deeds += 1
        self.world.said(self, frame)
        self.world.bus.say(self.name, frame)
        self.world.point(self, "after-say", frame)

    def ask(self, answerer: str, frame: bytes) -> bool:
        self.world.point(self, "before-ask", frame)
        self._deeds += 1
        sent = self.world.bus.ask(self.name, answerer, frame)
        self.world.point(self, "after-ask", frame)
        return sent

    def answer(self, peer: bytes, frame: bytes) -> bool:
        self.world.point(self, "before-answer", frame)
        self._deeds += 1
        sent = self.world.bus.answer(self.name, peer, frame)
        if peer == PERSON:
            self.world.answered(self, frame)
        self.world.point(self, "after-answer", frame)
        return sent

    def perform(self, effect: Message) -> None:
        self._deeds += 1
        self.world.performed(self, effect)
        if self.hands is None:
            raise TypeError(f"{type(effect).__name__} needs an edge")
        self.hands.perform(effect)
        self.world.point(self, "after-perform", type(effect).__name__.encode())

    # --- the edge's host -----------------------------------------------------------------------

    def now_ns(self) -> int:
        return self.world.now_ns()

    def mono_ns(self) -> int:
        return self.world.mono_ns()

    def tell(self, message: Message) -> None:
        if self.up:
            self.deliver(self.world.timeline.host_ns, "tws", b"", message)

    def later(self, host_s: float, act: Act) -> None:
        life = self.lives
        self.world.timeline.after(host_s, lambda: self._in_life(life, act))

    def when_awake(self, act: Act) -> None:
        self._in_life(self.lives, act)

    def _in_life(self, life: int, act: Act) -> None:
        if not self.up or life != self.lives:
            return
        if self.paused:
            self._asleep.append(act)
        else:
            act()


__all__ = ["SECOND_NS", "Killed", "Place", "Process", "Surroundings"]
