"""watchdog: hears Heartbeats and reads the standby's signs of life; kills what lives but is stuck;
says Restarted, Alert; asks Halt of risk_monitor and broker_gateway when processes differ, will not
stay up or cannot be watched

owns: nothing.   if it dies: supervisord restarts it; until then only the dead are restarted.
"""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

from common import clock as clocks
from common import settings as settings_file
from common.bystander import Bystander
from common.clock import SECOND_NS, Clock, host_ns
from common.core.vigil import Action, Back, Kill, Start, Vigil
from common.lock import hold_lock, lock_path
from common.messages import Alert, Restarted
from common.parent import die_with_supervisord
from common.service import build_hash, folders, start_log
from common.standby import Signs
from common.supervision import Supervisor, SupervisorError
from common.topology import RISK, RISK_STANDBY, SPEAKERS, WATCHDOG

log = logging.getLogger(__name__)

LOOK_NS = SECOND_NS // 2
STARTS_FILE = "watchdog.starts"
BEATING = (*(speaker for speaker in SPEAKERS if speaker != WATCHDOG), RISK_STANDBY)


def main() -> None:
    """Runs until told to stop."""
    die_with_supervisord()
    var_dir, run_dir = folders()
    settings = settings_file.load()
    clock = clocks.from_environment()
    start_log(WATCHDOG, clock)
    if hold_lock(lock_path(var_dir, WATCHDOG)) is None:
        raise SystemExit("a second watchdog is running; this one stops")
    bystander = Bystander(WATCHDOG, run_dir, settings, clock, build_hash())
    supervisor = Supervisor(run_dir / "supervisor.sock")
    vigil = Vigil(settings.operation, BEATING, WATCHDOG)
    signs = Signs(run_dir, RISK)
    if count := starts_before(run_dir):
        bystander.say(Restarted(WATCHDOG, count, clock.now_ns()))
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    look_ns = 0
    while not stopping:
        for beat in bystander.hear(LOOK_NS / SECOND_NS / 4):
            vigil.heard(beat.heartbeat)
        if host_ns() - look_ns >= LOOK_NS:
            look_ns = host_ns()
            if (sign := signs.news()) is not None:
                vigil.heard(sign)
            try:
                actions = vigil.look(supervisor.processes(), host_ns())
            except SupervisorError as error:
                log.warning("%s", error)
                actions = vigil.no_table(str(error), host_ns())
            for action in actions:
                carry_out(action, bystander, supervisor, clock)
            bystander.beat()
    bystander.close()


def starts_before(run_dir: Path) -> int:
    """How often a watchdog was started before in this run of the system; this start is noted: of
    its own end nobody else tells."""
    with (run_dir / STARTS_FILE).open("ab") as file:
        file.write(b".")
        return file.tell() - 1


def carry_out(action: Action, bystander: Bystander, supervisor: Supervisor, clock: Clock) -> None:
    """Does one thing that the vigil asks for; what supervisord refuses keeps no other from being
    done."""
    if isinstance(action, Kill):
        log.error("%s (pid %d) silent for %.1f s: killed", *action)
        try:
            os.killpg(action.pid, signal.SIGKILL)  # supervisord gives each process its own group
        except ProcessLookupError:
            log.info("%s had just ended by itself", action.name)
    elif isinstance(action, Start):
        log.error("%s was given up by supervisord: started again", action.name)
        try:
            supervisor.start(action.name)
        except SupervisorError as error:
            log.warning("%s", error)
    elif isinstance(action, Back):
        log.warning("%s runs again (%d)", action.name, action.times)
        bystander.say(Restarted(action.name, action.times, clock.now_ns()))
    elif isinstance(action, Alert):
        log.warning("alert %s: %s", action.code, action.text if action.raised else "ended")
        bystander.say(action)
    else:
        bystander.ask(action)


if __name__ == "__main__":
    main()
