"""The settings that a run is played with: as shipped, but for the choices that its seed draws.

Each choice has a stream of its own, so that a new one changes the runs that make it and no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from msgspec.structs import replace

from common.clock import MINUTE_NS, SECOND_NS
from common.settings import (
    Account,
    Entry,
    Exit,
    LeverageTable,
    Limits,
    Margin,
    Settings,
    Stop,
    Strategy,
)
from services.sim_tws.account import REG_T
from services.sim_tws.account import Account as SimAccount
from tests.oracle.rules import SHIPPED, Rules

REG_T_BESIDE_MARGIN = 0.5
EXIT_ACTIONS_FACTOR = 2
"""Exits may go on to twice the day's number of orders."""

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


def capital(chance: Random, settings: Settings) -> Settings:
    """Of an account of a million: far below it, next to it, above it."""
    most_usd = chance.choice((10_000.0, 300_000.0, 900_000.0, 995_000.0, 1_005_000.0, 3_000_000.0))
    return replace(settings, account=Account(capital_usd_max=most_usd))


def margin(chance: Random, settings: Settings) -> Settings:
    said = Margin(
        check=chance.choice(("clamp", "refuse", "off")),
        account=chance.choice(("auto", "auto", "portfolio", "regt")),
    )
    return replace(settings, margin=said)


def leverage(chance: Random, settings: Settings) -> Settings:
    table = chance.choice(
        (
            LeverageTable(base=1.0, vix_below=(), leverage=()),
            LeverageTable(base=2.0, vix_below=(12.0, 20.0), leverage=(3.0, 2.5)),
            LeverageTable(base=3.75, vix_below=(14.0,), leverage=(4.5,)),
            LeverageTable(base=5.0, vix_below=(13.0,), leverage=(6.0,)),
        )
    )
    most = min(settings.margin.regt_leverage_max, table.base)
    return replace(
        settings, leverage=table, margin=replace(settings.margin, regt_leverage_max=most)
    )


def entry(chance: Random, settings: Settings) -> Settings:
    kind = chance.choice(("once", "once", "when", "test"))
    before = chance.choice((1.5, 3.0, 15.0, 45.0)) if kind == "when" else 5.0
    made = Entry(
        minutes_before_close=before,
        readiness_minutes_before_close=before + chance.choice((0.5, 5.0)),
        reentry_same_day=kind != "once",
        test_entry=kind == "test",
    )
    return replace(settings, entry=made)


def fractions(chance: Random, settings: Settings) -> Settings:
    """`choices` made before may have taken the resting stop away."""
    loss = chance.choice((0.005, 0.01, 0.03, 0.08))
    resting = loss * chance.choice((1.1, 1.25, 2.0))
    said = replace(settings.stop, loss_fraction=loss, resting_loss_fraction=resting)
    return replace(settings, stop=said)


def baseline(chance: Random, settings: Settings) -> Settings:
    kind = chance.choice(("previous_close", "entry", "off"))
    return replace(settings, stop=replace(settings.stop, baseline=kind))


def limits(chance: Random, settings: Settings) -> Settings:
    said = Limits(
        orders_per_day_max=chance.choice((2, 3, 4, 20)),
        order_value_usd_max=chance.choice((5e5, 2.9e6, 3.1e6, 2e7)),
    )
    return replace(settings, limits=said)


CHOICES = {
    "settings": Choice(0.15, no_resting_stop),  # the stream's name is from before there were others
    "after hours": Choice(0.06, after_hours),
    "capital": Choice(0.06, capital),
    "margin": Choice(0.06, margin),
    "leverage": Choice(0.05, leverage),
    "entry": Choice(0.06, entry),
    "fractions": Choice(0.05, fractions),
    "limits": Choice(0.05, limits),
    "baseline": Choice(0.06, baseline),
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """`names`: the choices that were made; `reg_t`: the simulated account is one."""

    settings: Settings = SETTINGS
    names: frozenset[str] = frozenset()
    reg_t: bool = False


def drawn(seed: int, only: frozenset[str]) -> Drawn:
    """What a seed draws of the choices asked for."""
    settings, names = SETTINGS, set[str]()
    for name, choice in CHOICES.items():
        chance = Random(f"{seed} {name}")
        if name in only and chance.random() < choice.share:
            settings = choice.make(chance, settings)
            names.add(name)
    reg_t = "margin" in names and Random(f"{seed} reg t").random() < REG_T_BESIDE_MARGIN
    return Drawn(settings, frozenset(names), reg_t)


def rules(settings: Settings, account: SimAccount) -> Rules:
    """What the oracle judges by."""
    said, bounds, capital_usd = settings.margin, settings.limits, settings.account.capital_usd_max
    unproven = said.account == "regt" or (said.account == "auto" and account.margin_kind == REG_T)
    most = said.regt_leverage_max if unproven and said.check != "off" else settings.leverage.largest
    small = bounds.orders_per_day_max < SHIPPED.entry_actions_max
    return Rules(
        after_hours=settings.exit.bear == "after_hours",
        capital_usd_max=capital_usd or SHIPPED.capital_usd_max,
        leverage_max=most,
        entry_from_ns=int(settings.entry.minutes_before_close * MINUTE_NS),
        entry_until_ns=int(settings.entry.last_s_before_close * SECOND_NS),
        all_day=settings.entry.test_entry,
        reentry_same_day=settings.entry.reentry_same_day,
        baseline=settings.stop.baseline,
        loss_fraction=settings.stop.loss_fraction,
        resting_loss_fraction=settings.stop.resting_loss_fraction,
        actions_a_day_max=(
            EXIT_ACTIONS_FACTOR * bounds.orders_per_day_max if small else SHIPPED.actions_a_day_max
        ),
        entry_actions_max=bounds.orders_per_day_max,
        order_value_usd_max=bounds.order_value_usd_max,
    )
