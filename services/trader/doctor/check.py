"""One row of `trader doctor`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Verdict = Literal["ok", "warn", "fail", "skip"]


class Check(Struct, frozen=True, kw_only=True):
    """`found`: what is so. `mend`: what a person should do about it; empty when nothing."""

    name: str
    verdict: Verdict
    found: str
    mend: str = ""
