"""A TWS whose bytes make no sense: its connection is given up, its books are asked for again."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest

from common.messages import BrokerLink, BrokerNotice
from common.settings import Broker
from common.tws.connection import FRAME_BYTES_MAX
from tests.fuzz.hostile_tws import Proxy
from tests.fuzz.mutations import framed
from tests.fuzz.target import resident_mb
from tests.tws.gateway_world import Gateway
from tests.tws.test_gateway_on_tws import World, play


async def behind(world: World, folder: Path) -> tuple[Gateway, Proxy]:
    """A gateway that is ready, and the proxy that may speak in its TWS's name."""
    proxy = Proxy(world.tws.port)
    await proxy.start()
    broker = Broker(port=proxy.port, frozen_after_s=1.0, request_timeout_s=1.0)
    gateway = Gateway(world.settings(broker=broker), world.clock, folder)
    await gateway.start()
    await gateway.until_link("ready")
    return gateway, proxy


def test_an_endless_message_is_given_up_at_once_and_memory_stays_bounded(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        gateway, proxy = await behind(w, tmp_path)
        try:
            before, said = resident_mb(), len(gateway.said)
            await proxy.say(struct.pack(">I", 0xFFFFFFFF) + b"x" * 100)
            await gateway.until(
                lambda: any(
                    isinstance(fact, BrokerLink) and "the stream is broken" in fact.reason
                    for fact in gateway.said[said:]
                ),
                "the stream to be given up",
            )
            await gateway.until_link("ready")
            assert proxy.connections == 2
            await proxy.say(struct.pack(">I", FRAME_BYTES_MAX) + bytes(FRAME_BYTES_MAX - 1))
            await asyncio.sleep(0)
            assert resident_mb() - before < 50
        finally:
            await gateway.stop()
            await proxy.stop()

    play(tmp_path, story)


@pytest.mark.parametrize(
    "unreadable",
    [b"11\0-1\0garbled\0", b"5\0" + b"x\0" * 30, b"3\0one\0Filled\0", b"61\0" + b"1\0nan\0"],
    ids=["execution", "open order", "status", "position"],
)
def test_what_cannot_be_read_is_said_and_the_books_are_compared_again(
    tmp_path: Path, unreadable: bytes
) -> None:
    """The library's decoder swallows it: a fill could be lost that way."""

    async def story(w: World) -> None:
        gateway, proxy = await behind(w, tmp_path)
        try:
            taken = gateway.state.snapshots.number
            for _ in range(3):
                await proxy.say(framed(unreadable))
            await gateway.until(lambda: gateway.newest(BrokerNotice) is not None, "a word on it")
            assert "cannot be read" in gateway.newest(BrokerNotice).text
            await gateway.until(lambda: gateway.state.snapshots.number > taken, "a comparison")
            await gateway.until_link("ready")
            assert len(gateway.all(BrokerNotice)) == 1, "once, however often it comes"
        finally:
            await gateway.stop()
            await proxy.stop()

    play(tmp_path, story)
