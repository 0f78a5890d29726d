"""What a person may order: which command goes to which service. See topology.COMMANDS."""

from __future__ import annotations

from pathlib import Path

from common import messages as m
from common import topology
from common.bus import Bus
from services.trader.asking import Reply, ask, new_key

FOR_EVER_NS = 0
"""A person's command has no deadline in market time: it is void when the asker stops asking."""


def halt(run_dir: Path, by: str, reason: str) -> list[Reply]:
    command = m.Halt(key=new_key(), deadline_ns=FOR_EVER_NS, by=by, reason=reason)
    return _ask_all(run_dir, [command])


def flatten(run_dir: Path, by: str) -> list[Reply]:
    """The risk monitor sells; the gateway latches by itself, whatever else is down."""
    sell = m.Flatten(key=new_key(), deadline_ns=FOR_EVER_NS, by=by)
    latch = m.Halt(key=new_key(), deadline_ns=FOR_EVER_NS, by=by, reason="trader flatten")
    return _ask(run_dir, [(topology.RISK, sell), (topology.GATEWAY, latch)])


def resume(run_dir: Path, by: str) -> list[Reply]:
    return _ask_all(run_dir, [m.Resume(key=new_key(), deadline_ns=FOR_EVER_NS, by=by)])


def adopt(run_dir: Path, by: str) -> list[Reply]:
    return _ask_all(run_dir, [m.Adopt(key=new_key(), deadline_ns=FOR_EVER_NS, by=by)])


def unlock(run_dir: Path, by: str, reason: str) -> list[Reply]:
    command = m.Unlock(key=new_key(), deadline_ns=FOR_EVER_NS, by=by, reason=reason)
    return _ask_all(run_dir, [command])


def ack(run_dir: Path, by: str) -> list[Reply]:
    return _ask_all(run_dir, [m.AckAlerts(key=new_key(), deadline_ns=FOR_EVER_NS, by=by)])


def test_alert(run_dir: Path) -> list[Reply]:
    return _ask_all(run_dir, [m.TestAlert(key=new_key(), deadline_ns=FOR_EVER_NS)])


def _ask_all(run_dir: Path, commands: list[m.Message]) -> list[Reply]:
    """Each command to every service that topology lets answer it."""
    return _ask(
        run_dir,
        [
            (answerer, command)
            for command in commands
            for answerer in topology.COMMANDS[type(command)].answerers
        ],
    )


def _ask(run_dir: Path, questions: list[tuple[str, m.Message]]) -> list[Reply]:
    bus = Bus(topology.TRADER, run_dir)
    try:
        return ask(bus, questions)
    finally:
        bus.close()
