"""Runs without live data, permissions that change on the way, and how IB tells PnL meanwhile.

With delayed data signal and entry go by prices a quarter of an hour old, the stop by IB's word on
the position's profit and loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from common.clock import SECOND_NS
from services.sim_tws.market import VIX
from tests.simulation.fault import NOTHING, STANDING, Fault, Harm
from tests.simulation.permissions import REFUSALS
from tests.simulation.tws import DATA_CLIENT, ORDERS_CLIENT
from tests.simulation.tws_faults import drop

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis
    from tests.simulation.world import World

SYMBOLS = (("SMH",), (VIX,), ("SMH", VIX))
BLIND_S = 20.0
"""Host time without any look at the position after which its page must stand; the system gives a
quote 5 s and IB's profit and loss 15 s."""
CALM_S = 15.0


def no_live_data(nemesis: Nemesis) -> Harm:
    """From the start of the run; what is delayed may change later, and PnL may be told badly."""
    tws, chance = nemesis.world.tws, nemesis.chance
    symbols = chance.choices(SYMBOLS, (3, 1, 5))[0]
    permissions = tws.permissions
    permissions.delayed, permissions.refusal = set(symbols), chance.choice(REFUSALS)
    nemesis.world.note(f"--- {permissions.words}")
    if chance.random() < 0.3:
        nemesis.also(CHANGES)
    if chance.random() < 0.5:
        nemesis.also(PNL)
    if chance.random() < 0.12:
        tws.pnl.silent = True
        nemesis.world.note("--- PnL is silent for the whole run")
        return STANDING, lambda: setattr(tws.pnl, "silent", False)
    return NOTHING


def permission_changes(nemesis: Nemesis) -> Harm:
    """It is lost or gained, and learned of at a new connection."""
    permissions, chance = nemesis.world.tws.permissions, nemesis.chance
    permissions.delayed ^= set(chance.choice(SYMBOLS))
    permissions.refusal = chance.choice(REFUSALS)
    nemesis.world.note(f"--- {permissions.words}")
    drop(nemesis, "TWS logged in again", (ORDERS_CLIENT, DATA_CLIENT))
    return NOTHING


def part_permitted(nemesis: Nemesis) -> Harm:
    """Live prices come, and TWS says that part of the data is not permitted."""
    nemesis.world.tws.permissions.in_part = nemesis.chance.choice(REFUSALS[-2:])
    drop(nemesis, "the socket broke", (DATA_CLIENT,))
    return NOTHING


def competing_session(nemesis: Nemesis) -> Harm:
    """Another session of this login takes the data; the feed asks again a minute later."""
    tws = nemesis.world.tws
    tws.compete()
    return nemesis.chance.choice((3.0, 20.0, 45.0)), lambda: setattr(
        tws.permissions, "competing", False
    )


def pnl_pauses(nemesis: Nemesis) -> Harm:
    pnl = nemesis.world.tws.pnl
    if pnl.silent:
        return NOTHING
    pnl.silent = True
    return nemesis.chance.choice((3.0, 8.0, 20.0, 40.0)), lambda: setattr(pnl, "silent", False)


def _standing(name: str, values: tuple[float, ...]) -> Callable[[Nemesis], Harm]:
    def begin(nemesis: Nemesis) -> Harm:
        pnl = nemesis.world.tws.pnl
        setattr(pnl, name, nemesis.chance.choice(values))
        nemesis.world.note(f"--- {pnl}")
        return STANDING, lambda: setattr(pnl, name, 0.0)

    return begin


def wild_pnl(nemesis: Nemesis) -> Harm:
    nemesis.world.tws.pnl.wild = nemesis.chance.choice((-0.3, -0.03, -0.02, 0.04))
    return NOTHING


DELAYED = {"no live data": Fault(1, no_live_data)}
CHANGES = {
    "data permission changes": Fault(4, permission_changes),
    "part of live data permitted": Fault(1, part_permitted),
    "competing session": Fault(3, competing_session),
}
PNL = {
    "pnl pauses": Fault(3, pnl_pauses),
    "pnl is late": Fault(2, _standing("late_s", (2.0, 4.0, 8.0))),
    "pnl of an old count": Fault(2, _standing("old_count_s", (2.0, 10.0, 30.0))),
    "wild pnl": Fault(3, wild_pnl),
}


class Sight:
    """Looks at every beat whether the stop says that it cannot see just when it cannot."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._fine_ns = 0

    def look(self) -> None:
        world, tws = self._world, self._world.tws
        now_ns, held = world.timeline.host_ns, tws.home.account.smh.shares
        told_ns = max(tws.live_told_host_ns, tws.pnl_told_host_ns)
        to_see = now_ns - told_ns < BLIND_S * SECOND_NS
        session = tws.tape.session(tws.market_ns)
        shut = session is None or not session.open_ns <= tws.market_ns < session.close_ns
        troubled = world.nemesis.troubled_since(self._fine_ns, but="pnl pauses")
        off = world.settings.stop.baseline == "off"
        if to_see != ("blind" in world.pages) or shut or off or held < 1 or troubled:
            self._fine_ns = now_ns
        elif now_ns - self._fine_ns > CALM_S * SECOND_NS:
            why = "and it says that it is blind" if to_see else "and no page says so"
            price = "a price is told" if to_see else "nothing tells their price"
            world.fail(f"{held:g} shares held, {price}, {why}")
