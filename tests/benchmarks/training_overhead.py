"""What the operator adds to training: from the apply of a TrainingJob to its verified version, less the pods' time.

Kubernetes stamps whole seconds. So the steps are timed here, when each change arrives at a watch; only the time that
containers ran is from their own stamps, as a change of a pod's status comes late.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType

import httpx
from tests.benchmarks.namespaces import new_namespace
from tests.e2e.datasets import diabetes
from tests.e2e.kubernetes import Kubernetes, Object, RefusedError, condition, eventually, is_ready
from tests.e2e.training import config_map, training_job
from tests.e2e.volumes import claim

from redstart.controllers.pods import owner_label

KINDS = ("Job", "Pod", "ModelVersion")


@dataclass(frozen=True)
class Run:
    """One run, in seconds. The operator acts four times: it makes the trainer's Job, registers the version, makes
    the verifier's Job, and tells that the version is ready."""

    total: float
    pods: float
    operator: tuple[float, float, float, float]

    @property
    def kubernetes(self) -> float:
        """Scheduling, volumes, start of containers, and until the end of a pod is the end of its Job."""
        return self.total - self.pods - sum(self.operator)


@dataclass
class Times:
    """When something first was so, in seconds since the epoch, by what it was."""

    at: dict[str, float] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)

    def see(self, obj: Object, now: float) -> None:
        """Take in a state of a Job, pod or version."""
        if obj["kind"] == "ModelVersion":
            self._first("version", now)
            if is_ready(obj):
                self._first("ready", now)
            return
        labels = obj["metadata"].get("labels", {})
        part = "train" if owner_label("TrainingJob") in labels else "verify"
        if obj["kind"] == "Pod":
            self.pods[obj["metadata"]["uid"]] = obj
            return
        self._first(f"{part} job", now)
        if condition(obj, "Complete").get("status") == "True":
            self._first(f"{part} done", now)

    def run(self, applied: float) -> Run:
        """What it came to, once the version is ready."""
        at = self.at
        operator = (
            at["train job"] - applied,
            at["version"] - at["train done"],
            at["verify job"] - at["version"],
            at["ready"] - at["verify done"],
        )
        return Run(at["ready"] - applied, sum(map(_ran, self.pods.values())), operator)

    def _first(self, what: str, now: float) -> None:
        self.at.setdefault(what, now)


class Changes:
    """Watches a namespace, from `with` to its end."""

    def __init__(self, cluster: Kubernetes) -> None:
        self.times = Times()
        self._cluster = cluster
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(kind,), daemon=True) for kind in KINDS]

    def __enter__(self) -> Changes:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _watch(self, kind: str) -> None:
        while not self._stop.is_set():
            try:
                for obj in self._cluster.watch(kind, None, self._stop):
                    self.times.see(obj, time.time())
            except (httpx.HTTPError, RefusedError):
                self._stop.wait(0.1)


def _ran(pod: Object) -> float:
    """Seconds from the start of a pod's first container to the end of its last one."""
    status = pod["status"]
    ended = [
        found["state"]["terminated"]
        for found in [*status.get("initContainerStatuses", []), *status["containerStatuses"]]
    ]
    begin = min(datetime.fromisoformat(state["startedAt"]) for state in ended)
    end = max(datetime.fromisoformat(state["finishedAt"]) for state in ended)
    return (end - begin).total_seconds()


def measure(kubernetes: Kubernetes, runs: int) -> list[Run]:
    """So many runs, one after another, each in a namespace of its own."""
    found = []
    for number in range(1, runs + 1):
        with new_namespace(kubernetes, "training") as cluster:
            found.append(_run(cluster))
        print(f"  training, run {number}: {found[-1]}", file=sys.stderr, flush=True)
    return found


def _run(cluster: Kubernetes) -> Run:
    data = diabetes()
    cluster.apply(claim("models"), config_map("rows", all=data.csv()))
    job = training_job(
        "m", data, "configmap://rows/all.csv", {"uri": "pvc://models"}, estimator="LinearRegression"
    )
    with Changes(cluster) as changes:
        applied = time.time()
        cluster.apply(job)
        times = changes.times
        eventually(lambda: _complete(times), "the version is ready", patience=300)
    return times.run(applied)


def _complete(times: Times) -> bool:
    """Whether the version is ready and every pod's end is known."""
    pods = list(times.pods.values())
    return "ready" in times.at and all(pod["status"]["phase"] == "Succeeded" for pod in pods)


def table(runs: Sequence[Run]) -> str:
    """Markdown: median and maximum, then every run."""
    rows: list[tuple[str, Callable[[Run], float]]] = [
        ("apply to Ready", lambda run: run.total),
        ("pods' containers ran", lambda run: run.pods),
        ("**left: what is added**", lambda run: run.total - run.pods),
        ("by Kubernetes: scheduling, volumes, starts and ends of containers", lambda run: run.kubernetes),
        ("**by the operator**", lambda run: sum(run.operator)),
        ("– apply to the trainer's Job", lambda run: run.operator[0]),
        ("– Job complete to ModelVersion", lambda run: run.operator[1]),
        ("– ModelVersion to the verifier's Job", lambda run: run.operator[2]),
        ("– Job complete to Ready", lambda run: run.operator[3]),
    ]
    numbers = " | ".join(f"run {number}" for number in range(1, len(runs) + 1))
    lines = [f"| seconds | median | maximum | {numbers} |", "|---|" + "--:|" * (len(runs) + 2)]
    for name, tell in rows:
        values = [tell(run) for run in runs]
        found = [statistics.median(values), max(values), *values]
        lines.append(f"| {name} | " + " | ".join(f"{value:.2f}" for value in found) + " |")
    return "\n".join(lines)
