"""What a line of `trader status` is, and all that it may look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from common import messages as m
from common import topology
from common.clock import SECOND_NS
from common.settings import Settings
from services.trader.picture import Picture
from services.trader.wording import market_time, usd

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
    """All that a row may look at. `now_ns`: market time, UTC ns; `host_now_ns`: monotonic ns.

    `alive`: the system runs. Where it does not, all is as its journals left it at `now_ns`.
    """

    picture: Picture
    settings: Settings
    now_ns: int
    host_now_ns: int
    alive: bool = True

    def age_s(self, instant_ns: int) -> float:
        return max(0.0, (self.now_ns - instant_ns) / SECOND_NS)


def unknown(key: str, label: str, speaker: str) -> Row:
    return Row(key=key, label=label, text=f"unknown: nothing from {speaker}", level="unknown")


def shares_held(picture: Picture) -> int | None:
    """Shares held by the broker's word; None until it is known. Before it the stop monitor counts
    none, which proves nothing."""
    account = picture.last(m.AccountSnapshot)
    return None if account is None else account.shares


def unwatched(known: Known) -> str:
    """Why the stop monitor does not watch what is held; "" where it says at this moment that it
    does."""
    picture, risk = known.picture, known.picture.last(m.RiskState)
    if not known.alive:
        return "the system is not running"
    silent = [name for name in (topology.RISK, topology.GATEWAY) if name in picture.silent]
    if silent:
        return f"silent: {', '.join(silent)}"
    if risk is None:
        return f"nothing from {topology.RISK}"
    if risk.shares <= 0 < (shares_held(picture) or 0):
        return f"{topology.RISK} does not count them"
    return risk.unwatched


def market_open(known: Known) -> bool | None:
    """Whether the regular session is on; None where its times are not known."""
    session = known.picture.last(m.Session)
    return None if session is None else session.open_ns <= known.now_ns < session.close_ns


def at_broker(known: Known) -> str:
    """The stop that rests at the broker, as far as anyone who is silent by now has told."""
    risk, session = known.picture.last(m.RiskState), known.picture.last(m.Session)
    if risk is None or session is None:
        return "whether a stop rests at the broker is not known"
    if risk.resting_usd is None or not market_open(known):
        return "no stop is known to rest at the broker"
    level, until = usd(risk.resting_usd), market_time(session.close_ns)
    return f"as last heard a stop rests at the broker, at {level}, until {until}"


def unrepeated(reasons: list[str]) -> list[str]:
    """Reasons without those that an earlier one says already."""
    kept: list[str] = []
    for reason in reasons:
        if not any(reason in said for said in kept):
            kept.append(reason)
    return kept
