"""IB's liquidHours as sessions: `20260112:0930-20260112:1600;20260113:CLOSED` in a named zone."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from common.clock import NEW_YORK, SECOND_NS
from common.tws.market_messages import SessionHours

# Names that TWS has used and the zone database does not know.
_ZONES = {"EST": "America/New_York", "EST5EDT": "America/New_York"}


def liquid_hours(text: str, zone_id: str) -> tuple[SessionHours, ...]:
    """The open days of a contract's liquidHours, in the order given; days that are CLOSED are left
    out, and so is whatever cannot be read (the cross-check then finds no session that agrees).

    A day in several parts (a lunch break) counts from its first to its last instant.
    """
    zone = _zone(zone_id)
    found: dict[date, tuple[int, int]] = {}
    for part in text.replace(",", ";").split(";"):
        start, dash, end = part.strip().partition("-")
        if not dash:
            continue
        try:
            open_ns, close_ns = _instant_ns(start, zone), _instant_ns(end, zone)
        except ValueError:
            continue
        day = datetime.fromtimestamp(open_ns // SECOND_NS, NEW_YORK).date()
        earlier = found.get(day, (open_ns, close_ns))
        found[day] = (min(earlier[0], open_ns), max(earlier[1], close_ns))
    return tuple(
        SessionHours(day=day, open_ns=open_ns, close_ns=close_ns)
        for day, (open_ns, close_ns) in found.items()
    )


def closed_days(text: str) -> tuple[date, ...]:
    """The days that a contract's liquidHours call CLOSED, in the order given; only those said in so
    many words."""
    found = []
    for part in text.replace(",", ";").split(";"):
        day, _, word = part.strip().partition(":")
        if word != "CLOSED":
            continue
        try:
            found.append(datetime.strptime(day, "%Y%m%d").replace(tzinfo=NEW_YORK).date())
        except ValueError:
            continue
    return tuple(found)


def _instant_ns(text: str, zone: ZoneInfo) -> int:
    local = datetime.strptime(text, "%Y%m%d:%H%M").replace(tzinfo=zone)
    return int(local.timestamp()) * SECOND_NS


def _zone(zone_id: str) -> ZoneInfo:
    """The zone of `US/Eastern`, or `EST (Eastern Standard Time)` as older TWS say; else New York,
    where SMH is listed."""
    name = zone_id.split(" ", 1)[0]
    try:
        return ZoneInfo(_ZONES.get(name, name))
    except (ZoneInfoNotFoundError, ValueError):
        return NEW_YORK
