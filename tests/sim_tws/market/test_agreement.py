"""Ticks, paths, bars, prints and daily bars tell the same prices."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from common.clock import MINUTE_NS, SECOND_NS
from services.sim_tws.market import SMH, VIX, Market, SessionTimes, Tick, synthetic

A_DAY = date(2025, 9, 17)
EARLY = date(2025, 11, 28)


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic(11)


@pytest.fixture(params=[A_DAY, EARLY], ids=["full day", "early close"])
def session(market: Market, request: pytest.FixtureRequest) -> SessionTimes:
    found = market.session_on(request.param)
    assert found is not None
    return found


def every_tick(market: Market, symbol: str, session: SessionTimes) -> list[Tick]:
    """The whole session minute by minute, which no thinning touches."""
    ticks: list[Tick] = []
    for start_ns in range(session.open_ns - 1, session.close_ns, MINUTE_NS):
        ticks += market.path(symbol, start_ns, start_ns + MINUTE_NS)
    return [tick for tick in ticks if tick.ts_ns <= session.close_ns]


@pytest.mark.parametrize("symbol", [SMH, VIX])
def test_path_passes_through_the_daily_bar_and_never_leaves_it(
    market: Market, session: SessionTimes, symbol: str
) -> None:
    ((day, bar),) = market.daily_bars(symbol, session.date, 1)

    lasts = [tick.last for tick in every_tick(market, symbol, session)]

    assert day == session.date
    assert (lasts[0], max(lasts), min(lasts), lasts[-1]) == (
        bar.open, bar.high, bar.low, bar.close,
    )  # fmt: skip
    assert market.opening_print(symbol, day) == bar.open
    assert market.closing_print(symbol, day) == bar.close


@pytest.mark.parametrize("symbol", [SMH, VIX])
def test_thinned_path_keeps_the_extremes_the_end_and_a_few_hundred_moves(
    market: Market, session: SessionTimes, symbol: str
) -> None:
    whole = every_tick(market, symbol, session)

    path = market.path(symbol, session.open_ns - 1, session.close_ns)

    assert len(path) <= 400
    assert max(tick.last for tick in path) == max(tick.last for tick in whole)
    assert min(tick.last for tick in path) == min(tick.last for tick in whole)
    assert path[-1] == whole[-1]
    assert set(path) <= set(whole)
    assert path == sorted(path, key=lambda tick: tick.ts_ns)


def test_tick_is_the_last_move_of_the_path_up_to_its_instant(
    market: Market, session: SessionTimes
) -> None:
    for after_open_s in (0, 1, 59.5, 3600, 12_599):
        ts_ns = session.open_ns + int(after_open_s * SECOND_NS)

        assert market.tick(SMH, ts_ns) == market.path(SMH, ts_ns - 10 * MINUTE_NS, ts_ns)[-1]


def test_neighbouring_windows_share_no_move_and_miss_none(
    market: Market, session: SessionTimes
) -> None:
    middle_ns = session.open_ns + 2 * MINUTE_NS
    before = market.path(SMH, session.open_ns, middle_ns)
    after = market.path(SMH, middle_ns, middle_ns + 2 * MINUTE_NS)

    assert before + after == market.path(SMH, session.open_ns, middle_ns + 2 * MINUTE_NS)


@pytest.mark.parametrize("bar_s", [1, 5, 30, 60, 300, 900, 1800, 3600])
def test_bars_sum_up_the_ticks_before_the_closing_auction(
    market: Market, session: SessionTimes, bar_s: int
) -> None:
    ticks = [t for t in every_tick(market, SMH, session) if t.ts_ns < session.close_ns]

    bars = market.bars(SMH, session.open_ns, session.close_ns, bar_s)

    assert bars[0].start_ns == session.open_ns
    assert bars[0].open == market.opening_print(SMH, session.date)
    assert sum(bar.count for bar in bars) == len(ticks)
    assert sum(bar.volume for bar in bars) == sum(tick.last_size for tick in ticks)
    for bar in (bars[0], bars[len(bars) // 2], bars[-1]):
        end_ns = (bar.start_ns // SECOND_NS // bar_s + 1) * bar_s * SECOND_NS
        inside = [tick.last for tick in ticks if bar.start_ns <= tick.ts_ns < end_ns]
        assert (bar.open, bar.high, bar.low, bar.close) == (
            inside[0], max(inside), min(inside), inside[-1],
        )  # fmt: skip
        assert bar.low <= bar.wap <= bar.high


def test_hour_bars_begin_at_the_open_and_then_on_the_hour(market: Market) -> None:
    session = market.session_on(A_DAY)
    assert session is not None

    starts = [bar.start_ns for bar in market.bars(SMH, session.open_ns, session.close_ns, 3600)]

    assert [(start - session.open_ns) // MINUTE_NS for start in starts] == [
        0, 30, 90, 150, 210, 270, 330,
    ]  # fmt: skip


def test_bars_know_nothing_after_the_moment_of_asking(market: Market) -> None:
    session = market.session_on(A_DAY)
    assert session is not None
    now_ns = session.open_ns + 150 * SECOND_NS

    bars = market.bars(SMH, session.open_ns, now_ns, 60)

    assert len(bars) == 3
    assert bars[-1].close == market.tick(SMH, now_ns).last
    assert bars[-1].count == 31


def test_seconds_without_a_level_repeat_the_last_one(market: Market) -> None:
    session = market.session_on(A_DAY)
    assert session is not None

    bars = market.bars(VIX, session.open_ns, session.open_ns + 30 * SECOND_NS, 5)

    assert [bar.count for bar in bars] == [1, 0, 0, 1, 0, 0]
    assert bars[1].open == bars[1].close == bars[0].close


def test_bars_over_several_days_skip_nights_and_weekends(market: Market) -> None:
    friday, monday = market.session_on(date(2025, 9, 12)), market.session_on(date(2025, 9, 15))
    assert friday is not None
    assert monday is not None

    bars = market.bars(SMH, friday.close_ns - 10 * MINUTE_NS, monday.open_ns + 5 * MINUTE_NS, 300)

    assert [bar.start_ns for bar in bars] == [
        friday.close_ns - 10 * MINUTE_NS, friday.close_ns - 5 * MINUTE_NS, monday.open_ns,
    ]  # fmt: skip


@pytest.mark.parametrize("bar_s", [0, -60, 7, 7200])
def test_bar_that_does_not_divide_an_hour_is_refused(market: Market, bar_s: int) -> None:
    with pytest.raises(ValueError, match="does not divide an hour"):
        market.bars(SMH, 0, 1, bar_s)


def test_quote_is_a_cent_or_two_wide_with_the_print_inside(
    market: Market, session: SessionTimes
) -> None:
    for tick in every_tick(market, SMH, session):
        assert round(tick.ask - tick.bid, 2) in {0.01, 0.02}
        assert tick.bid <= tick.last <= tick.ask
        assert 200 <= tick.bid_size <= 4000
        assert 200 <= tick.ask_size <= 4000
        assert tick.last_size >= 1


def test_night_keeps_the_last_price_with_a_wide_quote(
    market: Market, session: SessionTimes
) -> None:
    close = market.closing_print(SMH, session.date)

    night = market.tick(SMH, session.close_ns + SECOND_NS)

    assert night.last == close
    assert night.last_size == 0
    assert 0.003 < (night.ask - night.bid) / close < 0.005
    next_open_ns = market.session_at_or_after(session.close_ns).open_ns
    assert market.tick(SMH, next_open_ns - 1) == night
    assert market.path(SMH, session.close_ns, next_open_ns - 1) == [night]


def test_index_has_no_bid_no_ask_and_no_size(market: Market) -> None:
    for tick in market.path(VIX, *_around(market)):
        assert tick.bid == tick.ask == tick.last
        assert (tick.bid_size, tick.ask_size, tick.last_size) == (0, 0, 0)


def test_unknown_symbols_and_times_before_the_first_day_are_refused(market: Market) -> None:
    session = market.session_on(A_DAY)
    assert session is not None
    for ask in (
        lambda: market.tick("QQQ", session.open_ns),
        lambda: market.path("QQQ", 0, 1),
        lambda: market.bars("QQQ", 0, 1, 60),
        lambda: market.daily_bars("QQQ", A_DAY, 1),
        lambda: market.opening_print("QQQ", A_DAY),
        lambda: market.tick(SMH, 0),
        lambda: market.closing_print(SMH, date(2025, 12, 25)),
    ):
        with pytest.raises(LookupError):
            ask()


def _around(market: Market) -> tuple[int, int]:
    session = market.session_on(A_DAY)
    assert session is not None
    return session.open_ns - 1, session.close_ns + int(timedelta(hours=1).total_seconds())
