"""A small disk of our own for the journals, so that it can be filled without harm to anybody.

The program starts itself again in a private mount namespace (as root, or in a user namespace of
its own) and mounts a tmpfs there: nothing of it is seen outside or left behind. Where neither is
allowed, the disk cannot be filled and that fault is skipped, with the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "CHAOS_DISK"
"""Set inside the namespace: the mount point; or `-` and why there is none."""


def run_inside(module: str, arguments: Sequence[str], folder: Path, size_mb: int) -> int:
    """Runs `python -m module` where `folder` is a disk of its own, if that can be had; its exit
    status."""
    folder.mkdir(parents=True)
    mount = f'mount -t tmpfs -o size={size_mb}m,mode=700 chaos "$1" && shift && exec "$@"'
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    private = ["unshare", *user, "--mount", "sh", "-c"]
    refusal = _refusal([*private, 'mount -t tmpfs chaos "$1"', "sh", str(folder)])
    command = [sys.executable, "-m", module, *arguments]
    if refusal:
        return _run(command, f"-{refusal}")
    return _run([*private, mount, "sh", str(folder), *command], str(folder))


def given() -> tuple[Path | None, str]:
    """Inside: the disk, and why there is none."""
    text = os.environ[VARIABLE]
    return (None, text[1:]) if text.startswith("-") else (Path(text), "")


def keep(disk: Path) -> None:
    """Puts what lies on the disk where the outside can see it."""
    beside = disk.with_name(f"{disk.name}.kept")
    shutil.copytree(disk, beside, symlinks=True, ignore=shutil.ignore_patterns("reserve", "filler"))
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # the last process may just die
    disk.rmdir()
    beside.rename(disk)


def _refusal(command: list[str]) -> str:
    try:
        tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError as error:
        return str(error)
    lines = tried.stderr.strip().splitlines() or ["no reason given"]
    return lines[-1] if tried.returncode else ""


def _run(command: list[str], disk: str) -> int:
    return subprocess.run(command, env=os.environ | {VARIABLE: disk}, check=False).returncode
