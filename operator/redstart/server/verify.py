"""Checks an artifact in a pod of its own: loads it, asks the reference rows, and reports for the operator."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from redstart.artifacts import description, termination
from redstart.artifacts.manifest import REPORT, Format, sha256
from redstart.artifacts.termination import Report
from redstart.server import inference, loading, reference
from redstart.server.loading import Artifact, LoadError
from redstart.server.rows import RowDecoder

FAILS_AGAIN = 3


def verify(model_dir: Path, allowed: tuple[Format, ...]) -> int:
    """Verify the artifact in a folder; the exit status is 0, or 3 for a fault that would come back."""
    try:
        artifact = loading.open_artifact(model_dir, allowed)
        model = inference.load(artifact)
        found = reference.check(artifact.manifest, model, RowDecoder(artifact.manifest), artifact.reference)
        line = msgspec.json.encode(details(artifact))
    except LoadError as error:
        return _failed(error.reason, str(error))
    if found.mismatched:
        return _failed(
            "ReferenceMismatch", f"{found.mismatched} of {found.rows} reference rows differ: {found.first}"
        )
    termination.write(
        Report(
            "Verified",
            "ReferenceRowsMatch",
            f"{artifact.manifest.format} model answers all {found.rows} reference rows as when it was exported",
            details_digest=sha256(line),
        )
    )
    sys.stdout.write(line.decode() + "\n")
    return 0


def details(artifact: Artifact) -> dict[str, Any]:
    """The last line of the log: what ModelVersion shows of an artifact."""
    return {
        "redstart": "details",
        "inputs": description.inputs(artifact.manifest),
        "outputs": description.outputs(artifact.manifest),
        "importance": _importance(artifact),
        "framework": artifact.manifest.framework,
    }


class _TrainingReport(msgspec.Struct, frozen=True):
    importance: list[dict[str, Any]] = []


def _importance(artifact: Artifact) -> list[dict[str, Any]]:
    """What the trainer measured; artifacts that were made elsewhere have none."""
    if REPORT not in {file.name for file in artifact.manifest.files}:
        return []
    try:
        return msgspec.json.decode((artifact.folder / REPORT).read_bytes(), type=_TrainingReport).importance
    except msgspec.DecodeError as error:
        raise LoadError("ManifestInvalid", f"{REPORT} cannot be read: {error}") from error


def _failed(reason: str, message: str) -> int:
    print(f"{reason}: {message}", file=sys.stderr)
    termination.write(Report("Failed", reason, message))
    return FAILS_AGAIN
