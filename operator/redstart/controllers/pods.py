"""Pods that pass Pod Security "restricted", with the changes that a template of the API allows. Pure.

A template never reaches securityContext or volumes: a pod spec passed through would run on the operator's
authority. It changes the main container, which is always the first of `containers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redstart.api.v1alpha1.common import GROUP, PodTemplate

Object = dict[str, Any]

USER = 65532
"""User and group of every container; the group owns the volumes too."""

_OWNER_LABELS = {
    "TrainingJob": f"{GROUP}/training-job",
    "ModelVersion": f"{GROUP}/model-version",
    "InferenceService": f"{GROUP}/inference-service",
}


def owner_label(owner_kind: str) -> str:
    """The label key that carries the owner's name on every child of that kind."""
    return _OWNER_LABELS[owner_kind]


def labels(
    owner_kind: str, owner_name: str, component: str, more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Labels of every child: the recommended app.kubernetes.io ones, the owner's name, and `more`."""
    return {
        "app.kubernetes.io/name": f"redstart-{component}",
        "app.kubernetes.io/instance": owner_name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "redstart",
        "app.kubernetes.io/managed-by": "redstart",
        owner_label(owner_kind): owner_name,
        **(more or {}),
    }


def restricted_container(
    name: str,
    image: str,
    *,
    pull_policy: str,
    command: Sequence[str] | None = None,
    args: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    ports: Mapping[str, int] | None = None,
    resources: Object | None = None,
    mounts: Sequence[Object] = (),
    **more: Any,
) -> Object:
    """A container without privileges, with a read-only root and a writable /tmp.

    `ports` maps a port's name to its number. `more` are further fields as the Kubernetes API names them, for
    instance readinessProbe, lifecycle or restartPolicy.
    """
    container: Object = {
        "name": name,
        "image": image,
        "imagePullPolicy": pull_policy,
        "command": list(command) if command else None,
        "args": list(args) if args else None,
        "env": [{"name": key, "value": value} for key, value in env.items()] if env else None,
        "ports": [{"name": key, "containerPort": number} for key, number in ports.items()] if ports else None,
        "resources": resources,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mounts],  # noqa: S108
        # A container that is killed before it could write a message leaves the end of its log instead.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **more,
    }
    return {key: value for key, value in container.items() if value is not None}


def pod_spec(
    containers: Sequence[Object],
    *,
    template: PodTemplate,
    init_containers: Sequence[Object] = (),
    volumes: Sequence[Object] = (),
    node: str | None = None,
    **more: Any,
) -> Object:
    """A pod's spec. The template changes `containers[0]` and where the pod runs.

    `node` is a host name that the pod is pinned to, for volumes that only one node can mount. `more` are further
    fields as the Kubernetes API names them, for instance restartPolicy or terminationGracePeriodSeconds.
    """
    main, *others = containers
    selector = dict(template.node_selector or {}) | ({"kubernetes.io/hostname": node} if node else {})
    spec: Object = {
        **more,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            # Changing the owner of every file of a large volume at every start would take minutes.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": list(init_containers) or None,
        "containers": [_changed(main, template), *others],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes],
        "nodeSelector": selector or None,
        "affinity": template.affinity,
        "tolerations": template.tolerations,
        "topologySpreadConstraints": template.topology_spread_constraints,
        "priorityClassName": template.priority_class_name,
        "runtimeClassName": template.runtime_class_name,
        "serviceAccountName": template.service_account_name,
        "imagePullSecrets": [secret.to_dict() for secret in template.image_pull_secrets]
        if template.image_pull_secrets
        else None,
    }
    return {key: value for key, value in spec.items() if value is not None}


def pod_template(
    labels: Mapping[str, str],
    spec: Object,
    *,
    template: PodTemplate,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """metadata and spec of a pod template; the operator's labels and annotations win over the template's."""
    metadata: Object = {"labels": {**(template.labels or {}), **labels}}
    if notes := {**(template.annotations or {}), **(annotations or {})}:
        metadata["annotations"] = notes
    return {"metadata": metadata, "spec": spec}


def _changed(container: Object, template: PodTemplate) -> Object:
    """The container with the template's image, command, args, env and resources.

    A command in place of ours drops our arguments too: they are not its own.
    """
    changed = dict(container)
    if template.image is not None:
        changed["image"] = template.image
    if template.command is not None:
        changed["command"] = list(template.command)
        changed.pop("args", None)
    if template.args is not None:
        changed["args"] = list(template.args)
    if template.resources is not None:
        changed["resources"] = template.resources.to_dict()
    if template.env:
        env = {entry["name"]: entry for entry in container.get("env", [])}
        env |= {variable.name: {"name": variable.name, "value": variable.value} for variable in template.env}
        changed["env"] = list(env.values())
    return changed
