"""The watchdog's rule: who is stuck, who stays down, who restarts too often, who differs.

supervisord restarts what has died; it cannot see what lives and is stuck. A service's work loop
gives a heartbeat after each completed cycle, so silence means that the loop does not turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from common.clock import SECOND_NS
from common.messages import Alert, Halt, Heartbeat
from common.settings import Operation

ProcessState = Literal[
    "STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN"
]

# A look adds no more than this to a silence: when the watchdog itself was stalled (a suspended
# machine), nobody is to be killed for the time that nobody had.
LOOK_NS_MAX = SECOND_NS
DOWN_PAGE_NS = 10 * SECOND_NS  # not running for so long pages, host time
GIVEN_UP_NS = SECOND_NS  # supervisord itself restarts what has just exited
START_AGAIN_NS = 10 * SECOND_NS  # at most so often is a process that was given up started anew
MINUTE_NS = 60 * SECOND_NS


class Process(NamedTuple):
    """One row of supervisord's table; `pid` is 0 while the process does not exist."""

    name: str
    state: ProcessState
    pid: int


class Kill(NamedTuple):
    """End this process at once; supervisord starts it again."""

    name: str
    pid: int
    silent_s: float


class Start(NamedTuple):
    """Start a process that supervisord has given up."""

    name: str


class Back(NamedTuple):
    """Tell that a process runs again, the `times`-th time since we watch."""

    name: str
    times: int


Action = Kill | Start | Back | Alert | Halt


@dataclass(slots=True)
class _Watched:
    pid: int = 0
    silent_ns: int = 0
    spoken: bool = False
    down_ns: int = 0
    started_again_ns: int | None = None
    restarts: int = 0
    restarts_ns: list[int] = field(default_factory=list)


class Vigil:
    """What is known of each process. Feed it `heard` and `look`, carry out what `look` returns.

    `beating`: the programs that give heartbeats; others are only kept running. `name` goes into the
    commands' keys, so that those of an earlier watchdog are not taken for ours.
    """

    def __init__(self, operation: Operation, beating: Sequence[str], name: str) -> None:
        self._operation = operation
        self._beating = frozenset(beating)
        self._name = name
        self._watched: dict[str, _Watched] = {}
        self._newest: dict[int, Heartbeat] = {}
        self._fresh: set[int] = set()
        self._looked_ns: int | None = None
        self._unanswered_ns: int | None = None
        self._raised: set[str] = set()
        self._halts = 0

    def heard(self, heartbeat: Heartbeat) -> None:
        """A heartbeat came. It counts for the process whose id it carries: a service's name may be
        spoken by another program of it since the last look."""
        self._newest[heartbeat.pid] = heartbeat
        self._fresh.add(heartbeat.pid)

    def look(self, table: Sequence[Process], host_ns: int) -> list[Action]:
        """Compares supervisord's table with what was heard; what is to be done, in order."""
        passed_ns = 0 if self._looked_ns is None else host_ns - self._looked_ns
        passed_ns = min(passed_ns, LOOK_NS_MAX)
        self._looked_ns = host_ns
        self._unanswered_ns = None
        living = {row.pid for row in table}
        self._newest = {pid: beat for pid, beat in self._newest.items() if pid in living}
        actions = self._page("supervisord", "", trouble=False)
        for row in table:
            watched = self._watched.setdefault(row.name, _Watched())
            actions += self._follow(watched, row, passed_ns, host_ns)
            actions += self._stuck(watched, row)
            actions += self._down(watched, row, host_ns)
            actions += self._restless(watched, row, host_ns)
        self._fresh.clear()
        actions += self._mixed()
        return actions

    def no_table(self, reason: str, host_ns: int) -> list[Action]:
        """The same where supervisord did not answer: its folder was removed, or it hangs."""
        self._unanswered_ns = self._unanswered_ns or host_ns
        text = (
            f"{reason}: no process is watched, and none that dies may come back; "
            "stop the system with Ctrl+C and start it anew; entries are stopped"
        )
        actions = self._page("supervisord", text, host_ns - self._unanswered_ns >= DOWN_PAGE_NS)
        return [*actions, self._halt(text, host_ns)] if actions else []

    def _follow(
        self, watched: _Watched, row: Process, passed_ns: int, host_ns: int
    ) -> list[Action]:
        back: list[Action] = []
        if row.pid and row.pid != watched.pid:
            if watched.pid:
                watched.restarts_ns.append(host_ns)
                watched.restarts += 1
                back.append(Back(row.name, watched.restarts))
            watched.pid, watched.silent_ns = row.pid, 0
            watched.spoken = row.pid in self._newest
        elif watched.pid in self._fresh:
            watched.silent_ns, watched.spoken = 0, True
        else:
            watched.silent_ns += passed_ns
        watched.down_ns = watched.down_ns + passed_ns if self._is_down(row) else 0
        watched.restarts_ns = [t for t in watched.restarts_ns if host_ns - t < MINUTE_NS]
        return back

    @staticmethod
    def _is_down(row: Process) -> bool:
        """STOPPED and STOPPING are a person's decision."""
        return row.state not in ("RUNNING", "STOPPED", "STOPPING")

    def _stuck(self, watched: _Watched, row: Process) -> list[Action]:
        if row.name not in self._beating or row.state != "RUNNING":
            return []
        operation = self._operation
        patience_s = operation.silence_s_max if watched.spoken else operation.start_grace_s
        if watched.silent_ns <= patience_s * SECOND_NS:
            return []
        silent_s = watched.silent_ns / SECOND_NS
        watched.silent_ns = 0  # should it live on, it is killed again
        text = f"{row.name} lived but was silent for {silent_s:.1f} s; it was killed and restarts"
        return [
            Kill(row.name, row.pid, silent_s),
            Alert(level="notice", code=f"stuck-{row.name}", text=text, raised=True),
        ]

    def _down(self, watched: _Watched, row: Process, host_ns: int) -> list[Action]:
        actions: list[Action] = []
        exited = row.state == "EXITED" and watched.down_ns >= GIVEN_UP_NS
        if row.state == "FATAL" or exited:
            last_ns = watched.started_again_ns
            if last_ns is None or host_ns - last_ns >= START_AGAIN_NS:
                watched.started_again_ns = host_ns
                actions.append(Start(row.name))
        seconds = DOWN_PAGE_NS // SECOND_NS
        text = f"{row.name} does not run for {seconds} s ({row.state}); its log says why"
        return actions + self._page(f"down-{row.name}", text, watched.down_ns >= DOWN_PAGE_NS)

    def _restless(self, watched: _Watched, row: Process, host_ns: int) -> list[Action]:
        code, count = f"restarts-{row.name}", len(watched.restarts_ns)
        limit = self._operation.restarts_per_minute_max
        # Once raised it ends only with a whole quiet minute, so that it does not flicker.
        trouble = count > limit or (code in self._raised and count > 0)
        text = f"{row.name} was restarted more than {limit} times in a minute; entries are stopped"
        actions = self._page(code, text, trouble)
        if any(isinstance(a, Alert) and a.raised for a in actions):
            actions.append(self._halt(text, host_ns))
        return actions

    def _mixed(self) -> list[Action]:
        """All living processes must run the same code with the same settings."""
        beats = self._newest.values()
        differs = [
            what
            for what, values in (
                ("code", {beat.build for beat in beats}),
                ("settings", {beat.settings_hash for beat in beats}),
            )
            if len(values) > 1
        ]
        text = f"processes run with different {' and '.join(differs)}: restart the whole system"
        actions = self._page("mixed", text, bool(differs))
        if any(isinstance(a, Alert) and a.raised for a in actions):
            actions.append(self._halt(text, self._looked_ns or 0))
        return actions

    def _page(self, code: str, text: str, trouble: bool) -> list[Action]:
        if trouble and code not in self._raised:
            self._raised.add(code)
            return [Alert(level="page", code=code, text=text, raised=True)]
        if not trouble and code in self._raised:
            self._raised.remove(code)
            return [Alert(level="page", code=code, text="", raised=False)]
        return []

    def _halt(self, reason: str, host_ns: int) -> Halt:
        self._halts += 1
        key = f"halt-{self._name}-{host_ns}-{self._halts}"
        return Halt(key=key, deadline_ns=0, by=self._name, reason=reason)
