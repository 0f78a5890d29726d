"""What the risk monitor tells a person: mode, pending action, protection, and what should page.

Each condition is worked out anew on every tick; a difference to what was said is said.
"""

from __future__ import annotations

from common.clock import MINUTE_NS, SECOND_NS
from common.core import rules
from common.core.monitor import entry, exits, resting
from common.core.monitor.state import (
    State,
    in_session,
    selling,
    shown_price,
    since_open_ns,
    stop_usd,
)
from common.core.monitor.stop import armed, equity_now, looks_like_split, sample
from common.core.staleness import late as overdue
from common.messages import (
    DONE_STATUSES,
    TEXT_MAX,
    Alert,
    AlertLevel,
    Equity,
    Message,
    Mode,
    Now,
    RiskState,
    guards,
)

EQUITY_REPEAT_NS = SECOND_NS
BREACHED_AFTER_NS = 10 * SECOND_NS
BEAR_EXIT_LATE_NS = MINUTE_NS

RECOUNTED_S = 5.0
"""The broker tells a position's value once a second, and of a new share count a little later: with
delayed data no price of it is known in the seconds after a trade."""

Conditions = dict[str, tuple[AlertLevel, str]]


def decide(state: State, now: Now) -> list[Message]:
    """New and ended alerts, and the state when it changed."""
    current = conditions(state, now)
    out: list[Message] = [
        Alert(level=level, code=code, text=text, raised=True)
        for code, (level, text) in current.items()
        if code not in state.alerts
    ]
    out += [
        Alert(level="notice", code=code, text=f"over: {text}", raised=False)
        for code, text in state.alerts.items()
        if code not in current
    ]
    said = risk_state(state, now)
    if said != state.said_state:
        out.append(said)
    equity = _equity_repeat(state, now)
    if equity is not None:
        out.append(equity)
    return out


def _equity_repeat(state: State, now: Now) -> Equity | None:
    if 0 <= now.host_ns - state.said_equity_host_ns < EQUITY_REPEAT_NS:
        return None
    seen = sample(state, now)
    return None if seen is None else equity_now(state, now, seen)


def conditions(state: State, now: Now) -> Conditions:
    """Everything that is wrong now, by code: its level and one line for a person."""
    found: Conditions = {}
    shares = state.shares or 0
    if shares < 0:
        found["short"] = ("page", f"SMH is SHORT {-shares} shares: cover it in TWS; entries halted")
    breached = breached_why(state, now)
    if breached:
        found["breached"] = ("page", f"BREACHED: {breached}")
    if shares > 0 and in_session(state, now):
        found.update(_unprotected(state, now, shares))
    elif shares > 0:
        found.update(_unsold(state, now, shares))
    found.update(_account_trouble(state, shares))
    if shares > 0 and state.exit_rejected:
        reason = state.exit_rejected[: TEXT_MAX - 200]
        found["exit-rejected"] = ("page", f"the broker rejected an exit: {reason}; trying smaller")
    if exits.wanted(state) is not None and state.book and state.book.foreign_sell_shares:
        text = f"{state.book.foreign_sell_shares} shares are in sell orders that are not ours"
        found["foreign-sell"] = ("page", f"{text}: the exit sells the rest; cancel them in TWS")
    for code, reason in state.halts.items():
        if code in ("foreign", "liquidation", "journal"):
            found[f"halt-{code}"] = ("page", f"HALTED: {reason} (trader status, trader resume)")
    if shares > 0 and not state.ours:
        text = f"{shares} shares of SMH were found that we did not buy"
        found["adopt"] = (
            "notice",
            f"{text}; the stop protects them; entries wait for trader adopt",
        )
        if state.bear_pending:
            text = f"BEAR, and {text}: their exit waits for trader adopt"
            found["bear-adopt"] = ("page", f"{text} (trader flatten sells them too)")
    return found


def _unprotected(state: State, now: Now, shares: int) -> Conditions:
    found: Conditions = {}
    session = state.session
    assert session is not None
    if state.settings.stop.baseline == "off":
        return found
    grace_ns = int((state.settings.stop.opening_print_wait_s + 5) * SECOND_NS)
    late = since_open_ns(state, now, session) > grace_ns
    if late and not armed(state):
        found["unarmed"] = ("page", f"{shares} shares without a stop: no baseline for today")
    seen = sample(state, now)
    recounted = state.counted is not None and not overdue(state.counted, now, RECOUNTED_S)
    if seen is None and late and not recounted:
        found["blind"] = ("page", f"{shares} shares held and no valid price: the stop cannot see")
    elif seen is not None and looks_like_split(state, seen.mark_usd):
        text = "the price left the baseline's by a split's ratio and the share count did not"
        found["split"] = ("page", f"{text}: the stop waits for the broker; check for a split")
    why = resting.missing_why(state, now)
    if why:
        text = f"no stop for {shares} shares rests at the broker: {why[: TEXT_MAX - 200]}"
        found["resting-stop"] = ("page", f"{text}; only the stop monitor watches them")
    patience_ns = int(state.settings.exit.unfilled_page_s * SECOND_NS)
    if selling(state, now) and not 0 <= now.host_ns - state.fired_host_ns < patience_ns:
        found["resting-unfilled"] = ("page", f"the stop at the broker sells: {shares} shares left")
    plan = state.exit
    if plan is not None and guards(plan.order.intent_id) and plan.status not in DONE_STATUSES:
        left = plan.order.shares - plan.filled
        if not 0 <= now.host_ns - plan.asked_host_ns < patience_ns:
            text = f"exit {plan.order.intent_id} of the gateway: {left} shares not sold"
            found["guard-unfilled"] = ("page", f"{text}, {plan.status}")
    if state.bear_pending and state.exit is None and state.ours:
        late_ns = now.market_ns - session.open_ns
        if late_ns > BEAR_EXIT_LATE_NS:
            found["bear-late"] = ("page", "the bear exit has not been sent a minute after the open")
    return found


def _unsold(state: State, now: Now, shares: int) -> Conditions:
    """A position out of hours: an exit that the close cut off, an open that nobody announced."""
    found: Conditions = {}
    if state.session is None or now.market_ns >= state.session.next_open_ns:
        text = f"{shares} shares held and no session times from the market feed"
        found["no-session"] = ("page", f"{text}: the stop does not watch")
    elif state.exit_failures and exits.wanted(state) in ("bear", "flatten"):
        text = f"{shares} shares were not sold before the close"
        found["unsold"] = ("page", f"{text}; the exit goes at the next open")
    return found


def _account_trouble(state: State, shares: int) -> Conditions:
    account, found = state.account, Conditions()
    if account is None or not shares:
        return found
    floor = state.settings.margin.excess_liquidity_page_fraction * account.net_liquidation_usd
    if account.excess_liquidity_usd < floor:
        text = f"excess liquidity is ${account.excess_liquidity_usd:,.2f}"
        found["liquidity"] = ("page", f"{text}: IB liquidates at 0")
    if state.flow_usd:
        text = f"net liquidation moved by ${state.flow_usd:,.2f} that no profit explains"
        found["flow"] = ("notice", f"{text}; entries wait until the next session")
    return found


def breached_why(state: State, now: Now) -> str:
    """Why a fired stop has not led to an order at the broker within 10 s; "" when it has."""
    if not state.stop_fired or not state.shares or state.shares <= 0:
        return ""
    plan = state.exit
    if plan is not None and plan.status == "UNKNOWN":
        return f"exit {plan.order.intent_id} is UNKNOWN until the broker proves it"
    if plan is not None and plan.status == "Inactive":
        return f"the broker does not work exit {plan.order.intent_id}, nor does it say why"
    rest = state.resting
    if rest is not None and rest.status == "UNKNOWN":
        return f"the exit waits: {rest.order.intent_id} is UNKNOWN until the broker proves it"
    if state.feed is not None and state.feed.halted:
        return "trading in SMH is halted; the exit stays working"
    link = state.link
    if link is None or link.state in ("down", "locked") or "BrokerLink" in state.silent:
        return "no link to the broker"
    if not in_session(state, now):
        return "the market is shut; the exit goes at the next open"
    if selling(state, now):
        return ""  # the stop at the broker is the exit
    waiting = plan is None or plan.status in ("PendingSubmit", "DENIED", "REJECTED")
    if waiting and not 0 <= now.host_ns - state.fired_host_ns < BREACHED_AFTER_NS:
        return "the broker has not acknowledged an exit"
    return ""


def mode(state: State) -> Mode:
    """The stricter of our own latch and the gateway's."""
    gateway: Mode = state.latch.mode if state.latch is not None else "ACTIVE"
    if gateway == "LOCKED":
        return "LOCKED"
    return "HALTED" if state.halts or gateway == "HALTED" else "ACTIVE"


def risk_state(state: State, now: Now) -> RiskState:
    """The line that answers "why am I not in the market?"."""
    reasons = list(state.halts.values())
    latch = state.latch
    if latch is not None and latch.mode != "ACTIVE" and latch.reason not in reasons:
        reasons.append(latch.reason)
    return RiskState(
        mode=mode(state),
        breached=breached_why(state, now),
        reasons=tuple(reasons),
        pending=_pending(state, now)[:TEXT_MAX],
        shares=state.shares or 0,
        entry_done=state.day is not None and state.day.entry_done,
        stop_fired=state.stop_fired,
        uninvested_usd=round(max(0.0, state.uninvested_usd + max(0.0, state.flow_usd)), 2),
        liquidation_price_usd=_liquidation_price(state),
        protected_by=_protected_by(state, now),
        resting_usd=resting.resting_usd(state) if state.shares else None,
        unwatched=unwatched_why(state, now),
    )


def _pending(state: State, now: Now) -> str:
    if state.exit is not None:
        return f"exit {state.exit.order.intent_id}: {state.exit.status}"
    if selling(state, now) and state.resting is not None:
        return f"the stop at the broker sells: {state.resting.status}"
    if state.entry is not None:
        return f"entry {state.entry.order.intent_id}: {state.entry.status}"
    if state.flatten_pending and state.shares is None:
        return "flatten exit once the position is known"
    reason = exits.wanted(state)
    if reason is not None:
        return f"{reason} exit at the next open" if not in_session(state, now) else f"{reason} exit"
    if state.shares:
        return "the bear exit waits for trader adopt" if state.bear_pending else ""
    if state.day is not None and state.day.entry_over:
        return f"{entry.NO_ENTRY}: {state.day.entry_over}"
    refusal = entry.standing(state, now)
    if refusal is None:
        return ""
    return f"{entry.NO_ENTRY if refusal.final else 'entry waits'}: {refusal.reason}"


def _liquidation_price(state: State) -> float | None:
    account = state.account
    if account is None or account.mark_usd is None or account.shares <= 0:
        return None
    price = rules.liquidation_price(
        account.excess_liquidity_usd, account.maint_margin_usd, account.shares, account.mark_usd
    )
    return shown_price(price, digits=2)


def unwatched_why(state: State, now: Now) -> str:
    """Why the stop monitor would not sell what is held at its stop just now; "" when it would."""
    link, feed = state.link, state.feed
    if (state.shares or 0) <= 0:
        return ""
    if state.settings.stop.baseline == "off":
        return "stop.baseline is off"
    if state.session is None:
        return "no session times from the market feed"
    if not in_session(state, now):
        return "the market is shut"
    if not armed(state):
        return "no baseline for today yet"
    if mode(state) == "LOCKED":
        return "LOCKED, nothing is sent"
    if not _linked(state) or link is None:
        return "no link to the broker"
    if link.state == "degraded":
        return "TWS has lost its link to IB"
    if feed is not None and feed.halted:
        return "trading in SMH is halted"
    seen = sample(state, now)
    if seen is None:
        return "it is BLIND, no valid price"
    return "the price looks like a split's" if looks_like_split(state, seen.mark_usd) else ""


def _linked(state: State) -> bool:
    link = state.link
    down = link is None or link.state in ("down", "locked")
    return not down and "BrokerLink" not in state.silent


def _protected_by(state: State, now: Now) -> str:
    if (state.shares or 0) <= 0:
        return ""
    why = unwatched_why(state, now)
    level = resting.resting_usd(state) if in_session(state, now) else None
    if level is None:
        return f"NOT PROTECTED: {why}" if why else _watching(state)
    sound = _linked(state) and state.link is not None and state.link.state != "degraded"
    at_broker = f"a stop at the broker, at SMH ${level:,.2f}" + ", as last heard" * (not sound)
    if why:
        return f"only {at_broker}; not the stop monitor: {why}"
    return f"{_watching(state)}, and {at_broker}"


def _watching(state: State) -> str:
    return f"the stop monitor, at equity ${stop_usd(state):,.2f}"
