"""How long a training takes, and how much memory, beside pandas and scikit-learn alone on the same file."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from tests.benchmarks.server_throughput import environment

ROWS, NUMBERS, CATEGORIES = 200_000, 27, 3
TREES, DEPTH, SEED = 50, 12, 7
TO_REACH = {"seconds": 1.3, "memory": 1.2}
BASELINE = f"""
import sys
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

rows = pd.read_csv(sys.argv[1])
target = rows.pop("y")
train, test, train_y, test_y = train_test_split(rows, target, test_size=0.2, random_state={SEED})
numbers = [name for name in rows if name.startswith("x")]
categories = [name for name in rows if name.startswith("c")]
prepare = ColumnTransformer(
    [
        ("numbers", SimpleImputer(strategy="median"), numbers),
        ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
    ]
)
forest = RandomForestClassifier({TREES}, max_depth={DEPTH}, n_jobs=2, random_state={SEED})
model = make_pipeline(prepare, forest).fit(train, train_y)
f1_score(test_y, model.predict(test))
roc_auc_score(test_y, model.predict_proba(test)[:, 1])
"""


@dataclass(frozen=True)
class Run:
    """One process: seconds of the clock and of processors, and its peak of resident memory in MiB."""

    wall: float
    processor: float
    memory: float


def measure(runs: int) -> dict[str, list[Run]]:
    """So many runs of both, taking turns."""
    python = environment("pandas")
    found: dict[str, list[Run]] = {"Redstart": [], "pandas and scikit-learn": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "volumes" / "data" / "rows.csv"
        file.parent.mkdir(parents=True)
        write_rows(file)
        for number in range(runs):
            found["pandas and scikit-learn"].append(run([str(python), "-c", BASELINE, str(file)], {}))
            found["Redstart"].append(run([sys.executable, "-m", "redstart.trainer"], job(folder, number)))
    return found


def write_rows(file: Path) -> None:
    """The rows to learn from."""
    random = np.random.default_rng(SEED)
    numbers = random.normal(size=(ROWS, NUMBERS)).round(4)
    texts = [random.choice(list("ABCDE"), ROWS) for _ in range(CATEGORIES)]
    score = numbers[:, 0] + numbers[:, 1] * numbers[:, 2] + (texts[0] == "A") + random.normal(size=ROWS)
    columns = {f"x{at}": numbers[:, at] for at in range(NUMBERS)} | {
        f"c{at}": text for at, text in enumerate(texts)
    }
    pl.DataFrame(columns | {"y": (score > 0.5).astype(int)}).write_csv(file)


def job(folder: Path, number: int) -> dict[str, str]:
    """The environment of a trainer that writes into a store of its own."""
    (folder / "volumes" / f"models-{number}").mkdir()
    spec = {
        "model": "m",
        "task": "Classification",
        "data": {"sources": [{"uri": "pvc://data/rows.csv"}], "target": "y"},
        "split": {"seed": SEED},
        "algorithm": {
            "estimator": "RandomForestClassifier",
            "parameters": {"n_estimators": TREES, "max_depth": DEPTH},
        },
        "output": {"uri": f"pvc://models-{number}"},
    }
    document = {"contract": 1, "namespace": "n", "trainingJob": "m", "run": 1, "spec": spec}
    (folder / "job.json").write_text(json.dumps(document | {"allowedFormats": ["ONNX", "Skops"]}))
    return {
        "REDSTART_ROOT": str(folder),
        "REDSTART_PROGRESS_PORT": "0",
        "REDSTART_TERMINATION_LOG": str(folder / "termination"),
    }


def run(command: list[str], environ: dict[str, str]) -> Run:
    """One process from its start to its end.

    Raises:
        RuntimeError: it failed.
    """
    begun = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=os.environ | environ, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(log.read().decode(errors="replace")[-2000:])
    return Run(time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def table(found: dict[str, list[Run]]) -> str:
    """Markdown: medians, and how they compare."""
    medians = {name: median(runs) for name, runs in found.items()}
    base = medians["pandas and scikit-learn"]
    lines = [
        "| median | clock | processors | memory | times the clock | times the processors | times the memory |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {name} | {run.wall:.1f} s | {run.processor:.1f} s | {run.memory:.0f} MiB | {run.wall / base.wall:.2f} | "
        f"{run.processor / base.processor:.2f} | {run.memory / base.memory:.2f} |"
        for name, run in medians.items()
    ]
    reach = TO_REACH["seconds"]
    lines.append(f"| to reach | | | | ≤ {reach} | ≤ {reach} | ≤ {TO_REACH['memory']} |")
    return "\n".join(lines)


def median(runs: Sequence[Run]) -> Run:
    """Of each figure by itself."""
    return Run(
        statistics.median(run.wall for run in runs),
        statistics.median(run.processor for run in runs),
        statistics.median(run.memory for run in runs),
    )
