"""What came of it, as one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from tests.chaos.schedule import KINDS


@dataclass(frozen=True, slots=True)
class Result:
    """Of one run. `broken`: promises that were broken; `wrong`: what else should not have been."""

    seed: int
    struck: Counter[str]
    two_at_once: int
    skipped: Mapping[str, str]
    days: int
    days_traded: int
    orders: int
    fills: int
    inputs_judged: int
    halts: Sequence[str]
    ready_s: Sequence[float]
    differences: Sequence[str]
    broken: Sequence[str]
    wrong: Sequence[str]

    @property
    def held(self) -> bool:
        return not (self.differences or self.broken or self.wrong)

    @property
    def proved(self) -> bool:
        """A run in which nobody traded or nothing was struck has shown nothing."""
        return bool(self.struck and self.orders)


def table(result: Result) -> Table:
    shown = Table(title=f"chaos, seed {result.seed}", show_header=False)
    shown.add_column()
    shown.add_column(justify="right")
    for kind, _, _ in KINDS:
        if kind in result.skipped:
            shown.add_row(kind, f"skipped: {result.skipped[kind]}")
        else:
            shown.add_row(kind, str(result.struck[kind]))
    shown.add_section()
    shown.add_row("faults, of them two at once", f"{result.struck.total()}, {result.two_at_once}")
    shown.add_row("days ended, days with an order", f"{result.days}, {result.days_traded}")
    shown.add_row("orders, fills", f"{result.orders}, {result.fills}")
    shown.add_row("halts", str(len(result.halts)))
    shown.add_row("recorded inputs judged again", str(result.inputs_judged))
    shown.add_row("differences to the broker's books", str(len(result.differences)))
    shown.add_row("promises broken", str(len(result.broken)))
    shown.add_row("other complaints", str(len(result.wrong)))
    worst_s, times = max(result.ready_s), len(result.ready_s)
    shown.add_row(f"time to READY or HALTED after faults, worst of {times}", f"{worst_s:.1f} s")
    shown.add_section()
    shown.add_row("verdict", verdict(result))
    return shown


def verdict(result: Result) -> str:
    if not result.held:
        return "BROKEN"
    return "held" if result.proved else "NOTHING SHOWN: no order or no fault"


def details(result: Result) -> list[str]:
    """A line for everything that the table only counts."""
    lines = [f"halted: {reason} ({times}x)" for reason, times in Counter(result.halts).items()]
    lines += [f"difference: {text}" for text in result.differences]
    lines += [f"broken promise: {text}" for text in result.broken]
    return lines + [f"complaint: {text}" for text in result.wrong]
