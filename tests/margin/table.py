"""Writes docs/margin.md from the combinations: `python -m tests.margin.table`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.margin.combinations import (
    ACCOUNTS,
    CHECKS,
    EQUITIES_USD,
    SAID,
    TIERS,
    Case,
    Outcome,
    played,
)

PAGE = Path(__file__).parents[2] / "docs" / "margin.md"
HEAD = """# Margin in every combination

What an entry at 15:55 comes to, by our two settings (`margin.account`, `margin.check`), IB's two
kinds of account and the VIX tier: the risk monitor's own decider beside the simulated TWS's
account, which answers the what-if, fills the order and checks its SMA until 17:20.
`python -m tests.margin.table` writes this page; `tests/margin` reckons every figure anew and keeps
it. The simulated account is our reading of IB's rules ([assumptions](assumptions.md)): compare it
with what-ifs of your own account.

A cell is the leverage bought, or why nothing was. **liquidated**: under Reg T IB's check at the end
of the day sold what was above 2x; the system latched HALTED and paged. The line that a person reads
carries the figures:

"""
LINES = (
    Case("portfolio", 0.30, "auto", "clamp", 1_000_000.0, 3.75),
    Case("regt", 0.25, "auto", "clamp", 1_000_000.0, 3.75),
)
NAMES = {
    0.15: "portfolio margin, 15 % stress",
    0.30: "portfolio margin, 30 % stress",
    0.25: "Reg T",
}


def page() -> str:
    """The whole page."""
    lines = [f"> {played(case).told}\n" for case in LINES]
    return HEAD + "\n".join(lines) + "\n" + "\n".join(_tables()) + "\n"


def _tables() -> Sequence[str]:
    """One table for all equities at which the same happens."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for equity_usd in EQUITIES_USD:
        alike.setdefault(tuple(_rows(equity_usd)), []).append(f"${equity_usd:,.0f}")
    out: list[str] = []
    for rows, equities in alike.items():
        tiers = " | ".join(f"{tier:g}x" for tier in TIERS)
        out += [f"## Equity {', '.join(equities)}", ""]
        out += [f"| account | `margin.account` / `margin.check` | {tiers} |", "| --- " * 6 + "|"]
        out += [*rows, ""]
    return out[:-1]


def _rows(equity_usd: float) -> Iterator[str]:
    """A row for all settings of an account that come to the same."""
    for kind, rate in ACCOUNTS:
        alike: dict[str, list[str]] = {}
        for said, check in itertools.product(SAID, CHECKS):
            cells = [_cell(Case(kind, rate, said, check, equity_usd, tier)) for tier in TIERS]
            alike.setdefault(" | ".join(cells), []).append(f"{said} / {check}")
        for text, given in alike.items():
            every = len(given) == len(SAID) * len(CHECKS)
            yield f"| {NAMES[rate]} | {'any' if every else ', '.join(given)} | {text} |"


def _cell(case: Case) -> str:
    found: Outcome = played(case)
    if not found.shares:
        if "MINIMUM EQUITY" in found.refused:
            return "below IB's minimum"
        return "refused" if case.check == "refuse" else "rejected by IB"
    text = f"{found.shares * found.mark_usd / case.equity_usd:.2f}x"
    return f"{text}, **liquidated**" if found.liquidated else text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
