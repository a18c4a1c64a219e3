"""The Job and the ConfigMap of a run, whole."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.unit.controllers.objects import claim, documents, training_job, training_spec
from tests.unit.controllers.training_job.cluster_objects import RUNTIME, run_job, suspended_by_us

from redstart.api.v1alpha1 import TrainingJobSpec
from redstart.api.v1alpha1.digest import training_fields
from redstart.controllers.training_job import job as jobs

Golden = Callable[[str, str], None]


def test_a_plain_run(golden: Golden) -> None:
    owner = training_job()
    spec = TrainingJobSpec.model_validate(owner["spec"])
    children = [
        jobs.config_map(owner, spec, 1, RUNTIME),
        jobs.job(owner, spec, 1, RUNTIME, {"models": claim("models", "ReadWriteOnce")}),
    ]
    golden("plain.yaml", documents(children))


def test_a_run_with_everything(golden: Golden) -> None:
    owner = training_job(
        training_spec(
            data={
                "sources": [
                    {"uri": "s3://sensors/*.parquet", "secretRef": {"name": "sensors"}},
                    {"uri": "configmap://rows/rows.csv"},
                ],
                "target": "species",
            },
            gates=[{"metric": "f1", "atLeast": 0.75}],
            output={"uri": "s3://models", "format": "Skops", "secretRef": {"name": "models"}},
            backoffLimit=0,
            activeDeadline="1h30m",
            template={
                "labels": {"kueue.x-k8s.io/queue-name": "research"},
                "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "8Gi"}},
                "nodeSelector": {"disk": "ssd"},
            },
        ),
        generation=4,
        annotations={"redstart.dev/train": "by hand"},
    )
    spec = TrainingJobSpec.model_validate(owner["spec"])
    children = [jobs.config_map(owner, spec, 3, RUNTIME), jobs.job(owner, spec, 3, RUNTIME, {})]
    golden("everything.yaml", documents(children))


def test_the_trainer_reads_what_it_is_told_and_nothing_operational() -> None:
    owner = training_job(training_spec(suspend=True, template={"labels": {"a": "b"}, "image": "own/trainer"}))
    spec = TrainingJobSpec.model_validate(owner["spec"])
    made = jobs.config_map(owner, spec, 1, RUNTIME)
    assert made["immutable"] is True
    told = json.loads(made["data"]["job.json"])
    assert told["run"] == 1
    assert told["allowedFormats"] == ["ONNX", "Skops"]
    assert not {"suspend", "backoffLimit", "activeDeadline"} & set(told["spec"])
    assert told["spec"]["template"] == {"image": "own/trainer"}
    # Trainer and operator must not differ about what the input is.
    assert training_fields(TrainingJobSpec.model_validate(told["spec"])) == training_fields(spec)


def test_suspending_touches_nothing_else() -> None:
    job = run_job()
    assert jobs.suspended(job, suspend=True) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "iris-run-1", "annotations": {"redstart.dev/suspended": "true"}},
        "spec": {"suspend": True},
    }
    assert jobs.suspended(suspended_by_us(job), suspend=False)["metadata"]["annotations"] == {}
