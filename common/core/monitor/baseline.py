"""The day's baseline: the position, its price and the equity that the daily stop is measured from.

Written once a session, at the open. Its price is the official opening print, else the first middle
of bid and ask, else the first price that the broker's own account tells; or the close of the day
before, where that is chosen and known.
"""

from __future__ import annotations

from typing import NamedTuple

from common.clock import SECOND_NS
from common.core import rules
from common.core.monitor.state import (
    SPLIT_DAYS,
    Baseline,
    BrokerPrice,
    State,
    of_session,
    shown_price,
    since_open_ns,
)
from common.core.monitor.stop import looks_like_split
from common.messages import BaselineSet, Now, Session

LATE_START_NS = 60 * SECOND_NS
NO_PRINT_NS = 75 * SECOND_NS
"""Market time that the feed is given for an opening price once the broker's account tells one: TWS
tells the open within a minute of a subscription or not at all. With delayed data none is due. A
close of the day before that is chosen and still unknown is awaited as long after the open."""
NEAR_FRACTION = 0.02
"""So near to the first the broker's second price bears it out."""
LATE_START = "rebuilt after a start in mid-session"
NO_OPEN = "no official open: stricter of previous close and "
DELAYED = frozenset({"delayed", "delayed_frozen"})
NO_CLOSE = "measured from the open: no close of the day before is known"
CLOSE = "previous close"
OF_THE_OPEN = ("open", "first price")
RETAKEN = "taken again: the opening print of before was none of the session's"


def due(state: State, now: Now) -> BaselineSet | None:
    """The session's baseline, once, when everything it is made of is there."""
    session, account = state.session, state.account
    choice = state.settings.stop.baseline
    if session is None or account is None or since_open_ns(state, now, session) < 0:
        return None
    if account.shares != state.shares or state.shares < 0:
        return None
    if state.shares == 0 and not of_session(state, account):
        return None  # nothing to protect, and its money may be another by now
    base = state.baseline
    if choice == "entry" and base is not None and state.shares > 0:
        return None
    if base is not None and base.day == session.day and not _taken_again(state, base):
        return None
    if now.market_ns >= session.close_ns:
        return None
    return _baseline(state, now, session)


class Measured(NamedTuple):
    """A price to measure the stop from, USD; where it comes from, and what a person should know."""

    price_usd: float
    source: str
    labelled: str = ""


def _baseline(state: State, now: Now, session: Session) -> BaselineSet | None:
    account, shares = state.account, state.shares
    assert account is not None
    assert shares is not None
    found = _measured(state, now, session, shares) if shares > 0 else None
    if shares > 0 and (found is None or _split_since(state, session, found.price_usd)):
        return None  # after a split the share count has yet to follow
    price = found.price_usd if found is not None else None
    equity = account.cash_usd + (shares * price if price is not None else 0.0)
    cap = state.settings.account.capital_usd_max
    return BaselineSet(
        day=session.day,
        baseline_usd=min(equity, cap) if cap > 0 else equity,
        shares=shares,
        price_usd=price,
        source=found.source if found is not None else "flat",
        labelled=found.labelled if found is not None else "",
        night_usd=_night_usd(state, session, shares, price),
    )


def _measured(state: State, now: Now, session: Session, shares: int) -> Measured | None:
    if state.settings.stop.baseline != "previous_close":
        return _of_open(state, session) or _of_account(state, now, session)
    closed = _of_close(state, session, shares)
    told_ns = state.broker_open.heard_ns if state.broker_open is not None else 0
    if closed is not None or now.market_ns - max(state.opening_ns, told_ns) < NO_PRINT_NS:
        return closed
    opened = _of_open(state, session) or _of_account(state, now, session)
    if opened is None:
        return None
    labelled = "; ".join(filter(None, (opened.labelled, NO_CLOSE)))
    return opened._replace(labelled=labelled)


def _of_close(state: State, session: Session, shares: int) -> Measured | None:
    closing = state.closing
    if closing is None or closing.day != session.previous_day:
        return None
    paid_usd = _counted_a_share(state, session, shares)
    labelled = f"less the distribution of ${paid_usd:,.2f}" if paid_usd else ""
    return Measured(closing.close_usd - paid_usd, CLOSE, labelled)


def _of_open(state: State, session: Session) -> Measured | None:
    opening = state.opening
    if opening is None or opening.day != session.day:
        return None
    source = "open" if opening.official else "first price"
    if state.opening_ns - state.clock_ahead_ns - session.open_ns <= LATE_START_NS:
        return Measured(opening.price_usd, source, RETAKEN if opening.corrected else "")
    if not opening.official:
        return Measured(_stricter(state, opening.price_usd), source, f"{NO_OPEN}now")
    return Measured(opening.price_usd, source, RETAKEN if opening.corrected else LATE_START)


def _of_account(state: State, now: Now, session: Session) -> Measured | None:
    """The broker's own first price, where the feed has no opening price to tell: it has had its
    time, or its data is delayed and the open is not over there yet."""
    told, feed = state.broker_open, state.feed
    if told is None or told.day != session.day or not told.borne_out:
        return None
    source, in_time = "the broker's first price", told.heard_ns - session.open_ns <= LATE_START_NS
    delayed = in_time and feed is not None and feed.kind in DELAYED
    if not delayed and now.market_ns - told.heard_ns < NO_PRINT_NS:
        return None
    if in_time:
        return Measured(told.price_usd, source)
    return Measured(_stricter(state, told.price_usd), source, f"{NO_OPEN}the broker's price")


def _night_usd(state: State, session: Session, shares: int, price: float | None) -> float | None:
    closing = state.closing
    if price is None or closing is None or closing.day != session.previous_day:
        return None
    if rules.price_looks_split(price, closing.close_usd):
        return None  # told on another scale
    paid_usd = _counted_a_share(state, session, shares)
    return shares * (price + paid_usd - closing.close_usd)


def note_broker_price(
    state: State, now: Now, shares: int, price_usd: float | None, heard_ns: int, *, borne_out: bool
) -> None:
    """Keeps the first price that the account tells of what is held in a session, once its marks
    have had time to follow the open. One that is not `borne_out` by itself can be as wild as a
    print, and waits for a second sample a second later, or gives way to it."""
    session, known = state.session, state.broker_open
    if session is None or shares != state.shares or shares <= 0:
        return
    known = known if known is not None and known.day == session.day else None
    if known is not None and known.borne_out:
        return
    wait_ns = int(state.settings.stop.opening_print_wait_s * SECOND_NS)
    opened = since_open_ns(state, now, session) >= wait_ns
    fresh = heard_ns - session.open_ns - state.clock_ahead_ns >= wait_ns
    told_usd = shown_price(price_usd)
    if told_usd is None or not (opened and fresh and now.market_ns < session.close_ns):
        return
    if known is None or abs(told_usd - known.price_usd) > NEAR_FRACTION * known.price_usd:
        state.broker_open = BrokerPrice(session.day, told_usd, now.market_ns, borne_out)
    elif borne_out or now.market_ns - known.heard_ns >= SECOND_NS:
        known.borne_out = True


def _taken_again(state: State, base: Baseline) -> bool:
    """Measured from a price of before the open, and the feed has the session's own by now; or from
    the whole close, and SMH's distribution was counted since."""
    opening = state.opening
    corrected = opening is not None and opening.corrected and opening.day == base.day
    early = corrected and base.source in OF_THE_OPEN and _untouched(state, base)
    counted = state.day is not None and state.day.counted_usd > 0
    return early or (counted and of_undiminished_close(state, base))


def of_undiminished_close(state: State, base: Baseline) -> bool:
    """Measured from the whole close of the day before, and nothing came of it so far."""
    return base.source == CLOSE and not base.labelled and _untouched(state, base)


def _untouched(state: State, base: Baseline) -> bool:
    """Once something was traded the baseline stays; it is taken again once."""
    traded = base.cash_flow_usd != 0 or base.shares != state.shares or base.recounted
    return not (base.retaken or traded or state.stop_fired)


def _counted_a_share(state: State, session: Session, shares: int) -> float:
    """SMH's own distribution on the session's day, as far as it was counted."""
    day = state.day
    return day.counted_usd / shares if day is not None and day.day == session.day else 0.0


def _stricter(state: State, price: float) -> float:
    """The higher of two prices: a higher baseline is the stricter stop."""
    closing = state.closing
    return max(price, closing.close_usd) if closing is not None else price


def _split_since(state: State, session: Session, price: float) -> bool:
    """The same for an opening price, as long as the last baseline is recent enough to tell and
    its share count still holds."""
    base = state.baseline
    if base is None or base.recounted or (session.day - base.day).days > SPLIT_DAYS:
        return False
    return looks_like_split(state, price)
