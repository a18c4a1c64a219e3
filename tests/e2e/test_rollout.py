"""Rollouts on a real cluster, under client traffic: what is rolled back, what is promoted, and what clients see."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.kubernetes import PATIENCE, Kubernetes, Object, condition, eventually, is_ready
from tests.e2e.traffic import Traffic

SERVICE = "m"
RATE = 70.0
REQUESTS = 2100
BROKEN_SERVER = (Path(__file__).with_name("broken_server.py")).read_text()

Register = Callable[..., None]


def server(how: str) -> Object:
    """A pod template whose server behaves as broken_server.py says."""
    return {"command": ["python", "-c", BROKEN_SERVER], "args": [how]}


def service(template: Object | None = None, version: str = "m-v1", **rollout: Any) -> Object:
    return {
        "apiVersion": "redstart.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": SERVICE},
        "spec": {
            "model": {"name": "m", "version": version},
            "predictor": {
                "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
                "template": template or {},
            },
            "rollout": {
                "steps": [{"weight": 20, "hold": "5s"}, {"weight": 50, "hold": "5s"}],
                "minSamples": 50,
                **rollout,
            },
            "traffic": {"timeout": "4s"},
        },
    }


def seen(cluster: Kubernetes) -> Object:
    return (cluster.get("InferenceService", SERVICE) or {}).get("status") or {}


def last_rollout(cluster: Kubernetes) -> Object | None:
    return next(iter(seen(cluster).get("rollouts", [])), None)


def serving(cluster: Kubernetes, template: Object | None = None, **rollout: Any) -> None:
    cluster.apply(service(template, **rollout))
    eventually(lambda: is_ready(cluster.get("InferenceService", SERVICE)), "the service to be ready")


def nothing_failed(clients: Object) -> None:
    assert clients["sent"] >= 2000
    assert clients["failed"] == 0, clients["failures"]
    assert clients["status"] == {"200": clients["sent"]}


BOTH_STEPS = [{"weight": 20, "hold": "5s"}, {"weight": 50, "hold": "5s"}]
HALF = [{"weight": 50, "hold": "5s"}]


@pytest.mark.parametrize(
    ("stable", "canary", "rollout", "reason"),
    [
        pytest.param(None, server("fail=1"), {}, "ErrorRate", id="that fails every request"),
        pytest.param(
            server("delay=0.05"),
            server("fail=1"),
            {"steps": HALF},
            "ErrorRate",
            id="that fails every request at 50 percent beside a stable of 50 ms",
        ),
        pytest.param(None, server("fail=0.2"), {}, "ErrorRate", id="that fails a fifth"),
        pytest.param(None, server("hang"), {}, "ErrorRate", id="that hangs"),
        pytest.param(None, server("die"), {}, "CrashLoopBackOff", id="that crashes at its start"),
        # After 150 requests it has had weight for a while; its pod then comes back and dies again.
        pytest.param(
            None,
            server("crash=150"),
            {"steps": [{"weight": 50, "hold": "60s"}]},
            # Whichever is seen first: the requests that die with it, or its container's back-off.
            "ErrorRate|CrashLoopBackOff",
            id="that dies after it had weight",
        ),
        pytest.param(None, server("eat"), {}, "OOMKilled", id="that runs out of memory"),
        pytest.param(
            None, server("unready"), {"deadline": "20s"}, "ProgressDeadlineExceeded", id="that never is ready"
        ),
        pytest.param(
            None,
            {"image": "localhost/redstart-missing:nowhere"},
            {},
            "ImagePullFailed",
            id="whose image is missing",
        ),
    ],
)
def test_a_canary_is_rolled_back(
    cluster: Kubernetes,
    artifact: Object,
    register: Register,
    stable: Object | None,
    canary: Object,
    rollout: Object,
    reason: str,
):
    register(cluster)
    serving(cluster, stable, **rollout)
    before = seen(cluster)["stable"]
    clients = Traffic(cluster, SERVICE, artifact["rows"])
    clients.start(rate=RATE, requests=REQUESTS)

    cluster.apply(service(canary, **rollout))
    # A pull is tried again for two minutes before it counts as a failure.
    patience = 240.0 if reason == "ImagePullFailed" else PATIENCE
    ended = eventually(lambda: last_rollout(cluster), "the rollout to end", patience=patience)

    assert ended["result"] == "RolledBack", ended["message"]
    assert ended["reason"] in reason.split("|"), ended["message"]
    status = eventually(
        lambda: found if "canary" not in (found := seen(cluster)) else None, "the canary to be gone"
    )
    assert status["stable"]["revision"] == before["revision"]
    assert [entry["revision"] for entry in status["quarantine"]] == [ended["revision"]]
    if ended["reason"] == "ErrorRate":
        (evidence,) = ended["evidence"]
        assert evidence["verdict"] == "Fail"
        assert evidence["evidence"] >= evidence["needed"]
        assert evidence["canary"] > evidence["stable"] + evidence["allowed"]
    nothing_failed(clients.finish())
    found = cluster.get("InferenceService", SERVICE)
    assert condition(found, "Ready")["status"] == "True"
    stalled = condition(found, "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "CanaryRolledBack")
    assert seen(cluster)["phase"] == "RolledBack"
    assert any(event["reason"] == "RolledBack" for event in cluster.events(SERVICE))
    gone = {"redstart.dev/revision": ended["revision"]}
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        eventually(lambda kind=kind: not cluster.list(kind, gone), f"the canary's {kind} to be gone")


def test_a_healthy_canary_is_promoted_with_exact_weights_and_no_pod_restarts(
    cluster: Kubernetes, artifact: Object, register: Register
):
    register(cluster)
    register(cluster, name="m-v2", number=2)
    one_step = {"steps": [{"weight": 30, "hold": "10s"}]}
    serving(cluster, **one_step)
    old = pods_of(cluster, seen(cluster)["stable"]["revision"])
    clients = Traffic(cluster, SERVICE, artifact["rows"])
    clients.start(rate=100, requests=4000)
    cluster.apply(service(version="m-v2", **one_step))
    weighted = eventually(
        lambda: found if (found := seen(cluster)).get("canary", {}).get("weight") == 30 else None,
        "weight 30 in force",
    )
    new = pods_of(cluster, weighted["canary"]["revision"])

    ended = eventually(lambda: last_rollout(cluster), "the rollout to end")
    assert (ended["result"], ended["reason"]) == ("Promoted", "Passed")
    eventually(lambda: seen(cluster)["phase"] == "Serving", "the rollout to be over")
    stable = seen(cluster)["stable"]
    assert (stable["version"], stable["revision"]) == ("m-v2", ended["revision"])
    seen_by_clients = clients.finish()
    nothing_failed(seen_by_clients)
    assert set(seen_by_clients["versions"]) <= {"m-v1", "m-v2"}

    (evidence,) = ended["evidence"]
    arms = first_attempts(evidence["message"])
    assert abs(arms["canary"] - 0.3 * sum(arms.values())) <= 3 * math.sqrt(sum(arms.values()) * 0.3 * 0.7)
    restarts = {
        status["restartCount"]
        for pod in cluster.list("Pod", {"redstart.dev/revision": stable["revision"]})
        for status in [*pod["status"]["containerStatuses"], *pod["status"]["initContainerStatuses"]]
    }
    assert restarts == {0}
    assert new <= pods_of(cluster, stable["revision"])
    assert old.isdisjoint(new)
    eventually(lambda: seen(cluster)["stable"].get("loadedDigest") == artifact["digest"], "the loaded digest")


def received(cluster: Kubernetes) -> dict[str, int]:
    """First attempts that the pods of each version have got so far, as their sidecars count them."""
    found: Counter[str] = Counter()
    for pod in cluster.list("Pod", {"app.kubernetes.io/component": "server"}):
        answer = cluster.pod(pod["metadata"]["name"], 9102, "/snapshot")
        if answer.is_success:
            snapshot = answer.json()
            found[snapshot["version"]] += snapshot["first"]["requests"]
    return found


def pods_of(cluster: Kubernetes, revision: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in cluster.list("Pod", {"redstart.dev/revision": revision})}


def first_attempts(message: str) -> dict[str, int]:
    """Requests of each arm, from "canary 0% (0 of 482), stable 0% (0 of 843)"."""
    canary, stable = (int(part.split(")")[0]) for part in message.split(" of ")[1:3])
    return {"canary": canary, "stable": stable}


def test_rows_that_no_version_can_take_roll_nothing_back(
    cluster: Kubernetes, artifact: Object, register: Register
):
    register(cluster)
    serving(cluster, server("poison=poison"))
    # Each of them fails on the canary, is asked again on stable, and fails there too.
    rows = [{"poison": 1} if number % 3 == 0 else row for number, row in enumerate(artifact["rows"])]
    clients = Traffic(cluster, SERVICE, rows)
    clients.start(rate=RATE, requests=REQUESTS)
    cluster.apply(service({**server("poison=poison"), "env": [{"name": "A", "value": "new"}]}))
    unhealthy = eventually(
        lambda: condition(cluster.get("InferenceService", SERVICE), "BaselineUnhealthy"), "both arms to fail"
    )
    assert "both arms fail" in unhealthy["message"]
    told = clients.finish()
    assert set(told["status"]) == {"200", "500"}
    assert told["failed"] / told["sent"] == pytest.approx(1 / 3, abs=0.05)
    assert last_rollout(cluster) is None
    assert seen(cluster)["canary"]["weight"] == 20


def test_a_paused_rollout_keeps_its_weight_and_goes_on_when_it_is_resumed(
    cluster: Kubernetes, artifact: Object, register: Register
):
    register(cluster)
    register(cluster, name="m-v2", number=2)
    serving(cluster)
    clients = Traffic(cluster, SERVICE, artifact["rows"])
    clients.start(rate=RATE, requests=4000)
    cluster.apply(service(version="m-v2"))
    eventually(lambda: seen(cluster).get("canary", {}).get("weight") == 20, "the first weight")
    cluster.patch("InferenceService", SERVICE, {"spec": {"rollout": {"paused": True}}})
    paused = eventually(
        lambda: (
            found
            if (found := condition(cluster.get("InferenceService", SERVICE), "Progressing")).get("reason")
            == "Paused"
            else None
        ),
        "the pause to be acted on",
    )
    assert paused["status"] == "False"
    before = received(cluster)
    arms = eventually(
        lambda: (
            found if sum((found := Counter(received(cluster)) - Counter(before)).values()) > 1000 else None
        ),
        "traffic while it is paused",
    )
    # Counted by the pods themselves: no router and no operator says so.
    asked = sum(arms.values())
    assert abs(arms["m-v2"] - 0.2 * asked) <= 3 * math.sqrt(asked * 0.2 * 0.8)
    assert seen(cluster)["canary"]["weight"] == 20
    cluster.patch("InferenceService", SERVICE, {"spec": {"rollout": {"paused": False}}})
    ended = eventually(lambda: last_rollout(cluster), "the rollout to end")
    assert ended["result"] == "Promoted"


def test_a_spec_that_goes_back_ends_the_rollout_without_quarantine(
    cluster: Kubernetes, artifact: Object, register: Register
):
    register(cluster)
    register(cluster, name="m-v2", number=2)
    serving(cluster)
    cluster.apply(service(version="m-v2"))
    eventually(lambda: seen(cluster).get("canary", {}).get("weight") == 20, "the first weight")
    cluster.apply(service(version="m-v1"))
    ended = eventually(lambda: last_rollout(cluster), "the rollout to end")
    assert (ended["result"], seen(cluster)["quarantine"]) == ("Superseded", [])
    eventually(lambda: seen(cluster)["phase"] == "Serving", "the canary to be gone")
    assert seen(cluster)["stable"]["version"] == "m-v1"


def test_a_deleted_service_leaves_nothing_behind(cluster: Kubernetes, artifact: Object, register: Register):
    register(cluster)
    serving(cluster)
    cluster.apply(service({"env": [{"name": "A", "value": "new"}]}))
    eventually(lambda: seen(cluster).get("canary"), "a canary beside stable")
    cluster.delete("InferenceService", SERVICE)
    ours = {"redstart.dev/inference-service": SERVICE}
    for kind in (
        "Deployment",
        "ReplicaSet",
        "Service",
        "ConfigMap",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "Pod",
    ):
        eventually(lambda kind=kind: not cluster.list(kind, ours), f"every {kind} to be gone")
    assert is_ready(cluster.get("ModelVersion", "m-v1"))


QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-more"},
    "spec": {"hard": {"pods": "2"}},
}


@pytest.mark.parametrize(
    ("quota", "cpu", "reason", "sentence"),
    [
        pytest.param(QUOTA, "60m", "FailedCreate", "exceeded quota: no-more", id="that a quota refuses"),
        pytest.param(None, "900", "Unschedulable", "Insufficient cpu", id="that no node has room for"),
    ],
)
def test_a_canary_waits_and_names_it(
    cluster: Kubernetes, register: Register, quota: Object | None, cpu: str, reason: str, sentence: str
):
    register(cluster)
    serving(cluster)
    if quota is not None:
        cluster.apply(quota)
    wanted = service()
    wanted["spec"]["predictor"]["resources"]["requests"]["cpu"] = cpu
    cluster.apply(wanted)

    def told() -> Object | None:
        found = condition(cluster.get("InferenceService", SERVICE), "PodsBlocked")
        return found if found.get("reason") == reason else None

    blocked = eventually(told, f"PodsBlocked with {reason}")
    assert sentence in blocked["message"]
    assert is_ready(cluster.get("InferenceService", SERVICE))
    assert seen(cluster)["phase"] == "Canary"
    assert seen(cluster)["quarantine"] == []
    if quota is None:
        return
    cluster.delete("ResourceQuota", "no-more")
    eventually(lambda: seen(cluster).get("canary", {}).get("weight") == 20, "the rollout to go on")
