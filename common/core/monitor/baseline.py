"""The day's baseline: the position, its price and the equity that the daily stop is measured from.

Written once a session, at the open. Its price is the official opening print, else the first middle
of bid and ask, else the first price that the broker's own account tells.
"""

from __future__ import annotations

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
tells the open within a minute of a subscription or not at all. With delayed data none is due."""
NO_OPEN = "no official open: stricter of previous close and "
DELAYED = frozenset({"delayed", "delayed_frozen"})
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


def _baseline(state: State, now: Now, session: Session) -> BaselineSet | None:
    account, shares = state.account, state.shares
    assert account is not None
    assert shares is not None
    price: float | None = None
    source, labelled = "flat", ""
    if shares > 0:
        opening = state.opening
        if state.settings.stop.baseline == "previous_close":
            if state.closing is None or state.closing.day != session.previous_day:
                return None
            price, source = state.closing.close_usd, CLOSE
            paid_usd = _counted_a_share(state, session, shares)
            if paid_usd:
                price, labelled = price - paid_usd, f"less the distribution of ${paid_usd:,.2f}"
        elif opening is not None and opening.day == session.day:
            price = opening.price_usd
            source = "open" if opening.official else "first price"
            labelled = RETAKEN if opening.corrected else ""
            if since_open_ns(state, now, session) > LATE_START_NS:
                labelled = labelled or "rebuilt after a start in mid-session"
                if not opening.official:
                    price = _stricter(state, price)
                    labelled = f"{NO_OPEN}now"
        else:
            told = _told_by_account(state, now, session)
            if told is None:
                return None
            price, source = told.price_usd, "the broker's first price"
            if told.heard_ns - session.open_ns > LATE_START_NS:
                price = _stricter(state, price)
                labelled = f"{NO_OPEN}the broker's price"
        if _split_since(state, session, price):
            return None  # the share count has yet to follow
    equity = account.cash_usd + (shares * price if price is not None else 0.0)
    cap = state.settings.account.capital_usd_max
    return BaselineSet(
        day=session.day,
        baseline_usd=min(equity, cap) if cap > 0 else equity,
        shares=shares,
        price_usd=price,
        source=source,
        labelled=labelled,
        night_usd=_night_usd(state, session, shares, price),
    )


def _night_usd(state: State, session: Session, shares: int, price: float | None) -> float | None:
    closing = state.closing
    if price is None or closing is None or closing.day != session.previous_day:
        return None
    if rules.price_looks_split(price, closing.close_usd):
        return None  # told on another scale
    paid_usd = _counted_a_share(state, session, shares)
    return shares * (price + paid_usd - closing.close_usd)


def note_broker_price(
    state: State, now: Now, shares: int, price_usd: float | None, heard_ns: int
) -> None:
    """Keeps the first price that the account tells of what is held in a session, once its marks
    have had time to follow the open."""
    session, known = state.session, state.broker_open
    if session is None or (known is not None and known.day == session.day):
        return
    if shares != state.shares or shares <= 0:
        return
    wait_ns = int(state.settings.stop.opening_print_wait_s * SECOND_NS)
    opened = since_open_ns(state, now, session) >= wait_ns
    fresh = heard_ns - session.open_ns - state.clock_ahead_ns >= wait_ns
    if opened and fresh and now.market_ns < session.close_ns and shown_price(price_usd):
        assert price_usd is not None
        state.broker_open = BrokerPrice(session.day, price_usd, now.market_ns)


def _told_by_account(state: State, now: Now, session: Session) -> BrokerPrice | None:
    """The broker's own first price, where the feed has no opening price to tell: it has had its
    time, or its data is delayed and the open is not over there yet."""
    told, feed = state.broker_open, state.feed
    if told is None or told.day != session.day:
        return None
    in_time = told.heard_ns - session.open_ns <= LATE_START_NS
    if in_time and feed is not None and feed.kind in DELAYED:
        return told
    return told if now.market_ns - told.heard_ns >= NO_PRINT_NS else None


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
