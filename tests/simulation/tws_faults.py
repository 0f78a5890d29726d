"""What goes wrong at TWS and on the way to it: connections, the link to IB, reports, orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.tws.link_messages import TwsError
from services.sim_tws.orders import Ticket
from tests.simulation.fault import NOTHING, STANDING, Fault, Harm
from tests.simulation.tws import DATA_CLIENT, LINK_BACK, LINK_BACK_LOST, LINK_LOST, ORDERS_CLIENT

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis


def connection_dies(nemesis: Nemesis) -> Harm:
    which = nemesis.chance.choice(((ORDERS_CLIENT,), (DATA_CLIENT,), (ORDERS_CLIENT, DATA_CLIENT)))
    drop(nemesis, "the connection was closed", which)
    return NOTHING


def ib_link_lost(nemesis: Nemesis) -> Harm:
    tws = nemesis.world.tws
    broker = tws.broker  # of the user who is logged in now
    if not broker.link_up:
        return NOTHING
    broker.lose_link()
    tell_all(nemesis, LINK_LOST, "Connectivity between IB and TWS has been lost.")
    code = nemesis.chance.choice((LINK_BACK, LINK_BACK_LOST))
    tells_missed = nemesis.chance.random() < 0.5

    def back() -> None:
        if code == LINK_BACK_LOST:
            tws.forget_subscriptions()
        tell_all(nemesis, code, "Connectivity between IB and TWS has been restored.")
        broker.restore_link(tells_missed)

    return nemesis.chance.choice((0.5, 4.0, 12.0, 25.0)), back


def tws_restart(nemesis: Nemesis) -> Harm:
    tws = nemesis.world.tws
    tws.port_open = False
    drop(nemesis, "TWS was closed", (ORDERS_CLIENT, DATA_CLIENT))

    tws.broker.lose_staged()

    def back() -> None:
        roll_ids_back(nemesis)
        tws.port_open = True

    return nemesis.chance.choice((1.0, 6.0, 20.0)), back


def tws_frozen(nemesis: Nemesis) -> Harm:
    tws = nemesis.world.tws
    if tws.frozen:
        return NOTHING
    tws.freeze()
    for pipe in tws.pipes.values():
        if pipe.alive:
            pipe.listener.notice_silence(pipe)  # type: ignore[attr-defined] # the hands have it
    return nemesis.chance.choice((1.0, 5.0, 9.0, 16.0)), tws.thaw


def half_open(nemesis: Nemesis) -> Harm:
    pipe = nemesis.world.tws.live(nemesis.chance.choice((ORDERS_CLIENT, DATA_CLIENT)))
    if pipe is not None:
        pipe.cut = True
        pipe.listener.notice_silence(pipe)  # type: ignore[attr-defined] # as above
    return 7.0, None


def tws_slow(nemesis: Nemesis) -> Harm:
    set_late(nemesis, nemesis.chance.choice((0.3, 1.0, 2.5)))
    return nemesis.chance.uniform(2, 10), lambda: set_late(nemesis, 0.0)


def commissions_late(nemesis: Nemesis) -> Harm:
    nemesis.world.tws.commissions_late_s = nemesis.chance.choice((0.5, 3.0, 9.0))
    return STANDING, lambda: setattr(nemesis.world.tws, "commissions_late_s", 0.0)


def executions_late(nemesis: Nemesis) -> Harm:
    """A status comes before the executions that explain it."""
    nemesis.world.tws.executions_late_s = nemesis.chance.choice((0.2, 1.0, 2.5))
    return STANDING, lambda: setattr(nemesis.world.tws, "executions_late_s", 0.0)


def reports_twice(nemesis: Nemesis) -> Harm:
    nemesis.world.tws.twice = True
    return STANDING, lambda: setattr(nemesis.world.tws, "twice", False)


def reject(nemesis: Nemesis) -> Harm:
    switches = nemesis.world.tws.switches
    switches.reject_code = nemesis.chance.choice((201, 201, 110, 10349))
    switches.reject_text = "Order rejected - reason:simulated"
    switches.rejects_left = nemesis.chance.choice((1, 1, 2, 3))
    return STANDING, lambda: setattr(switches, "rejects_left", 0)


def order_vanishes(nemesis: Nemesis) -> Harm:
    switches = nemesis.world.tws.switches
    switches.lose_orders = 1
    return STANDING, lambda: setattr(switches, "lose_orders", 0)


def harmless_notice(nemesis: Nemesis) -> Harm:
    switches = nemesis.world.tws.switches
    switches.notice_code = nemesis.chance.choice((10349, 399, 404, 161, 2109))
    switches.notice_text = "simulated notice"
    return STANDING, lambda: setattr(switches, "notice_code", 0)


def fill_beats_cancel(nemesis: Nemesis) -> Harm:
    nemesis.world.tws.switches.fill_beats_cancel = True
    return STANDING, lambda: setattr(nemesis.world.tws.switches, "fill_beats_cancel", False)


def execution_corrected(nemesis: Nemesis) -> Harm:
    broker = nemesis.world.tws.broker
    if broker.books.executions:
        old_usd = broker.books.executions[-1].price_usd
        broker.correct_last_execution(round(old_usd + nemesis.chance.choice((-0.02, 0.03)), 2))
    return NOTHING


def traded_by_hand(nemesis: Nemesis) -> Harm:
    """The owner trades in TWS, or IB liquidates."""
    tws = nemesis.world.tws
    tws.advance()
    held = int(tws.broker.account.smh.shares)
    buys = held <= 0 or nemesis.chance.random() < 0.3
    shares = (
        nemesis.chance.choice((1, 50)) if buys else nemesis.chance.randint(1, max(1, held // 2))
    )
    nemesis.traded_by_hand = True
    tws.broker.place_own(
        Ticket("BUY" if buys else "SELL", float(shares), "MKT"),
        liquidation=not buys and nemesis.chance.random() < 0.3,
    )
    tws.publish_account()
    return NOTHING


def drop(nemesis: Nemesis, why: str, client_ids: tuple[int, ...]) -> None:
    for client_id in client_ids:
        pipe = nemesis.world.tws.live(client_id)
        if pipe is not None:
            pipe.die(why, bytes_lost=nemesis.chance.random() < 0.5)


def tell_all(nemesis: Nemesis, code: int, text: str) -> None:
    for client_id in (ORDERS_CLIENT, DATA_CLIENT):
        pipe = nemesis.world.tws.live(client_id)
        if pipe is not None:
            pipe.tell(TwsError(-1, code, text))


def roll_ids_back(nemesis: Nemesis) -> None:
    books = nemesis.world.tws.broker.books
    back = nemesis.chance.choice((0, 0, 1, 2, 5))
    for client_id in books.last_order_id:
        books.last_order_id[client_id] = max(0, books.last_order_id[client_id] - back)


def set_late(nemesis: Nemesis, late_s: float) -> None:
    nemesis.world.tws.late_s = late_s
    for pipe in nemesis.world.tws.pipes.values():
        pipe.late_s = late_s


TWS: dict[str, Fault] = {
    "connection_dies": Fault(5, connection_dies),
    "ib_link_lost": Fault(8, ib_link_lost),
    "tws_restart": Fault(6, tws_restart),
    "tws_frozen": Fault(5, tws_frozen),
    "half_open": Fault(4, half_open),
    "tws_slow": Fault(4, tws_slow),
    "commissions_late": Fault(4, commissions_late),
    "executions_late": Fault(4, executions_late),
    "reports_twice": Fault(4, reports_twice),
    "reject": Fault(5, reject),
    "order_vanishes": Fault(3, order_vanishes),
    "harmless_notice": Fault(2, harmless_notice),
    "fill_beats_cancel": Fault(2, fill_beats_cancel),
    "execution_corrected": Fault(2, execution_corrected),
    "traded_by_hand": Fault(2, traded_by_hand),
}
