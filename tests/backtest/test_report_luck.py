"""The bootstrap: seeded, of the same days for both, and honest where there is nothing to draw."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from services.backtest.options import Options
from services.backtest.report.luck import Luck, luck
from services.backtest.result import Result
from services.backtest.sheet import Floats

DAY = date(2020, 1, 6)


def result_of(returns: Floats) -> Result:
    equity = (100_000.0 * np.cumprod(np.concatenate((np.ones(1), 1.0 + returns)))).astype(
        np.float64
    )
    return Result(
        options=Options(),
        days=tuple(DAY + timedelta(days=at) for at in range(len(equity))),
        equity_usd=equity,
        leverage=np.zeros(len(equity)),
        trades=(),
        interest_usd=0.0,
        commission_usd=0.0,
        dividend_usd=0.0,
        fine_days=(),
    )


@pytest.fixture(scope="module")
def returns() -> Floats:
    return np.random.default_rng(5).normal(0.001, 0.02, 400)


def drawn(returns: Floats, seed: int = 1) -> Luck:
    found = luck(result_of(returns), result_of(returns * 0.5), resamples=200, seed=seed)
    assert found is not None
    return found


def figures(found: Luck) -> tuple[object, ...]:
    return found[6:]


def test_the_same_seed_gives_the_same_figures_and_another_gives_others(
    returns: Floats,
) -> None:
    assert figures(drawn(returns)) == figures(drawn(returns))
    bands = zip(drawn(returns).band_usd, drawn(returns).band_usd, strict=True)
    assert all((one == other).all() for one, other in bands)
    assert figures(drawn(returns)) != figures(drawn(returns, seed=2))


def test_the_band_begins_where_the_run_does_and_keeps_its_order(
    returns: Floats,
) -> None:
    low, middle, high = drawn(returns).band_usd

    assert low[0] == middle[0] == high[0] == 100_000.0
    assert len(low) == 401
    assert (low <= middle).all()
    assert (middle <= high).all()


def test_every_figure_says_what_its_percentiles_say(
    returns: Floats,
) -> None:
    found = drawn(returns)

    for figure in (found.cagr_pct, found.max_drawdown_pct, found.sharpe, found.worst_day_pct):
        assert figure.low <= figure.middle <= figure.high
    assert found.worst_day_pct.low == pytest.approx(returns.min() * 100.0)


def test_days_that_only_rise_never_lose_and_twice_the_half_is_never_behind() -> None:
    rising = np.abs(np.random.default_rng(1).normal(0.001, 0.0005, 100))

    found = drawn(rising)

    assert (found.losing_pct, found.behind_hold_pct) == (0.0, 0.0)
    assert found.max_drawdown_pct.high == pytest.approx(0.0)


def test_a_day_that_loses_everything_ends_a_resample_for_good() -> None:
    ruin = np.random.default_rng(1).normal(0.001, 0.01, 60)
    ruin[30] = -1.2

    found = drawn(ruin)

    assert found.band_usd[0][-1] == 0.0
    assert found.cagr_pct.low == -100.0
    assert found.max_drawdown_pct.high == 100.0


def test_too_few_days_and_days_that_never_move_are_not_drawn_from() -> None:
    still, few = np.zeros(100), np.full(10, 0.01)

    assert luck(result_of(still), result_of(still)) is None
    assert luck(result_of(few), result_of(few)) is None
