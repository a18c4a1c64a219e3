"""Answers decoded rows with the model, and tells a model's fault from a client's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from redstart.artifacts.manifest import Label, Manifest
from redstart.artifacts.predictor import Model, decide, load_model
from redstart.server.loading import Artifact, LoadError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ModelError(Exception):
    """The model failed on rows that were in order."""


class InvalidOutputError(ModelError):
    """The model answered with a number that is not finite."""


class Answers(NamedTuple):
    """One entry for each row; `probabilities` in the order of the prediction's `values`."""

    predictions: list[Label]
    probabilities: list[list[float]] | None


def load(artifact: Artifact) -> Model:
    """Load the artifact's model.

    Raises:
        LoadError: ModelNotLoaded.
    """
    try:
        return load_model(artifact.model_path.read_bytes(), artifact.manifest)
    except Exception as error:  # each format's library raises its own, without a common base
        raise LoadError("ModelNotLoaded", f"{artifact.model_path.name}: {first_line(error)}") from error


def answer(manifest: Manifest, model: Model, tensors: Sequence[NDArray[Any]]) -> Answers:
    """Answer rows, one array for each of the manifest's tensors, in order.

    Raises:
        ModelError: the model failed. InvalidOutputError: it answered with NaN or infinity.
    """
    try:
        found = model.predict(tensors)
    except Exception as error:
        raise ModelError(first_line(error)) from error
    raw, probabilities = found.raw, found.probabilities
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise InvalidOutputError("the prediction is not finite")
    if probabilities is not None and not np.isfinite(probabilities).all():
        raise InvalidOutputError("a probability is not finite")
    try:
        predictions = decide(manifest, found)
    except (IndexError, TypeError) as error:
        raise ModelError(f"no class for what the model answered: {first_line(error)}") from error
    return Answers(predictions, None if probabilities is None else probabilities.tolist())


def first_line(error: BaseException, limit: int = 300) -> str:
    """The first line of an exception's text, cut to a length fit for an answer."""
    text = str(error).strip().split("\n", 1)[0] or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."
