"""When the account, the instrument and the price are asked for again over a sound connection.

TWS does not answer every question, and after a reset it may go on with a subscription in name only
(reported by users after 1102). No exit leaves without the instrument, no entry without the account,
and without a price the guard is blind, as the stop monitor is beside delayed or wide quotes without
the broker's profit and loss: so what stays out is asked for again, as often as does no harm.
"""

from __future__ import annotations

from common.clock import SECOND_NS
from common.core.gateway.state import State, seconds_since
from common.messages import Now

ASK_AGAIN_S = 3.0
"""Host seconds after a question on the instrument or the account has run out of time."""
PRICE_SILENCE_S = 30.0
"""Market and host seconds in the session without an own price, or without the profit and loss of a
position: SMH has several quotes a second, and IB's word on a position comes every second."""
PRICE_PAUSE_S = 60.0
"""Host seconds between two subscriptions because of it."""
ACCOUNT_SILENCE_S = 240.0
"""Market seconds since the account was told last. IB looks at it every three minutes and tells what
has changed: of an account that holds cash alone, nothing."""


def due(state: State, now: Now) -> bool:
    """Whether to subscribe once more, beside what LinkUp and TWS's own words ask for."""
    link = state.link
    if not link.healthy:
        return False
    pause_s = PRICE_PAUSE_S
    if link.instrument or not link.refreshed:
        pause_s = state.settings.broker.request_timeout_s + ASK_AGAIN_S
    elif not (
        _silent(state, now, state.price_market_ns, state.price_host_ns)
        or (state.held_proven > 0 and _silent(state, now, state.pnl_market_ns, state.pnl_host_ns))
    ):
        return False
    return not 0 <= seconds_since(now, link.subscribed_host_ns) <= pause_s


def account_due(state: State, now: Now) -> bool:
    """Whether to ask for the account alone once more: no baseline and no entry without a fresh one.
    As often as it is answered; else as seldom as the price."""
    link, account = state.link, state.account
    if not link.healthy or link.instrument or not link.refreshed or account is None:
        return False
    if 0 <= now.market_ns - account.refreshed_ns <= ACCOUNT_SILENCE_S * SECOND_NS:
        return False
    answered = state.account_host_ns > link.account_asked_host_ns
    return answered or not 0 <= seconds_since(now, link.account_asked_host_ns) <= PRICE_PAUSE_S


def _silent(state: State, now: Now, heard_market_ns: int, heard_host_ns: int) -> bool:
    """Whether nothing came for so long in the session."""
    session = state.session
    if session is None or not session.open_ns <= now.market_ns < session.close_ns:
        return False
    age_ns = now.market_ns - max(heard_market_ns, session.open_ns)
    old = not 0 <= age_ns <= PRICE_SILENCE_S * SECOND_NS
    return old and not 0 <= seconds_since(now, heard_host_ns) <= PRICE_SILENCE_S
