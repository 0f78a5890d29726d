"""Answers what a job took, each time its name comes on stdin. Run by the yardsticks' own Pythons,
so it knows nothing of ours."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time


def serve(jobs: dict[str, Callable[[], Callable[[], float]]]) -> None:
    """A job prepares a run, untimed; the run answers with its final equity in USD."""
    print("ready", flush=True)
    for line in sys.stdin:
        run = jobs[line.strip()]()
        began_s, cpu_began_s = perf_counter(), process_time()
        final_usd = run()
        cpu_s, took_s = process_time() - cpu_began_s, perf_counter() - began_s
        answer = {"seconds": took_s, "cpu_seconds": cpu_s, "final_usd": float(final_usd)}
        print(json.dumps(answer | {"peak_kib": peak_kib()}), flush=True)


def peak_kib():
    """The process's largest RSS. getrusage(2) would count in what its parent had when it forked."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])
