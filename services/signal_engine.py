"""signal_engine: hears DailyHistory, DailyBar, Session, VixLevel of market_feed; says Signal,
SignalChanged, TargetPosition.
owns: the side and the target.   if it dies: its journal brings it back; what it said last stays
valid until that session's close."""

from common import service
from common.core import strategy

if __name__ == "__main__":
    service.main("signal_engine", strategy)
