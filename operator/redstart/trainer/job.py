"""What to train: /redstart/job.json, written by the operator, mounted from a ConfigMap."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
from pydantic import ValidationError

from redstart.api.v1alpha1.training_job import TrainingJobSpec
from redstart.artifacts.storage import root_folder
from redstart.trainer.errors import TrainingError

CONTRACT = 1


class _Document(msgspec.Struct, rename="camel"):
    contract: int
    namespace: str
    training_job: str
    run: int
    spec: dict[str, object]
    allowed_formats: list[str]


@dataclass(frozen=True)
class Job:
    """One run of a TrainingJob."""

    namespace: str
    name: str
    run: int
    spec: TrainingJobSpec
    allowed_formats: tuple[str, ...]


def read_job(path: Path | None = None) -> Job:
    """Read the job, by default from REDSTART_JOB or `<root>/job.json`.

    Raises:
        TrainingError: JobInvalid, naming the field.
    """
    path = path or Path(os.environ.get("REDSTART_JOB") or root_folder() / "job.json")
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
    except (OSError, msgspec.DecodeError) as error:
        raise TrainingError("JobInvalid", f"{path}: {error}") from error
    if document.contract != CONTRACT:
        raise TrainingError(
            "JobInvalid", f"{path}: contract {document.contract}, this trainer understands {CONTRACT}"
        )
    try:
        spec = TrainingJobSpec.model_validate(document.spec)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise TrainingError("JobInvalid", f"spec.{field}: {first['msg']}") from error
    return Job(document.namespace, document.training_job, document.run, spec, tuple(document.allowed_formats))
