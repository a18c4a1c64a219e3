"""What a version takes and answers, as far as its clients notice. Pure.

A manifest tells all of it. A ModelVersion's spec tells of at most 500 inputs and 50 values, and classes as text only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redstart.api.v1alpha1 import ModelVersionSpec
from redstart.api.v1alpha1.model_version import MAX_INPUTS, MAX_VALUES
from redstart.artifacts.manifest import Label, Manifest

InputType = str
"""Number or Category."""


@dataclass(frozen=True, slots=True)
class InputSignature:
    """One input; `closed` are the only categories that it takes, None where it takes any."""

    name: str
    type: InputType
    nullable: bool
    closed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """`inputs` in order; `task` is empty where it is not told; `classes` in the order of the probabilities, None of a
    regression and where they are not told.

    `whole`: whether all inputs and all classes are told."""

    inputs: tuple[InputSignature, ...]
    task: str
    classes: tuple[Label, ...] | None = None
    probabilities: bool = False
    whole: bool = True

    @property
    def types(self) -> Mapping[str, InputType]:
        """Type by name of every input, in order."""
        return {feature.name: feature.type for feature in self.inputs}


def of_manifest(manifest: Manifest) -> Signature:
    """All that there is to know."""
    classes = manifest.prediction.values
    return Signature(
        inputs=tuple(
            InputSignature(
                feature.name,
                feature.type,
                feature.nullable,
                frozenset(feature.values or ()) if feature.closed else None,
            )
            for feature in manifest.inputs
        ),
        task=manifest.task,
        classes=None if classes is None else tuple(classes),
        probabilities=manifest.probabilities is not None,
    )


def of_spec(spec: ModelVersionSpec) -> Signature | None:
    """What a ModelVersion tells; None where it was written by hand and tells nothing."""
    outputs = {output.name: output for output in spec.outputs}
    prediction = outputs.get("prediction")
    if not spec.inputs and prediction is None:
        return None
    classes = prediction.values if prediction is not None else None
    task = {"Category": "Classification", "Number": "Regression"}[prediction.type] if prediction else ""
    return Signature(
        inputs=tuple(InputSignature(feature.name, feature.type, feature.nullable) for feature in spec.inputs),
        task=task,
        classes=None if classes is None else tuple(classes),
        probabilities="probabilities" in outputs,
        whole=0 < len(spec.inputs) < MAX_INPUTS and len(classes or ()) < MAX_VALUES,
    )
