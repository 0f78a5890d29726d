"""The command as a person and as a script meets it: the real program, its output, its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from common import running
from services.trader.app import app
from tests.trader import facts
from tests.trader.recorded import record_day
from tests.trader.stage import Speaker, StandingBy, heartbeat, speaking

Trader = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """A folder of a system whose sockets are in `tmp_path`/run; this test is its launcher."""
    (tmp_path / "run").mkdir(mode=0o700)
    leave(tmp_path, os.getpid())
    return tmp_path


def leave(var: Path, pid: int) -> None:
    system = running.Running(
        mode="paper", broker="tws", run_dir=str(var / "run"), var_dir=str(var / "paper"),
        pid=pid, life=running.life_of(pid), started="2025-06-02T13:00:00Z",
    )  # fmt: skip
    running.write(var / "paper", system)


@pytest.fixture
def trader(var: Path, monkeypatch: pytest.MonkeyPatch) -> Trader:
    """Runs one command in this process."""
    monkeypatch.setenv("TRADER_VAR", str(var))

    def run(*words: str, said: str = "") -> Result:
        return CliRunner().invoke(app, words, input=said)

    return run


def process(var: Path, *words: str) -> subprocess.Popen[str]:
    """The same as a program of its own."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "services.trader", *words],
        cwd=ROOT, env=os.environ | {"TRADER_VAR": str(var), "COLUMNS": "100"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def system(var: Path) -> Iterator[dict[str, Speaker]]:
    """All services of the afternoon, on real sockets."""
    speakers = {
        name: Speaker(name, var / "run", [heartbeat(), *said]) for name, said in facts.SAID.items()
    }
    with speaking(*speakers.values(), StandingBy(var / "run")):
        yield speakers


def test_no_help_cuts_a_name_or_a_default_on_a_terminal_of_80_columns() -> None:
    runner = CliRunner(env={"COLUMNS": "80"})
    shown = runner.invoke(app, ["--help"]).output
    names = re.findall(r"^│ ([a-z-]+) ", shown, re.MULTILINE)
    assert {"status", "backtest", "sweep", "history"} <= set(names)

    names.remove("run")  # becomes another program, with an answer of its own
    for words in ([], *([name] for name in names), ["history", "check"]):
        shown = runner.invoke(app, [*words, "--help"]).output
        assert "Usage" in shown
        assert "…" not in shown, shown


def answer(result: Result) -> Any:
    return json.loads(result.stdout)


def test_nothing_ever_ran_is_told_in_one_line(tmp_path: Path) -> None:
    with process(tmp_path, "status") as program:
        _, told = program.communicate(timeout=60)
    assert program.returncode == 3
    assert told.count("\n") == 1
    assert "make run" in told


@pytest.mark.usefixtures("system")
def test_status_shows_the_running_system(var: Path) -> None:
    with process(var, "status") as program:
        shown, _ = program.communicate(timeout=60)
    assert program.returncode == 0
    assert "In the market with 7,355 SMH." in shown
    assert "silent" not in shown


@pytest.mark.usefixtures("system")
def test_tail_goes_on_until_it_is_stopped(var: Path) -> None:
    with process(var, "tail", "--json", "quote") as program:
        assert program.stdout is not None
        told = json.loads(program.stdout.readline())
        program.send_signal(signal.SIGINT)
        try:
            assert program.wait(60) == 0
        finally:
            program.kill()
    assert (told["topic"], told["fact"]["mark_usd"]) == ("Quote", 408.39)


def test_an_error_is_json_where_json_was_asked_for(trader: Trader, var: Path) -> None:
    (var / "paper" / running.FILE_NAME).unlink()
    result = trader("status", "--json")
    assert answer(result)["exit_code"] == result.exit_code == 3


def test_a_wrong_command_line_is_bad_usage(trader: Trader) -> None:
    assert trader("halt").exit_code == 2
    assert trader("tail", "NoSuchTopic").exit_code == 2
    assert trader("why", "something").exit_code == 2


@pytest.mark.usefixtures("system")
def test_status_as_json_carries_numbers_with_units(trader: Trader) -> None:
    found = answer(trader("status", "--json"))
    assert found["answer"]["in_market"] is True
    assert found["stop"]["stop_usd"] == 980_000.0
    assert found["link"]["account"] == "DU***67"
    rows = {row["service"]: row["verdict"] for row in found["services"]}
    assert rows == {**dict.fromkeys(facts.SAID, "ready"), "risk_standby": "standing by"}


def test_status_of_a_stopped_system_reads_its_journals(trader: Trader, var: Path) -> None:
    record_day(var / "paper")
    (var / "run").rmdir()
    result = trader("status", "--json")
    assert result.exit_code == 3
    found = answer(result)
    assert found["signal"]["side"] == "BULL"
    assert found["running"] is False


def test_halt_reaches_both_latches(trader: Trader, system: dict[str, Speaker]) -> None:
    result = trader("halt", "--reason", "storm", "--json")
    assert result.exit_code == 0
    assert [reply["outcome"] for reply in answer(result)["answers"]] == ["accepted", "accepted"]
    assert system["broker_gateway"].heard[0].reason == "storm"


def test_flatten_shows_the_position_and_does_nothing_without_a_yes(
    trader: Trader, system: dict[str, Speaker]
) -> None:
    result = trader("flatten", said="n\n")
    assert result.exit_code == 1
    assert "7,355 SMH at $408.39" in result.stdout
    assert not system["risk_monitor"].heard


def test_flatten_sells_after_a_yes(trader: Trader, system: dict[str, Speaker]) -> None:
    assert trader("flatten", said="y\n").exit_code == 0
    assert type(system["risk_monitor"].heard[0]).__name__ == "Flatten"


def test_json_never_asks_back(trader: Trader, system: dict[str, Speaker]) -> None:
    assert trader("resume", "--json").exit_code == 2
    assert not system["risk_monitor"].heard
    assert trader("resume", "--json", "--yes").exit_code == 0


def test_rejudge_says_identical(trader: Trader, var: Path) -> None:
    record_day(var / "paper")
    result = trader("rejudge", "2025-06-02")
    assert result.exit_code == 0
    assert "identical" in result.stdout


def test_why_of_an_unknown_order_is_no(trader: Trader) -> None:
    assert trader("why", "20250602-ENTRY-1").exit_code == 1
    assert trader("why", "12").exit_code == 1


def test_status_of_a_damaged_journal_shows_the_rest_and_the_damage(
    trader: Trader, var: Path
) -> None:
    path = record_day(var / "paper")
    data = bytearray(path.read_bytes())
    data[40] ^= 0xFF
    path.write_bytes(data)
    (var / "run").rmdir()
    found = answer(trader("status", "--json"))
    assert "damaged at byte 0" in found["warnings"][0]


def test_run_hands_its_words_to_the_launcher(var: Path) -> None:
    with process(var, "run", "--broker", "nonsense") as program:
        told, _ = program.communicate(timeout=60)
    assert program.returncode == 2
    assert told.startswith("❌ Not started: BROKER (--broker): ")
