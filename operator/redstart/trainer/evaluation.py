"""Metrics on the held-out rows. A metric that is not defined on them is absent, never a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    classification_report,
    confusion_matrix,
    f1_score,
    mean_absolute_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)

from redstart.api.v1alpha1.training_job import Evaluation
from redstart.artifacts import cells
from redstart.artifacts.description import label_text
from redstart.artifacts.manifest import Label
from redstart.trainer.columns import did_you_mean
from redstart.trainer.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """Metrics by name, and for classifiers the report and the confusion matrix, by class as text."""

    metrics: dict[str, float]
    report: dict[str, Any] | None = None
    confusion: dict[str, Any] | None = None


def positive_class(evaluation: Evaluation, classes: Sequence[Label]) -> int | None:
    """The index of the class that precision, recall, f1 and the threshold are about: by default the greater of two
    classes, none of several.

    Raises:
        TrainingError: PositiveClassUnknown.
    """
    names = [label_text(label) for label in classes]
    if evaluation.positive_class is None:
        return 1 if len(classes) == 2 else None
    # Classes are written as the file has them (1.0, True), or as they are read (1, true).
    wanted = cells.category(evaluation.positive_class, names)
    if wanted not in names:
        hint = did_you_mean(evaluation.positive_class, names) or f"; there are {', '.join(names[:20])}"
        raise TrainingError(
            "PositiveClassUnknown",
            f"evaluation.positiveClass: the target has no class {evaluation.positive_class}{hint}",
        )
    return names.index(wanted)


def classification(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    scores: NDArray[np.float64] | None,
    classes: Sequence[Label],
    positive: int | None,
) -> Scores:
    """Score a classifier.

    Args:
        truth: Class indices, [rows].
        predicted: Class indices after the threshold, [rows].
        scores: Probabilities or decision values, [rows, classes], or [rows] for the second of two classes.
        positive: Index of the class that precision, recall and f1 are about, if any.
    """
    labels = np.arange(len(classes))
    names = [label_text(label) for label in classes]
    found: dict[str, float | None] = {
        "accuracy": float(accuracy_score(truth, predicted)),
        "rocAuc": _roc_auc(truth, scores, len(classes)),
    }
    # With NaN for what is undefined, a mean over the classes is undefined as soon as one class is.
    for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        each = score(truth, predicted, average=None, zero_division=np.nan)
        found[f"{name}Macro"] = float(np.mean(each))
        if positive is not None:
            found[name] = float(
                score(truth, predicted, average=None, labels=[positive], zero_division=np.nan)[0]
            )
    table = confusion_matrix(truth, predicted, labels=labels)
    report = classification_report(
        truth, predicted, labels=labels, target_names=names, output_dict=True, zero_division=0
    )
    return Scores(_defined(found), report, {"labels": names, "counts": table.tolist()})


def regression(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> Scores:
    """Score a regressor; truth and predicted are [rows] in the target's units."""
    found: dict[str, float | None] = {
        "mae": float(mean_absolute_error(truth, predicted)),
        "rmse": float(root_mean_squared_error(truth, predicted)),
        "r2": float(r2_score(truth, predicted)) if len(truth) > 1 and np.ptp(truth) > 0 else None,
    }
    return Scores(_defined(found))


def _roc_auc(truth: NDArray[np.int64], scores: NDArray[np.float64] | None, classes: int) -> float | None:
    if scores is None or len(np.unique(truth)) < classes:
        return None
    if classes == 2:
        return float(roc_auc_score(truth, scores[:, 1] if scores.ndim == 2 else scores))
    # One class against the rest, class by class: this also takes decision values, which do not sum to one.
    areas = [roc_auc_score(truth == index, scores[:, index]) for index in range(classes)]
    return float(np.mean(areas))


def _defined(found: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in found.items() if value is not None and np.isfinite(value)}


def best_threshold(truth: NDArray[np.bool_], probability: NDArray[np.float64], metric: str) -> float:
    """The threshold that maximizes a metric; of several the one nearest to 0.5, always half-way between two
    probabilities that occur, or the greatest and 1, so that no row lies on it.

    Args:
        truth: Whether each row is of the positive class, [rows].
        probability: Of the positive class, predicted by a model that did not see the row, [rows].
        metric: f1, accuracy or f1Macro.
    """
    order = np.argsort(-probability, kind="stable")
    ranked, hits = probability[order], truth[order]
    # How many rows are predicted positive: none, or all down to one of the probabilities that occur.
    taken = np.concatenate([[0], np.flatnonzero(np.diff(ranked)) + 1, [len(ranked)]])
    if ranked[0] >= 1.0:
        taken = taken[1:]
    true_positive = np.append(0, np.cumsum(hits))[taken].astype(float)
    false_positive = taken - true_positive
    positives, rows = float(truth.sum()), float(len(truth))
    false_negative = positives - true_positive
    true_negative = rows - positives - false_positive
    f1 = 2 * true_positive / np.maximum(1, 2 * true_positive + false_positive + false_negative)
    f1_negative = 2 * true_negative / np.maximum(1, 2 * true_negative + false_positive + false_negative)
    value = {
        "f1": f1,
        "accuracy": (true_positive + true_negative) / rows,
        "f1Macro": (f1 + f1_negative) / 2,
    }[metric]
    bounds = np.concatenate([[1.0], ranked, [0.0]])
    cuts = (bounds[taken] + bounds[taken + 1]) / 2
    best = np.flatnonzero(value >= value.max() - 1e-12)
    return float(cuts[best[np.argmin(np.abs(cuts[best] - 0.5))]])
