"""Which system a command means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common import running
from services.trader import find
from services.trader.exit_codes import CommandError, ExitCode

STARTED = {"sim": "2025-06-02T13:00:00Z", "paper": "2025-06-03T13:00:00Z"}


def leave(root: Path, mode: running.Mode, *, alive: bool) -> running.Running:
    found = running.Running(
        mode=mode,
        broker="sim" if mode == "sim" else "tws",
        run_dir=str(root),
        var_dir=str(root / mode),
        pid=os.getpid(),
        life=running.life_of(os.getpid()) if alive else "of another boot",
        started=STARTED[mode],
    )
    running.write(root / mode, found)
    return found


def test_the_running_one_is_meant_even_when_another_ran_later(tmp_path: Path) -> None:
    sim = leave(tmp_path, "sim", alive=True)
    leave(tmp_path, "paper", alive=False)
    assert find.any_system(tmp_path, None) == sim


def test_when_none_runs_the_last_one_is_meant(tmp_path: Path) -> None:
    leave(tmp_path, "sim", alive=False)
    paper = leave(tmp_path, "paper", alive=False)
    assert find.any_system(tmp_path, None) == paper


def test_when_two_run_the_mode_must_be_said(tmp_path: Path) -> None:
    leave(tmp_path, "sim", alive=True)
    paper = leave(tmp_path, "paper", alive=True)
    with pytest.raises(CommandError, match="paper and sim are running: say which") as refused:
        find.any_system(tmp_path, None)
    assert refused.value.code is ExitCode.USAGE
    assert find.any_system(tmp_path, "paper") == paper


def test_a_command_to_a_stopped_system_says_so(tmp_path: Path) -> None:
    leave(tmp_path, "sim", alive=False)
    with pytest.raises(CommandError, match="not running any more") as refused:
        find.running_system(tmp_path, None)
    assert refused.value.code is ExitCode.NOT_RUNNING


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / running.FILE_NAME).write_text("{}")
    with pytest.raises(CommandError, match=running.FILE_NAME):
        find.any_system(tmp_path, None)
