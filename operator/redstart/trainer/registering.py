"""What is exported becomes a version: manifest, artifact, number, index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from redstart.api.v1alpha1.training_job import TrainingJobSpec
from redstart.artifacts import cells, termination
from redstart.artifacts import manifest as manifests
from redstart.artifacts.manifest import CONTRACT, PROFILE, REFERENCE, REPORT, Input, Manifest, Output, Tensor
from redstart.artifacts.predictor import Predictor, decide, load_model, typed
from redstart.artifacts.publish import file_entries, publish
from redstart.artifacts.storage import Location
from redstart.trainer import details as detail
from redstart.trainer import index
from redstart.trainer.columns import Roles
from redstart.trainer.export import Exported
from redstart.trainer.importance import important
from redstart.trainer.index import Entry
from redstart.trainer.preparing import Part, Prepared
from redstart.trainer.profile import profile
from redstart.trainer.progress import Progress, say
from redstart.trainer.reference import reference
from redstart.trainer.training import Trained


def draft(
    spec: TrainingJobSpec, prepared: Prepared, trained: Trained, *, input_digest: str, data_digest: str
) -> Manifest:
    """The manifest as far as it is known before the export: no files, tensors of doubles, no ONNX outputs."""
    roles, classes = prepared.roles, prepared.target.classes
    required = set(spec.prepare.dataset.drop_missing or [])
    closed = spec.prepare.model.encode.unknown == "Reject"
    learned = [prepared.train] if spec.algorithm.refit == "TrainOnly" else [prepared.train, prepared.test]
    inputs = [
        Input(
            feature.name,
            feature.type,
            nullable=feature.name not in required,
            values=_values(feature.name, roles, learned, spec) if feature.type == "Category" else None,
            closed=closed and feature.type == "Category",
        )
        for feature in roles.features
    ]
    kinds: list[tuple[str, Literal["double", "string"], list[str]]] = [
        ("numbers", "double", roles.numbers),
        ("categories", "string", roles.categories),
    ]
    outputs = [Output("prediction", "Number")]
    if classes:
        outputs = [Output("prediction", "Category", values=list(classes), indexed=True)]
        if hasattr(trained.pipeline, "predict_proba"):
            outputs.append(Output("probabilities", "Number", size=len(classes)))
    return Manifest(
        contract=CONTRACT,
        model=spec.model,
        task=spec.task,
        format=spec.output.format,
        files=[],
        inputs=inputs,
        tensors=[Tensor(name, kind, columns) for name, kind, columns in kinds if columns],
        outputs=outputs,
        threshold=trained.threshold,
        split=prepared.parts.rule if spec.algorithm.refit == "TrainOnly" else None,
        input_digest=input_digest,
        data_digest=data_digest,
        framework=detail.framework(),
    )


def _values(name: str, roles: Roles, parts: Sequence[Part], spec: TrainingJobSpec) -> list[str]:
    at = roles.categories.index(name)
    seen = {value for part in parts for value in part.tensors[-1][:, at]} - {""}
    # A server must know them too, or it would read something else: NA where it is a region, 1.0 where it is a version.
    expected = spec.data.expect.columns.get(name) if spec.data.expect else None
    declared = {value for value in (expected and expected.values) or [] if cells.category(value) != value}
    return sorted(seen | declared)


def register(
    folder: Location, prepared: Prepared, trained: Trained, exported: Exported, progress: Progress
) -> Entry:
    """Explain the model, write the artifact, take its number, and then write the index.

    Raises:
        StoreError: a store did not take it; what was written before is no version.
    """
    manifest, test = exported.manifest, prepared.test
    predictor = Predictor(manifest, load_model(exported.content, manifest))
    answered = decide(manifest, predictor.model.predict(typed(manifest, test.tensors)))
    seed = prepared.parts.rule.seed
    importance = important(
        predictor,
        test.tensors,
        test.learnable.target,
        seed,
        lambda done, of: progress.step(85 + 10 * done // of, f"importance of feature {done + 1} of {of}"),
    )
    say("importance", importance.text())
    progress.step(95, "profiling and writing the artifact")
    details = detail.build(
        manifest,
        scores=trained.scores,
        gates=trained.gates,
        importance=importance,
        data=detail.data(prepared.findings, prepared.read, prepared.train.rows, test.rows),
        conversion=exported.conversion,
    )
    roles = prepared.roles
    contents = {
        manifest.model_file: exported.content,
        REFERENCE: manifests.encode(reference(predictor, test.tensors, test.learnable.target)),
        PROFILE: manifests.encode(
            profile(prepared.train.tensors, roles.numbers, roles.categories, answered, manifest.task)
        ),
        REPORT: msgspec.json.encode({**details, "conversion": msgspec.to_builtins(exported.conversion)}),
    }
    final = msgspec.structs.replace(manifest, files=file_entries(contents))
    made = publish(folder, final, contents)
    number = index.take_number(folder, manifest.input_digest)
    artifact = termination.Artifact(made.location.uri, made.digest, manifest.format)
    entry = Entry(
        index.CONTRACT, number, manifest.input_digest, manifest.data_digest, prepared.read, artifact, details
    )
    return index.record(folder, entry)
