"""market_feed's day: sessions, the opening print, daily bars, the history and the contract."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from msgspec.structs import replace

from common.clock import SECOND_NS
from common.core import quotes
from common.messages import (
    TEXT_MAX,
    Alert,
    DailyBar,
    DailyHistory,
    DataKind,
    FeedState,
    Message,
    OpeningPrint,
    Session,
    Started,
)
from common.tws.link_messages import LinkDown, LinkUp
from common.tws.market_messages import (
    ASK,
    BID,
    LAST,
    OPEN,
    AskContract,
    CalendarRead,
    ContractsFound,
    HistoryRead,
    PriceBar,
    ReadCalendar,
    ReadHistory,
)
from tests.core.feed_play import MONDAY, FeedPlay, bars_until, hours, ns

FRIDAY, TUESDAY = MONDAY - timedelta(days=3), MONDAY + timedelta(days=1)
OPEN_NS, CLOSE_NS = ns(MONDAY, 9, 30), ns(MONDAY, 16)


def asked(play: FeedPlay, outputs: list[Message]) -> set[type[Message]]:
    return {type(effect) for effect in play.effects(outputs)}


def alert(play: FeedPlay, code: str) -> Alert | None:
    return next((a for a in reversed(play.said) if isinstance(a, Alert) and a.code == code), None)


def problem(play: FeedPlay) -> str:
    play.tick()
    state: FeedState = play.newest(FeedState)
    return state.problem


# --- sessions ----------------------------------------------------------------------------------


def test_the_session_names_its_hours_the_one_before_and_the_one_after() -> None:
    session = FeedPlay().newest(Session)
    assert (session.previous_day, session.day, session.next_day) == (FRIDAY, MONDAY, TUESDAY)
    assert (session.open_ns, session.close_ns) == (OPEN_NS, CLOSE_NS)
    assert (session.next_open_ns, session.next_close_ns) == (ns(TUESDAY, 9, 30), ns(TUESDAY, 16))
    assert not session.early


def test_a_session_that_ends_at_one_is_early() -> None:
    play = FeedPlay()
    days = tuple(
        hours(day.day, close_hour=13) if day.day == MONDAY else day for day in play.state.hours
    )
    play.hear(replace(play.calendar(), sessions=days))
    session = play.newest(Session)
    assert (session.early, session.close_ns) == (True, ns(MONDAY, 13))


def test_todays_session_stands_until_its_evening_is_over() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 19, 59, 59))
    assert play.newest(Session).day == MONDAY
    play.at(ns(MONDAY, 20))
    assert (play.newest(Session).previous_day, play.newest(Session).day) == (MONDAY, TUESDAY)


def test_a_session_is_said_once() -> None:
    play = FeedPlay()
    play.at(OPEN_NS)
    play.tick(after_s=60)
    assert len([fact for fact in play.said if isinstance(fact, Session)]) == 2  # then it agrees


def test_the_brokers_hours_are_unknown_then_compared() -> None:
    play = FeedPlay()
    said = [fact.broker_agrees for fact in play.said if isinstance(fact, Session)]
    assert said == [None, True]
    assert alert(play, "calendar") is None


@pytest.mark.parametrize(
    "brokers",
    [
        (hours(MONDAY, close_hour=13), hours(TUESDAY)),  # an early close that we do not know
        (hours(TUESDAY),),  # a holiday that we do not know
        (hours(date(2026, 3, 1)), hours(MONDAY)),  # fits: an older day does not count
    ],
)
def test_hours_that_differ_from_the_calendars_are_told(brokers: tuple[object, ...]) -> None:
    play = FeedPlay()
    play.hear(play.contract(hours=brokers))
    agrees = hours(MONDAY) in brokers
    assert play.newest(Session).broker_agrees is agrees
    play.tick()
    assert (alert(play, "calendar") is not None) is not agrees


def test_a_session_the_calendar_does_not_know_is_a_disagreement_too() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 20))
    wednesday = hours(MONDAY + timedelta(days=2))
    play.hear(play.contract(hours=(wednesday,)))
    assert play.newest(Session).broker_agrees is False


def test_calendar_and_contract_are_read_again_each_evening() -> None:
    play = FeedPlay()
    assert not asked(play, play.at(ns(MONDAY, 19))) & {ReadCalendar, AskContract}
    assert {ReadCalendar, AskContract} <= asked(play, play.at(ns(MONDAY, 20)))


def test_a_calendar_that_cannot_be_read_pages_and_is_asked_for_again() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 20))
    play.hear(
        CalendarRead(asked_ns=play.now.market_ns, past_days=(), sessions=(), problem="no package")
    )
    found = alert(play, "calendar")
    assert found is not None
    assert "no package" in found.text
    assert asked(play, play.tick(after_s=30)) == set()
    assert ReadCalendar in asked(play, play.tick(after_s=31))
    play.hear(play.calendar())
    ended = alert(play, "calendar")
    assert ended is not None
    assert not ended.raised


# --- contract ----------------------------------------------------------------------------------


def test_an_unknown_contract_is_an_error_that_names_the_setting() -> None:
    play = FeedPlay()
    play.hear(ContractsFound(lines=(), problem=""))
    assert "strategy.primary_exchange" in problem(play)


def test_an_ambiguous_contract_is_an_error_that_names_the_setting_and_the_choices() -> None:
    play = FeedPlay()
    [line] = play.contract().lines
    play.hear(ContractsFound(lines=(line, replace(line, primary_exchange="LSEETF")), problem=""))
    assert "strategy.primary_exchange to one of NASDAQ, LSEETF" in problem(play)


def test_a_contract_that_is_not_answered_is_asked_for_again() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 20))
    play.hear(ContractsFound(lines=(), problem="TWS did not answer within 15 s"))
    assert AskContract in asked(play, play.tick(after_s=61))
    play.hear(play.contract())
    assert not problem(play)


# --- the opening print -------------------------------------------------------------------------


def opening(play: FeedPlay) -> list[tuple[float, bool]]:
    return [(o.price_usd, o.official) for o in play.said if isinstance(o, OpeningPrint)]


def test_the_official_opening_print_is_said_once_a_mid_bears_it_out() -> None:
    play = FeedPlay()
    play.at(OPEN_NS)
    play.smh((OPEN, 401.5), after_s=0.2)
    assert opening(play) == []
    play.smh((BID, 401.6), (ASK, 401.62), after_s=0.2)
    play.smh((BID, 401.7), (ASK, 401.72), after_s=1.0)
    assert opening(play) == [(401.5, True)]


def test_without_a_mid_the_official_print_is_said_after_the_wait() -> None:
    play = FeedPlay()
    play.at(OPEN_NS)
    play.smh((OPEN, 401.5), after_s=0.2)
    play.tick(after_s=4.7)
    assert opening(play) == []
    play.tick(after_s=0.1)
    assert opening(play) == [(401.5, True)]


@pytest.mark.parametrize("wild_usd", [440.0, 410.0, 390.0, 4000.0])
def test_a_wild_opening_print_is_none_and_the_first_mid_serves(wild_usd: float) -> None:
    play = FeedPlay()
    play.at(OPEN_NS)
    play.smh((OPEN, wild_usd), (BID, 400.0), (ASK, 400.02), after_s=0.2)
    play.smh((BID, 400.1), (ASK, 400.12), after_s=1.5)
    play.tick(after_s=5)
    play.tick(after_s=60)
    assert opening(play) == [(400.01, False)]


@pytest.mark.parametrize("wild_usd", [280.0, 364.0, 412.0])
def test_a_wild_first_mid_is_no_opening_price(wild_usd: float) -> None:
    play = FeedPlay()
    play.at(OPEN_NS)
    play.smh((BID, wild_usd), (ASK, wild_usd + 0.02), (LAST, wild_usd), after_s=0.1)
    play.smh((BID, 400.0), (ASK, 400.02), (LAST, 400.0), after_s=0.9)
    play.smh((BID, 400.1), (ASK, 400.12), after_s=1)
    play.tick(after_s=5)
    assert opening(play) == [(400.01, False)]


def test_a_wild_first_mid_does_not_keep_the_official_print_out() -> None:
    play = FeedPlay()
    play.at(OPEN_NS)
    play.smh((BID, 364.0), (ASK, 364.02), (OPEN, 400.3), after_s=0.1)
    assert opening(play) == []
    play.smh((BID, 400.0), (ASK, 400.02), after_s=0.9)
    assert opening(play) == [(400.3, True)]


def test_a_mid_alone_at_the_end_of_the_wait_is_borne_out_first() -> None:
    play = FeedPlay()
    play.at(OPEN_NS)
    play.smh((BID, 364.0), (ASK, 364.02), after_s=4.9)
    play.tick(after_s=0.2)
    assert opening(play) == []
    play.smh((BID, 400.0), (ASK, 400.02), after_s=0.5)
    play.smh((BID, 400.1), (ASK, 400.12), after_s=1)
    assert opening(play) == [(400.01, False)]


def test_an_open_from_before_the_open_is_the_day_befores() -> None:
    play = FeedPlay()
    play.smh((OPEN, 395.0))
    play.at(OPEN_NS)
    play.smh((OPEN, 395.0), after_s=0.2)  # a resubscription tells the old one again
    assert opening(play) == []
    play.smh((OPEN, 401.5), after_s=1)
    play.tick(after_s=5)
    assert opening(play) == [(401.5, True)]


def test_without_a_print_the_first_valid_mid_serves_after_the_wait() -> None:
    play = FeedPlay()
    play.at(OPEN_NS)
    play.smh((LAST, 402.0), (BID, 400.0), (ASK, 400.02), after_s=1)
    play.smh((BID, 400.5), (ASK, 400.52), after_s=1)
    play.tick(after_s=2.9)
    assert opening(play) == []
    play.tick(after_s=0.1)
    assert opening(play) == [(400.01, False)]
    play.smh((OPEN, 400.3), after_s=60)
    assert opening(play) == [(400.01, False), (400.3, True)]


def test_a_mid_of_later_in_the_day_is_no_opening_price() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 11))
    play.smh((BID, 400.0), (ASK, 400.02))
    play.tick(after_s=50)
    assert opening(play) == []
    play.smh((OPEN, 401.5))
    play.smh((BID, 400.2), (ASK, 400.22), after_s=60)
    assert opening(play) == [(401.5, True)]


def test_where_no_official_open_comes_for_a_minute_the_mid_of_now_serves() -> None:
    # given: a feed that starts in mid-session, and an open that TWS does not tell
    play = FeedPlay()
    play.at(ns(MONDAY, 11))
    play.hear(LinkDown("closed", listening=True))
    play.hear(LinkUp(port=7497, server_version=176, accounts=("DU1234567",), next_order_id=1))
    play.hear(play.contract())
    play.tick()
    # when
    play.smh((BID, 400.0), (ASK, 400.02), after_s=55)
    play.tick(after_s=4)
    assert opening(play) == []
    play.smh((BID, 390.0), (ASK, 401.0), after_s=2)  # too wide for a mid
    assert opening(play) == []
    play.smh((BID, 399.0), (ASK, 399.02), after_s=1)
    assert opening(play) == []
    play.smh((BID, 399.1), (ASK, 399.12), after_s=1)  # bears it out
    # then: said once, and the official one where it comes after all
    assert opening(play) == [(399.01, False)]
    play.smh((BID, 398.0), (ASK, 398.02), after_s=60)
    assert opening(play) == [(399.01, False)]
    play.smh((OPEN, 401.5), after_s=60)
    assert opening(play) == [(399.01, False), (401.5, True)]


def test_the_first_quarter_of_an_hour_of_delayed_data_is_of_before_the_open() -> None:
    play = FeedPlay(kind="delayed")
    play.at(OPEN_NS)
    play.smh((66, 400.0), (67, 400.02), (76, 395.0), after_s=1)
    play.at(ns(MONDAY, 9, 44))
    assert opening(play) == []
    play.at(ns(MONDAY, 9, 45))
    play.smh((66, 401.0), (67, 401.02), after_s=1)
    play.smh((76, 401.5), after_s=1)
    assert opening(play) == [(401.5, True)]


def test_yesterdays_open_is_told_from_todays_in_the_first_second_after_a_reconnect() -> None:
    # given: Monday's open, and no break in the stream until Tuesday's
    play = FeedPlay()
    play.open_market()
    play.smh((OPEN, 400.0))
    play.at(CLOSE_NS + 5 * SECOND_NS)
    play.at(ns(TUESDAY, 9, 29))
    play.at(ns(TUESDAY, 9, 30, 0.2))
    play.hear(LinkDown("closed", listening=True))
    play.at(ns(TUESDAY, 9, 30, 0.7))
    play.hear(LinkUp(port=7497, server_version=176, accounts=("DU1234567",), next_order_id=1))
    play.hear(play.contract())
    play.tick()
    play.forget()
    # when: TWS tells the old one first
    play.smh((BID, 393.0), (ASK, 393.02), (LAST, 393.0), (OPEN, 400.0), after_s=0.1)
    play.tick()
    play.smh((OPEN, 393.1), after_s=0.5)
    play.tick()
    # then
    assert [(said.price_usd, said.official) for said in play.all(OpeningPrint)] == [(393.1, True)]


# --- daily bars and history --------------------------------------------------------------------


def test_at_the_close_the_bar_is_provisional_from_the_last_price() -> None:
    play = FeedPlay()
    play.at(OPEN_NS)
    play.smh((OPEN, 401.0), (BID, 400.0), (ASK, 400.02), (LAST, 400.01), after_s=1)
    play.smh((BID, 404.0), (ASK, 404.02), (LAST, 404.01), after_s=60)
    play.smh((BID, 398.0), (ASK, 398.02), (LAST, 398.01), after_s=60)
    play.at(CLOSE_NS - 1_000_000_000)
    play.smh((BID, 403.0), (ASK, 403.02), (LAST, 403.02))
    play.said.clear()
    play.at(CLOSE_NS)
    bar = play.newest(DailyBar)
    assert (bar.day, bar.open_usd, bar.close_usd, bar.final) == (MONDAY, 401.0, 403.02, False)
    assert (bar.high_usd, bar.low_usd) == pytest.approx((404.01, 398.01))
    play.tick(after_s=5)
    assert len([fact for fact in play.said if isinstance(fact, DailyBar)]) == 1


def test_a_session_without_a_price_has_no_provisional_bar() -> None:
    play = FeedPlay()
    play.said.clear()
    play.at(CLOSE_NS)
    assert play.all(DailyBar) == []


@pytest.mark.parametrize(("kind", "minutes"), [("live", 1), ("delayed", 16)])
def test_the_final_bar_is_asked_for_after_the_close_until_it_is_there(
    kind: DataKind, minutes: int
) -> None:
    play = FeedPlay(kind=kind)
    play.said.clear()
    assert ReadHistory not in asked(play, play.at(CLOSE_NS + minutes * 60_000_000_000 - 1))
    assert ReadHistory in asked(play, play.at(CLOSE_NS + minutes * 60_000_000_000))
    assert quotes.busy(play.state)
    # when the broker has not got it yet
    play.hear(play.history(last=FRIDAY))
    assert not quotes.busy(play.state)
    assert play.all(DailyHistory) == []
    assert ReadHistory in asked(play, play.tick(after_s=61))
    play.hear(play.history(last=MONDAY))
    # then history and bar are said
    assert play.newest(DailyHistory).days[-1] == MONDAY
    final = play.newest(DailyBar)
    assert (final.day, final.final) == (MONDAY, True)
    assert ReadHistory not in asked(play, play.tick(after_s=61))


def test_a_day_under_way_is_no_daily_bar() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 15, 59))
    play.hear(Started(settings_json=play.state.settings.to_json()))
    play.said.clear()
    play.hear(play.history(last=MONDAY))
    assert play.newest(DailyHistory).days[-1] == FRIDAY


def test_no_final_bar_half_an_hour_after_the_close_pages_until_it_is_there() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 16, 1))
    play.hear(play.history(last=FRIDAY))
    play.at(ns(MONDAY, 16, 29))
    assert alert(play, "final_bar") is None
    play.at(ns(MONDAY, 16, 30))
    found = alert(play, "final_bar")
    assert found is not None
    assert str(MONDAY) in found.text
    play.hear(play.history(last=MONDAY))
    ended = alert(play, "final_bar")
    assert ended is not None
    assert not ended.raised


def test_a_feed_that_is_cut_off_in_the_evening_pages_too() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 15))
    play.hear(LinkDown(reason="nothing listens on port 7497", listening=False))
    play.at(ns(MONDAY, 16, 30))
    found = alert(play, "final_bar")
    assert found is not None
    assert "nothing listens" in found.text


def test_the_longest_reason_of_a_link_that_is_down_can_still_be_said() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 15))
    play.hear(LinkDown(reason="x" * TEXT_MAX, listening=False))
    play.at(ns(MONDAY, 16, 30))
    found = alert(play, "final_bar")
    assert found is not None
    assert len(found.text) == TEXT_MAX


def test_the_history_is_rebuilt_before_each_open_so_that_a_split_is_seen() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 16, 1))
    play.hear(play.history())
    assert ReadHistory not in asked(play, play.at(ns(TUESDAY, 8, 59)))
    assert ReadHistory in asked(play, play.at(ns(TUESDAY, 9)))


def bad_history(name: str) -> tuple[PriceBar, ...]:
    bars = list(bars_until(FRIDAY))
    match name:
        case "a hole":
            del bars[-20]
        case "a double":
            bars.insert(-20, bars[-20])
        case "disorder":
            bars[-20], bars[-21] = bars[-21], bars[-20]
        case "a Sunday":
            bars.insert(-5, replace(bars[-5], day=date(2026, 2, 22)))
        case "no price":
            bars[10] = replace(bars[10], close_usd=float("nan"))
        case "a high below the close":
            bars[-3] = replace(bars[-3], high_usd=1.0, low_usd=1.0)
        case "nothing":
            bars = []
    return tuple(sorted(bars, key=lambda bar: bar.day)) if name == "a Sunday" else tuple(bars)


@pytest.mark.parametrize(
    "name",
    ["a hole", "a double", "disorder", "a Sunday", "no price", "a high below the close", "nothing"],
)
def test_a_history_with_a_fault_is_not_said_and_is_asked_for_again(name: str) -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 11))
    play.hear(Started(settings_json=play.state.settings.to_json()))
    play.said.clear()
    play.hear(HistoryRead(asked_ns=play.now.market_ns, bars=bad_history(name), problem=""))
    assert play.all(DailyHistory) == []
    assert play.state.history.problem


def at_ratio(bars: tuple[PriceBar, ...], ratio: float) -> tuple[PriceBar, ...]:
    prices = ("open_usd", "high_usd", "low_usd", "close_usd")
    return tuple(replace(b, **{name: getattr(b, name) * ratio for name in prices}) for b in bars)


@pytest.mark.parametrize("ratio", [0.5, 1 / 3, 2.0])
def test_a_split_that_the_history_is_not_adjusted_for_yet_is_no_close_and_pages(
    ratio: float,
) -> None:
    # given: Monday's close on another scale than all the days before it
    play = FeedPlay()
    play.at(ns(MONDAY, 16, 1))
    *old, newest = bars_until(MONDAY)
    split = at_ratio((newest,), ratio)
    play.said.clear()
    # when: TWS tells so; then: nothing is said of it but a page half an hour later, and it is
    # asked again
    play.hear(HistoryRead(asked_ns=play.now.market_ns, bars=(*old, *split), problem=""))
    assert ReadHistory in asked(play, play.tick(after_s=61))
    play.hear(HistoryRead(asked_ns=play.now.market_ns, bars=(*old, *split), problem=""))
    play.at(ns(MONDAY, 16, 31))
    page = alert(play, "final_bar")
    assert page is not None
    assert "look like a split that is not adjusted for" in page.text
    assert not any(bar.final for bar in play.all(DailyBar))
    assert play.all(DailyHistory) == []
    # when: the history is adjusted; then: it is said and the page ends
    whole = (*at_ratio(tuple(old), ratio), *split)
    play.hear(HistoryRead(asked_ns=play.now.market_ns, bars=whole, problem=""))
    assert play.newest(DailyBar).final
    play.tick()
    ended = alert(play, "final_bar")
    assert ended is not None
    assert not ended.raised


def test_a_crash_that_is_no_splits_ratio_is_a_close() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 16, 1))
    *old, newest = bars_until(MONDAY)
    bars = (*old, *at_ratio((newest,), 0.8))
    play.hear(HistoryRead(asked_ns=play.now.market_ns, bars=bars, problem=""))
    assert play.newest(DailyBar).final


def test_a_hole_older_than_what_the_strategy_needs_does_no_harm() -> None:
    play = FeedPlay()
    bars = list(bars_until(FRIDAY))
    del bars[10]
    play.said.clear()
    play.hear(HistoryRead(asked_ns=play.now.market_ns, bars=tuple(bars), problem=""))
    assert play.newest(DailyHistory) is not None


def test_a_restart_asks_anew_what_the_last_process_had_asked() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 16, 1))  # the history is being read when the process dies
    play.restart()
    assert not quotes.busy(play.state)
    assert quotes.ready(play.state) == "connecting to TWS"
    assert play.state.session is not None
