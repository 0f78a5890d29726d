"""While the stop monitor makes no entry, `trader status` gives the stop monitor's own reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from common.core.monitor.entry import MADE
from common.messages import EntryRefused, PlaceOrder
from common.settings import Settings
from services.trader import status
from services.trader.picture import Picture, expected_services
from services.trader.status import Known
from tests.core.risk_play import RiskDay, held_day, settings
from tests.core.test_risk_entry import SPOILS, opened
from tests.playbook import of
from tests.trader.stage import heartbeat


def spoiled(what: str) -> Callable[[], RiskDay]:
    def play() -> RiskDay:
        day = opened()
        SPOILS[what][0](day)
        day.asked_at("15:55")
        return day

    return play


def made_and_stopped() -> RiskDay:
    day = opened()
    day.enter()
    day.sold(day.stopped_at(397.0), 397.0)
    return day


def made_early_and_flattened() -> RiskDay:
    day = opened(settings(entry={"test_entry": True}))
    day.enter("10:00")
    day.sold(day.stopped_at(397.0), 397.0)
    day.ready_at("11:00", 397.0)
    return day


def stopped_late() -> RiskDay:
    day = held_day()
    day.ready_at("15:55")
    day.sold(day.stopped_at(397.0, 1), 397.0)
    return day


def stopped_for_good() -> RiskDay:
    day = held_day(given=settings(entry={"reentry_same_day": False}))
    day.sold(day.stopped_at(397.0, 3600), 397.0)
    return day


def bear(clock: str) -> Callable[[], RiskDay]:
    def play() -> RiskDay:
        day = RiskDay(leverage=0.0)
        day.open_at()
        day.ready_at(clock)
        return day

    return play


def missed() -> RiskDay:
    day = RiskDay(at="15:59")
    day.open_at()
    return day


def rejected() -> RiskDay:
    day = opened()
    for clock in ("15:55", "15:56"):
        day.update(day.entry_order(clock), "REJECTED", reason="no margin")
        day.tick()
    return day


PLAYS: dict[str, tuple[Callable[[], RiskDay], str]] = {
    **{what: (spoiled(what), reason) for what, (_, reason) in SPOILS.items()},
    "made, and stopped": (made_and_stopped, MADE),
    "made early, and sold": (made_early_and_flattened, MADE),
    "stopped after the entry time": (stopped_late, "at or after the entry time"),
    "stopped, and no re-entry": (stopped_for_good, "reentry_same_day"),
    "bear, before the entry time": (bear("10:00"), "BEAR since"),
    "bear, at the entry time": (bear("15:55"), "BEAR since"),
    "missed": (missed, "missed"),
    "rejected": (rejected, "no margin"),
}


def seen(day: RiskDay) -> Known:
    """What the command line knows beside the stop monitor's word: everybody speaks, all is well."""
    picture = Picture(expected=expected_services("tws"))
    for speaker in picture.expected:
        picture.hear(speaker, heartbeat(), 1)
    account, said = day.state.account, day.state.said_state
    assert account is not None
    assert said is not None
    for fact in (day.hours, day.link(), day.latch(), said):
        picture.hear("anyone", fact, 1)
    picture.hear("broker_gateway", account, 1)
    return Known(picture, Settings(), day.now.market_ns, 1)


@pytest.mark.parametrize("what", PLAYS)
def test_the_reason_for_no_entry_is_the_stop_monitors_own(what: str) -> None:
    play, reason = PLAYS[what]
    day = play()
    day.tick()
    assert not of(PlaceOrder, day.ticks(3))
    told: Any = status.answer(seen(day))
    assert reason in told.text
    assert "nothing" not in told.text
    assert told.values["reasons"]
    if of(EntryRefused, day.said) and day.newest(EntryRefused).final:
        assert "; the next entry is at 2026-03-04 15:55:00 ET" in told.text


def test_an_entry_that_is_over_is_followed_by_the_time_of_the_next() -> None:
    told = status.answer(seen(made_and_stopped()))
    assert told.text == (
        f"Not in the market: no entry today: {MADE}; "
        "the next entry is at 2026-03-04 15:55:00 ET, in 23 h 59 min."
    )


def test_at_entry_time_with_nothing_in_the_way_it_claims_no_more_than_the_stop_monitor() -> None:
    day = opened()
    day.ready_at("15:55")
    assert "risk_monitor names nothing in its way" in status.answer(seen(day)).text
