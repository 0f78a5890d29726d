"""A small fixed amount of what `make fuzz` does at length, and that a broken promise is found."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from common import journal
from common.core.monitor import stop
from tests.fuzz import journal_files, stops
from tests.fuzz.__main__ import TARGETS, line
from tests.fuzz.target import Broken, Tally, Target, played

AMOUNTS = {
    "sim-client": 400, "tws-gateway": 600, "tws-feed": 400, "decoders": 3000, "deciders": 1500,
    "sockets": 500, "journal": 60, "settings": 80, "bad-prints": 40, "splits": 8, "flows": 8,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of connections that TWS cut off
@pytest.mark.parametrize("name", AMOUNTS)
def test_hostile_input_breaks_no_promise(name: str) -> None:
    found = played(TARGETS[name], seed=1, messages=AMOUNTS[name])
    assert not found.broken
    assert found.messages == AMOUNTS[name]
    assert found.tally.rejected or TARGETS[name] in stops.TARGETS, "nothing in it was hostile"


def test_a_journal_cut_anywhere_loses_nothing_that_is_whole(tmp_path: Path) -> None:
    """Every byte is `make fuzz`'s; here each 83rd, and the frames' own edges by test_journal."""
    assert journal_files.every_cut(tmp_path, step=83) > 50


def test_the_fuzzer_finds_damage_that_is_taken_for_a_torn_tail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal, "_sound_frame_after", lambda *_: False)
    assert "BROKEN" in line(played(TARGETS["journal"], seed=1, messages=100))


def test_the_fuzzer_finds_a_stop_that_one_sample_confirms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "LAST_SECONDS_NS", 10**18)
    found = played(TARGETS["bad-prints"], seed=1, messages=400)
    assert "a false stop" in found.broken


def test_the_fuzzer_finds_a_stop_that_waits_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "judge", lambda *_: None)
    found = played(TARGETS["flows"], seed=1, messages=20)
    assert "masked" in found.broken


def test_a_broken_promise_names_the_command_that_plays_it_again() -> None:
    def second(rng: random.Random, messages: int, _folder: Path) -> Tally:
        if rng.random() < 0.5:
            raise Broken("a promise")
        return Tally(accepted=messages)

    found = played(Target("t", "", second, 10, 1.0), seed=3, messages=1000)
    number = found.messages // 10
    assert f"python -m tests.fuzz t --seed 3 --episode {number} --messages 10" in found.broken
    again = played(Target("t", "", second, 10, 1.0), seed=3, messages=10, only=number)
    assert again.broken
