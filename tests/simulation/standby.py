"""The stop monitor's second copy: the real fold, read on while the active copy writes.

It waits as `common.standby` does; what the lock decides there, the nemesis decides here, who knows
when the active copy dies.
"""

from __future__ import annotations

from typing import Any

from common import standby
from common.fold import Fold
from tests.simulation.process import Process
from tests.simulation.timeline import seconds

FOLLOW_S = 1.0
"""The real one looks twenty times as often; here it has more left to read when it takes over."""
TAKEOVER_S = (0.0, standby.FOLLOW_S)


class Standby:
    """`up` while it follows `active`. Dead until its first `start`."""

    def __init__(self, active: Process) -> None:
        self.active = active
        self.up = False
        self._read_ns = 0
        self._begin()

    def _begin(self) -> None:
        active = self.active
        self._fold = Fold(active.name, active.decider, active.world.settings, active.disk)

    def start(self) -> None:
        """A copy comes up: it stands by, or is the active one where there is none."""
        if self.active.up:
            self.up = True
            self._begin()
        else:
            self.active.start()

    def kill(self) -> None:
        self.up = False

    def look(self) -> None:
        """Reads what is new, every now and then."""
        now_ns = self.active.world.timeline.host_ns
        if self.up and now_ns - self._read_ns >= seconds(FOLLOW_S):
            self._read_ns = now_ns
            self.read_on()

    def read_on(self) -> Any:
        """The state that the journal leads to so far."""
        self._fold.read_on(self.active.folder)
        return self._fold.state

    def take_over(self) -> None:
        """Goes on as the active copy, which has died; whoever is started next stands by."""
        self.up = False
        self.active.start(self._fold)
