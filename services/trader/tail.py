"""`trader tail`: the bus, live, one fact a line. `--raw` decodes with plain msgpack, no schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgpack

from common import messages as m
from common import wire
from common.bus import Bus
from services.trader import hearing
from services.trader.exit_codes import CommandError, ExitCode
from services.trader.sentences import sentence
from services.trader.wording import market_time, named, utc_time

TOPICS: dict[str, type[m.Message]] = {fact.__name__: fact for fact in m.FACTS}
UNASKED = frozenset(
    {m.Heartbeat, m.Quote, m.VixLevel, m.Equity, m.BrokerPnl, m.AccountSnapshot, m.Pace}
)
"""Too many to read along; shown only when named."""


def kinds_of(topics: list[str]) -> frozenset[type[m.Message]]:
    """The facts that the named topics mean (any case); all but the busiest when none is named."""
    by_name = {name.lower(): kind for name, kind in TOPICS.items()}
    unknown = [topic for topic in topics if topic.lower() not in by_name]
    if unknown:
        raise CommandError(
            ExitCode.USAGE, f"no topic {', '.join(unknown)}; there are: {', '.join(TOPICS)}"
        )
    if not topics:
        return frozenset(TOPICS.values()) - UNASKED
    return frozenset(by_name[topic.lower()] for topic in topics)


class News:
    """Tells a fact that is new from one that is only said again."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, type[Any]], tuple[int, int]] = {}

    def is_new(self, envelope: wire.Envelope[Any]) -> bool:
        if envelope.seq == 0:
            return True
        topic = (envelope.speaker, type(envelope.body))
        place = (envelope.epoch, envelope.seq)
        epoch, seq = self._newest.get(topic, (0, 0))
        if epoch == envelope.epoch and envelope.seq <= seq:
            return False
        self._newest[topic] = place
        return True


def news(bus: Bus, kinds: frozenset[type[m.Message]]) -> Iterator[wire.Envelope[Any]]:
    """New facts of the wanted kinds, for ever; what is kept is told within a second."""
    told = News()
    while True:
        bus.wait(0.2)
        for envelope in hearing.facts(bus):
            if type(envelope.body) in kinds and told.is_new(envelope):
                yield envelope


def raw(bus: Bus, kinds: frozenset[type[m.Message]]) -> Iterator[tuple[str, Any]]:
    """Topic and envelope of every frame as plain msgpack sees them, repeats included."""
    wanted = {kind.__name__ for kind in kinds}
    while True:
        bus.wait(0.2)
        for frame in hearing.frames(bus):
            topic, _, rest = frame.partition(b"\0")
            if topic.decode(errors="replace") in wanted:
                yield topic.decode(), msgpack.unpackb(rest, strict_map_key=False)


def lines(bus: Bus, kinds: frozenset[type[m.Message]]) -> Iterator[str]:
    """New facts as a person reads them; one that reads as the last of its kind is left out."""
    last: dict[tuple[str, type[Any]], str] = {}
    for envelope in news(bus, kinds):
        topic = (envelope.speaker, type(envelope.body))
        text = sentence(envelope.body)
        if last.get(topic) != text:
            last[topic] = text
            yield line(envelope)


def json_lines(bus: Bus, kinds: frozenset[type[m.Message]]) -> Iterator[str]:
    """Every new fact as a line of JSON."""
    for envelope in news(bus, kinds):
        yield json.dumps(as_json(envelope))


def line(envelope: wire.Envelope[Any]) -> str:
    """A fact as a person reads it."""
    at = market_time(envelope.market_ns, millis=True)
    topic = type(envelope.body).__name__
    return f"{at}  {envelope.speaker:<14}  {topic:<14}  {sentence(envelope.body)}"


def as_json(envelope: wire.Envelope[Any]) -> dict[str, Any]:
    """A fact as a program reads it."""
    return {
        "market_time": utc_time(envelope.market_ns),
        "speaker": envelope.speaker,
        "topic": type(envelope.body).__name__,
        "seq": envelope.seq,
        "fact": named(envelope.body),
    }
