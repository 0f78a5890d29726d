"""python -m bench.breach: collects breaches until the file holds as many as were asked for.

--breaches N       all cases: seven tenths healthy, the rest each process killed and hung in turn
--healthy N --each M   instead: so many healthy ones, so many of each other case
--into FILE        where they are collected (default var/latency.jsonl); what is there counts
--save             writes the table of all that were collected into docs/reliability.md
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter
from datetime import date
from pathlib import Path

from bench import peers
from bench.breach import sample
from bench.breach.measure import BOTH_MONITORS, SESSIONS_MAX, measure
from bench.breach.sample import HEALTHY
from common import topology

FIRST_DAY = date(2026, 1, 5)
HARMS = ("killed", "hung")
PROCESSES = (
    *(name for name in topology.SPEAKERS if name != topology.PACER),
    topology.RISK_STANDBY,
    BOTH_MONITORS,
)
HEALTHY_SHARE = 0.7
PAGE = Path(__file__).resolve().parents[2] / "docs/reliability.md"
Case = tuple[str, str]


def main(arguments: list[str]) -> int:
    options = argparse.ArgumentParser(prog="python -m bench.breach", description=__doc__)
    options.add_argument("--breaches", type=int, default=1000)
    options.add_argument("--healthy", type=int)
    options.add_argument("--each", type=int)
    options.add_argument("--into", type=Path, default=Path("var/latency.jsonl"))
    options.add_argument("--save", action="store_true")
    chosen = options.parse_args(arguments)
    cases = [(harm, process) for harm in HARMS for process in PROCESSES]
    healthy = chosen.healthy
    if healthy is None:
        healthy = round(HEALTHY_SHARE * chosen.breaches)
    each = chosen.each
    if each is None:
        each = -(-(chosen.breaches - healthy) // len(cases))
    wanted = Counter({(HEALTHY, ""): healthy, **dict.fromkeys(cases, each)})
    while todo := missing(wanted, sample.collected(chosen.into)):
        measured = 0
        with peers.run_folder() as folder:
            for taken in measure(folder, FIRST_DAY, todo[: SESSIONS_MAX - 1]):
                sample.collect(chosen.into, taken)
                say(taken)
                measured += 1
        if not measured:
            sys.exit("no morning held a position with an armed stop: see `make run`")
    samples = sample.collected(chosen.into)
    sys.stdout.write(f"{sample.table(samples)}\n\n{sample.loads(samples)}\n")
    if chosen.save:
        sample.save(PAGE, samples)
    return 0


def missing(wanted: Counter[Case], samples: list[sample.Sample]) -> list[Case]:
    """What is still to be measured, in an order that spreads each case over the run."""
    left = wanted - Counter((s.harm, s.process) for s in samples if not s.starved)
    todo = sorted(left.elements())
    random.Random(len(samples)).shuffle(todo)
    return todo


def say(taken: sample.Sample) -> None:
    case = f"{taken.process} {taken.harm}".strip()
    order = f"order after {taken.order_s:.2f} s" if taken.order_s is not None else "no order"
    told = f", BREACHED after {taken.breached_s:.2f} s" if taken.breached_s is not None else ""
    starved = f", starved: {taken.starved}" if taken.starved else ""
    sys.stdout.write(f"{case}: {order}{told}{starved}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
