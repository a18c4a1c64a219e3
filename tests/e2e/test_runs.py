"""The life of runs and versions on a real cluster: known inputs, gates, suspension, deletion, damaged artifacts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.datasets import diabetes
from tests.e2e.inventory import inventory
from tests.e2e.kubernetes import Kubernetes, Object, condition, eventually, is_ready
from tests.e2e.serving import inference_service, predict, serve
from tests.e2e.store import BUCKET, Store
from tests.e2e.training import API, SECRET, TRAINING, Artifact, config_map, settled, train, training_job
from tests.e2e.volumes import claim

SERVER = {"app.kubernetes.io/component": "server"}


def ridge(store: Store, folder: str, **spec: Any) -> Object:
    """Trains on the diabetes data of ConfigMap "rows" into that folder of the store."""
    output = {"uri": store.uri(folder), "secretRef": SECRET}
    return training_job("m", diabetes(), "configmap://rows/all.csv", output, estimator="Ridge", **spec)


def given(cluster: Kubernetes, store: Store) -> None:
    """What a user has before anything of ours."""
    cluster.apply(store.secret(), config_map("rows", all=diabetes().csv()))


def ready_version(cluster: Kubernetes, name: str) -> Object:
    def look() -> Object | None:
        found = cluster.get("ModelVersion", name)
        return found if is_ready(found) else None

    return eventually(look, f"ModelVersion {name} is ready")


def names(cluster: Kubernetes, kind: str) -> list[str]:
    return sorted(obj["metadata"]["name"] for obj in cluster.list(kind))


def test_known_inputs_are_not_trained_again(cluster: Kubernetes, store: Store) -> None:
    given(cluster, store)
    folder = cluster.namespace
    first = train(cluster, ridge(store, folder))
    files = store.list(folder)

    cluster.apply(ridge(store, folder))
    unchanged = settled(cluster, "m")
    assert unchanged["metadata"]["generation"] == first["metadata"]["generation"]

    cluster.patch("TrainingJob", "m", {"metadata": {"annotations": {"redstart.dev/train": "please"}}})
    second = eventually(lambda: run(cluster, 2), "the second run has ended", patience=TRAINING)
    assert (second["result"], second["inputDigest"]) == (
        "SameInputs",
        first["status"]["run"]["inputDigest"],
    )
    assert names(cluster, "ModelVersion") == ["m-v1"]
    assert store.list(folder) == files

    cluster.patch("TrainingJob", "m", {"spec": {"algorithm": {"parameters": {"alpha": 3.0}}}})
    third = eventually(lambda: run(cluster, 3), "the third run has ended", patience=TRAINING)
    assert third["result"] == "Succeeded"
    assert names(cluster, "ModelVersion") == ["m-v1", "m-v2"]
    assert ready_version(cluster, "m-v2")["spec"]["lineage"]["parent"] == "m-v1"
    assert f"{folder}/m/numbers/2" in store.list(folder)


def run(cluster: Kubernetes, number: int) -> Object | None:
    """The TrainingJob's run of that number, once it has ended."""
    found: Object = ((cluster.get("TrainingJob", "m") or {}).get("status") or {}).get("run", {})
    return found if found.get("number") == number and found.get("finishedAt") else None


def test_deletion_leaves_nothing_behind_and_the_store_gives_the_version_back(
    cluster: Kubernetes, store: Store
) -> None:
    given(cluster, store)
    before = inventory(cluster)
    folder = cluster.namespace
    first = train(cluster, ridge(store, folder))
    version = ready_version(cluster, "m-v1")
    files = store.list(folder)
    serve(cluster, "m")

    cluster.delete("TrainingJob", "m")
    of_run = {"redstart.dev/training-job": "m"}
    eventually(
        lambda: not any(cluster.list(kind, of_run) for kind in ("Job", "Pod", "ConfigMap")),
        "Job, pod and ConfigMap of the run are gone",
    )
    assert is_ready(cluster.get("ModelVersion", "m-v1"))
    assert len(predict(cluster, "m", diabetes().requests[:3])["prediction"]) == 3

    cluster.delete("InferenceService", "m")
    cluster.delete("ModelVersion", "m-v1")
    eventually(lambda: inventory(cluster) == before, f"nothing is left but {sorted(before)}")

    again = train(cluster, ridge(store, folder))
    assert again["status"]["run"]["result"] == "SameInputs"
    assert again["status"]["run"]["inputDigest"] == first["status"]["run"]["inputDigest"]
    adopted = ready_version(cluster, "m-v1")
    for field in ("artifact", "metrics", "inputs", "outputs", "number"):
        assert adopted["spec"][field] == version["spec"][field]
    assert store.list(folder) == files


def test_a_version_that_fails_its_gate_is_not_served_until_the_gate_is_lowered(
    cluster: Kubernetes, store: Store
) -> None:
    given(cluster, store)
    cluster.apply(ridge(store, cluster.namespace, gates=[{"metric": "r2", "atLeast": 0.99}]))
    cluster.apply(inference_service("m", model="m", version="m-v1"))
    rejected = settled(cluster, "m")
    value = rejected["status"]["metrics"]["r2"]
    assert rejected["status"]["phase"] == "Rejected"
    told = f"r2 {value:.4g} < 0.99"
    assert told in condition(rejected, "Stalled")["message"]

    def refused() -> Object:
        stalled = condition(cluster.get("InferenceService", "m"), "Stalled")
        return stalled if stalled.get("reason") == "VersionRejected" else {}

    assert told in eventually(refused, "the service refuses the version")["message"]
    version = cluster.get("ModelVersion", "m-v1") or {}
    assert version["status"]["phase"] == "Rejected"
    assert told in condition(version, "GatesPassed")["message"]
    cluster.apply(inference_service("m", model="m"))
    eventually(lambda: followed(cluster), "the service looks for another version")
    assert not cluster.list("Pod", SERVER)

    cluster.patch("TrainingJob", "m", {"spec": {"gates": [{"metric": "r2", "atLeast": 0.1}]}})
    second = eventually(lambda: run(cluster, 2), "the gate is judged anew", patience=TRAINING)
    assert second["result"] == "SameInputs"
    ready_version(cluster, "m-v1")
    eventually(lambda: is_ready(cluster.get("InferenceService", "m")), "the service is ready")


def followed(cluster: Kubernetes) -> bool:
    """Whether the service has seen that it is to follow its model, and found nothing to serve."""
    found = cluster.get("InferenceService", "m") or {}
    ready = condition(found, "Ready")
    return bool(
        ready.get("observedGeneration") == found["metadata"]["generation"]
        and ready["status"] == "False"
        and condition(found, "Stalled").get("status") != "True"
    )


WAITS_THE_FIRST_TIME = """
import http.server, os, runpy, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
try:
    os.mkdir("/redstart/volumes/models/seen")
except FileExistsError:
    runpy.run_module("redstart.trainer", run_name="__main__")
class Progress(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"percent": 40, "message": "waiting"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("", 9105), Progress).serve_forever()
"""


def test_a_run_is_suspended_and_resumed(cluster: Kubernetes, store: Store) -> None:
    given(cluster, store)
    cluster.apply(claim("models"))
    job = training_job(
        "m", diabetes(), "configmap://rows/all.csv", {"uri": "pvc://models"}, estimator="Ridge", suspend=True
    )
    job["spec"]["template"]["command"] = ["python", "-c", WAITS_THE_FIRST_TIME]
    cluster.apply(job)
    eventually(lambda: phase(cluster) == "Suspended", "the job is suspended before it has begun")
    assert not cluster.list("Job")

    cluster.patch("TrainingJob", "m", {"spec": {"suspend": False}})
    progress = eventually(lambda: status(cluster).get("progress"), "progress is told")
    assert (phase(cluster), progress) == ("Running", {"percent": 40, "message": "waiting"})

    cluster.patch("TrainingJob", "m", {"spec": {"suspend": True}})
    eventually(lambda: phase(cluster) == "Suspended" and not cluster.list("Pod"), "the pod is gone")
    assert "run 1 is suspended" in condition(cluster.get("TrainingJob", "m"), "Suspended")["message"]

    cluster.patch("TrainingJob", "m", {"spec": {"suspend": False}})
    ended = settled(cluster, "m")
    assert (ended["status"]["phase"], ended["status"]["run"]["number"]) == ("Succeeded", 1)
    ready_version(cluster, "m-v1")


def status(cluster: Kubernetes) -> Object:
    found: Object = (cluster.get("TrainingJob", "m") or {}).get("status") or {}
    return found


def phase(cluster: Kubernetes) -> str | None:
    return status(cluster).get("phase")


def another_byte(content: bytes) -> bytes:
    """The same length, one bit of the middle changed."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damaged", ["model.onnx", "manifest.json", "reference.json"])
def test_an_artifact_with_a_changed_byte_is_never_served(
    cluster: Kubernetes, store: Store, artifact: Artifact, damaged: str
) -> None:
    folder = artifact["uri"].removeprefix(f"s3://{BUCKET}/")
    for path in store.list(folder):
        content = store.get(path)
        name = path.rpartition("/")[2]
        store.put(f"{cluster.namespace}/{name}", another_byte(content) if name == damaged else content)
    made = {key: artifact[key] for key in ("digest", "format")}
    cluster.apply(
        store.secret(),
        {
            "apiVersion": API,
            "kind": "ModelVersion",
            "metadata": {"name": "m-v1"},
            "spec": {
                "model": "m",
                "number": 1,
                "artifact": {**made, "uri": store.uri(cluster.namespace), "secretRef": SECRET},
            },
        },
        inference_service("m", model="m", version="m-v1"),
    )

    def refused() -> Object:
        found = cluster.get("InferenceService", "m")
        return condition(found, "Stalled") if condition(found, "Stalled").get("status") == "True" else {}

    told = eventually(refused, "the service refuses the version")
    assert told["reason"] == "VersionRejected"
    version = cluster.get("ModelVersion", "m-v1") or {}
    assert (version["status"]["phase"], condition(version, "Verified")["reason"]) == (
        "Rejected",
        "DigestMismatch",
    )
    assert damaged in condition(version, "Verified")["message"]
    assert damaged in told["message"]
    assert not cluster.list("Pod", SERVER)
