"""The ModelVersion of a run that trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.controllers.objects import DETAILS, GATE_FAILED, GATE_PASSED, model_version, sha
from tests.unit.controllers.training_job.cluster_objects import run_job

from redstart.api.v1alpha1.common import SecretRef
from redstart.controllers.reports import BadReportError, Details, ReportedArtifact
from redstart.controllers.storage import Problem
from redstart.controllers.training_job.outcome import Trained
from redstart.controllers.training_job.version import Registration, registration

JOB = run_job(3)


def trained(**changes: Any) -> Trained:
    return Trained(
        number=4,
        input_digest=sha("input"),
        data_digest=sha("data"),
        rows=150,
        artifact=ReportedArtifact(uri="pvc://models/iris/artifacts/a", digest=sha("artifact"), format="ONNX"),
        details=Details.model_validate(DETAILS | changes),
        image="example.com/runtime@sha256:1",
    )


def existing(gates: list[Any] | None = None, **lineage: Any) -> Any:
    return model_version(4, lineage={"inputDigest": sha("input")} | lineage, gates=gates or [])


def test_a_version_is_created_with_everything_that_the_run_told() -> None:
    versions = [
        model_version(1),
        model_version(2),
        model_version(9),
        model_version(3, model="other"),
    ]
    found = registration(JOB, trained(gates=[GATE_PASSED]), SecretRef(name="store"), versions)
    assert isinstance(found, Registration)
    assert found.update is None
    assert found.create == {
        "apiVersion": "redstart.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {
            "name": "iris-v4",
            "namespace": "default",
            "labels": {"redstart.dev/model": "iris", "app.kubernetes.io/managed-by": "redstart"},
        },
        "spec": {
            "model": "iris",
            "number": 4,
            "artifact": {
                "uri": "pvc://models/iris/artifacts/a",
                "digest": sha("artifact"),
                "format": "ONNX",
                "secretRef": {"name": "store"},
            },
            "inputs": [{"name": "petal", "type": "Number", "nullable": True}],
            "outputs": [{"name": "prediction", "type": "Category", "values": ["a", "b"]}],
            "metrics": {"f1": 0.83},
            "gates": [GATE_PASSED],
            "lineage": {
                "trainingJob": "iris",
                "run": 3,
                "inputDigest": sha("input"),
                "dataDigest": sha("data"),
                "image": "example.com/runtime@sha256:1",
                "parent": "iris-v2",
            },
            "framework": {"scikit-learn": "1.9.1"},
        },
    }


def test_a_version_belongs_to_nobody() -> None:
    found = registration(JOB, trained(), None, [])
    assert isinstance(found, Registration)
    assert found.create is not None
    assert "ownerReferences" not in found.create["metadata"]


ADOPTED: dict[str, Any] = {
    "of the same input": existing(),
    "written by hand without an input, with the same artifact": model_version(4),
}


@pytest.mark.parametrize("version", ADOPTED.values(), ids=ADOPTED.keys())
def test_a_version_is_adopted(version: Any) -> None:
    assert registration(JOB, trained(), None, [version]) == Registration("iris-v4")


def test_changed_gates_are_all_that_is_updated() -> None:
    found = registration(JOB, trained(gates=[GATE_FAILED]), None, [existing([GATE_PASSED])])
    assert found == Registration(
        "iris-v4",
        update={
            "apiVersion": "redstart.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": "iris-v4", "namespace": "default"},
            "spec": {"gates": [GATE_FAILED]},
        },
    )


def test_a_gate_that_was_removed_is_removed_from_the_version() -> None:
    found = registration(JOB, trained(), None, [existing([GATE_PASSED])])
    assert isinstance(found, Registration)
    assert found.update is not None
    assert found.update["spec"] == {"gates": []}


CONFLICTS: dict[str, tuple[Any, Trained, str]] = {
    "another input": (existing(inputDigest=sha("other")), trained(), "was trained from another input"),
    "the same input, but the store was emptied and trained anew": (
        existing(),
        replace(trained(), artifact=ReportedArtifact(uri="pvc://models/b", digest=sha("new"), format="ONNX")),
        "names another artifact than the store now holds: delete it",
    ),
    "an import with another artifact": (
        model_version(4),
        replace(trained(), artifact=ReportedArtifact(uri="pvc://models/b", digest=sha("new"), format="ONNX")),
        "was trained from another input",
    ),
}


@pytest.mark.parametrize(("version", "made", "message"), CONFLICTS.values(), ids=CONFLICTS.keys())
def test_a_name_that_is_taken_is_left_alone(version: Any, made: Trained, message: str) -> None:
    found = registration(JOB, made, None, [version])
    assert isinstance(found, Problem)
    assert found.reason == "NameConflict"
    assert message in found.message
    assert "iris-v4" in found.message


def test_long_lists_are_cut_to_what_a_version_may_hold() -> None:
    inputs = [
        {"name": f"c{n}", "type": "Category", "values": [str(v) for v in range(60)]} for n in range(501)
    ]
    found = registration(JOB, trained(inputs=inputs), None, [])
    assert isinstance(found, Registration)
    assert found.create is not None
    assert len(found.create["spec"]["inputs"]) == 500
    assert {len(item["values"]) for item in found.create["spec"]["inputs"]} == {50}


def test_a_report_that_fits_no_version_is_refused_with_the_field() -> None:
    with pytest.raises(BadReportError, match=r"spec\.inputs\.0\.type"):
        registration(JOB, trained(inputs=[{"name": "petal", "type": "Image"}]), None, [])
