"""The one table of who says what to whom and who asks what of whom, and what follows from it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from common import messages, rejudge, topology
from common.messages import Alert, Heartbeat, Message

KNOWN = {*topology.SPEAKERS, topology.TRADER}


@pytest.mark.parametrize("fact", messages.FACTS)
def test_every_fact_has_one_speaker_and_hearers_that_exist(fact: type[Message]) -> None:
    if fact in (Heartbeat, Alert):
        assert all(topology.speaks(speaker, fact) for speaker in topology.SPEAKERS)
        return
    said = topology.FACTS[fact]
    assert [speaker for speaker in KNOWN if topology.speaks(speaker, fact)] == [said.speaker]
    assert set(said.hearers) <= KNOWN
    assert said.speaker not in said.hearers


@pytest.mark.parametrize("command", messages.COMMANDS)
def test_every_command_has_askers_answerers_a_retry_a_deadline_and_a_fate(
    command: type[Message],
) -> None:
    asked = topology.COMMANDS[command]
    assert asked.askers
    assert asked.answerers
    assert {*asked.askers, *asked.answerers} <= KNOWN
    assert set(asked.answerers) <= set(topology.SPEAKERS), "only a speaker binds an address"
    assert asked.retry_owner
    assert asked.deadline
    assert asked.if_dead


def test_the_table_holds_nothing_else() -> None:
    assert set(topology.FACTS) == set(messages.FACTS) - {Heartbeat, Alert}
    assert set(topology.COMMANDS) == set(messages.COMMANDS)


def test_an_order_is_submitted_by_the_executor_and_as_an_exit_by_the_risk_monitor_only() -> None:
    assert topology.COMMANDS[messages.PlaceOrder].askers == (topology.RISK,)
    assert topology.COMMANDS[messages.SubmitOrder].askers == (topology.EXECUTOR, topology.RISK)
    assert topology.COMMANDS[messages.SubmitOrder].answerers == (topology.GATEWAY,)


@pytest.mark.parametrize("command", [messages.Halt, messages.Resume])
def test_halt_and_resume_reach_both_latches(command: type[Message]) -> None:
    assert set(topology.COMMANDS[command].answerers) == {topology.RISK, topology.GATEWAY}


def test_what_is_counted_up_is_kept_for_the_session() -> None:
    """A fill or an order's news that is missed would be a wrong position."""
    for fact in (messages.Fill, messages.Commission, messages.OrderUpdate, messages.OrderState):
        assert topology.keep_of(fact) == "session"
    assert topology.keep_of(Alert) == "session"


def test_an_entry_needs_nothing_whose_silence_would_not_be_noticed() -> None:
    """Every state that an entry's checks read has a longest silence."""
    for fact in (
        messages.Quote, messages.Session, messages.FeedState, messages.TargetPosition,
        messages.BrokerLink, messages.AccountSnapshot, messages.OrderBook, messages.HaltLatch,
    ):  # fmt: skip
        said = topology.FACTS[fact]
        assert topology.RISK in said.hearers
        assert said.silence_s_max is not None


def test_a_silence_limit_is_longer_than_the_second_between_repeats() -> None:
    for said in topology.FACTS.values():
        if said.silence_s_max is not None:
            assert said.silence_s_max >= 3.0
            assert said.keep == "last", "only what is said again each second can fall silent"


@pytest.mark.parametrize("hearer", sorted(KNOWN))
def test_nobody_hears_itself(hearer: str) -> None:
    assert hearer not in topology.heard_by(hearer)
    assert hearer not in topology.answerers_for(hearer)


@pytest.mark.parametrize("hearer", topology.DECIDERS)
def test_whoever_hears_a_fact_hears_its_speakers_heartbeat_and_so_notices_a_gap(
    hearer: str,
) -> None:
    for facts in topology.heard_by(hearer).values():
        assert Heartbeat in facts


def test_the_watchdog_and_the_pacer_hear_every_heartbeat() -> None:
    for hearer in topology.HEARTBEAT_HEARERS:
        heard = topology.heard_by(hearer)
        assert {s for s, facts in heard.items() if Heartbeat in facts} == {*topology.SPEAKERS} - {
            hearer
        }


def test_the_command_line_hears_everything_for_tail_and_status() -> None:
    heard = topology.heard_by(topology.TRADER)
    assert set(heard) == set(topology.SPEAKERS)
    everything = {fact for facts in heard.values() for fact in facts}
    assert everything == set(messages.FACTS)


def test_every_deciding_service_has_its_module_and_its_program() -> None:
    for name in topology.DECIDERS:
        decider = import_module(rejudge.DECIDERS[name])
        for part in ("State", "start", "evolve", "decide", "ready", "busy"):
            assert hasattr(decider, part), f"{name} lacks {part}"
        assert (Path("services") / f"{name}.py").exists()


def test_addresses_fit_an_ipc_path() -> None:
    """107 characters are the most a unix socket's path may have."""
    run_dir = Path("/run/user/1000/trader-xxxxxxxx")
    for name in topology.SPEAKERS:
        for endpoint in (
            topology.facts_endpoint(run_dir, name),
            topology.asks_endpoint(run_dir, name),
        ):
            assert len(endpoint.removeprefix("ipc://")) <= 107
