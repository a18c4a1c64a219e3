"""What should be done about a ModelVersion, from what was observed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from redstart.api.v1alpha1 import ModelVersionSpec
from redstart.api.v1alpha1.common import GateResult, condition_of
from redstart.controllers import conditions, pod_status, storage
from redstart.controllers.conditions import Condition, false, seconds, true, unknown
from redstart.controllers.job_status import ending, newest_first
from redstart.controllers.model_version import job as jobs
from redstart.controllers.model_version.job import Runtime
from redstart.controllers.model_version.observe import Observed
from redstart.controllers.model_version.outcome import Outcome, why_failed

Object = dict[str, Any]

RETRY_AFTER = 300.0  # seconds from a Job that failed for a passing reason to the next one
LOOK_AGAIN = 30.0  # seconds until a pod that may lack what nobody tells us of is looked at again


class Verification(NamedTuple):
    """How far the verification is. `condition` is Verified; `standing` what it means for the version."""

    condition: Condition
    standing: Literal["Done", "UnderWay", "Waiting", "Stalled", "Rejected"]
    """Waiting: for something that may come by itself. Stalled: for a change by somebody. Rejected: for good."""


@dataclass(frozen=True)
class Plan:
    """Writes, in the order of the fields; then status."""

    verification: Verification
    delete: Object | None = None
    create: Object | None = None
    end: Object | None = None
    """A pod whose verifier failed and that others keep running."""
    outcome: Outcome | None = None
    """Of a verification that has just ended."""
    requeue: float | None = None


def desired(observed: Observed, runtime: Runtime) -> Plan:
    """The next step of the verification."""
    spec, job = observed.spec, observed.job
    if spec is None:
        return Plan(_rejected("InvalidSpec", observed.invalid))
    if spec.artifact.format not in runtime.allowed_formats:
        allowed = ", ".join(runtime.allowed_formats)
        message = (
            f"artifact.format {spec.artifact.format} is not among the formats that this cluster allows ({allowed}): "
            "train or import the model in one of these, or have allowedFormats changed in the operator's settings"
        )
        return Plan(_rejected("FormatNotAllowed", message), delete=job)
    if observed.status.verified_digest == spec.artifact.digest:
        return Plan(_verified(observed), delete=job)
    if job is None:
        return _create(observed, spec, runtime)
    if job["metadata"].get("annotations", {}).get(jobs.ARTIFACT_ANNOTATION) != jobs.artifact_digest(spec):
        message = "artifact.secretRef changed: verifying again"
        return Plan(_under_way("Starting", message), delete=job, requeue=0.0)
    if ending(job) is None:
        return Plan(_running(observed, job), end=observed.left, requeue=LOOK_AGAIN)
    return _ended(observed, job)


def _create(observed: Observed, spec: ModelVersionSpec, runtime: Runtime) -> Plan:
    if (problem := storage.problem([jobs.use(spec)], observed.claims)) is not None:
        if problem.reason == "ClaimNotFound":
            return Plan(Verification(unknown("Verified", *problem), "Waiting"), requeue=LOOK_AGAIN)
        return Plan(Verification(unknown("Verified", *problem), "Stalled"), requeue=LOOK_AGAIN)
    message = "the verification is starting"
    create = jobs.job(observed.resource, spec, runtime, observed.claims, observed.trained)
    return Plan(_under_way("Starting", message), create=create, requeue=LOOK_AGAIN)


def _running(observed: Observed, job: Object) -> Verification:
    alive = [pod for pod in newest_first(observed.pods) if pod_status.is_alive(pod)]
    failed = why_failed([pod for pod in observed.pods if not pod_status.is_alive(pod)])
    if alive and (problem := pod_status.blocked(alive[0])) is not None:
        return _under_way(problem.reason, problem.message)
    if observed.warning:
        return _under_way(observed.warning.reason, observed.warning.message)
    if failed is not None:
        attempts = job.get("status", {}).get("failed", 0)
        return _under_way(failed.reason, f"{failed.message} (tried {attempts} times; trying again)")
    running = bool(alive) and pod_status.is_running(alive[0])
    what = "the artifact is being verified" if running else "the verification is starting"
    return _under_way("Verifying" if running else "Starting", what)


def _ended(observed: Observed, job: Object) -> Plan:
    before = condition_of(observed.resource.get("status", {}), "Verified")
    if before is not None and before["status"] == "False" and observed.status.phase == "Rejected":
        # Its pods may be gone by now; the Job stays as the mark that this artifact was tried.
        return Plan(_rejected(before["reason"], before["message"]))
    outcome = observed.outcome
    if outcome is None:
        return Plan(_under_way("ReadingResult", "reading the verifier's report"), requeue=2.0)
    if outcome.result == "Verified":
        return Plan(Verification(true("Verified", outcome.reason, outcome.message), "Done"), outcome=outcome)
    if outcome.result == "Failed":
        return Plan(_rejected(outcome.reason, outcome.message), outcome=outcome)
    due = seconds(outcome.at) + RETRY_AFTER
    again = f"{outcome.message} (tried again at {conditions.timestamp(due)})"
    if observed.now >= due:
        return Plan(_under_way(outcome.reason, again), delete=job, requeue=0.0)
    return Plan(_under_way(outcome.reason, again), requeue=due - observed.now)


def failed_gates(gates: list[GateResult]) -> list[str]:
    """Each gate that failed, in words."""
    sign = {"AtLeast": "<", "AtMost": ">"}
    return [
        f"{gate.metric} {gate.value:.4g} {sign[gate.direction]} {gate.bound:.4g}"
        for gate in gates
        if not gate.passed
    ]


def _verified(observed: Observed) -> Verification:
    before = condition_of(observed.resource.get("status", {}), "Verified") or {}
    known = before.get("status") == "True"
    message = (
        before["message"] if known else "the artifact was fetched, loaded and answered its reference rows"
    )
    return Verification(true("Verified", "Verified", message), "Done")


def _under_way(reason: str, message: str) -> Verification:
    return Verification(unknown("Verified", reason, message), "UnderWay")


def _rejected(reason: str, message: str) -> Verification:
    return Verification(false("Verified", reason, message), "Rejected")
