"""`python -m tests.simulation`: one seed, many seeds, or every crash point.

--seed N [--trace]           one run; with --trace its story
    [--as-kept]              with the settings that kept seeds draw (kept.py)
--seeds N [--first M]        many, on all cores; exit 1 when one fails
--crash-points               a kill at each point of a reference day,
    [--pairs N [--first M]]  then at N pairs of them (all: at every pair), from the M-th on
--kill POINT [--kill POINT]  one such run, as the above names it; [--standby] [--trace]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from tests.simulation import branching, campaign, crash_points, reference_day
from tests.simulation.kept import BEFORE_CHOICES
from tests.simulation.world import Script


def main() -> int:
    arguments = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("--seed", type=int)
    arguments.add_argument("--trace", action="store_true")
    arguments.add_argument("--as-kept", action="store_true")
    arguments.add_argument("--seeds", type=int, default=0)
    arguments.add_argument("--first", type=int, default=0)
    arguments.add_argument("--workers", type=int, default=0, help="processes; 0: one a core")
    arguments.add_argument("--crash-points", action="store_true")
    arguments.add_argument("--pairs", type=pairs, default=0)
    arguments.add_argument("--kill", type=reference_day.point, action="append", metavar="POINT")
    arguments.add_argument("--standby", action="store_true")
    asked = arguments.parse_args()
    if asked.crash_points:
        return say(crash_points.run(asked.pairs, asked.first, asked.workers)) > 1
    if asked.kill:
        campaign.quiet()
        plan = branching.Plan(tuple(asked.kill), asked.standby)
        played, story = branching.alone(plan, trace=asked.trace)
        say([*story, f"{plan}: {'; '.join(played.failures) or 'every promise kept'}", played.story])
        return bool(played.failures)
    if asked.seeds:
        tally = campaign.run(asked.first, asked.seeds, asked.workers)
        say(campaign.report(tally))
        return bool(tally.failures)
    if asked.seed is None:
        arguments.error("what shall be run? --seed, --seeds or --crash-points")
    campaign.quiet()
    script = Script(choices=BEFORE_CHOICES) if asked.as_kept else None
    world = campaign.play(asked.seed, script, trace=asked.trace)
    say(world.trace or ())
    say([f"seed {world.seed}: {'; '.join(world.failures) or 'every promise kept'}", world.hash()])
    return bool(world.failures)


def pairs(words: str) -> int:
    """How many."""
    return sys.maxsize if words == "all" else int(words)


def say(lines: Iterable[str]) -> int:
    """Prints them as they come; returns how many."""
    count = 0
    for line in lines:
        print(line, flush=True)  # noqa: T201 (a program's own words)
        count += 1
    return count


if __name__ == "__main__":
    sys.exit(main())
