"""What happens in the demo, in order. Everything is asked of the API server, as any user would."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeVar

import httpx

from redstart.cli.views.parts import number as short
from tests.benchmarks.detection import RouterWatch, attempts, detection
from tests.demo import resources
from tests.demo.board import Board, Outcome, Phase, wrong_versions
from tests.demo.observing import Observer
from tests.demo.resources import JOB, NAMESPACE, SERVICE
from tests.e2e.kubernetes import Kubernetes, Object, RefusedError, condition, eventually, is_ready
from tests.e2e.traffic import Traffic

T = TypeVar("T")

RATE = 100.0
"""Requests per second."""
LONGEST = 900
"""Seconds after which the clients stop by themselves."""
QUIET_ANSWERS = 300
"""Answers that are waited for before the next thing happens, so that one sees that all is well."""

PREPARE, JANUARY, TRAIN, SERVE, CLIENTS, FEBRUARY, RETRAIN, CANARY, PROMOTE, IMPORT, FAIL, ROLL_BACK = (
    "Prepare",
    "January's rows",
    "Train",
    "Serve",
    "Clients",
    "February's rows",
    "Train again",
    "Canary",
    "Promote",
    "Import a model",
    "Canary again",
    "Roll back",
)
TITLES = (
    PREPARE,
    JANUARY,
    TRAIN,
    SERVE,
    CLIENTS,
    FEBRUARY,
    RETRAIN,
    CANARY,
    PROMOTE,
    IMPORT,
    FAIL,
    ROLL_BACK,
)


class DemoError(Exception):
    """The story cannot go on; the text says why."""


class Story:
    """One run of the demo. What it shows goes to `board`."""

    def __init__(self, cluster: Kubernetes, board: Board) -> None:
        self._cluster = cluster
        self._board = board
        self._traffic = Traffic(cluster, SERVICE, resources.todays_rows())

    def tell(self) -> Outcome:
        """Runs it from the first row to the rollback.

        Raises:
            DemoError: something did not come about.
        """
        with self._phase(PREPARE) as phase:
            self._prepare(phase)
        with self._phase(JANUARY) as phase:
            self._readings(phase, "2026-01", 0.0)
        with self._phase(TRAIN) as phase:
            first = self._trained(phase, "2026-01")
        with self._phase(SERVE) as phase:
            self._served(phase, first)
        with RouterWatch(self._cluster, SERVICE) as routers, Observer(self._cluster, self._board, routers):
            try:
                return self._under_traffic(routers, first)
            finally:
                with suppress(httpx.HTTPError, RefusedError):
                    self._cluster.delete("Pod", f"{SERVICE}-clients", grace=1)

    def _under_traffic(self, routers: RouterWatch, first: str) -> Outcome:
        with self._phase(CLIENTS) as phase:
            phase.detail = "they start"
            self._traffic.start(rate=RATE, requests=int(RATE * LONGEST))
            phase.detail = f"{RATE:.0f} requests/s, rows of March, all answered by {first}"
            self._quiet()
        with self._phase(FEBRUARY) as phase:
            self._readings(phase, "2026-02", resources.DRIFT)
        with self._phase(RETRAIN) as phase:
            second = self._trained(phase, "2026-01", "2026-02")
        self._promoted(second)
        with self._phase(IMPORT) as phase:
            third = self._imported(phase)
        rollout = self._rolled_back(third, second)
        self._quiet()
        return self._outcome(routers, rollout)

    def _phase(self, title: str) -> AbstractContextManager[Phase]:
        return next(phase for phase in self._board.phases if phase.title == title).running()

    def _prepare(self, phase: Phase) -> None:
        outside = self._cluster
        if outside.get("Namespace", NAMESPACE) is not None:
            phase.detail = f"namespace {NAMESPACE} of an earlier run goes"
            outside.delete("Namespace", NAMESPACE)
            for pod in outside.list("Pod"):
                outside.delete("Pod", pod["metadata"]["name"], grace=1)  # nobody asks them any more
            self._until(lambda: outside.get("Namespace", NAMESPACE) is None, phase.detail, patience=180)
        phase.detail = f"namespace {NAMESPACE}, a volume for rows and models"
        outside.apply(resources.namespace(), resources.sample("volume"))

    def _readings(self, phase: Phase, month: str, drift: float) -> None:
        older = ", of older tools" if drift else ""
        phase.detail = f"{resources.ROWS:,} sensor rows of {month} arrive{older}"
        self._finished(resources.readings(month, drift))
        phase.detail = f"{resources.ROWS:,} rows in pvc://{resources.file(month)}{older}"

    def _trained(self, phase: Phase, *months: str) -> str:
        """Applies the TrainingJob and returns the version that came of it, verified."""
        self._cluster.apply(resources.training_job(*months))

        def ended() -> Object | None:
            job = self._get("TrainingJob", JOB)
            status = job.get("status", {})
            self._fail_if_stalled(job)
            if status.get("observedGeneration") != job["metadata"]["generation"]:
                return None
            phase.detail = _progress(status)
            if status.get("phase") in ("Failed", "Rejected"):
                raise DemoError(
                    f"TrainingJob {JOB} {status['phase'].lower()}: {condition(job, 'Ready')['message']}"
                )
            return status if status.get("phase") == "Succeeded" else None

        status = self._until(ended, "the end of the run", patience=300)
        version = str(status["latestVersion"])
        phase.detail = f"{version} is verified"
        self._verified(version)
        gates = ", ".join(
            f"{gate['metric']} {gate['value']:.2f} ≥ {short(gate['bound'])}" for gate in status["gates"]
        )
        rows = status["run"]["rows"]
        phase.detail = f"{version}: random forest of {rows:,} rows, {gates}"
        return version

    def _verified(self, version: str) -> None:
        def ready() -> bool:
            found = self._get("ModelVersion", version)
            self._fail_if_stalled(found)
            if found.get("status", {}).get("phase") == "Rejected":
                raise DemoError(f"ModelVersion {version}: {condition(found, 'Ready')['message']}")
            return is_ready(found)

        self._until(ready, f"ModelVersion {version} to be verified")

    def _served(self, phase: Phase, version: str) -> None:
        phase.detail = f"pods of {version} start"
        self._cluster.apply(resources.inference_service())

        def ready() -> bool:
            service = self._get("InferenceService", SERVICE)
            self._fail_if_stalled(service)
            return is_ready(service)

        self._until(ready, f"InferenceService {SERVICE} to be ready")
        phase.detail = f"{version} at http://{SERVICE}.{NAMESPACE}.svc/predict"

    def _promoted(self, version: str) -> None:
        with self._phase(CANARY) as phase:
            phase.detail = f"pods of {version} start"
            ended = self._until(
                lambda: self._rollout(phase, version), f"{version} to be promoted", patience=300
            )
            if ended["result"] != "Promoted":
                raise DemoError(f"{version} was not promoted: {ended['reason']}: {ended['message']}")
            weights = " → ".join(f"{step['weight']} %" for step in resources.STEPS)
            told = why(ended, "passEvidence", "passNeeded", "that it is as good as stable")
            phase.detail = f"{weights}: {told}"
        with self._phase(PROMOTE) as phase:
            phase.detail = f"{version} takes all traffic"
            self._until(self._alone, "the rollout to be over")
            restarts = self._restarts()
            phase.detail = f"{version} serves all traffic; restarts of its pods: {restarts}"

    def _imported(self, phase: Phase) -> str:
        phase.detail = "a table of safe torques, made by hand, becomes an artifact"
        files, job = resources.imported()
        self._cluster.apply(files)
        artifact = json.loads(self._finished(job).splitlines()[-1])
        version = resources.model_version(3, artifact)
        self._cluster.apply(version)
        name = str(version["metadata"]["name"])
        phase.detail = f"{name} is verified"
        self._verified(name)
        phase.detail = f"{name}, a table of safe torques, answers its own rows"
        return name

    def _rolled_back(self, version: str, stable: str) -> Object:
        with self._phase(FAIL) as phase:
            phase.detail = f"pods of {version} start"
            self._until(lambda: self._weighted(phase, version), f"traffic for {version}")
            share = resources.STEPS[0]["weight"]
            phase.detail = f"{version} at {share} %: its table has no entry for old tools"
        with self._phase(ROLL_BACK) as phase:
            phase.detail = "its failures are answered by stable, and counted"
            ended = self._until(lambda: self._rollout(phase, version), f"{version} to be rolled back")
            if ended["result"] != "RolledBack":
                raise DemoError(
                    f"{version} fails, and was not rolled back: {ended['reason']}: {ended['message']}"
                )
            told = why(ended, "evidence", "needed", f"against {version}")
            phase.detail = f"{stable} serves all traffic; {told}; its pods go"
            self._until(self._alone, "the canary to be gone")
            serving = self._status()["stable"]["version"]
            if serving != stable:
                raise DemoError(f"after the rollback {serving} serves, and not {stable}")
            phase.detail = f"{stable} serves all traffic; {told}"
        return ended

    def _outcome(self, routers: RouterWatch, rollout: Object) -> Outcome:
        # The kubelet ends a pod by its deadline as it ends any other, but keeps it, and so what it said.
        self._cluster.patch("Pod", f"{SERVICE}-clients", {"spec": {"activeDeadlineSeconds": 1}})
        clients = self._traffic.finish(patience=60)
        looks, plans = list(routers.looks), dict(routers.plans)
        found = detection(looks, plans, rollout["revision"])
        if found is None:
            raise DemoError(f"no router was seen to take the failing {rollout['to']} out")
        return Outcome(
            clients=clients,
            rollout=rollout,
            canary=attempts(looks, rollout["revision"]),
            detection=found,
            wrong_version=wrong_versions([*self._board.clients, clients], looks, plans),
            versions=clients["versions"],
        )

    def _rollout(self, phase: Phase, version: str) -> Object | None:
        """The newest rollout of a version once it has ended."""
        service = self._get("InferenceService", SERVICE)
        newest: Object | None = next(iter(service.get("status", {}).get("rollouts", [])), None)
        if newest is not None and newest["to"] == version:
            return newest
        self._weighted(phase, version)
        return None

    def _weighted(self, phase: Phase, version: str) -> bool:
        service = self._get("InferenceService", SERVICE)
        canary = service.get("status", {}).get("canary") or {}
        ended: list[Object] = service.get("status", {}).get("rollouts", [])
        if canary.get("version") == version:
            told = condition(service, "Progressing").get("message", "")
            phase.detail = f"{version} at {canary['weight']} %: {told}"
            return bool(canary["weight"] > 0)
        return any(rollout["to"] == version for rollout in ended)

    def _alone(self) -> bool:
        """Whether stable serves, and the revision that lost is gone."""
        status = self._status()
        servers = {"redstart.dev/inference-service": SERVICE, "app.kubernetes.io/component": "server"}
        revisions = {
            deployment["metadata"]["labels"]["redstart.dev/revision"]
            for deployment in self._cluster.list("Deployment", servers)
        }
        return status["phase"] in ("Serving", "RolledBack") and revisions == {status["stable"]["revision"]}

    def _restarts(self) -> int:
        """Of the pods that serve."""
        serving = {"redstart.dev/revision": self._status()["stable"]["revision"]}
        return sum(
            container["restartCount"]
            for pod in self._cluster.list("Pod", serving)
            for container in [*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"]]
        )

    def _quiet(self) -> None:
        """Wait for some more answers."""
        enough = self._answered() + QUIET_ANSWERS
        self._until(lambda: self._answered() >= enough, "answers for the clients")

    def _answered(self) -> int:
        return int(self._board.clients[-1]["answered"]) if self._board.clients else 0

    def _finished(self, job: Object) -> str:
        """Runs a Job to its end; returns what it said."""
        name = job["metadata"]["name"]
        self._cluster.apply(job)

        def said() -> str:
            pods = self._cluster.list("Pod", {"batch.kubernetes.io/job-name": name})
            logs = [self._cluster.logs(pod["metadata"]["name"], tail=20) for pod in pods]
            return logs[-1] if logs else ""

        def ended() -> bool:
            found = self._get("Job", name)
            if condition(found, "Failed").get("status") == "True":
                raise DemoError(f"Job {name} failed: {said() or condition(found, 'Failed').get('message')}")
            return condition(found, "Complete").get("status") == "True"

        self._until(ended, f"the end of Job {name}")
        return said()

    def _status(self) -> Object:
        return dict(self._get("InferenceService", SERVICE).get("status", {}))

    def _get(self, kind: str, name: str) -> Object:
        found = self._cluster.get(kind, name)
        if found is None:
            raise DemoError(f"{kind} {name} is gone: somebody has deleted it")
        return found

    def _fail_if_stalled(self, found: Object) -> None:
        stalled = condition(found, "Stalled")
        if stalled.get("status") == "True":
            raise DemoError(f"{found['kind']} {found['metadata']['name']}: {stalled['message']}")

    def _until(self, look: Callable[[], T | None], what: str, *, patience: float = 120.0) -> T:
        def patient() -> T | None:
            try:
                return look()
            except httpx.TransportError:
                return None  # asked again: a busy machine may let a connection go

        try:
            return eventually(patient, what, patience=patience)
        except AssertionError as error:
            raise DemoError(str(error)) from error


def why(ended: Object, evidence: str, needed: str, meaning: str) -> str:
    """What decided a rollout: evidence that suffices, or else its reason, such as what the pods reported."""
    told = [
        f"evidence {short(line[evidence])} ≥ {short(line[needed])} {meaning}"
        for line in ended.get("evidence", [])
        if line[evidence] >= line[needed]
    ]
    return ", ".join(told) or f"{ended['reason']}: {ended['message']}"


def _progress(status: Object) -> str:
    progress: dict[str, Any] = status.get("progress") or {}
    if progress:
        return f"{progress['percent']} %: {progress['message']}"
    ready: Object = condition({"status": status}, "Reconciling") or condition({"status": status}, "Ready")
    return str(ready.get("message", "the trainer's pod starts"))
