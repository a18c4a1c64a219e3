"""Failing canaries on the real cluster: how soon each was out of the router, and what clients saw of it.

One service, one stable version, steady clients; each run is a new revision, whose server answers 500 to a share of
its requests from the first one on.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.detection import Detection, RouterWatch, attempts, detection
from tests.benchmarks.namespaces import new_namespace
from tests.e2e.datasets import breast_cancer
from tests.e2e.kubernetes import Kubernetes, Object, eventually, is_ready
from tests.e2e.serving import inference_service
from tests.e2e.traffic import Traffic
from tests.e2e.training import config_map, train, training_job
from tests.e2e.volumes import claim

from redstart.controllers.inference_service.record import Record
from redstart.routing.counters import Counts

SERVICE = "m"
BROKEN_SERVER = (Path(__file__).parents[1] / "e2e" / "broken_server.py").read_text()
RATE = 100.0
WEIGHT = 20
LONGEST = 1800
"""Seconds after which the clients stop by themselves."""


@dataclass(frozen=True)
class Case:
    """A share of bad answers, what product's figures are for it, and what Argo Rollouts did elsewhere."""

    name: str
    fails: float
    figure: float
    elsewhere: tuple[float, float, float]
    failed_elsewhere: tuple[int, int, int]


CASES = (
    Case("100 %", 1.0, 1.5, (57.5, 5.0, 3.6), (1127, 101, 83)),
    Case("20 %", 0.2, 4.5, (57.7, 4.0, 4.8), (251, 18, 23)),
)


@dataclass(frozen=True)
class Run:
    """One rollback. `decided` is the part of it until the plan with weight 0 was written, in seconds."""

    detection: Detection
    decided: float
    canary: Counts


@dataclass(frozen=True)
class Result:
    """All runs of a case, and what the clients saw from before the first until after the last."""

    case: Case
    runs: tuple[Run, ...]
    sent: int
    failed: int
    stalled: float
    """Seconds for which the clients' process itself stood still, at the longest."""


def measure(kubernetes: Kubernetes, runs: int) -> list[Result]:
    """So many rollbacks of each case, one after another, in a namespace of their own."""
    data = breast_cancer()
    with new_namespace(kubernetes, "rollback") as cluster:
        cluster.apply(claim("models"), config_map("rows", all=data.csv()))
        job = training_job(
            SERVICE, data, "configmap://rows/all.csv", {"uri": "pvc://models"}, estimator="LogisticRegression"
        )
        version = train(cluster, job)["status"]["latestVersion"]
        eventually(lambda: is_ready(cluster.get("ModelVersion", version)), f"{version} is verified")
        cluster.apply(service(version))
        eventually(lambda: is_ready(cluster.get("InferenceService", SERVICE)), "the service is ready")
        return [_case(cluster, case, version, runs, data.requests) for case in CASES]


def service(version: str, template: Object | None = None) -> Object:
    """The service with a first step that lasts longer than any run."""
    found = inference_service(SERVICE, model=SERVICE, version=version)
    found["spec"]["predictor"]["template"] = template or {}
    found["spec"]["rollout"] = {"steps": [{"weight": WEIGHT, "hold": "10m"}]}
    return found


def _case(cluster: Kubernetes, case: Case, version: str, runs: int, rows: Sequence[Object]) -> Result:
    clients = Traffic(cluster, SERVICE, rows)
    clients.start(rate=RATE, requests=int(RATE * LONGEST))
    found = []
    for number in range(1, runs + 1):
        # The variable makes each run's template, and with it the revision, a new one.
        variable = {"name": "RUN", "value": f"{case.fails} {number}"}
        template = {
            "command": ["python", "-c", BROKEN_SERVER],
            "args": [f"fail={case.fails}"],
            "env": [variable],
        }
        found.append(_run(cluster, service(version, template)))
        print(f"  {case.name} errors, run {number}: {found[-1]}", file=sys.stderr, flush=True)
    seen = clients.stop()
    pod = f"{SERVICE}-clients"
    cluster.delete("Pod", pod, grace=1)
    eventually(lambda: cluster.get("Pod", pod) is None, "the clients are gone")
    for failure in seen["failures"]:
        print(f"  failed: {failure}", file=sys.stderr)
    return Result(case, tuple(found), seen["sent"], seen["failed"], seen["stalled"])


def _run(cluster: Kubernetes, canary: Object) -> Run:
    before = {rollout["id"] for rollout in _status(cluster).get("rollouts", [])}

    def ended() -> Object | None:
        newest: Object = next(iter(_status(cluster).get("rollouts", [])), {})
        return newest if newest and newest["id"] not in before else None

    with RouterWatch(cluster, SERVICE) as routers:
        cluster.apply(canary)
        rollout = eventually(ended, "the rollout has ended", patience=300)
        if (rollout["result"], rollout["reason"]) != ("RolledBack", "ErrorRate"):
            raise RuntimeError(f"{rollout['result']}, {rollout['reason']}: {rollout['message']}")
        revision = rollout["revision"]
        found = eventually(
            lambda: detection(list(routers.looks), dict(routers.plans), revision), "weight 0 in the router"
        )
        begun = next(look.ended for look in routers.looks if look.counts(revision).errors > 0)
        decided = min(
            at for number, at in routers.written.items() if _is_decided(routers.plans[number], revision)
        )
    gone = {"redstart.dev/revision": revision}
    eventually(lambda: not cluster.list("Deployment", gone), "the rollout is over")
    return Run(found, decided - begun, attempts(routers.looks, revision))


def _is_decided(plan: Record, revision: str) -> bool:
    state = plan.rollout
    return state is not None and state.other.revision == revision and state.decision is not None


def _status(cluster: Kubernetes) -> Object:
    found: Object = (cluster.get("InferenceService", SERVICE) or {}).get("status") or {}
    return found


def table(results: Sequence[Result]) -> str:
    """Markdown: the figures beside the others', then every run."""
    lines = [
        "| canary's errors | runs | median | maximum | median to reach | failed client requests "
        "| Argo Rollouts 1.9.2 ¹ | its failed requests ¹ |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results:
        case, times = result.case, [run.detection.at_most for run in result.runs]
        lines.append(
            f"| {case.name} | {len(times)} | {statistics.median(times):.2f} s | {max(times):.2f} s "
            f"| < {case.figure} s | {result.failed} of {result.sent:,} "
            f"| {' / '.join(f'{value} s' for value in case.elsewhere)} "
            f"| {' / '.join(f'{value:,}' for value in case.failed_elsewhere)} |"
        )
    stalled = max(result.stalled for result in results)
    lines += [
        "",
        f"The clients' own process stood still for {stalled:.1f} s at the longest.",
        "",
        "Every run, in its order; seconds from the first bad answer:",
        "",
        "| | " + " | ".join(str(number + 1) for number in range(max(len(r.runs) for r in results))) + " |",
        "|---|" + "--:|" * max(len(result.runs) for result in results),
    ]
    rows: list[tuple[str, Callable[[Run], str]]] = [
        ("weight 0 in force, at most", lambda run: f"{run.detection.at_most:.2f}"),
        ("at least", lambda run: f"{run.detection.at_least:.2f}"),
        ("of it, until the decision was written", lambda run: f"{run.decided:.2f}"),
        (
            "bad answers of the canary / its requests",
            lambda run: f"{run.canary.errors} / {run.canary.requests}",
        ),
    ]
    for result in results:
        lines += [
            f"| {result.case.name}: {name} | " + " | ".join(map(tell, result.runs)) + " |"
            for name, tell in rows
        ]
    return "\n".join(lines)
