"""signal_engine: the signal of all daily closes and the target that stands on it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from common.core import strategy
from common.messages import (
    Alert,
    DailyBar,
    DailyHistory,
    DataKind,
    Message,
    Session,
    Signal,
    SignalChanged,
    Started,
    TargetPosition,
    VixLevel,
)
from common.settings import Settings, Strategy
from tests.core.feed_play import MONDAY, Play, ns, weekdays

FRIDAY, TUESDAY, WEDNESDAY = (MONDAY + timedelta(days=n) for n in (-3, 1, 2))
RISING = [100.0 * 1.001**i for i in range(700)]
FALLING = [100.0 * 0.999**i for i in range(700)]
OPEN_NS, CLOSE_NS = ns(MONDAY, 9, 30), ns(MONDAY, 16)


def session(day: date, before: date, after: date) -> Session:
    return Session(
        previous_day=before, day=day, open_ns=ns(day, 9, 30), close_ns=ns(day, 16), early=False,
        next_day=after, next_open_ns=ns(after, 9, 30), next_close_ns=ns(after, 16),
        broker_agrees=True,
    )  # fmt: skip


def history(closes: list[float], last: date = FRIDAY) -> DailyHistory:
    return DailyHistory(days=tuple(weekdays(last, len(closes))), closes_usd=tuple(closes))


def bar(day: date, close: float, *, final: bool) -> DailyBar:
    return DailyBar(
        day=day, open_usd=close, high_usd=close, low_usd=close, close_usd=close, final=final
    )


def engine(closes: list[float] | None = None, settings: Settings | None = None) -> Play:
    """At 09:31 on Monday, with the history up to Friday."""
    play = Play(strategy, settings or Settings(), ns(MONDAY, 9, 31))
    play.hear(session(MONDAY, FRIDAY, TUESDAY))
    play.hear(history(RISING if closes is None else closes))
    return play


def vix(play: Play, level: float, kind: DataKind = "live", after_s: float = 0.0) -> list[Message]:
    play.wait(after_s)
    return play.hear(VixLevel(tick_ns=play.now.market_ns, level=level, kind=kind))


def said(outputs: list[Message], kind: type[Any]) -> list[Any]:
    return [output for output in outputs if isinstance(output, kind)]


def flip_close(play: Play) -> float:
    flip = play.newest(Signal).flip_close_usd
    assert flip is not None
    return flip


def alert(play: Play, code: str) -> Alert | None:
    return next((a for a in reversed(play.said) if isinstance(a, Alert) and a.code == code), None)


# --- signal ------------------------------------------------------------------------------------


def test_the_signal_is_the_two_emas_over_the_whole_history() -> None:
    # given an independent computation, straight from the definition
    fast = slow = RISING[0]
    for close in RISING:
        fast += 2 / 26 * (close - fast)
        slow += 2 / 126 * (close - slow)
    signal = engine().newest(Signal)
    assert (signal.fast_usd, signal.slow_usd) == pytest.approx((fast, slow))
    assert (signal.day, signal.side, signal.final, signal.bars) == (FRIDAY, "BULL", True, 700)


def test_a_falling_market_is_bear() -> None:
    assert engine(FALLING).newest(Signal).side == "BEAR"


def test_equal_emas_keep_the_last_side() -> None:
    # given spans whose EMAs are both exactly 128 after a rise from 0 to 128 held for long
    settings = Settings(
        strategy=Strategy(ema_fast=2, ema_slow=3, history_slow_multiple=1, history_years=1)
    )
    closes = [64.0, 128.0] + [128.0] * 400
    signal = engine(closes, settings).newest(Signal)
    assert signal.fast_usd == signal.slow_usd
    assert signal.side == "BULL"


def test_a_series_that_never_moved_buys_nothing() -> None:
    assert engine([100.0] * 700).newest(Signal).side == "BEAR"


def test_the_flip_close_is_where_the_side_turns() -> None:
    flip = flip_close(engine())
    for close, side in ((flip + 0.01, "BULL"), (flip - 0.01, "BEAR")):
        play = engine()
        play.hear(bar(MONDAY, close, final=True))
        assert play.newest(Signal).side == side


def test_no_flip_close_is_told_where_no_price_could_turn_it() -> None:
    steep = [100.0 * 1.02**i for i in range(700)]
    assert engine([c / steep[-1] * 100 for c in steep]).newest(Signal).flip_close_usd is None


def test_the_signal_is_provisional_at_the_close_and_final_with_the_final_bar() -> None:
    play = engine()
    play.at(CLOSE_NS)
    [early] = said(play.hear(bar(MONDAY, 205.0, final=False)), Signal)
    assert (early.day, early.final, early.bars) == (MONDAY, False, 701)
    [late] = said(play.hear(history([*RISING, 204.0], last=MONDAY)), Signal)
    assert (late.day, late.final) == (MONDAY, True)
    assert late.fast_usd < early.fast_usd
    assert said(play.hear(bar(MONDAY, 204.0, final=True)), Signal) == []


def test_the_final_bar_alone_makes_the_signal_final_too() -> None:
    play = engine()
    [signal] = said(play.hear(bar(MONDAY, 204.0, final=True)), Signal)
    assert (signal.day, signal.final, signal.bars) == (MONDAY, True, 701)


def test_a_history_that_is_read_again_says_nothing_new() -> None:
    play = engine()
    assert play.hear(history(RISING)) == []


def test_a_provisional_signal_is_not_overtaken_by_yesterdays_final_one() -> None:
    play = engine()
    play.at(CLOSE_NS)
    play.hear(bar(MONDAY, 205.0, final=False))
    play.hear(history(RISING))  # the feed restarted before the final bar was there
    assert play.newest(Signal).day == MONDAY


def test_a_turn_is_said_provisionally_and_finally() -> None:
    play = engine()
    crash = flip_close(play) - 1
    play.at(CLOSE_NS)
    [first] = said(play.hear(bar(MONDAY, crash, final=False)), SignalChanged)
    assert (first.before, first.after, first.final) == ("BULL", "BEAR", False)
    [second] = said(play.hear(bar(MONDAY, crash, final=True)), SignalChanged)
    assert (second.before, second.after, second.final) == ("BULL", "BEAR", True)


def test_a_turn_that_does_not_hold_is_taken_back() -> None:
    play = engine()
    flip = flip_close(play)
    play.at(CLOSE_NS)
    play.hear(bar(MONDAY, flip - 1, final=False))
    [back] = said(play.hear(bar(MONDAY, flip + 1, final=True)), SignalChanged)
    assert (back.before, back.after, back.final) == ("BEAR", "BULL", True)


def test_a_split_of_the_whole_history_changes_neither_side_nor_target() -> None:
    play = engine()
    target = play.newest(TargetPosition)
    outputs = play.hear(history([close / 2 for close in RISING]))
    assert said(outputs, SignalChanged) == []
    assert said(outputs, TargetPosition) == []
    assert said(outputs, Alert) == []
    assert play.newest(Signal).side == "BULL"
    assert play.newest(TargetPosition) == target


@pytest.mark.parametrize(
    "changed",
    [
        [close * 0.995 for close in RISING],  # dividend-adjusted
        [*RISING[:300], RISING[300] * 1.05, *RISING[301:]],  # one close revised
        [*[close / 2 for close in RISING[:500]], *RISING[500:]],  # half of it on another scale
    ],
)
def test_a_history_that_contradicts_the_last_one_is_told(changed: list[float]) -> None:
    play = engine()
    play.hear(history(changed))
    found = alert(play, "history_revised")
    assert found is not None
    assert found.raised
    play.hear(history(changed))
    ended = alert(play, "history_revised")
    assert ended is not None
    assert not ended.raised


def test_too_little_history_is_refused_with_the_settings_that_mend_it() -> None:
    play = engine(RISING[:624])
    assert play.all(Signal) == []
    assert play.all(TargetPosition) == []
    found = alert(play, "history_short")
    assert found is not None
    assert "strategy.history_years" in found.text
    assert "625" in strategy.ready(play.state)
    play.hear(history(RISING[:625]))
    assert strategy.ready(play.state) == ""
    assert play.newest(Signal) is not None


# --- target ------------------------------------------------------------------------------------


def test_the_target_stands_on_the_close_before_the_session_and_ends_with_it() -> None:
    target = engine().newest(TargetPosition)
    assert (target.day, target.signal_day, target.leverage) == (MONDAY, FRIDAY, 3.0)
    assert target.valid_until_ns == CLOSE_NS


def test_bear_is_a_target_of_nothing() -> None:
    target = engine(FALLING).newest(TargetPosition)
    assert (target.leverage, target.leverage_why) == (0.0, "BEAR")


def test_a_provisional_turn_moves_no_target() -> None:
    play = engine()
    crash = flip_close(play) - 1
    play.at(CLOSE_NS - 1)
    target = play.newest(TargetPosition)
    play.at(CLOSE_NS)
    play.hear(bar(MONDAY, crash, final=False))
    assert play.newest(TargetPosition) == target


def test_a_final_turn_is_the_next_sessions_target() -> None:
    play = engine()
    crash = flip_close(play) - 1
    play.at(ns(MONDAY, 16, 1))
    play.hear(bar(MONDAY, crash, final=True))
    target = play.newest(TargetPosition)
    assert (target.day, target.signal_day, target.leverage) == (TUESDAY, MONDAY, 0.0)
    assert target.valid_until_ns == ns(TUESDAY, 16)


def test_the_targets_session_turning_current_says_nothing_new() -> None:
    play = engine()
    play.at(ns(MONDAY, 16, 1))
    play.hear(bar(MONDAY, 205.0, final=True))
    assert said(play.hear(session(TUESDAY, MONDAY, WEDNESDAY)), TargetPosition) == []


def test_without_a_final_bar_by_the_next_open_there_is_no_target_and_a_page() -> None:
    play = engine()
    play.at(CLOSE_NS)
    play.hear(bar(MONDAY, 205.0, final=False))
    play.hear(session(TUESDAY, MONDAY, WEDNESDAY))
    play.said.clear()
    play.at(ns(TUESDAY, 9, 29))
    assert play.said == []
    play.at(ns(TUESDAY, 9, 30))
    assert play.all(TargetPosition) == []  # the last one ended with Monday's session
    found = alert(play, "no_target")
    assert found is not None
    assert str(MONDAY) in found.text
    # when it comes at last
    play.hear(history([*RISING, 205.0], last=MONDAY))
    assert play.newest(TargetPosition).day == TUESDAY
    ended = alert(play, "no_target")
    assert ended is not None
    assert not ended.raised


@pytest.mark.parametrize(
    ("level", "leverage"), [(11.99, 3.75), (12.0, 3.5), (13.0, 3.25), (14.0, 3.0), (40.0, 3.0)]
)
def test_the_vix_sets_the_leverage_and_is_named(level: float, leverage: float) -> None:
    play = engine()
    vix(play, level, after_s=61)
    target = play.newest(TargetPosition)
    assert (target.leverage, target.leverage_why) == (leverage, f"VIX {level:.2f}")


def test_a_vix_that_changes_the_tier_changes_the_target_at_once() -> None:
    play = engine()
    vix(play, 13.99)
    assert said(vix(play, 13.98, after_s=15), TargetPosition) == []
    assert said(vix(play, 14.0, after_s=15), TargetPosition)[0].leverage == 3.0


def test_a_vix_within_its_tier_is_named_again_at_most_once_a_minute() -> None:
    play = engine()
    vix(play, 18.0)
    changes = [len(said(vix(play, 18.0 + i / 10, after_s=15), TargetPosition)) for i in range(1, 9)]
    assert sum(changes) == 2


@pytest.mark.parametrize(
    ("kind", "minutes", "counts"),
    [("live", 20, True), ("live", 20.1, False), ("delayed", 5, True), ("delayed", 5.1, False),
     ("frozen", 0, False), ("none", 0, False)],
)  # fmt: skip
def test_a_vix_may_be_twenty_minutes_old_its_delay_included(
    kind: DataKind, minutes: float, counts: bool
) -> None:
    play = engine()
    vix(play, 11.0, kind)
    play.tick(after_s=minutes * 60)
    target = play.newest(TargetPosition)
    assert target.leverage == (3.75 if counts else 3.0)
    assert target.leverage_why.startswith("VIX" if counts else "base: ")


def test_a_vix_of_before_the_open_does_not_count() -> None:
    play = engine()
    play.hear(VixLevel(tick_ns=OPEN_NS - 1, level=11.0, kind="live"))
    assert play.newest(TargetPosition).leverage == 3.0


def test_after_the_close_the_coming_sessions_leverage_is_the_base() -> None:
    play = engine()
    play.at(CLOSE_NS - 60_000_000_000)
    vix(play, 11.0)
    play.at(ns(MONDAY, 16, 1))
    play.hear(bar(MONDAY, 205.0, final=True))
    target = play.newest(TargetPosition)
    assert (target.day, target.leverage) == (TUESDAY, 3.0)


def test_without_a_session_there_is_no_target() -> None:
    play = Play(strategy, Settings(), ns(MONDAY, 9, 31))
    play.hear(history(RISING))
    assert play.all(TargetPosition) == []
    assert strategy.ready(play.state) == "waiting for the session times"


def test_new_settings_at_a_restart_make_a_new_signal() -> None:
    play = engine()
    settings = Settings(strategy=Strategy(ema_fast=10))
    before = play.newest(Signal)
    play.hear(Started(settings_json=settings.to_json()))
    assert play.newest(Signal).fast_usd > before.fast_usd
