"""`python -m tests.simulation`: one seed, or many.

--seed N [--trace]           one run; with --trace its story
--seeds N [--first M]        many, on all cores; exit 1 when one fails
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from tests.simulation import campaign


def main() -> int:
    arguments = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("--seed", type=int)
    arguments.add_argument("--trace", action="store_true")
    arguments.add_argument("--seeds", type=int, default=0)
    arguments.add_argument("--first", type=int, default=0)
    arguments.add_argument("--workers", type=int, default=0, help="processes; 0: one a core")
    asked = arguments.parse_args()
    if asked.seeds:
        tally = campaign.run(asked.first, asked.seeds, asked.workers)
        say(campaign.report(tally))
        return bool(tally.failures)
    if asked.seed is None:
        arguments.error("what shall be run? --seed or --seeds")
    campaign.quiet()
    world = campaign.play(asked.seed, trace=asked.trace)
    say(world.trace or ())
    say([f"seed {world.seed}: {'; '.join(world.failures) or 'every promise kept'}", world.hash()])
    return bool(world.failures)


def say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)  # noqa: T201 (a program's own words)


if __name__ == "__main__":
    sys.exit(main())
