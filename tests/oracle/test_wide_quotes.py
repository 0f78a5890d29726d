"""Beside a quote too wide for a mid: one print proves nothing, two a second apart do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.judge import UNANSWERED
from tests.oracle.stop import APART_NS, Samples
from tests.oracle.test_judge import PRICE, SHARES, STOPPED, ended, holding
from tests.oracle.traffic import Traffic

T_NS = 10 * APART_NS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wire.msgpack"


def printed(path: Path, *prints: tuple[str, float]) -> Traffic:
    """Held since yesterday; prints at these times, each side of the quote half a per cent off."""
    traffic = holding(path)
    for clock, last in prints:
        traffic.at(clock).quote(PRICE, last, half_usd=PRICE / 200)
    return traffic


def test_two_prints_below_the_stop_that_nobody_answers_are_a_violation(path: Path) -> None:
    found = ended(printed(path, ("11:00:00", STOPPED), ("11:00:02", STOPPED - 0.01)))
    assert [violation.sentence for violation in found.violations] == [UNANSWERED]


@pytest.mark.parametrize("second", [PRICE, STOPPED])
def test_one_print_asks_for_nothing_and_allows_nothing(path: Path, second: float) -> None:
    """Said again within the second, or denied by the next."""
    last = "11:00:00" if second == STOPPED else "11:00:02"
    prints = (("11:00:00", STOPPED), (last, second))
    assert ended(printed(path, *prints)).violations == ()
    found = ended(printed(path, *prints).sell(11, SHARES, PRICE))
    assert "without a breach" in found.violations[0].sentence


def test_two_prints_below_the_stop_allow_the_sale(path: Path) -> None:
    traffic = printed(path, ("11:00:00", STOPPED), ("11:00:02", STOPPED - 0.01))
    found = ended(traffic.sell(11, SHARES, STOPPED))
    assert found.violations == (), found.text()


def test_the_brokers_word_counts_where_no_print_is_as_young() -> None:
    samples = Samples(APART_NS)
    samples.printed(T_NS, broken=False)
    assert not samples.told(T_NS + APART_NS // 2, broken=True), "the print is of this second"
    assert not samples.told(T_NS + 2 * APART_NS, broken=True), "the first"
    assert samples.told(T_NS + 3 * APART_NS, broken=True)
    samples.printed(T_NS + 4 * APART_NS, broken=False)
    assert not samples.told(T_NS + 6 * APART_NS, broken=True), "a print denied it meanwhile"
