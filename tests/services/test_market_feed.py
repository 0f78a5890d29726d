"""market_feed as a process: what its hearers get, and what a death costs them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from common import journal, wire
from common.core import quotes
from common.messages import DailyHistory, FeedState, Heartbeat, Quote, Session, VixLevel
from common.rejudge import rejudge, state_of
from common.topology import FEED
from services.sim_tws.market_time import instant_ns
from tests.services.feed_processes import Processes, processes

DAY = date(2026, 1, 5)


def ready(world: Processes) -> bool:
    beats = [e.body for e in world.heard if e.speaker == FEED and isinstance(e.body, Heartbeat)]
    return bool(beats) and beats[-1].ready


def test_a_killed_feed_comes_back_with_its_session_and_fresh_prices(tmp_path: Path) -> None:
    with processes(tmp_path, instant_ns(DAY, 11)) as (world, clock):
        # given a feed that serves
        world.start(FEED)
        world.until(lambda: ready(world), "readiness")
        world.until_said(Quote)
        session = world.until_said(Session)
        assert session.day == DAY
        assert world.until_said(DailyHistory).days[-1] == session.previous_day
        epoch = world.heard[-1].epoch
        # when it is killed and started again
        world.kill(FEED)
        killed_ns = clock.reader.now_ns()
        world.heard.clear()
        world.start(FEED)
        # then session and history are there from its journal, prices and VIX come anew
        world.until(lambda: ready(world), "readiness")
        world.until(
            lambda: any(
                isinstance(e.body, Quote) and e.body.tick_ns > killed_ns for e in world.heard
            ),
            "a price",
        )
        world.until(lambda: world.newest(VixLevel) is not None, "a VIX level")
        assert world.newest(Session) == session
        assert {envelope.epoch for envelope in world.heard} == {epoch}
        numbers = [e.seq for e in world.heard if isinstance(e.body, Quote)]
        assert numbers == sorted(numbers)
        # and at a stop it ends in order
        world.until(lambda: world.newest(FeedState).problem == "", "health")
        assert world.stop(FEED) == 0
    # and what it decided can be judged again
    for path in sorted((tmp_path / "journal" / FEED).glob("*.journal")):
        records = journal.read(path)
        header = wire.header_decoder.decode(next(records)[1])
        decoder = wire.record_decoder(quotes.EDGE_MESSAGES)
        judged = rejudge(
            quotes, state_of(quotes, header), ((at, decoder.decode(raw)) for at, raw in records)
        )
        assert judged.difference is None


def test_the_feed_waits_for_a_tws_that_is_not_there_and_says_so(tmp_path: Path) -> None:
    with processes(tmp_path, instant_ns(DAY, 11)) as (world, _):
        world.start(FEED, TRADER__BROKER__PORT="1")
        world.until(
            lambda: (
                world.newest(FeedState) and "nothing listens" in world.newest(FeedState).problem
            ),
            "the reason",
        )
        assert not world.newest(FeedState).connected
        assert world.stop(FEED) == 0
