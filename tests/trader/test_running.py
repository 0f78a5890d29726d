"""How the command line finds a system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from common import running
from common.running import Running


def system(tmp_path: Path, mode: running.Mode, started: str, pid: int | None = None) -> Running:
    return Running(
        mode=mode,
        broker="sim" if mode == "sim" else "tws",
        run_dir=str(tmp_path),
        var_dir=str(tmp_path / mode),
        pid=os.getpid() if pid is None else pid,
        life=running.life_of(os.getpid()),
        started=started,
    )


def test_what_the_launcher_wrote_is_found_newest_first(tmp_path: Path) -> None:
    old = system(tmp_path, "sim", "2025-06-02T13:00:00Z")
    new = system(tmp_path, "paper", "2025-06-03T13:00:00Z")
    running.write(tmp_path / "sim", old)
    running.write(tmp_path / "paper", new)
    assert running.known(tmp_path) == [new, old]


def test_a_system_that_never_ran_is_no_error(tmp_path: Path) -> None:
    assert running.known(tmp_path) == []


def test_a_launcher_that_is_gone_is_not_alive(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        theirs = msgspec.structs.replace(
            system(tmp_path, "sim", "2025-06-02T13:00:00Z", pid=child.pid),
            life=running.life_of(child.pid),
        )
        assert theirs.alive
    assert not theirs.alive


def test_another_program_under_the_launchers_process_id_is_not_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert not system(tmp_path, "sim", "2025-06-02T13:00:00Z", pid=other.pid).alive


def test_a_system_whose_sockets_folder_was_removed_is_running(tmp_path: Path) -> None:
    mine = system(tmp_path / "gone", "sim", "2025-06-02T13:00:00Z")
    assert mine.alive


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / running.FILE_NAME).write_text("{half")
    with pytest.raises(ValueError, match=running.FILE_NAME):
        running.known(tmp_path)
