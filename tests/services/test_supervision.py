"""supervisord over its real unix socket; the shipped configuration; the private folder."""

from __future__ import annotations

import configparser
import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.core.vigil import Process
from common.supervision import Supervisor, SupervisorError, private_root
from common.topology import RISK, RISK_STANDBY, SPEAKERS
from tests.services.supervisord import supervised
from tests.services.waiting import until

ROOT = Path(__file__).resolve().parents[2]

SLEEPING = "command = sleep 600\nstartsecs = 0"
ASLEEP = "command = sleep 600\nautostart = false"
SLEEPERS = {"sleeper": SLEEPING, "victim": SLEEPING, "waiting": ASLEEP, "stopped": ASLEEP}


def row(supervisor: Supervisor, name: str) -> Process:
    return next(process for process in supervisor.processes() if process.name == name)


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with supervised(tmp_path_factory.mktemp("supervisord"), SLEEPERS) as supervisor:
        until(lambda: _answers(supervisor))
        yield supervisor


def _answers(supervisor: Supervisor) -> bool:
    try:
        return row(supervisor, "sleeper").state == "RUNNING"
    except SupervisorError:
        return False


def test_the_table_names_each_process_with_its_state_and_pid(supervisor: Supervisor) -> None:
    sleeper, stopped = row(supervisor, "sleeper"), row(supervisor, "stopped")
    assert sleeper.state == "RUNNING"
    os.kill(sleeper.pid, 0)  # it exists
    assert stopped == ("stopped", "STOPPED", 0)


def test_a_killed_process_comes_back_under_another_pid(supervisor: Supervisor) -> None:
    before = row(supervisor, "victim").pid
    os.kill(before, signal.SIGKILL)
    # an unexpected end, and autorestart's default restarts exactly that
    until(lambda: row(supervisor, "victim").pid not in (0, before))


def test_a_stopped_process_can_be_started(supervisor: Supervisor) -> None:
    supervisor.start("waiting")
    until(lambda: row(supervisor, "waiting").state == "RUNNING")


def test_what_supervisord_refuses_is_an_error_with_its_reason(supervisor: Supervisor) -> None:
    with pytest.raises(SupervisorError, match="startProcess"):
        supervisor.start("sleeper")


def test_an_absent_supervisord_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError):
        Supervisor(tmp_path / "nobody.sock").processes()


def test_a_silent_supervisord_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mute.sock"))
        listener.listen()
        with pytest.raises(SupervisorError):
            Supervisor(tmp_path / "mute.sock").processes()


def test_a_supervisord_that_dies_in_mid_answer_is_an_error_like_any_other(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n<?xml version='1.0'?><methodResp"

    def half(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(65_536)
            peer.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "half.sock"))
        listener.listen()
        dying = threading.Thread(target=half, args=(listener,))
        dying.start()
        with pytest.raises(SupervisorError):
            Supervisor(tmp_path / "half.sock").processes()
        dying.join()


def test_the_private_folder_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = private_root()
    assert folder == tmp_path / "trader"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_private_folder_open_to_others_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "trader").mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="nobody else can enter"):
        private_root()


def test_a_private_folder_that_is_a_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "trader").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        private_root()


def shipped() -> configparser.RawConfigParser:
    config = configparser.RawConfigParser(inline_comment_prefixes=(" ;",))
    config.read(ROOT / "supervisord.conf")
    return config


PROGRAMS = (*SPEAKERS, RISK_STANDBY, "sim_tws")


def test_every_speaker_the_standby_and_the_simulated_tws_have_a_block() -> None:
    programs = {s.partition(":")[2] for s in shipped().sections() if s.startswith("program:")}
    assert programs == {*PROGRAMS}


def test_the_standby_is_the_stop_monitor_but_for_its_log_and_place() -> None:
    blocks = [dict(shipped()[f"program:{name}"]) for name in (RISK, RISK_STANDBY)]
    options = [{k: text.partition(" ;")[0].strip() for k, text in b.items()} for b in blocks]
    for option in ("stdout_logfile", "priority"):
        assert len({block.pop(option) for block in options}) == 2
    assert options[0] == options[1]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_process_is_restarted_and_takes_its_children_with_it(name: str) -> None:
    block = dict(shipped()[f"program:{name}"])
    assert block["autorestart"] == "true"
    assert block["stopasgroup"] == block["killasgroup"] == "true"
    assert block["startsecs"] == "1"
    assert "user" not in block


def test_only_a_unix_socket_of_mode_0700_controls_the_processes() -> None:
    config = shipped()
    assert not config.has_section("inet_http_server")
    assert config["unix_http_server"]["chmod"] == "0700"


def test_every_option_says_why() -> None:
    lines = (ROOT / "supervisord.conf").read_text().splitlines()
    silent = [
        line for line in lines if " = " in line and not line.startswith(";") and ";" not in line
    ]
    assert silent == []
