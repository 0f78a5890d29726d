"""The risk monitor with its journal on disk before the stop order leaves, as the gateway does it
before an order's send; for target 2."""

from common import service
from common.core.risk import State, busy, decide, evolve, ready, start
from common.messages import PlaceOrder

__all__ = ["DURABLE", "State", "busy", "decide", "evolve", "ready", "start"]

DURABLE = frozenset({PlaceOrder})

if __name__ == "__main__":
    import sys

    service.main("risk_monitor", sys.modules[__name__])
