"""A sweep's cells are the backtests they name, to the bit; what cannot be swept is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pyarrow import parquet as pq

from services.backtest.compiled_path import run_compiled
from services.backtest.event_path import run_event
from services.backtest.metrics import Metrics, metrics
from services.backtest.options import Options, OptionsError
from services.backtest.sheet import lay_out
from services.backtest.sweep import cells, heatmap, parquet
from services.backtest.sweep.grid import CELLS_MAX, Grid, numbers, spans, tables
from services.backtest.sweep.outcome import Outcome, sweep
from services.backtest.sweep.ranking import rank, sentence
from tests.backtest.market import random_history

SESSIONS = 80
SHORT = Options(ema_fast=3, ema_slow=8, history_slow_multiple=1)
LEVELS = (12.0, 13.0, 14.0)
TABLE = (3.0, 3.25, 3.5, 3.75)
SVG = "{http://www.w3.org/2000/svg}"


def grid_of(base: Options = SHORT, **axes: Any) -> Grid:
    known: dict[str, Any] = {
        "ema_fast": (3,), "ema_slow": (8,), "stop_loss_fraction": (0.02,), "slippage_bp": (1.0,),
        "leverage": (TABLE,), "vix_below": LEVELS,
    }  # fmt: skip
    return Grid(base, **(known | axes))


def places(grid: Grid, cell: int) -> tuple[int, ...]:
    return tuple(int(at) for at in np.unravel_index(cell, grid.shape))


def some(values: list[object], most: int) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(tuple)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    base = replace(
        SHORT,
        baseline=draw(st.sampled_from(["open", "previous_close", "entry", "off"])),
        reentry=draw(st.booleans()),
        bear_exit=draw(st.sampled_from(["next_open", "close", "next_close"])),
        margin=draw(st.sampled_from(["off", "regt", "pm:0.3"])),
        bars=draw(st.sampled_from(["daily", "auto"])),
    )
    return grid_of(
        base,
        ema_fast=draw(some([2, 3, 5], 2)),
        ema_slow=draw(some([6, 7, 11], 2)),
        stop_loss_fraction=draw(some([0.001, 0.02, 0.08], 2)),
        slippage_bp=draw(some([0.0, 1.0, 25.0], 2)),
        leverage=draw(some([TABLE, (1.0,), (3.0,), (2.0, 2.0, 2.5, 4.0)], 2)),
    )


@settings(max_examples=12)
@given(grids(), st.integers(0, 10_000), st.data())
def test_a_cells_figures_are_those_of_the_live_deciders_with_its_settings(
    grid: Grid, seed: int, data: st.DataObject
) -> None:
    history = random_history(seed, SESSIONS, bars=6)

    outcome = sweep(history, grid)

    for cell in data.draw(st.sets(st.integers(0, len(grid) - 1), min_size=1, max_size=3)):
        options = outcome.grid.options(places(grid, cell))
        assert outcome.metrics(cell) == metrics(run_event(history, options))
        assert outcome.metrics(cell) == metrics(run_compiled(history, options))


def test_a_sweep_of_many_cells_is_no_row_of_one_and_the_same() -> None:
    """Guards the test above: the settings must matter on such histories."""
    outcome = sweep(random_history(11, 250), wide())

    assert len({row.tobytes() for row in outcome.figures}) > 0.9 * len(outcome.grid)


def wide() -> Grid:
    return grid_of(
        ema_fast=(2, 3, 4, 5), ema_slow=(8, 10, 12), stop_loss_fraction=(0.01, 0.02, 0.04),
        slippage_bp=(0.0, 5.0), leverage=(TABLE, (2.0,)),
    )  # fmt: skip


def test_every_cell_begins_on_the_first_day_on_which_the_longest_slow_span_may_trade() -> None:
    history = random_history(3, SESSIONS)
    grid = grid_of(replace(SHORT, history_slow_multiple=2), ema_slow=(6, 11))
    own = replace(SHORT, history_slow_multiple=2, first=history.days[30])

    assert sweep(history, grid).first == history.days[22]
    assert sweep(history, grid_of(own, ema_slow=(6, 11))).first == history.days[30]


def test_the_documents_own_choice_counts_among_them_where_the_data_are_long_enough() -> None:
    grid = grid_of(ema_slow=(8, 10))

    assert sweep(random_history(3, 300), grid).first == random_history(3, 300).days[125]
    assert sweep(random_history(3, 80), grid).first == random_history(3, 80).days[10]


def test_data_too_short_for_a_single_entry_of_the_longest_span_are_no_sweep() -> None:
    with pytest.raises(OptionsError, match=r"60 sessions .* 64 closes .*8 x --slow 8"):
        sweep(random_history(3, 60), grid_of(replace(SHORT, history_slow_multiple=8)))


def test_pieces_of_any_size_give_every_cell_once_and_the_same_figures() -> None:
    grid, history = wide(), random_history(3, SESSIONS)
    swept = sweep(history, grid)
    grid = swept.grid
    ground = cells.prepare(grid, lay_out(history, grid.base))

    for size in (1, 7, 1000):
        found = [(piece.first, cells.run(ground, piece)) for piece in cells.pieces(grid, size)]
        assert np.array_equal(
            np.concatenate([figures for _, figures in sorted(found, key=lambda one: one[0])]),
            swept.figures, equal_nan=True,
        )  # fmt: skip


def test_the_documents_own_choice_is_run_beside_the_grid_with_the_same_other_settings() -> None:
    history = random_history(4, 700)
    base = replace(Options(), baseline="entry", first=history.days[650])

    outcome = sweep(history, grid_of(base))

    assert outcome.own == metrics(run_compiled(history, base))
    assert outcome.own.entries > 0


def test_progress_is_told_until_every_cell_is_done() -> None:
    told: list[int] = []

    sweep(random_history(3, SESSIONS), wide(), done=told.append)

    assert sum(told) == len(wide())
    assert len(told) > 1


# --- what it is written as -----------------------------------------------------------------------


def test_a_row_of_the_file_gives_back_the_options_whose_backtest_has_its_figures(
    tmp_path: Path,
) -> None:
    history, grid = random_history(7, SESSIONS), wide()
    file = tmp_path / "sweep.parquet"

    outcome = sweep(history, grid)
    parquet.write(outcome, file)

    rows = pq.read_table(file).to_pylist()
    assert len(rows) == len(grid)
    for cell in (0, 17, len(grid) - 1):
        options = parquet.options_of(rows[cell])
        assert options == outcome.grid.options(places(grid, cell))
        assert options.first == outcome.first
        assert {name: rows[cell][name] for name in Metrics._fields} == metrics(
            run_compiled(history, options)
        )._asdict()


def test_a_figure_that_is_not_there_is_a_null_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "sweep.parquet"

    parquet.write(sweep(random_history(7, 9), grid_of()), file)

    (row,) = pq.read_table(file).to_pylist()
    assert row["win_rate_pct"] is None
    assert row["entries"] == 0


def outcome_of(grid: Grid, figure: str, values: list[float]) -> Outcome:
    made = sweep(random_history(3, SESSIONS), grid)
    made.figures[:, Metrics._fields.index(figure)] = values
    return made


def test_the_ranking_has_the_best_first_and_what_is_unknown_last() -> None:
    grid = grid_of(ema_fast=(2, 3, 4), ema_slow=(8, 10))
    outcome = outcome_of(grid, "sharpe", [1.0, 3.0, np.nan, 2.0, 0.0, -1.0])

    found = rank(outcome, "sharpe")

    assert found.cells == (1, 3, 0, 4, 5, 2)
    assert found.spread[0] == -1.0
    assert found.spread[2] == 1.0
    assert found.spread[-1] == 3.0
    # Beside cell 1 (fast 3, slow 8) lie all the others that are known.
    assert found.neighbours == 0.5


def test_the_smallest_drawdown_is_the_best() -> None:
    outcome = outcome_of(grid_of(ema_fast=(2, 3, 4)), "max_drawdown_pct", [30.0, 10.0, 20.0])

    found = rank(outcome, "max_drawdown_pct")

    assert found.cells == (1, 2, 0)
    assert (found.spread[0], found.spread[-1]) == (30.0, 10.0)


def test_the_sentence_says_that_the_best_is_partly_luck_and_shows_the_spread() -> None:
    outcome = outcome_of(grid_of(ema_fast=(2, 3, 4)), "sharpe", [1.25, 0.5, -0.75])

    said = sentence(rank(outcome, "sharpe"), "Sharpe")

    assert "best of 3 cells is partly luck" in said
    assert "Sharpe runs from -0.75 to 1.25" in said
    assert "One cell" in sentence(rank(sweep(random_history(3, 20), grid_of()), "sharpe"), "Sharpe")


def test_a_box_of_the_heatmap_is_the_median_over_the_axes_not_drawn_never_the_best() -> None:
    grid = grid_of(ema_fast=(2, 3), ema_slow=(8, 10), slippage_bp=(0.0, 1.0, 2.0))
    fast_3_slow_8 = [1, 5, 9]  # slippage changes slowest
    values = [0.0] * len(grid)
    for cell, value in zip(fast_3_slow_8, (5.0, 7.0, 99.0), strict=True):
        values[cell] = value

    svg = heatmap.svg(outcome_of(grid, "sharpe", values), "sharpe", "Sharpe")
    picture = ET.fromstring(svg)  # noqa: S314  (our own text)

    texts = [text.text for text in picture.iter(f"{SVG}text")]
    assert texts.count("7.00") == 1
    assert "99.00" not in texts
    assert "12 cells, each box the median of 3; 0.00 to 7.00" in texts
    assert any(text and "max drawdown" in text and "worst day" in text for text in texts)


def test_the_documents_own_box_has_a_frame_where_it_is_drawn() -> None:
    base = Options(history_slow_multiple=1)
    with_it = grid_of(base, ema_fast=(20, 25), ema_slow=(120, 125))
    without = grid_of(base, ema_fast=(20, 26), ema_slow=(120, 125))

    frames = [
        heatmap.svg(sweep(random_history(3, 140), grid), "sharpe", "Sharpe").count("<title>")
        for grid in (with_it, without)
    ]

    assert frames == [1, 0]


def test_a_grid_too_large_to_read_is_drawn_in_colours_alone() -> None:
    grid = grid_of(ema_fast=tuple(range(2, 50)), ema_slow=tuple(range(50, 100)))

    picture = heatmap.svg(sweep(random_history(3, 110), grid), "max_drawdown_pct", "drawdown")

    assert picture.count("<rect") == len(grid) + 1
    assert picture.count("<text") < 50


# --- what it may be told -------------------------------------------------------------------------


def test_lists_and_ranges_hold_both_their_ends() -> None:
    assert spans("--fast", "10:50:20, 60") == (10, 30, 50, 60)
    assert numbers("--stop-pct", "1:1.3:0.1") == (1.0, 1.1, 1.2, 1.3)
    assert tables("--leverage", "3/3.25/3.5/3.75,1:2:0.5") == (TABLE, (1.0,), (1.5,), (2.0,))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10:50", "FIRST:LAST:STEP"),
        ("50:10:5", "FIRST:LAST:STEP"),
        ("10:50:0", "FIRST:LAST:STEP"),
        ("10,x", "'x' is no number"),
        ("nan", "'nan' is no number"),
        ("0:1:1e-9", "values; 1,000,000 at most"),
        ("2.5", "no whole number of closes"),
    ],
)
def test_a_list_that_is_none_is_refused_with_the_form_it_needs(text: str, reason: str) -> None:
    with pytest.raises(OptionsError, match=reason):
        spans("--fast", text)


@pytest.mark.parametrize(
    ("axes", "reason"),
    [
        ({"ema_fast": ()}, "the grid is empty"),
        ({"ema_fast": (3, 5, 3)}, "3 is there twice"),
        ({"ema_fast": (5, 9), "ema_slow": (8, 20)}, "fast 9 is not smaller than slow 8"),
        ({"ema_fast": (1, 3)}, "ema_fast"),
        ({"stop_loss_fraction": (0.02, 0.9)}, "loss_fraction"),
        ({"slippage_bp": (-1.0,)}, "slippage_bp"),
        ({"leverage": ((3.0, 4.0),)}, "leverage 3/4: one, or one more than the 3 VIX levels"),
        ({"leverage": ((3.0, 2.0, 2.5, 4.0),)}, "leverage"),
        (
            {
                "stop_loss_fraction": tuple(0.01 + at / 1e5 for at in range(2000)),
                "slippage_bp": tuple(at / 10 for at in range(1000)),
            },
            f"2,000,000 cells; {CELLS_MAX:,} at most",
        ),
    ],
)
def test_a_grid_that_cannot_be_is_refused(axes: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionsError, match=reason):
        grid_of(**axes)
