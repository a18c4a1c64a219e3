"""Faults around a canary: its artifact, its answers, and routers that say nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redstart.artifacts import manifest as manifests
from tests.e2e import node
from tests.e2e.kubernetes import Kubernetes, Object, condition, eventually
from tests.e2e.serving import inference_service
from tests.e2e.store import BUCKET, Store
from tests.e2e.test_rollout import SERVICE, last_rollout, seen, service, serving
from tests.e2e.traffic import FOREVER, Traffic
from tests.e2e.training import API, SECRET, Artifact, register

Register = Callable[..., None]


def copied(
    store: Store, artifact: Artifact, folder: str, change: Callable[[str, bytes], bytes] | None = None
) -> None:
    """The artifact's files in another folder of the bucket, each as `change` makes it."""
    for path in store.list(artifact["uri"].removeprefix(f"s3://{BUCKET}/")):
        name = path.rpartition("/")[2]
        content = store.get(path)
        store.put(f"{folder}/{name}", change(name, content) if change else content)


def spoiled(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("fault", ["ArtifactNotFound", "DigestMismatch"])
def test_a_canary_whose_artifact_is_lost_or_changed_after_it_was_verified_gets_no_traffic(
    cluster: Kubernetes, store: Store, artifact: Artifact, fault: str
) -> None:
    register(cluster, store, artifact)
    copied(store, artifact, cluster.namespace)
    moved: Artifact = {**artifact, "uri": store.uri(cluster.namespace)}
    register(cluster, store, moved, name="m-v2", number=2)
    serving(cluster)
    clients = Traffic(cluster, SERVICE, artifact["rows"])
    clients.start(rate=20, requests=FOREVER)
    if fault == "ArtifactNotFound":
        store.delete(cluster.namespace)
    else:
        store.put(f"{cluster.namespace}/model.onnx", spoiled(store.get(f"{cluster.namespace}/model.onnx")))

    cluster.apply(service(version="m-v2"))
    ended = eventually(lambda: last_rollout(cluster), "the rollout to end", patience=240)
    assert (ended["result"], ended["reason"]) == ("RolledBack", "ArtifactUnavailable"), ended["message"]
    assert "container fetch" in ended["message"]
    told = clients.stop()
    assert told["failed"] == 0, told["failures"]
    assert set(told["versions"]) == {"m-v1"}


def test_a_version_that_answers_its_reference_rows_otherwise_is_never_served(
    cluster: Kubernetes, store: Store, artifact: Artifact
) -> None:
    """Each file has the digest that the manifest says, and the manifest the version's: only asking tells."""
    files: dict[str, bytes] = {}

    def kept(name: str, content: bytes) -> bytes:
        if name == "reference.json":
            document = json.loads(content)
            document["answers"].reverse()
            content = json.dumps(document).encode()
        files[name] = content
        return content

    copied(store, artifact, cluster.namespace, kept)
    described = json.loads(files["manifest.json"])
    for entry in described["files"]:
        content = files[entry["name"]]
        entry |= {"size": len(content), "sha256": manifests.sha256(content)}
    written = json.dumps(described).encode()
    store.put(f"{cluster.namespace}/manifest.json", written)
    made = {
        "uri": store.uri(cluster.namespace),
        "digest": manifests.sha256(written),
        "format": artifact["format"],
        "secretRef": SECRET,
    }
    cluster.apply(
        store.secret(),
        {
            "apiVersion": API,
            "kind": "ModelVersion",
            "metadata": {"name": "m-v1"},
            "spec": {"model": "m", "number": 1, "artifact": made},
        },
        inference_service(SERVICE, model="m", version="m-v1"),
    )
    version = eventually(
        lambda: (
            found
            if (found := cluster.get("ModelVersion", "m-v1") or {}).get("status", {}).get("phase")
            == "Rejected"
            else None
        ),
        "the version to be rejected",
    )
    assert condition(version, "Verified")["reason"] == "ReferenceMismatch"
    stalled = eventually(
        lambda: condition(cluster.get("InferenceService", SERVICE), "Stalled"), "the service to say so"
    )
    assert stalled["reason"] == "VersionRejected"
    assert not cluster.list("Pod", {"app.kubernetes.io/component": "server"})


@pytest.fixture
def frozen_router(cluster: Kubernetes) -> Iterator[Callable[[], None]]:
    """Stops the router's process where it is; it goes on in the end."""
    processes: list[str] = []

    def freeze() -> None:
        (pod,) = cluster.list("Pod", {"app.kubernetes.io/component": "router"})
        processes.extend(node.processes(pod["metadata"]["uid"], "envoy"))
        assert processes, "no process of the router was found"
        for process in processes:
            node.run("kill", "-STOP", process)

    yield freeze
    for process in processes:
        try:
            node.run("kill", "-CONT", process)
        except subprocess.CalledProcessError:
            continue  # it has ended


def test_a_router_that_says_nothing_freezes_the_weight_and_is_told(
    cluster: Kubernetes, artifact: Artifact, register: Register, frozen_router: Callable[[], None]
) -> None:
    register(cluster)
    register(cluster, name="m-v2", number=2)
    steps: Any = [{"weight": 20, "hold": "5s"}, {"weight": 50, "hold": "5s"}]
    serving(cluster, steps=steps)
    cluster.apply(service(version="m-v2", steps=steps))
    eventually(lambda: seen(cluster).get("canary", {}).get("weight") == 20, "the first weight")
    frozen_router()

    def unreadable() -> Object | None:
        found = condition(cluster.get("InferenceService", SERVICE), "MetricsAvailable")
        return found if found.get("status") == "False" else None

    told = eventually(unreadable, "the router to be unreadable")
    assert told["reason"] == "RouterUnreadable"
    assert "cannot be read; the weight is frozen until it can" in told["message"]
    assert last_rollout(cluster) is None
