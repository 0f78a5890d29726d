"""A day on which the exchange was shut and the calendar does not know it: mourning, a storm."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from msgspec.structs import replace

from common.clock import SECOND_NS
from common.messages import DailyBar, Message, Session
from common.tws.market_messages import (
    LAST,
    AskContract,
    ContractsFound,
    ReadCalendar,
    ReadHistory,
)
from tests.core.feed_play import MONDAY, FeedPlay, hours, ns, weekdays

TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=days) for days in (1, 2, 3))
STEP_NS = 1800 * SECOND_NS


class Shut(FeedPlay):
    """The exchange is shut on Tuesday. `told`: the broker's hours say so; `barless`: its daily
    history has no bar of it."""

    def __init__(self, *, told: bool = True) -> None:
        self.told, self.barless = told, True
        super().__init__()

    def contract(self, **changes: Any) -> ContractsFound:
        """The broker's list, of this day and a week more."""
        days = weekdays(MONDAY + timedelta(days=18), 15)
        ahead = [day for day in days if not self._over(day)][:7]
        shut = (TUESDAY,) if self.told and TUESDAY in ahead else ()
        listed = tuple(hours(day) for day in ahead if day not in shut)
        return super().contract(hours=listed, closed_days=shut, **changes)

    def _over(self, day: date) -> bool:
        return self.now.market_ns >= ns(day + timedelta(days=1), 0)

    def until(self, market_ns: int) -> list[Message]:
        """Time passes, and each question is answered."""
        said: list[Message] = []
        while self.now.market_ns < market_ns:
            outputs = self.at(min(market_ns, self.now.market_ns + STEP_NS))
            said += outputs
            for question in self.effects(outputs):
                said += self._reply(question)
        return said

    def previous(self, day: date) -> date:
        """The session before `day`, as it is said now."""
        session: Session | None = self.state.session
        assert session is not None
        assert session.day == day
        return session.previous_day

    def _reply(self, question: Message) -> list[Message]:
        match question:
            case AskContract():
                return self.hear(self.contract())
            case ReadCalendar():
                return self.hear(self.calendar())
            case ReadHistory():
                done = [day.day for day in self.state.listed if day.close_ns < self.now.market_ns]
                read = self.history(last=done[-1])
                bars = tuple(bar for bar in read.bars if bar.day != TUESDAY or not self.barless)
                return self.hear(replace(read, bars=bars))
            case _:
                return []


def final_days(play: FeedPlay) -> list[date]:
    return [bar.day for bar in play.all(DailyBar) if bar.final]


def test_a_day_that_the_broker_calls_closed_and_has_no_bar_of_is_no_session() -> None:
    play = Shut()
    play.until(ns(TUESDAY, 15, 59))
    # given: while the day lasts it is watched, though the hours differ
    assert play.previous(TUESDAY) == MONDAY
    assert "calendar" in play.state.alerts
    # when: it is over, and the history goes on without it
    play.until(ns(TUESDAY, 16, 31))
    # then: the day before it is the previous one of the next, and nothing pages
    assert play.previous(WEDNESDAY) == MONDAY
    assert play.state.alerts == {}
    play.until(ns(WEDNESDAY, 20))
    assert final_days(play)[-1] == WEDNESDAY
    assert play.previous(THURSDAY) == WEDNESDAY


def test_it_is_remembered_when_neither_list_nor_calendar_tells_of_it_any_more() -> None:
    play = Shut()
    play.until(ns(THURSDAY, 12))
    assert play.state.line is not None
    assert play.state.line.closed_days == ()
    assert final_days(play)[-1] == WEDNESDAY
    play.restart()
    play.hear(play.calendar())
    assert TUESDAY not in [hours.day for hours in play.state.hours]


def test_a_price_of_such_a_day_is_no_close() -> None:
    play = Shut()
    play.until(ns(TUESDAY, 15, 58))
    play.smh((LAST, 390.0))
    play.smh((LAST, 390.0), after_s=2)
    play.until(ns(TUESDAY, 16, 31))
    assert TUESDAY not in [bar.day for bar in play.all(DailyBar)]


def test_a_bar_that_comes_after_all_makes_it_a_session_again() -> None:
    play = Shut()
    play.until(ns(TUESDAY, 17))
    play.barless = False
    play.until(ns(WEDNESDAY, 9, 5))
    assert play.previous(WEDNESDAY) == TUESDAY
    assert final_days(play)[-1] == TUESDAY


def test_without_the_brokers_word_a_missing_day_pages_and_names_the_mend() -> None:
    play = Shut(told=False)
    play.until(ns(WEDNESDAY, 17))
    text = play.state.alerts["final_bar"]
    assert f"lacks {TUESDAY}" in text
    assert "exchange_calendars" in text
    assert final_days(play)[-1] == MONDAY
