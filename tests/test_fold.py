"""A journal that is followed while it is written leads to what a restart would fold from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common import topology
from common.core import risk
from common.engine import CHECKPOINT_RECORDS
from common.fold import Decider, Fold
from common.journal import Journal, JournalDamagedError, newest_file, read
from common.messages import JournalDamaged, RiskState, Started
from common.settings import Settings
from tests.core.risk_play import session
from tests.engine_play import STATE, Loop, Outputs, Scripted, commission, loop, summary
from tests.test_engine import Recorded, next_session
from tests.test_wire import SUBMIT

SCRIPT: Outputs = {"Commission2": [STATE, SUBMIT], "Commission3": [summary(3)]}


def fold(decider: Decider | None = None) -> Fold:
    return Fold(topology.RISK, decider or Scripted(), Settings())


def known(found: Fold) -> tuple[Any, ...]:
    """Everything that a takeover goes on with."""
    state = msgspec.msgpack.encode(found.state, order="deterministic")
    return (state, found.memory, found.path, found.sound_bytes, found.records, found.latest_day)


def as_a_restart(found: Fold, folder: Path, decider: Decider | None = None) -> bool:
    cold = fold(decider)
    assert cold.read_on(folder) is None
    return known(found) == known(cold)


def day_of_the_risk_monitor(folder: Path) -> Iterator[Loop]:
    """A whole day as RiskDay plays it and the next morning, through frames; yields after each."""
    day = Recorded()
    day.open_at()
    day.enter()
    day.sold(day.stopped_at(396.0), 396.0)
    day.next_session()
    play = Loop(folder, risk)
    for number, (now, message) in enumerate(day.heard, start=1):
        play.world.market_ns, play.world.host_ns = now.market_ns, now.host_ns
        if type(message) in topology.FACTS:
            play.fact(message, number)
        elif not isinstance(message, Started):
            play.engine.hear_local(message)
        yield play


@pytest.mark.parametrize("every", [1, 2, 7, 1000])
def test_following_the_risk_monitors_day_leads_to_what_a_restart_folds(
    tmp_path: Path, every: int
) -> None:
    followed = fold(risk)
    for number, _ in enumerate(day_of_the_risk_monitor(tmp_path), start=1):
        if number % every == 0:
            assert followed.read_on(tmp_path) is None
            assert as_a_restart(followed, tmp_path, risk)
    followed.read_on(tmp_path)
    assert as_a_restart(followed, tmp_path, risk)
    assert followed.state.day is not None
    assert len(Journal(tmp_path).files()) > 2, "over the turn of a session"


def test_following_over_a_checkpoint_leads_to_what_a_restart_folds(tmp_path: Path) -> None:
    play = loop(tmp_path, SCRIPT)
    followed = fold()
    for number in range(1, CHECKPOINT_RECORDS + 50):
        play.fact(commission(number), number)
        if number % 100 == 0:
            play.engine.tick()
            followed.read_on(tmp_path)
    followed.read_on(tmp_path)
    assert followed.records < CHECKPOINT_RECORDS
    assert as_a_restart(followed, tmp_path)


def test_a_torn_tail_is_simply_not_yet_there(tmp_path: Path) -> None:
    play = loop(tmp_path, SCRIPT)
    play.fact(commission(1), 1)
    followed = fold()
    followed.read_on(tmp_path)
    path = Journal(tmp_path).files()[-1]
    before, known_before = path.stat().st_size, known(followed)
    play.fact(commission(2), 2)
    whole = path.read_bytes()
    for cut in range(before, len(whole)):
        path.write_bytes(whole[:cut])
        assert followed.read_on(tmp_path) is None
        assert known(followed) == known_before
    path.write_bytes(whole)
    assert followed.read_on(tmp_path) is None
    assert followed.state.seen[-1] == "SubmitOrder" + SUBMIT.key
    assert as_a_restart(followed, tmp_path)


def test_a_standby_that_takes_over_goes_on_with_the_numbers_of_the_dead(tmp_path: Path) -> None:
    # given: a copy that has followed all but the last record, and a write torn by the death
    play = loop(tmp_path, {**SCRIPT, "Commission4": [STATE]})
    followed = fold()
    for number in (1, 2):
        play.fact(commission(number), number)
        followed.read_on(tmp_path)
    play.fact(commission(3), 3)
    said = play.world.facts(RiskState)[-1]
    path = Journal(tmp_path).files()[-1]
    with path.open("ab") as file:
        file.write(b"TRJ1 torn")
    # when: it takes over
    seen = play.seen
    play.restart(followed)
    # then: it knows all, has cut the tail, and what it says is the next word of the same speaker
    assert play.seen == [*seen, "Started"]
    assert b"torn" not in path.read_bytes()
    for number in (2, 3, 4):
        play.fact(commission(number), number)
    assert play.seen[-2:] == ["Commission4", "RiskState"], "what the dead one heard is no news"
    now = play.world.facts(RiskState)[-1]
    assert (now.epoch, now.seq) == (said.epoch, said.seq + 1)
    assert [command.key for command in play.world.commands()] == [], "asked at the next tick"
    play.engine.tick()
    assert [command.key for command in play.world.commands()] == [SUBMIT.key]


def test_a_standby_that_takes_over_in_the_turn_of_a_session_begins_its_file(
    tmp_path: Path,
) -> None:
    play = loop(tmp_path)
    play.fact(session(), 1)
    followed = fold()
    followed.read_on(tmp_path)
    play.fact(next_session(), 2)
    Journal(tmp_path).files()[-1].unlink()  # killed between the record and the new file
    play.restart(followed)
    assert newest_file(tmp_path) == tmp_path / "20260304.journal"
    assert [type(r.message) for r in play.records()] == [Started]


def test_the_file_that_follows_a_damaged_one_is_followed_from_its_own_header(
    tmp_path: Path,
) -> None:
    # given: a follower of a file that is then damaged behind it, and as long as it will ever be
    play = loop(tmp_path, SCRIPT)
    play.fact(session(), 1)
    for number in range(1, 40):
        play.fact(commission(number), number)
    followed = fold()
    followed.read_on(tmp_path)
    path = Journal(tmp_path).files()[-1]
    _damage(path, record=3)
    # when: the active copy restarts, sets it aside and begins another under the same name
    play.restart()
    # then: the follower is where a restart would be
    assert newest_file(tmp_path) == path
    assert followed.read_on(tmp_path) is None
    assert as_a_restart(followed, tmp_path)


def test_damage_ahead_of_a_follower_is_set_aside_when_it_takes_over(tmp_path: Path) -> None:
    play = loop(tmp_path, SCRIPT)
    play.fact(commission(1), 1)
    followed = fold()
    followed.read_on(tmp_path)
    for number in range(2, 6):
        play.fact(commission(number), number)
    path = Journal(tmp_path).files()[-1]
    offset = _damage(path, record=3)
    for _ in range(3):
        damage = followed.read_on(tmp_path)
        assert isinstance(damage, JournalDamagedError)
        assert damage.offset == offset
    play.restart(followed)
    assert play.seen == ["Started", "Commission1", "JournalDamaged", "Started"]
    damaged = next(r.message for r in play.records() if isinstance(r.message, JournalDamaged))
    assert damaged.offset == offset
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1


def test_a_record_that_this_code_cannot_read_counts_no_other_twice(tmp_path: Path) -> None:
    play = loop(tmp_path, SCRIPT)
    play.fact(commission(1), 1)
    followed = fold()
    followed.read_on(tmp_path)
    play.fact(commission(2), 2)
    book = Journal(tmp_path)
    book.open(*_end(tmp_path))
    book.append(b"\xc1 of another build")
    for _ in range(3):
        assert followed.read_on(tmp_path) is not None
    assert followed.state.seen == play.seen


def test_a_file_of_another_journal_version_leads_to_nothing(tmp_path: Path) -> None:
    play = loop(tmp_path)
    play.fact(session(), 1)
    followed = fold()
    followed.read_on(tmp_path)
    assert followed.state.seen
    header = msgspec.msgpack.decode(next(read(tmp_path / "20260303.journal"))[1])
    Journal(tmp_path).begin("20260304", msgspec.msgpack.encode([99, *header[1:]]))
    damage = followed.read_on(tmp_path)
    assert damage is not None
    assert "journal version 99" in damage.why
    assert followed.state.seen == []


def test_who_goes_on_with_another_builds_file_says_so_in_it(tmp_path: Path) -> None:
    play = loop(tmp_path)
    play.fact(commission(1), 1)
    followed = fold()
    followed.read_on(tmp_path)
    assert followed.build == "b1"
    play.build = "b2"
    play.restart()
    followed.read_on(tmp_path)
    assert followed.build == "b2"
    assert as_a_restart(followed, tmp_path)


def test_without_a_journal_there_is_nothing_to_follow(tmp_path: Path) -> None:
    followed = fold()
    assert followed.read_on(tmp_path / "none") is None
    assert followed.read_on(tmp_path) is None
    assert (followed.path, followed.build) == (None, "")


def _damage(path: Path, record: int) -> int:
    """Flips a bit in that record; its offset."""
    offset = [offset for offset, _ in read(path)][record]
    data = bytearray(path.read_bytes())
    data[offset + 20] ^= 1
    path.write_bytes(data)
    return offset


def _end(folder: Path) -> tuple[Path, int]:
    path = Journal(folder).files()[-1]
    return path, path.stat().st_size
