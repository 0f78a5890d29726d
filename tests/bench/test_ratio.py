"""The arithmetic of the benchmarks: medians of ratios, limits, and when a run is made again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import report
from bench.ratio import RUNS_MAX, Effort, Figure, NotMeasured, Target, compare, percentile

AT_MOST = Target(1, "hop", "raw hop", 2.0)
AT_LEAST = Target(6, "rate", "raw rate", 0.5, at_least=True)


def rounds(*pairs: tuple[float, float]) -> Iterator[dict[Target, tuple[float, float]]]:
    return iter([{AT_MOST: pair} for pair in pairs])


def test_a_figure_is_the_median_of_the_rounds_ratios_not_the_ratio_of_medians() -> None:
    measured = rounds((1.0, 1.0), (4.0, 2.0), (9.0, 1.5))
    (figure,) = compare(lambda: next(measured), Effort(rounds=3))
    assert figure.ratios == (1.0, 2.0, 6.0)
    assert figure.median == 2.0


def test_a_run_with_a_steady_yardstick_is_made_once() -> None:
    measured = rounds((1.0, 1.0), (1.0, 2.0), (5.0, 1.0))
    (figure,) = compare(lambda: next(measured), Effort(rounds=2))
    assert figure.spread == 2.0
    assert next(measured) == {AT_MOST: (5.0, 1.0)}


def test_a_run_whose_yardstick_spreads_more_than_twofold_is_made_again() -> None:
    measured = rounds((1.0, 1.0), (1.0, 2.1), (3.0, 1.0), (3.0, 1.0))
    (figure,) = compare(lambda: next(measured), Effort(rounds=2))
    assert figure.ratios == (3.0, 3.0)


def test_a_yardstick_that_stays_unsteady_ends_after_the_last_run_and_says_so() -> None:
    runs = [(1.0, 1.0), (1.0, 9.0)] * RUNS_MAX
    measured = rounds(*runs)
    (figure,) = compare(lambda: next(measured), Effort(rounds=2))
    assert next(measured, None) is None
    assert not figure.steady
    assert "unsteady (9.0x)" in report.line(figure)


@pytest.mark.parametrize(
    ("target", "ratio", "met"),
    [(AT_MOST, 2.0, True), (AT_MOST, 2.01, False), (AT_LEAST, 0.5, True), (AT_LEAST, 0.49, False)],
)
def test_a_target_counts_in_its_own_direction(target: Target, ratio: float, met: bool) -> None:
    assert Figure(target, (ratio,), spread=1.0).met is met


def test_a_line_without_a_target_tells_its_figure_and_is_neither_met_nor_missed() -> None:
    figure = Figure(Target(1, "hop, all rules", "raw hop", None), (1.0,), spread=1.0)
    assert figure.met is None
    assert "target none     told" in report.line(figure)


def test_a_percentile_is_one_of_the_samples() -> None:
    assert percentile([float(number) for number in range(100)], 0.99) == 99.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_a_line_says_number_figure_range_target_and_verdict() -> None:
    line = report.line(Figure(AT_MOST, (1.0, 2.5, 3.0), spread=1.0))
    for part in ("1", "hop", "2.50", "1.00..3.00", "<= 2", "missed", "raw hop"):
        assert part in line


def test_what_cannot_be_measured_gives_its_reason() -> None:
    assert "not measured: no wheel" in report.line(NotMeasured(AT_MOST, "no wheel"))


def test_saving_changes_the_page_between_its_markers_only(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.save(page, [Figure(AT_MOST, (1.5,), spread=1.0)])
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| 1 | hop | raw hop | 1.50 | 1.50..1.50 | <= 2 | met |" in text
    assert "old" not in text


def test_saving_some_numbers_leaves_the_rows_of_others_as_they_were(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"{report.BEGIN}\n{report.END}\n")
    report.save(page, [Figure(AT_LEAST, (0.5,), spread=1.0), Figure(AT_MOST, (1.5,), spread=1.0)])

    report.save(page, [Figure(AT_MOST, (1.75,), spread=1.0)], keep_others=True)

    rows = page.read_text().splitlines()[3:-1]
    assert [row[:4] for row in rows] == ["| 1 ", "| 6 "]
    assert "1.75" in rows[0]
    assert "0.50" in rows[1]


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("mine")
    with pytest.raises(ValueError, match="markers"):
        report.save(page, [])
    assert page.read_text() == "mine"
