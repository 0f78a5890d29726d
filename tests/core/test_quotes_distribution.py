"""What a share of SMH is paid on its ex-date, as TWS's two closes tell it."""

from __future__ import annotations

import math
from datetime import timedelta

import msgspec
import pytest

from common.messages import Distribution, Message
from common.tws.market_messages import BID, CLOSE, HistoryRead, RawTick, RawTicks
from tests.core.feed_play import MONDAY, SMH, FeedPlay, ns
from tests.playbook import of, one

DELAYED_CLOSE = 75
LAST_USD, BEFORE_USD = 400.0, 396.0


def closes(play: FeedPlay, before_usd: float = BEFORE_USD) -> HistoryRead:
    """The history that the feed has read, with another close before the last one."""
    read = play.history()
    other = msgspec.structs.replace(
        read.bars[-2],
        open_usd=before_usd, high_usd=before_usd, low_usd=before_usd, close_usd=before_usd,
    )  # fmt: skip
    return msgspec.structs.replace(read, bars=(*read.bars[:-2], other, read.bars[-1]))


def tick_9(play: FeedPlay, *values: float, kind: int = CLOSE) -> list[Message]:
    """TWS's close of the day before, once for each value."""
    ticks = tuple(RawTick(type=kind, value=value) for value in values)
    return play.hear(RawTicks(symbol=SMH, ticks=ticks)) + play.tick()


@pytest.fixture
def play() -> FeedPlay:
    play = FeedPlay()
    play.hear(closes(play))
    return play


@pytest.mark.parametrize("kind", [CLOSE, DELAYED_CLOSE])
def test_a_close_that_is_adjusted_tells_the_distribution_of_the_day(
    play: FeedPlay, kind: int
) -> None:
    said = one(Distribution, tick_9(play, 397.88, kind=kind))
    assert said.day == MONDAY
    assert said.distribution_usd == pytest.approx(2.12)


@pytest.mark.parametrize(
    ("told_usd", "why"),
    [
        (LAST_USD, "no adjustment"),
        (LAST_USD - 0.2, "two sources of one close"),
        (LAST_USD + 2.0, "above"),
        (BEFORE_USD, "still the close of the day before"),
        (BEFORE_USD + 0.1, "the same, of another source"),
        (LAST_USD / 2, "a split"),
        (LAST_USD * 0.94, "more than anybody pays"),
        (0.0, ""), (-1.0, ""), (math.nan, ""), (math.inf, ""), (1.7e308, ""),
    ],
)  # fmt: skip
def test_any_other_close_tells_none(play: FeedPlay, told_usd: float, why: str) -> None:
    assert not of(Distribution, tick_9(play, told_usd)), why


def test_no_price_takes_no_close_back(play: FeedPlay) -> None:
    one(Distribution, tick_9(play, 398.0))
    assert not of(Distribution, tick_9(play, -1.0, 0.0, math.nan))


def test_it_is_said_once_and_taken_back_when_the_close_is_corrected(play: FeedPlay) -> None:
    one(Distribution, tick_9(play, 398.0))
    assert not of(Distribution, tick_9(play, 398.0))
    assert one(Distribution, tick_9(play, LAST_USD)).distribution_usd == 0.0


def test_without_the_final_close_of_the_day_before_nothing_is_told() -> None:
    play = FeedPlay()
    old = MONDAY - timedelta(days=4)  # as after an evening without a daily bar
    play.given(lambda state: setattr(state, "final_day", old))
    assert not of(Distribution, tick_9(play, 398.0))


def test_the_close_of_one_session_is_none_of_the_next(play: FeedPlay) -> None:
    one(Distribution, tick_9(play, 398.0))
    said = play.at(ns(MONDAY, 20, 1))
    said += play.hear(play.history()) + play.tick()
    assert play.state.session.day > MONDAY
    assert not of(Distribution, said)


def test_it_is_no_quote_and_keeps_none_alive(play: FeedPlay) -> None:
    assert not play.smh((CLOSE, 398.0))
    assert play.state.book.level.value == LAST_USD
    assert not play.smh((BID, 400.0), (CLOSE, 398.0))


def test_a_restart_says_it_no_second_time(play: FeedPlay) -> None:
    one(Distribution, tick_9(play, 398.0))
    play.restart()
    assert not of(Distribution, tick_9(play, 398.0))
