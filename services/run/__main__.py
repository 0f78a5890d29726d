"""make run: the whole system in one terminal, until its days are over or Ctrl+C.

Exit status: 0 when the run ended as asked, 1 with a reason when it could not be started or
something failed, 2 when the settings or the command line are wrong.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from common.lock import hold_lock, holder
from services.run import comparison, summary
from services.run import plan as plans
from services.run.plan import Plan, RefusedError
from services.run.system import System

FOLLOW_S = 0.1
SIM_REFUSES = "simulated TWS cannot start"  # it says so once, with the file, row and reason
SHUTDOWN_SIGN = "⏹️"
SHUTDOWN_UNKNOWN = f"{SHUTDOWN_SIGN} System shutdown. The position is not known here: look in TWS"


class Terminal:
    """Passes the console's lines on, the market-time lines dimmed where colours are shown."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.said_shutdown = False

    def follow(self) -> None:
        text = self._system.new_lines()
        for line in text.splitlines():
            self.said_shutdown = self.said_shutdown or line.startswith(SHUTDOWN_SIGN)
            dim = self._colours and line.startswith("— ")
            say(f"\x1b[2m{line}\x1b[0m" if dim else line)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Runs the system; returns the exit status."""
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # a text stream
    try:
        plan = plans.make(sys.argv[1:], os.environ)
    except RefusedError as refusal:
        say(f"❌ Not started: {refusal}")
        return 2
    for lock in plan.locks:
        if hold_lock(lock) is None:
            pid = holder(lock)
            say(
                f"❌ Not started: the {plan.mode} system is already running (process {pid}): "
                "`trader status` shows it, Ctrl+C where it was started ends it"
            )
            return 1
    try:
        if not plan.simulated:
            plans.refuse_without_tws(plan.settings)
        plans.make_folders(plan)
        plans.record(plan)
        return run(plan)
    except RefusedError as refusal:
        say(f"❌ Not started: {refusal}")
        return 1


def run(plan: Plan) -> int:
    """Starts the system and stays with it; returns the exit status."""
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: stopping.append(received))
    say(banner(plan))
    with System(plan) as system:
        terminal = Terminal(system)
        failure = ""
        while not stopping and not failure and system.outcome() is None:
            terminal.follow()
            failure = what_failed(system, plan)
            time.sleep(FOLLOW_S)
        outcome = system.outcome()
        stopped = system.stop(terminal.follow)
        if not terminal.said_shutdown:
            say(SHUTDOWN_UNKNOWN)
        if not stopped:
            say("❌ Some process did not stop in time and was killed")
    if outcome is not None and outcome.refused:
        failure = outcome.refused
    elif outcome is not None:
        summary.show(outcome.days)
        not_compared = comparison.show(plan.var_dir) if outcome.days else ""
        if not_compared:
            say(f"   {not_compared}")
        failure = failure or summary.missing(outcome.days, plan.days)
    if failure:
        say(f"❌ {failure}")
    return 1 if failure else 0


def banner(plan: Plan) -> str:
    where = f"journals and logs in {plan.var_dir}"
    if plan.simulated:
        return f"   Simulated TWS: no real market, no real money; {where}"
    return f"   {plan.mode.capitalize()} account at a real TWS; {where}"


def what_failed(system: System, plan: Plan) -> str:
    """Why the run cannot go on, or ""."""
    if not system.alive:
        return f"supervisord has ended: see {plan.var_dir / 'log'}"
    if plan.simulated and system.look_is_due():
        last = system.last_log_line("sim_tws")
        simulated = system.process("sim_tws")
        down = simulated is not None and simulated.state in ("BACKOFF", "FATAL")
        if down or last.startswith(SIM_REFUSES):
            return last
    return ""


if __name__ == "__main__":
    sys.exit(main())
