"""Rows about money at risk: position, equity, stop, IB's liquidation price."""

from __future__ import annotations

from typing import Any

from common import messages as m
from common import topology
from services.trader.status.row import Known, Level, Row, shares_held, unknown
from services.trader.wording import percent, span, usd


def position(known: Known) -> Row:
    key, label = "position", "Position"
    shares = shares_held(known.picture)
    if shares is None:
        return unknown(key, label, topology.GATEWAY)
    symbol = known.settings.strategy.symbol
    equity = known.picture.last(m.Equity)
    quote = known.picture.last(m.Quote)
    account = known.picture.last(m.AccountSnapshot)
    risk = known.picture.last(m.RiskState)
    mark_usd = quote.mark_usd if quote else equity.mark_usd if equity else None
    leverage = equity.leverage if equity else None
    counted = risk.shares if risk else None
    values: dict[str, Any] = {
        "shares": shares,
        "shares_counted": counted,
        "mark_usd": mark_usd,
        "value_usd": None if mark_usd is None else shares * mark_usd,
        "average_cost_usd": account.average_cost_usd if account and shares else None,
        "leverage": leverage if shares else 0.0,
    }
    text = f"{shares:,} {symbol}" if shares else "flat"
    if mark_usd is not None:
        worth = f" at {usd(mark_usd)} = {usd(shares * mark_usd)}"
        text += worth if shares else f" ({symbol} {usd(mark_usd)})"
    if shares and account is not None and account.average_cost_usd > 0:
        text += f", bought at {usd(account.average_cost_usd)}"
    if shares and leverage is not None:
        text += f", leverage now {leverage:.2f}x"
    level: Level = "bad" if shares < 0 else "good" if shares else "plain"
    if counted not in (None, shares):
        text += f"; the broker says {shares:,}, we count {counted:,}"
        level = "bad"
    return Row(key=key, label=label, text=text, level=level, values=values)


def equity(known: Known) -> Row:
    key, label = "equity", "Equity"
    equity = known.picture.last(m.Equity)
    account = known.picture.last(m.AccountSnapshot)
    risk = known.picture.last(m.RiskState)
    values: dict[str, Any] = {}
    texts: list[str] = []
    if equity is not None:
        day = equity.equity_usd / equity.baseline_usd - 1 if equity.baseline_usd > 0 else 0.0
        values |= {"equity_usd": equity.equity_usd, "since_baseline_fraction": day}
        values |= {"source": equity.source, "age_s": equity.age_s}
        source = f"{equity.source}, {span(equity.age_s)} old"
        texts.append(f"{usd(equity.equity_usd)} ({percent(day)} since the baseline; {source})")
    if account is not None:
        values["net_liquidation_usd"] = account.net_liquidation_usd
        age_s = known.age_s(account.refreshed_ns)
        values["net_liquidation_age_s"] = age_s
        texts.append(f"net liquidation {usd(account.net_liquidation_usd)}, {span(age_s)} old")
    if risk is not None:
        values["uninvested_usd"] = risk.uninvested_usd
        if risk.uninvested_usd:
            texts.append(f"not invested {usd(risk.uninvested_usd)}")
    if not texts:
        return unknown(key, label, topology.RISK)
    return Row(key=key, label=label, text="; ".join(texts), values=values)


def stop(known: Known) -> Row:
    key, label = "stop", "Stop"
    if known.settings.stop.baseline == "off":
        return Row(
            key=key, label=label, text="off: stop.baseline = off in the settings", level="bad"
        )
    equity = known.picture.last(m.Equity)
    if equity is None:
        return unknown(key, label, topology.RISK)
    baseline = known.picture.last(m.BaselineSet)
    source = (baseline.labelled or baseline.source) if baseline else None
    if baseline is not None and abs(equity.baseline_usd - baseline.baseline_usd) >= 0.01:
        source = "after the entry fill"  # moved since it was written at the open
    values: dict[str, Any] = {
        "armed": equity.armed,
        "baseline_usd": equity.baseline_usd,
        "baseline_source": source,
        "stop_usd": equity.stop_usd,
        "stop_price_usd": equity.stop_price_usd,
        "room_usd": equity.equity_usd - equity.stop_usd,
        "room_fraction": None,
    }
    text = f"{'armed' if equity.armed else 'not armed'}: equity {usd(equity.stop_usd)}"
    if equity.stop_price_usd is not None and equity.mark_usd > 0:
        room = equity.stop_price_usd / equity.mark_usd - 1
        values["room_fraction"] = room
        text += f", {known.settings.strategy.symbol} {usd(equity.stop_price_usd)} ({percent(room)})"
    text += f"; baseline {usd(equity.baseline_usd)}"
    if source is not None:
        text += f" ({source})"
    risk = known.picture.last(m.RiskState)
    fired = risk is not None and risk.stop_fired
    values["fired"] = fired
    if fired:
        return Row(key=key, label=label, text=f"FIRED; {text}", level="warn", values=values)
    unprotected = equity.shares > 0 and not equity.armed
    level: Level = "bad" if unprotected else "plain"
    return Row(key=key, label=label, text=text, level=level, values=values)


def liquidation(known: Known) -> Row:
    key, label = "liquidation", "IB liquidates"
    risk = known.picture.last(m.RiskState)
    if risk is None:
        return unknown(key, label, topology.RISK)
    price_usd = risk.liquidation_price_usd
    values: dict[str, Any] = {"liquidation_price_usd": price_usd, "room_fraction": None}
    if price_usd is None:
        text = "at no price" if not risk.shares else "unknown"
        return Row(key=key, label=label, text=text, values=values)
    text = f"near {known.settings.strategy.symbol} {usd(price_usd)}"
    quote = known.picture.last(m.Quote)
    if quote is not None:
        values["room_fraction"] = price_usd / quote.mark_usd - 1
        text += f" ({percent(price_usd / quote.mark_usd - 1)})"
    return Row(key=key, label=label, text=text, values=values)
