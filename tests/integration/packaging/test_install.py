"""Helm and kustomize against a real API server: what is accepted, what stays, who may do what."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.programs import program
from tests.integration.api import eventually

NAMESPACE = "redstart-system"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:redstart"
CRDS = {"trainingjobs.redstart.dev", "modelversions.redstart.dev", "inferenceservices.redstart.dev"}


class Cluster:
    """helm and kubectl for one API server."""

    def __init__(self, plane: ControlPlane) -> None:
        self._environment = os.environ | {"KUBECONFIG": str(plane.kubeconfig)}

    def run(
        self, name: str, *arguments: str, given: Any = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [program(name), *arguments],
            env=self._environment,
            input=None if given is None else json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or result.returncode == 0, result.stderr
        return result

    def kubectl(self, *arguments: str, given: Any = None) -> str:
        return self.run("kubectl", *arguments, given=given).stdout

    def helm(self, *arguments: str, values: Sequence[str] = ()) -> str:
        sets = [option for value in values for option in ("--set", value)]
        return self.run("helm", *arguments, "--namespace", NAMESPACE, *sets).stdout

    def install(self, *values: str) -> str:
        # Without --reset-values, helm keeps the last release's when none are given.
        command = [
            "upgrade",
            "--install",
            "redstart",
            "charts/redstart",
            "--create-namespace",
            "--reset-values",
        ]
        return self.helm(*command, values=values)

    def definitions(self) -> set[str]:
        names = self.kubectl("get", "customresourcedefinitions", "--output=name").split()
        return {name.split("/")[1] for name in names} & CRDS

    def may(self, verb: str, resource: str, namespace: str = "default", user: str = OPERATOR) -> bool:
        resource, _, subresource = resource.partition("/")
        options = [f"--subresource={subresource}"] if subresource else []
        answer = self.run(
            "kubectl", "auth", "can-i", verb, resource, *options, "-n", namespace, "--as", user, check=False
        )
        return answer.stdout.strip() == "yes"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    controllers = ["clusterrole-aggregation-controller"]
    with ControlPlane(tmp_path_factory.mktemp("install"), controllers=controllers) as plane:
        yield Cluster(plane)


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    """With the chart's default values; a test that changes them puts them back."""
    cluster.install()
    return cluster


def pod(name: str, component: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "redstart", "app.kubernetes.io/component": component}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": {"team": "a"}},
        "spec": {"containers": [{"name": "main", "image": "localhost/none"}]},
    }


MODEL_VERSION = {
    "apiVersion": "redstart.dev/v1alpha1",
    "kind": "ModelVersion",
    "metadata": {"name": "kept-v1", "namespace": "default"},
    "spec": {
        "model": "kept",
        "number": 1,
        "artifact": {"uri": "pvc://models/kept", "digest": f"sha256:{'0' * 64}", "format": "ONNX"},
    },
}


def test_install_upgrade_uninstall_and_install_again_keep_the_users_objects(cluster: Cluster) -> None:
    assert "Redstart 0.1.0 works in every namespace" in cluster.install()
    assert cluster.definitions() == CRDS
    eventually(
        lambda: cluster.run("kubectl", "apply", "-f", "-", given=MODEL_VERSION, check=False).returncode == 0
    )

    cluster.install("replicas=2", "settings.log.format=json")
    assert (
        cluster.kubectl("get", "deployment", "redstart", "-n", NAMESPACE, "-o=jsonpath={.spec.replicas}")
        == "2"
    )
    assert "format: json" in cluster.kubectl("get", "configmap", "redstart", "-n", NAMESPACE, "-o=yaml")
    assert "redstart" in cluster.kubectl("get", "poddisruptionbudgets", "-n", NAMESPACE, "-o=name")

    cluster.helm("uninstall", "redstart")
    left = cluster.kubectl(
        "get", "all,roles,rolebindings,networkpolicies,pdb,configmaps,leases", "-n", NAMESPACE, "-o=name"
    )
    assert set(left.split()) <= {"configmap/kube-root-ca.crt"}
    wide = cluster.kubectl("get", "clusterroles,clusterrolebindings,validatingadmissionpolicies", "-o=name")
    assert "redstart" not in wide
    assert cluster.definitions() == CRDS
    assert (
        cluster.kubectl("get", "modelversion", "kept-v1", "-o=name").strip()
        == "modelversion.redstart.dev/kept-v1"
    )

    cluster.install()
    assert cluster.kubectl("get", "modelversion", "kept-v1", "-o=name")


def test_kustomize_installs_the_same_and_again_changes_nothing(
    installed: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rules = ["get", "clusterrole", "redstart", "-o=jsonpath={.rules}"]
    with ControlPlane(tmp_path_factory.mktemp("kustomize")) as plane:
        cluster = Cluster(plane)
        cluster.kubectl("apply", "-k", "manifests")
        assert cluster.kubectl(*rules) == installed.kubectl(*rules)
        again = cluster.kubectl("apply", "-k", "manifests")
        assert {line.split()[-1] for line in again.splitlines()} == {"unchanged"}


def test_the_samples_are_accepted_as_they_are(installed: Cluster) -> None:
    files = ["apply", "--namespace=default", "--dry-run=server"]
    eventually(
        lambda: installed.run("kubectl", *files, "-k", "manifests/samples", check=False).returncode == 0
    )
    assert "bearing-wear-v1 created" in installed.kubectl(*files, "-f", "manifests/samples/modelversion.yaml")


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        *((verb, kind) for kind in sorted(CRDS) for verb in ("get", "list", "watch")),
        *(("patch", f"{kind}/status") for kind in sorted(CRDS)),
        ("create", "modelversions.redstart.dev"),
        ("create", "jobs.batch"),
        ("patch", "deployments.apps"),
        ("delete", "configmaps"),
        ("patch", "pods"),
        ("get", "pods/log"),
        ("create", "events"),
    ],
    ids=lambda text: text,
)
def test_the_operator_may(installed: Cluster, verb: str, resource: str) -> None:
    assert eventually(lambda: installed.may(verb, resource))


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("create", "pods"),
        ("delete", "pods"),
        ("create", "pods/exec"),
        ("patch", "trainingjobs.redstart.dev"),
        ("delete", "modelversions.redstart.dev"),
        ("patch", "inferenceservices.redstart.dev"),
        ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
        ("create", "clusterroles.rbac.authorization.k8s.io"),
        ("delete", "persistentvolumeclaims"),
        ("get", "nodes"),
        ("get", "leases.coordination.k8s.io"),
        ("create", "leases.coordination.k8s.io"),
        ("impersonate", "users"),
    ],
    ids=lambda text: text,
)
def test_the_operator_may_not(installed: Cluster, verb: str, resource: str) -> None:
    assert not installed.may(verb, resource)


def test_only_its_own_lease_can_be_taken(installed: Cluster) -> None:
    def may_update(lease: str) -> bool:
        options = ["update", f"leases.coordination.k8s.io/{lease}", "-n", NAMESPACE, "--as", OPERATOR]
        return installed.run("kubectl", "auth", "can-i", *options, check=False).stdout.strip() == "yes"

    assert eventually(lambda: may_update("redstart-operator"))
    assert not may_update("another")


def test_in_namespaced_mode_it_may_work_there_and_nowhere_else(cluster: Cluster) -> None:
    for name in ("team-a", "team-b"):
        cluster.run("kubectl", "create", "namespace", name, check=False)
    cluster.install("watchNamespaces={team-a}")
    assert eventually(lambda: cluster.may("create", "jobs.batch", "team-a"))
    assert not cluster.may("create", "jobs.batch", "team-b")
    assert not cluster.may("get", "configmaps", NAMESPACE)
    cluster.install()
    assert eventually(lambda: cluster.may("create", "jobs.batch", "team-b"))


def bind(cluster: Cluster, role: str, namespace: str = "default") -> None:
    """Give the cluster's role to the user `a-<role>` in a namespace."""
    binding = ["create", "rolebinding", role, f"--clusterrole={role}", f"--user=a-{role}", "-n", namespace]
    cluster.run("kubectl", *binding, check=False)


def test_editors_may_write_and_viewers_may_read(installed: Cluster) -> None:
    for role in ("edit", "view"):
        bind(installed, role)
    assert eventually(lambda: all(installed.may("create", kind, user="a-edit") for kind in CRDS))
    assert eventually(lambda: all(installed.may("watch", kind, user="a-view") for kind in CRDS))
    assert not any(installed.may("create", kind, user="a-view") for kind in CRDS)
    assert installed.may("patch", "inferenceservices.redstart.dev/scale", user="a-edit")
    assert not installed.may("patch", "inferenceservices.redstart.dev/status", user="a-edit")


@pytest.fixture(scope="module")
def guarded(cluster: Cluster) -> Cluster:
    """With a router's and a server's pod, and the policy over the operator in force."""
    cluster.install()
    for component in ("router", "server", "trainer", "verifier"):
        cluster.kubectl("apply", "-f", "-", given=pod(component, component))
    eventually(lambda: patched(cluster, "server", {"annotations": {"redstart.dev/plan": "1"}}) is not None)
    return cluster


def patched(cluster: Cluster, name: str, metadata: dict[str, Any] | None = None, **more: Any) -> str | None:
    """Why the operator's patch was refused, or None."""
    patch = json.dumps({"metadata": metadata or {}, **more})
    result = cluster.run(
        "kubectl", "patch", "pod", name, "--type=merge", "-p", patch, "--as", OPERATOR, check=False
    )
    return result.stderr if result.returncode else None


def test_the_operator_may_touch_its_annotation_on_a_router(guarded: Cluster) -> None:
    for value in ("1", "2", None):
        assert patched(guarded, "router", {"annotations": {"redstart.dev/plan": value}}) is None


@pytest.mark.parametrize("name", ["trainer", "verifier"])
def test_the_operator_may_have_a_run_ended_that_something_else_keeps(guarded: Cluster, name: str) -> None:
    assert patched(guarded, name, spec={"activeDeadlineSeconds": 1}) is None


@pytest.mark.parametrize(
    ("name", "patch", "sentence"),
    [
        (
            "server",
            {"metadata": {"annotations": {"redstart.dev/plan": "1"}}},
            "routers, trainers and verifiers only",
        ),
        ("router", {"metadata": {"annotations": {"team": "b"}}}, "redstart.dev/ annotations only"),
        ("router", {"metadata": {"annotations": {"team": None}}}, "redstart.dev/ annotations only"),
        ("router", {"metadata": {"annotations": {"more": "1"}}}, "redstart.dev/ annotations only"),
        ("router", {"metadata": {"labels": {"more": "1"}}}, "pod's annotations only"),
        ("router", {"metadata": {"finalizers": ["a.dev/b"]}}, "pod's annotations only"),
        ("router", {"spec": {"activeDeadlineSeconds": 1}}, "pod's annotations only"),
        ("trainer", {"metadata": {"annotations": {"redstart.dev/plan": "1"}}}, "nothing but the deadline"),
        (
            "verifier",
            {"spec": {"containers": [{"name": "main", "image": "other"}]}},
            "nothing but the deadline",
        ),
        ("trainer", {"metadata": {"labels": {"more": "1"}}}, "pod's annotations only"),
    ],
    ids=[
        "server",
        "changed",
        "removed",
        "added",
        "label",
        "finalizer",
        "spec",
        "note",
        "toleration",
        "trainer",
    ],
)
def test_the_operator_may_change_nothing_else_of_a_pod(
    guarded: Cluster, name: str, patch: dict[str, Any], sentence: str
) -> None:
    refusal = patched(guarded, name, **patch)
    assert refusal is not None
    assert sentence in refusal


def test_the_policy_is_about_the_operator_only(guarded: Cluster) -> None:
    guarded.kubectl(
        "patch", "pod", "server", "--type=merge", "-p", '{"metadata": {"labels": {"by": "admin"}}}'
    )


GATE = {"metric": "f1", "value": 0.61, "bound": 0.75, "direction": "AtLeast", "passed": False}
TRAINED = {
    **MODEL_VERSION,
    "metadata": {"name": "trained-v1", "namespace": "default", "labels": {"redstart.dev/model": "trained"}},
    "spec": {
        **MODEL_VERSION["spec"],
        "model": "trained",
        "gates": [GATE],
        "lineage": {"trainingJob": "kept", "run": 1},
    },
}


@pytest.fixture(scope="module")
def trusted(cluster: Cluster) -> Cluster:
    """With a version that a TrainingJob wrote, an editor, and the policy over ModelVersions in force."""
    cluster.install()
    bind(cluster, "edit")
    eventually(lambda: cluster.run("kubectl", "apply", "-f", "-", given=TRAINED, check=False).returncode == 0)
    eventually(lambda: edited(cluster, "a-edit", {"metadata": {"annotations": {"seen": "1"}}}) is None)
    eventually(lambda: edited(cluster, "a-edit", {"spec": {"gates": []}}) is not None)
    return cluster


def edited(cluster: Cluster, user: str, patch: dict[str, Any]) -> str | None:
    """Why a user's patch of the version was refused, or None."""
    command = ["patch", "modelversion", "trained-v1", "--type=merge", "-p", json.dumps(patch), "--as", user]
    result = cluster.run("kubectl", *command, "--dry-run=server", check=False)
    return result.stderr if result.returncode else None


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        ({"spec": {"gates": [GATE | {"passed": True}]}}, "spec.gates: the TrainingJob alone writes"),
        ({"spec": {"gates": []}}, "spec.gates: the TrainingJob alone writes"),
        ({"spec": {"gates": None}}, "spec.gates: the TrainingJob alone writes"),
        ({"spec": {"lineage": None}}, "lineage is immutable"),
        ({"spec": {"metrics": {"f1": 0.99}}}, "metrics is immutable"),
        ({"spec": {"artifact": {"digest": f"sha256:{'1' * 64}"}}}, "artifact.digest is immutable"),
        ({"metadata": {"labels": {"redstart.dev/model": "another"}}}, "redstart.dev/model says which model"),
    ],
    ids=["a gate passes", "no gates", "gates gone", "lineage", "metrics", "artifact", "label"],
)
def test_an_editor_changes_nothing_that_a_trainer_wrote(
    trusted: Cluster, patch: dict[str, Any], sentence: str
) -> None:
    refusal = edited(trusted, "a-edit", patch)
    assert refusal is not None
    assert sentence in refusal


@pytest.mark.parametrize(
    ("user", "patch"),
    [
        (OPERATOR, {"spec": {"gates": [GATE | {"passed": True}]}}),
        ("a-edit", {"spec": {"artifact": {"uri": "pvc://models/kept"}}}),
        ("a-edit", {"metadata": {"annotations": {"reviewed": "yes"}, "labels": {"team": "a"}}}),
    ],
    ids=["the operator judges gates anew", "an editor changes nothing", "an editor adds what is its own"],
)
def test_what_is_theirs_they_may_change(trusted: Cluster, user: str, patch: dict[str, Any]) -> None:
    assert edited(trusted, user, patch) is None


@pytest.mark.parametrize(
    ("user", "spec", "sentence"),
    [
        ("a-edit", {"gates": [GATE | {"passed": True}]}, "spec.gates: the TrainingJob alone writes"),
        ("a-edit", {"lineage": {"trainingJob": "kept"}}, "spec.lineage: a TrainingJob alone writes"),
        ("a-edit", {}, None),
        ("a-restorer", {"gates": [GATE], "lineage": {"trainingJob": "kept"}}, None),
    ],
    ids=[
        "an editor claims gates",
        "an editor claims a lineage",
        "an editor registers a version that was trained elsewhere",
        "who may restore brings back a backup",
    ],
)
def test_who_may_register_what(
    trusted: Cluster, user: str, spec: dict[str, Any], sentence: str | None
) -> None:
    role = [
        "create",
        "clusterrole",
        "restorer",
        "--verb=create,restore",
        "--resource=modelversions.redstart.dev",
    ]
    trusted.run("kubectl", *role, check=False)
    bind(trusted, "restorer")
    made = {
        **MODEL_VERSION,
        "metadata": {"name": "made-v1"},
        "spec": {**MODEL_VERSION["spec"], "model": "made", **spec},
    }
    command = ["create", "--dry-run=server", "--namespace=default", "-f", "-", "--as", user]

    def refusal() -> str:
        return trusted.run("kubectl", *command, given=made, check=False).stderr

    if sentence is None:
        assert eventually(lambda: not refusal())
    else:
        assert sentence in refusal()
