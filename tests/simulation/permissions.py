"""What of the market's data this login may have, and how IB tells the profit and loss."""

from __future__ import annotations

from dataclasses import dataclass, field

from common.messages import DataKind
from common.tws.market_messages import LIVE_TYPE, DataCode

DELAYED_TYPE = {live: delayed for delayed, live in LIVE_TYPE.items()}
SHOWS_DELAYED, COMPETING = 10167, 10197
REFUSALS = (354, 10089, 10168, 10186, 10090, 10091)
"""How live data is refused; the last two where part of it is said to be permitted."""


@dataclass(slots=True)
class Permissions:
    """`delayed`: symbols of which only data a quarter of an hour old may be had."""

    delayed: set[str] = field(default_factory=set)
    refusal: int = REFUSALS[0]
    in_part: int = 0
    """Said of live data that comes all the same; 0: nothing is said."""
    competing: bool = False
    """Another session of this login takes the data."""

    @property
    def words(self) -> str:
        return f"delayed: {sorted(self.delayed)}, live data refused by {self.refusal}"

    def answer(self, symbol: str, *, live: bool) -> tuple[int, DataKind]:
        """What TWS says of a subscription (0: nothing), and the kind of data that it gets."""
        if self.competing:
            return COMPETING, "none"
        if symbol not in self.delayed:
            return (self.in_part if live else 0), "live"
        return (self.refusal, "none") if live else (SHOWS_DELAYED, "delayed")


@dataclass(slots=True)
class PnlWays:
    """How the position's profit and loss is told: at its best every second, of now."""

    silent: bool = False
    late_s: float = 0.0
    old_count_s: float = 0.0
    """So long after a trade the share count of before it is told, market time."""
    wild: float = 0.0
    """By this fraction the next one is off."""


def code(symbol: str, number: int) -> DataCode:
    return DataCode(symbol=symbol, code=number, text="as the simulated TWS says it")
