"""ModelVersion: an immutable, verified artifact with its lineage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from redstart.api.v1alpha1.common import (
    Artifact,
    Column,
    Conditioned,
    Digest,
    GateResult,
    Metric,
    Model,
    ModelName,
    Name,
    Number,
    ShortText,
    Status,
    Timestamp,
    rules,
)

MAX_INPUTS = 500
MAX_VALUES = 50
"""Inputs, and values of one, that a ModelVersion lists; an artifact may have more."""


class Input(Model):
    """A named input of the model: one field of a raw row."""

    name: Column
    """The field's name."""
    type: Literal["Number", "Category"]
    """Number or text."""
    nullable: bool = False
    """Whether a row may leave it out or send null."""
    values: Annotated[list[ShortText], Field(max_length=MAX_VALUES)] | None = None
    """The categories that training saw, at most 50 of them; the full list is in the artifact's manifest."""


class ModelOutput(Model):
    """A named output of the model."""

    name: Column
    """The output's name."""
    type: Literal["Number", "Category"]
    """Number or text."""
    size: Annotated[int, Field(ge=1)] | None = None
    """How many numbers for one row, where it is more than one."""
    values: Annotated[list[ShortText], Field(max_length=MAX_VALUES)] | None = None
    """The classes, at most 50 of them."""


class Lineage(Model):
    """Where a version comes from."""

    training_job: Name | None = None
    """The TrainingJob that made it."""
    run: int | None = None
    """The run's number."""
    input_digest: Digest | None = None
    """Digest of everything that decided the result."""
    data_digest: Digest | None = None
    """Digest of the data files' bytes."""
    image: Annotated[str, Field(max_length=512)] | None = None
    """The trainer's image, as the node resolved it."""
    parent: Name | None = None
    """The version before it."""


class ModelVersionSpec(Model):
    """Immutable but for artifact.secretRef, and for gates, which change when the TrainingJob's gates do."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.model == oldSelf.model", "model is immutable: register another version"),
            ("self.number == oldSelf.number", "number is immutable: register another version"),
            (
                "has(self.inputs) == has(oldSelf.inputs) && (!has(self.inputs) || self.inputs == oldSelf.inputs)",
                "inputs is immutable: register another version",
            ),
            (
                "has(self.outputs) == has(oldSelf.outputs) && "
                "(!has(self.outputs) || self.outputs == oldSelf.outputs)",
                "outputs is immutable: register another version",
            ),
            (
                "has(self.metrics) == has(oldSelf.metrics) && "
                "(!has(self.metrics) || self.metrics == oldSelf.metrics)",
                "metrics is immutable: register another version",
            ),
            (
                "has(self.lineage) == has(oldSelf.lineage) && "
                "(!has(self.lineage) || self.lineage == oldSelf.lineage)",
                "lineage is immutable: register another version",
            ),
            (
                "has(self.framework) == has(oldSelf.framework) && "
                "(!has(self.framework) || self.framework == oldSelf.framework)",
                "framework is immutable: register another version",
            ),
        )
    )

    model: ModelName
    """The model that this is a version of."""
    number: Annotated[int, Field(ge=1, le=2147483647)]
    """Rises with each version of the model."""
    artifact: Artifact
    """The model's files."""
    inputs: Annotated[list[Input], Field(max_length=MAX_INPUTS)] = []
    """What a raw row holds."""
    outputs: Annotated[list[ModelOutput], Field(max_length=10)] = []
    """What comes back."""
    metrics: Annotated[dict[Metric, Number], Field(max_length=64)] = {}
    """Metrics on the held-out rows."""
    gates: Annotated[list[GateResult], Field(max_length=20)] = []
    """The gates of the TrainingJob and what came of them; written by it alone."""
    lineage: Lineage = Lineage()
    """Where it comes from."""
    framework: Annotated[dict[ShortText, ShortText], Field(max_length=16)] = {}
    """Versions of the libraries that made it."""


class Importance(Status):
    """How much a feature matters."""

    feature: Column
    """The feature."""
    value: Number
    """Loss of the score when its values are shuffled among the held-out rows (permutation importance)."""


class Serving(Status):
    """A service that serves this version."""

    inference_service: Name
    """The InferenceService."""
    role: Literal["Stable", "Canary"]
    """What it is there."""


class QuarantinedBy(Status):
    """A service that rolled this version back."""

    inference_service: Name
    """The InferenceService."""
    reason: ShortText
    """Why."""
    at: Timestamp
    """When."""


class ModelVersionStatus(Conditioned):
    """What the operator has seen and done."""

    phase: Literal["Pending", "Verifying", "Ready", "Rejected", "Quarantined"] | None = None
    """A summary of the conditions."""
    verified_digest: Digest | None = None
    """The digest that the verifier computed."""
    importance: Annotated[list[Importance], Field(max_length=20)] = []
    """The features that matter most."""
    serving: Annotated[list[Serving], Field(max_length=100)] = []
    """The services that serve it, mirrored from their status."""
    quarantine: Annotated[list[QuarantinedBy], Field(max_length=100)] = []
    """The services that rolled it back, mirrored from their status."""


class ModelVersion(Model):
    """An immutable artifact with its lineage. It is verified in a pod of its own before anything serves it."""

    spec: ModelVersionSpec
    """What it is and where it comes from."""
    status: ModelVersionStatus | None = None
    """What the operator has seen and done. Written by the operator only."""
