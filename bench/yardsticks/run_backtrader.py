"""EMA 25/125 crossover, all in, by backtrader; argument: the bars."""

import sys

import backtrader as bt
import numpy as np
from serve import serve

FAST, SLOW = 25, 125
START_USD = 100_000
DAY_NS = 86_400 * 10**9
UNIX_DAY_ZERO = 719_163  # in backtrader's days


class Bars(bt.feed.DataBase):
    """Rows of a list: no file is parsed in the timed part."""

    params = (("rows", ()),)

    def start(self):
        super().start()
        self._at = 0

    def _load(self):
        if self._at >= len(self.p.rows):
            return False
        row = self.p.rows[self._at]
        self._at += 1
        line = self.lines
        line.datetime[0], line.open[0], line.high[0], line.low[0], line.close[0] = row
        line.volume[0] = line.openinterest[0] = 0.0
        return True


class Crossover(bt.Strategy):
    def __init__(self):
        close = self.data.close
        self.cross = bt.ind.CrossOver(
            bt.ind.EMA(close, period=FAST), bt.ind.EMA(close, period=SLOW)
        )

    def next(self):
        if self.cross[0] > 0 and not self.position:
            self.buy()
        elif self.cross[0] < 0 and self.position:
            self.close()


def main():
    rows = np.load(sys.argv[1])
    rows[:, 0] = rows[:, 0] / DAY_NS + UNIX_DAY_ZERO
    listed = rows.tolist()

    def single():
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.broker.setcash(START_USD)
        cerebro.addsizer(bt.sizers.AllInSizerInt)
        cerebro.adddata(Bars(rows=listed))
        cerebro.addstrategy(Crossover)

        def run():
            cerebro.run()
            return cerebro.broker.getvalue()

        return run

    serve({"single": single})


if __name__ == "__main__":
    main()
