"""What a person chose for a run, as far as the oracle judges by it. As shipped unless said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Values of settings, never how the system reads them."""

    after_hours: bool = False
    """A BEAR close sells at once, by a limit order outside regular hours."""


SHIPPED = Rules()
