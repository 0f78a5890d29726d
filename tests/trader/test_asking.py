"""A person's command is asked until answered, and nothing is shown as done that is not certain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common import messages as m
from common import topology
from common.bus import Bus
from services.trader import asking, commands
from services.trader.asking import Reply
from services.trader.exit_codes import ExitCode
from tests.trader.stage import Speaker, accept, speaking


def ask(run_dir: Path, questions: commands.Questions, answer_s: float = 5.0) -> list[Reply]:
    bus = Bus(topology.TRADER, run_dir)
    try:
        return asking.ask(bus, questions, answer_s)
    finally:
        bus.close()


def outcomes(replies: list[Reply]) -> dict[str, str]:
    return {reply.service: reply.outcome for reply in replies}


def say_nothing(_command: Any) -> None:
    return None


def test_halt_is_told_to_monitor_and_gateway_under_one_key(tmp_path: Path) -> None:
    risk = Speaker("risk_monitor", tmp_path, [])
    gateway = Speaker("broker_gateway", tmp_path, [])
    with speaking(risk, gateway):
        replies = ask(tmp_path, commands.halt("key", "me", "storm"))
    assert outcomes(replies) == {"risk_monitor": "accepted", "broker_gateway": "accepted"}
    assert asking.exit_code(replies) is ExitCode.OK
    assert risk.heard[0] == gateway.heard[0]
    assert (risk.heard[0].by, risk.heard[0].reason) == ("me", "storm")


def test_flatten_sells_at_the_monitor_and_latches_at_the_gateway(tmp_path: Path) -> None:
    risk = Speaker("risk_monitor", tmp_path, [])
    gateway = Speaker("broker_gateway", tmp_path, [])
    with speaking(risk, gateway):
        ask(tmp_path, commands.flatten("key", "me"))
    assert isinstance(risk.heard[0], m.Flatten)
    assert isinstance(gateway.heard[0], m.Halt)


def test_a_dead_service_makes_it_partly_done_and_says_what_that_means(tmp_path: Path) -> None:
    gateway = Speaker("broker_gateway", tmp_path, [])
    with speaking(gateway):
        replies = ask(tmp_path, commands.halt("key", "me", "storm"), answer_s=1.0)
    assert outcomes(replies) == {"risk_monitor": "unreachable", "broker_gateway": "accepted"}
    assert "the gateway's alone stops every entry" in replies[0].text
    assert asking.exit_code(replies) is ExitCode.NOT_RUNNING


def test_a_service_that_keeps_silent_may_still_act(tmp_path: Path) -> None:
    console = Speaker("console", tmp_path, [], answer=say_nothing)
    with speaking(console):
        replies = ask(tmp_path, commands.ack("key", "me"), answer_s=1.5)
    assert outcomes(replies) == {"console": "no answer"}
    assert "may still act" in replies[0].text
    assert asking.exit_code(replies) is ExitCode.TIMED_OUT
    assert len({command.key for command in console.heard}) == 1
    assert len(console.heard) >= 2, "asked again, with the same key"


def test_a_refusal_is_the_answer_no(tmp_path: Path) -> None:
    def refuse(command: Any) -> m.Message:
        return m.Refused(key=command.key, reason="foreign orders are working")

    with speaking(Speaker("risk_monitor", tmp_path, [], refuse)):
        replies = ask(tmp_path, commands.adopt("key", "me"))
    assert replies[0].text == "foreign orders are working"
    assert asking.exit_code(replies) is ExitCode.NO


def test_a_refusal_weighs_more_than_a_dead_service() -> None:
    def reply(outcome: asking.Outcome) -> Reply:
        return Reply(service="s", command="Resume", outcome=outcome, text="")

    assert asking.exit_code([reply("unreachable"), reply("refused")]) is ExitCode.NO
    assert asking.exit_code([reply("unreachable"), reply("no answer")]) is ExitCode.NOT_RUNNING


def test_an_answer_to_another_question_is_none(tmp_path: Path) -> None:
    def other(_command: Any) -> m.Message:
        return m.Accepted(key="somebody-elses", note="")

    with speaking(Speaker("console", tmp_path, [], other)):
        replies = ask(tmp_path, commands.try_alert("key"), answer_s=1.0)
    assert outcomes(replies) == {"console": "no answer"}


def test_a_service_that_comes_back_is_asked_then(tmp_path: Path) -> None:
    seen: list[Any] = []

    def second_time(command: Any) -> m.Message | None:
        seen.append(command)
        return accept(command) if len(seen) == 2 else None

    with speaking(Speaker("broker_gateway", tmp_path, [], second_time)):
        replies = ask(tmp_path, commands.unlock("key", "me", "checked by hand"))
    assert outcomes(replies) == {"broker_gateway": "accepted"}
