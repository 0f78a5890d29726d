"""The position as fills alone tell it, compared with the broker's own count and money.

The two are never mixed: a difference is waited out, since fills and snapshots race each other, and
then the broker is believed, which halts unless it was a split.
"""

from __future__ import annotations

from datetime import date

import msgspec

from common.clock import SECOND_NS
from common.core import rules
from common.core.monitor import dividends
from common.core.monitor.state import (
    Anchor,
    Baseline,
    Booked,
    Day,
    Plan,
    State,
    equity_usd,
    of_session,
    plans,
    profit_usd,
    split_reference,
)
from common.messages import (
    DONE_STATUSES,
    AccountSnapshot,
    BaselineSet,
    Commission,
    DailyBar,
    Fill,
    Now,
    guards,
)

# A position change without a fill is believed after so long: fills and snapshots race each other.
MISMATCH_NS = 2 * SECOND_NS
MISMATCH_HOST_NS = 10 * SECOND_NS
"""Host time for the same while an order of ours lives: a slow TWS tells the new count long before
the executions, and in a simulated market two seconds are no time at all."""
STAMP_NS = SECOND_NS
"""TWS says the time of an execution in whole seconds: it may be so much younger than its stamp."""


def take_account(state: State, now: Now, account: AccountSnapshot) -> None:
    """The broker's count and money: the first begins the ledger, later ones are compared."""
    state.account = account
    dividends.take_accrued(state, account)
    if state.shares is None:
        state.shares = account.shares
        state.ledger_from_ns = account.refreshed_ns
        state.ours = account.shares == 0
        _halt_when_short(state)
        when_flat(state)
    if account.shares == state.shares:
        state.mismatch_since_ns = 0
        compare_net_liquidation(state, account)
    elif state.mismatch_since_ns == 0 or _fills_may_come(state):
        state.mismatch_since_ns, state.mismatch_since_host_ns = now.market_ns, now.host_ns
    elif now.market_ns - state.mismatch_since_ns > MISMATCH_NS:
        _believe_broker(state, now, account)


def _fills_may_come(state: State) -> bool:
    """Executions of an outage arrive with the comparison after it, the new count before."""
    return state.book is not None and not state.book.reconciled


def _order_may_trade(state: State, now: Now) -> bool:
    """An order of ours is at the broker, and its executions may still be on their way."""
    alive = any(plan.status not in DONE_STATUSES for plan in plans(state))
    return alive and 0 <= now.host_ns - state.mismatch_since_host_ns < MISMATCH_HOST_NS


def _believe_broker(state: State, now: Now, account: AccountSnapshot) -> None:
    """The broker is the truth for positions. A split changes shares and price together; anything
    else that no fill explains was done by someone else and halts."""
    before = state.shares or 0
    after_split = _split_booked(state, before, account)
    if after_split is None and _order_may_trade(state, now):
        return
    state.mismatch_since_ns = 0
    state.shares = account.shares
    if after_split is None:
        after_split = before
    elif abs(account.shares - after_split) < 1:  # what is less than a share is paid in cash
        return
    base = state.baseline
    state.ledger_from_ns = account.refreshed_ns - STAMP_NS
    state.unexplained_shares = account.shares - round(after_split)
    for plan in plans(state):
        plan.recounted = True
    moved = f"from {round(after_split)} to {account.shares} shares"
    state.halts["foreign"] = f"the position went {moved} without an order of ours"
    if base is not None:
        base.recounted = True
        if account.mark_usd is not None:
            base.cash_flow_usd -= (account.shares - after_split) * account.mark_usd
    if before <= 0:
        state.ours = _may_have_bought(state, account.shares)
    _halt_when_short(state)
    when_flat(state)


def _may_have_bought(state: State, shares: int) -> bool:
    """Whether shares where there were none can be an entry of ours whose executions are missing."""
    return state.entry is not None and shares <= state.entry.order.shares


def _split_booked(state: State, before: int, account: AccountSnapshot) -> float | None:
    """Takes a split: the share count moved by a split's ratio, and the broker's mark stands nearer
    to the price that leads to than to the price before. The shares that the split alone makes, or
    None where there was none."""
    base, mark_usd, price_usd = state.baseline, account.mark_usd, split_reference(state)
    if base is None or mark_usd is None or price_usd <= 0:
        return None
    ratio = rules.share_split_ratio(before, account.shares)
    if not ratio or abs(mark_usd - price_usd / ratio) >= abs(mark_usd - price_usd):
        return None
    base.price_usd /= ratio
    base.shares = round(base.shares * ratio)
    base.labelled = f"split {ratio:g}"
    state.quote = state.before_quote = None
    state.closing = _after_split(state.closing, ratio, mark_usd)
    if state.day is not None:
        state.day.entry_over = "a split was booked today"
        state.day.overnight_shares = 0  # what was paid on them, and of which shares, is a guess
    return before * ratio


def _after_split(closing: DailyBar | None, ratio: float, mark_usd: float) -> DailyBar | None:
    """The last close in the prices that a split leads to, unless it was told in them already."""
    if closing is None:
        return None
    close_usd = closing.close_usd / ratio
    if abs(mark_usd - close_usd) >= abs(mark_usd - closing.close_usd):
        return closing
    return msgspec.structs.replace(closing, close_usd=close_usd)


def _halt_when_short(state: State) -> None:
    if (state.shares or 0) < 0:
        state.halts["short"] = "the account is short SMH; cover it in TWS"


def compare_net_liquidation(state: State, account: AccountSnapshot) -> None:
    """Net liquidation of one completed refresh against what fills, prices and dividends explain,
    those of other holdings too. The first account of a session settles what was moved until then,
    and is what later ones are compared with."""
    base = state.baseline
    if base is None or (account.mark_usd is None and state.shares):
        return
    net_usd, fraction_max = account.net_liquidation_usd, state.settings.stop.flow_fraction_max
    profit = profit_usd(state, account.mark_usd or 0.0) + account.other_profit_usd
    anchor = base.anchor
    if anchor is None:
        base.anchor = Anchor(base.day, net_usd, profit)
        base.unused_usd = max(0.0, net_usd - base.baseline_usd)
        return
    moved_usd = rules.unexplained(
        net_usd, profit, anchor.net_liquidation_usd, anchor.profit_usd, fraction_max
    )
    state.flow_usd = rules.flow(base.settled_flow_usd, moved_usd, fraction_max * abs(net_usd))
    session = state.session
    if session is not None and anchor.day < session.day and of_session(state, account):
        base.settled_flow_usd += moved_usd
        base.anchor = Anchor(session.day, net_usd, profit)


def take_fill(state: State, now: Now, fill: Fill) -> None:
    """One execution, once; a correction replaces what it corrects."""
    booked = state.fills.get(fill.exec_id)
    if booked is not None and booked.revision >= fill.revision:
        return
    signed = fill.shares if fill.action == "BUY" else -fill.shares
    today = state.session.day if state.session is not None else date.min
    day = booked.day if booked is not None else today
    state.fills[fill.exec_id] = Booked(day, fill.revision, fill.intent_id, signed, fill.price_usd)
    if state.shares is None:
        return
    _book_plan(state, fill, booked)
    if booked is None:
        _note_broker_stop(state, now, fill)
    if booked is None and _counted_already(state, fill, signed):
        state.unexplained_shares -= signed if _explains(state, signed) else 0
        if fill.liquidation and "foreign" in state.halts:  # who moved the position is known now
            _halt_for_liquidation(state, fill)
        return
    old_shares = booked.signed_shares if booked else 0
    old_usd = booked.signed_shares * booked.price_usd if booked else 0.0
    if not state.shares:
        state.ours = bool(fill.intent_id)
        _first_fill(state, fill, today)
    state.shares += signed - old_shares
    state.mismatch_since_ns = 0
    if state.baseline is not None:
        state.baseline.cash_flow_usd -= signed * fill.price_usd - old_usd
    if booked is None:
        _charge(state, fill.exec_id)
    if fill.liquidation:
        _halt_for_liquidation(state, fill)
    elif not fill.intent_id:
        state.halts["foreign"] = f"{fill.action} {fill.shares} shares that we did not order"
    _halt_when_short(state)
    when_flat(state)


def _halt_for_liquidation(state: State, fill: Fill) -> None:
    """IB sells in several executions; what was said of them grows until a person resumes."""
    if "liquidation" not in state.halts:
        state.liquidated_shares = 0
    state.liquidated_shares += fill.shares
    state.halts["liquidation"] = f"the broker liquidated {state.liquidated_shares} shares"


def _counted_already(state: State, fill: Fill, signed_shares: int) -> bool:
    """Whether the account that began the ledger, or was believed, holds it already; in the second
    in which it was told, whether it explains what moved. What we asked for since then it cannot
    hold, whatever TWS's clock, zone and whole seconds make of its time; the guard's exit was not
    asked for by us."""
    plan = _plan_of(state, fill)
    since = plan is not None and not plan.recounted and not guards(fill.intent_id)
    from_ns = state.ledger_from_ns
    from_ns += STAMP_NS if _explains(state, signed_shares) else 0
    return not since and fill.filled_ns <= from_ns


def _explains(state: State, signed_shares: int) -> bool:
    """Whether that trade is part of what moved the count that was believed, or all of it."""
    moved = state.unexplained_shares
    return moved * signed_shares > 0 and abs(signed_shares) <= abs(moved)


def _first_fill(state: State, fill: Fill, today: date) -> None:
    """From an entry's first share on, the stop is measured from the equity of that moment, and net
    liquidation is compared with what the entry was sized on: money that left in between shows. What
    it still buys after its first shares were sold again is under their stop."""
    entry = state.entry or _filled_after_all(state)
    if entry is None or fill.intent_id != entry.order.intent_id or entry.filled > fill.shares:
        return
    if state.day is not None:
        state.day.settled_usd += made_usd(state, 0.0)
    account, sized_usd = entry.sized_on, entry.equity_usd
    state.baseline = Baseline(
        day=today, baseline_usd=sized_usd, shares=0, price_usd=0.0, source="entry fill"
    )
    if account is not None:
        net_usd = account.net_liquidation_usd
        state.baseline.anchor = Anchor(today, net_usd, account.other_profit_usd)
        state.baseline.unused_usd = max(0.0, net_usd - sized_usd)
    state.breach = None
    state.stop_fired = False
    state.flow_usd = 0.0
    if state.day is not None:
        state.day.entry_done, state.day.given_up = True, None


def settle_night(state: State, opened: BaselineSet) -> None:
    """Keeps what was made since the close before, as the session's baseline takes the place of the
    one that the night was under: a bear exit may have sold already."""
    day = state.day
    if day is None or day.day != opened.day:
        return
    if day.close_equity_usd:
        day.settled_usd += equity_usd(state, opened.price_usd or 0.0) - day.close_equity_usd
    else:
        day.settled_usd += opened.night_usd or 0.0


def made_usd(state: State, mark_usd: float) -> float:
    """What was made at this price under the baseline in force: since it, or, where it is one of a
    day before, since the close before the session."""
    base, day = state.baseline, state.day
    if base is None or day is None:
        return 0.0
    from_usd = base.baseline_usd if base.day == day.day else began_with_usd(state, day)
    return equity_usd(state, mark_usd) - from_usd if from_usd else 0.0


def began_with_usd(state: State, day: Day) -> float:
    """The equity of the close before, else of the day's first baseline. Under `baseline = entry`,
    where neither is known, that at the opening print; 0 before it."""
    known_usd = day.close_equity_usd or day.start_equity_usd
    opening = state.opening
    if known_usd or opening is None or opening.day != day.day:
        return known_usd
    return equity_usd(state, opening.price_usd)


def _filled_after_all(state: State) -> Plan | None:
    """The entry that was given up: a dialog of TWS may have held it, and somebody sent it."""
    return state.day.given_up if state.day is not None else None


def sold_by(state: State, intent_id: str) -> tuple[int, float]:
    """Shares and money (USD) of the sales that are booked of one order."""
    booked = [fill for fill in state.fills.values() if fill.intent_id == intent_id]
    shares = sum(-fill.signed_shares for fill in booked)
    return shares, sum((-fill.signed_shares * fill.price_usd for fill in booked), 0.0)


def _book_plan(state: State, fill: Fill, before: Booked | None) -> None:
    plan = _plan_of(state, fill)
    if plan is not None:
        plan.acknowledged = True
        plan.filled += fill.shares - (abs(before.signed_shares) if before else 0)
        plan.value_usd += fill.shares * fill.price_usd - (
            abs(before.signed_shares) * before.price_usd if before else 0.0
        )


def _plan_of(state: State, fill: Fill) -> Plan | None:
    return next((plan for plan in plans(state) if plan.order.intent_id == fill.intent_id), None)


def _note_broker_stop(state: State, now: Now, fill: Fill) -> None:
    """With its first fill the stop at the broker is the day's stop, unless ours had fired before.
    Told after the broker's count was believed, there may be nothing left to sell."""
    plan = state.resting
    ours = plan is not None and plan.order.intent_id == fill.intent_id
    if not ours or plan is None or plan.filled != fill.shares or state.stop_fired:
        return
    state.stop_fired, state.fired_host_ns = bool(state.shares), now.host_ns
    state.breach = None
    day = state.day
    if day is not None and fill.intent_id.startswith(f"{day.day:%Y%m%d}"):
        day.stops += 1
        day.stop_ns = min(fill.filled_ns, now.market_ns)  # TWS's stamp may be of another zone


def take_commission(state: State, commission: Commission) -> None:
    """What an execution cost, once."""
    if commission.exec_id not in state.commissions:
        state.commissions[commission.exec_id] = commission.commission_usd
        _charge(state, commission.exec_id)


def _charge(state: State, exec_id: str) -> None:
    """Counts a commission once it and its fill are both known, in whichever order they came, when
    the fill belongs to this baseline. An entry's lowers the baseline itself: the stop is measured
    after the fill."""
    base, booked = state.baseline, state.fills.get(exec_id)
    commission_usd = state.commissions.get(exec_id, 0.0)
    if base is None or booked is None or booked.day < base.day:
        return
    if booked.signed_shares > 0:
        base.baseline_usd -= commission_usd
        if state.day is not None and booked.day == state.day.day:
            state.day.settled_usd -= commission_usd
        if base.anchor is not None:
            base.anchor.net_liquidation_usd -= commission_usd
    else:
        base.cash_flow_usd -= commission_usd


def when_flat(state: State) -> None:
    """With nothing held and no exit on its way, every reason to leave has been served."""
    if not state.shares and state.exit is None:
        state.exit_piece = state.exit_pieces_sold = state.exit_failures = 0
        state.exit_rejected = ""
        state.breach = None
        state.stop_fired = False
        state.bear_pending = False
        state.flatten_pending = state.flatten_pending and state.entry is not None
