"""The details of a run: one JSON object, the last line of the log, whose sha256 is in the termination message."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from redstart.artifacts import description
from redstart.artifacts.manifest import Manifest, sha256
from redstart.trainer.evaluation import Scores
from redstart.trainer.export import Conversion
from redstart.trainer.findings import DROPPED, GRAVEST_FIRST, Finding
from redstart.trainer.gates import GateResult
from redstart.trainer.importance import Importance

_WARNINGS = 50
_MESSAGE = 500  # characters


def build(
    manifest: Manifest,
    *,
    scores: Scores,
    gates: Sequence[GateResult],
    importance: Importance,
    data: dict[str, Any],
    conversion: Conversion,
) -> dict[str, Any]:
    """The details as docs/internals.md lays them down."""
    return {
        "redstart": "details",
        "inputs": description.inputs(manifest),
        "outputs": description.outputs(manifest),
        "metrics": scores.metrics,
        "gates": msgspec.to_builtins(list(gates)),
        "importance": [{"feature": name, "value": value} for name, value in importance.features],
        "importanceMeasured": msgspec.to_builtins(importance.measured),
        "classificationReport": scores.report,
        "confusionMatrix": scores.confusion,
        "data": data,
        "conversion": {
            "format": conversion.format,
            "reason": conversion.reason,
            "largestDifference": conversion.largest_difference,
        },
        "framework": manifest.framework,
    }


def data(findings: Sequence[Finding], read: int, train: int, test: int) -> dict[str, Any]:
    """What became of the rows, and what was found in them: the gravest first, at most 50."""
    dropped = [
        {"reason": finding.kind, "count": finding.count}
        | ({"column": finding.column} if finding.column else {})
        for finding in findings
        if finding.kind in DROPPED
    ]
    warnings = sorted(
        (finding for finding in findings if finding.kind not in DROPPED),
        key=lambda finding: GRAVEST_FIRST.index(finding.kind),
    )
    told = [
        {"kind": finding.kind, "count": finding.count, "message": finding.message[:_MESSAGE]}
        | ({"column": finding.column} if finding.column else {})
        for finding in warnings[:_WARNINGS]
    ]
    rows = {"read": read, "dropped": dropped[:_WARNINGS], "train": train, "test": test}
    return {"rows": rows, "warnings": told, "omitted": len(warnings) - len(told)}


def line(details: dict[str, Any]) -> tuple[str, str]:
    """The details as one line without its newline, and its digest."""
    content = msgspec.json.encode(details)
    return content.decode(), sha256(content)


def framework() -> dict[str, str]:
    """Versions of the libraries that made a model."""
    return {name: version(name) for name in ("numpy", "onnxruntime", "scikit-learn", "skl2onnx", "skops")}
