"""`python -m tests.simulation`: one seed, many seeds, or every crash point.

--seed N [--trace]           one run; with --trace its story
--seeds N [--first M]        many, on all cores; exit 1 when one fails
--crash-points [--pairs N]   a kill at each point of a reference day, then at N pairs of them
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from tests.simulation import campaign, crash_points


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
    arguments.add_argument("--crash-points", action="store_true")
    arguments.add_argument("--pairs", type=int, default=0)
    asked = arguments.parse_args()
    if asked.crash_points:
        return say(crash_points.run(asked.pairs)) > 1
    if asked.seeds:
        tally = campaign.run(asked.first, asked.seeds, asked.workers)
        say(campaign.report(tally))
        return bool(tally.failures)
    if asked.seed is None:
        arguments.error("what shall be run? --seed, --seeds or --crash-points")
    campaign.quiet()
    world = campaign.play(asked.seed, trace=asked.trace)
    say(world.trace or ())
    say([f"seed {world.seed}: {'; '.join(world.failures) or 'every promise kept'}", world.hash()])
    return bool(world.failures)


def say(lines: Iterable[str]) -> int:
    """Prints them as they come; returns how many."""
    count = 0
    for line in lines:
        print(line, flush=True)  # noqa: T201 (a program's own words)
        count += 1
    return count


if __name__ == "__main__":
    sys.exit(main())
