"""Exports the fitted pipeline: ONNX where the graph answers as the pipeline does, Skops where it does not."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import msgspec

from redstart.artifacts.manifest import MODEL_FILES, Format, Manifest
from redstart.artifacts.predictor import Predictions, SklearnModel, load_model
from redstart.trainer import convert
from redstart.trainer.convert import Outcome, Request
from redstart.trainer.errors import TrainingError, reported
from redstart.trainer.parity import Difference, compare, disturbed

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIME_LIMIT = 120.0
"""Seconds for all attempts at ONNX."""


class Conversion(msgspec.Struct, frozen=True, rename="camel"):
    """How the pipeline was exported and why; `differing` are rows on which the exported model differs."""

    format: Format
    reason: str
    largest_difference: float | None = None
    differing: list[Difference] = []


@dataclass(frozen=True)
class Exported:
    """The model's file, the manifest with the tensors and outputs that go with it, and how it came about."""

    content: bytes
    manifest: Manifest
    conversion: Conversion


def export(
    pipeline: Any,
    draft: Manifest,
    held_out: Sequence[NDArray[Any]],
    deviation: float | None,
    allowed: Sequence[str],
) -> Exported:
    """Export in the draft's format, or in Skops where ONNX would not be exact.

    Args:
        draft: With inputs, tensors (of doubles), outputs and threshold; without files.
        held_out: The test rows as tensors.
        deviation: Standard deviation of a regression's target; None for classifiers.
        allowed: Formats that may be written.

    Raises:
        TrainingError: FormatNotAllowed or ExportFailed.
    """
    if draft.format != "ONNX":
        return _as_pipeline(pipeline, draft, held_out, deviation, "asked for by output.format")
    reason = denied(pipeline[-1])
    if reason is None:
        exported, reason = _as_onnx(pipeline, draft, held_out, deviation)
        if exported is not None:
            return exported
    if "Skops" not in allowed:
        raise TrainingError(
            "FormatNotAllowed", f"output.format: no exact ONNX form ({reason}), and Skops is not allowed here"
        )
    return _as_pipeline(pipeline, msgspec.structs.replace(draft, format="Skops"), held_out, deviation, reason)


def denied(estimator: Any) -> str | None:
    """Why this fitted estimator must not become ONNX, if it is known to be wrong with the pinned libraries. The check
    of every export is the rule; this saves its time."""
    name, parameters = type(estimator).__name__, estimator.get_params()
    if name == "LinearDiscriminantAnalysis" and len(estimator.classes_) == 2:
        return f"{name} with two classes: its ONNX form gives other probabilities"
    categorical = parameters.get("categorical_features")
    if name.startswith("HistGradientBoosting") and categorical not in (None, "from_dtype"):
        return f"{name} with categorical_features: its ONNX form gives other answers"
    return None


def _as_onnx(
    pipeline: Any, draft: Manifest, held_out: Sequence[NDArray[Any]], deviation: float | None
) -> tuple[Exported | None, str]:
    trained = SklearnModel(pipeline, draft.probabilities is not None)
    checks = [check for check in (list(held_out), disturbed(held_out, draft.inputs)) if check]
    with reported(
        "PredictFailed", f"{type(pipeline[-1]).__name__} cannot answer rows with missing or unseen values"
    ):
        expected = [trained.predict(check) for check in checks]
    request = Request(pipeline, draft, checks, expected, deviation)
    with tempfile.TemporaryDirectory(prefix="convert-") as name:
        folder = Path(name)
        joblib.dump(request, folder / convert.REQUEST)
        ended = _run(folder)
        outcome = _outcome(folder)
        if not outcome.outputs:
            return None, _why_not(outcome, ended)
        content = (folder / convert.MODEL).read_bytes()
    manifest = msgspec.structs.replace(draft, tensors=outcome.tensors, outputs=outcome.outputs)
    last = outcome.attempts[-1]
    if last.verdict is None:
        raise ValueError("an exact graph has a verdict")
    rows = sum(len(check[0]) for check in checks)
    reason = f"answers as scikit-learn does on {last.verdict.agreeing:.2%} of {rows:,} rows"
    if last.kind == "double":
        reason += ", in double precision"
    conversion = Conversion("ONNX", reason, last.verdict.largest_difference, last.verdict.listed)
    return Exported(content, manifest, conversion), reason


def _run(folder: Path) -> str:
    """Run the conversion; "" or why it did not end well."""
    command = [sys.executable, "-m", convert.__name__, str(folder)]
    try:
        done = subprocess.run(command, timeout=TIME_LIMIT, capture_output=True, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"the conversion took more than {TIME_LIMIT:g} s"
    if done.returncode == 0:
        return ""
    if done.returncode < 0:
        return f"the conversion was ended by signal {-done.returncode}"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"the conversion ended with {done.returncode}"


def _outcome(folder: Path) -> Outcome:
    path = folder / convert.OUTCOME
    return msgspec.json.decode(path.read_bytes(), type=Outcome) if path.exists() else Outcome([])


def _why_not(outcome: Outcome, ended: str) -> str:
    reasons = []
    for attempt in outcome.attempts:
        if attempt.verdict is not None:
            reasons.append(
                f"{attempt.kind}: differs by up to {attempt.verdict.largest_difference:.2g}, "
                f"agrees on {attempt.verdict.agreeing:.2%} of rows"
            )
        else:
            reasons.append(f"{attempt.kind}: {attempt.error}")
    if ended:
        reasons.append(ended)
    return "no exact ONNX form: " + "; ".join(dict.fromkeys(reasons))


def _as_pipeline(
    pipeline: Any, draft: Manifest, held_out: Sequence[NDArray[Any]], deviation: float | None, reason: str
) -> Exported:
    what = f"{type(pipeline[-1]).__name__} as {MODEL_FILES[draft.format]}"
    with reported("ExportFailed", what):
        content = _as_skops(pipeline) if draft.format == "Skops" else _as_joblib(pipeline)
        found = load_model(content, draft).predict(held_out)
    expected: Predictions = SklearnModel(pipeline, draft.probabilities is not None).predict(held_out)
    verdict = compare(draft, [(expected, found)], deviation)
    if not verdict.exact:
        raise TrainingError(
            "ExportFailed", f"the model read back differs by up to {verdict.largest_difference:.2g}"
        )
    return Exported(
        content, draft, Conversion(draft.format, reason, verdict.largest_difference, verdict.listed)
    )


def _as_skops(pipeline: Any) -> bytes:
    # Most runs export ONNX and need not pay for the import.
    from redstart.artifacts.skops_file import dump_pipeline  # noqa: PLC0415

    return dump_pipeline(pipeline)


def _as_joblib(pipeline: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(pipeline, buffer)
    return buffer.getvalue()
