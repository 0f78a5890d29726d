"""console: hears what a person should know; prints the lines, sends the alerts; answers AckAlerts,
TestAlert

owns: the file of lines, the open pages.   if it dies: trading goes on; its journal and that file
bring it back without a line lost or repeated. On a full disk lines wait, alerts go.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shlex
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from common import service
from common.clock import Clock
from common.console_messages import (
    LINES_FILE,
    OUTCOME_FILE,
    AlertRan,
    Outcome,
    Print,
    RunAlertCommand,
    RunBegan,
    Stopping,
)
from common.core import console
from common.messages import Message
from common.settings import Alerts, Settings

log = logging.getLogger(__name__)


class ConsoleEdge:
    """The file of lines, which the launcher follows on the terminal, and the alert command."""

    def __init__(self, settings: Settings, clock: Clock, hear: Callable[[Message], None]) -> None:  # noqa: ARG002 - the decider has the time
        self._settings = settings
        self._hear = hear
        var_dir, self._run_dir = service.folders()
        self._lines = var_dir / LINES_FILE
        self._lines.parent.mkdir(parents=True, exist_ok=True)
        self._unwritten: deque[Print] = deque(maxlen=console.RECENT)
        self._alerts: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Tells the decider which run of the system this is."""
        self._hear(RunBegan(run=self._run_dir.name))

    def perform(self, effect: Message) -> None:
        """Prints, sends or hands over one thing."""
        if isinstance(effect, Print):
            self._print(effect)
        elif isinstance(effect, RunAlertCommand):
            task = asyncio.get_event_loop().create_task(self._alert(effect))
            self._alerts.add(task)
            task.add_done_callback(self._alerts.discard)
        elif isinstance(effect, Outcome):
            write_whole(self._run_dir / OUTCOME_FILE, msgspec.json.encode(effect))

    async def stop(self) -> None:
        """Prints what the system leaves behind."""
        self._hear(Stopping())

    def _print(self, lines: Print) -> None:
        """Lines that the disk does not take wait for the next ones, in their order."""
        self._unwritten.append(lines)
        try:
            while self._unwritten:
                self._write(self._unwritten[0])
                self._unwritten.popleft()
        except OSError as error:
            log.error("%s cannot be written: %s", self._lines, error)  # noqa: TRY400 - the disk is full: no traceback

    def _write(self, lines: Print) -> None:
        # One write, so that a kill leaves a group of lines there or not there, never half of it.
        data = lines.text.encode()
        with self._lines.open("ab", buffering=0) as file:
            end = file.tell()
            if end <= lines.offset and file.write(data) < len(data):
                file.truncate(end)
                raise OSError(errno.ENOSPC, "a short write")

    async def _alert(self, alert: RunAlertCommand) -> None:
        problem = await run_alert_command(self._settings.alerts, alert.text)
        if problem:
            log.error("alert command: %s", problem)
        self._hear(AlertRan(number=alert.number, problem=problem[:2000]))


async def run_alert_command(alerts: Alerts, text: str) -> str:
    """Runs `alerts.alert_command` with `text` on its standard input; what went wrong, or ""."""
    if not alerts.alert_command:
        return ""
    stdin = _holding(text)
    try:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(alerts.alert_command),
            stdin=stdin,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except (OSError, ValueError) as error:
        return f"cannot be run: {error}"
    finally:
        os.close(stdin)
    try:
        await asyncio.wait_for(process.wait(), alerts.command_timeout_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"did not end within {alerts.command_timeout_s:g} s"
    return f"ended with status {process.returncode}" if process.returncode else ""


def _holding(text: str) -> int:
    """The end to read of a pipe that holds all of `text`: a command that was started gets it whole,
    whatever ends this process meanwhile."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.write(writing, text.encode())
    os.close(writing)
    return reading


def write_whole(path: Path, data: bytes) -> None:
    """Replaces a file in one step, so that nobody reads half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(path)


if __name__ == "__main__":
    service.main("console", console, edge=lambda: ConsoleEdge)
