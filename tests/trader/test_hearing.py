"""What is on the bus is heard: for one look, or line by line."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from common import messages as m
from common import topology, wire
from common.bus import Bus
from services.trader import hearing, tail
from services.trader.exit_codes import CommandError
from services.trader.picture import Picture
from tests.trader import facts
from tests.trader.stage import Speaker, heartbeat, speaking


def test_one_look_hears_who_speaks_and_names_who_is_silent(tmp_path: Path) -> None:
    picture = Picture(expected=("risk_monitor", "broker_gateway"))
    with speaking(Speaker("risk_monitor", tmp_path, [heartbeat(42), facts.RISK])):
        bus = Bus(topology.TRADER, tmp_path)
        hearing.fill(bus, picture, window_s=0.5)
        bus.close()
    assert picture.beats["risk_monitor"].heartbeat.pid == 42
    assert picture.last(m.RiskState) == facts.RISK
    assert picture.silent == ("broker_gateway",)


def test_a_fact_from_the_wrong_mouth_is_not_believed(tmp_path: Path) -> None:
    picture = Picture(expected=("market_feed",))
    with speaking(Speaker("market_feed", tmp_path, [facts.LATCH, facts.FEED])):
        bus = Bus(topology.TRADER, tmp_path)
        hearing.fill(bus, picture, window_s=0.5)
        bus.close()
    assert picture.last(m.FeedState) == facts.FEED
    assert picture.last(m.HaltLatch) is None


def test_tail_tells_what_is_said_again_and_again_once(tmp_path: Path) -> None:
    with speaking(Speaker("signal_engine", tmp_path, [facts.SIGNAL, facts.TARGET])):
        bus = Bus(topology.TRADER, tmp_path)
        heard = list(itertools.islice(tail.news(bus, tail.kinds_of([])), 2))
        bus.close()
    assert {envelope.body for envelope in heard} == {facts.SIGNAL, facts.TARGET}


def test_tail_raw_needs_no_schema(tmp_path: Path) -> None:
    with speaking(Speaker("signal_engine", tmp_path, [facts.SIGNAL])):
        bus = Bus(topology.TRADER, tmp_path)
        topic, envelope = next(tail.raw(bus, tail.kinds_of(["Signal"])))
        bus.close()
    assert topic == "Signal"
    assert envelope[1] == "signal_engine"
    assert envelope[-1][0] == "Signal"


def test_a_repeat_is_not_news_and_a_new_epoch_is() -> None:
    news = tail.News()

    def said(epoch: int, seq: int) -> wire.Envelope[m.Message]:
        return wire.Envelope(1, "signal_engine", epoch, seq, 0, facts.NOW_NS, facts.SIGNAL)

    assert [news.is_new(said(*place)) for place in ((1, 5), (1, 5), (1, 6), (2, 1))] == [
        True, False, True, True,
    ]  # fmt: skip


def test_an_unknown_topic_names_those_that_exist() -> None:
    with pytest.raises(CommandError, match="no topic Quotes; there are: Quote, "):
        tail.kinds_of(["Quotes"])


def test_the_busiest_topics_are_told_only_when_named() -> None:
    assert m.Quote not in tail.kinds_of([])
    assert tail.kinds_of(["quote"]) == {m.Quote}


def test_a_line_reads_without_a_manual() -> None:
    envelope = wire.Envelope(1, "broker_gateway", 1, 1, 0, facts.NOW_NS, facts.LINK)
    assert tail.line(envelope) == (
        "2025-06-02 15:48:03.000 ET  broker_gateway  BrokerLink      "
        "ready, port 7497, account DU***67"
    )


def test_json_hides_the_account_too() -> None:
    envelope = wire.Envelope(1, "broker_gateway", 1, 1, 0, facts.NOW_NS, facts.LINK)
    assert tail.as_json(envelope)["fact"]["account"] == "DU***67"
