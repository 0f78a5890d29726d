"""A real supervisord over a few programs, in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from common.supervision import Supervisor

ROOT = Path(__file__).resolve().parents[2]
STOP_S_MAX = 30.0

CONFIG = """
[supervisord]
nodaemon = true
directory = {root}
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid
[unix_http_server]
file = {folder}/supervisor.sock
chmod = 0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
PROGRAM = """
[program:{name}]
stdout_logfile = {folder}/{name}.log
redirect_stderr = true
{block}
"""


def python(what: str) -> str:
    """The block of a script or of `-m module` in this interpreter, started again when it ends."""
    return f"command = {sys.executable} {what}\nautorestart = true"


@contextmanager
def supervised(folder: Path, programs: Mapping[str, str]) -> Iterator[Supervisor]:
    """`programs`: the lines of each one's block by its name. They get `folder` as their journals'
    and sockets' place, 1 s of patience, and no TRADER setting of ours; what they print lies there
    as NAME.log. All are told to end when the block is left."""
    config = folder / "supervisord.conf"
    parts = (
        PROGRAM.format(name=name, folder=folder, block=block) for name, block in programs.items()
    )
    config.write_text(CONFIG.format(root=ROOT, folder=folder) + "".join(parts))
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
        env=environment(folder) | {"TRADER__OPERATION__SILENCE_S_MAX": "1.0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Supervisor(folder / "supervisor.sock")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S_MAX)


def environment(folder: Path) -> dict[str, str]:
    """This process's, without its TRADER settings; journals and sockets in `folder`."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TRADER")}
    return kept | {"PYTHONPATH": str(ROOT), "TRADER_VAR": str(folder), "TRADER_RUN": str(folder)}
