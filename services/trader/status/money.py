"""Rows about money at risk: position, equity, stop, IB's liquidation price."""

from __future__ import annotations

from typing import Any

from common import messages as m
from common import topology
from services.trader.status.row import (
    Known,
    Level,
    Row,
    at_broker,
    market_open,
    shares_held,
    unknown,
    unwatched,
)
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
        text += f", leverage {leverage:.2f}x"
    old = _price_age_s(known, quote, equity)
    if old is not None and known.alive:
        values["mark_age_s"] = old
        text += f", price {span(old)} old" if old > known.settings.data.quote_age_s_max else ""
    level: Level = "bad" if shares < 0 else "good" if shares else "plain"
    if counted not in (None, shares):
        text += f"; the broker says {shares:,}, we count {counted:,}"
        level = "bad"
    return Row(key=key, label=label, text=text, level=level, values=values)


def _price_age_s(known: Known, quote: m.Quote | None, equity: m.Equity | None) -> float | None:
    """Seconds of market time since the shown price was heard; None where no price is shown."""
    heard_ns = quote.tick_ns if quote else equity.sampled_ns if equity else 0
    return known.age_s(heard_ns) if heard_ns else None


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
        age_s = known.age_s(equity.sampled_ns)
        values |= {"source": equity.source, "age_s": age_s}
        source = f"{equity.source}, {span(age_s)} old"
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
    shares = shares_held(known.picture)
    if shares is None:
        return unknown(key, label, topology.GATEWAY)
    why = unwatched(known)
    equity = known.picture.last(m.Equity)
    if equity is None and shares == 0 and known.picture.last(m.RiskState) is not None:
        # without a live price it is not reckoned before something is held
        values: dict[str, Any] = {"armed": False, "unwatched": why, "fired": False}
        text = "was " * bool(not known.alive) + "not armed: nothing is held"
        return Row(key=key, label=label, text=text, values=values)
    if equity is None:
        return unknown(key, label, topology.RISK)
    armed = shares > 0 and not why and equity.armed and equity.shares > 0
    values = {"armed": armed, "unwatched": why, "fired": False}
    measured = _baseline(known, equity, values)
    if shares == 0:
        text = "was " * bool(not known.alive) + f"not armed: nothing is held; {measured}"
        return Row(key=key, label=label, text=text, values=values)
    level_text = _level(known, equity, values)
    risk = known.picture.last(m.RiskState)
    fired = values["fired"] = risk is not None and risk.stop_fired
    if not known.alive or topology.RISK in known.picture.silent:
        text = f"nobody watches ({why}); the level was {level_text}; {at_broker(known)}"
        return Row(key=key, label=label, text=text, level="bad", values=values)
    if fired:
        text = f"FIRED{f' ({why})' * bool(why)}; {level_text}; {measured}"
        return Row(key=key, label=label, text=text, level="bad" if why else "warn", values=values)
    how = "armed" if armed else f"NOT WATCHING ({why})" if why else "not armed"
    level: Level = "plain" if armed or market_open(known) is False else "bad"
    text = f"{how}: {level_text}; {measured}"
    return Row(key=key, label=label, text=text, level=level, values=values)


def _baseline(known: Known, equity: m.Equity, values: dict[str, Any]) -> str:
    """What the stop is measured from, and where that comes from."""
    baseline = known.picture.last(m.BaselineSet)
    source = (baseline.labelled or baseline.source) if baseline else None
    if baseline is not None and abs(equity.baseline_usd - baseline.baseline_usd) >= 0.01:
        source = "after the entry fill"  # moved since it was written at the open
    values |= {"baseline_usd": equity.baseline_usd, "baseline_source": source}
    return f"baseline {usd(equity.baseline_usd)}" + (f" ({source})" if source is not None else "")


def _level(known: Known, equity: m.Equity, values: dict[str, Any]) -> str:
    """The stop's level as equity and as a price of SMH."""
    values |= {
        "stop_usd": equity.stop_usd,
        "stop_price_usd": equity.stop_price_usd,
        "room_usd": equity.equity_usd - equity.stop_usd,
        "room_fraction": None,
    }
    text = f"equity {usd(equity.stop_usd)}"
    if equity.stop_price_usd is not None and equity.mark_usd > 0:
        room = equity.stop_price_usd / equity.mark_usd - 1
        values["room_fraction"] = room
        text += f", {known.settings.strategy.symbol} {usd(equity.stop_price_usd)} ({percent(room)})"
    return text


def liquidation(known: Known) -> Row:
    key, label = "liquidation", "IB liquidates"
    risk = known.picture.last(m.RiskState)
    if risk is None:
        return unknown(key, label, topology.RISK)
    shares = shares_held(known.picture)
    if shares is None:
        return unknown(key, label, topology.GATEWAY)
    price_usd = risk.liquidation_price_usd
    values: dict[str, Any] = {"liquidation_price_usd": price_usd, "room_fraction": None}
    if price_usd is None:
        text = "at no price" if not shares else "unknown"
        return Row(key=key, label=label, text=text, values=values)
    text = f"near {known.settings.strategy.symbol} {usd(price_usd)}"
    quote = known.picture.last(m.Quote)
    if quote is not None:
        values["room_fraction"] = price_usd / quote.mark_usd - 1
        text += f" ({percent(price_usd / quote.mark_usd - 1)})"
    return Row(key=key, label=label, text=text, values=values)
