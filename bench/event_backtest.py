"""Target 12: a backtest by the live deciders and their messages, in minute bars a second.

Ours judges the stop on every bar and pays costs and interest; the yardsticks trade an EMA 25/125
crossover of the same bars, all in, and nothing else. The slowest of them get fewer bars, which
their lines name; all rates are by bar, in processor time, since all run on one thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from time import process_time

from bench import environments, market, peers, rivals
from bench.ratio import Effort, NotMeasured, Result, Target, compare
from services.backtest import event_path
from services.backtest.metrics import metrics
from services.backtest.options import Options

BARS = 1_000_000
WHAT = "event path, 1,000,000 minute bars: bars a second"
BACKTESTING = Target(12, WHAT, "backtesting.py", 2.0, at_least=True)
NAUTILUS = Target(12, WHAT, "nautilus_trader 1.221, 100,000 bars", 8.0, at_least=True)
BACKTRADER = Target(12, WHAT, "backtrader, 50,000 bars", 25.0, at_least=True)
TARGETS = (BACKTESTING, NAUTILUS, BACKTRADER)
YARDSTICKS = {
    BACKTESTING: ("backtesting", BARS),
    NAUTILUS: ("nautilus", 100_000),
    BACKTRADER: ("backtrader", 50_000),
}


def measure(effort: Effort) -> list[Result]:
    sessions = effort.samples(BARS) // market.MINUTES + 1
    sheet, options = market.minute_sheet(sessions), Options()
    with peers.run_folder() as folder, ExitStack() as stack:
        serving: dict[Target, tuple[rivals.Rival, int]] = {}
        missing: dict[Target, str] = {}
        for target, (name, full) in YARDSTICKS.items():
            bars = min(effort.samples(full), sessions * market.MINUTES)
            file = market.save(sheet, folder, bars)
            try:
                serving[target] = stack.enter_context(rivals.rival(name, file)), bars
            except environments.NotInstalledError as reason:
                missing[target] = str(reason)

        def round_() -> Mapping[Target, tuple[float, float]]:
            began = process_time()
            metrics(event_path.run_sheet(sheet, options))
            ours = len(sheet.bar_open_usd) / (process_time() - began)
            return {
                target: (ours, bars / rival.run("single").cpu_seconds)
                for target, (rival, bars) in serving.items()
            }

        figures = {figure.target: figure for figure in compare(round_, effort)} if serving else {}
    return [
        figures[target] if target in figures else NotMeasured(target, missing[target])
        for target in TARGETS
    ]
