"""The Job that verifies a ModelVersion: fetch the artifact, load it, let it answer its reference rows. Pure.

`fetch` has the store's credentials and never loads the model; `verify` loads the model, which may be anything,
and has no credentials.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from redstart.api.v1alpha1 import ModelVersionSpec
from redstart.api.v1alpha1.common import GROUP, PodTemplate
from redstart.api.v1alpha1.digest import digest
from redstart.controllers import pods, storage
from redstart.controllers.pods import FETCH
from redstart.controllers.storage import Use
from redstart.settings import Pods

Object = dict[str, Any]

COMPONENT = "verifier"
VERIFY = "verify"
EXIT_LASTING = 3
"""Exit code of both for a fault that would be the same again."""

ARTIFACT_ANNOTATION = f"{GROUP}/artifact-digest"
"""On the Job: digest of the artifact reference, credentials included, that it was made for."""

_SUFFIX = "-verify"
_LONGEST_NAME = 63  # a Job's name is a label of its pods
_ATTEMPTS = 4
_DEADLINE = 3600


class Runtime(NamedTuple):
    """What the operator's settings say about verifiers."""

    image: str
    pull_policy: str
    allowed_formats: tuple[str, ...]
    pods: Pods = Pods()


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


def job(
    owner: Object,
    spec: ModelVersionSpec,
    runtime: Runtime,
    claims: Mapping[str, Object | None],
    trained: PodTemplate | None = None,
) -> Object:
    """The Job. `claims`: each claim of `use`, as read. `trained`: the template of the TrainingJob that made the
    version; what got its trainer a node and an image gets its verifier one."""
    name = owner["metadata"]["name"]
    labels = pods.labels("ModelVersion", name, COMPONENT, {f"{GROUP}/model": spec.model})
    read = use(spec)
    mounted = storage.mounts([read])
    together = storage.together([read], claims)
    template = _of_verifier(trained or PodTemplate())
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
        needs=runtime.pods.resources.fetch,
        mounts=[*mounted.mounts, model],
    )
    verify = pods.restricted_container(
        VERIFY,
        runtime.image,
        pull_policy=runtime.pull_policy,
        command=["python", "-m", "redstart.server", "verify"],
        args=["--model-dir", "/redstart/model", "--formats", ",".join(runtime.allowed_formats)],
        needs=runtime.pods.resources.verifier,
        mounts=[{**model, "readOnly": True}],
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(name),
            "namespace": owner["metadata"]["namespace"],
            # As for the trainer: a queueing system looks for its label on the Job itself.
            "labels": {**(template.labels or {}), **labels},
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
            "template": pods.dressed(
                pods.pod_template(
                    labels | together.labels,
                    pods.pod_spec(
                        [verify],
                        init_containers=[fetch],
                        volumes=[*mounted.volumes, {"name": "model", "emptyDir": {}}],
                        affinity=together.affinity or None,
                        restartPolicy="Never",
                    ),
                ),
                template,
                runtime.pods,
            ),
        },
    }


def _of_verifier(trained: PodTemplate) -> PodTemplate:
    """All but what is about the trainer's own container: what it runs, and the resources that learning takes."""
    return trained.model_copy(update={"image": None, "command": None, "args": None, "resources": None})
