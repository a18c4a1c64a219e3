"""Server-side apply, status, delete and events against a real API server."""

import asyncio
import copy
from collections import Counter

import pytest

from redstart.kube import errors
from redstart.kube.client import Client
from redstart.kube.cluster import Cluster
from redstart.kube.events import Events
from redstart.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    MODEL_VERSION,
    NETWORK_POLICY,
    POD,
    SERVICE,
    Object,
)
from redstart.kube.store import Store
from tests.cluster.control_plane import ControlPlane
from tests.integration.api import Api, model_version


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster(client: Client, clock: Clock) -> Cluster:
    return Cluster(client, Store(), Events(client, clock))


@pytest.fixture
def restarted(client: Client, clock: Clock) -> Cluster:
    """The same cluster seen by a next process, which has nothing in memory."""
    return Cluster(client, Store(), Events(client, clock))


@pytest.fixture
def owner(api: Api, namespace: str) -> Object:
    return api.create(model_version(namespace, "machine-failure-v1"))


def config_map(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child"}, "data": data}


def deployment() -> Object:
    """With what a server rewrites or fills in: quantities, ports, probes, nulls, empty volumes."""
    labels = {"app.kubernetes.io/name": "child"}
    container = {
        "name": "server",
        "image": "server:1",
        "resources": {"requests": {"cpu": "500m", "memory": "1024Mi"}, "limits": {"cpu": "1000m"}},
        "ports": [{"containerPort": 8080, "name": "http"}],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "lifecycle": None,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "child", "labels": labels, "annotations": {"redstart.dev/plan": "7"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]},
            },
        },
    }


def service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "child"},
        "spec": {
            "selector": {"a": "b"},
            "clusterIP": "None",
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "probe", "port": 81}],
        },
    }


def network_policy() -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "child"},
        "spec": {
            "podSelector": {"matchLabels": {"a": "b"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 8080, "protocol": "TCP"}]}],
        },
    }


def pod_disruption_budget() -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "child"},
        "spec": {"maxUnavailable": "50%", "selector": {"matchLabels": {"a": "b"}}},
    }


class Writes:
    """The writes that the API server got since this was made, in one namespace."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self._control_plane = control_plane
        self._namespace = namespace
        self._before = len(self._all())

    def _all(self) -> list[str]:
        return [
            f"{event['verb']} {event['objectRef']['resource']}"
            for event in self._control_plane.requests()
            if event.get("objectRef", {}).get("namespace") == self._namespace
        ]

    def made(self) -> list[str]:
        return self._all()[self._before :]


@pytest.fixture
def writes(control_plane: ControlPlane, namespace: str, owner: Object) -> Writes:
    return Writes(control_plane, namespace)


@pytest.mark.parametrize(
    "desired",
    [config_map(a="1"), deployment(), service(), network_policy(), pod_disruption_budget()],
    ids=lambda desired: str(desired["kind"]),
)
async def test_what_is_so_already_is_not_written_again(
    cluster: Cluster, client: Client, clock: Clock, owner: Object, writes: Writes, desired: Object
) -> None:
    await cluster.apply(desired, owner=owner)
    await cluster.apply(desired, owner=owner)
    await Cluster(client, Store(), Events(client, clock)).apply(desired, owner=owner)
    assert len(writes.made()) == 1


async def test_the_same_amount_written_otherwise_is_one_write_and_then_none(
    cluster: Cluster, owner: Object, writes: Writes
) -> None:
    desired = deployment()
    await cluster.apply(desired, owner=owner)
    desired["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "0.5"
    first = await cluster.apply(desired, owner=owner)
    again = await cluster.apply(desired, owner=owner)
    assert len(writes.made()) == 2
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("drift", "look"),
    [
        pytest.param(
            {"spec": {"replicas": 5}}, lambda live: live["spec"]["replicas"] == 2, id="a value is changed"
        ),
        pytest.param(
            {"metadata": {"annotations": {"redstart.dev/plan": None}}},
            lambda live: live["metadata"]["annotations"]["redstart.dev/plan"] == "7",
            id="an annotation is removed",
        ),
        pytest.param(
            {"metadata": {"annotations": {"redstart.dev/applied": "forged"}}},
            lambda live: live["metadata"]["annotations"]["redstart.dev/applied"] != "forged",
            id="the hash is changed",
        ),
        pytest.param(
            {"metadata": {"labels": None}},
            lambda live: live["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "redstart",
            id="the labels are removed",
        ),
        pytest.param(
            {"spec": {"template": {"spec": {"volumes": None, "containers": [
                {"name": "server", "image": "server:2"}]}}}},
            lambda live: live["spec"]["template"]["spec"]["containers"][0]["image"] == "server:1"
            and live["spec"]["template"]["spec"]["volumes"][0]["name"] == "tmp",
            id="a list is replaced",
        ),
    ],
)  # fmt: skip
async def test_drift_is_repaired_when(
    restarted: Cluster, cluster: Cluster, api: Api, owner: Object, namespace: str, drift: Object, look: object
) -> None:
    await cluster.apply(deployment(), owner=owner)
    api.patch(DEPLOYMENT, namespace, "child", drift)
    repaired = await restarted.apply(deployment(), owner=owner)
    assert callable(look)
    assert look(repaired)
    assert look(api.get(DEPLOYMENT, namespace, "child"))


async def test_an_entry_added_to_a_list_that_is_one_value_is_drift(
    restarted: Cluster, cluster: Cluster, api: Api, owner: Object, namespace: str
) -> None:
    await cluster.apply(network_policy(), owner=owner)
    opened = [{"from": [{"podSelector": {}}], "ports": [{"port": 8080, "protocol": "TCP"}, {"port": 22}]}]
    api.patch(NETWORK_POLICY, namespace, "child", {"spec": {"ingress": opened}})
    repaired = await restarted.apply(network_policy(), owner=owner)
    assert repaired["spec"]["ingress"] == network_policy()["spec"]["ingress"]


async def test_fields_of_another_manager_stay_and_cause_no_write(
    restarted: Cluster, cluster: Cluster, api: Api, owner: Object, namespace: str, writes: Writes
) -> None:
    await cluster.apply(deployment(), owner=owner)
    sidecar = {"name": "mesh", "image": "mesh:1"}
    theirs: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "child", "namespace": namespace, "annotations": {"mesh.example.com/on": "yes"}},
        "spec": {
            "template": {
                "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}},
                "spec": {
                    "containers": [
                        sidecar,
                        {"name": "server", "env": [{"name": "MESH", "value": "1"}]},
                    ]
                },
            }
        },
    }
    api.apply(theirs, "mesh")
    assert len(writes.made()) == 2
    await restarted.apply(deployment(), owner=owner)
    assert len(writes.made()) == 2

    changed = deployment()
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "server:2"
    live = await restarted.apply(changed, owner=owner)
    containers = {item["name"]: item for item in live["spec"]["template"]["spec"]["containers"]}
    assert containers["mesh"]["image"] == "mesh:1"
    assert containers["server"]["image"] == "server:2"
    assert {"name": "MESH", "value": "1"} in containers["server"]["env"]
    assert live["metadata"]["annotations"]["mesh.example.com/on"] == "yes"


async def test_a_field_that_is_no_longer_desired_goes(cluster: Cluster, owner: Object) -> None:
    await cluster.apply(config_map(a="1", b="2"), owner=owner)
    live = await cluster.apply(config_map(a="1"), owner=owner)
    assert live["data"] == {"a": "1"}


@pytest.mark.parametrize(
    "taken",
    [
        pytest.param({}, id="by a user"),
        pytest.param({"labels": {"app.kubernetes.io/managed-by": "redstart"}}, id="by a user with our label"),
        pytest.param(
            {
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "name": "other",
                        "uid": "11111111-1111-1111-1111-111111111111",
                        "controller": True,
                    }
                ]
            },
            id="by another controller",
        ),
    ],
)
async def test_a_name_that_is_taken_is_left_alone(
    cluster: Cluster, api: Api, owner: Object, namespace: str, writes: Writes, taken: Object
) -> None:
    theirs = config_map(theirs="yes")
    theirs["metadata"] |= {"namespace": namespace, **copy.deepcopy(taken)}
    before = api.create(theirs)
    for _ in range(2):
        with pytest.raises(errors.NotOurs, match=r"ConfigMap .*/child exists already"):
            await cluster.apply(config_map(a="1"), owner=owner)
        with pytest.raises(errors.NotOurs):
            await cluster.ensure_free(config_map(a="1"), owner=owner)
    assert writes.made() == ["create configmaps"]
    assert api.get(CONFIG_MAP, namespace, "child") == before

    api.delete(CONFIG_MAP, namespace, "child")
    await cluster.ensure_free(config_map(a="1"), owner=owner)
    assert (await cluster.apply(config_map(a="1"), owner=owner))["data"] == {"a": "1"}


async def test_the_child_of_a_deleted_and_remade_owner_is_not_adopted(
    cluster: Cluster, api: Api, owner: Object, namespace: str
) -> None:
    await cluster.apply(config_map(a="1"), owner=owner)
    api.delete(MODEL_VERSION, namespace, owner["metadata"]["name"])
    remade = api.create(model_version(namespace, owner["metadata"]["name"]))
    with pytest.raises(errors.NotOurs):
        await cluster.apply(config_map(a="1"), owner=remade)


async def test_a_write_computed_from_an_old_version_is_refused(
    cluster: Cluster, api: Api, owner: Object, namespace: str
) -> None:
    read = await cluster.apply(config_map(plan="1"), owner=owner)
    version = read["metadata"]["resourceVersion"]
    api.patch(CONFIG_MAP, namespace, "child", {"data": {"other": "yes"}})
    with pytest.raises(errors.Conflict):
        await cluster.apply(config_map(plan="2"), owner=owner, resource_version=version)
    live = api.get(CONFIG_MAP, namespace, "child")
    assert live is not None
    assert live["data"] == {"plan": "1", "other": "yes"}


async def test_a_write_to_an_object_that_was_deleted_meanwhile_does_not_make_it_anew(
    cluster: Cluster, api: Api, owner: Object, namespace: str
) -> None:
    await cluster.apply(config_map(plan="1"), owner=owner)
    api.delete(CONFIG_MAP, namespace, "child")
    with pytest.raises(errors.Conflict):
        await cluster.apply(config_map(plan="2"), owner=owner)
    assert api.get(CONFIG_MAP, namespace, "child") is None


async def test_an_object_that_the_server_refuses_is_invalid(cluster: Cluster, owner: Object) -> None:
    desired = deployment()
    desired["spec"]["selector"] = {"matchLabels": {"other": "labels"}}
    with pytest.raises(errors.Invalid, match="selector"):
        await cluster.apply(desired, owner=owner)


def status(**fields: object) -> Object:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Verified",
        "message": "all files are as the manifest says",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    return {"observedGeneration": 1, "phase": "Ready", "conditions": [ready], **fields}


async def test_a_status_is_written_once_and_a_dropped_field_disappears(
    cluster: Cluster, restarted: Cluster, api: Api, owner: Object, namespace: str, writes: Writes
) -> None:
    full = status(
        importance=[{"feature": "torque", "value": 1e-07}, {"feature": "speed", "value": 0.25}],
        verifiedDigest=f"sha256:{'0' * 64}",
        serving=None,
    )
    written = await cluster.patch_status(owner, full)
    assert written is not None
    assert written["status"] == {name: value for name, value in full.items() if value is not None}
    assert await cluster.patch_status(written, full) is written
    read = await restarted.read(MODEL_VERSION, namespace, owner["metadata"]["name"])
    assert read is not None
    await restarted.patch_status(read, full)
    assert writes.made() == ["patch modelversions"]

    await cluster.patch_status(written, status(importance=[{"feature": "torque", "value": 1e-07}]))
    live = api.get(MODEL_VERSION, namespace, owner["metadata"]["name"])
    assert live is not None
    assert live["status"] == status(importance=[{"feature": "torque", "value": 1e-07}])


async def test_a_status_that_somebody_edited_is_put_right(
    cluster: Cluster, api: Api, owner: Object, namespace: str
) -> None:
    await cluster.patch_status(owner, status())
    name = owner["metadata"]["name"]
    path = f"{MODEL_VERSION.path(namespace, name)}/status"
    edited = {"status": {"phase": "Rejected", "conditions": []}}
    api.request("PATCH", path, edited, "application/merge-patch+json")
    read = await cluster.read(MODEL_VERSION, namespace, name)
    assert read is not None
    written = await cluster.patch_status(read, status())
    assert written is not None
    assert written["status"] == status()


async def test_a_status_computed_from_an_old_version_is_refused(
    cluster: Cluster, api: Api, owner: Object, namespace: str
) -> None:
    api.patch(MODEL_VERSION, namespace, owner["metadata"]["name"], {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(errors.Conflict):
        await cluster.patch_status(owner, status())


async def test_the_status_of_a_deleted_object_is_no_error(
    cluster: Cluster, api: Api, owner: Object, namespace: str
) -> None:
    api.delete(MODEL_VERSION, namespace, owner["metadata"]["name"])
    assert await cluster.patch_status(owner, status()) is None


async def test_what_was_written_is_read_back_from_the_cache(
    cluster: Cluster, owner: Object, namespace: str
) -> None:
    await cluster.apply(config_map(a="1"), owner=owner)
    await cluster.apply(config_map(a="2"), owner=owner)
    cached = cluster.get(CONFIG_MAP, namespace, "child")
    assert cached is not None
    assert cached["data"] == {"a": "2"}
    assert cluster.children(CONFIG_MAP, owner) == [cached]
    labels = {"app.kubernetes.io/managed-by": "redstart"}
    assert cluster.list(CONFIG_MAP, namespace, labels) == [cached]
    assert cluster.list(CONFIG_MAP, namespace, labels | {"other": "label"}) == []
    assert cluster.list(CONFIG_MAP, "elsewhere") == []


async def test_create_makes_an_object_once(cluster: Cluster, owner: Object, namespace: str) -> None:
    created = await cluster.create(model_version(namespace, "machine-failure-v2"))
    assert cluster.get(MODEL_VERSION, namespace, "machine-failure-v2") is not None
    with pytest.raises(errors.AlreadyExists):
        await cluster.create(model_version(namespace, "machine-failure-v2"))
    child = await cluster.create(config_map(a="1"), owner=owner)
    assert child["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    assert created["metadata"]["uid"]


async def test_delete_takes_this_very_object_only(
    cluster: Cluster, api: Api, owner: Object, namespace: str
) -> None:
    first = await cluster.apply(config_map(a="1"), owner=owner)
    changed = await cluster.apply(config_map(a="2"), owner=owner)
    with pytest.raises(errors.Conflict):
        await cluster.delete(first, unchanged=True)
    await cluster.delete(changed, unchanged=True)
    assert api.get(CONFIG_MAP, namespace, "child") is None

    theirs = config_map(theirs="yes")
    theirs["metadata"]["namespace"] = namespace
    api.create(theirs)
    await cluster.delete(changed)
    assert api.get(CONFIG_MAP, namespace, "child") is not None


async def test_deleting_what_is_gone_is_no_error(
    cluster: Cluster, api: Api, owner: Object, namespace: str
) -> None:
    child = await cluster.apply(config_map(a="1"), owner=owner)
    api.delete(CONFIG_MAP, namespace, "child")
    await cluster.delete(child)


async def test_annotate_changes_nothing_but_the_annotation(
    cluster: Cluster, api: Api, namespace: str
) -> None:
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "router",
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "redstart"},
            "annotations": {"theirs": "yes"},
        },
        "spec": {"containers": [{"name": "envoy", "image": "envoy"}]},
    }
    before = api.create(pod)
    await cluster.annotate(POD, namespace, "router", {"redstart.dev/plan": "7"})
    after = api.get(POD, namespace, "router")
    assert after is not None
    assert after["metadata"]["annotations"] == {"theirs": "yes", "redstart.dev/plan": "7"}
    assert after["spec"] == before["spec"]
    cached = cluster.get(POD, namespace, "router")
    assert cached is not None
    assert cached["metadata"]["annotations"]["redstart.dev/plan"] == "7"
    await cluster.annotate(POD, namespace, "router", {"redstart.dev/plan": None})
    await cluster.annotate(POD, namespace, "absent", {"redstart.dev/plan": "7"})
    after = api.get(POD, namespace, "router")
    assert after is not None
    assert after["metadata"]["annotations"] == {"theirs": "yes"}


async def test_an_event_is_written_once_and_counted_when_it_comes_again_later(
    cluster: Cluster,
    restarted: Cluster,
    api: Api,
    owner: Object,
    namespace: str,
    clock: Clock,
    writes: Writes,
) -> None:
    for process in (cluster, cluster, restarted, restarted):
        await process.event(owner, "Warning", "CanaryRolledBack", "error rate 21.2 % over 0.1 %")
    await cluster.event(owner, "Normal", "Promoted", "machine-failure-v1 serves")
    assert "patch events" not in writes.made()
    clock.seconds += 601
    await cluster.event(owner, "Warning", "CanaryRolledBack", "error rate 21.2 % over 0.1 %")
    assert writes.made().count("patch events") == 1
    events = {event["reason"]: event for event in api.list(EVENT, namespace)}
    assert Counter({reason: event["count"] for reason, event in events.items()}) == {
        "CanaryRolledBack": 2,
        "Promoted": 1,
    }
    about = events["Promoted"]["involvedObject"]
    assert (about["kind"], about["name"], about["uid"]) == (
        "ModelVersion",
        owner["metadata"]["name"],
        owner["metadata"]["uid"],
    )


async def test_an_event_that_cannot_be_written_fails_nothing(cluster: Cluster, owner: Object) -> None:
    elsewhere = {**owner, "metadata": {**owner["metadata"], "namespace": "absent"}}
    await cluster.event(elsewhere, "Normal", "Promoted", "machine-failure-v1 serves")


async def test_a_write_without_an_answer_is_transient(client: Client, owner: Object, clock: Clock) -> None:
    nobody = Client(client.session, "https://127.0.0.1:9", write_timeout=5)
    cluster = Cluster(nobody, Store(), Events(nobody, clock))
    with pytest.raises(errors.Transient, match="PATCH"):
        await cluster.patch_status(owner, status())


async def test_a_number_that_is_none_is_refused_before_it_is_sent(cluster: Cluster, owner: Object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        await cluster.patch_status(owner, status(importance=[{"feature": "torque", "value": float("nan")}]))


async def test_two_at_once_make_one(
    cluster: Cluster, restarted: Cluster, owner: Object, namespace: str
) -> None:
    await asyncio.gather(
        *(process.apply(service(), owner=owner) for process in (cluster, restarted, cluster, restarted))
    )
    live = await cluster.read(SERVICE, namespace, "child")
    assert live is not None
    assert len(live["metadata"]["ownerReferences"]) == 1
