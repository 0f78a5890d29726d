"""Every number a person may change, with its bounds, declared once.

`settings.toml` holds the values in force, each line with meaning and unit; a test keeps the two
alike. Unknown keys, wrong types, values out of range and contradictions are refused at start with
the key's path. Environment overrides: TRADER__SECTION__KEY=value, the value written as in TOML.
"""

from __future__ import annotations

import os
import tomllib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

SETTINGS_FILE = Path(__file__).resolve().parent.parent / "settings.toml"
OVERRIDE_PREFIX = "TRADER__"

Fraction = Annotated[float, Meta(ge=0, le=1)]
Leverage = Annotated[float, Meta(ge=0.1, le=6)]
Positive = Annotated[float, Meta(gt=0, le=1e9)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1, le=100_000)]


class SettingsError(ValueError):
    """The settings cannot be used; the text names the key's path and the mend."""


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all sections share: no unknown key, nothing changes after the start."""


class Account(Section, frozen=True):
    mode: Literal["paper", "live"] = "paper"
    id: Annotated[str, Meta(max_length=20)] = ""
    capital_usd_max: Annotated[float, Meta(ge=0, le=1e9)] = 0.0


class Broker(Section, frozen=True):
    host: Annotated[str, Meta(min_length=1, max_length=200)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    paper_ports: Annotated[tuple[Port, ...], Meta(min_length=1, max_length=8)] = (7497, 4002, 7496)
    live_ports: Annotated[tuple[Port, ...], Meta(min_length=1, max_length=8)] = (7496, 4001, 7497)
    orders_client_id: Annotated[int, Meta(ge=1, le=999)] = 1
    data_client_id: Annotated[int, Meta(ge=1, le=999)] = 2
    connect_timeout_s: Annotated[float, Meta(ge=1, le=60)] = 10.0
    request_timeout_s: Annotated[float, Meta(ge=1, le=120)] = 15.0
    frozen_after_s: Annotated[float, Meta(ge=1, le=60)] = 3.0
    requests_per_s_max: Annotated[int, Meta(ge=5, le=45)] = 35


class Strategy(Section, frozen=True):
    symbol: Annotated[str, Meta(pattern=r"^[A-Z]{1,6}$")] = "SMH"
    exchange: Annotated[str, Meta(pattern=r"^[A-Z]{2,12}$")] = "SMART"
    primary_exchange: Annotated[str, Meta(pattern=r"^[A-Z]{0,12}$")] = ""
    ema_fast: Annotated[int, Meta(ge=2, le=500)] = 25
    ema_slow: Annotated[int, Meta(ge=3, le=1000)] = 125
    history_years: Annotated[int, Meta(ge=1, le=10)] = 5
    history_slow_multiple: Annotated[int, Meta(ge=1, le=10)] = 5

    def __post_init__(self) -> None:
        if self.ema_fast >= self.ema_slow:
            raise ValueError(
                f"strategy.ema_fast ({self.ema_fast}) must be smaller than "
                f"strategy.ema_slow ({self.ema_slow})"
            )
        if self.history_years * 250 < self.history_slow_multiple * self.ema_slow:
            raise ValueError(
                f"strategy.history_years ({self.history_years}) gives fewer than "
                f"strategy.history_slow_multiple x ema_slow = "
                f"{self.history_slow_multiple * self.ema_slow} bars; ask for more years"
            )


class LeverageTable(Section, frozen=True):
    base: Leverage = 3.0
    vix_below: Annotated[tuple[Positive, ...], Meta(max_length=8)] = (12.0, 13.0, 14.0)
    leverage: Annotated[tuple[Leverage, ...], Meta(max_length=8)] = (3.75, 3.5, 3.25)
    vix_age_s_max: Annotated[float, Meta(ge=1, le=86_400)] = 1200.0

    def __post_init__(self) -> None:
        if len(self.vix_below) != len(self.leverage):
            raise ValueError("leverage.vix_below and leverage.leverage must have the same length")
        if list(self.vix_below) != sorted(set(self.vix_below)):
            raise ValueError("leverage.vix_below must rise")
        if list(self.leverage) != sorted(self.leverage, reverse=True):
            raise ValueError("leverage.leverage must fall as leverage.vix_below rises")
        if self.leverage and self.leverage[-1] < self.base:
            raise ValueError("leverage.base must not exceed the smallest of leverage.leverage")

    @property
    def largest(self) -> float:
        return max((self.base, *self.leverage))


class Entry(Section, frozen=True):
    minutes_before_close: Annotated[float, Meta(ge=1, le=60)] = 5.0
    last_s_before_close: Annotated[float, Meta(ge=10, le=600)] = 60.0
    readiness_minutes_before_close: Annotated[float, Meta(ge=1, le=120)] = 10.0
    reentry_same_day: bool = True
    retry_rejections_max: Annotated[int, Meta(ge=1, le=5)] = 2
    test_entry: bool = False

    def __post_init__(self) -> None:
        if self.last_s_before_close >= self.minutes_before_close * 60:
            raise ValueError(
                "entry.last_s_before_close must be later than entry.minutes_before_close"
            )
        if self.readiness_minutes_before_close <= self.minutes_before_close:
            raise ValueError(
                "entry.readiness_minutes_before_close must be larger than "
                "entry.minutes_before_close"
            )


class Stop(Section, frozen=True):
    loss_fraction: Annotated[float, Meta(ge=0.001, le=0.2)] = 0.02
    baseline: Literal["open", "previous_close", "entry", "off"] = "open"
    confirm_s: Annotated[float, Meta(ge=0.5, le=3)] = 1.0
    opening_print_wait_s: Annotated[float, Meta(ge=0, le=60)] = 5.0
    flow_fraction_max: Annotated[float, Meta(ge=0.0001, le=0.05)] = 0.0025
    resting: bool = True
    resting_loss_fraction: Annotated[float, Meta(ge=0.001, le=0.25)] = 0.025

    def __post_init__(self) -> None:
        if self.resting and self.resting_loss_fraction <= self.loss_fraction:
            raise ValueError(
                f"stop.resting_loss_fraction ({self.resting_loss_fraction:g}) must be larger than "
                f"stop.loss_fraction ({self.loss_fraction:g}): the stop at the broker is the "
                "second line"
            )


class Exit(Section, frozen=True):
    bear: Literal["next_open", "after_hours"] = "next_open"
    after_hours_limit_fraction: Annotated[float, Meta(ge=0.0005, le=0.05)] = 0.005
    unacknowledged_s: Annotated[float, Meta(ge=0.5, le=10)] = 1.0
    unfilled_page_s: Annotated[float, Meta(ge=2, le=120)] = 10.0
    reject_slices: Annotated[int, Meta(ge=2, le=10)] = 4


class Data(Section, frozen=True):
    require_live: bool = True
    quote_age_s_max: Annotated[float, Meta(ge=1, le=60)] = 5.0
    pnl_age_s_max: Annotated[float, Meta(ge=2, le=60)] = 15.0
    spread_fraction_max: Annotated[float, Meta(ge=0.0001, le=0.01)] = 0.001
    agree_fraction_max: Annotated[float, Meta(ge=0.0001, le=0.01)] = 0.001
    jump_fraction_max: Annotated[float, Meta(ge=0.01, le=0.5)] = 0.1
    final_bar_alarm_minutes: Annotated[float, Meta(ge=5, le=240)] = 30.0
    clock_offset_s_max: Annotated[float, Meta(ge=0.5, le=30)] = 2.0


class Margin(Section, frozen=True):
    check: Literal["clamp", "refuse", "off"] = "clamp"
    account: Literal["auto", "portfolio", "regt"] = "auto"
    buffer_fraction: Fraction = 0.05
    regt_leverage_max: Leverage = 2.0
    excess_liquidity_page_fraction: Fraction = 0.05


class Limits(Section, frozen=True):
    leverage_tolerance: Annotated[float, Meta(ge=1.0, le=1.1)] = 1.01
    order_value_usd_max: Positive = 20_000_000.0
    orders_per_day_max: Annotated[int, Meta(ge=2, le=20)] = 20
    wire_wait_s: Annotated[float, Meta(ge=5, le=300)] = 30.0
    snapshot_gap_s: Annotated[float, Meta(ge=2, le=60)] = 10.0
    acknowledge_s: Annotated[float, Meta(ge=1, le=60)] = 5.0
    reset_silence_minutes: Annotated[float, Meta(ge=1, le=120)] = 15.0
    no_link_page_minutes: Annotated[float, Meta(ge=5, le=240)] = 60.0


class Alerts(Section, frozen=True):
    alert_command: Annotated[str, Meta(max_length=500)] = ""
    repeat_s: Annotated[float, Meta(ge=10, le=3600)] = 300.0
    command_timeout_s: Annotated[float, Meta(ge=1, le=120)] = 20.0


class Operation(Section, frozen=True):
    silence_s_max: Annotated[float, Meta(ge=1, le=60)] = 3.0
    start_grace_s: Annotated[float, Meta(ge=2, le=120)] = 20.0
    restarts_per_minute_max: Annotated[int, Meta(ge=2, le=60)] = 5
    journal_days_kept: Annotated[int, Meta(ge=7, le=36_500)] = 400
    disk_free_mb_min: Annotated[float, Meta(ge=16, le=100_000)] = 200.0
    disk_reserve_mb: Annotated[float, Meta(ge=1, le=256)] = 8.0
    log_mb_max: Annotated[int, Meta(ge=1, le=1000)] = 20
    logs_kept: Annotated[int, Meta(ge=1, le=100)] = 5


class Simulation(Section, frozen=True):
    start: Annotated[str, Meta(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = ""
    seconds_per_day: Annotated[float, Meta(ge=3, le=86_400)] = 15.0
    seed: Annotated[int, Meta(ge=0, le=2**31)] = 1
    account_type: Literal["portfolio", "regt"] = "portfolio"
    cash_usd: Positive = 1_000_000.0


class Settings(Section, frozen=True):
    """All sections, in the order of `settings.toml`."""

    account: Account = Account()
    broker: Broker = Broker()
    strategy: Strategy = Strategy()
    leverage: LeverageTable = LeverageTable()
    entry: Entry = Entry()
    stop: Stop = Stop()
    exit: Exit = Exit()
    data: Data = Data()
    margin: Margin = Margin()
    limits: Limits = Limits()
    alerts: Alerts = Alerts()
    operation: Operation = Operation()
    simulation: Simulation = Simulation()

    def __post_init__(self) -> None:
        if self.account.mode == "live" and not self.account.id:
            raise ValueError("account.mode is live, so account.id must name the exact account")
        if self.account.mode == "live" and self.entry.test_entry:
            raise ValueError("entry.test_entry is for paper only; account.mode is live")
        if self.broker.orders_client_id == self.broker.data_client_id:
            raise ValueError("broker.orders_client_id and broker.data_client_id must differ")
        if self.margin.regt_leverage_max > self.leverage.base:
            raise ValueError("margin.regt_leverage_max must not exceed leverage.base")

    def to_json(self) -> str:
        """One line of JSON: what a journal keeps, and what the hash is made of."""
        return msgspec.json.encode(self, order="deterministic").decode()

    def hash(self) -> str:
        """Eight hex digits that tell two processes' settings apart; heartbeats carry it."""
        return f"{zlib.crc32(self.to_json().encode()):08x}"


def from_json(text: str) -> Settings:
    """The settings a journal kept."""
    return msgspec.json.decode(text, type=Settings)


def load(path: Path = SETTINGS_FILE, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the file and the environment's overrides; SettingsError names what is wrong."""
    environment = os.environ if environment is None else environment
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: not valid TOML: nested too deep") from error
    overridden = {
        _override(table, name, text): name
        for name, text in sorted(environment.items())
        if name.startswith(OVERRIDE_PREFIX)
    }
    try:
        return msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        told = _readable(str(error))
        source = overridden.get(told.partition(":")[0], path.name)
        raise SettingsError(f"{source}: {told}") from error


def _override(table: dict[str, Any], name: str, text: str) -> str:
    """Puts one in its place, which is given back."""
    parts = name.removeprefix(OVERRIDE_PREFIX).lower().split("__")
    if len(parts) != 2 or not all(parts):
        raise SettingsError(f"{name}: an override is named TRADER__SECTION__KEY")
    section, key = parts
    try:
        read = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        read = {"value": text}  # a bare word needs no quotes in a shell
    if len(read) != 1:
        raise SettingsError(f"{name}: one value is wanted, not several lines")
    values = table.setdefault(section, {})
    if isinstance(values, dict):  # else the file's own fault, told with its path
        values[key] = read["value"]
    return f"{section}.{key}"


def _readable(text: str) -> str:
    """msgspec's "... - at `$.stop.loss_fraction`" as "stop.loss_fraction: ..."."""
    reason, found, path = text.rpartition(" - at `$.")
    return f"{path.rstrip('`')}: {reason}" if found else text
