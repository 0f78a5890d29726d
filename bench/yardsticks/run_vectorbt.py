"""EMA crossovers, all in, by vectorbt as its documentation shows them; argument: the bars.

"single" is 25/125, "sweep" the pairs of two lists of spans that follow as arguments.
"""

import sys
import warnings
from itertools import product

import numpy as np
import pandas as pd
import vectorbt as vbt
from serve import serve

FAST, SLOW = 25, 125
START_USD = 100_000


def main():
    rows = np.load(sys.argv[1])
    close = pd.Series(rows[:, 4], index=pd.to_datetime(rows[:, 0].astype("int64")))

    def crossover(fast_spans, slow_spans):
        fast = vbt.MA.run(close, window=fast_spans, ewm=True, run_unique=True, short_name="fast")
        slow = vbt.MA.run(close, window=slow_spans, ewm=True, run_unique=True, short_name="slow")
        portfolio = vbt.Portfolio.from_signals(
            close, fast.ma_crossed_above(slow), fast.ma_crossed_below(slow),
            init_cash=START_USD, freq="1D",
        )  # fmt: skip
        return float(np.max(portfolio.final_value()))

    def single():
        return lambda: crossover(FAST, SLOW)

    def sweep():
        spans = [[int(span) for span in text.split(",")] for text in sys.argv[2:4]]
        fast_spans, slow_spans = map(list, zip(*product(*spans), strict=True))
        return lambda: crossover(fast_spans, slow_spans)

    serve({"single": single, "sweep": sweep})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
