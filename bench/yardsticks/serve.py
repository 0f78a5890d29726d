"""Answers what a job took, each time its name comes on stdin. Run by the yardsticks' own Pythons,
so it knows nothing of ours."""

import json
import resource
import sys
from collections.abc import Callable
from time import perf_counter, process_time


def serve(jobs: dict[str, Callable[[], Callable[[], float]]]) -> None:
    """A job prepares a run, untimed; the run answers with its final equity in USD."""
    print("ready", flush=True)
    for line in sys.stdin:
        run = jobs[line.strip()]()
        began_s, cpu_began_s = perf_counter(), process_time()
        final_usd = run()
        cpu_s, took_s = process_time() - cpu_began_s, perf_counter() - began_s
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = {"seconds": took_s, "cpu_seconds": cpu_s, "final_usd": float(final_usd)}
        print(json.dumps(answer | {"peak_kib": peak_kib}), flush=True)
