"""market_feed's streams: live or delayed data by itself, and again when a stream goes dead."""

from __future__ import annotations

import pytest

from common.core import quotes
from common.messages import DataKind, FeedState, Message, Quote, VixLevel
from common.tws.link_messages import LinkDown, LinkUp, TwsError
from common.tws.market_messages import ASK, BID, HALTED, LAST, DataCode, Subscribe
from tests.core.feed_play import MONDAY, SMH, VIX, FeedPlay, ns

LINK_UP = LinkUp(port=7497, server_version=176, accounts=("DU1234567",), next_order_id=1)


def code(number: int, symbol: str = SMH) -> DataCode:
    return DataCode(symbol=symbol, code=number, text="said by TWS")


def tws_code(number: int) -> TwsError:
    return TwsError(ref_id=-1, code=number, text="said by TWS")


def subscribed(outputs: list[Message]) -> list[tuple[str, bool]]:
    return [(out.symbol, out.live) for out in outputs if isinstance(out, Subscribe)]


def opened(kind: DataKind | None = "live") -> FeedPlay:
    play = FeedPlay(kind=kind)
    play.open_market()
    return play


def feed(play: FeedPlay) -> FeedState:
    play.tick()
    state: FeedState = play.newest(FeedState)
    return state


def test_live_data_is_asked_for_first() -> None:
    play = FeedPlay()
    assert subscribed(play.said) == [(SMH, True), (VIX, True)]


@pytest.mark.parametrize("number", [354, 10089, 10168])
def test_where_live_data_is_not_permitted_delayed_data_is_taken(number: int) -> None:
    play = FeedPlay(kind=None)
    assert subscribed(play.hear(code(number))) == [(SMH, False)]
    assert not feed(play).problem


@pytest.mark.parametrize("number", [10090, 10091])
def test_data_permitted_in_part_stays_live_where_prices_come_and_else_is_delayed(
    number: int,
) -> None:
    play = FeedPlay(kind=None)
    play.hear(code(number))
    play.smh((HALTED, 0.0))
    assert subscribed(play.tick(after_s=4)) == []
    assert subscribed(play.tick(after_s=2)) == [(SMH, False)]
    play.hear(code(10167))
    assert subscribed(play.tick(after_s=6)) == []
    partly = FeedPlay(kind="live")
    partly.hear(code(number))
    partly.smh((BID, 400.0), (ASK, 400.02))
    assert subscribed(partly.tick(after_s=6)) == []
    assert feed(partly).kind == "live"
    assert not feed(partly).problem


def test_a_subscription_without_any_answer_is_made_again_whatever_the_hour() -> None:
    """Found by the simulation: over night it waited for the open, and for half a minute of it."""
    play = FeedPlay(kind=None, start_ns=ns(MONDAY, 5))
    assert subscribed(play.tick(after_s=59)) == []
    assert subscribed(play.tick(after_s=2)) == [(SMH, True), (VIX, True)]
    quiet = FeedPlay(start_ns=ns(MONDAY, 5))
    assert subscribed(quiet.tick(after_s=3600)) == [], "answered, and nobody trades at that hour"


def test_that_delayed_data_is_shown_is_no_problem() -> None:
    play = FeedPlay(kind="delayed")
    play.hear(code(10167))
    assert feed(play).kind == "delayed"
    assert not feed(play).problem


@pytest.mark.parametrize("number", [10168, 10089])
def test_neither_live_nor_delayed_data_is_one_line_with_its_mend(number: int) -> None:
    play = FeedPlay(kind=None)
    play.hear(code(354))
    play.hear(code(number))
    problem = feed(play).problem
    assert str(number) in problem
    assert "live data" in problem or "market data for SMH" in problem
    assert "\n" not in problem
    assert quotes.ready(play.state) == ""  # history and session serve all the same


def test_a_competing_session_is_told_until_ticks_come_again() -> None:
    play = opened()
    play.hear(code(10197))
    assert feed(play).competing
    assert "log out there" in feed(play).problem
    # when it has ended, a minute later a new try brings ticks
    assert subscribed(play.tick(after_s=61))
    play.smh((BID, 400.0), (ASK, 400.02))
    assert not feed(play).competing
    assert not feed(play).problem


@pytest.mark.parametrize("number", [1101, 1102])
def test_after_a_lost_ib_link_both_streams_are_made_anew(number: int) -> None:
    play = opened()
    play.hear(tws_code(1100))
    assert not feed(play).connected
    assert subscribed(play.hear(tws_code(number))) == [(SMH, True), (VIX, True)]
    assert feed(play).connected


def test_no_price_outlives_a_lost_link() -> None:
    play = opened()
    play.hear(tws_code(1100))
    play.hear(tws_code(1101))
    assert play.smh((BID, 400.01), after_s=1) == []


def test_a_farm_that_comes_back_with_its_ticks_needs_nothing() -> None:
    play = opened()
    play.hear(tws_code(2103))
    play.hear(tws_code(2104))
    play.smh((BID, 400.01), after_s=1)
    play.vix(18.0)
    assert subscribed(play.tick(after_s=6)) == []


def test_a_farm_that_comes_back_without_ticks_is_subscribed_anew() -> None:
    play = opened()
    play.hear(tws_code(2103))
    play.hear(tws_code(2104))
    assert (SMH, True) in subscribed(play.tick(after_s=6))


def test_the_farms_greeting_at_connect_is_no_comeback() -> None:
    play = opened()
    play.hear(tws_code(2104))
    assert subscribed(play.tick(after_s=6)) == []


def test_a_silent_stream_is_told_by_the_age_of_its_ticks_and_made_anew() -> None:
    play = opened()
    assert not feed(play).problem
    play.tick(after_s=6)
    assert "no SMH tick for more than 5 s" in feed(play).problem
    assert feed(play).connected  # the socket is up all the while
    assert (SMH, True) in subscribed(play.tick(after_s=5))


def test_ticks_without_a_valid_price_are_told_too() -> None:
    play = opened()
    for _ in range(7):
        play.smh((BID, -1.0), (ASK, -1.0), (LAST, -1.0), after_s=1)
    assert "no valid SMH price" in feed(play).problem


def test_silence_outside_the_session_proves_nothing() -> None:
    play = FeedPlay()
    play.said.clear()
    play.at(ns(MONDAY, 16, 30))
    play.tick(after_s=600)
    assert subscribed(play.said) == []
    assert not quotes.problem(play.state, play.now)


def test_at_the_open_a_quiet_morning_is_not_taken_for_a_dead_stream() -> None:
    play = FeedPlay()
    play.smh((BID, 400.0), (ASK, 400.02))
    assert subscribed(play.at(ns(MONDAY, 9, 30))) == []
    assert not feed(play).problem


def test_a_fast_forwarded_market_is_not_taken_for_a_dead_stream() -> None:
    # given a replay in which a minute passes within 50 ms of host time
    play = opened()
    play.wait(60, host_s=0.05)
    assert subscribed(play.tick()) == []
    assert not feed(play).problem


def test_a_lost_connection_is_told_and_a_new_one_begins_with_live_data() -> None:
    play = FeedPlay(kind=None)
    play.hear(code(354))
    play.hear(LinkDown(reason="nothing listens on 127.0.0.1 port 7497", listening=False))
    assert "nothing listens" in feed(play).problem
    assert quotes.ready(play.state)
    play.hear(LINK_UP)
    play.hear(play.contract())
    assert subscribed(play.said)[-2:] == [(SMH, True), (VIX, True)]


def test_the_vix_falls_back_from_live_to_delayed_to_none_by_itself() -> None:
    play = FeedPlay(kind=None)
    assert subscribed(play.hear(code(354, VIX))) == [(VIX, False)]
    play.hear(code(10168, VIX))
    # then SMH is not touched by it, and no level is said
    assert subscribed(play.said)[-1] == (VIX, False)
    assert play.all(VixLevel) == []
    play.smh((BID, 400.0), (ASK, 400.02))
    assert not feed(play).problem


def test_a_vix_level_is_said_with_its_kind() -> None:
    play = opened()
    assert play.vix(18.5) == [VixLevel(tick_ns=play.now.market_ns, level=18.5, kind="live")]
    assert play.vix(18.5, after_s=15) == []
    assert play.vix(18.5, after_s=60)[0].level == 18.5  # type: ignore[attr-defined]
    assert play.vix(18.6, tick_type=68)[0].kind == "delayed"  # type: ignore[attr-defined]


@pytest.mark.parametrize("level", [float("nan"), -1.0, 0.0, 4.9, 201.0])
def test_what_cannot_be_the_vix_is_none(level: float) -> None:
    assert opened().vix(level) == []


def test_a_vix_that_jumps_needs_a_second_sample() -> None:
    play = opened()
    play.vix(18.5)
    assert play.vix(11.0, after_s=15) == []
    assert play.vix(11.05, after_s=15)[0].level == 11.05  # type: ignore[attr-defined]


def test_a_vix_that_moves_on_before_two_samples_agree_is_unknown_and_never_the_level_it_left() -> (
    None
):
    # given: a low VIX
    play = opened()
    play.vix(11.5)
    # when: it gaps up, and each calculation lies more than 1 % from the one before
    for number in range(20):
        play.vix(13.0 * 1.012**number, after_s=15)
        play.tick(after_s=2)
        # then: no level is in force
        assert play.newest(VixLevel).kind == "none"
    assert len(play.all(VixLevel)) == 2, "said once"
    # when: two samples agree; then: that level is
    play.vix(18.0, after_s=15)
    play.vix(18.05, after_s=15)
    play.tick(after_s=2)
    assert (play.newest(VixLevel).kind, play.newest(VixLevel).level) == ("live", 18.05)


def test_a_wild_vix_is_forgotten_with_the_next_sample_of_the_level_it_left() -> None:
    play = opened()
    play.vix(18.5)
    play.vix(11.0, after_s=15)
    play.tick(after_s=2)
    assert play.newest(VixLevel).kind == "none"
    play.vix(18.5, after_s=13)
    assert (play.newest(VixLevel).kind, play.newest(VixLevel).level) == ("live", 18.5)


def test_a_vix_tick_says_nothing_about_smh() -> None:
    play = opened()
    play.said.clear()
    play.vix(18.5, after_s=3)
    assert play.all(Quote) == []
