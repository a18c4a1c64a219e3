"""Every pod passes Pod Security "restricted", whatever a template changes."""

from __future__ import annotations

from typing import Any

import pytest

from redstart.api.v1alpha1.common import PodTemplate
from redstart.controllers import pods

Object = dict[str, Any]


def build(template: PodTemplate, **more: Any) -> Object:
    main = pods.restricted_container(
        "main",
        "runtime:1",
        pull_policy="IfNotPresent",
        command=["python"],
        args=["-m", "thing"],
        env={"OURS": "1", "SHARED": "ours"},
        resources={"requests": {"cpu": "1"}},
        ports={"http": 8080},
    )
    side = pods.restricted_container("side", "runtime:1", pull_policy="IfNotPresent")
    init = pods.restricted_container("init", "runtime:1", pull_policy="IfNotPresent")
    return pods.pod_spec([main, side], template=template, init_containers=[init], **more)


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
    spec = build(template)
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


def test_a_template_changes_the_main_container_and_no_other() -> None:
    plain, changed = build(PodTemplate()), build(EVERYTHING)
    assert changed["containers"][1] == plain["containers"][1]
    assert changed["initContainers"] == plain["initContainers"]
    main = changed["containers"][0]
    assert main["image"] == "example.com/mine:2"
    assert main["command"] == ["mine"]
    assert main["args"] == ["--fast"]
    assert main["resources"] == {"limits": {"memory": "4Gi"}}
    assert main["env"] == [
        {"name": "OURS", "value": "1"},
        {"name": "SHARED", "value": "theirs"},
        {"name": "NEW", "value": "2"},
    ]
    assert changed["serviceAccountName"] == "trainer"
    assert changed["imagePullSecrets"] == [{"name": "registry"}]
    assert changed["tolerations"] == [{"key": "gpu"}]


def test_a_command_in_place_of_ours_gets_none_of_our_arguments() -> None:
    main = build(PodTemplate(command=["mine"]))["containers"][0]
    assert main["command"] == ["mine"]
    assert "args" not in main


def test_building_changes_nothing_that_was_given() -> None:
    main = pods.restricted_container("main", "runtime:1", pull_policy="Always", env={"A": "1"})
    before = repr(main)
    pods.pod_spec([main], template=EVERYTHING)
    assert repr(main) == before


def test_a_pod_is_pinned_beside_the_templates_own_node_selector() -> None:
    spec = build(EVERYTHING, node="node-1")
    assert spec["nodeSelector"] == {"disk": "ssd", "kubernetes.io/hostname": "node-1"}


def test_our_labels_and_annotations_win() -> None:
    made = pods.pod_template(
        pods.labels("TrainingJob", "iris", "trainer", {"redstart.dev/run": "3"}),
        {},
        template=EVERYTHING,
        annotations={"ours": "ours"},
    )
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
