"""What a reconcile of a TrainingJob may find, built from our own Jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.unit.controllers.objects import NOW, Object, at, claim, training_job, training_spec

from redstart.api.v1alpha1 import TrainingJobSpec
from redstart.api.v1alpha1.training_job import Run, TrainingJobStatus
from redstart.controllers.training_job import job as jobs
from redstart.controllers.training_job.job import Runtime
from redstart.controllers.training_job.observe import Observed

RUNTIME = Runtime("runtime:1", "IfNotPresent", ("ONNX", "Skops"))
CLAIMS: dict[str, Object | None] = {
    "data": claim("data", "ReadWriteMany"),
    "models": claim("models", "ReadWriteMany"),
}


def run_job(number: int = 1, owner: Object | None = None, *, suspend: bool | None = None) -> Object:
    """The Job of a run as the API server has it after its creation."""
    owner = owner or training_job()
    spec = TrainingJobSpec.model_validate(owner["spec"])
    made = jobs.job(owner, spec, number, RUNTIME, {})
    made["metadata"] |= {"uid": f"job-{number}", "creationTimestamp": at(120)}
    if suspend is not None:
        made["spec"]["suspend"] = suspend
    return made


def suspended_by_us(job: Object) -> Object:
    annotations = job["metadata"]["annotations"] | {jobs.SUSPENDED_ANNOTATION: "true"}
    return job | {
        "metadata": job["metadata"] | {"annotations": annotations},
        "spec": job["spec"] | {"suspend": True},
    }


def run_of(job: Object, **changes: Any) -> Run:
    """Status of a run that is under way, or has ended with `result`."""
    metadata = job["metadata"]
    ended = {"finished_at": at(5), "reason": "R", "message": "m"} if "result" in changes else {}
    return Run(
        number=jobs.number_of(job),
        job=metadata["name"],
        spec_digest=metadata["annotations"][jobs.DIGEST_ANNOTATION],
        generation=int(metadata["annotations"][jobs.GENERATION_ANNOTATION]),
        started_at=metadata["creationTimestamp"],
    ).model_copy(update=ended | changes)


def observed(owner: Object | None = None, run: Run | None = None, **changes: Any) -> Observed:
    """A look at a TrainingJob whose volumes are there."""
    owner = owner or training_job(training_spec())
    spec = TrainingJobSpec.model_validate(owner["spec"])
    looked = Observed(
        resource=owner,
        status=TrainingJobStatus(run=run),
        now=NOW,
        spec=spec,
        digest=jobs.run_digest(spec, owner["metadata"].get("annotations", {})),
        run=run,
        claims=CLAIMS,
    )
    return replace(looked, **changes)
