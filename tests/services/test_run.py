"""The whole system under supervisord, as `make run` starts it: accelerated days, ends and kills."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.run.plan import free_port
from tests.services.waiting import until

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 12  # launcher, supervisord, five services, a standby, sim_tws, pacer, watchdog, console


class Run:
    """`python -m services.run` with folders of its own; its output goes to a file."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self._output = folder / f"output-{len(list(folder.iterdir()))}"
        runtime = folder / "r"
        runtime.mkdir(exist_ok=True)
        self.environment = {
            **os.environ,
            "TRADER_VAR": str(folder / "var"),
            "XDG_RUNTIME_DIR": str(runtime),
            **environment,
        }
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.run", *arguments],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self._output.read_text()

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def pids(self) -> set[int]:
        """Every living process that was started with this run's folders."""
        mark = f"XDG_RUNTIME_DIR={self.folder / 'r'}".encode()
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.add(int(entry.name))
                except OSError:
                    continue  # it has just ended
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose processes, should a test fail, do not outlive it."""
    yield tmp_path
    probe = Run.__new__(Run)
    probe.folder = tmp_path
    for pid in probe.pids():
        os.kill(pid, signal.SIGKILL)


def test_two_days_end_by_themselves_with_the_documents_lines_and_a_table(folder: Path) -> None:
    # given: the synthetic market's first two days, which hold an entry, a stop and a re-entry
    run = Run(folder, "--days", "2", "--seconds-per-day", "6")
    # when: somebody starts the system a second time meanwhile
    until(lambda: "Connected" in run.text, 60)
    second = Run(folder, "--days", "2")
    assert second.process.wait(30) == 1
    # then: the second refuses and names the first, which goes on
    assert f"already running (process {run.process.pid})" in second.text
    assert run.process.wait(120) == 0, run.text
    patterns = [
        r"^— 2025-06-02 09:2\d:\d\d ET$",
        r"^✅ Connected to IBKR Paper Trading \(Port \d+\)$",
        r"^   Account: DU\*\*\*67$",
        r"^✅ EMAs Initialized: 25=\d+\.\d\d \| 125=\d+\.\d\d$",
        r"^   Signal: BULL$",
        r"^📅 Day Start Equity: \$1,000,000\.00$",
        r"^— 2025-06-02 15:5\d:\d\d ET$",
        r"^✅ ENTERED: \d+ shares @ \$\d+\.\d\d \(Leverage: 3\.0x\)$",
        r"^— 2025-06-03 1\d:\d\d:\d\d ET$",
        r"^🛑 STOP: ",
        r"^🚪 EXITED: \d+ shares @ \$\d+\.\d\d \((resting_)?stop\)$",
        r"^— 2025-06-03 15:5\d:\d\d ET$",
        r"^✅ ENTERED: ",
        r"^   Re-entry after today's stop$",
        r"^⏹️ System shutdown\. NOT PROTECTED: \d+ shares of SMH stay open",
        r"2 days",
    ]
    rest = run.text
    for pattern in patterns:
        found = re.search(pattern, rest, re.MULTILINE)
        assert found, f"{pattern} is missing or out of order in:\n{run.text}"
        rest = rest[found.end() :]
    logs = list((folder / "var").rglob("*.log"))
    assert len(logs) >= PROCESSES - 1
    assert [log.name for log in logs if "Traceback" in log.read_text()] == []
    assert run.pids() == set()
    assert list((folder / "r" / "trader").iterdir()) == []


def test_ctrl_c_stops_everything_and_says_what_is_left(folder: Path) -> None:
    run = Run(folder, "--seconds-per-day", "15")
    until(lambda: "Connected" in run.text, 60)
    assert len(run.pids()) >= PROCESSES
    assert run.end() == 0
    assert "⏹️ System shutdown. No position" in run.text
    assert run.pids() == set()


@pytest.mark.parametrize("victim", ["launcher", "supervisord"])
def test_a_kill_from_above_leaves_no_process_behind(folder: Path, victim: str) -> None:
    run = Run(folder)
    until(lambda: len(run.pids()) >= PROCESSES, 60)
    if victim == "launcher":
        run.end(signal.SIGKILL)
    else:
        runs = folder / "r" / "trader"
        (pidfile,) = runs.glob("*/supervisord.pid")
        os.kill(int(pidfile.read_text()), signal.SIGKILL)
        assert run.process.wait(30) == 1
        assert "supervisord has ended" in run.text
    until(lambda: run.pids() == set())


def test_settings_that_cannot_be_used_are_refused_before_anything_starts(folder: Path) -> None:
    run = Run(folder, TRADER__STOP__LOSS_FRACTION="2")
    assert run.process.wait(30) == 2
    assert run.text.startswith("❌ Not started: TRADER__STOP__LOSS_FRACTION: stop.loss_fraction: ")
    assert run.text.count("\n") == 1


def test_without_a_tws_a_real_run_is_refused_in_one_line(folder: Path) -> None:
    run = Run(folder, "--broker", "tws", TRADER__BROKER__PORT=str(free_port()))
    assert run.process.wait(30) == 1
    assert run.text.startswith("❌ Not started: nothing listens on 127.0.0.1 port")
    assert run.text.count("\n") == 1


def test_paper_mode_on_another_account_is_refused_before_anything_is_sent(folder: Path) -> None:
    # given: a TWS that is logged in to a real account, on the factory port for paper or any other
    port = str(free_port())
    tws = subprocess.Popen(
        [sys.executable, "-m", "services.sim_tws", "--port", port, "--account", "U1234567"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    assert tws.stderr is not None
    tws.stderr.readline()  # it listens
    # when: somebody starts on it in paper mode
    run = Run(folder, "--broker", "tws", TRADER__BROKER__PORT=port)
    # then: it ends with the reason, and says nothing about a position that it never saw
    assert run.process.wait(60) == 1
    assert "❌ U1***67 is not a paper account" in run.text
    assert "⏹️ System shutdown. The position is not known here" in run.text
    tws.kill()
    tws.wait()
    tws.stderr.close()


def test_a_broken_recording_is_refused_with_the_row_and_the_reason(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    row = "2025-03-{:02d},1,2,0.5,{},1\n"
    rows = [row.format(day, "x" if day == 5 else "1") for day in range(3, 8)]
    header = "date,open,high,low,close,volume\n"
    (data / "SMH_daily.csv").write_text(header + "".join(rows))
    (data / "VIX_daily.csv").write_text(header + "".join(row.format(day, 1) for day in (3, 4)))
    run = Run(folder, "--data", str(data), "--start", "2025-03-06")
    assert run.process.wait(60) == 1
    assert "❌ simulated TWS cannot start: " in run.text
    assert "SMH_daily.csv" in run.text
