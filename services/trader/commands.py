"""What a person may order: which command goes to which service. Pure; see topology.COMMANDS.

A person's command has no deadline in market time: it is void when the asker stops asking.
"""

from __future__ import annotations

from typing import Any

from common import messages as m
from common import topology

Questions = list[tuple[str, Any]]
"""(service, command) pairs."""


def halt(key: str, by: str, reason: str) -> Questions:
    return _to_all(m.Halt(key=key, deadline_ns=0, by=by, reason=reason))


def flatten(key: str, by: str) -> Questions:
    """The risk monitor sells; the gateway latches by itself, whatever else is down."""
    return [
        (topology.RISK, m.Flatten(key=key, deadline_ns=0, by=by)),
        (topology.GATEWAY, m.Halt(key=key, deadline_ns=0, by=by, reason="trader flatten")),
    ]


def resume(key: str, by: str) -> Questions:
    return _to_all(m.Resume(key=key, deadline_ns=0, by=by))


def adopt(key: str, by: str) -> Questions:
    return _to_all(m.Adopt(key=key, deadline_ns=0, by=by))


def unlock(key: str, by: str, reason: str) -> Questions:
    return _to_all(m.Unlock(key=key, deadline_ns=0, by=by, reason=reason))


def ack(key: str, by: str) -> Questions:
    return _to_all(m.AckAlerts(key=key, deadline_ns=0, by=by))


def try_alert(key: str) -> Questions:
    return _to_all(m.TestAlert(key=key, deadline_ns=0))


def _to_all(command: m.Message) -> Questions:
    """To every service that topology lets answer it."""
    return [(answerer, command) for answerer in topology.COMMANDS[type(command)].answerers]
