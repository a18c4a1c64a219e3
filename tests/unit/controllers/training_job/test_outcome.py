"""What came of a run, from what its Job and pods say."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.objects import (
    GATE_FAILED,
    NOW,
    Object,
    details_line,
    ended_job,
    pod,
    report,
    sha,
    terminated,
)
from tests.unit.controllers.training_job.cluster_objects import run_job

from redstart.controllers.training_job.outcome import outcome, reported

JOB = run_job()
LOG = details_line()
BAD_LOG = details_line(importance=[{"feature": "", "value": 0.3}])


def trained(**changes: Any) -> Object:
    return pod(JOB, phase="Succeeded", containerStatuses=[terminated("trainer", 0, report(LOG, **changes))])


def failed(message: Any, code: int = 3, name: str = "pod", ago: float = 60, **state: Any) -> Object:
    statuses = [terminated("trainer", code, message, **state)]
    return pod(JOB, name, phase="Failed", ago=ago, containerStatuses=statuses)


COMPLETE = ended_job(JOB, "Complete")
LONG_COMPLETE = ended_job(JOB, "Complete", ago=60)
EXHAUSTED = ended_job(JOB, "Failed", "BackoffLimitExceeded", failed=3)
RULED = ended_job(JOB, "Failed", "PodFailurePolicy", failed=1)
DATA = {
    "result": "Failed",
    "reason": "ExpectationFailed",
    "message": "torque: 7 of 10000 values are above 200",
}

OUTCOMES: dict[str, tuple[Object, list[Object], str | None, tuple[str, str] | None, str]] = {
    "a Job that goes on has no outcome": (JOB, [pod(JOB)], None, None, ""),
    "it trained": (COMPLETE, [trained()], LOG, ("Succeeded", "Trained"), "f1 0.83"),
    "it trained and a gate failed": (
        COMPLETE,
        [trained(result="Rejected", reason="GateFailed", message="f1 0.62 < 0.75")],
        LOG,
        ("Rejected", "GateFailed"),
        "f1 0.62 < 0.75",
    ),
    "the store had it": (COMPLETE, [trained(result="SameInputs")], LOG, ("SameInputs", "Trained"), "f1 0.83"),
    "its pod may still be on its way to us": (COMPLETE, [], None, None, ""),
    "its pod may still be told to have ended": (COMPLETE, [pod(JOB)], None, None, ""),
    "its pod is gone": (
        LONG_COMPLETE,
        [],
        None,
        ("Lost", "ResultLost"),
        "the next run finds it in the store",
    ),
    "its log may still come": (COMPLETE, [trained()], None, None, ""),
    "its log is gone": (LONG_COMPLETE, [trained()], None, ("Lost", "ResultLost"), "the next run"),
    "its log is not what the report says": (
        LONG_COMPLETE,
        [trained()],
        details_line(metrics={"f1": 1.0}),
        ("Lost", "ResultLost"),
        "the next run",
    ),
    "a trainer of somebody else says nothing that we understand": (
        COMPLETE,
        [pod(JOB, phase="Succeeded", containerStatuses=[terminated("trainer", 0, "done!")])],
        None,
        ("Failed", "ReportInvalid"),
        "left no report",
    ),
    "a report lacks the artifact": (
        COMPLETE,
        [trained(artifact=None)],
        LOG,
        ("Failed", "ReportInvalid"),
        "lacks number, inputDigest, artifact or detailsDigest",
    ),
    "its details do not fit, which no other try would mend": (
        COMPLETE,
        [trained(detailsDigest=sha(BAD_LOG))],
        BAD_LOG,
        ("Failed", "ReportInvalid"),
        "details.importance.0.feature",
    ),
    "the data break an expectation": (
        RULED,
        [failed(DATA)],
        None,
        ("Failed", "ExpectationFailed"),
        "torque: 7 of 10000 values are above 200",
    ),
    "every attempt failed, and the last one tells why": (
        EXHAUSTED,
        [
            failed(DATA | {"reason": "First", "message": "first"}, 1, "a", ago=90),
            failed(
                {"result": "Failed", "reason": "StoreUnreachable", "message": "s3 did not answer"},
                1,
                "b",
                ago=9,
            ),
        ],
        None,
        ("Failed", "StoreUnreachable"),
        "s3 did not answer (the last of 3 attempts)",
    ),
    "memory ran out": (
        EXHAUSTED,
        [failed("", 137, reason="OOMKilled")],
        None,
        ("Failed", "OOMKilled"),
        "needed more memory than the node has (the last of 3 attempts)",
    ),
    "a crash leaves the end of its log": (
        RULED,
        [failed("Traceback\nImportError: no module named x", 1)],
        None,
        ("Failed", "ContainerFailed"),
        "exit code 1: ImportError: no module named x",
    ),
    "it took too long": (
        ended_job(JOB, "Failed", "DeadlineExceeded"),
        [],
        None,
        ("Failed", "DeadlineExceeded"),
        "did not end within its activeDeadline of 24h",
    ),
    "it failed and its pods may still be on their way": (EXHAUSTED, [], None, None, ""),
    "it failed and its pods are gone": (
        ended_job(JOB, "Failed", "BackoffLimitExceeded", ago=60),
        [],
        None,
        ("Failed", "BackoffLimitExceeded"),
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
    assert (found.trained is not None) == (found.result in ("Succeeded", "Rejected", "SameInputs"))


def test_what_was_trained_is_read_from_report_details_and_node() -> None:
    log = details_line(gates=[GATE_FAILED])
    statuses = [terminated("trainer", 0, report(log, result="Rejected", number=7))]
    found = outcome(COMPLETE, [pod(JOB, containerStatuses=statuses)], log, now=NOW)
    assert found is not None
    assert found.trained is not None
    assert found.trained.number == 7
    assert found.trained.rows == 150
    assert found.trained.image == f"example.com/trainer@{sha('trainer')}"
    assert [gate.metric for gate in found.trained.details.gates] == ["f1"]
    assert found.finished_at == "2027-01-15T07:59:55Z"


def test_of_several_pods_the_newest_that_trained_is_read() -> None:
    old = trained(number=1) | {}
    new = trained(number=2)
    new["metadata"] = new["metadata"] | {"name": "new", "creationTimestamp": "2027-01-15T07:59:50Z"}
    found = reported([old, failed(DATA), new])
    assert found is not None
    assert found[1].number == 2
