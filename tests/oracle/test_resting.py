"""The judge knows the stop that rests at the broker: honest days pass, each fault is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.oracle.test_judge import PRICE, SHARES, STOPPED, ended, holding
from tests.oracle.traffic import Traffic

LEVEL = 99.17  # a loss of 2.5 % at 3x, rounded up to the cent
FALLEN = 99.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wire.msgpack"


def resting(path: Path) -> Traffic:
    return holding(path).rest(11, SHARES, LEVEL)


def test_an_exit_in_the_stops_group_is_honest_and_the_group_counts_once(path: Path) -> None:
    traffic = resting(path).at("11:00").quote(STOPPED).place(12, "SELL", SHARES, group="intent-11")
    traffic.execute(12, "SLD", SHARES, STOPPED).status(11, "Cancelled").status(12, "Filled")
    traffic.position(0).account(cash_usd=969_998, net_usd=969_998)
    found = ended(traffic)
    assert found.violations == (), found.text()
    assert (found.figures.stops, found.figures.exits) == (1, 0)


def test_a_stop_that_sells_at_the_broker_answers_the_breach(path: Path) -> None:
    traffic = resting(path).at("11:00").quote(FALLEN).execute(11, "SLD", SHARES, FALLEN)
    traffic.status(11, "Filled").position(0).account(cash_usd=969_998, net_usd=969_998)
    found = ended(traffic)
    assert found.violations == (), found.text()
    assert (found.figures.stops, found.figures.exits) == (1, 0)
    assert found.figures.stop_host_s == (0.0,)


def test_an_exit_that_crossed_the_stops_fill_on_the_wire_is_honest(path: Path) -> None:
    traffic = resting(path).at("11:00").quote(FALLEN).execute(11, "SLD", SHARES, FALLEN)
    traffic.status(11, "Filled").place(12, "SELL", SHARES, group="intent-11").error(12, 201)
    found = ended(traffic.position(0))
    assert found.violations == (), found.text()


Story = Callable[[Path], Traffic]
BROKEN: dict[str, tuple[str, Story]] = {
    "a breach that only a resting stop would answer": (
        "no sell order followed",
        lambda path: resting(path).at("11:00").quote(STOPPED).at("11:01").quote(PRICE),
    ),
    "two stops": (
        "two stops alive at once",
        lambda path: resting(path).rest(12, SHARES, LEVEL),
    ),
    "a stop larger than the position": (
        "covers 30001 of 30000 held",
        lambda path: holding(path).rest(11, SHARES + 1, LEVEL),
    ),
    "a stop beside an open exit": (
        "beside an open exit",
        lambda path: holding(path).quote(STOPPED).place(11, "SELL", SHARES).rest(12, 100, LEVEL),
    ),
    "a stop at another level": (
        "at 98 leaves",
        lambda path: holding(path).rest(11, SHARES, 98.0),
    ),
    "a stop that one wild print fires": (
        "triggered by one wild print",
        lambda path: holding(path).rest(11, SHARES, LEVEL, trigger=0),
    ),
    "a stop that outlives its day": (
        "not for the regular session of one day",
        lambda path: holding(path).place(
            11, "SELL", SHARES, kind="STP", tif="GTC", group="intent-11", stop_usd=LEVEL),
    ),
    "a stop without a group": (
        "no group of its own",
        lambda path: holding(path).place(11, "SELL", SHARES, kind="STP", stop_usd=LEVEL),
    ),
    "an exit beside the stop, not in its group": (
        "not in the group of stop 11",
        lambda path: resting(path).quote(STOPPED).place(12, "SELL", SHARES),
    ),
    "an exit in the group of a stop not yet known there": (
        "30000 in sales already",
        lambda path: holding(path).quote(STOPPED).place(
            11, "SELL", SHARES, kind="STP", group="intent-11", stop_usd=LEVEL, trigger=1)
        .place(12, "SELL", SHARES, group="intent-11"),
    ),
    "an exit beside a stop that is being cancelled": (
        "30000 in sales already",
        lambda path: resting(path).quote(STOPPED).cancel(11)
        .place(12, "SELL", SHARES, group="intent-11"),
    ),
    "an entry while a stop rests": (
        "while SELL 11 is open",
        lambda path: resting(path).at("15:55").place(12, "BUY", 100),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_each_fault_of_a_resting_stop_is_found(path: Path, name: str) -> None:
    phrase, story = BROKEN[name]
    found = ended(story(path))
    assert any(phrase in violation.sentence for violation in found.violations), found.text()
