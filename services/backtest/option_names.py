"""A refusal of rules or costs in the words of the command line: its option and its unit.

The rules become the live system's settings, whose bounds speak of sections, fractions and years.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from services.backtest.options import SESSIONS_PER_YEAR


class Spoken(NamedTuple):
    """How a person says a field: its value x `times` in `unit`."""

    name: str
    unit: str = ""
    times: float = 1.0


FIELDS = {
    "strategy.ema_fast": Spoken("--fast", "closes"),
    "strategy.ema_slow": Spoken("--slow", "closes"),
    "strategy.history_slow_multiple": Spoken("--history-slow-multiple"),
    "strategy.history_years": Spoken(
        "--slow times --history-slow-multiple", "closes", SESSIONS_PER_YEAR
    ),
    "leverage.base": Spoken("--leverage"),
    "leverage.vix_below": Spoken("VIX levels"),
    "leverage.leverage": Spoken("leverages by VIX"),
    "stop.loss_fraction": Spoken("--stop-pct", "%", 100.0),
    "start_equity_usd": Spoken("--equity", "USD"),
    "ema_fast": Spoken("--fast", "closes"),
    "ema_slow": Spoken("--slow", "closes"),
    "stop_loss_fraction": Spoken("--stop-pct", "%", 100.0),
    "slippage_bp": Spoken("--slippage-bp", "basis points"),
    "commission_per_share_usd": Spoken("--commission", "USD"),
    "interest_spread_pct": Spoken("--interest-spread", "%"),
}
"""By its path in the settings, or its name in the options."""
SIGNS = {"<=": "at most", ">=": "at least", "<": "below", ">": "above"}
BOUND = re.compile(r"Expected `\w+` (of length )?([<>]=?) (\S+) - at `\$\.([\w.]+)(?:\[.*\])?`")
NAMED = re.compile("|".join(rf"(?<![\w.]){re.escape(field)}(?!\w)" for field in FIELDS))


def in_options(text: str) -> str:
    """The refusal with each field by its option; a bound in the unit that is typed."""
    bound = BOUND.fullmatch(text)
    if bound is None or bound[4] not in FIELDS:
        return NAMED.sub(lambda field: FIELDS[field[0]].name, text)
    length, sign, limit, field = bound.groups()
    spoken = FIELDS[field]
    if length:
        return f"{spoken.name}: {SIGNS[sign]} {limit} of them"
    unit = f" {spoken.unit}" if spoken.unit else ""
    return f"{spoken.name} must be {SIGNS[sign]} {float(limit) * spoken.times:g}{unit}"
