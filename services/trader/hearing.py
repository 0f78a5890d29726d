"""Hears the bus: fills a picture for `status`, or gives every fact as it comes for `tail`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from common import topology, wire
from common.bus import Bus
from common.clock import SECOND_NS, host_ns
from common.messages import Recap
from services.trader.picture import Picture

WINDOW_S = 1.5
"""Host seconds: longer than the second after which every kept fact has been said again."""


def fill(bus: Bus, picture: Picture, window_s: float = WINDOW_S) -> None:
    """Listens for `window_s` of host time; asks every speaker once for its session's facts."""
    unasked = set(picture.expected)
    end_ns = host_ns() + int(window_s * SECOND_NS)
    while (left_ns := end_ns - host_ns()) > 0:
        unasked -= {speaker for speaker in unasked if bus.ask(speaker, _recap(speaker))}
        bus.wait(min(left_ns / SECOND_NS, 0.1))
        for envelope in facts(bus):
            picture.hear(envelope.speaker, envelope.body, host_ns())


def facts(bus: Bus) -> Iterator[wire.Envelope[Any]]:
    """The facts that wait on the bus, from speakers that topology lets say them."""
    for kind, _, frame in bus.heard():
        if kind != "fact":
            continue
        try:
            envelope = wire.decode_fact(frame)
        except wire.WireError:
            continue  # the services count and log what is malformed; a person only looks on
        if topology.speaks(envelope.speaker, type(envelope.body)):
            yield envelope


def frames(bus: Bus) -> Iterator[bytes]:
    """The frames of facts that wait on the bus, undecoded and unchecked."""
    return (frame for kind, _, frame in bus.heard() if kind == "fact")


def _recap(speaker: str) -> bytes:
    recap = Recap(key=f"recap-{topology.TRADER}-{speaker}", deadline_ns=0)
    return wire.encode(wire.Envelope(wire.WIRE_VERSION, topology.TRADER, 0, 0, 0, 0, recap))
