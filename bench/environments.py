"""Environments of the yardsticks: `make bench-venvs`. They clash with us and with one another.

Each lies in .bench-venvs/ under its name, pinned by bench/NAME-requirements.txt, and is made when a
table first needs it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".bench-venvs"
NAMES = ("backtesting", "backtrader", "nautilus", "vectorbt")


class NotInstalledError(Exception):
    """A yardstick cannot be installed here; the text says why."""


def python_of(name: str) -> Path:
    """The environment's interpreter; NotInstalledError."""
    folder = FOLDER / name
    if not (folder / "ready").exists():
        _install(name, folder)
    return folder / "bin/python"


def _install(name: str, folder: Path) -> None:
    pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
    ]
    steps = (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin/python"), *pip, "--requirement", f"bench/{name}-requirements.txt"],
    )
    for step in steps:
        done = subprocess.run(step, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise NotInstalledError(f"{name}: {last[:100]}")
    (folder / "ready").touch()


def main() -> None:
    """Makes all that are not there yet; exit code 1 where one cannot be made."""
    failed = False
    for name in NAMES:
        try:
            print(f"{name}: {python_of(name)}", flush=True)
        except NotInstalledError as error:
            failed = True
            print(f"not installed: {error}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
