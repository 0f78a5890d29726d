"""EMA 25/125 crossover, all in, by nautilus_trader's backtest engine; argument: the bars."""

import sys

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy
from serve import serve

FAST, SLOW = 25, 125
START_USD = 100_000
VENUE = Venue("XNAS")


class Crossover(Strategy):
    def __init__(self, instrument, bar_type):
        super().__init__()
        self.instrument, self.bar_type = instrument, bar_type
        self.fast, self.slow = ExponentialMovingAverage(FAST), ExponentialMovingAverage(SLOW)

    def on_start(self):
        self.register_indicator_for_bars(self.bar_type, self.fast)
        self.register_indicator_for_bars(self.bar_type, self.slow)
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar):
        if not self.indicators_initialized():
            return
        flat = self.portfolio.is_flat(self.instrument.id)
        if self.fast.value > self.slow.value and flat:
            cash = self.portfolio.account(VENUE).balance_free(USD).as_double()
            self.order(OrderSide.BUY, int(0.99 * cash / bar.close.as_double()))
        elif self.fast.value < self.slow.value and not flat:
            self.close_all_positions(self.instrument.id)

    def order(self, side, shares):
        quantity = self.instrument.make_qty(shares)
        self.submit_order(self.order_factory.market(self.instrument.id, side, quantity))


def main():
    rows = np.load(sys.argv[1])
    instrument = TestInstrumentProvider.equity(symbol="SMH", venue="XNAS")
    bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    table = pd.DataFrame(
        rows[:, 1:].round(2),
        columns=["open", "high", "low", "close"],
        index=pd.to_datetime(rows[:, 0].astype("int64"), utc=True),
    )
    table["volume"] = 1_000_000.0
    bars = BarDataWrangler(bar_type, instrument).process(table)

    def single():
        logging = LoggingConfig(bypass_logging=True)
        engine = BacktestEngine(BacktestEngineConfig(trader_id="BENCH-001", logging=logging))
        engine.add_venue(
            VENUE, oms_type=OmsType.NETTING, account_type=AccountType.CASH, base_currency=USD,
            starting_balances=[Money(START_USD, USD)],
        )  # fmt: skip
        engine.add_instrument(instrument)
        engine.add_data(bars)
        engine.add_strategy(Crossover(instrument, bar_type))

        def run():
            engine.run()
            return engine.portfolio.account(VENUE).balance_total(USD).as_double()

        return run

    serve({"single": single})


if __name__ == "__main__":
    main()
