"""How long the trainer takes to read a CSV file with times, beside polars alone on the same file."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from redstart.trainer.reading import DataFile, read_rows

ROWS = 400_000
TO_REACH = 0.7  # of the speed of polars alone
OURS = "Redstart"
ALONE = "polars alone, times as text"
WITH_TIMES = "polars alone, times recognised"

Seconds = dict[str, list[float]]


def write(path: Path) -> None:
    """The file."""
    random = np.random.default_rng(7)
    start = np.datetime64("2026-01-01T00:00:00")
    columns = {
        "recorded_at": np.datetime_as_string(start + np.arange(ROWS).astype("timedelta64[s]")),
        **{f"sensor_{number}": random.normal(40, 10, ROWS).round(3) for number in range(10)},
        "product_type": random.choice(["L", "M", "H"], ROWS),
        "tool_wear": random.integers(0, 250, ROWS),
        "machine_failure": random.integers(0, 2, ROWS),
    }
    pl.DataFrame(columns).write_csv(path)


def measure(runs: int) -> tuple[int, Seconds]:
    """The file's size in bytes, and the seconds of each run of each reader, which take turns."""
    with tempfile.TemporaryDirectory() as name:
        path, copy = Path(name) / "rows.csv", Path(name) / "copy"
        write(path)
        # The trainer reads a copy of its own, which it may write anew.
        shutil.copy(path, copy)
        readers: dict[str, Callable[[], object]] = {
            OURS: lambda: read_rows([DataFile("pvc://data/rows.csv", copy, "CSV")]),
            ALONE: lambda: pl.read_csv(path, infer_schema_length=None),
            WITH_TIMES: lambda: pl.read_csv(path, infer_schema_length=None, try_parse_dates=True),
        }
        seconds: Seconds = {reader: [] for reader in readers}
        for number in range(1, runs + 1):
            for reader, read in readers.items():
                begun = time.perf_counter()
                read()
                seconds[reader].append(time.perf_counter() - begun)
            told = ", ".join(f"{reader} {taken[-1]:.2f} s" for reader, taken in seconds.items())
            print(f"  reading, run {number}: {told}", file=sys.stderr, flush=True)
        return path.stat().st_size, seconds


def table(measured: tuple[int, Seconds]) -> str:
    """Markdown: the median and the extremes of each reader, and the speed beside polars alone."""
    size, seconds = measured
    alone = statistics.median(seconds[ALONE])
    lines = [
        f"| {size / 1e6:.0f} MB, {ROWS:,} rows | median | fastest | slowest | speed beside polars alone | to reach |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for reader, taken in seconds.items():
        median = statistics.median(taken)
        goal = f"≥ {TO_REACH}" if reader == OURS else ""
        lines.append(
            f"| {reader} | {median:.2f} s | {min(taken):.2f} s | {max(taken):.2f} s | {alone / median:.2f} | {goal} |"
        )
    return "\n".join(lines)
