"""What daily and intraday bars mean, on days made by hand; both paths are asked each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from services.backtest.compiled_path import run_compiled
from services.backtest.event_path import run_event
from services.backtest.history import History
from services.backtest.options import Options
from services.backtest.result import Result
from services.sim_tws.market.session_path import PriceBar
from tests.backtest.market import SESSION_S, Prices, history_of, weekdays

Run = Callable[[History, Options], Result]
RISING: list[Prices] = [(90.0 + at, 90.0 + at, 90.5 + at) for at in range(10)]
"""Ten days that rise to a close of 99.5: BULL at the spans below, entered on the fourth."""
CALM: Prices = (100.0, 100.0, 100.0)
FREE: dict[str, Any] = {
    "ema_fast": 2, "ema_slow": 3, "history_slow_multiple": 1, "interest": False,
    "commission_per_share_usd": 0.0, "slippage_bp": 0.0, "vix_below": (), "vix_leverage": (),
    "start_equity_usd": 1000.0,
}  # fmt: skip


@pytest.fixture(params=[run_event, run_compiled], ids=["event", "compiled"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


def play(
    run: Run, days: Sequence[Prices], world: dict[str, Any] | None = None, **rules: Any
) -> Result:
    """Ten rising days, then `days`, from the tenth on: in at 99.5 with three times $1000."""
    history = history_of([*RISING, *days], **(world or {}))
    first = weekdays(10)[9]
    return run(history, Options(**(FREE | {"first": first} | rules)))


def test_an_entry_buys_whole_shares_at_the_close_on_the_signal_of_the_close_before(
    run: Run,
) -> None:
    first = play(run, [CALM]).trades[0]

    assert (first.entry_day, first.entry_usd, first.shares) == (weekdays(10)[9], 99.5, 30.0)
    assert first.leverage == pytest.approx(30 * 99.5 / 1000)


def test_entry_day_lows_before_the_entry_do_not_count(run: Run) -> None:
    rows = [*RISING[:9], (99.0, 10.0, 99.5), CALM]

    result = run(history_of(rows), Options(**FREE, first=weekdays(10)[9]))

    assert [trade.reason for trade in result.trades] == [""]


def test_a_stop_fills_at_its_level_when_the_day_passes_through_it(run: Run) -> None:
    # At the open of 100: equity 1000 + 30 x 0.5 = 1015, 2 % of it 20.30, so 0.6767 a share.
    stopped = play(run, [(100.0, 98.0, 101.0)]).trades[0]

    assert stopped.reason == "stop"
    assert stopped.exit_usd == stopped.stop_usd == pytest.approx(100.0 - 20.30 / 30)


def test_a_gap_below_the_level_fills_at_the_open(run: Run) -> None:
    # From the previous close the level is 99.5 - 20 / 30; the day opens at 97.
    stopped = play(run, [(97.0, 96.0, 97.0)], baseline="previous_close").trades[0]

    assert stopped.reason == "stop"
    assert stopped.stop_usd == pytest.approx(99.5 - 20.0 / 30)
    assert stopped.exit_usd == 97.0


def test_measured_from_the_open_an_overnight_gap_comes_on_top(run: Run) -> None:
    result = play(run, [(90.0, 89.9, 90.0)])

    assert [trade.reason for trade in result.trades] == [""]
    assert result.equity_usd[-1] == pytest.approx(1000.0 - 30 * 9.5)


def test_after_a_stop_it_enters_again_at_that_days_close(run: Run) -> None:
    day = weekdays(11)[10]

    again = play(run, [(100.0, 98.0, 101.0)]).trades[1]

    assert (again.entry_day, again.entry_usd) == (day, 101.0)
    assert len(play(run, [(100.0, 98.0, 101.0)], reentry=False).trades) == 1


@pytest.mark.parametrize(
    ("bear_exit", "price"), [("close", 80.0), ("next_open", 79.0), ("next_close", 78.0)]
)
def test_a_bear_signal_sells_where_it_is_told_to(run: Run, bear_exit: str, price: float) -> None:
    turned = (80.5, 80.0, 80.0)  # BEAR at this close
    days = [turned, (79.0, 78.0, 78.0), CALM]

    sold = play(run, days, baseline="off", bear_exit=bear_exit).trades[0]

    assert (sold.reason, sold.exit_usd) == ("bear", price)


def test_dividends_are_credited_on_the_ex_date_for_the_shares_held_over_night(run: Run) -> None:
    result = play(run, [CALM, CALM], {"dividends": {11: 0.5}}, baseline="off")

    assert result.dividend_usd == 15.0
    assert result.equity_usd[-1] - result.equity_usd[-2] == pytest.approx(15.0)


def test_a_dividend_on_the_day_of_the_entry_is_the_sellers(run: Run) -> None:
    assert play(run, [CALM], {"dividends": {9: 0.5}}).dividend_usd == 0.0


def test_interest_is_charged_for_each_calendar_day_on_what_is_owed(run: Run) -> None:
    # Owed: 30 x 99.5 - 1000 = 1985, from Friday (the tenth weekday) to Monday, at 4 % + 1.5 %.
    result = play(run, [CALM], {"rate_pct": 4.0}, interest=True, baseline="off")

    assert weekdays(10)[9].isoweekday() == 5
    assert result.interest_usd == pytest.approx(1985.0 * 0.055 * 3 / 360)


def test_each_side_pays_commission_and_slippage(run: Run) -> None:
    result = play(run, [(100.0, 98.0, 101.0)], slippage_bp=10.0, commission_per_share_usd=0.01,
                  reentry=False)  # fmt: skip
    (trade,) = result.trades

    assert trade.entry_usd == pytest.approx(99.5 * 1.001)
    assert trade.exit_usd == pytest.approx(trade.stop_usd * 0.999)
    assert result.commission_usd == pytest.approx(0.6)
    assert trade.profit_usd == pytest.approx(30 * (trade.exit_usd - trade.entry_usd) - 0.6)
    assert result.equity_usd[-1] == pytest.approx(1000.0 + trade.profit_usd)


def test_the_vix_of_the_day_sets_the_leverage_and_the_last_known_one_serves(run: Run) -> None:
    tiers = {"vix_below": (12.0,), "vix_leverage": (3.75,), "baseline": "off"}

    assert play(run, [CALM], {"vix": [11.0] * 3}, **tiers).trades[0].shares == 37.0
    assert play(run, [CALM], {"vix": [11.0] * 9 + [20.0]}, **tiers).trades[0].shares == 30.0
    assert play(run, [CALM], {"vix": []}, **tiers).trades[0].shares == 30.0


@pytest.mark.parametrize(
    ("margin", "shares"),
    [("off", 30), ("pm:0.15", 30), ("pm:0.5", 19), ("regt", 20)],
)
def test_the_margin_model_clamps_the_entry(run: Run, margin: str, shares: int) -> None:
    assert play(run, [CALM], margin=margin).trades[0].shares == shares


def test_the_broker_liquidates_where_equity_meets_its_margin(run: Run) -> None:
    # 1000 - 30 x fall meets 30 % of 30 x (99.5 - fall) at a fall of 4.98, and it opens lower.
    days = [(94.0, 93.0, 100.0), (100.0, 100.0, 101.0)]

    result = play(run, days, margin="pm:0.3", margin_buffer_fraction=0.0)

    first, later = result.trades[0], result.trades[1:]
    assert (first.reason, first.exit_usd) == ("liquidation", 94.0)
    assert [trade.entry_day for trade in later] == [weekdays(12)[11]], "not again that day"


def bars(*prices: tuple[float, float, float, float]) -> tuple[PriceBar, ...]:
    """Equal bars of a session from (open, high, low, close)."""
    length_s = SESSION_S // len(prices)
    return tuple(PriceBar(at * length_s, length_s, *price, 1.0) for at, price in enumerate(prices))


def test_intraday_bars_walk_the_real_path(run: Run) -> None:
    """By the daily bar the stop at 99.32 would be touched; the bars open below it at 98."""
    path = bars((100.0, 100.0, 100.0, 100.0), (98.0, 98.0, 97.0, 98.0), (98.0, 101.0, 98.0, 101.0))
    world = {"intraday": {10: path}}

    stopped = play(run, [(100.0, 97.0, 101.0)], world, bars="auto").trades[0]

    assert (stopped.reason, stopped.exit_usd) == ("stop", 98.0)


def test_daily_bars_leave_the_intraday_ones_of_a_history_aside(run: Run) -> None:
    world = {"intraday": {10: bars((100.0, 100.0, 100.0, 100.0), (98.0, 101.0, 97.0, 101.0))}}

    stopped = play(run, [(100.0, 97.0, 101.0)], world, bars="daily").trades[0]

    assert stopped.exit_usd == pytest.approx(100.0 - 20.30 / 30)


def test_with_intraday_bars_a_low_after_the_entry_counts(run: Run) -> None:
    """78 five-minute bars: the last begins at 15:55, the entry's instant, and falls through."""
    still = [(99.0, 99.0, 99.0, 99.0)] * 77
    path = bars(*still, (99.5, 99.5, 95.0, 95.0))

    first = play(run, [CALM], {"intraday": {9: path}}, bars="auto").trades[0]

    assert (first.entry_usd, first.reason, first.exit_day) == (99.5, "stop", weekdays(10)[9])
    assert first.exit_usd == pytest.approx(99.5 - 20.0 / 30)


def test_nothing_is_bought_before_the_history_is_long_enough(run: Run) -> None:
    history = history_of(RISING)

    result = run(history, Options(**(FREE | {"history_slow_multiple": 3})))

    assert [trade.entry_day for trade in result.trades] == [weekdays(10)[9]]
