"""Everything a backtest may vary: the strategy's rules, its costs, and how bars are read.

The rules become ordinary settings, so the live deciders take them as they take settings.toml. The
last four options exist to show what the published figures rest on; nobody can trade them.
"""

from __future__ import annotations

from datetime import date
from math import ceil
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from common.settings import Entry, LeverageTable, Margin, Settings, Stop, Strategy

Baseline = Literal["open", "previous_close", "entry", "off"]
BearExit = Literal["next_open", "close", "next_close"]
Bars = Literal["daily", "5min", "1min", "auto"]
Nonnegative = Annotated[float, Meta(ge=0, le=1e4)]

REGT_MAINTENANCE_FRACTION = 0.25
"""Maintenance margin of a stock in a Reg T account (FINRA rule 4210)."""
NO_VIX_TIERS = ((), ())
SESSIONS_PER_YEAR = 250


class OptionsError(ValueError):
    """The options contradict each other or a setting's bounds; the text names the mend."""


class MarginModel(Struct, frozen=True):
    """The broker's margin: none at all, Reg T, or a portfolio-margin rate of the position's value.

    `rate_fraction` is both initial and maintenance margin, per USD of stock.
    """

    kind: Literal["off", "regt", "pm"]
    rate_fraction: float


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One backtest. Defaults: settings.toml's rules, $100,000, costs and interest on."""

    first: date | None = None
    last: date | None = None
    start_equity_usd: Annotated[float, Meta(gt=0, le=1e10)] = 100_000.0

    ema_fast: int = 25
    ema_slow: int = 125
    history_slow_multiple: int = 5
    leverage_base: float = 3.0
    vix_below: tuple[float, ...] = (12.0, 13.0, 14.0)
    vix_leverage: tuple[float, ...] = (3.75, 3.5, 3.25)
    stop_loss_fraction: float = 0.02
    baseline: Baseline = "open"
    reentry: bool = True
    bear_exit: BearExit = "next_open"

    commission_per_share_usd: Nonnegative = 0.005
    slippage_bp: Nonnegative = 1.0
    interest: bool = True
    interest_spread_pct: Annotated[float, Meta(ge=-10, le=100)] = 1.5
    margin: str = "off"
    margin_buffer_fraction: Annotated[float, Meta(ge=0, le=1)] = 0.05
    bars: Bars = "daily"

    decide_at: Literal["before_close", "close"] = "before_close"
    gap_fill: Literal["open", "level"] = "open"
    parts_per_share: Annotated[int, Meta(ge=1, le=1 << 24)] = 1
    prices: Literal["traded", "dividend_adjusted"] = "traded"
    ema_from: date | None = None

    def __post_init__(self) -> None:
        margin_model(self.margin)
        if self.first and self.last and self.first > self.last:
            raise OptionsError(f"--from {self.first} is after --to {self.last}")
        if self.parts_per_share & (self.parts_per_share - 1):
            raise OptionsError("parts_per_share must be a power of two: its arithmetic is exact")
        if self.decide_at == "close" and self.bear_exit != "next_open":
            raise OptionsError("decide_at close sells on a bear signal at that close already")
        if self.decide_at == "close" and self.bars != "daily":
            raise OptionsError("decide_at close knows daily bars only")

    def settings(self) -> Settings:
        """The live system's settings of these rules; OptionsError where it would refuse them."""
        bars = self.history_slow_multiple * self.ema_slow
        try:
            settings = Settings(
                strategy=Strategy(
                    ema_fast=self.ema_fast,
                    ema_slow=self.ema_slow,
                    history_slow_multiple=self.history_slow_multiple,
                    history_years=max(5, ceil(bars / SESSIONS_PER_YEAR)),
                ),
                leverage=LeverageTable(
                    base=self.leverage_base, vix_below=self.vix_below, leverage=self.vix_leverage
                ),
                entry=Entry(reentry_same_day=self.reentry, test_entry=self.decide_at == "close"),
                stop=Stop(
                    loss_fraction=self.stop_loss_fraction,
                    baseline=self.baseline,
                    resting=False,  # it acts only where the live system is dead
                ),
                margin=self._margin_settings(),
            )
            return msgspec.convert(msgspec.to_builtins(settings), Settings)  # checks the bounds
        except (msgspec.ValidationError, ValueError) as error:
            raise OptionsError(str(error)) from error

    def _margin_settings(self) -> Margin:
        kind = margin_model(self.margin).kind
        return Margin(
            check="off" if kind == "off" else "clamp",
            account="portfolio" if kind == "pm" else "regt",
            buffer_fraction=self.margin_buffer_fraction,
            regt_leverage_max=min(2.0, self.leverage_base),
        )


def gross(options: Options) -> Options:
    """The same without commission, slippage and interest."""
    return msgspec.structs.replace(
        options, commission_per_share_usd=0.0, slippage_bp=0.0, interest=False
    )


def margin_model(text: str) -> MarginModel:
    """ "off", "regt", or "pm:RATE" with the rate as a fraction (pm:0.15); OptionsError else."""
    if text == "off":
        return MarginModel("off", 0.0)
    if text == "regt":
        return MarginModel("regt", REGT_MAINTENANCE_FRACTION)
    kind, _, rate = text.partition(":")
    try:
        fraction = float(rate)
    except ValueError:
        fraction = 0.0
    if kind != "pm" or not 0.0 < fraction <= 1.0:
        raise OptionsError(f"--margin {text}: off, regt, or pm:RATE with 0 < RATE <= 1 (pm:0.15)")
    return MarginModel("pm", fraction)
