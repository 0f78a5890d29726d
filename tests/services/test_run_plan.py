"""What `make run` checks and chooses before it starts anything."""

from __future__ import annotations

import shlex
import socket
import subprocess
import tempfile
from datetime import date
from pathlib import Path

import pytest

from common.clock import SECOND_NS, ClockWriter
from common.settings import Broker, Settings
from services.run import plan as plans
from services.run import summary
from services.run.plan import RefusedError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A person's environment with folders of its own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TRADER_VAR", str(tmp_path / "var"))
    return {"PATH": "/bin"}


def recording(folder: Path, *days: str) -> Path:
    rows = "".join(f"{day},1,1,1,1,1\n" for day in days)
    (folder / "SMH_daily.csv").write_text(f"date,open,high,low,close,volume\n{rows}")
    return folder


def test_without_options_it_is_a_simulated_run_that_starts_on_a_monday(
    environment: dict[str, str],
) -> None:
    plan = plans.make([], environment)
    assert plan.simulated
    assert plan.environment["TRADER_START"] == "2025-06-02"
    assert plan.environment["TRADER_DAYS"] == ""


def test_each_mode_has_a_folder_of_its_own(environment: dict[str, str], tmp_path: Path) -> None:
    sim, paper = plans.make([], environment), plans.make(["--broker", "tws"], environment)
    live = plans.make(
        ["--broker", "tws"],
        environment | {"TRADER__ACCOUNT__MODE": "live", "TRADER__ACCOUNT__ID": "U1234567"},
    )
    assert sim.var_dir.parent == tmp_path / "var" / "sim"
    assert paper.var_dir == tmp_path / "var" / "paper"
    assert live.var_dir == tmp_path / "var" / "live"
    assert len({*sim.locks, *paper.locks, *live.locks}) == 5


def test_each_simulated_run_has_a_fresh_folder(environment: dict[str, str]) -> None:
    one, two = plans.make([], environment), plans.make([], environment)
    assert one.var_dir != two.var_dir
    assert one.run_dir != two.run_dir


def test_a_real_account_is_locked_for_the_person_and_not_for_the_folder(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = plans.make(["--broker", "tws"], environment)
    monkeypatch.setenv("TRADER_VAR", str(tmp_path / "another-clone"))
    there = plans.make(["--broker", "tws"], environment)
    assert set(here.locks) & set(there.locks)


def test_a_real_accounts_journals_are_locked_whatever_environment_the_starter_has(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_here = plans.make(["--broker", "tws"], environment)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    from_cron = plans.make(["--broker", "tws"], environment)
    assert from_here.run_dir.parent != from_cron.run_dir.parent
    assert from_here.var_dir == from_cron.var_dir
    assert set(from_here.locks) & set(from_cron.locks)


def test_the_options_reach_every_process_as_settings(environment: dict[str, str]) -> None:
    plan = plans.make(
        ["--seconds-per-day", "4", "--seed", "7", "--start", "2025-06-09", "--test-entry"],
        environment,
    )
    assert plan.settings.simulation.seconds_per_day == 4.0
    assert plan.settings.simulation.seed == 7
    assert plan.settings.simulation.start == "2025-06-09"
    assert plan.settings.entry.test_entry
    assert plan.environment["TRADER__SIMULATION__SEED"] == "7"


def test_a_simulated_run_never_inherits_a_real_account_or_its_ports(
    environment: dict[str, str],
) -> None:
    mine = {
        "TRADER__ACCOUNT__MODE": "live",
        "TRADER__ACCOUNT__ID": "U1234567",
        "TRADER__BROKER__PORT": "7496",
    }
    plan = plans.make([], environment | mine)
    assert plan.environment["TRADER__ACCOUNT__MODE"] == '"paper"'
    assert plan.environment["TRADER__ACCOUNT__ID"] == '""'
    options = shlex.split(plan.environment["TRADER_SIM_OPTIONS"])
    assert (
        plan.environment["TRADER__BROKER__PORT"] == options[options.index("--port") + 1] != "7496"
    )


def test_a_replay_shows_the_last_recorded_days_unless_told_otherwise(
    environment: dict[str, str], tmp_path: Path
) -> None:
    days = [f"2025-03-{day:02d}" for day in range(1, 29)]
    data = recording(tmp_path, *days)
    plan = plans.make(["--data", str(data)], environment)
    assert plan.environment["TRADER_START"] == "2025-03-19"
    assert plan.environment["TRADER_LAST_DAY"] == "2025-03-28"
    plan = plans.make(["--data", str(data), "--start", "2025-03-05"], environment)
    assert plan.environment["TRADER_START"] == "2025-03-05"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--days", "0"], "at least one day"),
        (["--seconds-per-day", "1"], "simulation.seconds_per_day"),
        (["--days", "abc"], r"^DAYS \(--days\): invalid int value: 'abc'"),
        (["--data", "nowhere"], "SMH_daily.csv: No such file or directory; DATA names"),
        (["--broker", "tws", "--days", "3"], "DAYS belongs to a simulated run"),
        (["--broker", "tws", "--seed", "3"], "SEED belongs to a simulated run"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_plain_line(
    environment: dict[str, str], arguments: list[str], reason: str
) -> None:
    with pytest.raises(RefusedError, match=reason) as refusal:
        plans.make(arguments, environment)
    assert "\n" not in str(refusal.value)


def test_a_start_outside_the_recording_is_refused(
    environment: dict[str, str], tmp_path: Path
) -> None:
    data = recording(tmp_path, "2025-03-03", "2025-03-04")
    with pytest.raises(RefusedError, match="from 2025-03-03 to 2025-03-04, not 2025-06-02"):
        plans.make(["--data", str(data), "--start", "2025-06-02"], environment)


def test_a_recording_without_dates_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "SMH_daily.csv").write_text("day,price\nMonday,3\n")
    with pytest.raises(RefusedError, match=r"SMH_daily\.csv: cannot be read"):
        plans.make(["--data", str(tmp_path)], environment)


def test_a_runtime_folder_too_deep_for_sockets_is_refused(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(RefusedError, match="too long a path for sockets"):
        plans.make([], environment)


def test_a_start_without_any_tws_is_refused_naming_the_ports() -> None:
    settings = Settings(broker=Broker(paper_ports=(plans.free_port(), plans.free_port())))
    with pytest.raises(RefusedError, match=r"nothing listens on 127\.0\.0\.1 port"):
        plans.refuse_without_tws(settings)


def test_one_listening_port_is_enough_to_start() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ports = (plans.free_port(), listener.getsockname()[1])
        plans.refuse_without_tws(Settings(broker=Broker(paper_ports=ports)))


def test_only_the_newest_simulated_runs_are_kept(environment: dict[str, str]) -> None:
    plan = plans.make([], environment)
    for number in range(8):
        (plan.mode_dir / f"20200101-00000{number}-x").mkdir(parents=True)
    plans.make_folders(plan)
    kept = sorted(folder.name for folder in plan.mode_dir.iterdir())
    assert len(kept) == plans.RUNS_KEPT
    assert kept[-1] == plan.var_dir.name


def begun(environment: dict[str, str], *options: str) -> plans.Plan:
    """A simulated run that was started and is gone."""
    plan = plans.make(options, environment)
    plan.mode_dir.mkdir(parents=True, exist_ok=True)
    plans.make_folders(plan)
    plans.record(plan)
    return plan


def test_a_continued_run_has_the_folder_clock_and_options_of_the_last_one(
    environment: dict[str, str],
) -> None:
    first = begun(environment, "--seconds-per-day", "4", "--seed", "7")
    again = plans.make(["--continue"], environment)
    assert again.var_dir == first.var_dir
    assert again.run_dir != first.run_dir
    assert again.options == first.options
    assert again.settings.simulation.seed == 7
    assert again.environment["TRADER_CLOCK"] == first.environment["TRADER_CLOCK"]
    options = shlex.split(again.environment["TRADER_SIM_OPTIONS"])
    assert options[options.index("--state") + 1] == str(first.var_dir / "sim_tws.state")


def test_a_continued_run_goes_on_at_the_latest_instant_anybody_may_have_seen(
    environment: dict[str, str],
) -> None:
    first = begun(environment)
    writer = ClockWriter(Path(first.environment["TRADER_CLOCK"]), 0)
    seen_ns = writer.reader.now_ns() + SECOND_NS
    writer.go_on(0.001, seen_ns)
    plans.make_folders(plans.make(["--continue"], environment))
    assert writer.reader.now_ns() == seen_ns


def test_nothing_to_continue_and_other_options_beside_it_are_refused(
    environment: dict[str, str],
) -> None:
    with pytest.raises(RefusedError, match="no simulated run to continue"):
        plans.make(["--continue"], environment)
    begun(environment)
    with pytest.raises(RefusedError, match="no other option"):
        plans.make(["--continue", "--seed", "3"], environment)


def test_too_few_summaries_are_a_failure() -> None:
    assert summary.missing((), None) == ""
    assert summary.missing((), 2).startswith("0 of 2 days")


def test_recorded_days_are_read_in_order(tmp_path: Path) -> None:
    data = recording(tmp_path, "2025-03-03", "2025-03-04")
    assert plans.recorded_days(data) == [date(2025, 3, 3), date(2025, 3, 4)]


def test_make_alone_prints_its_targets() -> None:
    printed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = {line.split()[1] for line in printed.splitlines()}
    assert {"setup", "run", "test", "check", "bench"} <= targets


def test_make_hands_every_option_on() -> None:
    variables = ["DATA=d", "START=2025-05-23", "DAYS=10", "SECONDS_PER_DAY=15", "SEED=3"]
    variables += ["BROKER=sim", "TEST_ENTRY=1", "CONTINUE=1"]
    printed = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "run", *variables],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    words = next(line for line in printed.splitlines() if "services.run" in line).split()
    chosen = plans.parser().parse_args(words[words.index("services.run") + 1 :])
    assert (chosen.data, chosen.start) == (Path("d"), date(2025, 5, 23))
    assert (chosen.days, chosen.seconds_per_day, chosen.seed) == (10, 15.0, 3)
    assert chosen.broker == "sim"
    assert chosen.test_entry
    assert chosen.go_on
