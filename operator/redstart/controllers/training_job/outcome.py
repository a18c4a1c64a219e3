"""What came of a run, from its ended Job, its pods and the details in the pod's log. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redstart.api import durations
from redstart.api.v1alpha1.training_job import RunResult
from redstart.controllers import pod_status, reports
from redstart.controllers.job_status import Ending, ending, newest_first
from redstart.controllers.reports import BadReportError, Details, Report, ReportedArtifact
from redstart.controllers.storage import Problem
from redstart.controllers.training_job.job import CONTAINER

Object = dict[str, Any]

TRAINED: dict[str, RunResult] = {
    "Succeeded": "Succeeded",
    "Rejected": "Rejected",
    "SameInputs": "SameInputs",
}
"""Results of a run that ended with a version."""


@dataclass(frozen=True)
class Trained:
    """What a run trained, or found in the store."""

    number: int
    input_digest: str
    data_digest: str | None
    rows: int | None
    artifact: ReportedArtifact
    details: Details
    image: str | None
    """The trainer's image as the node resolved it."""


@dataclass(frozen=True)
class Outcome:
    """An ended run; `trained` is there where the result is Succeeded, Rejected or SameInputs."""

    result: RunResult
    reason: str
    message: str
    finished_at: str
    trained: Trained | None = None


def reported(pods: Sequence[Object]) -> tuple[Object, Report] | None:
    """The pod that trained, and its report; the newest where there are several."""
    for pod in newest_first(pods):
        report = reports.report(pod_status.terminated(pod, CONTAINER))
        if report is not None and report.result in TRAINED:
            return pod, report
    return None


def outcome(job: Object, pods: Sequence[Object], log: str | None, *, now: float) -> Outcome | None:
    """What came of the run of an ended Job, or None while that may still become known.

    `log` is the end of the log of the pod that `reported` names, or None when it cannot be had.
    """
    ended = ending(job)
    if ended is None:
        return None
    early = ended.is_fresh(now)
    if ended.complete:
        return _completed(job, pods, log, ended.at, early=early)
    return _failed(job, pods, ended, early=early)


def _completed(
    job: Object, pods: Sequence[Object], log: str | None, finished: str, *, early: bool
) -> Outcome | None:
    found = reported(pods)
    if found is None:
        if any(_ended_well(pod) for pod in pods):
            return Outcome(
                "Failed",
                "ReportInvalid",
                "the trainer ended with exit code 0 but left no report that can be read: a trainer of your own "
                "has to write /dev/termination-log as the docs describe",
                finished,
            )
        return None if early else _lost(job, finished)
    pod, report = found
    if not (report.number and report.input_digest and report.artifact and report.details_digest):
        return Outcome(
            "Failed",
            "ReportInvalid",
            "the trainer's report lacks number, inputDigest, artifact or detailsDigest",
            finished,
        )
    try:
        details = reports.details(log, report.details_digest) if log is not None else None
    except BadReportError as error:
        return Outcome("Failed", "ReportInvalid", str(error), finished)
    if details is None:
        return None if early else _lost(job, finished)
    trained = Trained(
        number=report.number,
        input_digest=report.input_digest,
        data_digest=report.data_digest,
        rows=report.rows,
        artifact=report.artifact,
        details=details,
        image=pod_status.image_id(pod, CONTAINER),
    )
    return Outcome(TRAINED[report.result], report.reason, report.message, finished, trained)


def _failed(job: Object, pods: Sequence[Object], ended: Ending, *, early: bool) -> Outcome | None:
    if ended.reason == "DeadlineExceeded":
        limit = durations.text(job["spec"].get("activeDeadlineSeconds", 0))
        message = f"the run did not end within its activeDeadline of {limit}"
        return Outcome("Failed", ended.reason, message, ended.at)
    if (problem := why_failed(pods)) is not None:
        return Outcome("Failed", problem.reason, _attempts(job, problem.message), ended.at)
    return None if early else Outcome("Failed", ended.reason, ended.message, ended.at)


def why_failed(pods: Sequence[Object]) -> Problem | None:
    """Why the newest of these pods that failed did: what its trainer says, else what the node says."""
    for pod in newest_first(pods):
        report = reports.report(pod_status.terminated(pod, CONTAINER))
        if report is not None and report.result == "Failed":
            return Problem(report.reason, report.message)
        if (problem := pod_status.failure(pod)) is not None:
            return problem
    return None


def _attempts(job: Object, message: str) -> str:
    failed = job.get("status", {}).get("failed", 0)
    return f"{message} (the last of {failed} attempts)" if failed > 1 else message


def _lost(job: Object, finished: str) -> Outcome:
    name = job["metadata"]["name"]
    return Outcome(
        "Lost",
        "ResultLost",
        f"the pod of Job {name} was gone before its result could be read; the next run finds it in the store",
        finished,
    )


def _ended_well(pod: Object) -> bool:
    ended = pod_status.terminated(pod, CONTAINER)
    return ended is not None and ended.get("exitCode") == 0
