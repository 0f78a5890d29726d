"""The program itself, as a process: entry point, record, state, script, control, its own clock."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest

from common.clock import ClockWriter, host_ns
from services.sim_tws import control
from services.sim_tws.faults import FAULTS
from services.sim_tws.market import Market
from services.sim_tws.market_time import instant_ns, new_york
from services.sim_tws.own_clock import OwnClock
from services.sim_tws.script import ScriptError, read
from tests.sim_tws.harness import DATA, DEADLINE_S, FIRST_DAY, ROOT, eventually
from tests.sim_tws.raw_client import SMH, RawClient, order_fields

COMMAND = [sys.executable, "-m", "services.sim_tws"]


class Program:
    """A running server process and the port it printed."""

    def __init__(self, *options: object) -> None:
        words = [*COMMAND, "--port", "0", *map(str, options)]
        self.process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self._clients: list[RawClient] = []
        for line in self.process.stderr:
            if line.startswith("simulated TWS on "):
                self.port = int(line.rsplit(":", 1)[1])
                return
        raise AssertionError("the server ended before it listened")

    def connect(self, client_id: int = 1) -> RawClient:
        self._clients.append(RawClient(self.port, client_id=client_id))
        return self._clients[-1].start()

    def kill(self) -> None:
        for client in self._clients:
            client.close()
        self.process.kill()
        self.process.wait(DEADLINE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[Program] = []

    def run(*options: object) -> Program:
        running.append(Program(*options))
        return running[-1]

    yield run
    for program in running:
        program.kill()


def test_it_listens_trades_and_ends_with_status_zero_on_sigterm(start: Start) -> None:
    program = start("--at", "10:00", "--seconds-per-day", 600, "--cash", 250_000)
    client = program.connect()
    client.say(*order_fields(1, 176))
    client.hear("59")
    client.say(62, 1, 3, "All", "TotalCashValue,NetLiquidation")
    assert client.hear("63", f4="NetLiquidation")[5].startswith("2499")

    program.process.send_signal(signal.SIGTERM)

    assert program.process.wait(DEADLINE_S) == 0
    assert client.closed()


def test_wrong_words_are_told_in_one_line() -> None:
    for words, hint in (
        (["--data", "/nowhere"], "/nowhere"),
        (["--at", "25:00"], "HH:MM"),
        (["--script", "/nowhere.toml"], "/nowhere.toml"),
    ):
        done = subprocess.run(
            [*COMMAND, "--port", "0", *words], cwd=ROOT, capture_output=True, text=True,
            timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert hint in done.stderr
        assert "Traceback" not in done.stderr


def test_a_taken_port_is_told_in_one_line(start: Start) -> None:
    port = start().port

    done = subprocess.run(
        [*COMMAND, "--port", str(port)], cwd=ROOT, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "cannot start" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_frame_both_ways_is_on_record(start: Start, tmp_path: Path) -> None:
    record = tmp_path / "wire.msgpack"
    program = start("--record", record)
    client = program.connect()
    client.say(17, 1)
    client.hear("15")
    client.socket.close()

    def closed() -> list[list[Any]]:
        with record.open("rb") as file:
            rows = list(msgpack.Unpacker(file))
        return rows if rows and rows[-1][4] == "close" else []

    rows = eventually(closed)
    program.kill()
    directions = [row[4] for row in rows]
    assert directions[:3] == ["open", "in", "out"]
    assert directions[-1] == "close"
    assert rows[1][5] == b"v157..176"
    assert [row[3] for row in rows[:3]] == [-1, -1, -1]
    assert rows[-2][5].startswith(b"15\x001\x00")
    assert rows[-2][2:4] == [1, 1]
    assert all(b"\0" not in str(row[4]).encode() for row in rows)
    market_ns = [row[1] for row in rows]
    assert market_ns == sorted(market_ns)


def test_a_killed_server_goes_on_with_its_books(start: Start, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    options = ("--at", "10:00", "--state", state, "--seconds-per-day", 600)
    first = start(*options)
    client = first.connect()
    client.say(*order_fields(1, 176, quantity=70))
    client.hear("59")
    client.say(*order_fields(2, 176, action="SELL", kind="LMT", limit=999.0, tif="GTC", ref="kept"))
    kept = client.hear("5", f1="2")
    client.hear("3", f1="2", f2="Submitted")
    first.kill()

    again = start(*options).connect()

    assert again.heard[1] == ["9", "1", "3"]
    again.say(5, 1)
    order = again.hear("5")
    assert (order[1], order[25], order[23]) == ("2", kept[25], "kept")
    again.say(61, 1)
    assert again.hear("61")[14] == "70"
    again.say(7, 3, 5, 0, "", "", "", "", "", "")
    assert again.hear("11")[19] == "70"


def test_scripted_faults_happen_at_their_time_and_after_their_orders(
    start: Start, tmp_path: Path
) -> None:
    script = tmp_path / "faults.toml"
    script.write_text(
        '[[fault]]\nat = "2025-06-02 10:00:30"\nname = "farm"\nargs = { code = 2103 }\n'
        '[[fault]]\nafter_orders = 1\nname = "deposit"\nargs = { amount = 5 }\n'
        '[[fault]]\nafter_orders = 2\nname = "reject"\n'
    )
    writer = ClockWriter(tmp_path / "clock", instant_ns(FIRST_DAY, 10, 0))
    client = start("--clock", tmp_path / "clock", "--script", script).connect()

    due_ns = instant_ns(FIRST_DAY, 10, 1)
    writer.run(due_ns, 0.0, due_ns)
    assert client.hear("4", f3="2103")
    for order_id in (1, 2):
        client.say(*order_fields(order_id, 176))
        client.hear("59")
    client.say(*order_fields(3, 176))
    assert client.hear("4", f2="3")[3] == "201"
    writer.close()


@pytest.mark.parametrize(
    "text",
    ['{"name": "nonsense", "at": "2025-06-02 10:00"}', '{"name": "freeze"}',
     '{"name": "freeze", "at": "noon"}', '{"name": "freeze", "at": "2025-06-02", "extra": 1}',
     '{"name": "freeze", "at": "2025-06-02", "after_orders": 1}', "[1]", "not json"],
)  # fmt: skip
def test_a_wrong_script_is_refused_with_its_entry(tmp_path: Path, text: str) -> None:
    script = tmp_path / "faults.jsonl"
    script.write_text(text + "\n")

    with pytest.raises(ScriptError, match=r"faults\.jsonl"):
        read(script)


def test_the_control_socket_lists_injects_and_tells_the_truth(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "control"
    program = start("--at", "10:00", "--seconds-per-day", 600, "--control", path)
    client = program.connect()
    client.say(*order_fields(1, 176, quantity=50))
    client.hear("59")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    listed = control.ask(path, {"list": True})["faults"]
    assert {entry["fault"] for entry in listed} == set(FAULTS)
    truth = control.ask(path, {"truth": True})
    assert truth["positions"] == {"SMH": 50}
    assert (truth["executions"], truth["orders_placed"], truth["open_orders"]) == (1, 1, [])
    assert control.ask(path, {"fault": "drop-client", "args": {"client_id": 1}})["ok"]
    assert client.closed()
    assert not control.ask(path, {"fault": "nonsense"})["ok"]
    assert not control.ask(path, {"fault": "slow", "args": [1]})["ok"]
    eventually(lambda: control.ask(path, {"status": True})["clients"] == [])

    done = subprocess.run(
        [sys.executable, "-m", "services.sim_tws.control", str(path), "clock-skew", "seconds=9"],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["ok"]
    assert control.ask(path, {"status": True})["switches"] == {"time_skew_s": 9}

    for garbage in (b"garbage", b"[]", b"{}", b'{"fault": 3}', b"\xff\xfe", b"x" * 200_000):
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(DEADLINE_S)
            line.connect(str(path))
            with suppress(ConnectionError):
                line.sendall(garbage + b"\n")
                answer = line.recv(65536)
                assert answer == b"" or b'"ok": false' in answer
    assert control.ask(path, {"truth": True})["ok"]


def test_it_follows_a_shared_clock(start: Start, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    opened_ns = instant_ns(FIRST_DAY, 9, 30)
    writer = ClockWriter(clock, opened_ns)
    program = start("--clock", clock)
    client, later = program.connect(), program.connect(client_id=2)
    client.say(49, 1)
    assert int(client.hear("49")[2]) * 10**9 == opened_ns

    writer.run(opened_ns + 60 * 10**9, 0.0, opened_ns + 60 * 10**9)
    later.say(49, 1)

    assert int(later.hear("49")[2]) * 10**9 == opened_ns + 60 * 10**9
    writer.close()


def test_its_own_clock_runs_through_sessions_and_skips_nights(market: Market) -> None:
    clock = OwnClock(market, instant_ns(FIRST_DAY, 9, 30), 0.2)
    began = host_ns()
    seen: list[int] = []

    def next_session() -> bool:
        seen.append(clock.now_ns())
        return new_york(seen[-1]).date() > FIRST_DAY and new_york(seen[-1]).hour >= 10

    eventually(next_session)

    assert seen == sorted(seen)
    assert host_ns() - began >= 10**9, "a day's pace and a night's second, not a jump"


@pytest.mark.skipif(not DATA.exists(), reason=f"no market data at {DATA} (TRADER_DATA)")
def test_it_replays_real_sessions(start: Start) -> None:
    program = start("--data", DATA, "--start", "2025-05-23", "--at", "10:00")
    client = program.connect()
    client.say(20, 3, *SMH, 0, "20250522 23:59:59", "1 day", "2 D", 1, "TRADES", 1, 0, "")
    bars = client.hear("17")
    assert bars[4] == "2"
    assert bars[13] == "20250522"
    client.say(1, 11, 7, 0, "VIX", "IND", "", 0, "", "", "CBOE", "", "USD", "", "", 0, "", 0, 0, "")
    assert float(client.hear("1", f3="4")[4]) > 5
