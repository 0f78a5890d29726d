"""Rows about the market: signal, VIX and leverage, data, what happens next."""

from __future__ import annotations

from typing import Any

from common import messages as m
from common import topology
from common.clock import SECOND_NS
from common.core import rules
from services.trader.schedule import next_event
from services.trader.status.row import Known, Level, Row, unknown
from services.trader.wording import market_time, percent, span, usd, utc_time


def signal(known: Known) -> Row:
    key, label = "signal", "Signal"
    signal = known.picture.last(m.Signal)
    if signal is None:
        return unknown(key, label, topology.SIGNAL)
    gap_usd = signal.fast_usd - signal.slow_usd
    gap = gap_usd / signal.slow_usd
    values: dict[str, Any] = {
        "side": signal.side,
        "day": signal.day.isoformat(),
        "final": signal.final,
        "fast_usd": signal.fast_usd,
        "slow_usd": signal.slow_usd,
        "gap_fraction": gap,
        "flip_close_usd": signal.flip_close_usd,
    }
    spans = known.settings.strategy
    text = (
        f"{signal.side}: EMA {spans.ema_fast}={signal.fast_usd:,.2f}, "
        f"{spans.ema_slow}={signal.slow_usd:,.2f}, gap {percent(gap)}"
    )
    if signal.flip_close_usd is None:
        text += "; no close could turn it"
    else:
        other, way = ("BEAR", "below") if signal.side == "BULL" else ("BULL", "above")
        text += f"; {other} at a close {way} {usd(signal.flip_close_usd)}"
    text += f" ({'final' if signal.final else 'provisional'}, close of {signal.day})"
    return Row(key=key, label=label, text=text, values=values)


def leverage(known: Known) -> Row:
    key, label = "leverage", "VIX, leverage"
    vix = known.picture.last(m.VixLevel)
    target = known.picture.last(m.TargetPosition)
    table = known.settings.leverage
    values: dict[str, Any] = {"vix": None, "table_leverage": table.base, "target_leverage": None}
    if vix is None:
        text = f"no VIX: {table.base:g}x"
    else:
        age_s = known.age_s(vix.tick_ns)
        fresh = age_s <= table.vix_age_s_max
        counts = fresh and vix.kind in {"live", "delayed"}
        tier = rules.leverage_for_vix(
            vix.level if counts else 0.0, table.base, table.vix_below, table.leverage
        )
        values |= {"vix": vix.level, "vix_kind": vix.kind, "vix_age_s": age_s}
        values["table_leverage"] = tier
        old = "" if fresh else ", too old"
        text = f"VIX {vix.level:.2f} ({vix.kind}, {span(age_s)} old{old}): {tier:g}x"
    if target is not None:
        values["target_leverage"] = target.leverage
        text += f"; target for {target.day} {target.leverage:g}x ({target.leverage_why})"
    return Row(key=key, label=label, text=text, values=values)


def data(known: Known) -> Row:
    key, label = "data", "Data"
    feed = known.picture.last(m.FeedState)
    quote = known.picture.last(m.Quote)
    if feed is None:
        return unknown(key, label, topology.FEED)
    age_s = known.age_s(max(feed.tick_ns, quote.tick_ns if quote else 0))
    values: dict[str, Any] = {
        "kind": feed.kind,
        "age_s": age_s if feed.tick_ns else None,
        "halted": feed.halted,
        "competing": feed.competing,
        "problem": feed.problem,
    }
    text = "not connected, " * (not feed.connected)
    text += f"{feed.kind}, {f'last tick {span(age_s)} ago' if feed.tick_ns else 'no tick yet'}"
    text += ", prices of 15 min before" * (feed.kind in {"delayed", "delayed_frozen"})
    text += ", trading halted" * feed.halted + ", another session has the data" * feed.competing
    text += f": {feed.problem}" if feed.problem else ""
    level: Level = "bad" if feed.problem or feed.kind == "none" or not feed.connected else "plain"
    return Row(key=key, label=label, text=text, level=level, values=values)


def next_up(known: Known) -> Row:
    key, label = "next", "Next"
    session = known.picture.last(m.Session)
    risk = known.picture.last(m.RiskState)
    pending = risk.pending if risk else ""
    values: dict[str, Any] = {"pending": pending}
    if session is None:
        row = unknown(key, label, topology.FEED)
        return row if not pending else Row(key=key, label=label, text=pending, values=values)
    event = next_event(session, known.settings.entry, known.now_ns)
    text = f"{pending}; " if pending else ""
    if event is None:
        text += f"the calendar ends with {session.next_day}"
        return Row(key=key, label=label, text=text, level="warn", values=values)
    values |= {"event": event.what, "at": utc_time(event.at_ns)}
    values["in_s"] = (event.at_ns - known.now_ns) / SECOND_NS
    text += f"{event.what} at {market_time(event.at_ns)}, in {span(values['in_s'])}"
    return Row(key=key, label=label, text=text, values=values)
