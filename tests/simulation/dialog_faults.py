"""TWS holds an order back and asks its user (precautionary settings): no book knows it, no word is
said, until a person sends it, discards it, or never looks."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Literal

from common import topology
from services.sim_tws.tape import Phase
from tests.simulation.fault import STANDING, Fault, Harm
from tests.simulation.timeline import seconds

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis

DIES_SHARE = 0.3
"""Of the runs: the gateway dies a second after a dialog is shown. Drawn for itself."""
ANSWER_S = (2.0, 8.0, 30.0, 75.0, 110.0)
PAGED_WITHIN_S = 15.0
"""Host time in which somebody has been told of an order that TWS says nothing about."""
PAGES = ("dialog-", "unacknowledged ", "unknown ", "breached")


def dialogs(nemesis: Nemesis) -> Harm:
    """The next order or two; whoever is asked answers to both."""
    tws, chance = nemesis.world.tws, nemesis.chance
    tws.switches.hold_orders = chance.choice((1, 1, 2))
    answer: Answer = chance.choices(("send", "discard", "forget"), (6, 2, 2))[0]
    answer_s = chance.choice(ANSWER_S)
    dies = Random(f"{nemesis.world.seed} death beside a dialog").random() < DIES_SHARE

    def shown() -> None:
        nemesis.world.injected["held orders"] += 1
        nemesis.world.note(f"--- TWS shows a dialog; {answer} after {answer_s:g} s")
        if dies:
            nemesis.world.timeline.after(1.0, lambda: _kill_gateway(nemesis))
        if len(tws.broker.dialogs) == 1:
            nemesis.lasts("dialog", answer_s, lambda: _answer(nemesis, answer))
            _is_paged(nemesis)

    def end() -> None:
        tws.switches.hold_orders, tws.on_dialog = 0, None

    tws.on_dialog = shown
    return STANDING, end


def _kill_gateway(nemesis: Nemesis) -> None:
    gateway = nemesis.world.processes[topology.GATEWAY]
    if gateway.up:
        gateway.kill("kill -9")


Answer = Literal["send", "discard", "forget"]


def _answer(nemesis: Nemesis, answer: Answer) -> None:
    tws = nemesis.world.tws
    tws.advance()
    nemesis.world.note(f"--- dialogs: {answer}")
    if answer == "forget" or tws.tape.phase(tws.market_ns) is not Phase.REGULAR:
        tws.broker.dialogs.clear()  # nobody sends a day's order after the day
    else:
        tws.broker.answer_dialogs(send=answer == "send")
        tws.publish_account()


def _is_paged(nemesis: Nemesis) -> None:
    """Promise 6: that nobody answers is told, unless it is answered or something else is wrong."""
    world, from_ns = nemesis.world, nemesis.world.timeline.host_ns

    def look() -> None:
        waits = world.tws.broker.dialogs and world.tws.broker.link_up
        told = any(ns >= from_ns and code.startswith(PAGES) for code, ns in world.paged_ns.items())
        if waits and not told and not nemesis.troubled_since(from_ns, but="dialog"):
            world.fail(f"an order waits in a dialog for {PAGED_WITHIN_S:g} s and nobody is told")

    world.timeline.at(from_ns + seconds(PAGED_WITHIN_S), look)


DIALOGS = {"dialogs": Fault(1, dialogs)}
