"""What `trader doctor` finds, on the simulated TWS over TCP. It was never run on a real one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from common.clock import SECOND_NS, ClockWriter, ReplayClock
from common.settings import Account, Broker, Settings
from services.trader import sim
from services.trader.doctor import examine as examine_all
from services.trader.doctor import host, tws
from services.trader.doctor.check import Check
from services.trader.exit_codes import CommandError, ExitCode
from tests.trader.facts import at

YEAR_NS = 365 * 86_400 * SECOND_NS
TICKS_S = 2.0


class SimulatedTws(NamedTuple):
    folder: Path
    settings: Settings
    clock: ReplayClock

    def fault(self, name: str, **args: object) -> None:
        sim.ask(self.folder, {"fault": name, "args": args})

    def examine(self) -> dict[str, Check]:
        checks = tws.examine(self.settings, self.clock, TICKS_S)
        return {check.name: check for check in checks}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedTws]:
    """A simulated TWS of its own process, its market running since 11:00 of a session."""
    folder = tmp_path_factory.mktemp("sim")
    port = free_port()
    writer = ClockWriter(folder / "clock", at(11, 0))
    writer.run(at(11, 0), 1.0, at(11, 0) + YEAR_NS)
    program = subprocess.Popen(
        [
            sys.executable, "-m", "services.sim_tws", "--port", str(port),
            "--clock", str(folder / "clock"), "--control", str(folder / sim.SOCKET_NAME),
        ],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    broker = Broker(port=port, connect_timeout_s=5.0, request_timeout_s=5.0)
    settings = Settings(broker=broker)
    try:
        deadline = time.monotonic() + 60
        while host.ports(settings)[0].verdict != "ok":
            assert program.poll() is None, "the simulated TWS has ended"
            assert time.monotonic() < deadline, "the simulated TWS does not listen"
            time.sleep(0.1)
        yield SimulatedTws(folder, settings, ReplayClock(folder / "clock"))
    finally:
        program.terminate()
        program.wait(20)
        writer.close()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_sound_tws_has_nothing_to_mend(simulated: SimulatedTws) -> None:
    found = simulated.examine()
    assert {check.verdict for check in found.values()} <= {"ok", "skip"}, found
    assert found["account"].found.startswith("DU***")
    assert found["SMH data"].found == "live"


def test_each_wrong_box_and_permission_is_found_with_its_mend(simulated: SimulatedTws) -> None:
    simulated.fault("read-only", on=True)
    simulated.fault("data-permission", live=False, delayed=False)
    simulated.fault("base-currency", currency="EUR")
    simulated.fault("clock-skew", seconds=5)
    try:
        found = simulated.examine()
    finally:
        simulated.fault("read-only", on=False)
        simulated.fault("data-permission", live=True, delayed=True)
        simulated.fault("base-currency", currency="USD")
        simulated.fault("clock-skew", seconds=0)
    failed = {name for name, check in found.items() if check.verdict == "fail"}
    assert failed == {"orders", "SMH data", "base currency", "clock"}
    assert "Read-Only API" in found["orders"].mend
    assert "subscription" in found["SMH data"].mend
    assert found["VIX data"].verdict == "warn"
    assert all(check.mend for name, check in found.items() if name in failed)


def test_delayed_data_is_taken_and_named(simulated: SimulatedTws) -> None:
    simulated.fault("data-permission", live=False, delayed=True)
    try:
        found = simulated.examine()
    finally:
        simulated.fault("data-permission", live=True, delayed=True)
    assert (found["SMH data"].verdict, found["SMH data"].found) == ("ok", "delayed")


def test_a_live_account_is_refused_before_anything_else_is_asked(simulated: SimulatedTws) -> None:
    account = Account(mode="live", id="U7654321")
    settings = msgspec.structs.replace(simulated.settings, account=account)
    found = tws.examine(settings, simulated.clock, TICKS_S)
    assert [(check.name, check.verdict) for check in found] == [
        ("TWS API", "ok"),
        ("account", "fail"),
    ]
    assert "U7654321" not in found[1].found


def test_no_order_was_sent_by_any_of_it(simulated: SimulatedTws) -> None:
    assert sim.ask(simulated.folder, {"truth": True})["orders_placed"] == 0


def test_nothing_listening_says_which_box_to_tick() -> None:
    (check,) = host.ports(Settings(broker=Broker(port=free_port())))
    assert check.verdict == "fail"
    assert "Enable ActiveX and Socket Clients" in check.mend


def test_wrong_settings_are_one_row_with_the_keys_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADER__STOP__LOSS_FRACTION", "2")
    (check,) = examine_all(tmp_path, None)
    assert check.verdict == "fail"
    assert "stop.loss_fraction" in check.found


def test_a_run_folder_that_others_can_enter_is_a_fault(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    check = host.run_folder(tmp_path)
    assert (check.verdict, "chmod 700" in check.mend) == ("fail", True)


def test_an_alert_command_that_does_not_exist_is_a_fault() -> None:
    alerts = msgspec.structs.replace(Settings().alerts, alert_command="/no/such/program now")
    check = host.alert_command(msgspec.structs.replace(Settings(), alerts=alerts))
    assert check.verdict == "fail"


def test_without_a_simulated_tws_the_fault_goes_nowhere(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no simulated TWS listens") as refused:
        sim.ask(tmp_path, {"list": True})
    assert refused.value.code is ExitCode.NOT_RUNNING


def test_fault_arguments_are_values_and_a_bare_word_is_bad_usage() -> None:
    assert sim.arguments(["percent=-5", "where=last", "on=true"]) == {
        "percent": -5, "where": "last", "on": True,
    }  # fmt: skip
    with pytest.raises(CommandError, match="name=value"):
        sim.arguments(["percent"])
