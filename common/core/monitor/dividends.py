"""Dividends: what accrues explains net liquidation, and what SMH itself pays is no loss of SMH.

The price falls by SMH's own distribution on its ex-date, so a stop that is measured from before it
gets it credited. The feed tells it by the broker's two closes, the account by what accrued since
the evening: either alone is a guess (a stale close, another holding's dividend), so what both
tell counts, and no more.
"""

from __future__ import annotations

from common.core import rules
from common.core.monitor import baseline
from common.core.monitor.state import State
from common.messages import AccountSnapshot, DistributionCounted


def take_accrued(state: State, account: AccountSnapshot) -> None:
    """Dividends that accrued since the last account: net liquidation holds them from now on. After
    a session's close they are the next one's: which session that is may be told later."""
    accrued_usd = account.accrued_dividends_usd
    if accrued_usd is None:
        return  # the row is not told: nothing is known, nothing explained
    before_usd, base, session, day = state.accrued_usd, state.baseline, state.session, state.day
    state.accrued_usd = accrued_usd
    if before_usd is None:
        return
    newly_usd = rules.newly_accrued(before_usd, accrued_usd)
    if session is not None and day is not None:
        if account.refreshed_ns < session.close_ns:
            day.accrued_usd += newly_usd
        else:
            day.evening_usd += newly_usd
    if base is not None and base.anchor is not None:
        base.anchor.net_liquidation_usd += newly_usd


def due(state: State) -> DistributionCounted | None:
    """What SMH pays today on the shares held over the night, where it is more than was counted."""
    session, day, paid, account = state.session, state.day, state.distribution, state.account
    if session is None or day is None or paid is None or account is None:
        return None
    if not session.day == day.day == paid.day or account.shares != state.shares:
        return None
    if state.stop_fired or not _measured_before(state):
        return None
    shares = min(day.overnight_shares, state.shares)
    counted_usd = rules.distribution_counted(paid.distribution_usd, shares, day.accrued_usd)
    if counted_usd - day.counted_usd < rules.CENT_USD:
        return None
    return DistributionCounted(session.day, paid.distribution_usd, counted_usd)


def _measured_before(state: State) -> bool:
    """Whether the stop is measured from a price of before the ex-date's open, or will be."""
    base, session = state.baseline, state.session
    if base is None or session is None:
        return False
    if state.settings.stop.baseline == "entry":
        return base.day < session.day
    if state.settings.stop.baseline == "previous_close":
        return base.day < session.day or baseline.of_undiminished_close(state, base)
    return False


def take_counted(state: State, message: DistributionCounted) -> None:
    """Under `entry` it is money of the position's since then; `previous_close` measures from the
    close less it."""
    day, base = state.day, state.baseline
    if day is None or day.day != message.day:
        return
    more_usd = message.counted_usd - day.counted_usd
    day.counted_usd = message.counted_usd
    if base is None or state.settings.stop.baseline != "entry":
        return
    base.cash_flow_usd += more_usd
    if base.anchor is not None:  # it explained net liquidation when it accrued
        base.anchor.profit_usd += more_usd
