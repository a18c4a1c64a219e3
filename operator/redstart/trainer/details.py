"""The details of a run: one JSON object, the last line of the log, whose sha256 is in the termination message."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from sklearn.metrics import f1_score, r2_score, roc_auc_score

from redstart.artifacts import description
from redstart.artifacts.manifest import Manifest, sha256
from redstart.artifacts.predictor import Predictor, decide, typed
from redstart.trainer.evaluation import Scores
from redstart.trainer.export import Conversion
from redstart.trainer.findings import DROPPED, GRAVEST_FIRST, Finding
from redstart.trainer.gates import GateResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IMPORTANT = 20
_IMPORTANCE_ROWS = 2000
_REPEATS = 5
_WARNINGS = 50
_MESSAGE = 500  # characters


def build(
    manifest: Manifest,
    *,
    scores: Scores,
    gates: Sequence[GateResult],
    importance: Sequence[tuple[str, float]],
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
        "importance": [{"feature": name, "value": value} for name, value in importance],
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


def important(
    predictor: Predictor, held_out: Sequence[NDArray[Any]], truth: NDArray[Any], seed: int
) -> list[tuple[str, float]]:
    """Permutation importance on the test part: what the exported model's score loses on average when a feature's
    values are shuffled among the rows.

    The score is rocAuc for two classes with probabilities, f1Macro for other classifiers, r2 for regressions.

    Args:
        held_out: The test rows as tensors, at most 2,000 of which are used.
        truth: Class indices or numbers, [rows].

    Returns:
        The twenty most important features with the loss, the largest first.
    """
    manifest = predictor.manifest
    random = np.random.default_rng(seed)
    rows = random.permutation(len(truth))[:_IMPORTANCE_ROWS]
    arrays, truth = typed(manifest, [array[rows] for array in held_out]), truth[rows]
    whole = _score(predictor, arrays, truth)
    losses: list[tuple[str, float]] = []
    for number, tensor in enumerate(manifest.tensors):
        for at, name in enumerate(tensor.features):
            shuffled = [array.copy() if number == turn else array for turn, array in enumerate(arrays)]
            scores = []
            for _ in range(_REPEATS):
                shuffled[number][:, at] = random.permutation(arrays[number][:, at])
                scores.append(_score(predictor, shuffled, truth))
            losses.append((name, whole - float(np.mean(scores))))
    return sorted((loss for loss in losses if np.isfinite(loss[1])), key=lambda loss: -loss[1])[:_IMPORTANT]


def _score(predictor: Predictor, arrays: Sequence[NDArray[Any]], truth: NDArray[Any]) -> float:
    manifest, found = predictor.manifest, predictor.model.predict(arrays)
    values = manifest.prediction.values
    if values is None:
        return float(r2_score(truth, found.raw))
    if found.probabilities is not None and len(values) == 2 and len(np.unique(truth)) == 2:
        return float(roc_auc_score(truth, found.probabilities[:, 1]))
    predicted = [values.index(value) for value in decide(manifest, found)]
    return float(f1_score(truth, predicted, average="macro", zero_division=0))
