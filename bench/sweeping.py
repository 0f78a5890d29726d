"""A sweep of ours as a process of its own, so that its memory can be held against another's.

Arguments: the number of days, the fast spans, the slow ones. Jobs: "crossover", "rules", each
made SWEEPS times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench import market
from bench.compiled_backtest import CROSSOVER, SWEEPS, VIX_BELOW
from bench.yardsticks.serve import serve
from services.backtest.options import Options
from services.backtest.sweep.grid import Grid
from services.backtest.sweep.outcome import sweep_sheet


def main() -> None:
    sheet = market.daily_sheet(int(sys.argv[1]))
    fast, slow = (tuple(int(span) for span in text.split(",")) for text in sys.argv[2:4])

    def job(options: Options) -> Callable[[], Callable[[], float]]:
        leverage = (options.leverage_base, *options.vix_leverage[::-1])
        grid = Grid(
            options, fast, slow, (options.stop_loss_fraction,), (options.slippage_bp,),
            (leverage,), VIX_BELOW,
        )  # fmt: skip

        def sweeps() -> float:
            for _ in range(SWEEPS):
                final_usd = sweep_sheet(sheet, grid).column("final_equity_usd")
            return float(final_usd.max())

        return lambda: sweeps

    serve({"crossover": job(CROSSOVER), "rules": job(Options())})


if __name__ == "__main__":
    main()
