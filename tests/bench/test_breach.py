"""The latency bench's market, arithmetic and memory; its measuring is `make latency`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from bench.breach import market, sample
from bench.breach.__main__ import missing
from bench.breach.measure import first_below, session_days
from bench.breach.sample import HEALTHY, Sample
from common.clock import MINUTE_NS
from services.pacer import sessions_between
from services.sim_tws.market import SMH, replay

FIRST = date(2026, 1, 5)


def taken(order_s: float | None, breached_s: float | None = None, harm: str = "killed") -> Sample:
    process = "" if harm == HEALTHY else "market_feed"
    return Sample(harm, process, order_s, breached_s, load=1.0)


def test_the_market_breaks_the_stop_at_one_instant_and_leaves_a_wider_one_alone(
    tmp_path: Path,
) -> None:
    days = session_days(FIRST, 2)
    prices = replay(market.write(tmp_path, days, 2), 1)
    session = sessions_between(FIRST, FIRST)[0]
    opened = prices.opening_print(SMH, FIRST)

    assert first_below(prices, session, opened * (1 - 0.02 / 3)) == session.open_ns + MINUTE_NS
    with pytest.raises(LookupError):
        first_below(prices, session, opened * (1 - 0.025 / 3))
    assert opened > prices.closing_print(SMH, days[-3]), "the night gives back what the stop takes"


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        ([taken(1.9, harm=HEALTHY)] * 99 + [taken(2.5, harm=HEALTHY)] * 0, "kept"),
        ([taken(1.0, harm=HEALTHY)] * 98 + [taken(2.5, harm=HEALTHY)] * 2, "BROKEN"),
        ([taken(None, harm=HEALTHY)], "BROKEN"),
        ([taken(9.9), taken(12.0, 2.0), taken(None, 10.0)], "kept"),
        ([taken(10.1), taken(None, 11.0), taken(None)], "BROKEN 3 times"),
    ],
)
def test_promise_two_is_judged_by_the_p99_when_healthy_and_by_each_when_hurt(
    samples: list[Sample], says: str
) -> None:
    assert sample.verdict(samples) == says


def test_samples_are_collected_and_only_what_is_missing_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "latency.jsonl"
    for one in (taken(0.1, harm=HEALTHY), taken(1.0), taken(None, 0.5)):
        sample.collect(path, one)
    found = sample.collected(path)

    assert found == [taken(0.1, harm=HEALTHY), taken(1.0), taken(None, 0.5)]
    wanted = Counter({(HEALTHY, ""): 3, ("killed", "market_feed"): 2, ("hung", "console"): 1})
    assert sorted(missing(wanted, found)) == [(HEALTHY, ""), (HEALTHY, ""), ("hung", "console")]


def test_the_table_has_a_row_for_each_case_the_healthy_one_first() -> None:
    shown = sample.table([taken(None, 0.5), taken(1.0), taken(0.1, harm=HEALTHY)])
    rows = shown.splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| healthy", "| market_feed killed"]
    assert "| 2 | 1.00 | 1.00 | 1.00 | 1 | kept | 0 |" in rows[1]


def test_a_breach_in_which_other_processes_were_starved_is_counted_and_not_judged() -> None:
    starved = replace(taken(None), starved="broker_gateway")
    (row,) = sample.table([taken(1.0), starved]).splitlines()[2:]
    assert "| 1 | 1.00 | 1.00 | 1.00 | 0 | kept | 1 |" in row
    assert missing(Counter({("killed", "market_feed"): 1}), [starved])
