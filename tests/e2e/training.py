"""TrainingJobs, and the versions that come of them."""

from __future__ import annotations

from typing import Any, TypedDict

from tests.e2e.datasets import Dataset, breast_cancer
from tests.e2e.kubernetes import Kubernetes, Object, eventually, is_ready
from tests.e2e.store import Store

API = "redstart.dev/v1alpha1"
SECRET = {"name": "store"}
TRAINING = 300.0
"""Seconds that a run may take on a busy machine."""


class Artifact(TypedDict):
    """A trained model in the store, and rows that it can be asked about."""

    uri: str
    digest: str
    format: str
    inputs: list[Object]
    rows: list[Object]


def config_map(name: str, **files: str) -> Object:
    """A ConfigMap of CSV files."""
    data = {f"{file}.csv": content for file, content in files.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def training_job(
    name: str, data: Dataset, source: str, output: Object, /, *, estimator: str, **spec: Any
) -> Object:
    """A TrainingJob of the model `name` on one source; s3:// sources use the Secret "store". `spec` are further
    fields, or others than these."""
    credentials = {"secretRef": SECRET} if source.startswith("s3://") else {}
    return {
        "apiVersion": API,
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {
            "model": name,
            "task": data.task,
            "data": {"sources": [{"uri": source, **credentials}], "target": data.target},
            "algorithm": {"estimator": estimator},
            "output": output,
            "template": {"resources": {"requests": {"cpu": "50m", "memory": "128Mi"}}},
            **spec,
        },
    }


def settled(cluster: Kubernetes, name: str) -> Object:
    """The TrainingJob once nothing more will happen to its present spec."""

    def look() -> Object | None:
        found = cluster.get("TrainingJob", name) or {}
        status = found.get("status", {})
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return found if seen and status.get("phase") in ("Succeeded", "Rejected", "Failed") else None

    return eventually(look, f"the end of TrainingJob {name}", patience=TRAINING)


def train(cluster: Kubernetes, job: Object) -> Object:
    """Apply a TrainingJob and return it when it has succeeded."""
    cluster.apply(job)
    found = settled(cluster, job["metadata"]["name"])
    assert found["status"]["phase"] == "Succeeded", found["status"]["run"]["message"]
    return found


def artifact(cluster: Kubernetes, store: Store) -> Artifact:
    """Train a model of the breast cancer data into the store, in a namespace where nothing else happens."""
    data = breast_cancer()
    output = {"uri": store.uri("shared"), "secretRef": SECRET}
    job = training_job(
        "breast-cancer", data, "configmap://rows/all.csv", output, estimator="LogisticRegression"
    )
    cluster.apply(store.secret(), config_map("rows", all=data.csv()))
    version = cluster.get("ModelVersion", train(cluster, job)["status"]["latestVersion"])
    assert version is not None
    made = version["spec"]["artifact"]
    return Artifact(
        uri=made["uri"],
        digest=made["digest"],
        format=made["format"],
        inputs=version["spec"]["inputs"],
        rows=data.requests,
    )


def register(
    cluster: Kubernetes,
    store: Store,
    artifact: Artifact,
    *,
    name: str = "m-v1",
    number: int = 1,
    model: str = "m",
) -> None:
    """Write a ModelVersion of an artifact by hand and wait until it may be served."""
    cluster.apply(
        store.secret(),
        {
            "apiVersion": API,
            "kind": "ModelVersion",
            "metadata": {"name": name},
            "spec": {
                "model": model,
                "number": number,
                "artifact": {
                    "uri": artifact["uri"],
                    "digest": artifact["digest"],
                    "format": artifact["format"],
                    "secretRef": SECRET,
                },
                "inputs": artifact["inputs"],
            },
        },
    )
    eventually(lambda: is_ready(cluster.get("ModelVersion", name)), f"ModelVersion {name} is ready")
