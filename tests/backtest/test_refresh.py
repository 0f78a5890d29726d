"""`trader history` against the simulated TWS over TCP: what is asked, written, refused and said."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import msgpack
import pytest
from typer.testing import CliRunner

from common.running import Running, life_of, write
from common.settings import Broker, Settings
from common.tws import connection, history_limits
from common.tws import history as past_bars
from common.tws.history import BarsAsked, PastBars
from services.backtest.history import load
from services.backtest.refresh import Outcome, Refresh
from services.sim_tws.market import replay
from services.trader.app import app
from tests.sim_tws.harness import SimThread, running
from tests.sim_tws.market.data_folder import daily_lines, sessions, write_folder

DAYS = [session.date for session in sessions()]
SPLIT_DAY = DAYS[8]
READ_ONLY = {b"71", b"20", b"25", b"49", b"17", b"8"}
"""startApi, reqHistoricalData, its cancel, reqCurrentTime, and two questions after a sign of life:
all that a download may say."""


@contextmanager
def broker(tmp_path: Path, day: date, at: str, **files: list[str]) -> Iterator[SimThread]:
    """A TWS that replays fourteen sessions, at a wall time of one of them."""
    folder = tmp_path / "market"
    folder.mkdir(exist_ok=True)
    market = replay(write_folder(folder, **files), 1)
    with running(market, tmp_path, day=day, at=at, record=tmp_path / "wire") as sim:
        yield sim


def trader(sim: SimThread | int, *arguments: str) -> tuple[int, str]:
    port = sim if isinstance(sim, int) else sim.port
    result = CliRunner().invoke(app, ["history", "--port", str(port), *arguments])
    return result.exit_code, result.output


def download(sim: SimThread, data: Path, *arguments: str) -> dict[str, Any]:
    code, output = trader(sim, "--data", str(data), "--json", *arguments)
    assert code == 0, output
    answer: dict[str, Any] = json.loads(output)
    return answer


def text(data: Path, name: str) -> list[str]:
    return (data / name).read_text(encoding="utf-8").splitlines()


def test_what_is_downloaded_is_the_markets_own_and_the_loader_takes_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with broker(tmp_path, DAYS[9], "18:00") as sim:
        answer = download(sim, data, "--from", "2025-11-24", "--bars", "5min")

    found = load(data, "5min")
    wanted = dict(zip(DAYS, daily_lines()[1:], strict=True))
    assert found.days == DAYS[5:10]
    assert set(found.intraday) == set(DAYS[5:10])
    for row in found.smh:
        prices = [float(word) for word in wanted[row.date].split(",")[1:5]]
        assert [row.open, row.high, row.low, row.close] == pytest.approx(prices)
    assert text(data, "VIX_daily.csv")[1] == "2025-11-24,20.00,23.00,18.00,21.00,0"
    assert text(data, "SMH_5min.csv")[1].startswith("2025-11-24T09:30:00-05:00,105.0000,")
    assert answer["added"]["VIX_5min.csv"] == 5
    assert answer["problems"] == []


def test_no_order_and_no_account_question_leaves_by_that_connection(tmp_path: Path) -> None:
    with broker(tmp_path, DAYS[9], "18:00") as sim:
        download(sim, tmp_path / "data")

    with (tmp_path / "wire").open("rb") as file:
        frames = [frame for frame in msgpack.Unpacker(file) if frame[4] == "in"]
    asked = {bytes(frame[5]).split(b"\0")[0] for frame in frames if frame[3] > 0}
    assert b"20" in asked
    assert asked <= READ_ONLY
    assert {frame[3] for frame in frames if frame[3] > 0}.isdisjoint({1, 2})


def test_a_session_that_is_not_over_waits_for_the_next_refresh(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with broker(tmp_path, DAYS[3], "15:00") as sim:
        download(sim, data, "--from", "2025-11-17", "--bars", "5min")
        assert load(data).days == DAYS[:3]

        sim.go("16:31")
        answer = download(sim, data)

    assert load(data).days == DAYS[:4]
    assert answer["added"] == dict.fromkeys(
        ("SMH_daily.csv", "VIX_daily.csv", "SMH_5min.csv", "VIX_5min.csv"), 1
    )
    assert len(text(data, "SMH_5min.csv")) == 1 + 4 * 78


def test_rows_that_are_there_stay_to_the_letter_and_the_last_day_is_asked_again(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    mine = [*daily_lines()[:4], "2025-11-20,103.00,103.50,102.90,103.10,7"]
    mine[2] = "2025-11-18,101.0,104.00,99,102.000,1e6"
    write_folder(data, SMH_daily=mine, VIX_daily=daily_lines(15.0)[:6])
    with broker(tmp_path, DAYS[4], "18:00") as sim:
        download(sim, data)

    assert text(data, "SMH_daily.csv")[:4] == mine[:4]
    assert text(data, "SMH_daily.csv")[4:] == [
        "2025-11-20,103.0000,106.0000,101.0000,104.0000,1000000",
        "2025-11-21,104.0000,107.0000,102.0000,105.0000,1000000",
    ]


def test_a_hole_in_a_file_is_filled(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    lines = daily_lines()
    write_folder(data, SMH_daily=[*lines[:3], *lines[5:13]], VIX_daily=daily_lines(15.0)[:13])
    with broker(tmp_path, DAYS[11], "18:00") as sim:
        download(sim, data)

    assert load(data).days == DAYS[:12]


def test_a_split_rescales_the_older_rows_and_is_said_aloud(tmp_path: Path) -> None:
    data = tmp_path / "data"
    actions = ["date,kind,value", f"{SPLIT_DAY},split,2"]
    with broker(tmp_path, DAYS[7], "18:00", SMH_actions=actions) as sim:
        download(sim, data, "--from", "2025-11-17", "--bars", "5min")
        before = load(data, "5min")
        (data / "SMH_actions.csv").write_text("date,kind,value\n2025-11-18,dividend,1\n")

        sim.go("18:00", SPLIT_DAY)
        answer = download(sim, data)

    after = load(data, "5min")
    assert [row.close for row in before.smh] == [2 * row.close for row in after.smh[:-1]]
    assert set(after.intraday) == set(DAYS[:9])
    assert after.intraday[DAYS[0]][0].open == before.intraday[DAYS[0]][0].open / 2
    notes = "\n".join(answer["notes"])
    assert f"SMH_daily.csv: a 2:1 split since {DAYS[7]}" in notes
    assert "SMH_5min.csv: rescaled for the 2:1 split" in notes
    assert "SMH_actions.csv: still in the shares before the 2:1 split" in notes


def test_other_prices_than_the_brokers_are_not_joined_to_its_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    mine = daily_lines(117.0)[:6]
    write_folder(data, SMH_daily=mine, VIX_daily=daily_lines(15.0)[:6])
    with broker(tmp_path, DAYS[9], "18:00") as sim:
        code, output = trader(sim, "--data", str(data))

    assert code == 1
    assert "not downloaded: SMH_daily.csv: the broker's closes are 0.8" in output
    assert text(data, "SMH_daily.csv") == mine
    assert len(text(data, "VIX_daily.csv")) == 11, "the VIX is brought up to date all the same"


class KilledError(Exception):
    """What a kill looks like from inside."""


def refresh(sim: SimThread, data: Path, requests: int) -> Outcome | None:
    """A download of two weeks that is killed while its n-th request is in flight."""

    class Short(PastBars):
        left = requests

        async def bars(self, asked: Any) -> list[Any]:
            self.left -= 1
            if self.left < 0:
                raise KilledError
            return await super().bars(asked)

    async def run() -> Outcome:
        async with Short(Settings(broker=Broker(port=sim.port))) as tws:
            return await Refresh(data, ["5min"], DAYS[0], tws, lambda *_: None).run()

    try:
        return asyncio.run(run())
    except KilledError:
        return None


def test_a_killed_download_loses_the_request_in_flight_and_goes_on_from_there(
    tmp_path: Path,
) -> None:
    with broker(tmp_path, DAYS[9], "18:00") as sim:
        whole = tmp_path / "whole"
        whole.mkdir()
        done = refresh(sim, whole, 100)
        assert done is not None
        assert done.requests == 8, "daily bars and three weeks, of SMH and of the VIX"

        data = tmp_path / "data"
        data.mkdir()
        assert refresh(sim, data, 3) is None
        assert len(text(data, "SMH_5min.csv")) == 1 + 8 * 78 + 42, "two weeks are on the disk"
        assert refresh(sim, data, 1) is None
        assert refresh(sim, data, 100) is not None

    for file in whole.glob("*.csv"):
        assert (data / file.name).read_bytes() == file.read_bytes()


def test_a_refusal_is_told_with_its_mend_and_the_rest_goes_on(tmp_path: Path) -> None:
    with broker(tmp_path, DAYS[9], "18:00") as sim:
        sim.fault("history-error", text="No market data permissions for NASDAQ STK")
        code, output = trader(sim, "--data", str(tmp_path / "data"))

    assert code == 1
    for symbol in ("SMH", "VIX"):
        assert f"not downloaded: {symbol} 1 day: " in output
        assert f"market data subscriptions for {symbol}" in " ".join(output.split())


def test_an_instrument_that_tws_does_not_know_is_told_with_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADER__STRATEGY__PRIMARY_EXCHANGE", '"MOON"')
    with broker(tmp_path, DAYS[9], "18:00") as sim:
        code, output = trader(sim, "--data", str(tmp_path / "data"))

    assert code == 1
    assert "(200); check strategy.symbol and strategy.primary_exchange" in " ".join(output.split())


def bars_after(sim: SimThread, trouble: Callable[[], None], told: Callable[[str], None]) -> int:
    """How many daily bars come when there is trouble right before they are asked for."""

    async def run() -> int:
        async with PastBars(Settings(broker=Broker(port=sim.port)), told) as tws:
            trouble()
            return len(await tws.bars(BarsAsked("SMH", "1 day", "5 D", 0)))

    return asyncio.run(run())


def test_a_pacing_violation_is_waited_for_and_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program of the same login may have used up what IB allows."""
    monkeypatch.setattr(past_bars, "PACING_PENALTY_S", 0.1)
    monkeypatch.setattr(history_limits, "IDENTICAL_S", 0.1)
    reasons: list[str] = []
    with broker(tmp_path, DAYS[9], "18:00") as sim:

        def told(reason: str) -> None:
            reasons.append(reason)
            sim.fault("history-error", text="")

        violation = "Historical data request pacing violation"
        found = bars_after(sim, lambda: sim.fault("history-error", text=violation), told)

    assert found == 5
    assert reasons == ["IB: pacing violation; waiting 0.1 s"]


def test_a_lost_connection_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_limits, "IDENTICAL_S", 0.1)
    with broker(tmp_path, DAYS[9], "18:00") as sim:
        found = bars_after(sim, lambda: sim.fault("restart", host_seconds=1.0), lambda _text: None)

    assert found == 5


def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_folder(data, SMH_daily=daily_lines()[:6], VIX_daily=daily_lines(15.0)[:6])
    (data / ".SMH_daily.csv.draft").symlink_to("/dev/full")
    with broker(tmp_path, DAYS[9], "18:00") as sim:
        code, output = trader(sim, "--data", str(data))

    assert code == 1
    assert "SMH_daily.csv: No space left on device; what was there before stands" in output
    assert text(data, "SMH_daily.csv") == daily_lines()[:6]


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_asked(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")

    code, output = trader(1, "--data", str(tmp_path / "file" / "data"))

    assert code == 1
    assert "nothing can be written there; give another folder with --data" in output


def test_a_file_the_loader_would_refuse_is_not_extended(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    lines = daily_lines()[:6]
    lines[3] = "2025-11-19,102,100,105,103,1"
    write_folder(data, SMH_daily=lines)
    with broker(tmp_path, DAYS[9], "18:00") as sim:
        code, output = trader(sim, "--data", str(data))

    assert code == 1
    assert "SMH_daily.csv, row 4: high 100 is below low 105" in output
    assert text(data, "SMH_daily.csv") == lines


def test_without_a_tws_the_port_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "START_PATIENCE_S", 0.0)
    code, output = trader(1, "--data", str(tmp_path / "data"))

    assert code == 3
    assert "nothing listens on 127.0.0.1 port 1: start TWS or IB Gateway" in output


def test_a_running_simulation_that_does_not_say_its_port_is_not_taken_for_a_tws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    monkeypatch.setenv("TRADER_VAR", str(tmp_path))
    system = Running(
        mode="sim", broker="sim", run_dir=str(run_dir), var_dir=str(tmp_path), pid=os.getpid(),
        life=life_of(os.getpid()), started="2025-06-02T09:25:00+00:00",
    )  # fmt: skip
    write(tmp_path / "sim", system)

    result = CliRunner().invoke(app, ["history", "--data", str(tmp_path / "data")])

    assert result.exit_code == 3
    assert "does not say its TWS's port yet: try again, or give --port" in result.output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [([], "give --data DIR or set TRADER_DATA"), (["--data", "x", "--bars", "2min"], "'2min'")],
)
def test_bad_usage_is_one_line(arguments: list[str], reason: str) -> None:
    code, output = trader(1, *arguments)

    assert code == 2
    assert reason in output
    assert len(output.splitlines()) == 1
