"""Which blows fall, when and on whom: drawn from a seed, with a rhythm that lets most days trade.

Pure. The same seed draws the same blows; what they meet depends on the machine's load.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

PAUSE_S = (1.0, 5.0)  # host time between two blows
TWO_AT_ONCE = 0.25  # share of the blows
RESTARTS_PER_MINUTE_MAX = 3  # of one process: the flap rule halts above five
MINUTE_S = 60.0
BLOW_S = 3.0  # host time that a blow takes on average, to reckon the rhythm by

# Kind, weight, host seconds it lasts. The kinds without seconds end by themselves.
KINDS: tuple[tuple[str, int, tuple[float, float]], ...] = (
    ("kill", 20, (0.0, 0.0)),
    ("hang", 6, (0.0, 0.0)),
    ("hang-monitors", 3, (0.0, 0.0)),
    ("pause", 10, (0.2, 2.0)),
    ("starve", 4, (2.0, 6.0)),
    ("link-loss", 8, (1.0, 6.0)),
    ("nightly-reset", 2, (5.0, 10.0)),
    ("socket-reset", 8, (0.0, 0.0)),
    ("half-open", 3, (0.0, 0.0)),
    ("freeze-tws", 3, (2.0, 9.0)),
    ("kill-tws", 3, (0.0, 0.0)),
    ("restart-tws", 4, (1.0, 4.0)),
    ("slow-tws", 3, (2.0, 4.0)),
    ("lose-order", 2, (6.0, 12.0)),
    ("late-reports", 3, (3.0, 6.0)),
    ("disk-full", 2, (6.0, 9.0)),
    ("write-fails", 3, (0.0, 0.0)),
    ("halt", 3, (2.0, 6.0)),
    ("second-start", 2, (0.0, 0.0)),
    ("kill-supervisord", 3, (0.0, 0.0)),
    ("kill-launcher", 2, (0.0, 0.0)),
)
RESTARTING = frozenset({"kill", "hang", "hang-monitors", "write-fails"})
ALONE = frozenset({"kill-supervisord", "kill-launcher", "second-start"})


class Blow(NamedTuple):
    """One blow. `target`: a process's name where the kind hits one, else ""."""

    kind: str
    target: str
    seconds: float
    draw: float
    """In [0, 1): whatever else the kind has to choose."""


class Round(NamedTuple):
    """A pause, then one blow or two at once."""

    pause_s: float
    blows: tuple[Blow, ...]


def rounds(seed: int, targets: Mapping[str, Sequence[str]]) -> Iterator[Round]:
    """Endless. `targets`: per kind the processes it may hit; a kind that may not be struck here is
    left out by giving it an empty sequence. Every kind comes once before any is drawn freely."""
    draw = random.Random(seed)
    kinds = [kind for kind, _, _ in KINDS if targets.get(kind, ("",))]
    weights = {kind: weight for kind, weight, _ in KINDS}
    first = draw.sample(kinds, len(kinds))
    restarts: list[tuple[float, str]] = []
    now_s = 0.0
    while True:
        pause_s = draw.uniform(*PAUSE_S)
        now_s += pause_s + BLOW_S
        restarts = [(at_s, name) for at_s, name in restarts if now_s - at_s < MINUTE_S]
        struck: list[Blow] = []
        wanted = 2 if not first and draw.random() < TWO_AT_ONCE else 1
        for _ in range(wanted):
            kind = first.pop() if first else draw.choices(kinds, [weights[k] for k in kinds])[0]
            if struck and (kind in ALONE or struck[0].kind in ALONE or kind == struck[0].kind):
                continue
            blow = _blow(draw, kind, targets.get(kind, ("",)), [name for _, name in restarts])
            if blow is not None:
                struck.append(blow)
                if kind in RESTARTING:
                    restarts.append((now_s, blow.target))
        if struck:
            yield Round(pause_s, tuple(struck))


def _blow(
    draw: random.Random, kind: str, targets: Sequence[str], restarted: list[str]
) -> Blow | None:
    """None when every target was restarted too often lately."""
    if kind in RESTARTING:
        targets = [t for t in targets if restarted.count(t) < RESTARTS_PER_MINUTE_MAX]
    if not targets:
        return None
    shortest_s, longest_s = next((span for name, _, span in KINDS if name == kind), (0.0, 0.0))
    return Blow(kind, draw.choice(targets), draw.uniform(shortest_s, longest_s), draw.random())
