"""The loop of every service: recorded before it leaves, folded, asked until answered."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest

from common import topology
from common.clock import SECOND_NS
from common.core import risk
from common.engine import CHECKPOINT_RECORDS
from common.journal import CHECKPOINT_MAGIC, DiskFullError, Journal, frame, read
from common.messages import (
    Accepted,
    Alert,
    BrokerLink,
    Commission,
    DaySummary,
    DiskState,
    Fill,
    Halt,
    Heartbeat,
    JournalDamaged,
    Message,
    Now,
    OrderUpdate,
    Quote,
    Recap,
    Refused,
    RiskState,
    Session,
    Silence,
    Started,
    SubmitOrder,
    Unanswered,
)
from tests import engine_play
from tests.core.risk_play import RiskDay, session
from tests.engine_play import (
    MARKET_NS,
    STATE,
    Loop,
    Outputs,
    Rung,
    Scripted,
    WatchedJournal,
    beat,
    commission,
    loop,
    quote,
    summary,
)
from tests.test_wire import SUBMIT

# --- recorded, then said -----------------------------------------------------------------------


def test_the_event_and_its_decisions_are_one_record_on_file_before_anything_leaves(
    tmp_path: Path,
) -> None:
    play = loop(tmp_path, {"Commission1": [STATE, summary(3), SUBMIT]})
    counts: list[int] = []
    play.world.before_leaving = lambda: counts.append(len(play.records()))
    play.fact(commission(1), 1)
    assert counts
    assert set(counts) == {2}, "Started, then this one, each time something left"
    record = play.records()[-1]
    assert record.message == commission(1)
    assert [output for _, output in record.outputs] == [STATE, summary(3), SUBMIT]


def test_an_order_is_safe_from_a_power_cut_before_it_is_performed(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Commission1": [Rung(1)], "Commission2": [STATE]})
    play.world.order.clear()
    play.fact(commission(1), 1)
    assert play.world.order == ["sync", "perform"]
    play.world.order.clear()
    play.fact(commission(2), 2)
    play.engine.settle()
    assert play.world.order == ["say", "sync"], "what is no order is made safe right after"


def test_ticks_and_heartbeats_that_decide_nothing_are_not_recorded(tmp_path: Path) -> None:
    play = loop(tmp_path)
    before = len(play.records())
    play.ticks(1.0)
    play.fact(beat(), 0, speaker=topology.FEED)
    assert [r for r in play.records()[before:] if not isinstance(r.message, Silence)] == []


# --- restart -----------------------------------------------------------------------------------


def test_a_restart_folds_to_the_same_state_and_says_started(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Commission2": [STATE, SUBMIT]})
    for number in range(1, 6):
        play.fact(commission(number), number)
    seen = play.seen
    assert play.restart() == 6
    assert play.seen == [*seen, "Started"]


def test_a_restart_late_in_a_long_day_folds_hardly_more_than_a_checkpoints_records(
    tmp_path: Path,
) -> None:
    play = loop(tmp_path, {"Commission7": [STATE]})
    for number in range(1, CHECKPOINT_RECORDS + 50):
        play.fact(commission(number), number)
        if number % 100 == 0:
            play.engine.tick()
    seen, said = play.seen, play.world.facts(RiskState)[-1]

    assert play.restart() < 100
    assert play.seen == [*seen, "Started"]
    play.fact(commission(number), number)
    assert play.seen == [*seen, "Started"], "what was heard before the checkpoint is known"
    play.engine.tick()
    again = play.world.facts(RiskState)[-1]
    assert (again.epoch, again.seq, again.body) == (said.epoch, said.seq, said.body)


def test_numbers_go_on_over_a_restart_so_that_no_hearer_sees_one_twice(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Commission1": [STATE], "Commission2": [STATE]})
    play.fact(commission(1), 1)
    first = play.world.facts(RiskState)[-1]
    play.restart()
    play.fact(commission(2), 2)
    second = play.world.facts(RiskState)[-1]
    assert (second.epoch, second.seq) == (first.epoch, first.seq + 1)


def test_what_was_heard_before_the_restart_is_not_heard_again(tmp_path: Path) -> None:
    play = loop(tmp_path)
    play.fact(commission(1), 1)
    play.fact(quote(400.0), 9)
    play.restart()
    before = play.seen
    play.fact(commission(1), 1)
    play.fact(quote(400.0), 9)
    assert play.seen == before


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_record_torn_by_the_crash_was_never_said_and_is_heard_again(
    tmp_path: Path, cut: int
) -> None:
    play = loop(tmp_path)
    play.fact(commission(1), 1)
    path = Journal(tmp_path).files()[-1]
    path.write_bytes(path.read_bytes()[:-cut])
    play.restart()
    assert "Commission1" not in play.seen
    play.fact(commission(1), 1)
    assert "Commission1" in play.seen


def test_a_damaged_journal_is_set_aside_and_the_decider_hears_where(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Commission1": [STATE]})
    for number in range(1, 5):
        play.fact(commission(number), number)
    said = play.world.facts(RiskState)[-1]
    path = Journal(tmp_path).files()[-1]
    offsets = [offset for offset, _ in read(path)]
    data = bytearray(path.read_bytes())
    data[offsets[3] + 20] ^= 1
    path.write_bytes(data)
    play.restart()
    assert play.seen == ["Started", "Commission1", "RiskState", "JournalDamaged", "Started"]
    damaged = next(r.message for r in play.records() if isinstance(r.message, JournalDamaged))
    assert damaged.offset == offsets[3]
    assert [p.read_bytes() for p in tmp_path.glob("*.damaged-*")] == [bytes(data)]
    for number in (2, 3, 4):
        play.fact(commission(number), number)
    assert play.seen[-3:] == ["Commission2", "Commission3", "Commission4"]
    play.ticks(1.2)
    renewed = play.world.facts(RiskState)[-1]
    assert renewed.seq <= said.seq
    assert renewed.epoch > said.epoch, "or its hearers would take it for a repeat"


@pytest.mark.parametrize(
    ("boot", "up_s"),
    [("boot-2", 20), ("boot-2", 7_200), ("boot-1", 20)],
    ids=["up for less", "up for longer than before", "no id, up for less"],
)
def test_after_a_power_cut_the_numbers_of_what_was_lost_are_not_taken_for_repeats(
    tmp_path: Path, boot: str, up_s: int
) -> None:
    """Others may have heard what never reached the speaker's disk."""
    play = loop(tmp_path, {"Commission1": [summary(2)], "Commission2": [summary(3)]})
    play.fact(commission(1), 1)
    (said,) = play.world.facts(DaySummary)
    play.boot, play.world.host_ns = boot, up_s * SECOND_NS
    play.restart()
    play.restart()
    play.fact(commission(2), 2)
    newest = play.world.facts(DaySummary)[-1]
    assert newest.epoch > said.epoch


def test_a_restart_on_the_same_boot_keeps_the_epoch(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Commission1": [summary(2)], "Commission2": [summary(3)]})
    play.fact(commission(1), 1)
    (said,) = play.world.facts(DaySummary)
    play.world.wait(1.0)
    play.restart()
    play.fact(commission(2), 2)
    assert play.world.facts(DaySummary)[-1].epoch == said.epoch


@pytest.mark.parametrize("garbage", [b"", b"\xc0", b"\x91\xa2\xff\xfe"])
def test_a_checkpoint_that_nobody_can_read_loses_nothing_and_is_told(
    tmp_path: Path, garbage: bytes
) -> None:
    """Its checksum is right: another version of the program wrote it."""
    play = loop(tmp_path)
    play.fact(commission(1), 1)
    path = Journal(tmp_path).files()[-1]
    path.write_bytes(path.read_bytes() + frame(garbage, CHECKPOINT_MAGIC))
    play.restart()
    assert play.seen == ["Started", "Commission1", "JournalDamaged", "Started"]
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    play.restart()
    assert play.seen == ["Started", "Commission1", "JournalDamaged", "Started", "Started"]


def test_a_record_that_is_no_text_is_damage_like_any_other(tmp_path: Path) -> None:
    play = loop(tmp_path)
    play.fact(commission(1), 1)
    path = Journal(tmp_path).files()[-1]
    path.write_bytes(path.read_bytes() + frame(b"\x96\x92\x01\x02\xa2\xff\xfe\x01\x01\x90\x90"))
    play.restart()
    assert play.seen == ["Started", "Commission1", "JournalDamaged", "Started"]


def test_the_risk_monitors_day_folds_to_the_same_state_wherever_it_is_killed(
    tmp_path: Path,
) -> None:
    """A whole day as RiskDay plays it, through frames, with a kill after every fifth message."""
    day = Recorded()
    day.open_at()
    day.enter()
    day.sold(day.stopped_at(396.0), 396.0)
    day.next_session()
    plain, killed = Loop(tmp_path / "a", risk), Loop(tmp_path / "b", risk)
    for number, (now, message) in enumerate(day.heard, start=1):
        for play in (plain, killed):
            play.world.market_ns, play.world.host_ns = now.market_ns, now.host_ns
            if type(message) in topology.FACTS:
                play.fact(message, number)
            elif not isinstance(message, Started):
                play.engine.hear_local(message)
            if play is killed and number % 5 == 0:
                play.restart()
    plain.engine.state.said_state = killed.engine.state.said_state = None  # said anew at a start
    encode = msgspec.msgpack.Encoder(order="deterministic").encode
    assert encode(plain.engine.state) == encode(killed.engine.state)
    assert killed.engine.state.day is not None


class Recorded(RiskDay):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Now, Message]] = []
        super().__init__()

    def _hear(self, message: Message) -> list[Message]:
        self.heard.append((self.now, message))
        return super()._hear(message)


# --- facts -------------------------------------------------------------------------------------


def test_a_fact_said_again_is_heard_once(tmp_path: Path) -> None:
    play = loop(tmp_path)
    for _ in range(5):
        play.fact(quote(400.0), 3)
    assert play.seen.count("Quote") == 1


def test_of_a_state_only_the_newest_matters(tmp_path: Path) -> None:
    play = loop(tmp_path)
    play.fact(quote(400.0), 3)
    play.fact(quote(401.0), 9)
    play.fact(quote(400.5), 5)  # an older one, late
    assert play.seen.count("Quote") == 2


def test_a_gap_in_what_must_all_be_heard_is_closed_by_a_recap_in_order(tmp_path: Path) -> None:
    play = loop(tmp_path)
    play.answer(Accepted(key="recap-risk_monitor-broker_gateway", note=""), topology.GATEWAY)
    play.fact(commission(1), 1)
    play.fact(commission(3), 3)
    assert "Commission3" not in play.seen
    play.world.asked.clear()
    play.ticks(0.2)
    assert topology.GATEWAY in play.world.recaps()
    for number in (1, 2, 3):
        play.fact(commission(number), number)
    assert [name for name in play.seen if name.startswith("Comm")] == [
        "Commission1", "Commission2", "Commission3",
    ]  # fmt: skip


def test_a_recap_is_asked_every_second_until_it_is_answered(tmp_path: Path) -> None:
    play = loop(tmp_path)
    play.ticks(3.0)
    assert 3 <= play.world.recaps().count(topology.GATEWAY) <= 4
    play.answer(Accepted(key="recap-risk_monitor-broker_gateway", note=""), topology.GATEWAY)
    play.world.asked.clear()
    play.ticks(3.0)
    assert topology.GATEWAY not in play.world.recaps()


def test_a_heartbeat_tells_what_was_missed(tmp_path: Path) -> None:
    play = loop(tmp_path)
    for speaker in (topology.GATEWAY, topology.EXECUTOR):
        play.answer(Accepted(key=f"recap-risk_monitor-{speaker}", note=""), speaker)
    play.fact(commission(1), 1)
    play.fact(beat(("Commission", 1)), 0, speaker=topology.GATEWAY)
    assert play.engine.unready() == ""
    play.fact(beat(("Commission", 2)), 0, speaker=topology.GATEWAY)
    assert play.engine.unready() == "catching up with broker_gateway"


def test_a_hearer_that_is_new_begins_at_the_oldest_that_is_still_kept(tmp_path: Path) -> None:
    play = loop(tmp_path)
    play.fact(commission(41), 41, floor=41)
    play.fact(commission(42), 42, floor=41)
    assert play.seen[-2:] == ["Commission41", "Commission42"]


def test_a_speaker_that_lost_its_journal_is_heard_from_its_first_word(tmp_path: Path) -> None:
    play = loop(tmp_path)
    play.fact(commission(1), 1, epoch=7)
    play.fact(commission(2), 1, epoch=8)
    assert play.seen[-2:] == ["Commission1", "Commission2"]


def test_a_recap_says_states_once_and_the_sessions_facts_in_order(tmp_path: Path) -> None:
    script: Outputs = {f"Commission{n}": [summary(n), STATE] for n in (1, 2, 3)}
    play = loop(tmp_path, script)
    for number in (1, 2, 3):
        play.fact(commission(number), number)
    play.restart()
    play.world.said.clear()
    play.command(Recap(key="r", deadline_ns=0), speaker=topology.CONSOLE)
    assert [e.seq for e in play.world.facts(DaySummary)] == [1, 2, 3]
    assert [e.body.day.day for e in play.world.facts(DaySummary)] == [1, 2, 3]
    assert {e.floor for e in play.world.facts(DaySummary)} == {1}
    assert [e.seq for e in play.world.facts(RiskState)] == [3]
    assert play.world.answered == [Accepted(key="r", note="")]


def test_states_are_said_again_every_second_under_the_same_number(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Commission1": [STATE]})
    play.fact(commission(1), 1)
    play.world.said.clear()
    play.ticks(3.0)
    again = play.world.facts(RiskState)
    assert len(again) == 3
    assert {envelope.seq for envelope in again} == {1}


# --- sessions ----------------------------------------------------------------------------------


def test_a_session_begins_a_new_file_and_the_fold_over_the_turn_is_the_same(
    tmp_path: Path,
) -> None:
    play = loop(tmp_path, {"Commission1": [summary(3), SUBMIT]})
    play.fact(session(), 1)
    play.fact(commission(1), 1)
    play.fact(next_session(), 2)
    play.fact(commission(2), 2)
    assert [p.stem for p in Journal(tmp_path).files()] == ["00000000", "20260303", "20260304"]
    seen = play.seen
    assert play.restart() == 1, "only the newest file is folded, on top of the state it heads"
    assert play.seen == [*seen, "Started"]
    before = play.seen
    play.fact(commission(1), 1)
    assert play.seen == before, "repeats are known over the turn"
    play.ticks(0.2)
    assert SUBMIT in play.world.commands(), "open commands stay open over the turn"


def next_session() -> Session:
    return session(date(2026, 3, 4), date(2026, 3, 3), date(2026, 3, 5))


def test_a_hearer_that_was_away_over_the_turn_still_gets_the_session_before(
    tmp_path: Path,
) -> None:
    script: Outputs = {f"Commission{n}": [summary(n)] for n in range(1, 7)}
    play = loop(tmp_path, script)
    days = [
        session(date(2026, 3, n), date(2026, 3, n - 1), date(2026, 3, n + 1)) for n in (3, 4, 5)
    ]
    for number, today in enumerate(days, start=1):
        play.fact(today, number)
        play.fact(commission(number), number)
    play.restart()
    play.world.said.clear()
    play.command(Recap(key="r", deadline_ns=0), speaker=topology.CONSOLE)
    kept = play.world.facts(DaySummary)
    assert [e.seq for e in kept] == [2, 3], "two sessions are kept, the oldest has gone"
    assert {e.floor for e in kept} == {2}


def test_journals_older_than_the_setting_are_deleted_when_a_session_begins(
    tmp_path: Path,
) -> None:
    play = loop(tmp_path)
    old = session(date(2025, 1, 2), date(2024, 12, 31), date(2025, 1, 3))
    recent = session(date(2025, 1, 28), date(2025, 1, 27), date(2025, 1, 29))
    for number, today in enumerate((old, recent, session()), start=1):
        play.fact(today, number)
    kept = [path.stem for path in Journal(tmp_path).files()]
    assert kept == ["00000000", "20250128", "20260303"], "400 days before 2026-03-03: 2025-01-27"


# --- commands ----------------------------------------------------------------------------------


def test_a_command_is_asked_every_second_under_its_key_until_it_is_answered(
    tmp_path: Path,
) -> None:
    play = loop(tmp_path, {"Commission1": [SUBMIT]})
    play.fact(commission(1), 1)
    play.ticks(3.0)
    assert len(play.world.commands()) == 4
    assert set(play.world.commands()) == {SUBMIT}
    play.answer(Accepted(key=SUBMIT.key, note=""), topology.GATEWAY)
    play.answer(Accepted(key=SUBMIT.key, note=""), topology.GATEWAY)
    play.world.asked.clear()
    play.ticks(3.0)
    assert play.world.commands() == []
    assert play.seen.count(f"Accepted{SUBMIT.key}") == 1


def test_an_open_command_is_asked_again_after_a_restart(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Commission1": [SUBMIT]})
    play.fact(commission(1), 1)
    play.restart()
    play.ticks(0.2)
    assert play.world.commands() == [SUBMIT]


def test_an_answered_command_is_not(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Commission1": [SUBMIT]})
    play.fact(commission(1), 1)
    play.answer(Refused(key=SUBMIT.key, reason="no"), topology.GATEWAY)
    play.restart()
    play.ticks(3.0)
    assert play.world.commands() == []


def test_an_answer_from_another_service_than_the_asked_is_none(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Commission1": [SUBMIT]})
    play.fact(commission(1), 1)
    play.answer(Accepted(key=SUBMIT.key, note=""), topology.EXECUTOR)
    assert f"Accepted{SUBMIT.key}" not in play.seen


def test_a_command_past_its_deadline_is_unanswered_once_and_asked_no_more(tmp_path: Path) -> None:
    late = msgspec.structs.replace(SUBMIT, deadline_ns=MARKET_NS + 2 * SECOND_NS)
    play = loop(tmp_path, {"Commission1": [late]})
    play.fact(commission(1), 1)
    play.ticks(5.0)
    assert play.seen.count(f"Unanswered{late.key}") == 1
    play.restart()
    play.world.asked.clear()
    play.ticks(2.0)
    assert play.world.commands() == []
    assert play.seen.count(f"Unanswered{late.key}") == 1
    assert any(isinstance(r.message, Unanswered) for r in play.records())


def test_a_command_to_two_is_open_toward_each_until_each_has_answered(tmp_path: Path) -> None:
    halt = Halt(key="h", deadline_ns=0, by="watchdog", reason="flapping")
    script: Outputs = {"Silence": [halt]}
    play = loop(tmp_path, script, name=topology.WATCHDOG)
    play.engine.hear_local(Silence(topic="x", silent=True))
    play.answer(Accepted(key="h", note=""), topology.RISK)
    play.world.asked.clear()
    play.ticks(1.2)
    assert {to for to, command in play.world.asked if command == halt} == {topology.GATEWAY}


def test_the_answer_goes_to_the_one_that_asked(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Halth1": [Accepted(key="h1", note="done")]})
    play.command(Halt(key="h1", deadline_ns=0, by="me", reason="lunch"))
    assert play.world.answered == [Accepted(key="h1", note="done")]


def test_a_command_that_comes_too_late_is_refused_and_the_decider_never_hears_it(
    tmp_path: Path,
) -> None:
    play = loop(tmp_path, {"Halth1": [Accepted(key="h1", note="done")]})
    play.command(Halt(key="h1", deadline_ns=MARKET_NS - 1, by="me", reason="lunch"))
    assert "too late" in play.world.answered[0].reason
    assert "Halth1" not in play.seen


# --- the door ----------------------------------------------------------------------------------


def _forgeries() -> Iterator[tuple[str, Callable[[Loop], None]]]:
    yield "bytes", lambda play: play.engine.hear("fact", b"", b"Quote\0\xc1")
    yield "an answer", lambda play: play.engine.hear("answer", b"", b"\x00")
    yield "a fill by the console", lambda play: play.fact(commission(1), 1, speaker="console")
    yield "a stranger", lambda play: play.fact(quote(1.0), 1, speaker="stranger")
    yield "an order from the feed", lambda play: play.command(SUBMIT, speaker=topology.FEED)
    yield (
        "a halt from the executor",
        lambda play: play.command(
            Halt(key="h", deadline_ns=0, by="x", reason=""), speaker=topology.EXECUTOR
        ),
    )
    yield "an order not for us", lambda play: play.command(SUBMIT, speaker=topology.EXECUTOR)


@pytest.mark.parametrize("forge", dict(_forgeries()).values(), ids=dict(_forgeries()).keys())
def test_what_the_table_does_not_know_is_counted_and_dropped(
    tmp_path: Path, forge: Callable[[Loop], None]
) -> None:
    play = loop(tmp_path)
    before = play.seen
    forge(play)
    assert play.engine.dropped == 1
    assert play.seen == before


def test_a_flood_of_rubbish_leaves_one_line_in_a_thousand(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    play = loop(tmp_path)
    for _ in range(3000):
        play.engine.hear("fact", b"", b"rubbish")
    assert play.engine.dropped == 3000
    assert len([r for r in caplog.records if "dropped" in r.getMessage()]) == 20 + 3


# --- silence, disk, edge -----------------------------------------------------------------------


def test_a_silent_topic_is_told_once_and_its_return_once(tmp_path: Path) -> None:
    play = loop(tmp_path)
    play.fact(quote(400.0), 1)
    told: list[Silence] = []

    def look() -> None:
        told[:] = [r.message for r in play.records() if isinstance(r.message, Silence)]

    play.ticks(8.0)
    look()
    assert [s.silent for s in told if s.topic == "Quote"] == [True]
    play.fact(quote(400.0), 1)  # the old word again: the speaker lives
    look()
    assert [s.silent for s in told if s.topic == "Quote"] == [True, False]


def test_a_start_gives_every_topic_its_time(tmp_path: Path) -> None:
    play = loop(tmp_path)
    play.world.wait(3600)
    play.restart()
    play.ticks(4.0)
    assert not [name for name in play.seen if name.startswith("Silence")]


def disk_told(play: Loop) -> list[bool]:
    return [r.message.roomy for r in play.records() if isinstance(r.message, DiskState)]


def test_the_disk_is_told_at_the_start_and_on_change_only(tmp_path: Path) -> None:
    play = loop(tmp_path)
    for free_mb in (5000.0, 5000.0, 10.0, 9.0, 5000.0):
        play.engine.disk_state(free_mb)
    assert disk_told(play) == [True, False, True]


def test_a_disk_that_was_cleared_while_the_service_was_down_is_told_as_roomy(
    tmp_path: Path,
) -> None:
    """Or the folded state would stop entries for ever."""
    play = loop(tmp_path)
    play.engine.disk_state(10.0)
    play.restart()
    play.engine.disk_state(5000.0)
    assert disk_told(play) == [False, True]


class NoRoom(WatchedJournal):
    """A journal whose disk takes nothing while it is `full`."""

    full = False

    def append(self, payload: bytes) -> None:
        self._refuse()
        super().append(payload)

    def checkpoint(self, header: bytes) -> None:
        self._refuse()
        super().checkpoint(header)

    def _refuse(self) -> None:
        if self.full:
            raise DiskFullError(errno.ENOSPC, "no room")


def on_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch, *, may_forget: bool) -> Loop:
    monkeypatch.setattr(Scripted, "MAY_FORGET", may_forget)
    monkeypatch.setattr(engine_play, "WatchedJournal", NoRoom)
    play = loop(folder, {"Commission1": [Rung(1)], "Commission2": [Rung(2)]})
    monkeypatch.setattr(NoRoom, "full", True)
    return play


def test_nothing_leaves_that_a_full_disk_did_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = on_a_full_disk(tmp_path, monkeypatch, may_forget=False)
    with pytest.raises(DiskFullError):
        play.fact(commission(1), 1)
    assert play.world.performed == []


def test_a_decider_that_may_forget_goes_on_without_a_journal_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a full disk, on which two effects are performed all the same
    play = on_a_full_disk(tmp_path, monkeypatch, may_forget=True)
    play.fact(commission(1), 1)
    play.ticks(1.0)
    play.fact(commission(2), 2)
    play.engine.settle()
    assert play.world.performed == [Rung(1), Rung(2)]
    # when: there is room again; then: a restart knows all of it, once
    monkeypatch.setattr(NoRoom, "full", False)
    play.ticks(1.0)
    seen = list(play.seen)
    play.restart()
    assert play.seen == [*seen, "Started"]


def test_an_edge_that_answers_at_once_is_heard_after_the_turn_is_over(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Commission1": [Rung(1), STATE], "Rung2": [Rung(3)]})

    def at_once(effect: Message) -> None:
        if effect == Rung(1):
            play.engine.hear_local(Rung(2), source="tws")

    play.world.on_perform = at_once
    play.fact(commission(1), 1)
    assert play.seen[1:] == ["Commission1", "Rung1", "RiskState", "Rung2", "Rung3"]
    assert play.world.performed == [Rung(1), Rung(3)]
    play.restart()
    assert play.seen[1:-1] == ["Commission1", "Rung1", "RiskState", "Rung2", "Rung3"]
    assert play.world.performed == [], "a fold performs nothing"


def test_a_heartbeat_tells_what_was_said_and_whether_something_is_open(tmp_path: Path) -> None:
    play = loop(tmp_path, {"Commission1": [summary(3), SUBMIT]})
    play.fact(commission(1), 1)
    play.engine.heartbeat(pid=42)
    told = play.world.facts(Heartbeat)[-1].body
    assert (told.pid, told.busy) == (42, True)
    assert told.said == (("DaySummary", 1),)


def test_kinds_used_here_are_what_the_table_says_they_are() -> None:
    assert [topology.keep_of(k) for k in (Quote, Commission, DaySummary, RiskState, Alert)] == [
        "last", "session", "session", "last", "session",
    ]  # fmt: skip
    assert {topology.keep_of(k) for k in (Fill, OrderUpdate)} == {"session"}
    assert topology.keep_of(BrokerLink) == "last"
    assert SubmitOrder in topology.COMMANDS
