"""python -m tests.chaos: accelerated days on real processes while everything is broken on purpose.

`make chaos MINUTES=10 SEED=3`. Exit status: 0 when every promise held, 1 when one did not or when
nothing was shown (no order, no fault); then the folder with journals, logs and wire is kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from rich.console import Console

from common.parent import die_with_parent
from tests.chaos import blows, disk, market, report
from tests.chaos.compare import Fought, compared
from tests.chaos.report import Result
from tests.chaos.schedule import Round, rounds
from tests.chaos.world import World
from tests.whole.system import System

FIRST_DAY = date(2025, 6, 2)
SECONDS_PER_DAY = 4.0
DAYS_PER_MINUTE = 20  # more than pass, so that the market does not end before the minutes do
MINUTES_MAX = 240.0  # beyond it another seed shows more
DISK_MB = 160
DISK_MB_PER_MINUTE = 32
START_S_MAX = 90.0
STOP_S_MAX = 90.0
QUIET_TRIES = 3  # each ends and starts the pacer: more would be its flapping
BETWEEN_TRIES_S = 15.0
ROUNDS_TO_CALM = 6  # after so many the faults pause until the system has recovered
SETTINGS = {
    # The disk is small here.
    "TRADER__OPERATION__DISK_FREE_MB_MIN": "24",
    "TRADER__OPERATION__DISK_RESERVE_MB": "2",
}


def main(arguments: list[str]) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    options.add_argument("--minutes", type=float, default=10.0, help="of faults, host time")
    options.add_argument("--seed", type=int, default=1, help="of the faults and of the market")
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args(arguments)
    if not 0 < chosen.minutes <= MINUTES_MAX:
        options.error(f"--minutes lies between 0 and {MINUTES_MAX:g}")
    if chosen.folder is None:
        return in_a_folder_of_its_own(arguments, chosen.minutes)
    die_with_parent(os.getppid())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    place, no_disk = disk.given()
    held = False
    try:
        result = run(chosen.folder, chosen.minutes, chosen.seed, place, no_disk)
        Console(width=100).print(report.table(result))
        for line in report.details(result):
            say(line)
        held = result.held and result.proved
    finally:
        if not held and place is not None:
            disk.keep(place)
    return 0 if held else 1


def in_a_folder_of_its_own(arguments: list[str], minutes: float) -> int:
    """The whole run, with a small disk where that is allowed; the folder stays when it failed."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    size_mb = DISK_MB + int(DISK_MB_PER_MINUTE * minutes)
    inside = [*arguments, "--folder", str(folder)]
    try:
        failed = disk.run_inside("tests.chaos", inside, folder / "var", size_mb)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        say("interrupted: nothing was compared")
        return 1
    if not failed:
        shutil.rmtree(folder)
        return 0
    say(f"kept: {folder}: var/sim/*/log, var/sim/*/journal, wire-0.msgpack, terminal-*.txt")
    say(f"look: XDG_RUNTIME_DIR={folder} TRADER_VAR={folder}/var .venv/bin/trader status")
    return failed


def run(folder: Path, minutes: float, seed: int, place: Path | None, no_disk: str) -> Result:
    """Everything from the first start to the comparison of the books."""
    days = int(minutes * DAYS_PER_MINUTE) + 60
    data = market.write(folder / "market", seed, FIRST_DAY, days)
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    state = folder / "broker.state"
    fought = Fought(seed, {"disk-full": no_disk} if no_disk else {})
    with System(
        folder,
        days=days,
        seconds_per_day=SECONDS_PER_DAY,
        options=["--data", str(data), "--start", FIRST_DAY.isoformat(), "--seed", str(seed)],
        sim_options=f"--state {state}",
        settings=SETTINGS,
    ) as system:
        world = World(system, place)
        system.prints("EMAs Initialized", START_S_MAX)
        end_s = time.monotonic() + 60.0 * minutes
        for number, round_ in enumerate(rounds(seed, blows.targets(disk=no_disk)), 1):
            if time.monotonic() + round_.pause_s > end_s or system.ended:
                break
            world.listen(round_.pause_s)
            if world.halted and not world.unsettled():
                world.resume()
            say(f"{system.day()} {', '.join(f'{b.kind} {b.target}'.strip() for b in round_.blows)}")
            strike(world, round_)
            fought.count(round_)
            if number % ROUNDS_TO_CALM == 0:
                fought.ready_s.append(world.await_calm())
        fought.ready_s.append(world.await_calm())
        come_to_rest(world)
        world.forget()
    return compared(world, fought, state)


def strike(world: World, round_: Round) -> None:
    """All blows of a round at once, for as long as the longest; then each is lifted."""
    with ExitStack() as lifted:
        for blow in round_.blows:
            act = blows.STRIKES[blow.kind](world, blow)
            next(act)
            lifted.callback(next, act, None)
        world.listen(max(0.1, *(blow.seconds for blow in round_.blows)))


def come_to_rest(world: World) -> None:
    """Stops the market at an instant at which nothing is under way, then everything, as Ctrl+C."""
    if world.run.ended:
        return
    for _ in range(QUIET_TRIES):
        world.stop_the_market()
        world.listen(2.0)
        if world.at_rest():
            break
        world.start_the_market()
        world.listen(BETWEEN_TRIES_S)
    else:
        world.complaints.append("orders were under way whenever the market was stopped")
    world.run.interrupt()
    if world.run.exit_status(STOP_S_MAX) != 0:
        world.complaints.append(f"it did not stop cleanly:\n{world.run.terminal[-1000:]}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
