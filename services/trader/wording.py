"""How numbers, instants and messages read on the screen, and how messages become plain JSON."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from msgspec import Struct

from common.clock import NEW_YORK, SECOND_NS
from common.core.gateway.limits import shortened

ANY_INSTANT_NS = 10**17  # later than 1973: such a `_ns` field is an instant of market time


def usd(amount: float) -> str:
    """Dollars and cents, the sign before the dollar."""
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"


def percent(fraction: float) -> str:
    return f"{fraction:+.2%}"


def market_time(ts_ns: int, *, day: bool = True, millis: bool = False) -> str:
    """New York time of a UTC instant (ns), as "2025-06-02 15:55:03 ET"."""
    at = datetime.fromtimestamp(ts_ns // SECOND_NS, NEW_YORK)
    text = at.strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S")
    if millis:
        text += f".{ts_ns % SECOND_NS // 1_000_000:03d}"
    return f"{text} ET"


def utc_time(ts_ns: int) -> str:
    """UTC instant (ns) as ISO 8601, for JSON."""
    at = datetime.fromtimestamp(ts_ns // SECOND_NS, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ts_ns % SECOND_NS // 1000:06d}Z"


def span(seconds: float) -> str:
    """A length of time in its two largest units: "3 h 12 min", "41 s", "0.4 s"."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = int(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (secs, "s")]
    first = next((i for i, (count, _) in enumerate(parts) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def named(value: Any) -> Any:
    """A message as names and values that JSON knows; instants stay UTC ns, days become ISO."""
    if isinstance(value, Struct):
        return {name: _named_field(name, getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, (list, tuple)):
        return [named(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    return value


def _named_field(name: str, value: Any) -> Any:
    if name == "account":
        return shortened(value)
    if name == "accounts":
        return [shortened(account) for account in value]
    return named(value)


def one_line(message: Struct) -> str:
    """A message's fields on one line, instants as market time, long tuples by their length."""
    return "  ".join(
        f"{name}={_field(name, getattr(message, name))}"
        for name in message.__struct_fields__
        if getattr(message, name) not in ("", (), None)
    )


def _field(name: str, value: Any) -> str:
    if name.endswith("_ns") and isinstance(value, int) and value > ANY_INSTANT_NS:
        return market_time(value, millis=True)
    if name in ("account", "accounts"):
        return str(_named_field(name, value))
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    if isinstance(value, Struct):
        return f"({one_line(value)})"
    if isinstance(value, tuple):
        if len(value) > 12:
            return f"({len(value)} values)"
        return "(" + ", ".join(_field("", item) for item in value) + ")"
    return str(value)
