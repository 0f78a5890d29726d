"""A clock that runs ahead of the broker's makes no baseline from a price of before the open, or it
is taken again once the clock has been found out; a held position keeps its stop meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from common.clock import SECOND_NS
from common.messages import (
    Alert,
    BaselineSet,
    BrokerLink,
    Message,
    Now,
    OpeningPrint,
    StopArmed,
)
from common.tws.market_messages import ASK, BID, LAST, OPEN
from tests.core.feed_play import MONDAY, FeedPlay, ns
from tests.core.risk_play import CASH_USD, CLOSE_USD, TUESDAY, RiskDay, held_day
from tests.playbook import instant, of, one

EARLY_USD, OPEN_USD = 400.0, 398.0


class Feed(FeedPlay):
    """market_feed beside a broker whose clock is right; `step` sets ours, not host time."""

    def step(self, ahead_s: float) -> None:
        self.now = Now(
            market_ns=self.now.market_ns + round(ahead_s * SECOND_NS), host_ns=self.now.host_ns
        )

    def compared(self, offset_s: float | None) -> None:
        self.hear(BrokerLink("ready", "DU***67", 7497, 0, offset_s, ""))
        self.tick(0.1)

    def price(self, usd: float, *more: tuple[int, float], after_s: float = 0.0) -> None:
        self.smh((BID, usd - 0.01), (ASK, usd + 0.01), (LAST, usd), *more, after_s=after_s)

    def prints(self) -> list[tuple[float, bool, bool]]:
        return [(p.price_usd, p.official, p.corrected) for p in self.all(OpeningPrint)]


def stepped() -> Feed:
    """At 09:29:57 the clock is set ahead by an hour, and what is heard is taken for the open."""
    feed = Feed(start_ns=ns(MONDAY, 9, 29, 50))
    feed.at(ns(MONDAY, 9, 29, 57))
    feed.step(3600)
    feed.tick()
    feed.price(EARLY_USD, (OPEN, EARLY_USD + 0.5))
    feed.tick()
    assert feed.prints() == [(EARLY_USD + 0.5, True, False)]
    return feed


def test_with_a_clock_known_to_run_ahead_the_open_is_the_brokers() -> None:
    feed = Feed(start_ns=ns(MONDAY, 9, 25))
    feed.compared(180.0)
    for second in range(0, 180, 20):  # by our clock the session is open
        feed.at(ns(MONDAY, 9, 30, second))
        feed.price(EARLY_USD, (OPEN, EARLY_USD + second))
    assert feed.prints() == []
    feed.at(ns(MONDAY, 9, 33, 0.2))
    feed.price(OPEN_USD, (OPEN, OPEN_USD))
    assert feed.prints() == [(OPEN_USD, True, False)]


def test_a_first_mid_of_before_the_open_is_corrected_though_the_true_print_has_come() -> None:
    # given: a mid taken too early, and the session's own print, before the clock is found out
    feed = Feed(start_ns=ns(MONDAY, 9, 29, 40))
    feed.step(3600)
    feed.tick()
    for _ in range(8):
        feed.price(EARLY_USD, after_s=1.0)
    feed.tick(11.5)
    feed.price(OPEN_USD, (OPEN, OPEN_USD), after_s=1.0)
    assert feed.prints() == [(EARLY_USD, False, False), (OPEN_USD, True, False)]
    # when
    feed.compared(3600.0)
    feed.price(OPEN_USD - 0.2, after_s=0.3)
    assert feed.prints()[2:] == [(OPEN_USD, True, True)]


def test_found_out_before_the_open_it_is_told_anew_at_the_open() -> None:
    feed = stepped()
    feed.compared(3600.0)
    feed.price(EARLY_USD, after_s=1.0)
    assert len(feed.prints()) == 1
    feed.price(OPEN_USD, (OPEN, OPEN_USD), after_s=3.0)
    assert feed.prints()[1:] == [(OPEN_USD, True, True)]


def test_without_a_print_of_its_own_the_first_mid_of_the_session_takes_the_place() -> None:
    feed = stepped()
    feed.price(OPEN_USD, after_s=3.1)
    feed.compared(3600.0)
    for _ in range(8):
        feed.price(OPEN_USD, after_s=1.0)
    assert feed.prints()[1:] == [(OPEN_USD, False, True)]


def test_a_clock_set_ahead_after_the_open_changes_no_open() -> None:
    feed = Feed()
    feed.at(ns(MONDAY, 9, 30, 0.5))
    feed.price(OPEN_USD, (OPEN, OPEN_USD))
    feed.at(ns(MONDAY, 10))
    feed.step(3600)
    feed.compared(3600.0)
    feed.price(EARLY_USD, (OPEN, OPEN_USD), after_s=10.0)
    feed.tick(120)
    assert feed.prints() == [(OPEN_USD, True, False)]


def test_a_known_offset_that_wavers_changes_no_open_nor_does_setting_the_clock_right() -> None:
    feed = Feed(start_ns=ns(MONDAY, 9, 25))
    feed.compared(180.0)
    feed.at(ns(MONDAY, 9, 33, 0.2))
    feed.price(OPEN_USD, (OPEN, OPEN_USD))
    for offset_s in (180.4, None, 179.6, 181.9):
        feed.compared(offset_s)
    feed.step(-180)
    for offset_s in (180.0, 0.0, 0.2):  # the first by comparisons of before
        feed.compared(offset_s)
    feed.price(OPEN_USD - 2, (OPEN, OPEN_USD), after_s=5.0)
    assert feed.prints() == [(OPEN_USD, True, False)]


def test_after_a_reboot_the_open_of_the_day_before_is_still_the_day_befores() -> None:
    feed = Feed(start_ns=ns(MONDAY, 9, 20))
    feed.price(EARLY_USD, (OPEN, EARLY_USD + 0.5))
    feed.now = Now(market_ns=feed.now.market_ns, host_ns=5 * SECOND_NS)
    feed.compared(180.0)
    feed.at(ns(MONDAY, 9, 33, 1))
    feed.price(EARLY_USD, after_s=1.0)
    assert feed.prints() == []
    feed.price(OPEN_USD, (OPEN, OPEN_USD), after_s=1.0)
    assert feed.prints() == [(OPEN_USD, True, False)]


def test_another_word_of_tws_on_the_open_within_a_minute_is_the_sessions_own() -> None:
    # given: an early open, and a clock that is set right before anybody has found it out
    feed = stepped()
    feed.price(OPEN_USD, (OPEN, OPEN_USD), after_s=3.1)
    assert feed.prints()[1:] == [(OPEN_USD, True, True)]
    feed.step(-3600)
    feed.price(OPEN_USD - 1, (OPEN, OPEN_USD), after_s=1.0)
    # then: a later one changes nothing any more
    feed.price(OPEN_USD - 1, (OPEN, OPEN_USD - 1), after_s=60.0)
    feed.tick(5)
    assert len(feed.prints()) == 2


# --- the stop monitor --------------------------------------------------------------------------


def corrected(day: RiskDay, price_usd: float, **more: Any) -> list[Message]:
    terms = {"official": True, "corrected": True} | more
    return day.hear(OpeningPrint(day.hours.day, price_usd, **terms)) + day.tick()


def raised(day: RiskDay) -> set[str]:
    return {alert.code for alert in day.all(Alert) if alert.raised}


def test_a_clock_known_to_run_ahead_writes_the_baseline_at_the_brokers_open() -> None:
    day = RiskDay(held=7500, cash_usd=CASH_USD - 7500 * CLOSE_USD)
    day.hear(day.link(clock_offset_s=180.0))
    day.hear(OpeningPrint(TUESDAY, EARLY_USD, official=False))
    for clock in ("09:30", "09:30:30", "09:32:59"):
        day.wait_until(instant(TUESDAY, clock))
        day.quote(EARLY_USD)
        day.tick()
    assert not day.all(BaselineSet)
    assert "unarmed" not in raised(day)
    # when: the broker's clock says half past nine; the link is a new one and has not compared yet
    day.hear(day.link(clock_offset_s=None))
    day.wait_until(instant(TUESDAY, "09:33"))
    said = day.hear(OpeningPrint(TUESDAY, OPEN_USD, official=True)) + day.tick()
    baseline = one(BaselineSet, said)
    assert (baseline.price_usd, baseline.labelled) == (OPEN_USD, "")


def test_a_baseline_of_before_the_open_is_taken_again_once() -> None:
    day = held_day(price_usd=EARLY_USD)
    armed = day.newest(StopArmed)
    said = corrected(day, OPEN_USD)
    baseline = one(BaselineSet, said)
    assert (baseline.price_usd, baseline.shares, baseline.source) == (OPEN_USD, 7500, "open")
    assert baseline.labelled.startswith("taken again")
    assert day.newest(StopArmed).stop_usd < armed.stop_usd
    assert day.state.day is not None
    assert day.state.day.start_equity_usd == baseline.baseline_usd
    assert not of(BaselineSet, corrected(day, OPEN_USD + 1) + day.ticks(20))


def test_until_it_is_taken_again_the_stop_of_before_the_open_stays_armed() -> None:
    day = held_day(price_usd=EARLY_USD)
    day.hear(day.link(clock_offset_s=3600.0))
    day.ticks(20)
    assert "unarmed" not in raised(day)
    assert day.stopped_at(EARLY_USD * 0.99).shares == 7500


@pytest.mark.parametrize("what", ["sold in part", "stopped", "not corrected"])
def test_what_was_traded_since_or_fired_or_not_corrected_keeps_its_baseline(what: str) -> None:
    day = held_day(price_usd=EARLY_USD)
    if what == "stopped":
        day.stopped_at(EARLY_USD * 0.99)
    if what == "sold in part":
        day.fill(None, 100, EARLY_USD)
    assert not of(BaselineSet, corrected(day, OPEN_USD, corrected=what != "not corrected"))
