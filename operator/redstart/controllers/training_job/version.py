"""The ModelVersion of a run that trained. Pure.

ModelVersions are created, never applied, and belong to nobody: deleting a TrainingJob keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from redstart.api.v1alpha1 import API_VERSION, ModelVersionSpec
from redstart.api.v1alpha1.common import SecretRef
from redstart.controllers.pods import owner_label
from redstart.controllers.reports import BadReportError
from redstart.controllers.storage import Problem
from redstart.controllers.training_job.job import MODEL_LABEL, number_of
from redstart.controllers.training_job.outcome import Trained

Object = dict[str, Any]

_MOST_INPUTS = 500
_MOST_OUTPUTS = 10
_MOST_VALUES = 50


@dataclass(frozen=True)
class Registration:
    """How the version comes into the cluster: `create` it, or `update` the gates of the one that exists, or
    neither, because it is there as it should be."""

    name: str
    create: Object | None = None
    update: Object | None = None


def version_name(model: str, number: int) -> str:
    """Name of a model's version."""
    return f"{model}-v{number}"


def registration(
    job: Object, trained: Trained, secret: SecretRef | None, versions: Sequence[Object]
) -> Registration | Problem:
    """How to register what a Job trained, or why its name is taken.

    `secret` are the store's credentials; `versions` are the ModelVersions of the namespace.

    Raises:
        BadReportError: a trainer reported what no ModelVersion may hold.
    """
    model = job["metadata"]["labels"][MODEL_LABEL]
    name = version_name(model, trained.number)
    existing = next((version for version in versions if version["metadata"]["name"] == name), None)
    same_model = [version for version in versions if version["spec"]["model"] == model]
    wanted = _version(job, trained, secret, _parent(trained.number, same_model))
    if existing is None:
        return Registration(name, create=wanted)
    if (problem := _differs(existing, trained)) is not None:
        return problem
    gates = wanted["spec"].get("gates", [])
    if existing["spec"].get("gates", []) == gates:
        return Registration(name)
    return Registration(
        name,
        update={
            "apiVersion": API_VERSION,
            "kind": "ModelVersion",
            "metadata": {"name": name, "namespace": existing["metadata"]["namespace"]},
            "spec": {"gates": gates},
        },
    )


def _differs(existing: Object, trained: Trained) -> Problem | None:
    """Why the version that exists is not the one that was trained, or None when it is."""
    name, spec = existing["metadata"]["name"], existing["spec"]
    known = spec.get("lineage", {}).get("inputDigest")
    if spec["artifact"]["digest"] == trained.artifact.digest and known in (None, trained.input_digest):
        return None
    if known == trained.input_digest:
        return Problem(
            "NameConflict",
            f"ModelVersion {name} was trained from the same input but names another artifact than the store "
            "now holds: delete it, and the artifact of the store is registered in its place",
        )
    return Problem(
        "NameConflict",
        f"ModelVersion {name} exists already and was trained from another input, so that it comes from another "
        "store or was written by hand: delete it, or give this TrainingJob another spec.model, or the "
        "spec.output.uri that holds the earlier versions",
    )


def _version(job: Object, trained: Trained, secret: SecretRef | None, parent: str | None) -> Object:
    labels, details = job["metadata"]["labels"], trained.details
    model = labels[MODEL_LABEL]
    try:
        spec = ModelVersionSpec.model_validate(
            {
                "model": model,
                "number": trained.number,
                "artifact": {
                    **trained.artifact.to_dict(),
                    **({"secretRef": secret.to_dict()} if secret else {}),
                },
                "inputs": [_bounded(item) for item in details.inputs[:_MOST_INPUTS]],
                "outputs": [_bounded(item) for item in details.outputs[:_MOST_OUTPUTS]],
                "metrics": details.metrics,
                "gates": [gate.to_dict() for gate in details.gates],
                "lineage": {
                    "trainingJob": labels[owner_label("TrainingJob")],
                    "run": number_of(job),
                    "inputDigest": trained.input_digest,
                    "dataDigest": trained.data_digest,
                    "image": trained.image[:512] if trained.image else None,
                    "parent": parent,
                },
                "framework": details.framework,
            }
        )
    except ValidationError as error:
        raise BadReportError.of(error, "the trainer's report does not fit a ModelVersion", "spec") from error
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {
            "name": version_name(model, trained.number),
            "namespace": job["metadata"]["namespace"],
            "labels": {MODEL_LABEL: model, "app.kubernetes.io/managed-by": "redstart"},
        },
        "spec": spec.to_dict(),
    }


def _bounded(item: Mapping[str, Any]) -> dict[str, Any]:
    """An input or output with at most 50 of its values; the manifest has them all."""
    values = item.get("values")
    return {**item, "values": values[:_MOST_VALUES]} if isinstance(values, list) else dict(item)


def _parent(number: int, versions: Sequence[Mapping[str, Any]]) -> str | None:
    """The name of the newest earlier version."""
    earlier = [version for version in versions if version["spec"]["number"] < number]
    newest = max(earlier, key=lambda version: int(version["spec"]["number"]), default=None)
    return None if newest is None else str(newest["metadata"]["name"])
