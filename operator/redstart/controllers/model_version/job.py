"""The Job that verifies a ModelVersion: fetch the artifact, load it, let it answer its reference rows. Pure.

`fetch` has the store's credentials and never loads the model; `verify` loads the model, which may be anything,
and has no credentials.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from redstart.api.v1alpha1 import ModelVersionSpec
from redstart.api.v1alpha1.common import GROUP, PodTemplate
from redstart.api.v1alpha1.digest import digest
from redstart.controllers import pods, storage
from redstart.controllers.storage import Use

Object = dict[str, Any]

COMPONENT = "verifier"
FETCH = "fetch"
VERIFY = "verify"
EXIT_LASTING = 3
"""Exit code of both for a fault that would be the same again."""

ARTIFACT_ANNOTATION = f"{GROUP}/artifact-digest"
"""On the Job: digest of the artifact reference, credentials included, that it was made for."""

_SUFFIX = "-verify"
_LONGEST_NAME = 63  # a Job's name is a label of its pods
_ATTEMPTS = 4
_DEADLINE = 3600
_FETCH_RESOURCES = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
_VERIFY_RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "4Gi"}}


class Runtime(NamedTuple):
    """What the operator's settings say about verifiers."""

    image: str
    pull_policy: str
    allowed_formats: tuple[str, ...]


def job_name(version: str) -> str:
    """Name of a version's Job."""
    if len(version) + len(_SUFFIX) <= _LONGEST_NAME:
        return version + _SUFFIX
    mark = hashlib.sha256(version.encode()).hexdigest()[:8]
    return f"{version[: _LONGEST_NAME - len(_SUFFIX) - 9].rstrip('-')}-{mark}{_SUFFIX}"


def artifact_digest(spec: ModelVersionSpec) -> str:
    """What a Job is made for: the artifact and the credentials to get it."""
    return digest(spec.artifact.to_dict())


def use(spec: ModelVersionSpec) -> Use:
    """What the Job reads."""
    artifact = spec.artifact
    return Use(artifact.uri, artifact.secret_ref.name if artifact.secret_ref else None, folder_only=True)


def job(owner: Object, spec: ModelVersionSpec, runtime: Runtime, *, node: str | None) -> Object:
    """The Job. `node`: see storage.node."""
    name = owner["metadata"]["name"]
    labels = pods.labels("ModelVersion", name, COMPONENT, {f"{GROUP}/model": spec.model})
    read = use(spec)
    mounted = storage.mounts([read])
    model = {"name": "model", "mountPath": "/redstart/model"}
    fetch = pods.restricted_container(
        FETCH,
        runtime.image,
        pull_policy=runtime.pull_policy,
        command=["python", "-m", "redstart.artifacts", "fetch"],
        args=[
            *("--uri", spec.artifact.uri, "--digest", spec.artifact.digest, "--into", "/redstart/model"),
            *(("--secret", read.secret) if read.secret else ()),
        ],
        resources=_FETCH_RESOURCES,
        mounts=[*mounted.mounts, model],
    )
    verify = pods.restricted_container(
        VERIFY,
        runtime.image,
        pull_policy=runtime.pull_policy,
        command=["python", "-m", "redstart.server", "verify"],
        args=["--model-dir", "/redstart/model", "--formats", ",".join(runtime.allowed_formats)],
        resources=_VERIFY_RESOURCES,
        mounts=[{**model, "readOnly": True}],
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(name),
            "namespace": owner["metadata"]["namespace"],
            "labels": labels,
            "annotations": {ARTIFACT_ANNOTATION: artifact_digest(spec)},
        },
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": _ATTEMPTS - 1,
            "activeDeadlineSeconds": _DEADLINE,
            "podReplacementPolicy": "Failed",
            # Without a container's name the rule holds for fetch and verify alike.
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [EXIT_LASTING]}}]
            },
            "template": pods.pod_template(
                labels,
                pods.pod_spec(
                    [verify],
                    template=PodTemplate(),
                    init_containers=[fetch],
                    volumes=[*mounted.volumes, {"name": "model", "emptyDir": {}}],
                    node=node,
                    restartPolicy="Never",
                ),
                template=PodTemplate(),
            ),
        },
    }
