"""What is done about a ModelVersion, and what its status says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.controllers.model_version.test_job import RUNTIME, bucket, build
from tests.unit.controllers.model_version.test_outcome import fault
from tests.unit.controllers.objects import (
    GATE_FAILED,
    GATE_PASSED,
    NOW,
    Object,
    at,
    claim,
    ended_job,
    model_version,
    pod,
    sha,
    terminated,
    waiting,
)

from redstart.api.v1alpha1 import ModelVersionSpec
from redstart.api.v1alpha1.model_version import Importance, ModelVersionStatus, QuarantinedBy, Serving
from redstart.controllers.model_version.desired import Plan, desired
from redstart.controllers.model_version.observe import Observed
from redstart.controllers.model_version.outcome import Outcome
from redstart.controllers.model_version.status import hindrance, status
from redstart.controllers.storage import Problem

JOB = build(model_version())
JOB["metadata"]["uid"] = "job"
FAILED = ended_job(JOB, "Failed")
REJECTED = {
    "phase": "Rejected",
    "conditions": [
        {
            "type": "Verified",
            "status": "False",
            "reason": "DigestMismatch",
            "message": "another",
            "lastTransitionTime": at(60),
        }
    ],
}


def observed(version: Object | None = None, told: Object | None = None, **changes: Any) -> Observed:
    """A look at a ModelVersion whose volume is there; `told` is its status."""
    version = version or model_version()
    resource = version | {"status": told or {}}
    looked = Observed(
        resource=resource,
        status=ModelVersionStatus.model_validate(told or {}),
        now=NOW,
        spec=ModelVersionSpec.model_validate(version["spec"]),
        claims={"models": claim("models", "ReadWriteMany")},
    )
    return replace(looked, **changes)


def verified(**more: Any) -> Object:
    return {"verifiedDigest": sha("artifact"), **more}


def written(plan: Plan) -> list[str]:
    return [
        *([f"delete {plan.delete['metadata']['name']}"] if plan.delete else []),
        *([f"create {plan.create['metadata']['name']}"] if plan.create else []),
    ]


def summary(found: Observed, plan: Plan) -> str:
    """Phase, and every condition that holds, as `kubectl get` might show them."""
    result = status(found, plan)
    holds = [c["type"] for c in result["conditions"] if c["status"] == "True"]
    return " ".join([result["phase"], *holds])


UNREACHABLE = Outcome("Retry", "StoreUnreachable", "s3 did not answer", at(100))

STEPS: dict[str, tuple[Observed, str, list[str], str]] = {
    "a new version is verified": (
        observed(),
        "Verifying Reconciling GatesPassed",
        ["create iris-v1-verify"],
        "Starting: the verification is starting",
    ),
    "its volume is missing, and may still come": (
        observed(claims={"models": None}),
        "Pending Reconciling GatesPassed",
        [],
        'ClaimNotFound: PersistentVolumeClaim "models" does not exist',
    ),
    "its volume cannot be shared": (
        observed(claims={"models": claim("models", "ReadWriteOncePod")}),
        "Pending Stalled GatesPassed",
        [],
        "VolumeNotShared: ",
    ),
    "its format is not allowed, and nothing of it is loaded": (
        observed(
            model_version(artifact={"uri": "pvc://models/a", "digest": sha("artifact"), "format": "Joblib"})
        ),
        "Rejected Stalled GatesPassed",
        [],
        "FormatNotAllowed: artifact.format Joblib is not among the formats that this cluster allows (ONNX, Skops)",
    ),
    "it is being verified": (
        observed(job=JOB, pods=[pod(JOB)]),
        "Verifying Reconciling GatesPassed",
        [],
        "Verifying: the artifact is being verified",
    ),
    "its verifier's image cannot be pulled": (
        observed(
            job=JOB, pods=[pod(JOB, phase="Pending", containerStatuses=[waiting("verify", "ErrImagePull")])]
        ),
        "Verifying Reconciling GatesPassed",
        [],
        "ImagePullBackOff: image ",
    ),
    "its Secret is missing, which only an event tells": (
        observed(
            job=JOB,
            pods=[pod(JOB, phase="Pending")],
            warning=Problem("FailedMount", 'secret "store" not found'),
        ),
        "Verifying Reconciling GatesPassed",
        [],
        'FailedMount: secret "store" not found',
    ),
    "the store does not answer, and the Job goes on trying": (
        observed(
            job=JOB | {"status": {"failed": 2}},
            pods=[
                pod(
                    JOB,
                    phase="Failed",
                    initContainerStatuses=[
                        terminated("fetch", 1, fault("StoreUnreachable", "s3 did not answer"))
                    ],
                )
            ],
        ),
        "Verifying Reconciling GatesPassed",
        [],
        "StoreUnreachable: s3 did not answer (tried 2 times; trying again)",
    ),
    "the store did not answer, and another Job follows later": (
        observed(job=FAILED, outcome=UNREACHABLE),
        "Verifying Reconciling GatesPassed",
        [],
        "StoreUnreachable: s3 did not answer (tried again at 2027-01-15T08:03:20Z)",
    ),
    "the store did not answer, and it is time for another Job": (
        observed(job=FAILED, outcome=replace(UNREACHABLE, at=at(301))),
        "Verifying Reconciling GatesPassed",
        ["delete iris-v1-verify"],
        "StoreUnreachable: ",
    ),
    "its credentials changed before it was verified": (
        observed(bucket("rotated"), job=build(bucket()), claims={}),
        "Verifying Reconciling GatesPassed",
        ["delete iris-v1-verify"],
        "Starting: artifact.secretRef changed: verifying again",
    ),
    "its credentials changed after it was verified": (
        observed(bucket("rotated"), verified(), claims={}),
        "Ready Ready Verified GatesPassed",
        [],
        "Verified: ",
    ),
    "its Job has ended and the pod is not known yet": (
        observed(job=ended_job(JOB, "Complete")),
        "Verifying Reconciling GatesPassed",
        [],
        "ReadingResult: ",
    ),
    "it is verified now": (
        observed(
            job=ended_job(JOB, "Complete"),
            outcome=Outcome("Verified", "Verified", "all 256 rows match", at(5)),
        ),
        "Ready Ready Verified GatesPassed",
        [],
        "Verified: all 256 rows match",
    ),
    "it was verified before, and its Job goes": (
        observed(told=verified(), job=ended_job(JOB, "Complete")),
        "Ready Ready Verified GatesPassed",
        ["delete iris-v1-verify"],
        "Verified: ",
    ),
    "it is not what it says": (
        observed(job=FAILED, outcome=Outcome("Failed", "DigestMismatch", "another", at(5))),
        "Rejected Stalled GatesPassed",
        [],
        "DigestMismatch: another",
    ),
    "it was rejected before, and its Job stays as the mark of it": (
        observed(told=REJECTED, job=FAILED, outcome=UNREACHABLE),
        "Rejected Stalled GatesPassed",
        [],
        "DigestMismatch: another",
    ),
    "it was rejected before, and somebody deleted its Job": (
        observed(told=REJECTED),
        "Verifying Reconciling GatesPassed",
        ["create iris-v1-verify"],
        "Starting: ",
    ),
    "its gates passed": (
        observed(model_version(gates=[GATE_PASSED]), verified()),
        "Ready Ready Verified GatesPassed",
        [],
        "Verified: ",
    ),
    "a gate failed": (
        observed(model_version(gates=[GATE_PASSED, GATE_FAILED]), verified()),
        "Rejected Stalled Verified",
        [],
        "GateFailed: f1 0.62 < 0.75",
    ),
    "a gate failed, and it is verified all the same": (
        observed(model_version(gates=[GATE_FAILED])),
        "Verifying Reconciling",
        ["create iris-v1-verify"],
        "Starting: ",
    ),
    "a service rolled it back, and others may still take it": (
        observed(
            told=verified(), quarantine=[QuarantinedBy(inference_service="web", reason="ErrorRate", at=at(9))]
        ),
        "Quarantined Ready Verified GatesPassed Quarantined",
        [],
        "Verified: ",
    ),
    "its spec cannot be read": (
        observed(spec=None, invalid="spec.number: no"),
        "Rejected Stalled",
        [],
        "InvalidSpec: spec.number: no",
    ),
}


@pytest.mark.parametrize(("found", "wanted", "writes", "message"), STEPS.values(), ids=STEPS.keys())
def test_step(found: Observed, wanted: str, writes: list[str], message: str) -> None:
    plan = desired(found, RUNTIME)
    assert written(plan) == writes
    assert summary(found, plan) == wanted
    result = status(found, plan)
    (ready,) = (c for c in result["conditions"] if c["type"] == "Ready")
    assert message in f"{ready['reason']}: {ready['message']}"


def test_what_a_verification_found_is_kept() -> None:
    found = observed(
        job=ended_job(JOB, "Complete"),
        outcome=Outcome("Verified", "Verified", "all match", at(5), [Importance(feature="petal", value=0.3)]),
        serving=[Serving(inference_service="web", role="Stable")],
    )
    result = status(found, desired(found, RUNTIME))
    assert result["verifiedDigest"] == sha("artifact")
    assert result["importance"] == [{"feature": "petal", "value": 0.3}]
    assert result["serving"] == [{"inferenceService": "web", "role": "Stable"}]
    again = observed(told=result)
    later = status(again, desired(again, RUNTIME))
    assert later["verifiedDigest"] == sha("artifact")
    assert later["importance"] == result["importance"]
    (before,) = (c for c in result["conditions"] if c["type"] == "Verified")
    (after,) = (c for c in later["conditions"] if c["type"] == "Verified")
    assert after == before


def test_a_quarantine_names_the_services() -> None:
    found = observed(
        told=verified(), quarantine=[QuarantinedBy(inference_service="web", reason="ErrorRate", at=at(9))]
    )
    result = status(found, desired(found, RUNTIME))
    (quarantined,) = (c for c in result["conditions"] if c["type"] == "Quarantined")
    assert quarantined["message"] == "rolled back by web (ErrorRate); these do not take it again"
    assert result["quarantine"] == [{"inferenceService": "web", "reason": "ErrorRate", "at": at(9)}]


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param(observed(), None, id="a verification that starts"),
        pytest.param(
            observed(job=JOB, pods=[pod(JOB, phase="Pending")], warning=Problem("FailedMount", "no secret")),
            "FailedMount: no secret",
            id="a pod that lacks a Secret",
        ),
        pytest.param(
            observed(job=JOB, warning=Problem("FailedCreate", "the API server refuses the pod: quota")),
            "FailedCreate: the API server refuses the pod: quota",
            id="a pod that may not be made",
        ),
        pytest.param(observed(told=verified()), None, id="a version that is verified"),
        pytest.param(
            observed(job=FAILED, outcome=Outcome("Failed", "DigestMismatch", "another", at(5))),
            None,
            id="a rejection, which has an event of its own",
        ),
    ],
)
def test_what_hinders_a_verification_is_told_once(found: Observed, want: str | None) -> None:
    plan = desired(found, RUNTIME)
    told = hindrance(found, plan)
    assert (f"{told.reason}: {told.message}" if told else None) == want
    if want:
        known = replace(found, resource=found.resource | {"status": status(found, plan)})
        assert hindrance(known, desired(known, RUNTIME)) is None
