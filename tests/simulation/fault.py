"""What a fault is: how often it is drawn, the harm it does, and how the harm is mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulation.timeline import Act

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis

Harm = tuple[float, Act | None]
"""Host seconds that it lasts, and what mends it."""
NOTHING: Harm = (0.0, None)
STANDING = -1.0
"""The harm waits for its occasion; it is mended when the plan is over."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`weight`: how often it is drawn, relative to the others of its table. `begin` does the harm
    at once."""

    weight: int
    begin: Callable[[Nemesis], Harm]
