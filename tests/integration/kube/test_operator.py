"""Whole operator processes against a real API server: what they write, and when they must not."""

import signal
from collections import Counter
from pathlib import Path

import pytest
import yaml

from redstart.kube.kinds import CONFIG_MAP, EVENT, LEASE, MODEL_VERSION, Object
from redstart.kube.operator import LEASE_NAME
from tests.cluster.control_plane import ControlPlane
from tests.integration.api import CRDS, Api, eventually, model_version
from tests.integration.kube.conftest import Process, Start


def echoed(api: Api, namespace: str, name: str) -> bool:
    """Whether the operator has done all that it does for a ModelVersion."""
    child = api.get(CONFIG_MAP, namespace, f"{name}-echo")
    version = api.get(MODEL_VERSION, namespace, name)
    return (
        child is not None
        and version is not None
        and child["data"]["number"] == str(version["spec"]["number"])
        and version["status"].get("phase") == "Ready"
    )


def writes(control_plane: ControlPlane, user: str) -> list[str]:
    """What a user wrote, but for Leases."""
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in control_plane.requests(user=user)
        if event["objectRef"]["resource"] != "leases"
    ]


def holder(api: Api, namespace: str) -> str:
    lease = api.get(LEASE, namespace, LEASE_NAME)
    return str(lease["spec"]["holderIdentity"]) if lease else ""


def lists_of(process: Process) -> float:
    return process.metrics().get('redstart_api_requests_total{code="200",kind="configmaps",verb="list"}', 0.0)


def test_an_operator_does_its_work_and_then_writes_nothing(
    ready: Start, api: Api, namespace: str, control_plane: ControlPlane
) -> None:
    process = ready("operator-idle", resyncInterval="1s")
    names = [f"model-v{number}" for number in range(1, 4)]
    for name in names:
        api.create(model_version(namespace, name))
    eventually(lambda: all(echoed(api, namespace, name) for name in names))
    eventually(lambda: len(api.list(EVENT, namespace)) == 3)
    before = writes(control_plane, "operator-idle")
    listed = lists_of(process)
    eventually(lambda: lists_of(process) >= listed + 5)
    assert writes(control_plane, "operator-idle") == before
    # One create-apply and one status each, and one event.
    assert Counter(write.split()[0] for write in before) == {"patch": 6, "create": 3}
    assert process.metrics()['redstart_reconcile_total{kind="ModelVersion",result="ok"}'] >= 3


def test_a_next_process_finds_nothing_to_write(
    ready: Start, api: Api, namespace: str, control_plane: ControlPlane
) -> None:
    first = ready("operator-first")
    api.create(model_version(namespace, "model-v1"))
    eventually(lambda: echoed(api, namespace, "model-v1") and api.list(EVENT, namespace))
    first.send(signal.SIGKILL)
    first.wait()
    second = ready("operator-second")
    eventually(
        lambda: second.metrics().get('redstart_reconcile_total{kind="ModelVersion",result="ok"}', 0) >= 1
    )
    refused = [
        event
        for event in control_plane.requests(user="operator-second")
        if event["objectRef"]["resource"] == "events" and event["responseStatus"]["code"] == 409
    ]
    # The event is offered again under the same name, and the server has it already.
    assert len(writes(control_plane, "operator-second")) == len(refused) == 1


@pytest.mark.parametrize("change", ["changed", "deleted", "taken from us"])
def test_a_child_is_put_right_when_it_is(ready: Start, api: Api, namespace: str, change: str) -> None:
    ready()
    api.create(model_version(namespace, "model-v1"))
    eventually(lambda: echoed(api, namespace, "model-v1"))
    if change == "changed":
        api.patch(CONFIG_MAP, namespace, "model-v1-echo", {"data": {"number": "999"}})
    elif change == "deleted":
        api.delete(CONFIG_MAP, namespace, "model-v1-echo")
    else:
        label = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}}
        api.patch(CONFIG_MAP, namespace, "model-v1-echo", label)

    def right() -> bool:
        child = api.get(CONFIG_MAP, namespace, "model-v1-echo")
        return child is not None and (child["data"]["number"], child["metadata"]["labels"]) == (
            "1",
            {"app.kubernetes.io/managed-by": "redstart"},
        )

    eventually(right)


def test_a_stop_finishes_the_reconcile_and_releases_the_lease(
    ready: Start, api: Api, namespace: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    process = ready(environment={"ECHO_GATE": str(gate)})
    api.create(model_version(namespace, "slow-v1"))
    eventually(lambda: api.get(CONFIG_MAP, namespace, "slow-v1-echo"))
    process.send(signal.SIGTERM)
    eventually(lambda: "stopping" in process.log.read_text())
    assert not echoed(api, namespace, "slow-v1")
    gate.touch()
    assert process.wait() == 0, process.log.read_text()
    assert echoed(api, namespace, "slow-v1")
    assert holder(api, namespace) == ""
    assert "Traceback" not in process.log.read_text()


def test_a_standby_is_ready_and_takes_over_from_a_killed_leader(
    ready: Start, api: Api, namespace: str, control_plane: ControlPlane
) -> None:
    first = ready("operator-a")
    eventually(first.leads)
    second = ready("operator-b")
    assert second.probe("/healthz")[0] == 200
    api.create(model_version(namespace, "model-v1"))
    eventually(lambda: echoed(api, namespace, "model-v1"))
    assert not second.leads()
    assert writes(control_plane, "operator-b") == []
    first.send(signal.SIGKILL)
    api.patch(MODEL_VERSION, namespace, "model-v1", {"metadata": {"labels": {"changed": "yes"}}})
    eventually(second.leads)
    api.create(model_version(namespace, "model-v2"))
    eventually(lambda: echoed(api, namespace, "model-v2"))


def test_a_frozen_leader_that_wakes_up_writes_nothing_and_ends(
    ready: Start, api: Api, namespace: str, control_plane: ControlPlane, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    first = ready("operator-frozen", environment={"ECHO_GATE": str(gate)})
    eventually(first.leads)
    second = ready("operator-awake", environment={"ECHO_GATE": str(gate)})
    # Frozen in the middle of a reconcile: its next step is a write.
    api.create(model_version(namespace, "slow-v1"))
    eventually(lambda: api.get(CONFIG_MAP, namespace, "slow-v1-echo"))
    first.send(signal.SIGSTOP)
    eventually(second.leads)
    gate.touch()
    eventually(lambda: echoed(api, namespace, "slow-v1"))
    api.create(model_version(namespace, "model-v2"))
    eventually(lambda: echoed(api, namespace, "model-v2"))
    # What the former leader would put right at once, if it might still write.
    api.delete(MODEL_VERSION, namespace, "slow-v1")
    api.create(model_version(namespace, "slow-v1"))
    before = writes(control_plane, "operator-frozen")
    first.send(signal.SIGCONT)
    assert first.wait() == 1
    assert writes(control_plane, "operator-frozen") == before
    assert "does not hold the Lease" in first.log.read_text()
    assert second.leads()


def test_rights_in_one_namespace_are_enough(
    ready: Start, api: Api, namespace: str, control_plane: ControlPlane
) -> None:
    grant(api, namespace, "operator-limited")
    elsewhere = api.new_namespace()
    api.create(model_version(elsewhere, "model-v1"))
    process = ready("operator-limited", groups=())
    api.create(model_version(namespace, "model-v1"))
    eventually(lambda: echoed(api, namespace, "model-v1"))
    assert api.get(CONFIG_MAP, elsewhere, "model-v1-echo") is None
    refused = [
        event["requestURI"]
        for event in control_plane.requests(frozenset({"get", "list", "watch", "create", "patch"}))
        if event["user"]["username"] == "operator-limited" and event["responseStatus"]["code"] == 403
    ]
    assert refused == []
    process.send(signal.SIGTERM)
    assert process.wait() == 0


def test_missing_rights_end_the_process_with_a_sentence(start: Start, namespace: str) -> None:
    process = start("operator-nobody", groups=())
    assert process.wait() == 1
    log = process.log.read_text()
    assert 'User "operator-nobody" cannot list resource' in log
    assert "Traceback" not in log


def test_an_operator_waits_for_its_custom_resources(start: Start, namespace: str, tmp_path: Path) -> None:
    with ControlPlane(tmp_path / "bare") as plane:
        api = Api.of(plane)
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        process = start(plane=plane, watchNamespaces=[])
        eventually(lambda: "modelversions.redstart.dev" in process.probe("/readyz")[1])
        assert process.probe("/healthz")[0] == 200
        for crd in CRDS:
            api.install(crd)
        eventually(process.ready)
        api.create(model_version("default", "model-v1"))
        eventually(lambda: echoed(api, "default", "model-v1"))


def test_changed_settings_are_taken_or_refused_with_the_reason(
    ready: Start, api: Api, namespace: str
) -> None:
    process = ready()
    api.create(model_version(namespace, "model-v1"))
    eventually(lambda: echoed(api, namespace, "model-v1"))
    content = yaml.safe_load(process.settings.read_text())

    process.settings.write_text(yaml.safe_dump(content | {"allowedFormats": ["Pickle"]}))
    eventually(lambda: process.metrics()["redstart_settings_refused"] == 1)
    assert "allowedFormats.0: Input should be 'ONNX', 'Skops' or 'Joblib'" in process.log.read_text()

    process.settings.write_text(yaml.safe_dump(content | {"images": {"runtime": "runtime:2", "router": "r"}}))

    def taken() -> bool:
        child: Object | None = api.get(CONFIG_MAP, namespace, "model-v1-echo")
        return child is not None and child["data"]["runtime"] == "runtime:2"

    eventually(taken)
    assert process.metrics()["redstart_settings_refused"] == 0

    process.settings.write_text(yaml.safe_dump(content | {"workers": 2}))
    assert process.wait() == 0
    assert "workers" in process.log.read_text()


def test_a_mistake_in_the_settings_ends_the_process_with_a_sentence(start: Start) -> None:
    process = start(rollout={"scrapeInterval": "soon"})
    assert process.wait() == 1
    log = process.log.read_text()
    assert "rollout.scrapeInterval" in log
    assert "'soon' is not a duration" in log
    assert "Traceback" not in log


def grant(api: Api, namespace: str, user: str) -> None:
    """The rights that the operator needs, in one namespace."""

    def rule(group: str, resources: str, verbs: str) -> Object:
        return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}

    read, write = "get list watch", "create patch delete"
    rules = [
        rule("redstart.dev", "trainingjobs modelversions inferenceservices", f"{read} create patch"),
        rule("redstart.dev", "trainingjobs/status modelversions/status inferenceservices/status", "patch"),
        rule("redstart.dev", "modelversions/finalizers", "update"),
        rule("", "configmaps services", f"{read} {write}"),
        rule("", "pods", f"{read} patch"),
        rule("", "persistentvolumeclaims", read),
        rule("", "events", "get create patch"),
        rule("apps", "deployments", f"{read} {write}"),
        rule("batch", "jobs", f"{read} {write}"),
        rule("policy", "poddisruptionbudgets", f"{read} {write}"),
        rule("networking.k8s.io", "networkpolicies", f"{read} {write}"),
        rule("coordination.k8s.io", "leases", "get create update"),
    ]
    api.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "operator", "namespace": namespace},
            "rules": rules,
        }
    )
    api.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "operator", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        }
    )
