"""A market that nearly nobody trades in: wide quotes, and prints seconds or minutes apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.fault import NOTHING, Fault, Harm
from tests.simulation.market import Wide
from tests.simulation.timeline import seconds

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis


def wide_quotes(nemesis: Nemesis) -> Harm:
    tws, chance = nemesis.world.tws, nemesis.chance
    market = tws.market
    if market.wide is not None:
        return NOTHING
    tws.advance()
    every_s = chance.choice((0.5, 1.5, 3.0, 4.8, 12.0, 45.0))
    fraction, odd = chance.choice((0.0015, 0.003, 0.008)), chance.choice((0.0, 0.0, -0.01, -0.03))
    market.wide = Wide(tws.market_ns, fraction, seconds(every_s), odd)
    nemesis.world.note(f"--- {market.wide}")

    def narrow() -> None:
        tws.advance()
        market.wide = None

    return chance.choice((10.0, 25.0, 50.0)), narrow


QUOTES = {"wide quotes": Fault(1, wide_quotes)}
