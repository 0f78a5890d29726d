"""TWS comes up under another user: an account that this journal is not of. Nothing may reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common import topology
from common.messages import Resume, Unlock
from services.sim_tws.account import PORTFOLIO, Account
from tests.simulation.fault import NOTHING, Fault, Harm
from tests.simulation.person import RESUME_KEY, ask
from tests.simulation.tws import DATA_CLIENT, ORDERS_CLIENT
from tests.simulation.tws_faults import drop, roll_ids_back

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis

OTHER_ACCOUNT = "DU7654321"
RESTART_S = (1.0, 6.0)
TRIES = 40
"""Of the person, one a second: a gateway that is dead does not hear."""


def other_login(nemesis: Nemesis) -> Harm:
    """For a while; then the right user logs in again, and a person unlocks and resumes."""
    world, chance = nemesis.world, nemesis.chance
    tws = world.tws
    if tws.broker is not tws.home:
        return NOTHING
    other = Account(OTHER_ACCOUNT, 700_000.0, PORTFOLIO)
    shares = chance.choice((0, 300, int(tws.home.account.smh.shares)))
    if shares:
        other.trade(1, float(shares), tws.tape.mark(tws.market_ns), 0.0)
    tws.port_open = False
    tws.home.lose_staged()
    drop(nemesis, "TWS was closed", (ORDERS_CLIENT, DATA_CLIENT))

    def arrive() -> None:
        if nemesis.switched_off:  # nobody logs in before the machine is on again
            nemesis.lasts("other login", 1.0, arrive)
            return
        # a restart of TWS that ended meanwhile has opened the port
        drop(nemesis, "TWS was closed", (ORDERS_CLIENT, DATA_CLIENT))
        world.note(f"--- TWS has {OTHER_ACCOUNT}, which holds {shares}")
        tws.log_in(other)
        tws.port_open = True
        nemesis.lasts("other login", chance.choice((5.0, 15.0, 40.0)), leave)

    def leave() -> None:
        gateway = _gateway(nemesis)
        if gateway.link.up and gateway.mode != "LOCKED":
            world.fail("TWS has another account than the journal, and the gateway is not LOCKED")
        tws.port_open = False
        drop(nemesis, "TWS was closed", (ORDERS_CLIENT, DATA_CLIENT))
        nemesis.lasts("other login", chance.uniform(*RESTART_S), come_home)

    def come_home() -> None:
        drop(nemesis, "TWS was closed", (ORDERS_CLIENT, DATA_CLIENT))
        tws.log_in(None)
        roll_ids_back(nemesis)
        tws.port_open = True
        nemesis.lasts("other login", 3.0, lambda: _unlock(nemesis, TRIES))

    return chance.uniform(*RESTART_S), arrive


def _unlock(nemesis: Nemesis, tries: int) -> None:
    """`trader unlock`, then `trader resume`, until both are heard."""
    world, mode = nemesis.world, _gateway(nemesis).mode
    if mode == "ACTIVE" or not tries:
        return
    if mode == "LOCKED":
        ask(world, lambda now: Unlock(f"unlock-{now}", 0, "the person", "a test"),
            (topology.GATEWAY,))  # fmt: skip
    else:
        both = (topology.RISK, topology.GATEWAY)
        ask(world, lambda now: Resume(f"{RESUME_KEY}{now}", 0, "the person"), both)
    nemesis.lasts("other login", 1.0, lambda: _unlock(nemesis, tries - 1))


def _gateway(nemesis: Nemesis) -> Any:
    return nemesis.world.processes[topology.GATEWAY].engine.state


LOGINS = {"other login": Fault(1, other_login)}
