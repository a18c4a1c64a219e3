"""The running example as its README says: the files of manifests/samples, applied as they are."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

from tests.cluster.programs import program
from tests.e2e.kubernetes import KUBECONFIG, Kubernetes, Object, eventually, is_ready
from tests.e2e.traffic import FOREVER, Traffic
from tests.e2e.training import TRAINING, settled

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"
NAME = "machine-failure"
NOT_SENT = {"recorded_at", "machine_id", "machine_failure"}


def readings() -> list[Object]:
    """Rows of the second month as clients send them: without the time, the machine and what is to be predicted."""
    with (SAMPLES / "readings-2026-02.csv").open() as file:
        return [
            {
                name: value if name == "product_type" else float(value)
                for name, value in row.items()
                if name not in NOT_SENT and value
            }
            for row in list(csv.DictReader(file))[:200]
        ]


def seen(cluster: Kubernetes) -> Object:
    return (cluster.get("InferenceService", NAME) or {}).get("status") or {}


def test_the_samples_train_serve_and_take_the_next_month_by_canary(cluster: Kubernetes) -> None:
    command = [str(program("kubectl")), f"--kubeconfig={KUBECONFIG}", f"--namespace={cluster.namespace}"]
    subprocess.run([*command, "apply", "-k", str(SAMPLES)], check=True, capture_output=True)
    assert settled(cluster, NAME)["status"]["phase"] == "Succeeded"
    eventually(lambda: is_ready(cluster.get("InferenceService", NAME)), "the service to be ready")
    clients = Traffic(cluster, NAME, readings())
    clients.start(rate=60, requests=FOREVER)

    source = {"uri": "configmap://readings-2026-02/readings.csv"}
    first = {"uri": "configmap://readings-2026-01/readings.csv"}
    cluster.patch("TrainingJob", NAME, {"spec": {"data": {"sources": [first, source]}}})
    second = eventually(
        lambda: found if (found := seen(cluster).get("canary")) else None, "the canary", patience=TRAINING
    )
    assert second["version"] == f"{NAME}-v2"
    ended = eventually(
        lambda: next(iter(seen(cluster).get("rollouts", [])), None), "the rollout to end", patience=TRAINING
    )
    assert (ended["result"], ended["to"]) == ("Promoted", f"{NAME}-v2"), ended["message"]
    eventually(lambda: seen(cluster)["phase"] == "Serving", "the rollout to be over")
    told = clients.stop()
    assert told["failed"] == 0, told["failures"]
    assert set(told["status"]) == {"200"}
    assert set(told["versions"]) == {f"{NAME}-v1", f"{NAME}-v2"}
