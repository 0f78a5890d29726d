"""Fuzzes every door: `python -m tests.fuzz [TARGET ...] [--messages n] [--seed n] [--episode n]`.

Ends with 1 when a promise was broken, after the command that plays the broken episode again.
"""

from __future__ import annotations

import argparse
import logging
import sys

from tests.fuzz import (
    bus_messages,
    hostile_client,
    hostile_tws,
    journal_files,
    settings_files,
    stops,
)
from tests.fuzz.target import Target, Verdict, played

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        *hostile_client.TARGETS,
        *hostile_tws.TARGETS,
        *bus_messages.TARGETS,
        *journal_files.TARGETS,
        *settings_files.TARGETS,
        *stops.TARGETS,
    )
}
HEAD = f"{'target':<14}{'messages':>10}{'seconds':>9}{'accepted':>10}{'rejected':>10}{'RSS MB':>8}"


def main(arguments: list[str]) -> int:
    """Plays the targets, one line each; 1 when one was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], help="all of them when none")
    parser.add_argument("--messages", type=int, default=1_000_000, help="over all targets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--episode", type=int, help="this one alone, --messages long")
    given = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    chosen = [TARGETS[name] for name in given.targets or TARGETS]
    shares = sum(target.share for target in chosen)
    sys.stdout.write(f"seed {given.seed}\n{HEAD}  verdict\n")
    broken = False
    for target in chosen:
        messages = max(1, round(given.messages * target.share / shares))
        found = played(target, given.seed, messages, given.episode)
        broken = broken or bool(found.broken)
        sys.stdout.write(line(found) + "\n")
        sys.stdout.flush()
    return 1 if broken else 0


def line(found: Verdict) -> str:
    return (
        f"{found.target.name:<14}{found.messages:>10,}{found.seconds:>9.1f}"
        f"{found.tally.accepted:>10,}{found.tally.rejected:>10,}{found.rss_growth_mb:>8.1f}"
        f"  {'BROKEN: ' + found.broken if found.broken else 'ok'}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
