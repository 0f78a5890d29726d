"""A second copy that waits: it follows the active one's journal, to go on with it when that dies.

It opens no socket, says nothing and writes nothing but its sign of life, by which the watchdog sees
that it would wake. It goes on only with what has been running: where code or settings differ from
the active copy's and a start from disk would run something else than this process, it ends, and
supervisord starts it from disk.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

from common import wire
from common.clock import SECOND_NS, Clock, host_ns
from common.fold import Fold
from common.journal import JournalDamagedError
from common.lock import AwaitedLock, hold_lock
from common.messages import Heartbeat
from common.settings import Settings

log = logging.getLogger(__name__)

FOLLOW_S = 0.05  # so much of the journal is left to fold at the most when it takes over
TRY_AGAIN_S = 1.0  # the same of a journal that cannot be read
SIGN_NS = SECOND_NS // 2
EXIT_OUTDATED = 76


class Standby:
    """Construct, `wait`; when that returns, this process holds the lock and `fold` is at the end.

    `on_disk`: build and settings that a start would have now, None where it could not start.
    """

    def __init__(
        self,
        fold: Fold,
        folder: Path,
        lock_file: Path,
        run_dir: Path,
        settings: Settings,
        clock: Clock,
        build: str,
        on_disk: Callable[[], tuple[str, str] | None],
    ) -> None:
        self._fold = fold
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._build = build
        self._on_disk = on_disk
        self._lock_file = lock_file
        self._sign_path = sign_path(run_dir, fold.name)
        self._checked = ("", "")
        self._damage: JournalDamagedError | None = None
        self._sign_ns = 0

    def wait(self, taken: int) -> int:
        """Follows until the lock is ours; its descriptor. `taken`: exit status where another stands
        by already.

        SystemExit when told to stop, or when what is on disk must run instead.
        """
        sign = hold_lock(self._sign_path)
        if sign is None:
            log.error(
                "a second and a third copy of %s are running; this one stops", self._fold.name
            )
            sys.exit(taken)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        log.info("standing by")
        lock = AwaitedLock(self._lock_file)
        poller = select.poll()
        poller.register(lock.descriptor, select.POLLIN)
        while not poller.poll(1000 * (TRY_AGAIN_S if self._damage else FOLLOW_S)):
            self._follow()
            self._give_sign(sign)
        log.info("the active copy has ended: taking over")
        os.close(sign)  # whoever comes now stands by for us
        self._checked = ("", "")  # the disk may have changed since
        self._follow()
        return lock.lock

    def _follow(self) -> None:
        try:
            damage = self._fold.read_on(self._folder)
        except FileNotFoundError:
            return  # set aside by the active copy just now; the next look finds its successor
        if damage is not None and self._damage is None:
            log.warning("cannot be followed: %s", damage)
        self._damage = damage
        running = (self._fold.build, self._fold.settings_json)
        if running != self._checked:
            self._checked = running
            self._end_if_outdated(running)

    def _end_if_outdated(self, running: tuple[str, str]) -> None:
        mine = (self._build, self._settings.to_json())
        if running in (mine, ("", "")):
            return
        on_disk = self._on_disk()
        if on_disk is None or on_disk == mine:
            log.warning("the active copy runs with other code or settings than this one")
            return
        log.error("what runs and what is on disk differ from this copy: it stops to start anew")
        sys.exit(EXIT_OUTDATED)

    def _give_sign(self, sign: int) -> None:
        now_ns = host_ns()
        if now_ns - self._sign_ns < SIGN_NS:
            return
        self._sign_ns = now_ns
        beat = Heartbeat(
            pid=os.getpid(),
            ready=self._damage is None,
            busy=False,
            caught_up_ns=self._clock.now_ns(),
            build=self._build,
            settings_hash=self._settings.hash(),
            verdict=f"cannot follow: {self._damage}"[:200] if self._damage else "standing by",
            said=(),
        )
        give_sign(sign, beat)


class Signs:
    """The signs of life of a service's standby, for whoever looks on."""

    def __init__(self, run_dir: Path, name: str) -> None:
        self._path = sign_path(run_dir, name)
        self._decode = msgspec.msgpack.Decoder(Heartbeat).decode
        self._seen_ns = 0

    def news(self) -> Heartbeat | None:
        """The newest sign; None when none was given since the last call."""
        try:
            given_ns = self._path.stat().st_mtime_ns
            beat = self._decode(self._path.read_bytes())
        except (FileNotFoundError, msgspec.MsgspecError):
            return None  # none yet, or one half written: the next look finds it
        if given_ns == self._seen_ns:
            return None
        self._seen_ns = given_ns
        return beat


def give_sign(descriptor: int, beat: Heartbeat) -> None:
    """Writes a sign of life over the one before."""
    data = wire.encode_any(beat)
    os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, len(data))


def sign_path(run_dir: Path, name: str) -> Path:
    return run_dir / f"{name}.standby"


def _end(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(0)
