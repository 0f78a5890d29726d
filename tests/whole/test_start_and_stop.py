"""The life of the whole system around its market: crash, second start, hostile bytes, Ctrl+C."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import zmq

from common import topology, wire
from common.messages import Order, SubmitOrder
from common.supervision import Supervisor
from services.sim_tws import control
from tests.oracle.judge import judge
from tests.whole.system import System, system

SECONDS_PER_DAY = 12.0
STOP_S = 45.0
HOSTILE = (
    b"",
    b"\x00" * 100,
    b"\xc1" * 10,
    b"\xdd\xff\xff\xff\xff",  # an array that claims four billion items
    b"\x91" * 2000,  # nested too deep
    b"[1, 2, 3]",
    b"Quote\x00\x97\x01\xabmarket_feed\x00\x01\x00\x00\xc0",
    random.Random(7).randbytes(5000),
    b"\xc4" * 300_000,  # larger than any message may be
)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """The folder of a system whose launcher was killed, and the processes it had."""
    folder = tmp_path_factory.mktemp("life")
    with system(folder, days=None, seconds_per_day=SECONDS_PER_DAY) as run:
        supervisor = Supervisor(run.run_dir / "supervisor.sock")
        pids = [process.pid for process in supervisor.processes() if process.pid]
        run.crash()
    return folder, pids


@pytest.fixture(scope="module")
def started(crashed: tuple[Path, list[int]]) -> Iterator[System]:
    """Started again in the same folder after that crash."""
    with system(crashed[0], days=None, seconds_per_day=SECONDS_PER_DAY) as run:
        yield run


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def pids(run: System) -> dict[str, int]:
    supervisor = Supervisor(run.run_dir / "supervisor.sock")
    return {process.name: process.pid for process in supervisor.processes()}


def test_after_a_crash_of_the_launcher_nothing_is_left_and_a_start_goes_on(
    crashed: tuple[Path, list[int]], started: System
) -> None:
    assert len(crashed[1]) == len(topology.SPEAKERS) + 2  # the simulated TWS, the standby
    started.until(lambda: not any(exists(pid) for pid in crashed[1]), 10)
    assert "✅ Connected to IBKR Paper Trading" in started.terminal


def test_a_second_start_refuses_and_disturbs_nothing(started: System) -> None:
    before = pids(started)
    status, said = started.second_start()
    assert status == 1
    assert "already running" in said
    assert f"process {started.found.pid}" in said
    assert pids(started) == before


def test_hostile_bytes_on_every_socket_change_nothing(started: System) -> None:
    before = pids(started)
    sockets = [path for path in started.run_dir.iterdir() if path.is_socket()]
    assert len(sockets) == 2 * len(topology.SPEAKERS) + 2  # the simulator's and supervisord's
    _order_of_a_stranger(started)
    gateway_log = started.var_dir / "log" / "broker_gateway.log"
    started.until(lambda: "may not ask SubmitOrder" in gateway_log.read_text(), 20)
    for path in sockets:
        _raw_bytes(path)
        if path.suffix in {".asks", ".facts"}:
            _frames(path, zmq.DEALER if path.suffix == ".asks" else zmq.SUB)
    logs = started.var_dir / "log"
    for name in topology.DECIDERS:
        written = "risk_*.log" if name == topology.RISK else f"{name}.log"  # of two, one speaks
        dropped = partial(_says, logs, written, "dropped message")
        started.until(dropped, 20)
    now = started.market_ns()
    started.until(lambda: started.market_ns() > now, 20)
    assert pids(started) == before


def _says(folder: Path, name: str, text: str) -> bool:
    return any(text in log.read_text() for log in folder.glob(name))


def _raw_bytes(path: Path) -> None:
    """Bytes that are no ZMTP, no HTTP and no JSON."""
    for data in HOSTILE:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(1.0)
            line.connect(str(path))
            try:
                line.sendall(data + b"\n")
            except OSError:
                continue  # it hung up on us in mid-sentence, as it may


def _frames(path: Path, kind: int) -> None:
    """Well-formed ZMTP around the same bytes: as commands, and as subscriptions."""
    context = zmq.Context()
    line = context.socket(kind)
    line.set(zmq.LINGER, 500)
    line.connect(f"ipc://{path}")
    for data in HOSTILE:
        if kind == zmq.SUB:
            line.subscribe(data[:1000])
        else:
            line.send(data)
            line.send_multipart([data[:100], b"", data[:100]])
    line.close()
    context.term()


def _order_of_a_stranger(run: System) -> None:
    """A sound SubmitOrder, from somebody who may not ask for it."""
    deadline_ns = run.market_ns() + 3600 * 1_000_000_000
    order = Order(
        intent_id="20250602-ENTRY-9", day=run.day(), purpose="ENTRY", reason="signal",
        action="BUY", shares=1, order_type="MKT", limit_usd=None, outside_rth=False,
        price_usd=260.0, deadline_ns=deadline_ns,
    )  # fmt: skip
    command = SubmitOrder(key=order.intent_id, deadline_ns=deadline_ns, order=order)
    frame = wire.encode(
        wire.Envelope(wire.WIRE_VERSION, topology.TRADER, 1, 1, 0, run.market_ns(), command)
    )
    context = zmq.Context()
    line = context.socket(zmq.DEALER)
    line.set(zmq.LINGER, 500)
    line.connect(topology.asks_endpoint(run.run_dir, topology.GATEWAY))
    line.send(frame)
    line.close()
    context.term()


def test_ctrl_c_leaves_the_position_and_says_what_protects_it(started: System) -> None:
    started.prints("✅ ENTERED", 90)
    held = control.ask(started.run_dir / "sim.control", {"truth": True})["positions"]["SMH"]
    left = list(pids(started).values())

    started.interrupt()

    assert started.exit_status(STOP_S) == 0
    last = started.terminal.splitlines()[-5:]
    left_open = next((line for line in last if line.startswith("⏹️")), "")
    assert f"{held:.0f} shares" in left_open, last
    # A stop rests from a moment after the entry until the close.
    assert "NOT PROTECTED" in left_open or "a stop at the broker sells them" in left_open, last
    assert not any(exists(pid) for pid in left)
    assert not started.run_dir.exists()
    found = judge(started.wire)
    assert found.violations == (), found.text()
    assert found.figures.shares == held > 0
    assert found.figures.entries == 1, "the stranger's order must not be there"
