"""Answers raw rows with an artifact, as the manifest's docstring says; the one reading of it that trainer, verifier
and server share.

A model is loaded from bytes whose digest was checked before. ONNX and Skops hold no code; Joblib does.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from redstart.artifacts import cells
from redstart.artifacts.cells import CellError
from redstart.artifacts.manifest import Answer, Input, Label, Manifest, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row = Mapping[str, Any]

_TYPES: dict[str, Any] = {"float": np.float32, "double": np.float64, "string": object}


class RowError(ValueError):
    """A row that the model cannot take: `field` of row `row` (counted from 0), and what is wrong with it."""

    def __init__(self, row: int, field: str, message: str) -> None:
        super().__init__(f"rows[{row}].{field}: {message}")
        self.row = row
        self.field = field


@dataclass(frozen=True)
class Predictions:
    """For each row the class (an index, or the label itself) or the number, and where there are any the
    probabilities, [rows, classes]."""

    raw: NDArray[Any]
    probabilities: NDArray[np.float64] | None


class Model(Protocol):
    """A loaded model: tensors in the manifest's order to predictions."""

    def predict(self, tensors: Sequence[NDArray[Any]]) -> Predictions:
        """Predict all rows."""


@dataclass(frozen=True)
class OnnxModel:
    """A graph in an ONNX Runtime session."""

    session: Any
    feeds: list[str]
    fetches: list[str]

    def predict(self, tensors: Sequence[NDArray[Any]]) -> Predictions:
        """Run the graph once."""
        found = self.session.run(self.fetches, dict(zip(self.feeds, tensors, strict=True)))
        return Predictions(found[0].reshape(-1), found[1].astype(np.float64) if len(found) > 1 else None)


@dataclass(frozen=True)
class SklearnModel:
    """A scikit-learn pipeline over one matrix."""

    pipeline: Any
    probabilities: bool

    def predict(self, tensors: Sequence[NDArray[Any]]) -> Predictions:
        """Call predict, and predict_proba where the manifest names probabilities."""
        matrix = side_by_side(tensors)
        proba = self.pipeline.predict_proba(matrix) if self.probabilities else None
        return Predictions(
            np.asarray(self.pipeline.predict(matrix)).reshape(-1),
            None if proba is None else np.asarray(proba, dtype=np.float64),
        )


@dataclass(frozen=True)
class Predictor:
    """An artifact, ready to answer."""

    manifest: Manifest
    model: Model

    def answer(self, rows: Sequence[Row]) -> list[Answer]:
        """Answer raw rows, each a mapping from input name to JSON value.

        Raises:
            RowError: a row that does not fit the manifest's inputs.
        """
        return self.answers(tensors(self.manifest, rows)) if rows else []

    def answers(self, arrays: Sequence[NDArray[Any]]) -> list[Answer]:
        """Answer rows that are tensors already."""
        found = self.model.predict(arrays)
        predictions = decide(self.manifest, found)
        if found.probabilities is None:
            return [Answer(prediction) for prediction in predictions]
        return [
            Answer(prediction, row)
            for prediction, row in zip(predictions, found.probabilities.tolist(), strict=True)
        ]


def load(folder: Path, manifest: Manifest) -> Predictor:
    """Load the model of a verified artifact.

    Raises:
        ValueError: the model is not what the manifest says.
    """
    content = (folder / manifest.model_file).read_bytes()
    return Predictor(manifest, load_model(content, manifest))


def load_model(content: bytes, manifest: Manifest) -> Model:
    """Load a model from its file's bytes."""
    if manifest.format == "ONNX":
        return _load_onnx(content, manifest)
    # A server of an ONNX model must not pay for scikit-learn, in memory or in start.
    if manifest.format == "Skops":
        from redstart.artifacts.skops_file import load_pipeline  # noqa: PLC0415

        return SklearnModel(load_pipeline(content), manifest.probabilities is not None)
    import joblib  # noqa: PLC0415

    return SklearnModel(joblib.load(io.BytesIO(content)), manifest.probabilities is not None)


def _load_onnx(content: bytes, manifest: Manifest) -> OnnxModel:
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = (
        4  # what fails is raised and told by us; 3 prints a line for each such request
    )
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    feeds = [tensor.name for tensor in manifest.tensors]
    fetches = [output.tensor for output in manifest.outputs]
    if missing := {node.name for node in session.get_inputs()} ^ set(feeds):
        raise ValueError(
            f"the graph's inputs and the manifest's tensors differ: {', '.join(sorted(missing))}"
        )
    if unknown := set(fetches) - {node.name for node in session.get_outputs()}:
        raise ValueError(f"the graph has no output {', '.join(sorted(unknown))}")
    return OnnxModel(session, feeds, fetches)


def decide(manifest: Manifest, found: Predictions) -> list[Label]:
    """The predictions as JSON values, with the threshold applied."""
    output, threshold = manifest.prediction, manifest.threshold
    if threshold is not None and found.probabilities is not None and output.values is not None:
        yes, no = output.values[threshold.positive], output.values[1 - threshold.positive]
        return [yes if high else no for high in found.probabilities[:, threshold.positive] >= threshold.value]
    if output.indexed and output.values is not None:
        return [output.values[index] for index in found.raw.tolist()]
    labels: list[Label] = found.raw.tolist()
    return labels


def tensors(manifest: Manifest, rows: Sequence[Row]) -> list[NDArray[Any]]:
    """The arrays that the model takes, from raw rows.

    Raises:
        RowError: a field that is missing, unknown, or of another type.
    """
    inputs = {feature.name: feature for feature in manifest.inputs}
    for index, row in enumerate(rows):
        for name in row.keys() - inputs.keys():
            raise RowError(index, name, "is no input of the model")
    return [_tensor(tensor, inputs, rows) for tensor in manifest.tensors]


def _tensor(tensor: Tensor, inputs: Mapping[str, Input], rows: Sequence[Row]) -> NDArray[Any]:
    array = np.empty((len(rows), len(tensor.features)), dtype=_TYPES[tensor.type])
    for column, name in enumerate(tensor.features):
        feature = inputs[name]
        for index, row in enumerate(rows):
            value = row.get(name)
            if value is None:
                array[index, column] = _missing(feature, index)
            elif tensor.type == "string":
                array[index, column] = _category(feature, value, index)
            else:
                array[index, column] = _number(feature, value, index)
    return array


def _missing(feature: Input, index: int) -> float | str:
    if not feature.nullable:
        raise RowError(index, feature.name, "is required")
    return "" if feature.type == "Category" else math.nan


def _number(feature: Input, value: object, index: int) -> float:
    if isinstance(value, str):
        try:
            value = cells.number(value)
        except CellError as error:
            raise RowError(index, feature.name, f"must be a number, not {error}") from None
        if value is None:
            return float(_missing(feature, index))
    if not isinstance(value, int | float):
        raise RowError(index, feature.name, f"must be a number, not {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not abs(number) <= cells.LARGEST:
        raise RowError(index, feature.name, "is too large")
    return number


def _category(feature: Input, value: object, index: int) -> str:
    if not isinstance(value, str | int | float):
        raise RowError(index, feature.name, f"must be a string, not {type(value).__name__}")
    try:
        text = cells.category(value, feature.values or ())
    except CellError as error:
        raise RowError(index, feature.name, f"must be a string, not {error}") from None
    if text == "":
        return str(_missing(feature, index))
    if feature.closed and feature.values is not None and text not in feature.values:
        known = ", ".join(feature.values[:20])
        raise RowError(index, feature.name, f"{text!r} was not among the training values: {known}")
    return text


def typed(manifest: Manifest, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Arrays in the manifest's order as the types that its tensors name."""
    return [
        array.astype(_TYPES[tensor.type], copy=False)
        for tensor, array in zip(manifest.tensors, arrays, strict=True)
    ]


def side_by_side(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The one matrix that a scikit-learn pipeline takes: float64, or dtype object when a tensor holds strings."""
    if any(array.dtype == object for array in arrays):
        # Each number stays a Python float: scikit-learn reads them back without going through text.
        return np.hstack([array.astype(object) for array in arrays])
    return np.hstack(arrays).astype(np.float64)
