"""`trader backtest` and `trader reproduce` as a person or a script meets them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numba
import pytest
from typer.testing import CliRunner

from services.backtest import compiled_path
from services.backtest.compiled_path import run_compiled
from services.backtest.history import History
from services.backtest.options import Options
from services.backtest.result import Result
from services.sim_tws.market.sessions import Sessions
from services.trader import backtest_options
from services.trader.app import app
from tests.backtest.market import random_history

METRICS = {
    "cagr_pct", "max_drawdown_pct", "sharpe", "entries", "stops", "bear_exits", "trades_per_year",
    "win_rate_pct", "worst_day_pct", "final_equity_usd",
}  # fmt: skip
SHORT = ["--fast", "3", "--slow", "8", "--history-slow-multiple", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random walk over the real sessions of some months of 2024."""
    folder = tmp_path_factory.mktemp("data")
    made = random_history(11, 120)
    days = [session.date for session in Sessions(date(2024, 1, 2), date(2024, 12, 31)).all]
    head = "date,open,high,low,close,volume"
    smh = [
        f"{day},{row.open},{row.high},{row.low},{row.close},1"
        for day, row in zip(days, made.smh, strict=False)
    ]
    vix = [f"{day},13.5,13.5,13.5,13.5,0" for day in days[:120]]
    (folder / "SMH_daily.csv").write_text("\n".join([head, *smh]), encoding="utf-8")
    (folder / "VIX_daily.csv").write_text("\n".join([head, *vix]), encoding="utf-8")
    (folder / "FEDFUNDS_monthly.csv").write_text("date,rate\n2024-01-01,5.3\n", encoding="utf-8")
    return folder


def ask(*arguments: str) -> tuple[int, str]:
    """Exit code and what is said, but for what only a first start has to say."""
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output.replace(f"{backtest_options.COMPILING}\n", "")


def answer(data: Path, *arguments: str) -> dict[str, Any]:
    code, output = ask("backtest", "--data", str(data), *SHORT, "--json", *arguments)
    assert code == 0, output
    found: dict[str, Any] = json.loads(output)
    return found


def test_json_holds_settings_metrics_and_every_trade(data: Path) -> None:
    found = answer(data, "--from", "2024-02-01", "--baseline", "entry")

    assert set(found["metrics"]) == METRICS
    assert found["settings"]["baseline"] == "entry"
    assert found["from"] == "2024-02-01"
    assert len(found["trades"]) == found["metrics"]["entries"] > 0


def test_both_paths_answer_alike(data: Path) -> None:
    assert answer(data, "--path", "event") == answer(data, "--path", "compiled")


def test_gross_turns_costs_and_interest_off(data: Path) -> None:
    found = answer(data, "--gross")

    assert found["paid"]["interest_usd"] == found["paid"]["commission_usd"] == 0.0
    assert answer(data)["paid"]["interest_usd"] > 0.0


def test_one_leverage_drops_the_vix_tiers(data: Path) -> None:
    trades = answer(data, "--leverage", "1.5")["trades"]

    assert all(1.45 < trade["leverage"] <= 1.5 for trade in trades)


def test_the_screen_shows_return_drawdown_and_worst_day_together(data: Path) -> None:
    code, output = ask("backtest", "--data", str(data), *SHORT)

    assert code == 0
    assert all(word in output for word in ("CAGR", "max drawdown", "worst day"))


def test_the_first_possible_entry_is_said_where_it_is_not_the_first_day(data: Path) -> None:
    note = "The first entry may come on 2024-01-12, not on 2024-01-02: until then fewer than 8"

    assert answer(data)["notes"][0].startswith(note)
    assert answer(data, "--gross", "--from", "2024-01-12")["notes"] == []
    assert note in ask("backtest", "--data", str(data), *SHORT)[1]


@pytest.mark.parametrize(
    ("where", "mark"), [("close", "Not tradable"), ("next_close", "Not what trades")]
)
def test_a_bear_exit_that_is_not_the_live_one_is_marked(data: Path, where: str, mark: str) -> None:
    asked = ("--gross", "--from", "2024-01-12", "--bear-exit", where)

    (note,) = answer(data, *asked)["notes"]

    assert note.startswith(f"{mark}: with --bear-exit {where} ")
    assert mark in ask("backtest", "--data", str(data), *SHORT, *asked)[1]


@pytest.mark.parametrize("command", [["backtest"], ["backtest", "--lookahead-check"], ["report"]])
def test_too_little_history_for_a_single_entry_is_refused(data: Path, command: list[str]) -> None:
    code, output = ask(*command, "--data", str(data), "--fast", "3", "--slow", "30")

    assert code == 2
    assert "have 120 sessions from 2024-01-02, and 150 closes must come before" in output
    assert "trader history --data DIR" in output


def test_where_vix_and_rates_end_before_the_run_is_said(data: Path, tmp_path: Path) -> None:
    for file in data.iterdir():
        lines = file.read_text(encoding="utf-8").splitlines()
        kept = [*lines[:60], *lines[61:80]] if file.name == "VIX_daily.csv" else lines
        (tmp_path / file.name).write_text("\n".join(kept) + "\n", encoding="utf-8")

    _, hole, ended, rates = answer(tmp_path)["notes"]

    assert hole.startswith("The VIX has no level on 2024-03-27: the last known one counts there")
    assert ended.startswith("The VIX ends on 2024-04-24: its last value stands for the 41 sessions")
    assert "live would take 3x there" in ended
    assert rates.startswith("The interest rates end on 2024-01-01: the last of them, 5.3 %")
    gross = answer(tmp_path, "--gross", "--leverage", "2")["notes"]
    assert len(gross) == 1, "no VIX and no rate is needed"


def test_nights_before_the_first_interest_rate_are_refused_with_what_to_do(
    data: Path, tmp_path: Path
) -> None:
    for file in data.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "FEDFUNDS_monthly.csv").write_text("date,rate\n2024-02-01,5.3\n", encoding="utf-8")

    code, output = ask("backtest", "--data", str(tmp_path), *SHORT)

    assert code == 2
    assert "FEDFUNDS_monthly.csv begins on 2024-02-01, the trading on 2024-01-02" in output
    assert all(way in output for way in ("--from", "--no-interest", "--gross"))
    assert answer(tmp_path, "--from", "2024-02-01")["metrics"]["entries"] > 0


def test_the_lookahead_check_says_how_often_it_cut(data: Path) -> None:
    code, output = ask("backtest", "--data", str(data), *SHORT, "--lookahead-check")

    assert code == 0
    assert "no look-ahead: cut at 119 days" in output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--margin", "pm"], "off, regt, or pm:RATE"),
        (["--vix-tiers", "12"], "LEVEL:LEVERAGE pairs"),
        (["--fast", "9", "--slow", "8"], "--fast (9) must be smaller than --slow (8)"),
        (["--stop-pct", "90"], "--stop-pct must be at most 20 %"),
        (
            ["--slow", "600", "--history-slow-multiple", "5"],
            "--slow times --history-slow-multiple must be at most 2500 closes",
        ),
        (["--leverage", "9"], "--leverage must be at most 6"),
        (["--vix-tiers", "14:3,12:3.5"], "VIX levels must rise"),
        (["--commission", "-1"], "--commission must be at least 0 USD"),
        (["--gross", "--slippage-bp", "5"], "--gross has no costs and no interest: leave --slip"),
        (["--gross", "--commission", "0.01"], "leave --commission 0.01 out"),
        (["--leverage", "2", "--vix-tiers", "12:3.5"], "leave --vix-tiers 12:3.5 out"),
        (["--synthetic", "1"], "--synthetic invents a market: leave --data"),
        (["--from", "2030-01-01"], "no session from 2030-01-01 on"),
        (["--bars", "1min"], "SMH_1min.csv"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    data: Path, arguments: list[str], reason: str
) -> None:
    code, output = ask("backtest", "--data", str(data), *SHORT, *arguments)

    assert code == 2
    assert reason in output
    assert len(output.splitlines()) == 1


def test_a_report_is_the_same_by_either_command_and_path_and_overwrites_only_when_told(
    data: Path, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.html", tmp_path / "other.html"
    about = ["--data", str(data), *SHORT, "--slippage-bp", "3"]
    one.write_text("older", encoding="utf-8")

    code, output = ask("report", *about, "--out", str(one))

    assert code == 2
    assert "--force overwrites it" in output
    assert one.read_text(encoding="utf-8") == "older"
    assert ask("report", *about, "--out", str(one), "--force")[0] == 0
    code, output = ask("backtest", *about, "--report", str(other), "--path", "event", "--json")
    assert code == 0
    assert json.loads(output)["report"] == str(other)
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["report", "--out", "nowhere/report.html"], "nowhere: no such folder"),
        (["backtest", "--report", "a.html", "--lookahead-check"], "one of the two"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_anything_runs(
    data: Path, arguments: list[str], reason: str
) -> None:
    code, output = ask(*arguments, "--data", str(data), *SHORT)

    assert code == 2
    assert reason in output


def test_an_invented_market_needs_no_folder_and_follows_its_seed() -> None:
    def final_usd(seed: int) -> float:
        code, output = ask("backtest", "--synthetic", str(seed), "--json")
        assert code == 0, output
        return float(json.loads(output)["metrics"]["final_equity_usd"])

    assert final_usd(1) == final_usd(1) != final_usd(2)


def test_a_folder_named_by_the_environment_gives_way_to_an_invented_market(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADER_DATA", str(data))

    assert ask("backtest", "--synthetic", "1", "--json")[0] == 0


def test_the_help_names_the_folder_that_is_taken_by_default() -> None:
    _, output = ask("backtest", "--help")

    assert "default:../shared/data" in "".join(output.replace("│", "").split())


def test_nothing_is_said_to_be_missing_that_an_invented_market_needs() -> None:
    _, output = ask("backtest", "--synthetic", "3", "--from", "2021-01-04", "--json")

    assert json.loads(output)["notes"] == []


def test_an_invented_market_has_daily_bars_only() -> None:
    code, output = ask("backtest", "--synthetic", "1", "--bars", "5min")

    assert code == 2
    assert "daily bars only" in output


def test_a_start_that_compiles_says_so_once_beside_its_answer(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiling_anew(history: History, options: Options) -> Result:
        for function in (lambda: 1, lambda: 2):
            compiled: Any = numba.njit(function)
            compiled()
        return run_compiled(history, options)

    monkeypatch.setattr(compiled_path, "run_compiled", compiling_anew)
    result = CliRunner().invoke(app, ["backtest", "--data", str(data), *SHORT, "--json"])

    assert result.stderr == f"{backtest_options.COMPILING}\n"
    assert "metrics" in json.loads(result.stdout)


def test_a_start_that_finds_its_code_on_disk_says_nothing_beside_its_answer(data: Path) -> None:
    for _ in range(2):
        result = CliRunner().invoke(app, ["backtest", "--data", str(data), *SHORT, "--json"])

    assert result.stderr == ""


def test_without_any_data_the_command_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(backtest_options, "BESIDE_US", tmp_path / "nothing")
    monkeypatch.delenv("TRADER_DATA", raising=False)

    code, output = ask("backtest")

    assert code == 2
    assert all(way in output for way in ("trader history", "--data", "--synthetic"))


def test_bad_data_end_the_command_with_file_row_and_reason(tmp_path: Path) -> None:
    (tmp_path / "SMH_daily.csv").write_text("date,open\n", encoding="utf-8")

    code, output = ask("reproduce", "--data", str(tmp_path))

    assert code == 2
    assert "SMH_daily.csv" in output
