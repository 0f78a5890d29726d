"""Old rows and the broker's: the same, a split apart, or in contradiction."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from services.backtest.seam import compare, words

DAYS = [date(2025, 3, 3) + timedelta(days=at) for at in range(10)]
OLD = {day: 100.0 + at for at, day in enumerate(DAYS)}


def times(scale: float) -> dict[date, float]:
    return {day: close * scale for day, close in OLD.items()}


def test_sources_that_differ_by_a_little_agree() -> None:
    found = compare(OLD, {**times(1.001), DAYS[-1] + timedelta(days=1): 55.0})

    assert (found.shared, found.scale, found.odd, found.problem) == (10, 1.0, (), "")


@pytest.mark.parametrize(
    ("scale", "split"), [(0.5, "2:1"), (0.1, "10:1"), (2 / 3, "1.5:1"), (2.0, "1:2")]
)
def test_after_a_split_all_of_it_differs_by_the_ratio(scale: float, split: str) -> None:
    found = compare(OLD, {day: round(close, 2) for day, close in times(scale).items()})

    assert found.scale == pytest.approx(scale, rel=1e-12)
    assert found.problem == ""
    assert words(found.scale) == split


def test_a_single_day_that_differs_is_named_and_is_no_split() -> None:
    found = compare(OLD, {**OLD, DAYS[4]: 52.0})

    assert found.scale == 1.0
    assert found.odd == ("2025-03-07: 104 in the file, 52 at the broker",)


def test_another_price_altogether_is_a_problem() -> None:
    assert "1.17 times the file's over 10 shared days" in compare(OLD, times(1.17)).problem


def test_without_a_shared_day_nothing_is_known() -> None:
    assert compare(OLD, {}).shared == 0
