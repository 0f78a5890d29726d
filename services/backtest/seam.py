"""Where new rows meet old ones: the same prices, a split between them, or a contradiction. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from statistics import median

from msgspec import Struct

from common.core import rules

AGREE_FRACTION = 0.005
"""Sources differ on a day's close by up to 0.15 %; what differs more is another price."""
SHOWN = 3


class Seam(Struct, frozen=True):
    """`scale`: what the older prices must be multiplied by, 1 where they agree.

    `odd`: days on which old and new differ all the same. `problem`: why the two cannot be joined,
    or "".
    """

    shared: int
    scale: float = 1.0
    odd: tuple[str, ...] = ()
    problem: str = ""


def compare(old: Mapping[date, float], new: Mapping[date, float]) -> Seam:
    """Two readings of the same daily closes, by their shared days.

    The broker's history is adjusted for every split so far, so after one all of it differs from
    older files by the split's ratio.
    """
    shared = sorted(set(old) & set(new))
    if not shared:
        return Seam(0)
    scale = median(new[day] / old[day] for day in shared)
    if abs(scale - 1.0) <= AGREE_FRACTION:
        scale = 1.0
    elif rules.is_split(scale):
        scale = exact(scale)
    else:
        problem = (
            f"the broker's closes are {scale:g} times the file's over {len(shared)} shared days, "
            f"which is no split (on {shared[-1]}: {new[shared[-1]]:g} and {old[shared[-1]]:g})"
        )
        return Seam(len(shared), problem=problem)
    odd = tuple(
        f"{day}: {old[day] * scale:g} in the file, {new[day]:g} at the broker"
        for day in shared
        if abs(new[day] / (old[day] * scale) - 1.0) > AGREE_FRACTION
    )
    return Seam(len(shared), scale, odd)


def exact(scale: float) -> float:
    """The split's own ratio of whole numbers near a measured one."""
    for few in range(1, 5):
        for ratio in (round(scale * few) / few, few / max(1, round(few / scale))):
            if abs(ratio / scale - 1.0) <= 0.001:
                return ratio
    return scale


def words(scale: float) -> str:
    """A price scale as people name a split: 0.5 is 2:1."""
    return f"{1.0 / scale:g}:1" if scale < 1.0 else f"1:{scale:g}"
