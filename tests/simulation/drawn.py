"""The settings that a run is played with: as shipped, but for the choices that its seed draws.

Each choice has a stream of its own, so that a new one changes the runs that make it and no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from msgspec.structs import replace

from common.settings import Exit, Settings, Stop, Strategy
from tests.oracle.rules import Rules

SETTINGS = Settings(strategy=Strategy(history_slow_multiple=1, history_years=1))
"""The real settings; only the history is shorter, a daily fact of 140 bars in place of 1,250."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`share` of the runs make it; `make` draws what exactly."""

    share: float
    make: Callable[[Random, Settings], Settings]


def no_resting_stop(_: Random, settings: Settings) -> Settings:
    """It would often sell before the stop monitor is late."""
    return replace(settings, stop=Stop(resting=False))


def after_hours(chance: Random, settings: Settings) -> Settings:
    below = chance.choice((0.0005, 0.0005, 0.005, 0.02))
    return replace(settings, exit=Exit(bear="after_hours", after_hours_limit_fraction=below))


CHOICES = {
    "settings": Choice(0.15, no_resting_stop),  # the stream's name is from before there were others
    "after hours": Choice(0.06, after_hours),
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """`names`: the choices that were made."""

    settings: Settings = SETTINGS
    names: frozenset[str] = frozenset()


def drawn(seed: int, only: frozenset[str]) -> Drawn:
    """What a seed draws of the choices asked for."""
    settings, names = SETTINGS, set[str]()
    for name, choice in CHOICES.items():
        chance = Random(f"{seed} {name}")
        if name in only and chance.random() < choice.share:
            settings = choice.make(chance, settings)
            names.add(name)
    return Drawn(settings, frozenset(names))


def rules(settings: Settings) -> Rules:
    """What the oracle judges by."""
    return Rules(after_hours=settings.exit.bear == "after_hours")
