"""Measures and prints the targets of docs/performance.md: `make bench`.

python -m bench               all of them
python -m bench 6 8           only these numbers
python -m bench --save        also writes the table into docs/performance.md
python -m bench 6 8 --save    the rows of these numbers
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import report
from bench.ratio import Effort, Figure, Result

TABLES = (
    "hops",
    "journal_row",
    "ticks",
    "feed",
    "bus",
    "codec",
    "takeover",
    "cold_start",
    "memory",
    "event_backtest",
    "compiled_backtest",
)


def results(numbers: set[int], effort: Effort) -> Iterator[Result]:
    """Each table's results in turn; all tables when `numbers` is empty."""
    for name in TABLES:
        table = importlib.import_module(f"bench.{name}")
        if not numbers or numbers & {target.number for target in table.TARGETS}:
            yield from table.measure(effort)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="ratios, never times")
    parser.add_argument("numbers", nargs="*", type=int, help="targets to measure; all when none")
    parser.add_argument(
        "--save",
        action="store_true",
        help="write docs/performance.md's table, or these numbers' rows of it",
    )
    options = parser.parse_args(arguments)
    started = time.monotonic()
    print(f"Python {platform.python_version()}, {platform.machine()}: median of the rounds' ratios")
    taken = []
    for result in results(set(options.numbers), Effort()):
        taken.append(result)
        print(report.line(result), flush=True)
    judged = [result for result in taken if result.target.limit is not None]
    met = sum(isinstance(result, Figure) and result.met is True for result in judged)
    print(f"{met} of {len(judged)} figures met, {time.monotonic() - started:.0f} s")
    if options.save:
        page = Path(__file__).resolve().parent.parent / "docs/performance.md"
        report.save(page, taken, keep_others=bool(options.numbers))


if __name__ == "__main__":
    main(sys.argv[1:])
