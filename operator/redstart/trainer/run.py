"""One training run, from the job to the store, in the order in which it reads."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from redstart.api.v1alpha1.digest import digest, training_fields
from redstart.api.v1alpha1.training_job import TrainingJobSpec
from redstart.artifacts import storage, termination
from redstart.artifacts.manifest import Manifest
from redstart.trainer import estimators, gates, index
from redstart.trainer.errors import TrainingError
from redstart.trainer.export import TIME_LIMIT, export
from redstart.trainer.gates import GateResult
from redstart.trainer.index import Entry
from redstart.trainer.job import Job
from redstart.trainer.preparing import prepare
from redstart.trainer.progress import Progress, say
from redstart.trainer.reading import copy_files, declared_columns, read_rows
from redstart.trainer.registering import draft, register
from redstart.trainer.training import refitted, train

TRAINER_SEMANTICS = 2
"""Version of what training means. Raised when the same spec and data would come to mean another model; libraries
and images are recorded and are no part of the input, so that upgrading the operator retrains nothing."""


def run(job: Job, progress: Progress) -> tuple[termination.Report, dict[str, Any]]:
    """Train what the job asks for, or find that the store has it.

    Returns:
        The report for the operator, and the details.

    Raises:
        TrainingError: a decision about data or spec.
        StoreError: a store did not do what was asked.
    """
    spec = job.spec
    progress.step(0, "checking the spec")
    say("train", f"{spec.model}: {spec.algorithm.estimator}, {job.namespace}/{job.name} run {job.run}")
    _check(job)
    estimator = estimators.build(spec.algorithm, spec.task, spec.split.seed)
    secret = spec.output.secret_ref.name if spec.output.secret_ref else None
    folder = storage.locate(spec.output.uri, secret=secret).child(spec.model)
    # A store that cannot be reached, or a bucket that is not there, is better known before the training than after it.
    storage.names(folder)
    with tempfile.TemporaryDirectory(prefix="data-") as name:
        progress.step(5, "reading data")
        files, data_digest = copy_files(spec.data.sources, Path(name))
        input_digest = digest(
            {"trainerSemantics": TRAINER_SEMANTICS, "fields": training_fields(spec), "data": data_digest}
        )
        if (entry := index.find(folder, input_digest)) is not None:
            return _same_inputs(entry, spec)
        before = index.predecessor(folder, input_digest)
        reading = read_rows(files, declared_columns(spec.data))
    rows = reading.rows
    say("data", f"{len(files)} files, {rows.height:,} rows, {rows.width} columns, {data_digest}")
    progress.step(15, f"preparing {rows.height:,} rows")
    prepared = prepare(rows, spec, _kept_order(before), reading.cells, reading.findings)
    trained = train(prepared, spec, estimator, progress)
    pipeline = refitted(prepared, trained.pipeline, spec, progress)
    manifest = draft(spec, prepared, trained, input_digest=input_digest, data_digest=data_digest)
    deviation = float(np.std(prepared.train.learnable.target)) if spec.task == "Regression" else None
    with progress.moving(70, 85, f"exporting as {spec.output.format}", lambda seconds: seconds / TIME_LIMIT):
        exported = export(pipeline, manifest, prepared.test.tensors, deviation, job.allowed_formats)
    say("export", f"{exported.conversion.format}: {exported.conversion.reason}")
    entry = register(folder, prepared, trained, exported, progress)
    if trained.gates:
        say("gates", "; ".join(gate.text() for gate in trained.gates))
    say("done", f"{spec.model} number {entry.number}: {entry.artifact.uri}, {entry.artifact.digest}")
    return _outcome(entry, trained.gates, same=False)


def _check(job: Job) -> None:
    wanted = job.spec.output.format
    if wanted == "Joblib" and "Joblib" not in job.allowed_formats:
        raise TrainingError(
            "FormatNotAllowed",
            "output.format: Joblib is not allowed here, because loading it runs code; use ONNX or Skops",
        )
    if wanted not in job.allowed_formats:
        raise TrainingError(
            "FormatNotAllowed",
            f"output.format: {wanted} is not allowed here; use {' or '.join(job.allowed_formats)}",
        )


def _kept_order(before: tuple[int, Manifest] | None) -> list[str]:
    """The inputs of the version before, whose order this one keeps."""
    if before is None:
        return []
    number, manifest = before
    say("prepare", f"the inputs that number {number} has too keep its order")
    return [feature.name for feature in manifest.inputs]


def _same_inputs(entry: Entry, spec: TrainingJobSpec) -> tuple[termination.Report, dict[str, Any]]:
    """Gates are no part of the input: they may have changed since, and are judged anew on the metrics of then."""
    results = gates.evaluate(spec.gates, entry.details["metrics"])
    say("same", f"{spec.model} number {entry.number} was trained on these inputs: {entry.artifact.digest}")
    return _outcome(entry, results, same=True)


def _outcome(
    entry: Entry, results: Sequence[GateResult], *, same: bool
) -> tuple[termination.Report, dict[str, Any]]:
    """What to report of an entry of the index, which another run may have written, and of this run's gates."""
    failed = [gate for gate in results if not gate.passed]
    if failed:
        reason, message = "GateFailed", "; ".join(gate.text() for gate in failed)
    elif results:
        reason, message = "GatesPassed", "; ".join(gate.text() for gate in results)
    else:
        reason = "Trained"
        message = ", ".join(f"{name} {value:.4g}" for name, value in entry.details["metrics"].items())
    result: termination.Result = "SameInputs" if same else "Rejected" if failed else "Succeeded"
    report = termination.Report(
        result,
        reason,
        message,
        number=entry.number,
        input_digest=entry.input_digest,
        data_digest=entry.data_digest,
        rows=entry.rows,
        artifact=entry.artifact,
    )
    return report, {**entry.details, "gates": msgspec.to_builtins(list(results))}
