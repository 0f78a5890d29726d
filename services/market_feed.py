"""market_feed: hears its own data-only TWS connection, and BrokerLink for the clocks' sake; says
Quote, VixLevel, Session, OpeningPrint, Distribution, DailyHistory, DailyBar, FeedState.
owns: what a valid price is, and the exchange's hours.   if it dies: its journal brings it back and
it subscribes anew; hearers see its prices grow old."""

from common import service
from common.core import quotes


def _edge() -> type[service.Edge]:
    from common.tws.market import MarketData  # noqa: PLC0415  (ib_insync binds to the loop)

    return MarketData


if __name__ == "__main__":
    service.main("market_feed", quotes, edge=_edge)
