"""Target 13: the compiled path, beside a loop written by hand for one crossover and vectorbt.

"Crossover alone" is the yardsticks' own strategy, by our options: leverage 1, no stop, no costs;
there the hand-written loop must end with the very equity of ours. "All rules" has the document's
leverage, stop, re-entry, costs and interest, while the yardsticks still trade the crossover alone.
Processor time where one thread runs, time on the wall for sweeps, which ours makes on all cores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from time import process_time

import numpy as np

from bench import environments, market, peers, rivals
from bench.fused_loop import fused
from bench.ratio import Effort, NotMeasured, Result, Round, Target, compare
from services.backtest import compiled_path
from services.backtest.options import Options, gross
from services.backtest.sheet import Floats, Sheet

BARS = 1_000_000
CALM = 0.001  # volatility of a day, where there are a million of them
DAYS = 6_000
FAST, SLOW = tuple(range(5, 30)), tuple(range(40, 240, 5))  # 25 x 40 pairs
CROSSOVER = gross(
    Options(
        leverage_base=1.0, vix_below=(), vix_leverage=(), baseline="off", history_slow_multiple=1
    )
)
VIX_BELOW = (12.0, 13.0, 14.0)
LOOP, VECTORBT = "hand-fused numba loop, crossover", "vectorbt, crossover"
LOOP_CROSSOVER = Target(13, "compiled, 1,000,000 daily bars, crossover alone", LOOP, 2.5)
LOOP_MINUTES = Target(13, "compiled, 1,000,000 minute bars, all rules", LOOP, 2.5)
ARRAYS = Target(13, "compiled, 1,000,000 daily bars, crossover alone", VECTORBT, 0.15)
SWEEP = Target(
    13, "sweep of 1,000 EMA pairs over 6,000 days, crossover alone: speed", VECTORBT, 80.0,
    at_least=True,
)  # fmt: skip
SWEEP_RULES = Target(
    13, "sweep of 1,000 EMA pairs over 6,000 days, all rules: speed", VECTORBT, None, at_least=True
)
SWEEP_MEMORY = Target(13, "sweep of 1,000 EMA pairs: the process's largest RSS", VECTORBT, 0.3)
TARGETS = (LOOP_CROSSOVER, LOOP_MINUTES, ARRAYS, SWEEP, SWEEP_RULES, SWEEP_MEMORY)
SWEEPS = 10  # of ours in a row: one takes milliseconds, which on a busy machine are the scheduler's


def measure(effort: Effort) -> list[Result]:
    bars = effort.samples(BARS)
    with peers.run_folder() as folder, ExitStack() as stack:
        daily, days = market.daily_sheet(bars, CALM, rise=0.0), market.daily_sheet(DAYS)
        found: list[Result] = [*compare(_beside_loop(daily, days), effort)]
        try:
            single = stack.enter_context(rivals.rival("vectorbt", market.save(daily, folder, bars)))
            swept = stack.enter_context(
                rivals.rival("vectorbt", market.save(days, folder, days.sessions), *_spans())
            )
        except environments.NotInstalledError as reason:
            missing = (ARRAYS, SWEEP, SWEEP_RULES, SWEEP_MEMORY)
            return [*found, *(NotMeasured(target, str(reason)) for target in missing)]

        def arrays() -> Mapping[Target, tuple[float, float]]:
            return {
                ARRAYS: (
                    _seconds(lambda: compiled_path.run_arrays(daily, CROSSOVER)),
                    single.run("single").cpu_seconds,
                )
            }

        for _ in range(2):  # the second process finds its code compiled, as vectorbt finds its own
            ours = stack.enter_context(rivals.ours("bench.sweeping", days.sessions, *_spans()))
            for job in ("crossover", "rules"):
                ours.run(job)
        swept.run("sweep")

        def sweeps() -> Mapping[Target, tuple[float, float]]:
            crossover, rules, theirs = (
                ours.run("crossover"), ours.run("rules"), swept.run("sweep"),
            )  # fmt: skip
            return {
                SWEEP: (SWEEPS / crossover.seconds, 1.0 / theirs.seconds),
                SWEEP_RULES: (SWEEPS / rules.seconds, 1.0 / theirs.seconds),
                SWEEP_MEMORY: (rules.peak_kib, theirs.peak_kib),
            }

        single.run("single")
        found += compare(arrays, effort)
        return [*found, *compare(sweeps, effort)]


def _spans() -> tuple[str, str]:
    return ",".join(map(str, FAST)), ",".join(map(str, SLOW))


def _beside_loop(daily: Sheet, days: Sheet) -> Round:
    minutes = market.minute_sheet(daily.sessions // market.MINUTES + 1)
    as_many = daily.sessions / len(minutes.bar_open_usd)
    for sheet in (daily, days):
        if not np.array_equal(compiled_path.run_arrays(sheet, CROSSOVER).equity_usd, _loop(sheet)):
            raise ValueError("the loop written by hand trades something else")
    compiled_path.run_arrays(minutes, Options())
    if not len(compiled_path.run_arrays(days, Options()).trades):
        raise ValueError("nothing is traded, so nothing is measured")

    def round_() -> Mapping[Target, tuple[float, float]]:
        loop_s = _seconds(lambda: _loop(daily))
        minutes_s = _seconds(lambda: compiled_path.run_arrays(minutes, Options()))
        return {
            LOOP_CROSSOVER: (
                _seconds(lambda: compiled_path.run_arrays(daily, CROSSOVER)), loop_s
            ),
            LOOP_MINUTES: (minutes_s * as_many, loop_s),
        }  # fmt: skip

    return round_


def _loop(sheet: Sheet) -> Floats:
    return fused(
        sheet.open_usd, sheet.close_usd, CROSSOVER.ema_fast, CROSSOVER.ema_slow,
        CROSSOVER.start_equity_usd,
    )  # fmt: skip


def _seconds(act: Callable[[], object]) -> float:
    """Of processor time."""
    began = process_time()
    act()
    return process_time() - began
