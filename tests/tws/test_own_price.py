"""The gateway's own price, as its edge hears it."""

from __future__ import annotations

import asyncio

from common.clock import SECOND_NS
from common.messages import Message
from common.settings import Settings
from common.tws.gateway_edge import ASK, BID, GatewayEdge
from common.tws.messages import OwnPrice

REQUEST = 7


class _Clock:
    def __init__(self) -> None:
        self.ns = 1_700_000_000 * SECOND_NS

    def now_ns(self) -> int:
        return self.ns


def test_a_wall_clock_that_is_set_back_does_not_silence_the_own_price() -> None:
    assert asyncio.run(_told_after_a_step_back()) == [400.0, 390.0]


async def _told_after_a_step_back() -> list[float]:
    heard: list[Message] = []
    clock = _Clock()
    edge = GatewayEdge(Settings(), clock, heard.append)
    edge._at.price_request = REQUEST
    for usd, step_s in ((400.0, 0), (390.0, -600)):
        clock.ns += step_s * SECOND_NS
        edge._at.prices.clear()
        edge._on_priceSizeTick(REQUEST, BID, usd, 100.0)
        edge._on_priceSizeTick(REQUEST, ASK, usd, 100.0)
    await asyncio.sleep(0)
    return [message.price_usd for message in heard if isinstance(message, OwnPrice)]
