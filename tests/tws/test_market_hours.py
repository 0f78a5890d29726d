"""IB's liquidHours, as TWS writes them."""

from __future__ import annotations

from datetime import date

import pytest

from common.tws.liquid_hours import closed_days, liquid_hours
from common.tws.market_messages import SessionHours
from services.sim_tws.market_time import instant_ns

THURSDAY, FRIDAY = date(2026, 11, 26), date(2026, 11, 27)
EARLY = SessionHours(day=FRIDAY, open_ns=instant_ns(FRIDAY, 9, 30), close_ns=instant_ns(FRIDAY, 13))


@pytest.mark.parametrize(
    "zone", ["US/Eastern", "America/New_York", "EST5EDT", "EST (Eastern Standard Time)", "", "?/?"]
)
def test_an_early_close_after_a_closed_day_is_read_in_new_york(zone: str) -> None:
    assert liquid_hours("20261126:CLOSED;20261127:0930-20261127:1300", zone) == (EARLY,)


def test_another_zone_is_honoured() -> None:
    [hours] = liquid_hours("20261127:1430-20261127:1800", "UTC")
    assert (hours.open_ns, hours.close_ns) == (EARLY.open_ns, EARLY.close_ns)


def test_a_day_in_two_parts_is_one_session() -> None:
    [hours] = liquid_hours("20261127:0930-20261127:1100,20261127:1115-20261127:1300", "US/Eastern")
    assert hours == EARLY


def test_summer_and_winter_time_are_told_apart() -> None:
    [winter, summer] = liquid_hours(
        "20260306:0930-20260306:1600;20260309:0930-20260309:1600", "US/Eastern"
    )
    assert summer.open_ns - winter.open_ns == (3 * 24 - 1) * 3600 * 1_000_000_000


@pytest.mark.parametrize("text", ["", ";;", "garbage", "20261127", "2026:09-2026:16", "0930-1600"])
def test_what_cannot_be_read_is_left_out(text: str) -> None:
    assert liquid_hours(text, "US/Eastern") == ()


def test_closed_days_are_those_said_in_so_many_words() -> None:
    text = "20261126:CLOSED;20261127:0930-20261127:1300; 20261128:CLOSED;nonsense:CLOSED;20261130"
    assert closed_days(text) == (THURSDAY, date(2026, 11, 28))
    assert closed_days("") == ()
