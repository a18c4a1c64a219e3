"""Whose reconcile a change of something else asks for."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.unit.controllers.objects import Object, at, model_version, sha, training_job, training_spec

from redstart.controllers.model_version.reconcile import CONTROLLER as VERSIONS
from redstart.controllers.training_job.reconcile import CONTROLLER as JOBS
from redstart.kube.cluster import Cluster
from redstart.kube.controller import Controller
from redstart.kube.kinds import (
    INFERENCE_SERVICE,
    MODEL_VERSION,
    PERSISTENT_VOLUME_CLAIM,
    TRAINING_JOB,
    Kind,
)
from redstart.kube.store import Store


def stored(obj: Object, **changes: Any) -> Object:
    obj = {**obj, **changes}
    uid = f"{obj['kind']}-{obj['metadata']['name']}"
    return obj | {"metadata": obj["metadata"] | {"uid": uid, "resourceVersion": "1"}}


def service(name: str, **status: Any) -> Object:
    return {
        "apiVersion": "redstart.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"model": {"name": "iris"}},
        "status": status,
    }


def claim(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
    }


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    store = Store()
    elsewhere = training_spec(model="other", output={"uri": "s3://bucket"})
    mirrored = {"serving": [{"inferenceService": "web", "role": "Stable"}]}
    verified = {"verifiedDigest": sha("artifact")}
    for obj in (
        training_job(),
        training_job(training_spec(model="other"), name="other"),
        training_job(elsewhere | {"data": {"sources": [{"uri": "s3://b/x.csv"}], "target": "y"}}, name="s3"),
        training_job(namespace="far"),
        model_version(1),
        model_version(2) | {"status": mirrored},
        model_version(3) | {"status": verified},
    ):
        store.saw(stored(obj))
    return Cluster(cast(Any, None), store, cast(Any, None))


RELATED: dict[str, tuple[Controller, Kind, Object, list[str]]] = {
    "a version asks for the TrainingJob of its model": (JOBS, MODEL_VERSION, model_version(9), ["iris"]),
    "a TrainingJob asks for those of the same model": (
        JOBS,
        TRAINING_JOB,
        training_job(name="new"),
        ["iris"],
    ),
    "a claim asks for the TrainingJobs that name it": (
        JOBS,
        PERSISTENT_VOLUME_CLAIM,
        claim("data"),
        ["iris", "other"],
    ),
    "a claim whose name another begins with asks for nobody": (
        JOBS,
        PERSISTENT_VOLUME_CLAIM,
        claim("dat"),
        [],
    ),
    "a service asks for what it serves, and what it served before": (
        VERSIONS,
        INFERENCE_SERVICE,
        service("web", stable={"version": "iris-v1"}),
        ["iris-v1", "iris-v2"],
    ),
    "a service asks for what it rolled back and what it tries": (
        VERSIONS,
        INFERENCE_SERVICE,
        service(
            "new",
            canary={"version": "iris-v3"},
            quarantine=[{"version": "iris-v1", "reason": "ErrorRate", "at": at(1)}],
        ),
        ["iris-v1", "iris-v3"],
    ),
    "a claim asks for the versions on it that are not verified": (
        VERSIONS,
        PERSISTENT_VOLUME_CLAIM,
        claim("models"),
        ["iris-v1", "iris-v2"],
    ),
}


@pytest.mark.parametrize(("controller", "kind", "changed", "wanted"), RELATED.values(), ids=RELATED.keys())
def test_related(
    cluster: Cluster, controller: Controller, kind: Kind, changed: Object, wanted: list[str]
) -> None:
    found = list(controller.related[kind](changed, cluster))
    assert sorted(key.name for key in found) == wanted
    assert {(key.kind, key.namespace) for key in found} <= {(controller.kind, "default")}
