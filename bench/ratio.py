"""The arithmetic of every figure: ours over the yardstick, round by round, and when to repeat.

Absolute times on a shared machine move by a factor of 2 to 4 between runs. So ours and the
yardstick are measured in turn inside one run, the figure is the median of the ratios of the rounds,
and a run whose yardstick itself was unsteady is made again.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SPREAD_MAX = 2.0
"""The largest yardstick of a run over its smallest; beyond it the run is made again."""

RUNS_MAX = 2
"""So often at most: the steadiest run counts then, and its line shows the spread."""


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table: what is measured, in multiples of what, and how much it may be.

    Without a `limit` it only tells: ours does other work there than the yardstick.
    """

    number: int
    what: str
    yardstick: str
    limit: float | None
    at_least: bool = False

    def met(self, figure: float) -> bool | None:
        if self.limit is None:
            return None
        return figure >= self.limit if self.at_least else figure <= self.limit


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: rounds of a run, and the samples of each round as a share of all."""

    rounds: int = 7
    share: float = 1.0

    def samples(self, full: int) -> int:
        return max(2, round(full * self.share))


@dataclass(frozen=True, slots=True)
class Figure:
    """A target's ratios, one per round; `spread` is the yardstick's largest over its smallest."""

    target: Target
    ratios: tuple[float, ...]
    spread: float

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    @property
    def met(self) -> bool | None:
        return self.target.met(self.median)

    @property
    def steady(self) -> bool:
        return self.spread <= SPREAD_MAX


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """A target whose yardstick cannot be had on this machine."""

    target: Target
    reason: str


Result = Figure | NotMeasured
Round = Callable[[], Mapping[Target, tuple[float, float]]]
"""Measures once: per target ours and the yardstick, in one unit."""


def compare(measure_round: Round, effort: Effort) -> list[Figure]:
    """One run, made again while a yardstick in it was unsteady; the steadiest run counts."""
    best = _run(measure_round, effort.rounds)
    for _ in range(RUNS_MAX - 1):
        if all(figure.steady for figure in best):
            break
        best = min(best, _run(measure_round, effort.rounds), key=_worst_spread)
    return best


def _run(measure_round: Round, rounds: int) -> list[Figure]:
    taken = [measure_round() for _ in range(rounds)]
    return [_figure(target, [round_[target] for round_ in taken]) for target in taken[0]]


def _figure(target: Target, pairs: list[tuple[float, float]]) -> Figure:
    yardsticks = [yardstick for _, yardstick in pairs]
    return Figure(
        target=target,
        ratios=tuple(ours / yardstick for ours, yardstick in pairs),
        spread=max(yardsticks) / min(yardsticks),
    )


def _worst_spread(figures: list[Figure]) -> float:
    return max(figure.spread for figure in figures)


def percentile(samples: list[float], share: float) -> float:
    """The sample so far up among all of them in order; the largest for 1."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
