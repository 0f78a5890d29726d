"""A data file that nobody could trade on is refused by file, row and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.sim_tws.market import MarketDataError, replay
from tests.sim_tws.market.data_folder import (
    DAILY_HEADER,
    INTRADAY_HEADER,
    daily_lines,
    intraday_lines,
    sessions,
    write_folder,
)

ROW_4 = "2025-11-19,102.0,105.0,100.0,103.0,1000000"


def refusal(folder: Path) -> str:
    with pytest.raises(MarketDataError) as refused:
        replay(folder, 1)
    return str(refused.value)


@pytest.mark.parametrize(
    ("bad_row", "reason"),
    [
        ("2025-11-19,102.0,105.0,100.0,103.0", "5 fields under 6 columns"),
        ("2025-11-19,102.0,105.0,100.0,103.0,1,9", "7 fields under 6 columns"),
        ("", "0 fields under 6 columns"),
        ("2025-11-19,abc,105.0,100.0,103.0,1", "open 'abc' is not a number"),
        ("2025-11-19,102.0,,100.0,103.0,1", "high '' is not a number"),
        ("2025-11-19,102.0,105.0,nan,103.0,1", "low 'nan' is not a number"),
        ("2025-11-19,102.0,inf,100.0,103.0,1", "high 'inf' is not a number"),
        ("2025-11-19,102.0,105.0,100.0,103.0,many", "volume 'many' is not a number"),
        ("2025-11-19,102.0,105.0,0,103.0,1", "low 0 is not positive"),
        ("2025-11-19,-102.0,105.0,100.0,103.0,1", "open -102 is not positive"),
        ("2025-11-19,102.0,105.0,100.0,103.0,-1", "volume -1 is negative"),
        ("2025-11-19,102.0,100.0,105.0,103.0,1", "high 100 is below low 105"),
        ("2025-11-19,106.0,105.0,100.0,103.0,1", "open 106 is outside 100 to 105"),
        ("2025-11-19,102.0,105.0,100.0,99.5,1", "close 99.5 is outside 100 to 105"),
        ("19.11.2025,102.0,105.0,100.0,103.0,1", "date '19.11.2025' is not YYYY-MM-DD"),
        ("0025-11-19,102.0,105.0,100.0,103.0,1", "date 0025-11-19 is not between 1970 and 2100"),
        ("2025-11-18,102.0,105.0,100.0,103.0,1", "date 2025-11-18 is repeated"),
        ("2025-11-14,102.0,105.0,100.0,103.0,1", "date 2025-11-14 is older than 2025-11-18"),
    ],
)
def test_bad_daily_row_is_refused_by_file_row_and_reason(
    tmp_path: Path, bad_row: str, reason: str
) -> None:
    lines = daily_lines()
    assert lines[3] == ROW_4
    lines[3] = bad_row

    text = refusal(write_folder(tmp_path, SMH_daily=lines))

    assert text.startswith("SMH_daily.csv, row 4: ")
    assert reason in text


def test_missing_column_is_refused(tmp_path: Path) -> None:
    lines = ["date,open,high,low,volume", "2025-11-17,1,1,1,1"]

    text = refusal(write_folder(tmp_path, SMH_daily=lines))

    assert text == "SMH_daily.csv, row 1: needs one column 'close', has date,open,high,low,volume"


@pytest.mark.parametrize("lines", [[DAILY_HEADER], []])
def test_file_without_rows_is_refused(tmp_path: Path, lines: list[str]) -> None:
    assert refusal(write_folder(tmp_path, SMH_daily=lines)).startswith("SMH_daily.csv")


@pytest.mark.parametrize("name", ["SMH_daily.csv", "VIX_daily.csv"])
def test_absent_file_is_refused(tmp_path: Path, name: str) -> None:
    (write_folder(tmp_path) / name).unlink()

    assert refusal(tmp_path).startswith(f"{name}: No such file")


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "VIX_daily.csv").write_bytes(b"date,open\n\xff\xfe\x00")

    assert refusal(tmp_path).startswith("VIX_daily.csv: not a text file")


@pytest.mark.parametrize("name", ["SMH", "VIX"])
def test_day_that_is_no_session_is_refused(tmp_path: Path, name: str) -> None:
    lines = daily_lines()
    holiday = "2025-11-27,109.5,112.0,107.0,110.0,1"
    lines.insert(9, holiday)

    text = refusal(write_folder(tmp_path, **{f"{name}_daily": lines}))

    assert text == f"{name}_daily.csv, row 10: 2025-11-27 is no session of the exchange"


def test_hole_in_the_smh_history_is_refused_and_one_in_the_vix_is_not(tmp_path: Path) -> None:
    lines = daily_lines()
    del lines[3]

    replay(write_folder(tmp_path, VIX_daily=lines), 1)
    text = refusal(write_folder(tmp_path, SMH_daily=lines))

    assert text == "SMH_daily.csv, row 4: the session 2025-11-19 is missing above it"


def test_open_outside_the_range_widens_the_vix_and_refuses_smh(tmp_path: Path) -> None:
    lines = daily_lines()
    lines[3] = "2025-11-19,106.0,105.0,100.0,103.0,0"

    market = replay(write_folder(tmp_path, VIX_daily=lines), 1)

    ((_, bar),) = market.daily_bars("VIX", sessions()[2].date, 1)
    assert (bar.open, bar.high) == (106.0, 106.0)


@pytest.mark.parametrize(
    ("base", "split"), [(50.0, "2:1"), (29.0, "3:1"), (205.0, "1:2"), (4.5, "10:1")]
)
@pytest.mark.parametrize("listed", [False, True])
def test_split_left_in_the_prices_is_refused_listed_or_not(
    tmp_path: Path, base: float, split: str, *, listed: bool
) -> None:
    whole, divided = daily_lines(100.0), daily_lines(base)
    actions = ["date,kind,value"] + (["2025-11-24,split,2"] if listed else [])

    text = refusal(write_folder(tmp_path, SMH_daily=whole[:6] + divided[6:], SMH_actions=actions))

    assert text.startswith("SMH_daily.csv, row 7: ")
    assert f"looks like a {split} split" in text


def test_a_true_move_that_looks_like_a_split_is_traded_once_it_is_vouched_for(
    tmp_path: Path,
) -> None:
    crash = daily_lines(100.0)[:6] + daily_lines(75.0)[6:]
    text = refusal(write_folder(tmp_path, SMH_daily=crash))
    assert "looks like" in text

    vouched = text.partition("put ")[2].split()[0]
    actions = ["date,kind,value", vouched]
    market = replay(write_folder(tmp_path, SMH_daily=crash, SMH_actions=actions), 1)

    day = sessions()[5].date
    assert market.opening_print("SMH", day) == 80.0
    assert market.actions_on(day) == []


def test_large_move_that_is_no_split_is_traded(tmp_path: Path) -> None:
    fell = "2025-11-24,103.0,104.0,74.0,75.0,1000"
    lines = [*daily_lines(100.0)[:6], fell, *daily_lines(72.0)[7:]]
    assert lines[6][:10] == str(sessions()[5].date)

    market = replay(write_folder(tmp_path, SMH_daily=lines), 1)

    assert market.opening_print("SMH", sessions()[5].date) == 103.0


@pytest.mark.parametrize(
    ("split", "gap_pct", "day_pct"),
    [(5 / 4, 4.0, 11.0), (5 / 4, 9.0, 4.0), (4 / 3, -5.0, -6.0), (4 / 3, 11.0, 8.0)],
)
def test_a_small_split_on_a_day_that_moves_far_is_refused_by_its_open(
    tmp_path: Path, split: float, gap_pct: float, day_pct: float
) -> None:
    """Neither its open nor its close is near the split's ratio; SMH just never opened so low."""
    whole = daily_lines(100.0)
    before = float(whole[5].split(",")[4])
    opened, closed = (before * (1 + pct / 100) / split for pct in (gap_pct, day_pct))
    high, low = max(opened, closed) + 1, min(opened, closed) - 1
    line = f"{sessions()[5].date},{opened:.2f},{high:.2f},{low:.2f},{closed:.2f},1000"
    lines = [*whole[:6], line]

    text = refusal(write_folder(tmp_path, SMH_daily=lines))

    assert text.startswith("SMH_daily.csv, row 7: ")
    assert "split: prices must be split-adjusted" in text


def test_the_lowest_open_that_smh_ever_had_is_no_split(tmp_path: Path) -> None:
    whole = daily_lines(100.0)
    before = float(whole[5].split(",")[4])
    opened = before * 0.883  # 16 March 2020
    line = f"{sessions()[5].date},{opened:.2f},{opened + 1:.2f},{opened - 3:.2f},{opened - 2:.2f},1"

    market = replay(write_folder(tmp_path, SMH_daily=[*whole[:6], line, *daily_lines(85.0)[7:]]), 1)

    assert market.opening_print("SMH", sessions()[5].date) == round(opened, 2)


@pytest.mark.parametrize(
    ("bad_row", "reason"),
    [
        ("2025-11-19 09:40,102,102,102,102,1", "names no UTC offset"),
        ("yesterday,102,102,102,102,1", "is not ISO 8601"),
        ("2025-11-19T09:41:00-05:00,102,102,102,102,1", "begins no 300 s bar of the session"),
        ("2025-11-19T16:00:00-05:00,102,102,102,102,1", "begins no 300 s bar of the session"),
        ("2025-11-19T09:40:00-04:00,102,102,102,102,1", "is older than"),
        ("2025-11-19T09:35:00-05:00,102,102,102,102,1", "is repeated"),
        ("2025-11-22T09:40:00-05:00,102,102,102,102,1", "not among the daily file's sessions"),
        ("2025-11-19T09:40:00-05:00,102,101,102,102,1", "high 101 is below low 102"),
        ("2025-11-19T09:40:00-05:00,102,102,102,x,1", "close 'x' is not a number"),
        ("2025-11-19T09:40:00-05:00,107,107,107,107,1", "far outside the day's 100 to 105"),
        ("2025-11-19T09:40:00-05:00,204,204,204,204,1", "far outside the day's 100 to 105"),
    ],
)
def test_bad_intraday_row_is_refused_by_file_row_and_reason(
    tmp_path: Path, bad_row: str, reason: str
) -> None:
    lines = intraday_lines(sessions()[2], 300, 102.0)
    lines[3] = bad_row

    text = refusal(write_folder(tmp_path, SMH_5min=lines))

    assert text.startswith("SMH_5min.csv, row 4: ")
    assert reason in text


def test_intraday_file_without_its_columns_is_refused(tmp_path: Path) -> None:
    lines = [INTRADAY_HEADER.replace("timestamp", "time")]

    text = refusal(write_folder(tmp_path, SMH_1min=lines))

    assert text.startswith("SMH_1min.csv, row 1: needs one column 'timestamp'")


@pytest.mark.parametrize(
    ("rows", "row", "reason"),
    [
        (["2025-11-19,spinoff,2"], 2, "kind 'spinoff' is neither split nor dividend nor move"),
        (["2025-11-19,split,0"], 2, "value 0 is not positive"),
        (["2025-11-19,dividend,x"], 2, "value 'x' is not a number"),
        (["2025-11-27,split,2"], 2, "2025-11-27 is no session of the exchange"),
        (["2025-11-19,dividend,1", "2025-11-18,dividend,1"], 3, "is older than 2025-11-19"),
        (["2025-11-19,split,2", "2025-11-19,split,2"], 3, "a second split on 2025-11-19"),
    ],
)
def test_bad_action_is_refused_by_file_row_and_reason(
    tmp_path: Path, rows: list[str], row: int, reason: str
) -> None:
    text = refusal(write_folder(tmp_path, SMH_actions=["date,kind,value", *rows]))

    assert text.startswith(f"SMH_actions.csv, row {row}: ")
    assert reason in text
