"""`trader sim`: what was done to the simulated TWS, in words a person can act on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from services.sim_tws import control
from services.sim_tws.market.synthetic import synthetic
from services.trader import sim
from services.trader.exit_codes import CommandError, ExitCode
from tests.sim_tws.harness import SimThread, running


@pytest.fixture
def tws(tmp_path: Path) -> Iterator[SimThread]:
    with running(synthetic(1), tmp_path) as server:
        yield server


def shown(tws: SimThread, question: dict[str, Any]) -> list[str]:
    line = json.dumps(question).encode()
    answer = tws.do(lambda: control.answer(tws.server, line))
    console = Console(width=160)
    with console.capture() as captured:
        console.print(sim.on_screen(answer))
    return [line.strip() for line in captured.get().splitlines()]


def test_a_fault_answers_with_its_meaning_and_with_every_argument(tws: SimThread) -> None:
    (line,) = shown(tws, {"fault": "wild-print", "args": {"percent": -5}})

    assert line.startswith("wild-print")
    assert "percent=-5.0" in line
    assert len(line.split("  ")) > 2


def test_a_switch_says_how_it_is_turned_off_again(tws: SimThread) -> None:
    on = shown(tws, {"fault": "read-only", "args": {}})
    off = shown(tws, {"fault": "read-only", "args": {"on": False}})

    assert on[1:] == ["until: trader sim read-only on=false"]
    assert off[1:] == []


def test_lists_stand_one_item_a_line_by_name(tws: SimThread) -> None:
    tws.do(lambda: control.answer(tws.server, b'{"fault": "read-only", "args": {}}'))

    lines = shown(tws, {"status": True})

    assert "switches     read_only=true" in lines
    assert not any("{" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-fault"], "no-such-fault"),
        (["wild-print", "percent=much"], "percent"),
        (["wild-print", "percent"], "name=value"),
    ],
)
def test_words_that_mean_nothing_are_bad_usage_and_named(
    tws: SimThread, tmp_path: Path, words: list[str], said: str
) -> None:
    path = tmp_path / sim.SOCKET_NAME
    listener = tws.done(control.listen(tws.server, path))
    fault, *given = words

    with pytest.raises(CommandError, match=said) as refused:
        sim.ask(tmp_path, {"fault": fault, "args": sim.arguments(given)})

    assert refused.value.code == ExitCode.USAGE
    tws.do(listener.close)
