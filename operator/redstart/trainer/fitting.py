"""Fits the pipeline, and chooses the threshold on rows that the model did not see."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import polars as pl
from sklearn.base import clone

from redstart.api.v1alpha1.training_job import Split
from redstart.artifacts import cells
from redstart.artifacts.description import label_text
from redstart.artifacts.manifest import Label
from redstart.artifacts.predictor import side_by_side
from redstart.trainer.errors import TrainingError, last_line, reported
from redstart.trainer.evaluation import best_threshold
from redstart.trainer.members import Members
from redstart.trainer.progress import say
from redstart.trainer.splitting import folds

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline


Matrix = Any
"""A float64 array, or a polars table where there is text: in an array each number would be an object of 24 bytes."""


def matrix_of(tensors: Sequence[NDArray[Any]]) -> Matrix:
    """The tensors side by side, [rows, features]."""
    if all(tensor.dtype != object for tensor in tensors):
        return side_by_side(tensors)
    columns = [column for tensor in tensors for column in tensor.T]
    return pl.DataFrame(
        [
            pl.Series(str(at), column.tolist(), pl.String)
            if column.dtype == object
            else pl.Series(str(at), column)
            for at, column in enumerate(columns)
        ]
    )


def forget_names(step: Any) -> None:
    """Columns are told apart by their places: a table's names are theirs only, and whoever asks sends an array."""
    vars(step).pop("feature_names_in_", None)
    for _, inner, *_ in getattr(step, "steps", getattr(step, "transformers_", ())):
        if not isinstance(inner, str):
            forget_names(inner)


@dataclass(frozen=True)
class Learnable:
    """The rows of one part, in the form in which a pipeline takes them: `matrix` [rows, features] (numbers, then
    categories), `target` [rows] of class indices or numbers, `groups` [rows] where the split has them."""

    matrix: Matrix
    target: NDArray[Any]
    groups: NDArray[Any] | None = None


Watch = Callable[[Callable[[float], float | None]], AbstractContextManager[None]]
"""Shows what is done of a fit while it lasts; see Progress.moving."""


def fit(pipeline: Pipeline, part: Learnable, watch: Watch | None = None) -> Pipeline:
    """Fit a copy of the pipeline.

    Raises:
        TrainingError: FitFailed, with the last line of the exception.
    """
    fitted = clone(pipeline)
    members = Members(fitted[-1])
    with (
        members.counted(),
        watch(members.done) if watch else nullcontext(),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        with reported("FitFailed", f"{type(fitted[-1]).__name__} could not be fitted"):
            fitted.fit(part.matrix, part.target)
    for text in sorted(
        {f"{type(w.message).__name__}: {str(w.message).splitlines()[0]}" for w in caught if str(w.message)}
    ):
        say("warning", text)
    return fitted


def in_parallel(estimator: Any) -> Any:
    """Let forests use the processors of this pod, as threads (other estimators would start processes). The result
    does not depend on how many there are."""
    if (
        type(estimator).__module__ == "sklearn.ensemble._forest"
        and estimator.get_params().get("n_jobs", 0) is None
    ):
        # Two at least: joblib fits one after another without saying so, where there is one.
        estimator.set_params(n_jobs=max(2, joblib.cpu_count()))
    return estimator


def with_class_indices(estimator: Any, classes: Sequence[Label]) -> Any:
    """Classifiers learn class indices; a `class_weight` by label becomes one by index.

    Raises:
        TrainingError: ParameterInvalid, when it names no class.
    """
    weights = estimator.get_params().get("class_weight")
    if isinstance(weights, dict):
        names = [label_text(label) for label in classes]
        # Classes are written as the file has them (1.0, True), or as they are read (1, true).
        read = {cells.category(str(key), names): weight for key, weight in weights.items()}
        if unknown := [name for name in read if name not in names]:
            raise TrainingError(
                "ParameterInvalid",
                f"algorithm.parameters.class_weight: the target has no class {unknown[0]}; "
                f"there are {', '.join(names[:20])}",
            )
        estimator.set_params(class_weight={names.index(name): weight for name, weight in read.items()})
    return estimator


def scores(pipeline: Pipeline, matrix: Matrix) -> NDArray[np.float64] | None:
    """Probabilities [rows, classes], or decision values, or None where the estimator has neither of each class."""
    model = pipeline[-1]
    pairwise = model.get_params().get("decision_function_shape") == "ovo" and len(model.classes_) > 2
    for method in ("predict_proba",) if pairwise else ("predict_proba", "decision_function"):
        if hasattr(pipeline, method):
            return np.asarray(getattr(pipeline, method)(matrix), dtype=np.float64)
    return None


def choose_threshold(
    pipeline: Pipeline,
    part: Learnable,
    spec: Split,
    *,
    metric: str,
    positive: int,
    watch: Callable[[int, int, Callable[[float], float | None]], AbstractContextManager[None]],
) -> float:
    """The threshold that maximizes `metric` on out-of-fold predictions of the training part.

    Args:
        watch: Called with (fold, folds, what is done) for each fold; see Progress.moving.

    Raises:
        TrainingError: ThresholdImpossible or FitFailed.
    """
    count = spec.validation.folds
    probability = np.full(len(part.target), np.nan)
    try:
        pairs = list(folds(spec, part.target, part.groups))
    except ValueError as error:
        raise TrainingError("ThresholdImpossible", f"split.validation.folds: {last_line(error)}") from error
    for number, (train, held) in enumerate(pairs, start=1):
        fitted = fit(
            pipeline, Learnable(part.matrix[train], part.target[train]), partial(watch, number, count)
        )
        known = list(fitted.classes_)
        with reported("PredictFailed", f"{type(fitted[-1]).__name__} cannot predict held-out rows"):
            found = fitted.predict_proba(part.matrix[held])
        probability[held] = found[:, known.index(positive)] if positive in known else 0.0
    seen = ~np.isnan(probability)
    truth = part.target[seen] == positive
    if not truth.any() or truth.all():
        raise TrainingError(
            "ThresholdImpossible",
            "evaluation.threshold: the folds hold rows of one class only; use fewer folds",
        )
    return best_threshold(truth, probability[seen], metric)
