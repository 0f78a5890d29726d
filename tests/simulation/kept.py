"""Seeds that found something, kept for ever. `make test` runs them all."""

from __future__ import annotations

BEFORE_CHOICES = frozenset({"settings"})
"""What runs drew of the settings when these were found, and still draw here."""
KEPT: dict[int, str] = {
    25: "a trade by hand, believed from the share count, was counted again when its fill was told",
    2540: "a deposit moments before an entry: the oracle counted money nobody was told of",
    3004: "the same between the order and its fill",
    52138: "a clock set ahead over the open: the oracle knew no baseline from before it",
    3101: "a gateway started while TWS had no link to IB never asked for its instrument again",
    63121: "account values that were not told after a reconnect were not asked for again: no entry",
    65401: "prices asked for after the close in vain were not asked for again until the open",
    91172: "a deposit told while the stop monitor was paused, its entry decided: the judge",
    66474: "an alarm on an exit without an answer comes after ten seconds: the judge",
    95453: "an exit refused while LOCKED waited up to half a minute after a person had unlocked",
    125: "an entry that filled after it was given up was sold at once, by the morning's baseline",
    201136: "an exit in a dialog of TWS answers a breach though no book lists it: the judge",
    32: "an exit was refused and paged a moment before the breach was one to the judge: the judge",
    1778: "an order of others that another fault took never rested anywhere: the harness",
    400115: "part of a share, which no execution explains, was a difference: the judge",
    400198: "an order of others was looked for by a permId that nobody had told: the harness",
    520937: "a login as another user while a restart had left the old one connected: the harness",
    700765: "market time rushed on while a position did not add up: its execution was never told",
    701000: "another login was awaited while the power was cut: the harness",
    710142: "a halt was told to one client only: the harness",
    710693: "a fall that lasted as long as the stop monitor was stopped: the judge",
    710773: "an abandoned order that a dialog sent, Inactive at IB, was not followed",
}
"""The seed, and what it found: in the system, or in its judge."""
KEPT_CHOICES: dict[int, tuple[str, str]] = {
    724206: ("", "a wild first bid and ask were the day's opening price, against TWS's own"),
    724251: ("", "an exit that a dialog held was in doubt to the day's end after another's trade"),
    721712: ("", "a split made a whole share of a part of one: the judge"),
    724338: ("", "what an exit leaves to a sale of others was a breach unanswered: the judge"),
    726980: ("", "filled, its executions late, an exit did not answer a breach: the judge"),
    735010: (
        "",
        "beside an exit that a dialog held another one sold what fitted: short by all of it",
    ),
    734608: ("", "the same after IB liquidated a part"),
    738264: ("after hours", "what others sold no more was left to them all evening"),
    733904: ("", "the id of a what-if was used again after the power was cut"),
    735670: ("", "an exit sent before the open by a wrong clock sold at it: the judge"),
    730959: ("", "an open that fell 2 % while quotes stood still has no sure price: the judge"),
    725753: ("baseline", "a count that was believed and its executions were of the same second"),
    804506: ("after hours", "a stop that the close cut off kept a BEAR position over night"),
    900139: ("fractions", "frozen a second after a login, clocks were never compared: the harness"),
    900454: (
        "fractions",
        "an exit whose only answer is that its id was used is in doubt: the judge",
    ),
}
"""The same of runs that may draw all choices: the seed, the one that mattered (none: "") and what
it found."""
