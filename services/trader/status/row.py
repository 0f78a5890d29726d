"""What a line of `trader status` is, and all that it may look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from common import messages as m
from common.clock import SECOND_NS
from common.settings import Settings
from services.trader.picture import Picture

Level = Literal["good", "plain", "warn", "bad", "unknown"]


class Row(Struct, frozen=True, kw_only=True):
    """One line of the screen; `values` are the same facts for a program, units in their names."""

    key: str
    label: str
    text: str
    level: Level = "plain"
    values: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Known:
    """All that a row may look at. `now_ns`: market time, UTC ns; `host_now_ns`: monotonic ns."""

    picture: Picture
    settings: Settings
    now_ns: int
    host_now_ns: int

    def age_s(self, instant_ns: int) -> float:
        return max(0.0, (self.now_ns - instant_ns) / SECOND_NS)


def unknown(key: str, label: str, speaker: str) -> Row:
    return Row(key=key, label=label, text=f"unknown: nothing from {speaker}", level="unknown")


def shares_held(picture: Picture) -> int | None:
    """Shares held: the broker's word before our own."""
    account = picture.last(m.AccountSnapshot)
    risk = picture.last(m.RiskState)
    if account is not None:
        return account.shares
    return None if risk is None else risk.shares


def unrepeated(reasons: list[str]) -> list[str]:
    """Reasons without those that an earlier one says already."""
    kept: list[str] = []
    for reason in reasons:
        if not any(reason in said for said in kept):
            kept.append(reason)
    return kept
