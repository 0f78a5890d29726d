"""Rows about the system itself: broker link, mode, orders, alerts, and each service's heartbeat."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from common import messages as m
from common import topology
from common.clock import SECOND_NS
from common.core.gateway.limits import shortened
from services.trader.status.row import (
    Known,
    Level,
    Row,
    at_broker,
    market_open,
    shares_held,
    unknown,
    unrepeated,
    unwatched,
)
from services.trader.wording import market_time, utc_time

_SEVERITY: dict[m.Mode, int] = {"ACTIVE": 0, "HALTED": 1, "LOCKED": 2}


def link(known: Known) -> Row:
    key, label = "link", "Broker"
    link = known.picture.last(m.BrokerLink)
    if link is None:
        return unknown(key, label, topology.GATEWAY)
    values: dict[str, Any] = {
        "state": link.state,
        "account": shortened(link.account),
        "port": link.port,
        "since": utc_time(link.since_ns),
        "clock_offset_s": link.clock_offset_s,
        "reason": link.reason,
    }
    text = f"{link.state}, account {shortened(link.account) or 'none'}, port {link.port}"
    if link.clock_offset_s is not None:
        text += f", clock {link.clock_offset_s:+.1f} s"
    text += f", since {market_time(link.since_ns)}"
    text += f": {link.reason}" if link.reason else ""
    level: Level = "good" if link.state == "ready" else "bad"
    return Row(key=key, label=label, text=text, level=level, values=values)


def mode(known: Known) -> Row:
    key, label = "mode", "Mode"
    risk = known.picture.last(m.RiskState)
    latch = known.picture.last(m.HaltLatch)
    if risk is None and latch is None:
        return unknown(key, label, f"{topology.RISK} and {topology.GATEWAY}")
    values: dict[str, Any] = {
        "risk_monitor": risk.mode if risk else None,
        "broker_gateway": latch.mode if latch else None,
        "reason": latch.reason if latch else "",
        "breached": risk.breached if risk else "",
        "reasons": list(risk.reasons) if risk else [],
    }
    unheard = [
        who for who, said in ((topology.RISK, risk), (topology.GATEWAY, latch)) if said is None
    ]
    worst = max((w for w in (risk, latch) if w), key=lambda w: _SEVERITY[w.mode]).mode
    if unheard and worst == "ACTIVE":
        return unknown(key, label, unheard[0])
    text: str = worst
    if risk and latch and risk.mode != latch.mode:
        text += f" (risk_monitor {risk.mode}, broker_gateway {latch.mode})"
    if latch and latch.mode != "ACTIVE":
        text += f" since {market_time(latch.since_ns)}"
    said = [latch.reason] if latch and latch.reason else []
    if risk:
        said += [f"BREACHED: {risk.breached}"] if risk.breached else []
        said += risk.reasons
    if said:
        text += f": {'; '.join(unrepeated(said))}"
    level: Level = "bad" if values["breached"] or worst == "LOCKED" else "warn"
    level = "good" if worst == "ACTIVE" and level == "warn" else level
    return Row(key=key, label=label, text=text, level=level, values=values)


def orders(known: Known) -> Row:
    key, label = "orders", "Orders"
    book = known.picture.last(m.OrderBook)
    risk = known.picture.last(m.RiskState)
    if book is None:
        return unknown(key, label, topology.GATEWAY)
    values: dict[str, Any] = {
        "working": list(book.working),
        "unknown": list(book.unknown),
        "foreign_buy_shares": book.foreign_buy_shares,
        "foreign_sell_shares": book.foreign_sell_shares,
        "reconciled": book.reconciled,
        "protected_by": risk.protected_by if risk and not unwatched(known) else "",
    }
    parts = []
    if book.working:
        parts.append(f"working {', '.join(book.working)}")
    if book.unknown:
        parts.append(f"UNKNOWN {', '.join(book.unknown)}")
    if book.foreign_buy_shares or book.foreign_sell_shares:
        parts.append(
            f"not ours: buying {book.foreign_buy_shares:,}, selling {book.foreign_sell_shares:,}"
        )
    text = "; ".join(parts) or "none"
    text += "" if book.reconciled else "; not yet compared with the broker"
    held = (shares_held(known.picture) or 0) > 0
    why = unwatched(known) if held else ""
    if held:
        said = risk.protected_by if risk and risk.unwatched == why else ""
        text += f"; protection: {said or at_broker(known)}"
    level: Level = "bad" if book.unknown else "plain" if book.reconciled else "warn"
    if why and market_open(known) is not False:
        level = "bad"
    return Row(key=key, label=label, text=text, level=level, values=values)


def alerts(known: Known) -> Row:
    raised = known.picture.raised_alerts
    values: dict[str, Any] = {
        "alerts": [
            {"speaker": who, "level": a.level, "code": a.code, "text": a.text} for who, a in raised
        ]
    }
    text = "\n".join(f"{alert.level} {alert.code}: {alert.text}" for _, alert in raised) or "none"
    paged = any(alert.level == "page" for _, alert in raised)
    level: Level = "bad" if paged else "warn" if raised else "plain"
    return Row(key="alerts", label="Alerts", text=text, level=level, values=values)


class ServiceRow(Struct, frozen=True, kw_only=True):
    """One service's heartbeat. `age_s`: host seconds; None: silent."""

    service: str
    age_s: float | None
    pid: int | None
    ready: bool | None
    verdict: str
    build: str
    settings_hash: str
    restarts: int = 0


def services(known: Known) -> list[ServiceRow]:
    """Every expected service, heard or silent."""
    return [_service(known, name) for name in known.picture.expected]


def _service(known: Known, name: str) -> ServiceRow:
    beat = known.picture.beats.get(name)
    if beat is None:
        at_ns = known.picture.recalled_ns.get(name)
        last = f"; its journal ends at {market_time(at_ns)}" if at_ns else ""
        return ServiceRow(
            service=name, age_s=None, pid=None, ready=None, verdict=f"silent{last}", build="",
            settings_hash="",
        )  # fmt: skip
    heartbeat = beat.heartbeat
    verdict = heartbeat.verdict or ("ready" if heartbeat.ready else "not ready")
    back = known.picture.restarts.get(name)
    if back is not None:
        times = f", {back.count} times by then" if back.count > 1 else ""
        verdict += f"; restarted at {market_time(back.restarted_ns)}{times}"
    return ServiceRow(
        service=name,
        age_s=max(0.0, (known.host_now_ns - beat.heard_ns) / SECOND_NS),
        pid=heartbeat.pid,
        ready=heartbeat.ready,
        verdict=verdict,
        build=heartbeat.build,
        settings_hash=heartbeat.settings_hash,
        restarts=back.count if back is not None else 0,
    )


def warnings(known: Known) -> list[str]:
    """What the table of services shows only to a careful eye."""
    beats = [beat.heartbeat for beat in known.picture.beats.values()]
    found = []
    if len({beat.build for beat in beats}) > 1:
        found.append("The services run different builds: restart the whole system.")
    if len({beat.settings_hash for beat in beats}) > 1:
        found.append("The services run with different settings: restart the whole system.")
    return found
