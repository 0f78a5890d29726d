"""A folder of files: what is read from it, and what is refused with file, row and reason."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from common.core.rules import SHARE_RATIOS
from services.backtest.history import HistoryError, load
from services.backtest.options import Options, OptionsError
from services.backtest.sheet import lay_out

HEAD = "date,open,high,low,close,volume"
SMH = [
    HEAD,
    "2024-05-20,100,102,99,101,1000",
    "2024-05-21,101,103,100,102,1000",
    "2024-05-22,102,104,101,103,1000",
    "2024-05-23,103,105,102,104,1000",
    "2024-05-24,104,106,103,105,1000",
    "2024-05-28,105,107,104,106,1000",
]
VIX = [HEAD, "2024-05-21,13,13,13,13,0", "2024-05-24,11,11,11,11,0", "2024-05-28,12,12,12,12,0"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "SMH_daily.csv", SMH)
    write(tmp_path, "VIX_daily.csv", VIX)
    return tmp_path


def write(folder: Path, name: str, lines: list[str]) -> None:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_the_vix_of_a_day_is_its_own_or_the_last_known_never_a_later_one(folder: Path) -> None:
    sheet = lay_out(load(folder), Options(interest=False))

    assert sheet.vix.tolist() == [0.0, 13.0, 13.0, 13.0, 11.0, 12.0]


def test_rows_of_days_without_a_session_are_refused_not_joined(folder: Path) -> None:
    write(folder, "VIX_daily.csv", [*VIX[:3], "2024-05-27,30,30,30,30,0"])

    with pytest.raises(HistoryError, match=r"VIX_daily.csv, row 4: 2024-05-27 is no session"):
        load(folder)


def test_an_empty_file_is_called_empty(folder: Path) -> None:
    (folder / "SMH_daily.csv").write_text("", encoding="utf-8")

    with pytest.raises(HistoryError, match=r"SMH_daily.csv, row 1: the file is empty; it needs"):
        load(folder)


@pytest.mark.parametrize(
    ("row", "line", "reason"),
    [
        (1, "date,open,high,low,volume", "row 1: needs one column 'close'"),
        (4, SMH[2], "row 4: date 2024-05-21 is repeated"),
        (5, SMH[2], "row 5: date 2024-05-21 is older than 2024-05-22"),
        (4, "", "row 4: the session 2024-05-22 is missing above it"),
        (4, "2024-05-22,102,104,0,103,1000", "row 4: low 0 is not positive"),
        (4, "2024-05-22,102,101,104,103,1000", "row 4: high 101 is below low 104"),
        (4, "2024-05-22,102,104,101,abc,1000", "row 4: close 'abc' is not a number"),
        (4, "2024-05-22,51,52,50,51,1000", "row 4: the close went from 102 to 51.* 2:1 split"),
    ],
)
def test_unusable_prices_are_refused_with_file_row_and_reason(
    folder: Path, row: int, line: str, reason: str
) -> None:
    lines = [*SMH[: row - 1], *([line] if line else []), *SMH[row:]]
    write(folder, "SMH_daily.csv", lines)

    with pytest.raises(HistoryError, match=f"SMH_daily.csv, {reason}"):
        load(folder)


@pytest.mark.parametrize("ratio", [*SHARE_RATIOS, *(1.0 / ratio for ratio in SHARE_RATIOS)])
@pytest.mark.parametrize("day_pct", [-1.5, 0.0, 1.5])
def test_prices_before_a_split_that_nobody_adjusted_are_refused(
    folder: Path, ratio: float, day_pct: float
) -> None:
    def scaled(line: str) -> str:
        day, *prices, volume = line.split(",")
        true = [float(price) * ratio / (1.0 + day_pct / 100.0) for price in prices]
        return ",".join([day, *(f"{price:.6f}" for price in true), volume])

    write(folder, "SMH_daily.csv", [SMH[0], *map(scaled, SMH[1:4]), *SMH[4:]])

    named = Fraction(ratio).limit_denominator(50)
    split = f"{named.numerator}:{named.denominator}"
    with pytest.raises(HistoryError, match=f"row 5: .* looks like a {split} split: .*actions.csv"):
        load(folder)


def test_a_true_move_of_a_splits_size_is_read_once_its_own_ratio_is_vouched_for(
    folder: Path,
) -> None:
    write(folder, "SMH_daily.csv", [*SMH[:4], "2024-05-23,82,84,81,82,1000"])
    write(folder, "SMH_actions.csv", ["date,kind,value", "2024-05-23,move,0.5"])
    with pytest.raises(HistoryError, match=r"put 2024-05-23,move,0.7961 into SMH_actions.csv"):
        load(folder)

    write(folder, "SMH_actions.csv", ["date,kind,value", "2024-05-23,move,0.7961"])

    assert [row.close for row in load(folder).smh] == [101.0, 102.0, 103.0, 82.0]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"SMH_daily.csv: No such file"):
        load(tmp_path)


def test_interest_without_rates_says_what_to_add(folder: Path) -> None:
    with pytest.raises(OptionsError, match=r"FEDFUNDS_monthly.csv"):
        lay_out(load(folder), Options())


def test_daily_rates_take_over_from_the_monthly_ones(folder: Path) -> None:
    write(folder, "FEDFUNDS_monthly.csv", ["date,rate", "2024-05-01,5.0", "2024-06-01,9.0"])
    write(folder, "DFF_daily_2024.csv", ["date,rate", "2024-05-23,4.0"])

    factors = lay_out(load(folder), Options(interest_spread_pct=0.0)).night_factor * 36_000.0

    assert np.allclose(factors, [0.0, 5.0, 5.0, 5.0, 4.0, 4.0 * 4])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2024-05-02,x", "row 3: rate 'x' is not a number"),
        ("2024-04-01,5", "row 3: date .* after"),
        ("2024-07-01,5", "row 3: no rate between 2024-05-01 and 2024-07-01"),
    ],
)
def test_unusable_rates_are_refused_with_file_row_and_reason(
    folder: Path, line: str, reason: str
) -> None:
    write(folder, "FEDFUNDS_monthly.csv", ["date,rate", "2024-05-01,5.0", line])

    with pytest.raises(HistoryError, match=f"FEDFUNDS_monthly.csv, {reason}"):
        load(folder)


def test_dividend_adjusted_prices_need_their_file(folder: Path) -> None:
    with pytest.raises(OptionsError, match=r"SMH_adjclose.csv has no row for 2024-05-20"):
        lay_out(load(folder), Options(prices="dividend_adjusted", interest=False))


def five_minutes(day: str, count: int) -> list[str]:
    return [
        f"{day}T{9 + (30 + 5 * at) // 60:02d}:{(30 + 5 * at) % 60:02d}:00-04:00,103,103,103,103,9"
        for at in range(count)
    ]


def test_a_day_counts_as_intraday_only_with_nearly_all_its_bars(folder: Path) -> None:
    head = "timestamp,open,high,low,close,volume"
    lines = [head, *five_minutes("2024-05-22", 78), *five_minutes("2024-05-23", 40)]
    write(folder, "SMH_5min.csv", lines)

    sheet = lay_out(load(folder, "auto"), Options(bars="auto", interest=False))

    assert sheet.fine == (date(2024, 5, 22),)
    assert (sheet.bar_first[1:] - sheet.bar_first[:-1]).tolist() == [1, 1, 78, 1, 1, 1]
    assert sheet.bar_entry[2] - sheet.bar_first[2] == 77, "the last bar begins at the entry"


def test_bars_that_were_asked_for_must_be_there(folder: Path) -> None:
    with pytest.raises(HistoryError, match=r"SMH_1min.csv: no such file"):
        load(folder, "1min")


def test_with_bars_of_the_vix_an_entry_reads_the_last_one_before_it(folder: Path) -> None:
    bars = [
        "timestamp,open,high,low,close,volume",
        "2024-05-24T15:45:00-04:00,11,11,11,11,0",
        "2024-05-24T15:50:00-04:00,11,11,10.95,10.95,0",
        "2024-05-24T15:55:00-04:00,10.95,11.05,10.95,11.05,0",
        "2024-05-28T15:25:00-04:00,12,12.1,12,12.1,0",
    ]
    write(folder, "VIX_5min.csv", bars)

    fine = lay_out(load(folder, "auto"), Options(bars="auto", interest=False))
    daily = lay_out(load(folder), Options(interest=False))

    assert fine.vix.tolist() == [0.0, 13.0, 13.0, 13.0, 10.95, 12.0], "one too old does not count"
    assert daily.vix.tolist() == [0.0, 13.0, 13.0, 13.0, 11.0, 12.0]
