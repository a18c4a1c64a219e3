"""Redstart's figures beside their baselines, printed and written into docs/benchmarks.md.

    python -m tests.benchmarks [--only decision,rollback,training,reading,fit,server] [--runs 10]

Parts run one after another, so that none disturbs another. The page keeps the tables of parts that are not run.
rollback and training need the cluster with the operator (`make bench` sees to it).
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import (
    decision,
    reading_speed,
    rollback,
    server_throughput,
    training_overhead,
    training_time,
)
from tests.benchmarks.rollout_simulation import write
from tests.e2e.kubernetes import Kubernetes

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
ROLLOUTS = 10_000
SECONDS, CONNECTIONS = 10, 8


def main() -> None:
    """Run the parts, print each table as it comes, and write it into the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts: dict[str, Callable[[int], str]] = {
        "decision": lambda runs: decision.measure(ROLLOUTS),
        "rollback": lambda runs: rollback.table(rollback.measure(Kubernetes("default"), runs)),
        "training": lambda runs: training_overhead.table(
            training_overhead.measure(Kubernetes("default"), runs)
        ),
        "reading": lambda runs: reading_speed.table(reading_speed.measure(runs)),
        "fit": lambda runs: training_time.table(training_time.measure(runs)),
        "server": lambda runs: server(),
    }
    parser.add_argument("--only", help=f"some of {','.join(parts)}", default=",".join(parts))
    parser.add_argument(
        "--runs", type=int, default=10, help="of rollback, for each case, of training, reading, fit"
    )
    options = parser.parse_args()
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(parts):
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    if options.runs < 1:
        parser.error("--runs: at least 1")
    for name, measure in parts.items():
        if name in wanted:
            print(f"{name}:", file=sys.stderr, flush=True)
            report(name, measure, options.runs)


def report(name: str, measure: Callable[[int], str], runs: int) -> None:
    """Measure a part; print it, and write it into the page."""
    before, begun = os.getloadavg()[0], time.monotonic()
    content = f"{measure(runs)}\n\n{machine(before)}; it took {time.monotonic() - begun:.0f} s."
    print(f"\n{content}\n", flush=True)
    write(PAGE, {name: f"\n{content}\n"})


def server() -> str:
    """One-row requests to each server."""
    results = server_throughput.compare(SECONDS, CONNECTIONS)
    return server_throughput.table(results, SECONDS, CONNECTIONS)


def machine(load: float) -> str:
    """What it ran on; the load average is that of the minute before it and of the last one in it."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Machine: {model[1] if model else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux "
        f"{platform.release()}, Python {platform.python_version()}; load average {load:.1f} before, "
        f"{os.getloadavg()[0]:.1f} at the end"
    )


if __name__ == "__main__":
    main()
