"""An idle live node of nautilus_trader, run by that package's own environment; see memory.py."""

from nautilus_trader.config import LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode


def main() -> None:
    """Builds a node without venue or strategy, runs it, and says on stdout that it runs."""
    node = TradingNode(
        config=TradingNodeConfig(trader_id="IDLE-001", logging=LoggingConfig(log_level="ERROR"))
    )
    node.build()
    node.kernel.loop.call_later(2.0, lambda: print("running", flush=True))
    node.run()


if __name__ == "__main__":
    main()
