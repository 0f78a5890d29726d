"""What the command's exit status says. Scripts rely on these numbers, so they never change."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    """Done, or the answer is yes."""
    NO = 1
    """The answer is no: refused, not well, different, not found."""
    USAGE = 2
    """The command line or the settings are wrong."""
    NOT_RUNNING = 3
    """No system runs, or the part that is needed cannot be reached."""
    TIMED_OUT = 4
    """No answer in time; what was asked may still happen."""


class CommandError(Exception):
    """A command ends here: one plain sentence for the person, one exit code for the script."""

    def __init__(self, code: ExitCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
