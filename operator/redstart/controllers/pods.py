"""Pods that pass Pod Security "restricted", with the changes that a template of the API allows. Pure.

A template never reaches securityContext or volumes: a pod spec passed through would run on the operator's
authority. It changes the main container, which is the first of the `containers` that we make; what an admission
webhook adds to a pod comes later, so that a pod's status is read by the names of containers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redstart.api.v1alpha1.common import GROUP, Placement, PodTemplate, Resources
from redstart.controllers import resources
from redstart.settings import Pods

Object = dict[str, Any]

USER = 65532
"""User and group of every container; the group owns the volumes too."""

FETCH = "fetch"
"""Name of the init container that gets the artifact."""
CERTIFICATES = "/redstart/certificates"

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
    needs: Resources | None = None,
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
        "resources": needs.to_dict() if needs else None,
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
    init_containers: Sequence[Object] = (),
    volumes: Sequence[Object] = (),
    **more: Any,
) -> Object:
    """A pod's spec. `more` are further fields as the Kubernetes API names them, for instance restartPolicy or
    terminationGracePeriodSeconds."""
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
        "containers": list(containers),
        "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes],
    }
    return {key: value for key, value in spec.items() if value is not None}


def pod_template(
    labels: Mapping[str, str], spec: Object, *, annotations: Mapping[str, str] | None = None
) -> Object:
    """metadata and spec of a pod template, before `dressed`."""
    metadata: Object = {"labels": dict(labels)} | ({"annotations": dict(annotations)} if annotations else {})
    return {"metadata": metadata, "spec": spec}


def dressed(made: Object, template: Placement, everywhere: Pods) -> Object:
    """The pod template with what its object's template says, and what the operator's settings say of every pod.

    The object's template wins over the settings; our own labels and annotations win over both. The main container is
    the first of `containers`, as we made it.
    """
    metadata, spec = dict(made["metadata"]), dict(made["spec"])
    metadata["labels"] = everywhere.labels | (template.labels or {}) | metadata["labels"]
    if notes := everywhere.annotations | (template.annotations or {}) | metadata.get("annotations", {}):
        metadata["annotations"] = notes
    if not everywhere.fixed_user:
        left_out = ("runAsUser", "runAsGroup", "fsGroup")
        context = spec["securityContext"]
        spec["securityContext"] = {key: value for key, value in context.items() if key not in left_out}
    main, *others = spec["containers"]
    spec["containers"] = [
        _main(_provided(main, everywhere), template),
        *(_provided(each, everywhere) for each in others),
    ]
    if "initContainers" in spec:
        spec["initContainers"] = [
            _with_env(container, template) if container["name"] == FETCH else container
            for container in (_provided(each, everywhere) for each in spec["initContainers"])
        ]
    if everywhere.trusted_certificates is not None:
        bundle = {"name": everywhere.trusted_certificates}
        spec["volumes"] = [*spec.get("volumes", ()), {"name": "certificates", "configMap": bundle}]
    secrets = dict.fromkeys(
        secret.name for secret in (*(template.image_pull_secrets or ()), *everywhere.image_pull_secrets)
    )
    spread = [*spec.get("topologySpreadConstraints", ()), *(template.topology_spread_constraints or ())]
    tolerations = [*(template.tolerations or ()), *everywhere.tolerations]
    fields: Object = {
        "nodeSelector": everywhere.node_selector | (template.node_selector or {}),
        "affinity": _both(template.affinity or {}, spec.get("affinity", {})),
        "tolerations": [entry for at, entry in enumerate(tolerations) if entry not in tolerations[:at]],
        "topologySpreadConstraints": spread,
        "priorityClassName": template.priority_class_name or everywhere.priority_class_name,
        "runtimeClassName": template.runtime_class_name,
        "serviceAccountName": template.service_account_name or everywhere.service_account_name,
        "imagePullSecrets": [{"name": name} for name in secrets],
    }
    return {"metadata": metadata, "spec": spec | {key: value for key, value in fields.items() if value}}


def _both(theirs: Any, ours: Any) -> Any:
    """Two affinities as one: lists of terms, all of which must hold, are joined."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return theirs | {key: _both(theirs[key], ours[key]) if key in theirs else ours[key] for key in ours}
    return [*theirs, *ours] if isinstance(theirs, list) and isinstance(ours, list) else ours


def _provided(container: Object, everywhere: Pods) -> Object:
    """The container with the environment and the trusted certificates of every pod; its own variables win."""
    variables = {variable.name: variable.value for variable in everywhere.env}
    changed = dict(container)
    if everywhere.trusted_certificates is not None:
        variables |= {"SSL_CERT_FILE": f"{CERTIFICATES}/ca.crt"}
        mount = {"name": "certificates", "mountPath": CERTIFICATES, "readOnly": True}
        changed["volumeMounts"] = [*container.get("volumeMounts", ()), mount]
    own = container.get("env", [])
    named = {entry["name"] for entry in own}
    added = [{"name": name, "value": value} for name, value in variables.items() if name not in named]
    return changed | ({"env": [*own, *added]} if own or added else {})


def _main(container: Object, template: Placement) -> Object:
    """The container with the template's resources, and its image, command, args and env where it has such.

    A command in place of ours drops our arguments too: they are not its own.
    """
    changed = dict(container)
    if template.resources is not None:
        changed["resources"] = resources.merged(template.resources, container.get("resources", {}))
    if not isinstance(template, PodTemplate):
        return changed
    if template.image is not None:
        changed["image"] = template.image
    if template.command is not None:
        changed["command"] = list(template.command)
        changed.pop("args", None)
    if template.args is not None:
        changed["args"] = list(template.args)
    return _with_env(changed, template)


def _with_env(container: Object, template: Placement) -> Object:
    """The container with the template's variables, which win over its own."""
    if not isinstance(template, PodTemplate) or not template.env:
        return container
    env = {entry["name"]: entry for entry in container.get("env", [])}
    env |= {variable.name: {"name": variable.name, "value": variable.value} for variable in template.env}
    return container | {"env": list(env.values())}
