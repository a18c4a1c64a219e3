import json
from collections.abc import Callable
from typing import Any

from tests.unit.routing.plans import make_canary_plan, make_plan

from redstart.routing import pod
from redstart.routing.envoy import FOLDER, MAX_CONNECTION_SECONDS, files

SELECTOR = {"redstart.dev/inference-service": "model", "app.kubernetes.io/component": "router"}
LABELS = SELECTOR | {"app.kubernetes.io/managed-by": "redstart"}


def deployment(**more: Any) -> dict[str, Any]:
    plan = make_canary_plan(**more)
    needs = {"limits": {"memory": "256Mi"}}
    return pod.deployment(
        plan, LABELS, SELECTOR, image="envoyproxy/envoy:v1.40.0", resources=needs, replicas=2
    )


def test_children(golden: Callable[[str, str], None]) -> None:
    plan = make_plan()
    children = {
        "deployment": deployment(),
        "service": pod.service(plan, LABELS, SELECTOR),
        "network-policy": pod.network_policy(plan, LABELS, SELECTOR, operator_namespace="redstart-system"),
        "pod-disruption-budget": pod.pod_disruption_budget(plan, LABELS, SELECTOR),
    }
    for name, child in children.items():
        golden(f"children/{name}.json", json.dumps(child, indent=1) + "\n")


def test_the_config_map_holds_the_files_and_the_decision_in_one_write() -> None:
    plan = make_canary_plan()
    written = pod.config_map(plan, LABELS, {"redstart.dev/traffic": "{}"})
    assert written["data"] == files(plan)
    assert written["metadata"]["annotations"] == {"redstart.dev/traffic": "{}"}
    assert (
        written["metadata"]["name"]
        == deployment()["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"]
    )


def test_a_change_of_weight_restarts_no_router() -> None:
    assert deployment(number=12, weight=5) == deployment(number=13, weight=50)


def test_a_pod_outlives_the_longest_request_on_a_connection_that_it_had_when_it_left() -> None:
    for timeout in (0.5, 10.0, 600.0):
        spec = deployment(timeout_seconds=timeout)["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert waits >= timeout + MAX_CONNECTION_SECONDS + pod.ENDPOINT_REMOVAL_SECONDS
        assert spec["terminationGracePeriodSeconds"] > waits


def test_the_files_are_a_folder_that_the_kubelet_can_swap() -> None:
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    assert mount["mountPath"] == FOLDER
    assert "subPath" not in mount, "the kubelet never updates a subPath"
