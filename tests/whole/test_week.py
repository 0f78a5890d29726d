"""A whole synthetic week on real processes: undisturbed, and with every process killed in turn.

The week is the market's opening act: an entry, a stop with a re-entry, a quiet day, another stop
with a re-entry and a signal that turns, the bear exit. The oracle judges both runs from the wire.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from datetime import date

import pytest

from common import topology
from common.messages import DaySummary, Fill
from tests.oracle.judge import judge
from tests.oracle.verdict import Verdict
from tests.whole.system import System, system

SECONDS_PER_DAY = 3.0
WEEK = [date(2025, 6, day) for day in (2, 3, 4, 5, 6)]
END_S = 120.0
LINES = (
    r"✅ Connected to IBKR Paper Trading \(Port \d+\)",
    r"✅ EMAs Initialized: 25=\d+\.\d\d \| 125=\d+\.\d\d",
    r"   Signal: BULL",
    r"📅 Day Start Equity: \$[\d,]+\.\d\d",
    r"✅ ENTERED: \d+ shares @ \$\d+\.\d\d \(Leverage: \d\.\d\d?x\)",
    r"🛑 STOP",
    r"🚪 EXITED: \d+ shares @ \$\d+\.\d\d \(stop\)",
    r"📊 Signal changed: BULL → BEAR",
    r"🚪 EXITED: \d+ shares @ \$\d+\.\d\d \(bear\)",
    r"⏹️",
)
MARKET_TIME = re.compile(r"— 2025-06-0\d \d\d:\d\d:\d\d ET")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, int]]:
    """The week, ended by itself, and its exit status."""
    folder = tmp_path_factory.mktemp("week")
    with system(folder, days=5, seconds_per_day=SECONDS_PER_DAY) as run:
        status = run.exit_status(END_S)
        yield run, status


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, int, int]]:
    """The same week with kills; its exit status, and how often the gateway was started."""
    folder = tmp_path_factory.mktemp("kills")
    with system(folder, days=5, seconds_per_day=SECONDS_PER_DAY) as run:
        gateway_starts = 1 + _kill_everything_in_turn(run)
        status = run.exit_status(END_S)
        yield run, status, gateway_starts


def _kill_everything_in_turn(run: System) -> int:
    """kill -9 through the week, the worst moments first; returns how often it hit the gateway."""
    run.reaches(2, "09:30")
    run.kill_and_wait(topology.RISK)
    run.reaches(2, "15:54:50")
    run.kill_and_wait(topology.FEED)
    run.until(lambda: run.order_is_open("BUY") or _shares(run), 30)
    run.kill_and_wait(topology.GATEWAY)
    run.reaches(2, "15:59:55")
    run.kill_and_wait(topology.SIGNAL)

    run.until(lambda: run.order_is_open("SELL") or not _shares(run), 30)
    run.kill_and_wait(topology.EXECUTOR)
    run.until(lambda: run.order_is_open("BUY") or _shares(run), 30)
    run.kill_and_wait(topology.RISK)

    run.reaches(4, "11:00")
    stuck = run.signal(topology.EXECUTOR, signal.SIGSTOP)
    run.until(lambda: run.is_replaced(topology.EXECUTOR, stuck), 30)
    for bystander in (topology.PACER, topology.CONSOLE, topology.WATCHDOG):
        run.kill_and_wait(bystander)

    run.reaches(5, "09:35")
    run.until(lambda: run.order_is_open("SELL") or not _shares(run), 30)
    run.kill_and_wait(topology.GATEWAY)
    run.reaches(5, "15:55")
    run.kill_and_wait(topology.GATEWAY)
    run.reaches(6, "09:30")
    run.kill_and_wait(topology.FEED)
    return 3


def _shares(run: System) -> float:
    held = run.truth().get("positions", {})
    return float(held.get("SMH", 0.0)) if isinstance(held, dict) else 0.0


def story(run: System) -> dict[date, tuple[int, int, int, bool]]:
    """Entries, stops, exits, and whether the position was held, day by day."""
    summaries = run.said(topology.RISK, DaySummary)
    return {day.day: (day.entries, day.stops, day.exits, day.shares > 0) for day in summaries}


def fills_are_the_executions(run: System, verdict: Verdict) -> None:
    """The gateway's journal holds every execution of the wire, each once."""
    journaled = [(f.exec_id, f.shares, f.price_usd) for f in run.said(topology.GATEWAY, Fill)]
    on_wire = [(e.exec_id.rpartition(".")[0], e.shares, e.price_usd) for e in verdict.executions]
    assert sorted(journaled) == sorted(on_wire)


def test_a_week_ends_by_itself_and_says_everything_with_its_market_time(
    undisturbed: tuple[System, int],
) -> None:
    run, status = undisturbed
    assert status == 0, run.terminal
    shown = run.terminal
    for line in LINES:
        found = re.search(f"^{line}", shown, re.MULTILINE)
        assert found, f"{line} is missing in:\n{shown}"
        assert MARKET_TIME.search(shown[: found.start()]), f"no market time before {line}"
    assert "Re-entry after today's stop" in shown


def test_the_oracle_finds_nothing_in_an_undisturbed_week(undisturbed: tuple[System, int]) -> None:
    run, _ = undisturbed
    found = judge(run.wire)
    assert found.violations == (), found.text()
    assert (found.figures.days, found.figures.missed_entries) == (5, ())
    assert (found.figures.entries, found.figures.stops, found.figures.exits) == (3, 2, 1)
    assert found.figures.shares == 0
    assert found.figures.cash_usd == pytest.approx(found.figures.published_cash_usd, abs=0.01)
    fills_are_the_executions(run, found)


def test_the_week_tells_the_story_of_its_market(undisturbed: tuple[System, int]) -> None:
    run, _ = undisturbed
    days = ((1, 0, 0, True), (1, 1, 1, True), (0, 0, 0, True), (1, 1, 1, True), (0, 0, 1, False))
    assert story(run) == dict(zip(WEEK, days, strict=True))


def test_every_recorded_day_is_judged_again_identically(undisturbed: tuple[System, int]) -> None:
    run, _ = undisturbed
    inputs = 0
    for service, path in run.journals():
        judged = run.judged_again(service, path)
        assert judged.difference is None, f"{service} {path.name}: {judged.difference}"
        inputs += judged.inputs
    assert inputs > 1000


def test_a_week_with_every_process_killed_ends_as_the_one_without(
    undisturbed: tuple[System, int], killed: tuple[System, int, int]
) -> None:
    run, status, _ = killed
    assert status == 0, run.terminal
    assert story(run) == story(undisturbed[0])


def test_no_kill_doubles_an_order_loses_a_fill_or_drops_the_gateways_connection(
    killed: tuple[System, int, int],
) -> None:
    run, _, gateway_starts = killed
    found = judge(run.wire, gateway_starts=gateway_starts)
    assert found.violations == (), found.text()
    assert found.figures.connections[1] == gateway_starts
    assert (found.figures.shares, found.figures.missed_entries) == (0, ())
    assert found.figures.cash_usd == pytest.approx(found.figures.published_cash_usd, abs=0.01)
    fills_are_the_executions(run, found)


def test_a_week_with_kills_is_judged_again_identically(killed: tuple[System, int, int]) -> None:
    run, _, _ = killed
    for service, path in run.journals():
        judged = run.judged_again(service, path)
        assert judged.difference is None, f"{service} {path.name}: {judged.difference}"
