"""`trader sweep` as a person or a script meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyarrow import parquet as pq
from typer.testing import CliRunner

from services.trader.app import app
from services.trader.backtest_options import COMPILING

SMALL = [
    "sweep", "--synthetic", "3", "--history-slow-multiple", "1", "--fast", "10,25", "--slow",
    "60,125",
]  # fmt: skip


def ask(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output.replace(f"{COMPILING}\n", "")


def test_every_cell_is_written_and_the_best_stand_above_the_documents_own(tmp_path: Path) -> None:
    out = tmp_path / "cells.parquet"

    code, output = ask(*SMALL, "--slippage-bp", "0:4:2", "--out", str(out))

    assert code == 0, output
    assert pq.read_metadata(out).num_rows == 12
    assert (tmp_path / "cells.svg").read_text(encoding="utf-8").startswith("<svg")
    lines = output.splitlines()
    assert all(word in lines[1] for word in ("CAGR %", "max drawdown %", "worst day %"))
    best_five, own = lines[2:7], lines[7]
    assert all("3/3.25/3.5/3.75" in line for line in best_five)
    assert own.split()[:5] == ["25", "125", "2", "1", "3/3.25/3.5/3.75"]
    assert "best of 12 cells is partly luck" in output
    assert "the first day on which every cell may trade" in output


def test_the_documents_own_cell_is_the_backtest_with_default_options(tmp_path: Path) -> None:
    _, swept = ask(*SMALL, "--out", str(tmp_path / "cells.parquet"), "--json")
    found = json.loads(swept)
    _, alone = ask(
        "backtest", "--synthetic", "3", "--history-slow-multiple", "1", "--from", found["from"],
        "--json",
    )  # fmt: skip

    assert found["notes"][0].startswith(f"From {found['from']}: the first day on which every cell")
    assert found["document"] == json.loads(alone)["metrics"]
    assert found["cells"] == 4
    assert len(found["best"]) == 4
    assert "partly luck" in found["says"]


def test_files_that_are_there_stay_unless_they_are_given_up(tmp_path: Path) -> None:
    out = tmp_path / "cells.parquet"
    out.write_text("mine", encoding="utf-8")

    code, output = ask(*SMALL, "--out", str(out))
    assert (code, out.read_text(encoding="utf-8")) == (2, "mine")
    assert "--force" in output

    code, _ = ask(*SMALL, "--out", str(out), "--force")
    assert code == 0
    assert pq.read_metadata(out).num_rows == 4


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--fast", "125"], "fast 125 is not smaller than slow 60"),
        (["--fast", ""], "the grid is empty"),
        (["--stop-pct", "2:1:1"], "FIRST:LAST:STEP"),
        (["--leverage", "3/4"], "one more than the 3 VIX levels 12, 13, 14"),
        (["--gross", "--slippage-bp", "5"], "--gross has no slippage"),
        (["--gross", "--commission", "0.01"], "leave --commission 0.01 out"),
        (["--slow", "3000"], "--slow must be at most 1000 closes"),
        (["--stop-pct", "2,100"], "--stop-pct must be at most 20 %"),
        (["--slippage-bp", "1,1"], "--slippage-bp: 1 is there twice"),
        (["--engine", "dask"], "--engine dask and --scheduler ADDRESS go together"),
        (["--scheduler", "tcp://127.0.0.1:1"], "go together"),
        (["--out", "no/such/folder/cells.parquet"], "no/such/folder: no such folder"),
        (["--out", "cells.svg"], "end it in .parquet"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments: list[str], reason: str) -> None:
    code, output = ask(*SMALL, *arguments)

    assert code == 2
    assert reason in output
    assert len(output.splitlines()) == 1
