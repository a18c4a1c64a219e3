"""A run's Job and the ConfigMap that tells its trainer what to do. Pure.

Both are created once and never applied again: a queueing system such as Kueue edits Jobs, and what a run was
started for must stay readable.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redstart.api.durations import seconds
from redstart.api.v1alpha1 import TrainingJobSpec
from redstart.api.v1alpha1.common import GROUP
from redstart.api.v1alpha1.digest import changed_fields, digest, training_fields, who_trains
from redstart.controllers import pods, storage
from redstart.controllers.storage import Use
from redstart.settings import Pods

Object = dict[str, Any]

CONTRACT = 1
"""Version of job.json, see docs/internals.md."""

COMPONENT = "trainer"
CONTAINER = "trainer"
PROGRESS_PORT = 9105
EXIT_LASTING = 3
"""The trainer's exit code for a failure that would be the same again."""

RUN_LABEL = f"{GROUP}/run"
MODEL_LABEL = f"{GROUP}/model"
DIGEST_ANNOTATION = f"{GROUP}/spec-digest"
GENERATION_ANNOTATION = f"{GROUP}/generation"
WHOLE_SPEC_ANNOTATION = f"{GROUP}/whole-spec-digest"
SUSPENDED_ANNOTATION = f"{GROUP}/suspended"
"""On a Job that we suspended: we resume only what we suspended, never what a queueing system did."""
TRAIN_ANNOTATION = f"{GROUP}/train"
"""On a TrainingJob, by its user: a new value asks for a new run."""

_NOT_FOR_TRAINER = frozenset({"suspend", "backoff_limit", "active_deadline"})


class Runtime(NamedTuple):
    """What the operator's settings say about trainers."""

    image: str
    pull_policy: str
    allowed_formats: Sequence[str]
    pods: Pods = Pods()


def run_digest(spec: TrainingJobSpec, annotations: Mapping[str, str]) -> str:
    """What a run is started for. Another digest is another run."""
    return digest(
        {
            "training": training_fields(spec),
            "gates": [gate.to_dict() for gate in spec.gates],
            "requested": annotations.get(TRAIN_ANNOTATION),
        }
    )


def whole_spec_digest(spec: TrainingJobSpec) -> str:
    """What a Job is made of: all of the spec but for `suspend`, which is changed about a Job that exists."""
    return digest(changed_fields(spec, without={"suspend"}))


def uses(spec: TrainingJobSpec) -> list[Use]:
    """Everything that the trainer reads or writes."""
    return [
        *(
            Use(source.uri, source.secret_ref.name if source.secret_ref else None)
            for source in spec.data.sources
        ),
        Use(spec.output.uri, spec.output.secret_ref.name if spec.output.secret_ref else None, writable=True),
    ]


def job_name(training_job: str, number: int) -> str:
    """Name of a run's Job and of its ConfigMap."""
    return f"{training_job}-run-{number}"


def number_of(child: Mapping[str, Any]) -> int:
    """The number of the run that a Job or ConfigMap of ours belongs to."""
    return int(child["metadata"]["labels"][RUN_LABEL])


def config_map(owner: Object, spec: TrainingJobSpec, number: int, runtime: Runtime) -> Object:
    """The immutable ConfigMap with job.json."""
    metadata = owner["metadata"]
    told = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=set(_NOT_FOR_TRAINER))
    if trainer := who_trains(told.pop("template")):
        told["template"] = trainer
    document = {
        "contract": CONTRACT,
        "namespace": metadata["namespace"],
        "trainingJob": metadata["name"],
        "run": number,
        "spec": told,
        "allowedFormats": list(runtime.allowed_formats),
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(owner, spec, number),
        "immutable": True,
        "data": {"job.json": json.dumps(document, indent=1, ensure_ascii=False)},
    }


def job(
    owner: Object, spec: TrainingJobSpec, number: int, runtime: Runtime, claims: Mapping[str, Object | None]
) -> Object:
    """The Job of one run: one pod, tried again for passing faults only. `claims`: each claim of `uses`, as read."""
    metadata = _metadata(owner, spec, number)
    mounted = storage.mounts(uses(spec))
    together = storage.together(uses(spec), claims)
    trainer = pods.restricted_container(
        CONTAINER,
        runtime.image,
        pull_policy=runtime.pull_policy,
        command=["python", "-m", "redstart.trainer"],
        ports={"progress": PROGRESS_PORT},
        needs=runtime.pods.resources.trainer,
        env={"REDSTART_HOST": runtime.pods.listen_on},
        mounts=[
            {"name": "job", "mountPath": "/redstart/job.json", "subPath": "job.json", "readOnly": True},
            *mounted.mounts,
        ],
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        # A queueing system such as Kueue looks for its label on the Job itself.
        "metadata": metadata | {"labels": {**(spec.template.labels or {}), **metadata["labels"]}},
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": spec.backoff_limit,
            "activeDeadlineSeconds": max(1, math.ceil(seconds(spec.active_deadline))),
            # Two trainers of one run must never write at once: the next pod waits until this one has ended.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": CONTAINER,
                            "operator": "In",
                            "values": [EXIT_LASTING],
                        },
                    }
                ]
            },
            "template": pods.dressed(
                pods.pod_template(
                    metadata["labels"] | together.labels,
                    pods.pod_spec(
                        [trainer],
                        volumes=[{"name": "job", "configMap": {"name": metadata["name"]}}, *mounted.volumes],
                        affinity=together.affinity or None,
                        restartPolicy="Never",
                    ),
                ),
                spec.template,
                runtime.pods,
            ),
        },
    }


def suspended(live: Object, *, suspend: bool) -> Object:
    """What to apply to a Job to suspend or resume it: the one thing that is ever changed about it."""
    note = {SUSPENDED_ANNOTATION: "true"} if suspend else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": live["metadata"]["name"], "annotations": note},
        "spec": {"suspend": suspend},
    }


def _metadata(owner: Object, spec: TrainingJobSpec, number: int) -> Object:
    name = owner["metadata"]["name"]
    labels = pods.labels("TrainingJob", name, COMPONENT, {RUN_LABEL: str(number), MODEL_LABEL: spec.model})
    return {
        "name": job_name(name, number),
        "namespace": owner["metadata"]["namespace"],
        "labels": labels,
        "annotations": {
            DIGEST_ANNOTATION: run_digest(spec, owner["metadata"].get("annotations", {})),
            GENERATION_ANNOTATION: str(owner["metadata"]["generation"]),
            WHOLE_SPEC_ANNOTATION: whole_spec_digest(spec),
        },
    }
