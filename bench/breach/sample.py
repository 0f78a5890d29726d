"""One measurement, the file they are collected in, and the table they make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.ratio import percentile

HEALTHY = "healthy"
HEALTHY_S_MAX = 2.0  # promise 2: the order within this (p99) while all is healthy
HURT_S_MAX = 10.0  # and within this, or BREACHED said, with one process dead or hung
BEGIN = "<!-- figures: python -m bench.breach --save -->"
END = "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Sample:
    """`harm`: healthy, killed or hung; `process`: which. Seconds of host time from the breach:
    `order_s` to the exit order parsed by the broker, `breached_s` to BREACHED said; None: not
    within the watch. `load`: the machine's load average then. `starved`: processes that the
    watchdog replaced besides, because the machine did not let them run; then it was not one process
    that was dead or hung, and the promise says nothing."""

    harm: str
    process: str
    order_s: float | None
    breached_s: float | None
    load: float
    starved: str = ""

    @property
    def kept(self) -> bool:
        """Whether promise 2 was kept (a healthy one by itself: the promise is of the p99)."""
        if self.harm == HEALTHY:
            return self.order_s is not None and self.order_s <= HEALTHY_S_MAX
        told = [s for s in (self.order_s, self.breached_s) if s is not None]
        return bool(told) and min(told) <= HURT_S_MAX


def collected(path: Path) -> list[Sample]:
    """Every sample of a file, oldest first; none when there is no file yet."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Sample(**json.loads(line)) for line in lines]


def collect(path: Path, sample: Sample) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(asdict(sample)) + "\n")


def table(samples: Sequence[Sample]) -> str:
    """A Markdown table, a row for each case."""
    cases = sorted({(s.harm != HEALTHY, s.process, s.harm) for s in samples})
    rows = [
        "| case | breaches | p50 s | p99 s | max s | only BREACHED | promise 2 | starved |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for _, process, harm in cases:
        mine = [s for s in samples if (s.harm, s.process) == (harm, process)]
        rows.append(_row(f"{process} {harm}".strip(), mine))
    return "\n".join(rows)


def _row(case: str, every: Sequence[Sample]) -> str:
    """Figures of those in which no other process was starved; the others are counted."""
    samples = [s for s in every if not s.starved]
    starved = len(every) - len(samples)
    if not samples:
        return f"| {case} | 0 | | | | | | {starved} |"
    took_s = [s.order_s for s in samples if s.order_s is not None]
    told = sum(s.order_s is None and s.breached_s is not None for s in samples)
    figures = " | | "
    if took_s:
        marks = (percentile(took_s, 0.5), percentile(took_s, 0.99), max(took_s))
        figures = " | ".join(f"{mark:.2f}" for mark in marks)
    return f"| {case} | {len(samples)} | {figures} | {told} | {verdict(samples)} | {starved} |"


def verdict(samples: Sequence[Sample]) -> str:
    """Of the samples of one case."""
    if samples[0].harm == HEALTHY:
        took_s = [s.order_s if s.order_s is not None else float("inf") for s in samples]
        return "kept" if percentile(took_s, 0.99) <= HEALTHY_S_MAX else "BROKEN"
    missed = sum(not s.kept for s in samples)
    return f"BROKEN {missed} times" if missed else "kept"


def loads(samples: Sequence[Sample]) -> str:
    if not samples:
        return "no sample"
    values = sorted(s.load for s in samples)
    middle = values[len(values) // 2]
    return f"load average while measuring: {values[0]:.1f} to {values[-1]:.1f}, median {middle:.1f}"


def save(page: Path, samples: Sequence[Sample]) -> None:
    """Puts the table between the page's two markers; ValueError when they are not there."""
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: the markers {BEGIN} and {END} are missing")
    shown = f"{table(samples)}\n\n{loads(samples).capitalize()}."
    page.write_text(f"{before}{BEGIN}\n{shown}\n{END}{after}")
