"""`trader status`: one row per question that a person asks, from what is known. Pure.

Each row answers for itself, says "unknown" with the reason where nobody told, and carries the plain
values for `--json`. Source: spec.md section 5, "why am I not in the market?".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from common import messages as m
from common import topology
from common.clock import SECOND_NS
from common.core.monitor.entry import NO_ENTRY
from services.trader.schedule import entry_window
from services.trader.status import market, money, system
from services.trader.status.row import (
    Known,
    Level,
    Row,
    at_broker,
    market_open,
    shares_held,
    unrepeated,
    unwatched,
)
from services.trader.status.system import ServiceRow, services, warnings
from services.trader.wording import market_time, percent, span

__all__ = ["Known", "Row", "ServiceRow", "answer", "rows", "services", "warnings"]

ROWS: tuple[tuple[Callable[[Known], Row], tuple[str, ...]], ...] = (
    (money.position, (topology.GATEWAY,)),
    (money.equity, (topology.RISK,)),
    (money.stop, ()),
    (money.liquidation, (topology.RISK,)),
    (market.signal, (topology.SIGNAL,)),
    (market.leverage, (topology.FEED,)),
    (market.data, (topology.FEED,)),
    (system.link, (topology.GATEWAY,)),
    (system.mode, (topology.RISK, topology.GATEWAY)),
    (market.next_up, ()),
    (system.orders, (topology.GATEWAY,)),
    (system.alerts, ()),
)
"""Each row, and whose word it is: while one of them is silent it only says what was."""
AT_ALL_TIMES = frozenset({"stop"})
"""Rows that say themselves what silence means."""


def rows(known: Known) -> list[Row]:
    """The screen from top to bottom, without the table of services. Of a system that does not run
    nothing comes next."""
    shown = [_as_heard(known, row_of(known), speakers) for row_of, speakers in ROWS]
    return [row for row in shown if known.alive or row.key != "next"]


def _as_heard(known: Known, row: Row, speakers: tuple[str, ...]) -> Row:
    """The row, in the past and never good, where nobody of `speakers` says it at this moment."""
    picture = known.picture
    heard = known.alive and bool(picture.beats) and not set(speakers) & set(picture.silent)
    if heard or row.level == "unknown" or row.key in AT_ALL_TIMES:
        return row
    level: Level = "plain" if row.level == "good" else row.level
    values = {**row.values, "heard": False}
    return msgspec.structs.replace(row, text=f"was {row.text}", level=level, values=values)


def answer(known: Known) -> Row:
    """Why we are in the market, or every reason why not."""
    shares, symbol = shares_held(known.picture), known.settings.strategy.symbol
    values: dict[str, Any] = {"in_market": None if shares is None else shares > 0}
    if shares is None:
        text = "Unknown: nobody has said what is held."
        return Row(key="answer", label="", text=text, level="unknown", values=values)
    if shares > 0:
        return _held(known, shares, values)
    values["reasons"] = reasons = _reasons_out(known)
    if shares < 0:
        text = f"SHORT {-shares:,} {symbol}: this must never be."
        return Row(key="answer", label="", text=text, level="bad", values=values)
    text = f"Not in the market: {'; '.join(reasons)}."
    return Row(key="answer", label="", text=text, level="plain", values=values)


def _held(known: Known, shares: int, values: dict[str, Any]) -> Row:
    """What is held, and aloud where the stop monitor does not watch it."""
    why = unwatched(known)
    values |= {"reasons": [], "unwatched": why}
    what = f"{shares:,} {known.settings.strategy.symbol}"
    level: Level = "good"
    text = f"In the market with {what}."
    if why and (not known.alive or topology.RISK in known.picture.silent):
        text, level = f"{what} held and NOTHING WATCHES THEM: {why}; {at_broker(known)}.", "bad"
        if known.alive and topology.GATEWAY not in known.picture.silent:
            text = f"{what} held and the stop monitor does not watch them: {why}; "
            text += f"only {topology.GATEWAY} itself may still sell; {at_broker(known)}."
    elif why:
        text = f"In the market with {what}; the stop monitor does not watch them: {why}."
        level = "plain" if market_open(known) is False else "bad"
    return Row(key="answer", label="", text=text, level=level, values=values)


def _reasons_out(known: Known) -> list[str]:
    """Reasons in the order in which a person would mend them, none twice."""
    picture = known.picture
    if not known.alive:
        return ["the system is not running"]
    if not picture.beats:
        return ["nobody is heard yet"]
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
    stopped, reasons = _stopped(known), unrepeated(reasons)
    over = risk is not None and risk.pending.startswith(NO_ENTRY)
    waiting = _waiting(known, over=over, again=bool(stopped)) if over or not reasons else []
    return [*stopped, *reasons, *waiting]


def _stopped(known: Known) -> list[str]:
    """The stop by which the session's position went, with its time and what it cost since the
    baseline; none when it went otherwise."""
    session, left = known.picture.last(m.Session), known.picture.last(m.Exited)
    if session is None or left is None or left.day != session.day:
        return []
    if left.reason not in ("stop", "resting_stop"):
        return []
    fill, baseline_usd = known.picture.last(m.Fill), left.equity_usd - left.profit_usd
    sold = fill is not None and fill.action == "SELL"
    at = f" at {market_time(fill.filled_ns, day=False)}" if fill is not None and sold else ""
    cost = f" ({percent(left.profit_usd / baseline_usd)})" if baseline_usd > 0 else ""
    return [f"stopped out{at}{cost}"]


def _waiting(known: Known, *, over: bool, again: bool) -> list[str]:
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
    if over:
        return [f"the next entry is at {at}, in {left}"]
    if again:
        return [f"re-entry at {at}, in {left}, if nothing changes"]
    return [f"waiting for the entry at {at}, in {left}"]
