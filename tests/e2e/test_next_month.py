"""Further months of a TrainingJob whose files differ from those before, under clients that notice nothing of it."""

from __future__ import annotations

import pytest

from tests.e2e.datasets import Dataset, breast_cancer
from tests.e2e.kubernetes import Kubernetes, Object, eventually, is_ready
from tests.e2e.serving import inference_service
from tests.e2e.store import Store
from tests.e2e.traffic import FOREVER, Traffic
from tests.e2e.training import SECRET, TRAINING, config_map, training_job

COLUMNS = ["mean radius", "mean texture", "mean area", "mean smoothness"]
GONE = "mean texture"
ROLLOUT = {
    "steps": [{"weight": 50, "hold": "5s"}],
    "analysis": {"errorRate": {"maxIncrease": 0.05}},
    "minSamples": 50,
}


def month(*columns: str, start: int, diagnosis: dict[str, int] | None = None) -> Dataset:
    """Other rows each month, with these columns in this order."""
    data = breast_cancer()
    rows = data.rows.select(*columns, data.target)[start : start + 400]
    if diagnosis is not None:
        rows = rows.with_columns(rows[data.target].replace_strict(diagnosis).alias(data.target))
    return Dataset(rows, data.target, data.task)


def rolled_out(cluster: Kubernetes, version: str) -> Object:
    """How the rollout of a version ended."""

    def look() -> Object | None:
        status = (cluster.get("InferenceService", "m") or {}).get("status") or {}
        return next((entry for entry in status.get("rollouts", []) if entry["to"] == version), None)

    return eventually(look, f"the end of the rollout of {version}", patience=TRAINING)


def answered(cluster: Kubernetes, version: str, body: Object) -> Object:
    """What a version answers as soon as the router asks it: a promotion is told before it is in force."""

    def look() -> Object | None:
        found: Object = cluster.service("POST", "m", "/predict", body).json()
        return found if found["version"] == version else None

    return eventually(look, f"an answer of {version}")


def ignored(cluster: Kubernetes, version: str) -> int:
    """Rows that the pods of a version have counted with the input that is gone."""
    pods = cluster.list("Pod", {"redstart.dev/version": version})
    snapshots = [cluster.pod(pod["metadata"]["name"], 9102, "/snapshot").json() for pod in pods]
    return sum(snapshot["ignoredInputs"].get(GONE, 0) for snapshot in snapshots)


@pytest.mark.parametrize("retries", [True, False], ids=["with retries", "without retries"])
def test_clients_notice_nothing_of_the_next_month(cluster: Kubernetes, store: Store, retries: bool) -> None:
    months = {
        "first": month(*COLUMNS, start=0),
        "permuted": month(*reversed(COLUMNS), start=50),
        "narrow": month(*(name for name in COLUMNS if name != GONE), start=100),
        "renamed": month(*COLUMNS, start=150, diagnosis={"malignant": 0, "benign": 1}),
    }
    files = {name: data.csv() for name, data in months.items()}
    cluster.apply(store.secret(), config_map("rows", **files))
    output = {"uri": store.uri(cluster.namespace), "secretRef": SECRET}

    def train(name: str) -> None:
        source = f"configmap://rows/{name}.csv"
        cluster.apply(training_job("m", months[name], source, output, estimator="LogisticRegression"))

    train("first")
    made = inference_service("m", model="m")
    made["spec"] |= {"rollout": ROLLOUT, "traffic": {"timeout": "4s", "retryOnStable": retries}}
    cluster.apply(made)
    eventually(
        lambda: is_ready(cluster.get("InferenceService", "m")), "the service to be ready", patience=TRAINING
    )
    rows = months["first"].requests
    clients = Traffic(cluster, "m", rows)
    clients.start(rate=50, requests=FOREVER)

    train("permuted")
    assert rolled_out(cluster, "m-v2")["result"] == "Promoted"
    by_name = answered(cluster, "m-v2", {"rows": rows[:50]})
    lists = [[row[name] for name in COLUMNS] for row in rows[:50]]
    assert answered(cluster, "m-v2", {"instances": lists})["probabilities"] == by_name["probabilities"]

    train("narrow")
    ended = rolled_out(cluster, "m-v3")
    assert ended["result"] == "Promoted"
    assert f"m-v3 after m-v2: {GONE} is ignored" in ended["message"]
    eventually(lambda: ignored(cluster, "m-v3") > 0, "the rows that still hold it are counted")

    train("renamed")
    ended = rolled_out(cluster, "m-v4")
    assert (ended["result"], ended["reason"]) == ("RolledBack", "IncompatibleOutputs")
    assert "labels were text ('benign', 'malignant') and are whole numbers (0, 1)" in ended["message"]

    seen = clients.stop()
    assert seen["failed"] == 0, seen["failures"]
    assert seen["status"] == {"200": seen["answered"]}
    assert seen["versions"].keys() == {"m-v1", "m-v2", "m-v3"}
