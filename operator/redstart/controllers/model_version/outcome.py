"""What came of a verification, from its ended Job, its pods and the details in the verifier's log. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from redstart.api.v1alpha1.model_version import Importance
from redstart.controllers import pod_status, reports
from redstart.controllers.job_status import Ending, ending, newest_first
from redstart.controllers.model_version.job import EXIT_LASTING, VERIFY
from redstart.controllers.pods import FETCH
from redstart.controllers.reports import BadReportError, Details

Object = dict[str, Any]

_MOST_IMPORTANCE = 20


@dataclass(frozen=True)
class Outcome:
    """An ended verification. Retry: for a fault that may pass, such as a store that does not answer."""

    result: Literal["Verified", "Failed", "Retry"]
    reason: str
    message: str
    at: str
    importance: list[Importance] = field(default_factory=list)


def outcome(job: Object, pods: Sequence[Object], log: str | None, *, now: float) -> Outcome | None:
    """What came of an ended Job, or None while that may still become known.

    `log` is the end of the verifier's log, or None when it cannot be had.
    """
    ended = ending(job)
    if ended is None:
        return None
    return _verified(pods, log, ended, now) if ended.complete else _failed(pods, ended, now)


def why_failed(pods: Sequence[Object]) -> Outcome | None:
    """Why the newest attempt failed, or None when none is known to have."""
    for pod in newest_first(pods):
        for container in (FETCH, VERIFY):
            ended = pod_status.terminated(pod, container)
            if ended is None or ended.get("exitCode", 0) == 0:
                continue
            at = str(ended.get("finishedAt", ""))
            said = reports.report(ended)
            if said is not None and said.result == "Failed":
                lasting = ended["exitCode"] == EXIT_LASTING
                return Outcome("Failed" if lasting else "Retry", said.reason, said.message, at)
            problem = pod_status.failure(pod)
            if problem is not None:
                # A model that takes its verifier down would do so again; a fetch depends on store and network.
                lasting = container == VERIFY and not pod_status.ended_by_node(pod)
                return Outcome("Failed" if lasting else "Retry", *problem, at)
        if (problem := pod_status.failure(pod)) is not None:
            return Outcome("Retry", *problem, "")
    return None


def verifier(pods: Sequence[Object]) -> Object | None:
    """The pod whose verifier ended well."""
    for pod in newest_first(pods):
        ended = pod_status.terminated(pod, VERIFY)
        if ended is not None and ended.get("exitCode") == 0:
            return pod
    return None


def _verified(pods: Sequence[Object], log: str | None, ended: Ending, now: float) -> Outcome | None:
    """The Job's success is the verdict; the details add what the verifier measured, where they can be read."""
    pod = verifier(pods)
    said = reports.report(pod_status.terminated(pod, VERIFY)) if pod else None
    try:
        details = reports.details(log, said.details_digest) if said and said.details_digest and log else None
    except BadReportError:
        details = Details()
    if details is None and ended.is_fresh(now) and not (said and said.details_digest is None):
        return None
    importance = details.importance[:_MOST_IMPORTANCE] if details else []
    message = said.message if said else "the artifact was fetched, loaded and answered its reference rows"
    return Outcome("Verified", "Verified", message, ended.at, importance)


def _failed(pods: Sequence[Object], ended: Ending, now: float) -> Outcome | None:
    if ended.reason == "DeadlineExceeded":
        return Outcome("Retry", ended.reason, "the verification did not end within an hour", ended.at)
    found = why_failed(pods)
    if found is not None:
        return Outcome(found.result, found.reason, found.message, ended.at)
    return None if ended.is_fresh(now) else Outcome("Retry", ended.reason, ended.message, ended.at)
