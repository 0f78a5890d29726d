"""risk_monitor: holds the day's baseline, watches the stop, sizes and gates entries, orders exits.

hears   Quote, Session, OpeningPrint, Distribution, DailyBar, FeedState; Signal, TargetPosition;
        BrokerLink, AccountSnapshot, BrokerPnl, OrderBook, OrderUpdate, Fill, Commission, HaltLatch,
        MarginPreview; OrderState
says    BaselineSet, DistributionCounted, Equity, StopArmed, StopHit, GoNoGo, EntryRefused, Entered,
        Exited, RiskState, DaySummary
asks    PlaceOrder of order_executor; SubmitOrder (the stop that rests at the broker, an exit the
        executor is silent on), CancelOrder, PreviewMargin and Halt of broker_gateway
answers Halt, Resume, Flatten, Adopt
owns    baseline, stop, position ledger, halts
if it dies: a second copy of it, which has followed its journal, goes on within hundredths of a
        second, and supervisord starts the dead one again as the next second copy. With both dead
        the journal brings it back within a second or two; until then no price is judged, no entry
        is made, and the stop at the broker protects what is held.
"""

from common import service
from common.core import risk

if __name__ == "__main__":
    service.main("risk_monitor", risk, standby=True)
