"""signal_engine as a process, on a real feed and alone."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from common.messages import Session, Signal, TargetPosition
from common.topology import FEED, SIGNAL
from services.sim_tws.market_time import instant_ns
from tests.services.feed_processes import processes

DAY = date(2026, 1, 5)


def test_the_target_outlives_the_feed_and_the_engine_itself(tmp_path: Path) -> None:
    with processes(tmp_path, instant_ns(DAY, 11)) as (world, _):
        # given both, until there is a target
        world.start(SIGNAL)
        world.start(FEED)
        target = world.until_said(TargetPosition)
        session = world.until_said(Session)
        signal = world.until_said(Signal)
        assert (target.day, target.signal_day) == (session.day, session.previous_day)
        assert target.valid_until_ns == session.close_ns
        assert signal.final
        # when the feed dies, and then the engine, which is started again alone
        world.kill(FEED)
        world.kill(SIGNAL)
        world.start(SIGNAL)
        # then its journal brings back what it had said
        again = world.until_said(TargetPosition)
        assert (again.day, again.signal_day, again.valid_until_ns) == (
            target.day, target.signal_day, target.valid_until_ns
        )  # fmt: skip
        assert world.until_said(Signal) == signal
        assert world.stop(SIGNAL) == 0
