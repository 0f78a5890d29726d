"""The nemesis and its judges, without a process: what they draw, compare and say."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import date
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from common import messages as m
from common import topology
from common.clock import SECOND_NS
from common.tws.messages import SendOrder
from services.sim_tws.market import replay
from tests.chaos import blows, books, logs, market, promises, report, schedule
from tests.chaos.books import Theirs
from tests.chaos.report import Result
from tests.oracle import facts as f
from tests.oracle.verdict import Violation

ROOT = Path(__file__).resolve().parents[2]
FIRST = date(2025, 6, 2)
DAY = date(2025, 6, 3)
MANY = 400


def drawn(seed: int, disk: str = "") -> list[schedule.Round]:
    return list(islice(schedule.rounds(seed, blows.targets(disk=disk)), MANY))


# --- the schedule ------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_blows_and_another_seed_others() -> None:
    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_every_kind_is_struck_once_before_any_is_drawn_freely() -> None:
    kinds = [kind for kind, _, _ in schedule.KINDS]
    first = [blow.kind for round_ in drawn(3)[: len(kinds)] for blow in round_.blows]
    assert sorted(first) == sorted(kinds)


def test_no_process_is_restarted_so_often_that_the_flap_rule_halts() -> None:
    at_s, restarts = 0.0, []
    for round_ in drawn(5):
        at_s += round_.pause_s + schedule.BLOW_S
        restarts += [(at_s, b.target) for b in round_.blows if b.kind in schedule.RESTARTING]
    for began_s, _ in restarts:
        minute = Counter(name for s, name in restarts if began_s <= s < began_s + 60.0)
        assert max(minute.values()) <= schedule.RESTARTS_PER_MINUTE_MAX


def test_some_blows_fall_two_at_once_but_never_beside_the_end_of_everything() -> None:
    pairs = [round_.blows for round_ in drawn(7) if len(round_.blows) == 2]
    assert len(pairs) > MANY // 20
    assert not [pair for pair in pairs if {b.kind for b in pair} & schedule.ALONE]


def test_every_kind_can_be_struck_and_one_that_may_not_be_is_left_out() -> None:
    assert set(blows.STRIKES) == {kind for kind, _, _ in schedule.KINDS}
    struck = {blow.kind for round_ in drawn(9, disk="not here") for blow in round_.blows}
    assert struck == set(blows.STRIKES) - {"disk-full"}


def test_every_process_is_among_the_targets() -> None:
    targets = blows.targets(disk="")
    everyone = {*topology.SPEAKERS, topology.RISK_STANDBY}
    assert set(targets["kill"]) == everyone
    assert set(targets["hang"]) == everyone - {topology.WATCHDOG}


# --- the market --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_most_days_of_the_market_are_bull_it_turns_and_half_of_them_reach_the_stop(
    seed: int,
) -> None:
    prices = market.prices(random.Random(seed), market.HISTORY_DAYS + 200)
    fast = slow = market.CENTRE_USD
    sides = []
    for *_, close in prices:
        fast += (close - fast) * 2 / (market.FAST + 1)
        slow += (close - slow) * 2 / (market.SLOW + 1)
        sides.append(fast > slow)
    traded = sides[market.HISTORY_DAYS :]
    assert sum(traded) > 0.8 * len(traded)
    assert sum(one != other for one, other in pairwise(traded)) >= 4
    stopped = [low <= opened * (1 - 0.02 / 3) for opened, _, low, _ in prices]
    assert 0.3 < sum(stopped) / len(stopped) < 0.8


@pytest.mark.parametrize("seed", [1, 25])  # 25 once held a day that looked like a split
def test_the_market_can_be_replayed_from_its_first_day(tmp_path: Path, seed: int) -> None:
    shown = replay(market.write(tmp_path, seed, FIRST, 5), seed)
    assert shown.session_on(FIRST) is not None
    assert len(shown.sessions_before(FIRST, 2000)) == market.HISTORY_DAYS


# --- the books ---------------------------------------------------------------------------------


def account(cash_usd: float) -> m.AccountSnapshot:
    return m.AccountSnapshot(
        refreshed_ns=1, net_liquidation_usd=cash_usd, cash_usd=cash_usd,
        equity_with_loan_usd=cash_usd, init_margin_usd=0.0, maint_margin_usd=0.0,
        excess_liquidity_usd=cash_usd, sma_usd=None, portfolio_margin=True, shares=0,
        average_cost_usd=0.0, mark_usd=None, other_profit_usd=0.0,
    )  # fmt: skip


def fill(exec_id: str, price_usd: float, *, revision: int = 1) -> m.Fill:
    return m.Fill(
        exec_id=exec_id, revision=revision, intent_id="20250603-ENTRY-1", action="BUY", shares=100,
        price_usd=price_usd, filled_ns=1, liquidation=False,
    )  # fmt: skip


def update(status: m.OrderStatus) -> m.OrderUpdate:
    return m.OrderUpdate(
        intent_id="20250603-ENTRY-1", order_id=7, perm_id=1, status=status, filled=200, remaining=0,
        average_usd=250.0, code=0, reason="",
    )  # fmt: skip


ORDER = m.Order(
    intent_id="20250603-ENTRY-1", day=DAY, purpose="ENTRY", reason="signal", action="BUY",
    shares=200, order_type="MKT", limit_usd=None, outside_rth=False, price_usd=250.0, deadline_ns=9,
)  # fmt: skip
REF = "20250603-ENTRY-1.abc"
JOURNAL: list[m.Message] = [
    account(100_000.0),
    SendOrder(order_id=7, account="DU1", order_ref=REF, order=ORDER),
    fill("e1", 250.0),
    m.Commission(exec_id="e1", commission_usd=1.5),
    fill("e2", 251.0),
    fill("e2", 250.5, revision=2),
    m.Commission(exec_id="e2", commission_usd=1.0),
    m.Commission(exec_id="e2", commission_usd=1.25),
    update("Filled"),
    account(49_000.0),
]
BROKER = Theirs(
    shares=200.0,
    cash_usd=100_000.0 - 25_000.0 - 25_050.0 - 2.75,
    executions_ever=2,
    live=frozenset(),
    executions={"e1": (100, 250.0), "e2": (100, 250.5)},
    orders={REF: (7, "BUY", 200)},
)


def test_books_of_one_mind_show_no_difference() -> None:
    assert books.differences(books.ours(JOURNAL), BROKER) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"shares": 199.0}, "200 shares by our journals, 199 at the broker"),
        ({"cash_usd": BROKER.cash_usd + 0.01}, "of cash by our journals"),
        ({"executions_ever": 3}, "2 fills journaled, 3 made"),
        ({"executions": BROKER.executions | {"e3": (1, 9.0)}}, "execution e3: None in our journal"),
        ({"executions": BROKER.executions | {"e1": (100, 250.01)}}, "execution e1"),
        ({"orders": BROKER.orders | {"x": (8, "SELL", 1)}}, "order x: None in our journal"),
        ({"live": frozenset({REF})}, "still open at the broker only"),
    ],
)
def test_each_difference_is_found(changed: dict[str, Any], says: str) -> None:
    (found,) = books.differences(books.ours(JOURNAL), replace(BROKER, **changed))
    assert says in found


def test_an_order_that_we_hold_for_unknown_is_a_difference_to_a_broker_without_it() -> None:
    said = [*JOURNAL[:-2], update("UNKNOWN")]
    assert books.differences(books.ours(said), BROKER) == [f"order {REF} is still open here only"]


# --- the promises ------------------------------------------------------------------------------


def risk_state(breached: str) -> m.RiskState:
    return m.RiskState(
        mode="ACTIVE", breached=breached, reasons=(), pending="", shares=1, entry_done=True,
        stop_fired=True, uninvested_usd=0.0, liquidation_price_usd=None, protected_by="",
    )  # fmt: skip


def test_a_breach_without_an_order_is_broken_unless_breached_was_said_in_that_session() -> None:
    at_ns = 1_000_000 * SECOND_NS
    unanswered = Violation(at_ns, promises.UNANSWERED)
    said = [(at_ns + SECOND_NS, risk_state("no link to the broker"))]
    late = [(at_ns + 2 * promises.SESSION_NS, risk_state("no link to the broker"))]
    other = Violation(at_ns, "short: -1 shares")

    assert promises.broken([unanswered], said) == []
    assert promises.broken([unanswered], [(at_ns, risk_state(""))]) == [str(unanswered)]
    assert promises.broken([unanswered], late) == [str(unanswered)]
    assert promises.broken([other], said) == [str(other)]


def placed(host_s: int, action: str = "BUY") -> f.Placed:
    return f.Placed(
        ns=1, host_ns=host_s * SECOND_NS, connection=1, client_id=1, order_id=7, symbol="SMH",
        action=action, shares=1.0, order_type="MKT", tif="DAY", account="DU1", order_ref=REF,
        outside_rth=False, what_if=False, content=(),
    )  # fmt: skip


def latch(host_s: int, mode: m.Mode) -> tuple[int, m.HaltLatch]:
    return host_s * SECOND_NS, m.HaltLatch(mode=mode, reason="", since_ns=1)


def test_an_entry_later_than_a_second_into_a_halt_is_a_broken_promise() -> None:
    latches = [latch(10, "ACTIVE"), latch(20, "HALTED"), latch(25, "HALTED"), latch(30, "ACTIVE")]
    honest = [placed(15), placed(21), placed(29, "SELL"), placed(31)]
    (found,) = promises.entries_while_halted([*honest, placed(28)], latches)
    assert found.endswith("reached the broker 8.0 s into a halt")


LOG = """
2025-06-03T10:00:00Z INFO started
    Traceback (most recent call last):
      File "journal.py", line 1, in append
    common.journal.DiskFullError: [Errno 28] no room
    ValueError: said without a traceback
    Traceback (most recent call last):
      File "engine.py", line 2, in hear
    ZeroDivisionError: division by zero
Assertion failed: _input_stopped (src/stream_engine_base.cpp:396)
INFO exited: console (terminated by SIGKILL; not expected)
INFO exited: market_feed (terminated by SIGABRT; not expected)
"""


def test_a_failure_that_no_blow_explains_is_read_from_the_logs() -> None:
    assert list(logs.unexplained(LOG)) == [
        "ZeroDivisionError: division by zero",
        "Assertion failed: _input_stopped (src/stream_engine_base.cpp:396)",
        "INFO exited: market_feed (terminated by SIGABRT; not expected)",
    ]


# --- the report --------------------------------------------------------------------------------

GOOD = Result(
    seed=1, struck=Counter({"kill": 3}), two_at_once=1, skipped={"disk-full": "not here"}, days=4,
    days_traded=3, orders=5, fills=9, inputs_judged=100, halts=["why", "why"], ready_s=[1.0, 2.5],
    differences=[], broken=[], wrong=[],
)  # fmt: skip


@pytest.mark.parametrize("what", ["differences", "broken", "wrong"])
def test_one_difference_broken_promise_or_complaint_fails_the_run(what: str) -> None:
    bad = replace(GOOD, **{what: ["this"]})  # type: ignore[arg-type]  # a field of text lists
    assert GOOD.held
    assert not bad.held
    assert report.verdict(bad) == "BROKEN"
    assert any(line.endswith("this") for line in report.details(bad))


def test_a_run_without_an_order_or_a_fault_has_shown_nothing() -> None:
    for nothing in (replace(GOOD, orders=0), replace(GOOD, struck=Counter())):
        assert not nothing.proved
        assert report.verdict(nothing).startswith("NOTHING SHOWN")
    assert report.verdict(GOOD) == "held"


def test_make_hands_minutes_and_seed_on() -> None:
    printed = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "chaos", "MINUTES=2", "SEED=9"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "tests.chaos --minutes 2 --seed 9" in printed
