"""risk_monitor's decider: baseline, stop, sizing, entry gate, exits, halts.

What it knows stands in monitor/state.py, how it learns it in monitor/heard.py and ledger.py; the
stop, the entry and the exits each have a page there. Here they are put in order: a stop is judged
on every price before anything else is considered.
"""

from __future__ import annotations

from common.clock import SECOND_NS
from common.core.monitor import baseline, dividends, entry, exits, ledger, resting, stop, vigilance
from common.core.monitor.heard import evolve, refusal
from common.core.monitor.state import State, equity_usd, in_session, start
from common.messages import (
    DONE_STATUSES,
    TEXT_MAX,
    Accepted,
    Adopt,
    BrokerPnl,
    Commission,
    DaySummary,
    Entered,
    EntryRefused,
    Flatten,
    Halt,
    Message,
    Now,
    OpeningPrint,
    Quote,
    Refused,
    Resume,
    Started,
    StopHit,
    Tick,
)

__all__ = ["State", "busy", "decide", "evolve", "ready", "start"]

KEY_MAX = 70  # characters of a person's key that go into our own; a key holds 80
RETURN_SHOWN_MAX = 100.0  # of an account that was all but wiped out
SUMMARY_AFTER_NS = 5 * SECOND_NS
ATTEMPTS_MAX = 20  # of an entry in one session, whoever refuses it
RETRIED = ("REJECTED", "DENIED")
"""What is certain never to be bought. A cancelled order was stopped on purpose; an abandoned one
may lie in a dialog of TWS, where no book shows it: a missed day is cheap, a second position is not.
"""
NEVER_RETRIED = ("KID", "Key Information Document")
"""Without the fund's key information document no order of an EU or UK resident passes."""
EQUITY_SAID_NS = SECOND_NS // 4  # host time between two Equity facts while prices stream


def ready(state: State) -> str:
    """ "" once session, account, link and signal have been heard; else what is awaited."""
    if state.session is None:
        return "waiting for session times"
    if state.account is None:
        return "waiting for account values"
    if state.signal is None:
        return "waiting for the signal"
    if state.link is None or state.link.state not in ("ready", "degraded"):
        return "waiting for the broker link"
    return ""


def busy(state: State) -> bool:
    """Whether an order of ours or a question about one is under way."""
    return (
        state.entry is not None
        or state.exit is not None
        or state.breach is not None
        or _stop_moves(state)
        or _margin_unknown(state)
    )


def _stop_moves(state: State) -> bool:
    """The stop at the broker is on its way there, on its way out, or selling."""
    plan = state.resting
    if plan is None or plan.status in DONE_STATUSES:
        return False
    return plan.status == "PendingSubmit" or plan.cancelling or plan.reported > 0


def _margin_unknown(state: State) -> bool:
    """A what-if was asked for, and no answer that serves has come while the entry still may."""
    day, preview = state.day, state.preview
    if not state.preview_asked or day is None or day.entry_over:
        return False
    return preview is None or preview.problem != ""


def decide(state: State, now: Now, message: Message) -> list[Message]:
    """Everything this message asks for."""
    if isinstance(message, (Quote, BrokerPnl)):
        return _on_price(state, now)
    match message:
        case Halt() | Resume() | Flatten() | Adopt():
            return _on_person(state, now, message)
        case Started():
            return []
        case _:
            return _on_anything(state, now, message)


def _on_price(state: State, now: Now) -> list[Message]:
    said_lately = 0 <= now.host_ns - state.said_equity_host_ns < EQUITY_SAID_NS
    if said_lately and not state.shares:
        return []  # nothing to judge, nothing to say
    seen = stop.sample(state, now)
    if seen is None:
        return []
    hit = stop.judge(state, now, seen)
    if hit is None:
        equity = None if said_lately else stop.equity_now(state, now, seen)
        return [] if equity is None else [equity]
    if isinstance(hit, StopHit):
        return [hit, *exits.leave(state, now, "stop")]
    return [hit]


def _on_anything(state: State, now: Now, message: Message) -> list[Message]:
    counted = dividends.due(state)
    if counted is not None:
        return [counted]
    anchor = baseline.due(state, now)
    if anchor is not None and isinstance(message, (Tick, OpeningPrint)):
        return [anchor]
    done = _entry_outcome(state)
    if done:
        return done
    leaving = resting.outcome(state) or exits.decide(state, now)
    if leaving:
        return leaving
    out: list[Message] = []
    armed = stop.armed_now(state)
    if armed is not None and not isinstance(message, Commission):
        out.append(armed)
    if isinstance(message, Tick):
        out += resting.decide(state, now)
        out += entry.decide(state, now)
        out += vigilance.decide(state, now)
        out += _summary(state, now)
    return out


def _entry_outcome(state: State) -> list[Message]:
    """Entered once the fills are booked; EntryRefused when the order ended without one."""
    plan, session, day = state.entry, state.session, state.day
    if plan is None or session is None or day is None or plan.filled < plan.reported:
        return []
    if plan.filled >= plan.order.shares or (plan.filled and plan.status in DONE_STATUSES):
        average = plan.value_usd / plan.filled
        return [
            Entered(
                day=session.day,
                shares=plan.filled,
                price_usd=average,
                leverage=plan.filled * average / plan.equity_usd if plan.equity_usd > 0 else 0.0,
                equity_usd=plan.equity_usd,
                again=plan.again,
            )
        ]
    if plan.status not in DONE_STATUSES:
        return []
    reason = f"{plan.status}: {plan.reason or 'no reason given'}"[:TEXT_MAX]
    rejections = day.rejections + (plan.status != "DENIED")
    last = rejections >= state.settings.entry.retry_rejections_max
    final = (
        last
        or day.refusals + 1 >= ATTEMPTS_MAX
        or plan.status not in RETRIED
        or any(word in reason for word in NEVER_RETRIED)
    )
    return [EntryRefused(day=session.day, reason=reason, final=final)]


def _on_person(state: State, now: Now, command: Halt | Resume | Flatten | Adopt) -> list[Message]:
    """Answers a person. The state has already taken the command."""
    key, reason = command.key, refusal(state, command)
    if reason:
        return [Refused(key=key, reason=reason)]
    match command:
        case Halt():
            return [Accepted(key=key, note="entries stop; exits go")]
        case Resume():
            return [Accepted(key=key, note=_resumed(state))]
        case Adopt():
            if not state.shares:
                return [Refused(key=key, reason="no SMH is held, so there is nothing to adopt")]
            return [Accepted(key=key, note=f"{state.shares} shares are ours now")]
        case Flatten():
            if "flatten" not in state.halts:
                return [Accepted(key=key, note="called off by a later resume")]
            latch = Halt(
                key=f"{key[:KEY_MAX]}-halt", deadline_ns=0, by="risk_monitor", reason="flatten"
            )
            return [Accepted(key=key, note=_flattening(state, now)), latch]


def _resumed(state: State) -> str:
    if not state.flatten_called_off:
        return "entries are allowed again"
    note = "entries are allowed again, and the flatten that was not done is called off"
    if state.shares is None:
        return note
    sold = (
        "" if state.exit is None else f"; {state.exit.order.intent_id}, already sent, still sells"
    )
    return f"{note}: {state.shares} shares are held{sold}"


def _flattening(state: State, now: Now) -> str:
    if not state.flatten_pending:
        return "nothing is held; halted until resumed"
    if state.shares is None:
        return "what is held is not known yet: it is sold once the broker tells it"
    if state.shares < 0:
        return (
            "the account is short SMH, which no sale mends: cover it in TWS; halted until resumed"
        )
    return "selling now" if in_session(state, now) else "selling at the next open"


def _summary(state: State, now: Now) -> list[Message]:
    session, day = state.session, state.day
    if session is None or day is None or day.summary_said or day.day != session.day:
        return []
    start_usd = ledger.began_with_usd(state, day)
    if now.market_ns < session.close_ns + SUMMARY_AFTER_NS or not start_usd:
        return []
    base = state.baseline
    mark = state.closing.close_usd if state.closing and state.closing.day == day.day else None
    if mark is None and state.quote is not None:
        mark = state.quote.mark_usd
    if base is None or (mark is None and state.shares):
        return []
    made_usd = day.settled_usd + ledger.made_usd(state, mark or 0.0)
    gained = made_usd / start_usd if start_usd > 0 else 0.0
    return [
        DaySummary(
            day=day.day,
            entries=day.entries,
            stops=day.stops,
            exits=day.exits,
            shares=state.shares or 0,
            start_equity_usd=start_usd,
            equity_usd=equity_usd(state, mark or 0.0),
            return_fraction=max(-RETURN_SHOWN_MAX, min(RETURN_SHOWN_MAX, gained)),
        )
    ]
