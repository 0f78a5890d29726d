"""What goes wrong in the market and in the account, and what a person does to both."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tests.oracle import facts as f
from tests.simulation.fault import NOTHING, Fault, Harm
from tests.simulation.person import flattens, halts

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis


def wild_print(nemesis: Nemesis) -> Harm:
    tws = nemesis.world.tws
    where = nemesis.chance.choice(("last", "bid", "ask", "quote", "all"))
    percent = nemesis.chance.choice((-30.0, -9.0, -3.0, -1.0, 2.0, 12.0))
    tws.tape.inject("SMH", tws.market_ns, percent, where)
    return NOTHING


def bad_ticks(nemesis: Nemesis) -> Harm:
    nemesis.world.tws.bad_tick = nemesis.chance.choice((math.nan, -1.0, 0.0, 1e9, math.inf))
    return nemesis.chance.uniform(0.3, 4), lambda: setattr(nemesis.world.tws, "bad_tick", None)


def quotes_stop(nemesis: Nemesis) -> Harm:
    switches = nemesis.world.tws.switches
    switches.quotes_frozen = True
    return nemesis.chance.choice((1.0, 4.0, 9.0, 20.0)), lambda: setattr(
        switches, "quotes_frozen", False
    )


def trading_halt(nemesis: Nemesis) -> Harm:
    tws = nemesis.world.tws
    tws.advance()
    tws.tape.halted = True

    def resume() -> None:
        tws.advance()
        tws.tape.halted = False
        tws.broker.exchange.sweep()

    return nemesis.chance.choice((2.0, 8.0, 20.0)), resume


def money_moved(nemesis: Nemesis) -> Harm:
    amount = nemesis.chance.choice((-200_000.0, -30_000.0, 5_000.0, 100_000.0, 1_000_000.0))
    world = nemesis.world
    world.account.move_cash(amount)
    world.witness.note(f.MoneyMoved(*world.witness.head(0, 0), amount))
    return NOTHING


def margin_raised(nemesis: Nemesis) -> Harm:
    nemesis.world.account.stress_rate = nemesis.chance.choice((0.2, 0.3))
    return NOTHING


MARKET: dict[str, Fault] = {
    "wild_print": Fault(5, wild_print),
    "bad_ticks": Fault(3, bad_ticks),
    "quotes_stop": Fault(4, quotes_stop),
    "trading_halt": Fault(3, trading_halt),
    "money_moved": Fault(2, money_moved),
    "margin_raised": Fault(2, margin_raised),
    "person_halts": Fault(2, halts),
    "person_flattens": Fault(2, flattens),
}
