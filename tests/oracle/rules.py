"""What a person chose for a run, as far as the oracle judges by it: values of settings, never how
the system reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tests.oracle.facts import SECOND_NS

ON_ITS_WAY = 1.01
"""What a price may do between the sizing of an order and its sending."""


@dataclass(frozen=True, slots=True)
class Rules:
    """As shipped unless said."""

    after_hours: bool = False
    """A BEAR close sells at once, by a limit order outside regular hours."""
    capital_usd_max: float = math.inf
    leverage_max: float = 3.75
    """The largest tier, or less where the account carries less."""
    entry_from_ns: int = 300 * SECOND_NS
    """Before the close, as is the next."""
    entry_until_ns: int = 60 * SECOND_NS
    all_day: bool = False
    """The entry is due from the open on."""
    reentry_same_day: bool = True
    baseline: Literal["open", "previous_close", "entry", "off"] = "open"
    loss_fraction: float = 0.02
    resting_loss_fraction: float = 0.025
    actions_a_day_max: int = 20
    entry_actions_max: int = 20
    """The last action of a day that an entry may be."""
    order_value_usd_max: float = math.inf


SHIPPED = Rules()
