"""The small file by which the command line finds a system: the launcher writes it, `trader` reads.

It lies in the mode's folder (`var/sim/current.json`, `var/paper/...`, `var/live/...`) and is left
behind when the system stops, so that the journals of the last run are found as well.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

FILE_NAME = "current.json"
DEFAULT_VAR = Path("var")

Mode = Literal["sim", "paper", "live"]
MODES: tuple[Mode, ...] = ("sim", "paper", "live")


class Running(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where one system lives. `started` is UTC, ISO 8601; `clock` is empty on a real TWS."""

    mode: Mode
    broker: Literal["sim", "tws"]
    run_dir: str
    """Private folder of the sockets."""
    var_dir: str
    """Folder of this run's journal/ and log/ (what the services get as TRADER_VAR)."""
    clock: str = ""
    """File of the replay clock."""
    pid: int
    """The launcher's."""
    life: str = ""
    """What `life_of` said of it: its process id alone may come again as another program's."""
    started: str
    options: tuple[str, ...] = ()
    """The command line of a simulated run, by which it can be continued."""

    @property
    def alive(self) -> bool:
        """Whether the launcher's process still exists; nothing of the system outlives it."""
        return bool(self.life) and self.life == life_of(self.pid)


def boot_id() -> str:
    """What Linux calls this start of the machine; "" where it does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def life_of(pid: int) -> str:
    """What no two processes of a machine share, boots included; "" when there is no such process.

    The boot's id and the start in ticks since then (proc_pid_stat(5), field 22).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return f"{boot_id()} {fields[19]}"


def var_root() -> Path:
    """The folder above the modes' folders: TRADER_VAR, or `var/`."""
    return Path(os.environ.get("TRADER_VAR", "") or DEFAULT_VAR)


def write(mode_dir: Path, running: Running) -> None:
    """Replace the mode's file in one step, so that a reader never sees half of it."""
    mode_dir.mkdir(parents=True, exist_ok=True)
    draft = mode_dir / f".{FILE_NAME}.{os.getpid()}"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(running)) + b"\n")
    draft.replace(mode_dir / FILE_NAME)


def known(root: Path) -> list[Running]:
    """Every system that left its file under `root`, newest start first.

    Raises ValueError naming a file that is not what `write` wrote.
    """
    found = []
    for path in (folder / FILE_NAME for folder in (root, *(root / mode for mode in MODES))):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Running))
        except FileNotFoundError:
            continue
        except msgspec.MsgspecError as error:
            raise ValueError(f"{path}: not a file of a running system ({error})") from error
    return sorted(found, key=lambda running: running.started, reverse=True)
