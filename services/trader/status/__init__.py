"""`trader status`: one row per question that a person asks, from what is known. Pure.

Each row answers for itself, says "unknown" with the reason where nobody told, and carries the plain
values for `--json`. Source: spec.md section 5, "why am I not in the market?".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common import messages as m
from common import topology
from common.clock import SECOND_NS
from common.core.monitor.entry import NO_ENTRY
from services.trader.schedule import entry_window
from services.trader.status import market, money, system
from services.trader.status.row import Known, Row, shares_held, unrepeated
from services.trader.status.system import ServiceRow, services, warnings
from services.trader.wording import market_time, span

__all__ = ["Known", "Row", "ServiceRow", "answer", "rows", "services", "warnings"]

ROWS: tuple[Callable[[Known], Row], ...] = (
    money.position,
    money.equity,
    money.stop,
    money.liquidation,
    market.signal,
    market.leverage,
    market.data,
    system.link,
    system.mode,
    market.next_up,
    system.orders,
    system.alerts,
)


def rows(known: Known) -> list[Row]:
    """The screen from top to bottom, without the table of services."""
    return [row_of(known) for row_of in ROWS]


def answer(known: Known) -> Row:
    """Why we are in the market, or every reason why not."""
    shares = shares_held(known.picture)
    reasons = _reasons_out(known)
    values: dict[str, Any] = {"in_market": None if shares is None else shares > 0}
    if shares is None:
        text = "Unknown: nobody has said what is held."
        return Row(key="answer", label="", text=text, level="unknown", values=values)
    values["reasons"] = [] if shares > 0 else reasons
    if shares > 0:
        text = f"In the market with {shares:,} {known.settings.strategy.symbol}."
        return Row(key="answer", label="", text=text, level="good", values=values)
    if shares < 0:
        text = f"SHORT {-shares:,} {known.settings.strategy.symbol}: this must never be."
        return Row(key="answer", label="", text=text, level="bad", values=values)
    text = "Not in the market: " + ("; ".join(reasons) if reasons else "no reason was said") + "."
    return Row(key="answer", label="", text=text, level="plain", values=values)


def _reasons_out(known: Known) -> list[str]:
    """Reasons in the order in which a person would mend them, none twice."""
    picture = known.picture
    if not picture.beats:
        return ["the system is not running"]
    reasons: list[str] = []
    if picture.silent:
        reasons.append(f"silent: {', '.join(picture.silent)}")
    latch = picture.last(m.HaltLatch)
    if latch is not None and latch.mode != "ACTIVE":
        reasons.append(f"{latch.mode} at the gateway: {latch.reason}")
    link = picture.last(m.BrokerLink)
    if link is not None and link.state != "ready":
        reasons.append(f"broker link {link.state}" + (f": {link.reason}" if link.reason else ""))
    risk = picture.last(m.RiskState)
    if risk is None:
        reasons.append(f"unknown: nothing from {topology.RISK}")
    else:
        if risk.breached:
            reasons.append(f"BREACHED: {risk.breached}")
        reasons.extend(risk.reasons)
        if risk.pending:
            reasons.append(risk.pending)
    signal = picture.last(m.Signal)
    if signal is not None and signal.side == "BEAR":
        reasons.append(f"the signal is BEAR (close of {signal.day})")
    over = risk is not None and risk.pending.startswith(NO_ENTRY)
    return (
        [*unrepeated(reasons), *_waiting(known, over=over)]
        if over or not reasons
        else unrepeated(reasons)
    )


def _waiting(known: Known, *, over: bool) -> list[str]:
    """What time brings: the entry that comes next, which is today's only where it is not `over`.
    Whether anything is in its way the stop monitor alone says."""
    session = known.picture.last(m.Session)
    if session is None:
        return ["no session is known"]
    from_ns = max(known.now_ns, session.close_ns) if over else known.now_ns
    window = entry_window(session, known.settings.entry, from_ns)
    if window is None:
        return [f"the calendar ends with {session.next_day}"]
    if window.start_ns <= known.now_ns:
        return [f"it is entry time, and {topology.RISK} names nothing in its way"]
    at, left = market_time(window.start_ns), span((window.start_ns - known.now_ns) / SECOND_NS)
    return [
        f"the next entry is at {at}, in {left}"
        if over
        else f"waiting for the entry at {at}, in {left}"
    ]
