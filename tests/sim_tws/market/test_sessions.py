"""Sessions follow the New York exchanges: holidays, early closes, daylight saving."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from services.sim_tws.market import Market, synthetic


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic(0)


def ns(year: int, month: int, day: int, hour: int, minute: int) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("day", "open_utc", "close_utc"),
    [
        (date(2025, 3, 7), (14, 30), (21, 0)),  # Friday before the clocks go forward
        (date(2025, 3, 10), (13, 30), (20, 0)),
        (date(2025, 10, 31), (13, 30), (20, 0)),  # Friday before they go back
        (date(2025, 11, 3), (14, 30), (21, 0)),
    ],
)
def test_session_is_0930_to_1600_in_new_york_all_year(
    market: Market, day: date, open_utc: tuple[int, int], close_utc: tuple[int, int]
) -> None:
    session = market.session_on(day)

    assert session is not None
    assert session.open_ns == ns(day.year, day.month, day.day, *open_utc)
    assert session.close_ns == ns(day.year, day.month, day.day, *close_utc)
    assert not session.early


def test_day_after_thanksgiving_closes_at_1300(market: Market) -> None:
    session = market.session_on(date(2025, 11, 28))

    assert session is not None
    assert session.early
    assert session.close_ns == ns(2025, 11, 28, 18, 0)


@pytest.mark.parametrize("day", [date(2025, 7, 4), date(2025, 6, 7), date(2025, 1, 9)])
def test_holidays_weekends_and_days_of_mourning_have_no_session(market: Market, day: date) -> None:
    assert market.session_on(day) is None


def test_session_at_or_after_is_the_running_one_until_its_close(market: Market) -> None:
    friday, monday = market.session_on(date(2025, 6, 6)), market.session_on(date(2025, 6, 9))
    assert friday is not None
    assert monday is not None

    assert market.session_at_or_after(friday.open_ns - 1) == friday
    assert market.session_at_or_after(friday.open_ns) == friday
    assert market.session_at_or_after(friday.close_ns - 1) == friday
    assert market.session_at_or_after(friday.close_ns) == monday


def test_sessions_before_are_the_last_ones_oldest_first(market: Market) -> None:
    before = market.sessions_before(date(2025, 7, 7), 3)

    assert [session.date for session in before] == [
        date(2025, 7, 1), date(2025, 7, 2), date(2025, 7, 3),
    ]  # fmt: skip
    assert market.sessions_before(market.first_day, 5) == []


def test_after_the_last_session_there_is_none(market: Market) -> None:
    with pytest.raises(LookupError, match="last session"):
        market.session_at_or_after(ns(2100, 1, 1, 0, 0))
