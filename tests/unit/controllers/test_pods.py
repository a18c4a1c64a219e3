"""Every pod passes Pod Security "restricted", whatever a template changes."""

from __future__ import annotations

from typing import Any

import pytest

from redstart.api.v1alpha1.common import PodTemplate, Resources
from redstart.controllers import pods
from redstart.settings import Pods

Object = dict[str, Any]


def build(template: PodTemplate, everywhere: Pods | None = None) -> Object:
    main = pods.restricted_container(
        "main",
        "runtime:1",
        pull_policy="IfNotPresent",
        command=["python"],
        args=["-m", "thing"],
        env={"OURS": "1", "SHARED": "ours"},
        needs=Resources(requests={"cpu": "100m", "memory": "1Gi"}, limits={"cpu": "1", "memory": "2Gi"}),
        ports={"http": 8080},
    )
    side = pods.restricted_container("side", "runtime:1", pull_policy="IfNotPresent")
    fetch = pods.restricted_container("fetch", "runtime:1", pull_policy="IfNotPresent")
    init = pods.restricted_container("init", "runtime:1", pull_policy="IfNotPresent")
    made = pods.pod_template(
        pods.labels("TrainingJob", "iris", "trainer", {"redstart.dev/run": "3"}),
        pods.pod_spec([main, side], init_containers=[fetch, init]),
        annotations={"ours": "ours"},
    )
    return pods.dressed(made, template, everywhere or Pods())


EVERYTHING = PodTemplate.model_validate(
    {
        "labels": {"team": "a", "app.kubernetes.io/name": "theirs"},
        "annotations": {"note": "theirs", "ours": "theirs"},
        "resources": {"limits": {"memory": "4Gi"}},
        "env": [{"name": "SHARED", "value": "theirs"}, {"name": "NEW", "value": "2"}],
        "nodeSelector": {"disk": "ssd"},
        "affinity": {"nodeAffinity": {}},
        "tolerations": [{"key": "gpu"}],
        "topologySpreadConstraints": [{"maxSkew": 1}],
        "priorityClassName": "high",
        "runtimeClassName": "gvisor",
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "trainer",
        "image": "example.com/mine:2",
        "command": ["mine"],
        "args": ["--fast"],
    }
)


@pytest.mark.parametrize("template", [PodTemplate(), EVERYTHING], ids=["no changes", "every change"])
def test_a_pod_is_restricted(template: PodTemplate) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    spec = build(template)["spec"]
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == context["fsGroup"] == 65532
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
    assert {"name": "tmp", "emptyDir": {}} in spec["volumes"]


def test_a_template_changes_the_main_container_and_of_the_others_what_fetch_needs() -> None:
    plain, changed = build(PodTemplate())["spec"], build(EVERYTHING)["spec"]
    assert changed["containers"][1] == plain["containers"][1]
    fetch, init = changed["initContainers"]
    assert init == plain["initContainers"][1]
    assert fetch == plain["initContainers"][0] | {
        "env": [{"name": "SHARED", "value": "theirs"}, {"name": "NEW", "value": "2"}]
    }
    main = changed["containers"][0]
    assert main["image"] == "example.com/mine:2"
    assert main["command"] == ["mine"]
    assert main["args"] == ["--fast"]
    assert main["resources"] == {
        "requests": {"cpu": "100m", "memory": "1Gi"},
        "limits": {"cpu": "1", "memory": "4Gi"},
    }
    assert main["env"] == [
        {"name": "OURS", "value": "1"},
        {"name": "SHARED", "value": "theirs"},
        {"name": "NEW", "value": "2"},
    ]
    assert changed["serviceAccountName"] == "trainer"
    assert changed["imagePullSecrets"] == [{"name": "registry"}]
    assert changed["tolerations"] == [{"key": "gpu"}]


def test_a_command_in_place_of_ours_gets_none_of_our_arguments() -> None:
    main = build(PodTemplate(command=["mine"]))["spec"]["containers"][0]
    assert main["command"] == ["mine"]
    assert "args" not in main


def test_building_changes_nothing_that_was_given() -> None:
    made = pods.pod_template(
        {}, pods.pod_spec([pods.restricted_container("main", "r:1", pull_policy="Always")])
    )
    before = repr(made)
    pods.dressed(made, EVERYTHING, SETTINGS)
    assert repr(made) == before


SETTINGS = Pods.model_validate(
    {
        "labels": {"cost-center": "7", "team": "platform"},
        "annotations": {"note": "settings"},
        "nodeSelector": {"disk": "hdd", "pool": "ml"},
        "tolerations": [{"key": "gpu"}, {"key": "ml"}],
        "priorityClassName": "low",
        "serviceAccountName": "helper",
        "imagePullSecrets": [{"name": "registry"}, {"name": "mirror"}],
        "env": [
            {"name": "HTTPS_PROXY", "value": "http://proxy:3128"},
            {"name": "SHARED", "value": "settings"},
        ],
        "trustedCertificates": "company",
    }
)


def test_settings_reach_every_container_and_the_objects_template_wins() -> None:
    plain, both = build(PodTemplate(), SETTINGS), build(EVERYTHING, SETTINGS)
    for made in (plain, both):
        spec = made["spec"]
        assert made["metadata"]["labels"]["cost-center"] == "7"
        assert {"name": "certificates", "configMap": {"name": "company"}} in spec["volumes"]
        for container in (*spec["containers"], *spec["initContainers"]):
            env = {entry["name"]: entry["value"] for entry in container["env"]}
            assert env["HTTPS_PROXY"] == "http://proxy:3128"
            assert env["SSL_CERT_FILE"] == "/redstart/certificates/ca.crt"
            assert {
                "name": "certificates",
                "mountPath": "/redstart/certificates",
                "readOnly": True,
            } in container["volumeMounts"]
    assert plain["metadata"]["labels"]["team"] == "platform"
    assert both["metadata"]["labels"]["team"] == "a"
    assert plain["spec"]["nodeSelector"] == {"disk": "hdd", "pool": "ml"}
    assert both["spec"]["nodeSelector"] == {"disk": "ssd", "pool": "ml"}
    assert both["spec"]["tolerations"] == [{"key": "gpu"}, {"key": "ml"}]
    assert both["spec"]["imagePullSecrets"] == [{"name": "registry"}, {"name": "mirror"}]
    assert (plain["spec"]["serviceAccountName"], both["spec"]["serviceAccountName"]) == ("helper", "trainer")
    assert (plain["spec"]["priorityClassName"], both["spec"]["priorityClassName"]) == ("low", "high")
    main = {entry["name"]: entry["value"] for entry in both["spec"]["containers"][0]["env"]}
    assert main["SHARED"] == "theirs"


def test_where_the_cluster_gives_users_no_pod_asks_for_one() -> None:
    context = build(PodTemplate(), Pods(fixed_user=False))["spec"]["securityContext"]
    assert context == {
        "runAsNonRoot": True,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_a_templates_affinity_holds_beside_ours() -> None:
    beside, away = {"topologyKey": "kubernetes.io/hostname"}, {"topologyKey": "zone"}
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    main = pods.restricted_container("main", "r:1", pull_policy="Always")
    made = pods.pod_template({}, pods.pod_spec([main], affinity={"podAffinity": {key: [beside]}}))
    theirs = PodTemplate(affinity={"podAffinity": {key: [away]}, "nodeAffinity": {}})
    assert pods.dressed(made, theirs, Pods())["spec"]["affinity"] == {
        "podAffinity": {key: [away, beside]},
        "nodeAffinity": {},
    }


def test_our_labels_and_annotations_win() -> None:
    made = build(EVERYTHING)
    assert made["metadata"] == {
        "labels": {
            "team": "a",
            "app.kubernetes.io/name": "redstart-trainer",
            "app.kubernetes.io/instance": "iris",
            "app.kubernetes.io/component": "trainer",
            "app.kubernetes.io/part-of": "redstart",
            "app.kubernetes.io/managed-by": "redstart",
            "redstart.dev/training-job": "iris",
            "redstart.dev/run": "3",
        },
        "annotations": {"note": "theirs", "ours": "ours"},
    }
