"""A whole synthetic week on real processes: undisturbed, and with every process killed in turn.

The week is the market's opening act: an entry, a stop with a re-entry, a quiet day, another stop
with a re-entry and a signal that turns, the bear exit. The oracle judges both runs from the wire.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pytest

from common import topology
from common.messages import DaySummary, Fill
from services.trader.comparison import compared
from tests.oracle.judge import judge
from tests.oracle.verdict import Verdict
from tests.whole.system import System

SECONDS_PER_DAY = 3.0
WEEK = [date(2025, 6, day) for day in (2, 3, 4, 5, 6)]
END_S = 180.0
SECONDS_APART = 0.002  # what the price may do while a killed process comes back, as a share of it
LINES = (
    r"✅ Connected to IBKR Paper Trading \(Port \d+\)",
    r"✅ EMAs Initialized: 25=\d+\.\d\d \| 125=\d+\.\d\d",
    r"   Signal: BULL",
    r"📅 Day Start Equity: \$[\d,]+\.\d\d",
    r"✅ ENTERED: \d+ shares @ \$\d+\.\d\d \(Leverage: \d\.\d\d?x\)",
    r"🛑 STOP",
    r"🚪 EXITED: \d+ shares @ \$\d+\.\d\d \((resting_)?stop\)",
    r"📊 Signal changed: BULL → BEAR",
    r"🚪 EXITED: \d+ shares @ \$\d+\.\d\d \(bear\)",
    r"⏹️",
)
MARKET_TIME = re.compile(r"— 2025-06-0\d \d\d:\d\d:\d\d ET")


@dataclass(frozen=True)
class Weeks:
    """Both runs, ended; `gateway_starts` counts those of the killed one."""

    undisturbed: System
    killed: System
    gateway_starts: int


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weeks]:
    """The same week twice at the same time, on the same machine: left alone, and with kills."""
    folders = tmp_path_factory.mktemp("undisturbed"), tmp_path_factory.mktemp("killed")
    with (
        System(folders[0], days=5, seconds_per_day=SECONDS_PER_DAY) as undisturbed,
        System(folders[1], days=5, seconds_per_day=SECONDS_PER_DAY) as killed,
    ):
        killed.prints("EMAs Initialized")
        gateway_starts = 1 + _kill_everything_in_turn(killed)
        for run in (undisturbed, killed):
            assert run.exit_status(END_S) == 0, run.terminal
        yield Weeks(undisturbed, killed, gateway_starts)


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


def entered_shares(run: System) -> int:
    """Shares of the first day's entry; its equity is the same in every run."""
    return next(day.shares for day in run.said(topology.RISK, DaySummary) if day.day == WEEK[0])


def fills_are_the_executions(run: System, verdict: Verdict) -> None:
    """The gateway's journal holds every execution of the wire, each once."""
    journaled = [(f.exec_id, f.shares, f.price_usd) for f in run.said(topology.GATEWAY, Fill)]
    on_wire = [(e.exec_id.rpartition(".")[0], e.shares, e.price_usd) for e in verdict.executions]
    assert sorted(journaled) == sorted(on_wire)


def test_a_week_ends_by_itself_and_says_everything_with_its_market_time(weeks: Weeks) -> None:
    shown = weeks.undisturbed.terminal
    for line in LINES:
        found = re.search(f"^{line}", shown, re.MULTILINE)
        assert found, f"{line} is missing in:\n{shown}"
        assert MARKET_TIME.search(shown[: found.start()]), f"no market time before {line}"
    assert "Re-entry after today's stop" in shown


def test_the_oracle_finds_nothing_in_an_undisturbed_week(weeks: Weeks) -> None:
    found = judge(weeks.undisturbed.wire)
    assert found.violations == (), found.text()
    assert (found.figures.days, found.figures.missed_entries) == (5, ())
    assert (found.figures.entries, found.figures.stops, found.figures.exits) == (3, 2, 1)
    assert found.figures.shares == 0
    assert found.figures.cash_usd == pytest.approx(found.figures.published_cash_usd, abs=0.01)
    fills_are_the_executions(weeks.undisturbed, found)


def test_the_week_tells_the_story_of_its_market(weeks: Weeks) -> None:
    days = ((1, 0, 0, True), (1, 1, 1, True), (0, 0, 0, True), (1, 1, 1, True), (0, 0, 1, False))
    assert story(weeks.undisturbed) == dict(zip(WEEK, days, strict=True))


def test_with_every_process_killed_in_turn_each_day_ends_as_without(weeks: Weeks) -> None:
    assert story(weeks.killed) == story(weeks.undisturbed)
    first = [entered_shares(run) for run in (weeks.killed, weeks.undisturbed)]
    assert first[0] == pytest.approx(first[1], rel=SECONDS_APART)


def test_no_kill_doubles_an_order_loses_a_fill_or_drops_the_gateways_connection(
    weeks: Weeks,
) -> None:
    found = judge(weeks.killed.wire, gateway_starts=weeks.gateway_starts)
    assert found.violations == (), found.text()
    assert found.figures.connections[1] == weeks.gateway_starts
    assert (found.figures.shares, found.figures.missed_entries) == (0, ())
    assert found.figures.cash_usd == pytest.approx(found.figures.published_cash_usd, abs=0.01)
    fills_are_the_executions(weeks.killed, found)


@pytest.mark.parametrize("which", ["undisturbed", "killed"])
def test_every_recorded_day_is_judged_again_identically(weeks: Weeks, which: str) -> None:
    run: System = getattr(weeks, which)
    inputs = 0
    for service, path in run.journals():
        judged = run.judged_again(service, path)
        assert judged.difference is None, f"{service} {path.name}: {judged.difference}"
        inputs += judged.inputs
    assert inputs > 1000


@pytest.mark.parametrize("which", ["undisturbed", "killed"])
def test_each_day_is_decided_as_the_backtest_of_that_day_decides_it(
    weeks: Weeks, which: str
) -> None:
    """The same lines: signal, entries with their leverage, stops and exits with their reason; and
    the same sizes where price, equity and VIX are the same."""
    run: System = getattr(weeks, which)
    found = compared(run.var_dir)
    assert [day.day for day in found.days] == WEEK
    assert found.left_out == ()
    assert found.same, [day for day in found.days if not day.same]
    assert found.sizes_agree, [size for day in found.days for size in day.sized]
    assert sum(len(day.sized) for day in found.days) == 3
    assert "5 of 5 days decided alike; 3 of 3 entries of the same size" in run.terminal


def test_a_stuck_process_is_replaced_and_the_person_is_told(weeks: Weeks) -> None:
    assert "order_executor lived but was silent" in weeks.killed.terminal
