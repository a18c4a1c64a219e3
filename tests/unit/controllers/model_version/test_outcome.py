"""What came of a verification."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.model_version.test_job import build
from tests.unit.controllers.objects import NOW, Object, ended_job, model_version, pod, sha, terminated

from redstart.controllers.model_version.outcome import outcome

JOB = build(model_version())
JOB["metadata"]["uid"] = "job"
LOG = '{"redstart": "details", "importance": [{"feature": "petal", "value": 0.3}]}'
VERIFIED = {
    "result": "Verified",
    "reason": "ReferenceRowsMatch",
    "message": "all 256 rows match",
    "detailsDigest": sha(LOG),
}
COMPLETE = ended_job(JOB, "Complete")
LONG_COMPLETE = ended_job(JOB, "Complete", ago=60)
FAILED = ended_job(JOB, "Failed", "BackoffLimitExceeded")


def verified(message: Any = VERIFIED) -> Object:
    return pod(JOB, phase="Succeeded", containerStatuses=[terminated("verify", 0, message)])


def failed(container: str, code: int, message: Any = "", *, ago: float = 60, **state: Any) -> Object:
    status = terminated(container, code, message, **state)
    statuses = {"initContainerStatuses" if container == "fetch" else "containerStatuses": [status]}
    return pod(JOB, phase="Failed", ago=ago, **statuses)


def fault(reason: str, message: str) -> Object:
    return {"result": "Failed", "reason": reason, "message": message}


OUTCOMES: dict[str, tuple[Object, list[Object], str | None, tuple[str, str] | None, str]] = {
    "a Job that goes on has no outcome": (JOB, [], None, None, ""),
    "it is verified": (COMPLETE, [verified()], LOG, ("Verified", "Verified"), "all 256 rows match"),
    "its pod may still be on its way to us": (COMPLETE, [], None, None, ""),
    "its pod is gone, and the Job's success is enough": (
        LONG_COMPLETE,
        [],
        None,
        ("Verified", "Verified"),
        "loaded and answered its reference rows",
    ),
    "its log is gone, and the Job's success is enough": (
        LONG_COMPLETE,
        [verified()],
        None,
        ("Verified", "Verified"),
        "all 256 rows match",
    ),
    "its log does not fit, and the Job's success is enough": (
        COMPLETE,
        [verified(VERIFIED | {"detailsDigest": sha("[]")})],
        "[]",
        ("Verified", "Verified"),
        "all 256 rows match",
    ),
    "the artifact is another": (
        FAILED,
        [failed("fetch", 3, fault("DigestMismatch", "manifest.json has sha256:b"))],
        None,
        ("Failed", "DigestMismatch"),
        "manifest.json has sha256:b",
    ),
    "the model answers otherwise": (
        FAILED,
        [failed("verify", 3, fault("ReferenceMismatch", "3 of 256 rows differ"))],
        None,
        ("Failed", "ReferenceMismatch"),
        "3 of 256 rows differ",
    ),
    "the store does not answer": (
        FAILED,
        [failed("fetch", 1, fault("StoreUnreachable", "s3 did not answer"))],
        None,
        ("Retry", "StoreUnreachable"),
        "s3 did not answer",
    ),
    "the newest attempt counts": (
        FAILED,
        [
            failed("fetch", 1, fault("StoreUnreachable", "s3 did not answer"), ago=90),
            failed("fetch", 3, fault("DigestMismatch", "another"), ago=10),
        ],
        None,
        ("Failed", "DigestMismatch"),
        "another",
    ),
    "the model takes its verifier down": (
        FAILED,
        [failed("verify", 137, reason="OOMKilled")],
        None,
        ("Failed", "OOMKilled"),
        "needed more memory",
    ),
    "the node takes the pod down": (
        FAILED,
        [pod(JOB, phase="Failed", reason="Evicted", message="disk pressure")],
        None,
        ("Retry", "Evicted"),
        "disk pressure",
    ),
    "it did not end in time": (
        ended_job(JOB, "Failed", "DeadlineExceeded"),
        [],
        None,
        ("Retry", "DeadlineExceeded"),
        "did not end within an hour",
    ),
    "its pods may still be on their way to us": (FAILED, [], None, None, ""),
    "its pods are gone": (
        ended_job(JOB, "Failed", "BackoffLimitExceeded", ago=60),
        [],
        None,
        ("Retry", "BackoffLimitExceeded"),
        "its pods are gone",
    ),
}


@pytest.mark.parametrize(("job", "pods", "log", "wanted", "message"), OUTCOMES.values(), ids=OUTCOMES.keys())
def test_outcome(
    job: Object, pods: list[Object], log: str | None, wanted: tuple[str, str] | None, message: str
) -> None:
    found = outcome(job, pods, log, now=NOW)
    if wanted is None:
        assert found is None
        return
    assert found is not None
    assert (found.result, found.reason) == wanted
    assert message in found.message


def test_importance_comes_from_the_details() -> None:
    found = outcome(COMPLETE, [verified()], LOG, now=NOW)
    assert found is not None
    assert [(entry.feature, entry.value) for entry in found.importance] == [("petal", 0.3)]
