"""After the table: how the days compare with their backtest, as `trader compare` shows it.

In a process of its own, so that whatever becomes of it neither the run's table nor its exit status
are touched, and research's libraries load only here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 120.0  # host time; it takes a second or two, more after a long run at speed 1


def show(var_dir: Path) -> str:
    """Prints the comparison of the run in `var_dir`; why there is none, or ""."""
    command = [sys.executable, "-m", "services.trader", "compare", "--run", str(var_dir)]
    sys.stdout.flush()
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not compared with the backtest: {error}"
    lines = done.stderr.strip().splitlines()
    return f"not compared with the backtest: {lines[-1]}" if lines else ""
