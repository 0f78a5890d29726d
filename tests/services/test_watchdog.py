"""The watchdog: stuck processes are killed, given-up ones started, a mixed system is halted."""

from __future__ import annotations

import pytest

from common.clock import SECOND_NS
from common.core.vigil import Action, Back, Kill, Process, ProcessState, Start, Vigil
from common.messages import Alert, Halt, Heartbeat
from common.settings import Operation

OPERATION = Operation(silence_s_max=3.0, start_grace_s=20.0, restarts_per_minute_max=5)
RISK, STANDBY, FEED, SIM = "risk_monitor", "risk_standby", "market_feed", "sim_tws"


def beat(pid: int, *, build: str = "b1", settings_hash: str = "s1") -> Heartbeat:
    return Heartbeat(
        pid=pid,
        ready=True,
        busy=False,
        caught_up_ns=0,
        build=build,
        settings_hash=settings_hash,
        verdict="",
        said=(),
    )


class Watch:
    """A vigil, a table of processes, and a host clock that the test moves."""

    def __init__(self) -> None:
        self.vigil = Vigil(OPERATION, (RISK, STANDBY, FEED), "watchdog")
        self.table: dict[str, Process] = {}
        self.backs: list[Back] = []
        self.now_ns = 1_000 * SECOND_NS

    def process(self, name: str, pid: int, state: ProcessState = "RUNNING") -> None:
        self.table[name] = Process(name, state, pid)

    def look(self) -> list[Action]:
        """What is to be done; what only is to be told of restarts is put aside in `backs`."""
        actions = self.vigil.look(list(self.table.values()), self.now_ns)
        self.backs += [action for action in actions if isinstance(action, Back)]
        return [action for action in actions if not isinstance(action, Back)]

    def pass_s(self, seconds: float, *beating: tuple[str, int]) -> list[Action]:
        """Time passes in looks of half a second, each after the heartbeats of `beating`."""
        actions: list[Action] = []
        for _ in range(round(seconds * 2)):
            self.now_ns += SECOND_NS // 2
            for _, pid in beating:
                self.vigil.heard(beat(pid))
            actions += self.look()
        return actions


@pytest.fixture
def watch() -> Watch:
    watch = Watch()
    watch.process(RISK, 10)
    watch.look()
    return watch


def kills(actions: list[Action]) -> list[tuple[str, int]]:
    return [(action.name, action.pid) for action in actions if isinstance(action, Kill)]


def test_a_process_that_gives_heartbeats_is_left_alone(watch: Watch) -> None:
    assert watch.pass_s(60, (RISK, 10)) == []


def test_a_process_that_lives_but_falls_silent_is_killed_and_told_of(watch: Watch) -> None:
    watch.pass_s(5, (RISK, 10))
    actions = watch.pass_s(4)
    assert kills(actions) == [(RISK, 10)]
    (alert,) = [action for action in actions if isinstance(action, Alert)]
    assert (alert.level, alert.code) == ("notice", "stuck-risk_monitor")


def test_a_silent_process_is_not_killed_before_the_limit(watch: Watch) -> None:
    watch.pass_s(5, (RISK, 10))
    assert watch.pass_s(3) == []


def test_a_process_that_outlives_its_kill_is_killed_again_after_as_long(watch: Watch) -> None:
    watch.pass_s(5, (RISK, 10))
    assert len(kills(watch.pass_s(6))) == 1
    assert len(kills(watch.pass_s(2))) == 1


def test_two_that_fall_silent_at_once_are_both_killed(watch: Watch) -> None:
    watch.process(STANDBY, 11)
    watch.pass_s(5, (RISK, 10), (STANDBY, 11))
    assert kills(watch.pass_s(4)) == [(RISK, 10), (STANDBY, 11)]


def test_a_starting_process_is_given_its_grace(watch: Watch) -> None:
    assert kills(watch.pass_s(20)) == []
    assert kills(watch.pass_s(1)) == [(RISK, 10)]


def test_a_restarted_process_is_given_its_grace_again(watch: Watch) -> None:
    watch.pass_s(5, (RISK, 10))
    watch.process(RISK, 11)
    assert kills(watch.pass_s(19)) == []


def test_heartbeats_of_the_process_before_do_not_keep_its_successor_alive(watch: Watch) -> None:
    watch.pass_s(5, (RISK, 10))
    watch.process(RISK, 11)
    assert kills(watch.pass_s(25, (RISK, 10))) == [(RISK, 11)]


def test_a_heartbeat_counts_for_whichever_program_of_the_service_gives_it(watch: Watch) -> None:
    # given: the stop monitor and its standby, which tells of its life in its own way
    watch.process(STANDBY, 11)
    watch.pass_s(5, (RISK, 10), (STANDBY, 11))
    # when: the monitor dies, the standby speaks in its name and the new one stands by
    watch.process(RISK, 12)
    # then: nobody is taken for silent
    assert watch.pass_s(60, (RISK, 11), (STANDBY, 12)) == []


def test_a_standby_that_gives_no_sign_of_life_is_killed_and_the_active_one_is_not(
    watch: Watch,
) -> None:
    watch.process(STANDBY, 11)
    watch.pass_s(5, (RISK, 10), (STANDBY, 11))
    assert kills(watch.pass_s(4, (RISK, 10))) == [(STANDBY, 11)]


def test_a_standby_of_other_code_pages_and_stops_entries(watch: Watch) -> None:
    watch.process(STANDBY, 11)
    watch.look()
    watch.vigil.heard(beat(10))
    watch.vigil.heard(beat(11, build="b2"))
    alert, halt = watch.look()
    assert isinstance(alert, Alert)
    assert (alert.code, type(halt)) == ("mixed", Halt)


def test_a_stall_of_the_watchdog_itself_kills_nobody(watch: Watch) -> None:
    watch.pass_s(5, (RISK, 10))
    watch.now_ns += 3_600 * SECOND_NS  # the machine was suspended
    assert watch.look() == []
    assert watch.pass_s(5, (RISK, 10)) == []


def test_a_process_without_heartbeats_of_its_own_is_never_called_stuck(watch: Watch) -> None:
    watch.process(SIM, 20)
    assert kills(watch.pass_s(60, (RISK, 10))) == []


@pytest.mark.parametrize("state", ["FATAL", "EXITED"])
def test_a_process_given_up_is_started_again_every_ten_seconds(
    watch: Watch, state: ProcessState
) -> None:
    watch.process(RISK, 0, state)
    starts = [action for action in watch.pass_s(30) if isinstance(action, Start)]
    assert starts == [Start(RISK)] * 3


def test_what_has_just_exited_is_left_to_supervisord(watch: Watch) -> None:
    watch.process(RISK, 0, "EXITED")
    assert watch.pass_s(0.5) == []
    watch.process(RISK, 11)
    assert watch.pass_s(5, (RISK, 11)) == []


def test_a_process_that_a_person_has_stopped_stays_stopped_in_peace(watch: Watch) -> None:
    watch.process(RISK, 0, "STOPPED")
    assert watch.pass_s(60) == []


def test_a_process_down_for_ten_seconds_pages_until_it_runs(watch: Watch) -> None:
    watch.process(RISK, 0, "BACKOFF")
    (raised,) = watch.pass_s(15)
    assert isinstance(raised, Alert)
    assert (raised.level, raised.code, raised.raised) == ("page", "down-risk_monitor", True)
    watch.process(RISK, 11)
    (ended,) = watch.pass_s(1, (RISK, 11))
    assert isinstance(ended, Alert)
    assert (ended.code, ended.raised) == ("down-risk_monitor", False)


def test_too_many_restarts_in_a_minute_page_and_stop_entries(watch: Watch) -> None:
    actions: list[Action] = []
    for pid in range(11, 18):
        watch.process(RISK, pid)
        actions += watch.pass_s(2, (RISK, pid))
    assert [a.code for a in actions if isinstance(a, Alert)] == ["restarts-risk_monitor"]
    assert len([a for a in actions if isinstance(a, Halt)]) == 1
    quiet = watch.pass_s(70, (RISK, 17))
    assert [a.raised for a in quiet if isinstance(a, Alert)] == [False]


def test_a_supervisord_that_stays_silent_pages_and_stops_entries_once(watch: Watch) -> None:
    said: list[Action] = []
    for _ in range(60):
        watch.now_ns += SECOND_NS // 2
        said += watch.vigil.no_table("supervisord: no such file", watch.now_ns)
    alert, halt = said
    assert isinstance(alert, Alert)
    assert (alert.level, alert.code, alert.raised) == ("page", "supervisord", True)
    assert "no such file: no process is watched" in alert.text
    assert isinstance(halt, Halt)
    # and the page ends when it answers again
    (ended,) = watch.pass_s(1, (RISK, 10))
    assert isinstance(ended, Alert)
    assert (ended.code, ended.raised) == ("supervisord", False)


def test_a_supervisord_that_is_late_a_few_times_is_nobodys_business(watch: Watch) -> None:
    for _ in range(5):
        watch.now_ns += 6 * SECOND_NS
        assert watch.vigil.no_table("late", watch.now_ns) == []
        watch.now_ns += 3 * SECOND_NS
        assert watch.vigil.no_table("late", watch.now_ns) == []
        assert watch.look() == []


def test_a_few_restarts_are_told_each_once_and_are_no_trouble(watch: Watch) -> None:
    for pid in range(11, 15):
        watch.process(RISK, pid)
        assert watch.pass_s(5, (RISK, pid)) == []
    assert watch.backs == [Back(RISK, times) for times in range(1, 5)]


@pytest.mark.parametrize("differs", [{"build": "b2"}, {"settings_hash": "s2"}])
def test_processes_of_different_code_or_settings_page_and_stop_entries(
    watch: Watch, differs: dict[str, str]
) -> None:
    watch.process(FEED, 20)
    watch.look()
    watch.vigil.heard(beat(10))
    watch.vigil.heard(beat(20, **differs))
    alert, halt = watch.look()
    assert isinstance(alert, Alert)
    assert alert.code == "mixed"
    assert isinstance(halt, Halt)
    assert halt.by == "watchdog"


def test_the_last_words_of_a_dead_process_do_not_count_as_mixed(watch: Watch) -> None:
    watch.process(FEED, 20)
    watch.look()
    watch.vigil.heard(beat(19, build="b0"))
    watch.vigil.heard(beat(10))
    assert watch.look() == []
