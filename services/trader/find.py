"""Which system the person means: the running one, or the one that `--mode` names."""

from __future__ import annotations

from pathlib import Path

from common import running
from common.clock import Clock, ReplayClock, WallClock
from common.running import Mode, Running
from services.trader.exit_codes import CommandError, ExitCode

REMOVED = (
    "the folder of its sockets was removed: no command reaches it and nothing of it that dies can "
    "be started again; stop it with Ctrl+C and start it anew"
)


def any_system(root: Path, mode: Mode | None) -> Running:
    """The running system, else the one that ran last (its journals are still there).

    CommandError: several run and no mode is named; none ever ran here.
    """
    try:
        known = [found for found in running.known(root) if mode in (None, found.mode)]
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, str(error)) from error
    alive = [found for found in known if found.alive]
    if len(alive) > 1:
        modes = " and ".join(found.mode for found in alive)
        raise CommandError(ExitCode.USAGE, f"{modes} are running: say which with --mode")
    if known:
        return alive[0] if alive else known[0]
    named = f" in mode {mode}" if mode else ""
    raise CommandError(
        ExitCode.NOT_RUNNING,
        f"no system runs or ever ran{named} under {root}/: start one with `make run`, "
        "or point TRADER_VAR at its folder",
    )


def running_system(root: Path, mode: Mode | None) -> Running:
    """The running system; CommandError when there is none."""
    found = any_system(root, mode)
    if not found.alive:
        raise CommandError(
            ExitCode.NOT_RUNNING,
            f"the {found.mode} system started {found.started} is not running any more: "
            "start it with `make run`",
        )
    if not Path(found.run_dir).is_dir():
        raise CommandError(
            ExitCode.NOT_RUNNING,
            f"the {found.mode} system (process {found.pid}) is just ending, or {REMOVED}",
        )
    return found


def clock_of(system: Running) -> Clock:
    """The market time that the system lives by."""
    if not system.clock:
        return WallClock()
    try:
        return ReplayClock(Path(system.clock))
    except (OSError, ValueError) as error:
        raise CommandError(
            ExitCode.NOT_RUNNING, f"its clock cannot be read ({error}): is it still starting?"
        ) from error
