"""market_feed's prices: what is a valid price and what is none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.core.feed.price_book import valid_price
from common.core.rules import SECOND_NS
from common.messages import DataKind, FeedState, Quote
from common.tws.market_messages import ASK, BID, HALTED, LAST, KindSaid, Subscribe
from tests.core.feed_play import MONDAY, SMH, FeedPlay, ns

UNSET = 1.7976931348623157e308
NO_PRICES = [math.nan, -1.0, 0.0, math.inf, -math.inf, UNSET]


def opened() -> FeedPlay:
    play = FeedPlay()
    play.open_market()
    return play


def test_the_mark_is_the_mid_of_a_fresh_narrow_quote() -> None:
    [quote] = opened().smh((BID, 400.01), after_s=1)
    assert (quote.bid_usd, quote.ask_usd, quote.mark_usd) == (400.01, 400.02, 400.015)
    assert quote.agree
    assert quote.kind == "live"


@pytest.mark.parametrize("side", [BID, ASK, LAST])
@pytest.mark.parametrize("value", NO_PRICES)
def test_nan_minus_one_zero_infinite_and_unset_are_no_price(side: int, value: float) -> None:
    play = opened()
    for quote in play.smh((side, value), after_s=1):
        assert quote.mark_usd in {400.01, 400.0}  # what is left of the others
        assert (quote.bid_usd, quote.ask_usd, quote.last_usd)[{BID: 0, ASK: 1, LAST: 2}[side]] is (
            None
        )


def test_with_no_side_left_nothing_is_said() -> None:
    play = opened()
    assert play.smh((LAST, -1.0), (BID, -1.0), (ASK, -1.0), after_s=1)[1:] == []
    assert play.smh((BID, -1.0), after_s=1) == []


def test_a_crossed_quote_is_no_quote_and_the_last_print_is_the_mark() -> None:
    [quote] = opened().smh((BID, 400.5), after_s=1)
    assert (quote.bid_usd, quote.ask_usd, quote.mark_usd) == (None, None, 400.0)
    assert not quote.agree


def test_a_wide_quote_has_no_mid_and_the_last_print_is_the_mark() -> None:
    [quote] = opened().smh((BID, 399.5), after_s=1)
    assert (quote.bid_usd, quote.mark_usd, quote.agree) == (399.5, 400.0, False)


def test_an_old_last_print_does_not_stand_in_for_a_wide_quote() -> None:
    play = opened()
    play.smh((ASK, 400.03), after_s=4)
    assert play.smh((BID, 399.0), after_s=4) == []


def test_a_last_print_far_from_the_mid_does_not_agree() -> None:
    [quote] = opened().smh((LAST, 398.0), after_s=1)
    assert (quote.mark_usd, quote.last_usd, quote.agree) == (400.01, 398.0, False)


def test_every_price_of_a_chunk_is_decided_on_in_order() -> None:
    # given a dip that lives only inside one TCP chunk
    said = opened().smh((LAST, 399.8), (BID, 399.7), (ASK, 399.72), (BID, 400.0), (ASK, 400.02))
    # then each of its prices was said
    marks = [round(quote.mark_usd, 6) for quote in said]
    assert marks == [400.01, 399.86, 399.71, 399.8, 400.01]


def test_a_chunk_without_a_new_price_says_nothing_within_a_second() -> None:
    play = opened()
    assert play.smh((BID, 400.0), (ASK, 400.02), after_s=0.3) == []
    assert play.smh(after_s=0.3) == []


def test_an_unchanged_price_is_said_again_while_its_stream_lives() -> None:
    play = opened()
    [again] = play.smh(after_s=1.5)
    assert (again.mark_usd, again.tick_ns) == (400.01, play.now.market_ns)


def test_without_ticks_nothing_is_said_again() -> None:
    play = opened()
    play.tick(after_s=3)
    assert play.newest(Quote).tick_ns == play.now.market_ns - 3 * SECOND_NS


def test_a_jump_needs_a_second_sample_a_second_later() -> None:
    play = opened()
    crash = ((BID, 340.0), (ASK, 340.02), (LAST, 340.0))
    assert [q for q in play.smh(*crash, after_s=1) if q.mark_usd < 390] == []
    assert play.smh((BID, 340.01), after_s=0.5) == []
    [quote] = play.smh((BID, 340.0), after_s=0.5)
    assert quote.mark_usd == pytest.approx(340.01)


def test_one_wild_print_says_nothing_and_the_true_price_goes_on() -> None:
    play = opened()
    play.smh((BID, -1.0), after_s=0.1)
    assert play.smh((LAST, 40.0), after_s=1) == []
    [quote] = play.smh((LAST, 400.0), (BID, 400.0), after_s=2)[-1:]
    assert quote.mark_usd == 400.01


def test_two_wild_prints_that_disagree_confirm_nothing() -> None:
    play = opened()
    play.smh((BID, -1.0), after_s=0.1)
    assert play.smh((LAST, 40.0), after_s=1) == []
    assert play.smh((LAST, 60.0), after_s=2) == []


def test_the_first_price_of_all_is_held_against_the_last_daily_close() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 9, 31))
    assert play.smh((LAST, 200.0)) == []  # the history closed at 400
    assert play.smh((LAST, 200.0), after_s=1.0)[0].mark_usd == 200.0


@pytest.mark.parametrize("kind", ["frozen", "delayed_frozen"])
def test_frozen_data_is_no_price_and_in_the_session_it_is_trouble(kind: DataKind) -> None:
    play = FeedPlay(kind=kind)
    play.at(ns(MONDAY, 9, 31))
    assert play.smh((BID, 400.0), (ASK, 400.02), (LAST, 400.0)) == []
    play.tick(after_s=1)
    assert "frozen" in play.newest(FeedState).problem


def test_delayed_ticks_are_told_as_delayed_even_without_message_58() -> None:
    play = FeedPlay()
    play.at(ns(MONDAY, 9, 50))
    [quote] = play.smh((66, 400.0), (67, 400.02))
    assert quote.kind == "delayed"


def test_a_change_of_kind_mixes_no_old_side_with_a_new_one() -> None:
    play = opened()
    play.hear(KindSaid(symbol=SMH, kind="delayed"))
    assert play.smh((66, 400.01), after_s=1) == []


def test_a_price_from_before_the_open_is_none_of_the_session() -> None:
    play = FeedPlay()
    play.smh((BID, 400.0), (ASK, 400.02), (LAST, 400.0), after_s=1)
    play.at(ns(MONDAY, 9, 30))
    assert play.smh((BID, 400.01)) == []
    assert play.smh((ASK, 400.03))[0].mark_usd == 400.02


@pytest.mark.parametrize(("tick_type", "value", "halted"), [(HALTED, 1.0, True), (90, 2.0, True)])
def test_a_halt_is_told(tick_type: int, value: float, halted: bool) -> None:
    play = opened()
    play.smh((tick_type, value))
    play.tick()
    assert play.newest(FeedState).halted is halted
    play.smh((tick_type, -1.0))  # "halt status not available" is no news
    play.tick()
    assert play.newest(FeedState).halted
    play.smh((tick_type, 0.0))
    play.tick()
    assert not play.newest(FeedState).halted


def test_a_trade_some_seconds_after_a_halt_ends_it() -> None:
    """TWS says the end itself only of what stands in a watchlist."""
    play = opened()
    play.smh((HALTED, 1.0))
    play.smh((LAST, 400.0), after_s=2)
    play.tick()
    assert play.newest(FeedState).halted, "a trade of before it, told late"
    play.smh((BID, 400.0), (ASK, 400.02), (LAST, 0.0), after_s=30)
    play.tick()
    assert play.newest(FeedState).halted, "quotes are no trade"
    play.smh((LAST, 400.01), after_s=1)
    play.tick()
    assert not play.newest(FeedState).halted


def test_a_new_subscription_begins_without_a_halt() -> None:
    """A farm that is back does so, and TWS tells a halt that goes on again."""
    play = opened()
    play.smh((HALTED, 1.0))
    play.hear(Subscribe(symbol="SMH", live=True))
    play.tick()
    assert not play.newest(FeedState).halted


def test_one_print_beside_a_wide_quote_is_one_sample_however_often_it_is_said() -> None:
    # given: only the last print can be the mark
    play = opened()
    play.smh((BID, 399.5), (ASK, 400.5), after_s=1)
    # when: one print, then ticks that say nothing of it
    [said] = play.smh((LAST, 396.0), after_s=0.5)
    again = play.smh((BID, 399.4), after_s=1.1) + play.smh(after_s=1.1)
    # then: whoever wants a second sample does not find it here
    assert {quote.tick_ns for quote in again} <= {said.tick_ns}
    [second] = play.smh((LAST, 396.0), after_s=1.1)
    assert second.tick_ns - said.tick_ns > 3 * SECOND_NS


def test_a_jump_is_not_confirmed_by_the_print_that_made_it() -> None:
    play = opened()
    play.smh((BID, 399.5), (ASK, 400.5), after_s=1)
    assert not play.smh((LAST, 250.0), after_s=0.5)
    assert not play.smh((BID, 399.4), after_s=1.1) + play.smh(after_s=1.1)
    assert [quote.mark_usd for quote in play.smh((LAST, 250.0), after_s=0.1)] == [250.0]


tick_values = st.one_of(
    st.floats(), st.floats(min_value=395.0, max_value=405.0), st.sampled_from(NO_PRICES)
)
chunks = st.lists(
    st.tuples(
        st.floats(min_value=0.0, max_value=3.0),
        st.lists(
            st.tuples(st.sampled_from([BID, ASK, LAST, 66, 67, 68, 0]), tick_values), max_size=8
        ),
    ),
    max_size=12,
)


@settings(max_examples=50)
@given(chunks)
def test_whatever_tws_says_every_quote_is_a_valid_price(
    said: list[tuple[float, list[tuple[int, float]]]],
) -> None:
    play = opened()
    limit = play.state.settings.data.jump_fraction_max
    mark, mark_ns = 400.01, play.now.market_ns
    for pause_s, ticks in said:
        for quote in play.smh(*ticks, after_s=pause_s):
            assert valid_price(quote.mark_usd) is not None
            assert quote.bid_usd is None or quote.ask_usd is None or quote.bid_usd <= quote.ask_usd
            jumped = abs(quote.mark_usd / mark - 1) > limit + 1e-9
            assert not jumped or quote.tick_ns - mark_ns >= SECOND_NS
            mark, mark_ns = quote.mark_usd, quote.tick_ns
