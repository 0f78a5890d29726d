"""`trader history check`: all that the loader refuses, and what the files cover."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.backtest.examination import examine
from services.backtest.history import HistoryError, load, read_prices
from services.sim_tws.market import data_files
from services.sim_tws.market.interface import MarketDataError
from services.trader.app import app
from tests.sim_tws.harness import DATA
from tests.sim_tws.market.data_folder import (
    INTRADAY_HEADER,
    daily_lines,
    intraday_lines,
    sessions,
    write_folder,
)

DAILY = daily_lines()
FAULTS = {
    "SMH_daily": (
        [
            *DAILY[:3],
            "2025-11-19,102,abc,100,103,1",
            "2025-11-20,103,101,106,104,1",
            "2025-11-21,104,107,0,105,1",
            *DAILY[6:9],
            *DAILY[8:10],
            *DAILY[11:13],
            "2025-12-04,55,56,54,54.5,1",
        ],
        [
            "row 4: high 'abc' is not a number",
            "row 5: high 101 is below low 106",
            "row 6: low 0 is not positive",
            "row 10: date 2025-11-26 is repeated",
            "row 12: the session 2025-12-01 is missing above it",
            "row 14: the close went from 112 to 54.5, which looks like a 2:1 split",
        ],
    ),
    "VIX_daily": (
        [*DAILY[:2], "2025-11-18,15,nan,14,15,0", *DAILY[3:6], "2025-11-23,15,16,14,15,0"],
        ["row 3: high 'nan' is not a number", "row 7: 2025-11-23 is no session"],
    ),
    "SMH_5min": (
        [
            *intraday_lines(sessions()[0], 300, 100.0)[:4],
            "2025-11-17T09:46:00-05:00,100,100,100,100,1",
            "2025-11-17T09:50:00-05:00,200,200,200,200,1",
        ],
        ["row 5: 2025-11-17T09:46:00-05:00 begins no 300 s bar", "row 6: 200 to 200 is far out"],
    ),
    "SMH_actions": (
        ["date,kind,value", "2025-11-18,split,0", "2025-11-19,gift,1"],
        ["row 2: value 0 is not positive", "row 3: kind 'gift' is neither"],
    ),
    "SMH_adjclose": (
        ["date,adjclose", "2025-11-17,99.5", "2025-11-18,204"],
        ["row 3: adjclose 204 is above the day's close 102"],
    ),
    "FEDFUNDS_monthly": (["date,rate", "2025-10-01,x"], ["row 2: rate 'x' is not a number"]),
    "VIX_1min": (["time,open"], ["row 1: needs one column 'timestamp'"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_a_file_is_listed_with_its_row_and_reason(tmp_path: Path, name: str) -> None:
    lines, reasons = FAULTS[name]

    found = examine(write_folder(tmp_path, **{name: lines}))

    of_file = [problem for problem in found.problems if problem.startswith(f"{name}.csv, ")]
    assert len(of_file) == len(reasons), found.problems
    for problem, reason in zip(of_file, reasons, strict=True):
        assert problem.startswith(f"{name}.csv, {reason}")


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "VIX_1min"])
def test_the_loader_refuses_the_first_of_them_in_the_same_words(tmp_path: Path, name: str) -> None:
    """The examination has no judgement of its own."""
    write_folder(tmp_path, **{name: FAULTS[name][0]})

    with pytest.raises(HistoryError) as refused:
        load(tmp_path, "auto")

    assert str(refused.value) in examine(tmp_path).problems


def test_a_hole_of_many_sessions_is_one_line(tmp_path: Path) -> None:
    found = examine(write_folder(tmp_path, SMH_daily=[*DAILY[:3], *DAILY[6:]]))

    reason = "row 4: 3 sessions from 2025-11-19 to 2025-11-21 are missing above it"
    assert found.problems == (f"SMH_daily.csv, {reason}",)


def test_coverage_tells_rows_span_and_what_is_missing(tmp_path: Path) -> None:
    bars = intraday_lines(sessions()[0], 300, 100.0)
    third = intraday_lines(sessions()[2], 300, 102.0)[1:40]
    write_folder(tmp_path, SMH_5min=[*bars, *third], VIX_daily=daily_lines(15.0)[:-1])
    (tmp_path / "SOXX_daily.csv").write_text("date\n")

    found = examine(tmp_path)

    covered = {line.file: line for line in found.coverage}
    assert found.problems == ()
    assert covered["SMH_daily.csv"].rows == 13
    assert covered["VIX_daily.csv"].note == (
        "no level on 2025-12-04: the last known one counts there"
    )
    assert covered["SMH_5min.csv"].note == (
        "1 of 2 sessions whole, not 2025-11-19; 1 between them have no bars"
    )
    assert found.unused == ("SOXX_daily.csv",)


def test_daily_rows_that_cannot_be_read_are_one_problem_not_one_for_each_bar(
    tmp_path: Path,
) -> None:
    bars = intraday_lines(sessions()[0], 300, 100.0)
    write_folder(tmp_path, SMH_daily=["date,open,high,close,volume"], SMH_5min=bars)

    found = examine(tmp_path)

    (problem,) = found.problems
    assert problem.startswith("SMH_daily.csv, row 1: needs one column 'low'")
    assert "SMH_5min.csv" not in found.unused, "it is read as soon as the daily rows are"


def test_an_empty_folder_is_told_which_files_are_missing(tmp_path: Path) -> None:
    problems = examine(tmp_path).problems

    assert problems == (
        f"SMH_daily.csv: No such file or directory in {tmp_path}",
        f"VIX_daily.csv: No such file or directory in {tmp_path}",
    )


def test_the_command_shows_problems_and_its_exit_status_says_so(tmp_path: Path) -> None:
    write_folder(tmp_path, SMH_5min=[INTRADAY_HEADER, "x,1,1,1,1,1"])

    shown = CliRunner().invoke(app, ["history", "check", str(tmp_path)])
    answered = CliRunner().invoke(app, ["history", "check", str(tmp_path), "--json"])

    assert (shown.exit_code, answered.exit_code) == (1, 1)
    assert "SMH_5min.csv, row 2: timestamp 'x' is not ISO 8601" in shown.output
    assert len(json.loads(answered.output)["problems"]) == 1


@pytest.mark.parametrize(("split", "pass_by"), [(5 / 4, 3), (4 / 3, 1), (3 / 2, 0), (2.0, 0)])
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}")
def test_a_split_left_in_the_prices_passes_on_next_to_no_day_of_smh(
    split: float, pass_by: int
) -> None:
    """The days that docs/research.md names: each in turn as the day of a split nobody adjusted."""
    problems: list[Exception] = []
    smh, _, _ = read_prices(DATA, problems.append)
    seen: list[MarketDataError] = []
    for before, row in pairwise(smh):
        pair = [before, replace(row, open=row.open / split, close=row.close / split)]
        data_files.check_splits(DATA, pair, (), refuse=seen.append)
    assert len(smh) - 1 - len(seen) == pass_by


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}")
def test_nothing_of_the_real_data_is_refused() -> None:
    assert examine(DATA).problems == ()
