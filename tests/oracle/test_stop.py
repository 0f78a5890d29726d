"""The oracle's stop: what it makes of money that moves."""

from __future__ import annotations

import math

import pytest

from tests.oracle.rules import SHIPPED
from tests.oracle.stop import TOLD_NS_MAX, Baseline, Moved

LEFT_USD = 500_000.0


def least_usd(baseline: Baseline, host_ns: int) -> float:
    return baseline.least_usd(SHIPPED.loss_fraction, 0.0, host_ns)


@pytest.mark.parametrize("when", ["before the purchase", "after it"])
def test_a_withdrawal_may_loosen_the_stop_only_until_the_account_was_told(when: str) -> None:
    # given: half of a million leaves
    if when == "after it":
        baseline = Baseline(2 * LEFT_USD)
        baseline.move(-LEFT_USD, host_ns=10)
    else:
        baseline = Baseline(LEFT_USD, moved=[Moved(-LEFT_USD, host_ns=10)])
    # when: nobody was told, told at that very moment, told since
    assert least_usd(baseline, 10**15) == pytest.approx(LEFT_USD - 20_000.0)
    baseline.told(10)
    assert least_usd(baseline, 10**15) == pytest.approx(LEFT_USD - 20_000.0)
    baseline.told(20)
    # then: the word has its time to arrive, and then two percent are of what is left
    assert least_usd(baseline, 20 + TOLD_NS_MAX - 1) == pytest.approx(LEFT_USD - 20_000.0)
    assert least_usd(baseline, 20 + TOLD_NS_MAX) == pytest.approx(LEFT_USD - 10_000.0)


def test_a_deposit_never_asks_for_more_than_the_equity_before_it() -> None:
    baseline = Baseline(LEFT_USD)
    baseline.move(LEFT_USD, host_ns=10)
    baseline.told(20)
    most_usd = baseline.most_usd(SHIPPED.loss_fraction, 0.0)
    assert most_usd == pytest.approx(2 * LEFT_USD - 10_000.0)
    assert not math.isnan(least_usd(baseline, 10**15))
