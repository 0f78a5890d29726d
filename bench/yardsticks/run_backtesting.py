"""EMA 25/125 crossover, all in, by backtesting.py; argument: the bars."""

import sys
import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from serve import serve

FAST, SLOW = 25, 125
START_USD = 100_000


class Crossover(Strategy):
    def init(self):
        close = pd.Series(self.data.Close)
        self.fast = self.I(lambda: close.ewm(span=FAST, adjust=False).mean())
        self.slow = self.I(lambda: close.ewm(span=SLOW, adjust=False).mean())

    def next(self):
        if crossover(self.fast, self.slow):
            self.buy()
        elif crossover(self.slow, self.fast):
            self.position.close()


def main():
    rows = np.load(sys.argv[1])
    bars = pd.DataFrame(
        rows[:, 1:],
        columns=["Open", "High", "Low", "Close"],
        index=pd.to_datetime(rows[:, 0].astype("int64")),
    )

    def single():
        backtest = Backtest(bars, Crossover, cash=START_USD, finalize_trades=True)
        return lambda: backtest.run()["Equity Final [$]"]

    serve({"single": single})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
