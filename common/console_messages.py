"""What the console and its edge tell each other: lines, alert commands, the run's outcome."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from common.messages import DaySummary, Message, Text, Word

LINES_FILE = "log/lines.log"  # in TRADER_VAR: everything the console ever printed
OUTCOME_FILE = "outcome.json"  # in TRADER_RUN: an Outcome, once there is one

Number = Annotated[int, Meta(ge=0)]
Block = Annotated[str, Meta(max_length=20_000)]


class RunBegan(Message, frozen=True):
    """From the edge at each start: `run` differs for every start of the whole system."""

    run: Word


class Print(Message, frozen=True):
    """Lines that belong at byte `offset` of the console's file, so that none is printed twice.

    `shown`: what each standing line (link, halt, ...) now says, so that it is not said again.
    """

    offset: Number
    text: Block
    shown: tuple[tuple[Word, Text], ...]


class RunAlertCommand(Message, frozen=True):
    """Run `alerts.alert_command` with `text` on its standard input; `page`: the page it tells."""

    number: Number
    text: Text
    page: Word


class AlertRan(Message, frozen=True):
    """From the edge: the alert command of that number has ended; `problem` is empty if well."""

    number: Number
    problem: Text


class Stopping(Message, frozen=True):
    """From the edge: the process was told to stop, and has a moment left."""


class Outcome(Message, frozen=True):
    """How the run ended, for the launcher: `refused` with a reason, or after all its `days`."""

    refused: Text
    days: tuple[DaySummary, ...]


EDGE_MESSAGES = (RunBegan, Print, RunAlertCommand, AlertRan, Stopping, Outcome)
