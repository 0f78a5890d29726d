"""The gateway's own exit, for the time in which the stop monitor is silent.

The monitor says StopArmed every second while it lives. Once that has been silent for as long as
topology allows (3 s of host time) with a position held in the session, the gateway sells by itself:

- on a true breach: its own live price, or the broker's mark of what is held where that is missing
  or delayed, at or below the armed level in two samples a second apart;
- on a stop that has fired: StopHit was heard, and no exit has come for 3 s.

What it sends is an exit like any other, under the same limits and in the same one-cancels-all
group, numbered from `GUARD_FIRST` so that the monitor, when it is back, knows whose it is. It never
sells beside another exit of ours; one that ends unfilled is followed by the next a little later.
"""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from common.clock import SECOND_NS
from common.core import rules
from common.messages import (
    GUARD_FIRST,
    Message,
    Now,
    Order,
    Session,
    Silence,
    Started,
    StopArmed,
    StopHit,
    guards,
)
from common.settings import Settings

HIT_PATIENCE_NS = 3 * SECOND_NS
"""Host time that the monitor and the executor have for the exit of a stop that has fired."""
TRIES_MAX = 8
"""In a session; the n-th comes 2^n seconds after the one before at the earliest."""


class Guard(Struct):
    """What the gateway remembers of the stop, to keep it when nobody else does."""

    armed: StopArmed | None = None
    hit: StopHit | None = None
    hit_host_ns: int = 0
    served: StopHit | None = None
    """The newest that has been served; it may be told again."""
    silent: bool = False
    low_ns: int = 0
    """Market time of the first price at or below the level since the last one above it."""
    price_usd: float = 0.0
    price_ns: int = 0
    """Market time of the newest price that may be held against the level; 0: none."""
    live_ns: int = 0
    """Of the newest live price of our own; 0 when it is not live."""
    tries: int = 0
    tried_host_ns: int = 0
    day: date | None = None
    held_host_ns: int = 0
    """Since when something is held; 0: nothing is."""


class Sight(Struct):
    """What the gateway itself knows of the position at this instant."""

    shares: int
    """To sell: held for certain, less what others may sell."""
    held: int
    exiting: bool
    """An exit of ours is asked for, on its way or in doubt."""


def hear(guard: Guard, now: Now, message: Message) -> None:
    """Takes what other services say of the stop."""
    match message:
        case StopArmed():
            guard.armed, guard.low_ns = message, 0
        case StopHit() if message != guard.served:
            guard.hit, guard.hit_host_ns = message, now.host_ns
        case Silence(topic="StopArmed"):
            guard.silent = message.silent
        case Started():
            # host time may have started anew with the machine: every wait begins again
            guard.silent, guard.hit_host_ns, guard.tried_host_ns = False, now.host_ns, now.host_ns
            guard.held_host_ns = guard.held_host_ns and now.host_ns
            guard.low_ns = guard.price_ns = guard.live_ns = 0
        case _:
            pass


def take_price(guard: Guard, now: Now, price_usd: float, *, live: bool) -> None:
    """The gateway's own price; only a live one is held against the level."""
    if live:
        guard.live_ns = now.market_ns
        _see(guard, now, price_usd)
    elif guard.live_ns:
        guard.live_ns = guard.price_ns = guard.low_ns = 0


def take_mark(guard: Guard, now: Now, settings: Settings, shares: int, value_usd: float) -> None:
    """The broker's own value of what is held, about once a second: it serves where no live price
    of our own does, which with delayed data is always."""
    armed = guard.armed
    if armed is None or shares != armed.shares or shares <= 0 or value_usd <= 0:
        return
    if not _fresh(guard.live_ns, now, settings):
        _see(guard, now, value_usd / shares)


def _see(guard: Guard, now: Now, price_usd: float) -> None:
    guard.price_usd, guard.price_ns = price_usd, now.market_ns
    level = guard.armed.stop_price_usd if guard.armed is not None else None
    if level is None or price_usd > level or rules.price_looks_split(price_usd, level):
        guard.low_ns = 0
    elif not guard.low_ns:
        guard.low_ns = now.market_ns


def bought(guard: Guard) -> None:
    """A new position: what fired before is not its stop."""
    served(guard)
    guard.low_ns = 0


def holds(guard: Guard, now: Now, shares: int) -> None:
    """What is held now: a new position's stop has yet to be armed, which is no silence."""
    if shares <= 0:
        guard.held_host_ns = 0
    elif not guard.held_host_ns:
        guard.held_host_ns = now.host_ns


def served(guard: Guard) -> None:
    """Nothing is held any more: what fired has done its work."""
    if guard.hit is not None:
        guard.served, guard.hit = guard.hit, None


def sent(guard: Guard, now: Now, order: Order) -> None:
    """An exit of the guard has left."""
    if guard.day != order.day:
        guard.day, guard.tries = order.day, 0
    guard.tries += 1
    guard.tried_host_ns = now.host_ns


def found(guard: Guard, order: Order) -> None:
    """An exit of the guard that is not remembered: its number is used."""
    if guard.day is None or guard.day < order.day:
        guard.day, guard.tries = order.day, 0
    if guard.day == order.day:
        number = int(order.intent_id.rpartition("-")[2]) - GUARD_FIRST
        guard.tries = max(guard.tries, number + 1)


def blind(guard: Guard, now: Now, settings: Settings, session: Session, held: int) -> bool:
    """Nobody watches: the monitor is silent, shares are held, and there is no price for them."""
    from_ns = session.open_ns + HIT_PATIENCE_NS  # until then nothing may be priced yet
    in_session = from_ns <= now.market_ns < session.close_ns
    if not watches(guard, settings) or held <= 0 or not in_session:
        return False
    if 0 <= now.host_ns - guard.held_host_ns < HIT_PATIENCE_NS:
        return False
    return not _fresh(guard.price_ns, now, settings)


def watches(guard: Guard, settings: Settings) -> bool:
    """Whether the stop is the guard's to keep. With the stop off nothing is ever armed, and that
    is no silence."""
    return guard.silent and settings.stop.baseline != "off"


def due(guard: Guard, now: Now, settings: Settings, session: Session, sight: Sight) -> Order | None:
    """The exit to send now while it `watches`, or None. The caller still holds it against its
    limits."""
    if sight.exiting or sight.shares < 1:
        return None
    if not session.open_ns <= now.market_ns < session.close_ns:
        return None
    tries = guard.tries if guard.day == session.day else 0
    pause_ns = 2**tries * SECOND_NS
    if tries >= TRIES_MAX or (tries and 0 <= now.host_ns - guard.tried_host_ns < pause_ns):
        return None
    if not (_fired(guard, now, session) or _breached(guard, now, settings, session, sight)):
        return None
    armed = guard.armed
    price_usd = guard.price_usd or (armed.stop_price_usd if armed is not None else None)
    if not price_usd:
        return None
    return Order(
        intent_id=f"{session.day:%Y%m%d}-EXIT-{GUARD_FIRST + tries}",
        day=session.day,
        purpose="EXIT",
        reason="stop",
        action="SELL",
        shares=sight.shares,
        order_type="MKT",
        limit_usd=None,
        outside_rth=False,
        price_usd=price_usd,
        deadline_ns=session.close_ns,
    )


def _fired(guard: Guard, now: Now, session: Session) -> bool:
    hit = guard.hit
    if hit is None or hit.day != session.day:
        return False
    return not 0 <= now.host_ns - guard.hit_host_ns < HIT_PATIENCE_NS


def _breached(guard: Guard, now: Now, settings: Settings, session: Session, sight: Sight) -> bool:
    armed = guard.armed
    if armed is None or armed.day != session.day or armed.shares != sight.held:
        return False
    confirm_ns = int(settings.stop.confirm_s * SECOND_NS)
    confirmed = guard.low_ns > 0 and guard.price_ns - guard.low_ns >= confirm_ns
    return confirmed and _fresh(guard.price_ns, now, settings)


def _fresh(price_ns: int, now: Now, settings: Settings) -> bool:
    age_ns = now.market_ns - price_ns
    return price_ns > 0 and 0 <= age_ns <= int(settings.data.quote_age_s_max * SECOND_NS)


def acted(intent_id: str, day: date) -> bool:
    """Whether that order is an exit of the guard in that session."""
    return guards(intent_id) and intent_id.startswith(f"{day:%Y%m%d}-")
