"""Learning and judging: threshold on folds, fit on the training part, one evaluation on the test part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from redstart.api.v1alpha1.training_job import TrainingJobSpec
from redstart.artifacts.manifest import Label, Threshold
from redstart.trainer import evaluation, gates, preprocessing
from redstart.trainer.errors import TrainingError, reported
from redstart.trainer.evaluation import Scores
from redstart.trainer.fitting import (
    Learnable,
    choose_threshold,
    fit,
    forget_names,
    in_parallel,
    scores,
    with_class_indices,
)
from redstart.trainer.gates import GateResult
from redstart.trainer.preparing import Prepared, part_of
from redstart.trainer.progress import Progress, say

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_VOTERS = ("sklearn.ensemble._forest", "sklearn.ensemble._bagging", "sklearn.tree", "sklearn.neighbors")
_ABOVE_HALF = 0.50001


@dataclass(frozen=True)
class Trained:
    """The evaluated pipeline, and the decision threshold that goes with it."""

    pipeline: Pipeline
    threshold: Threshold | None
    scores: Scores
    gates: list[GateResult]


def train(prepared: Prepared, spec: TrainingJobSpec, estimator: Any, progress: Progress) -> Trained:
    """Choose the threshold on folds, fit on the training part, and evaluate once on the test part.

    Raises:
        TrainingError: FitFailed, ThresholdImpossible, MetricUndefined, ...
    """
    classes = prepared.target.classes
    estimator = with_class_indices(in_parallel(estimator), classes)
    pipeline = preprocessing.build(prepared.roles, spec.prepare.model, estimator)
    positive = evaluation.positive_class(spec.evaluation, classes) if classes else None
    threshold = _threshold(prepared, spec, pipeline, positive, progress)
    fitted = fit(
        pipeline,
        prepared.train.learnable,
        lambda done: progress.moving(55, 65, f"fitting on {prepared.train.rows:,} rows", done),
    )
    progress.step(65, f"evaluating on {prepared.test.rows:,} rows")
    with reported("PredictFailed", f"{spec.algorithm.estimator} cannot predict the held-out rows"):
        judged = _judge(fitted, prepared.test.learnable, threshold, classes, positive)
    say("evaluate", ", ".join(f"{name} {value:.4g}" for name, value in judged.metrics.items()))
    return Trained(fitted, threshold, judged, gates.evaluate(spec.gates, judged.metrics))


def _judge(
    fitted: Pipeline,
    test: Learnable,
    threshold: Threshold | None,
    classes: Sequence[Label],
    positive: int | None,
) -> Scores:
    predicted = np.asarray(fitted.predict(test.matrix)).reshape(-1)
    if not classes:
        return evaluation.regression(test.target, predicted)
    found = scores(fitted, test.matrix)
    if threshold is not None and found is not None:
        yes = found[:, threshold.positive] >= threshold.value
        predicted = np.where(yes, threshold.positive, 1 - threshold.positive)
    return evaluation.classification(test.target, predicted, found, classes, positive)


def _threshold(
    prepared: Prepared, spec: TrainingJobSpec, pipeline: Pipeline, positive: int | None, progress: Progress
) -> Threshold | None:
    wanted = spec.evaluation.threshold
    if wanted is None:
        return _tie_break(pipeline, prepared)
    if positive is None or len(prepared.target.classes) != 2:
        raise TrainingError(
            "ThresholdImpossible",
            f"evaluation.threshold: needs two classes, the target has {len(prepared.target.classes)}",
        )
    if not hasattr(pipeline[-1], "predict_proba"):
        raise TrainingError(
            "ThresholdImpossible", f"evaluation.threshold: {spec.algorithm.estimator} gives no probabilities"
        )
    if wanted.value is not None:
        return Threshold(positive, wanted.value)
    value = choose_threshold(
        pipeline,
        prepared.train.learnable,
        spec.split,
        metric=wanted.maximize or "f1",
        positive=positive,
        watch=lambda fold, count, done: progress.moving(
            20 + 35 * (fold - 1) // count, 20 + 35 * fold // count, f"fitting fold {fold} of {count}", done
        ),
    )
    say("threshold", f"{value:.4f} maximizes {wanted.maximize} on {spec.split.validation.folds} folds")
    return Threshold(positive, value)


def _tie_break(pipeline: Pipeline, prepared: Prepared) -> Threshold | None:
    """The estimator's own rule for two classes, where its probabilities are shares of votes: a tie is the first class.
    In float32 a share of one half comes out a little above or below, so the rule is written a little above."""
    votes = type(pipeline[-1]).__module__.startswith(_VOTERS)
    return Threshold(1, _ABOVE_HALF) if votes and len(prepared.target.classes) == 2 else None


def refitted(prepared: Prepared, pipeline: Pipeline, spec: TrainingJobSpec, progress: Progress) -> Pipeline:
    """The pipeline to export: the evaluated one, or with `refit: All` one fitted again on every row."""
    if spec.algorithm.refit == "All":
        every = np.arange(prepared.rows.height)
        part = part_of(prepared.rows, prepared.roles, prepared.target, every, spec)
        pipeline = fit(
            pipeline,
            part.learnable,
            lambda done: progress.moving(67, 70, f"fitting again on all {len(every):,} rows", done),
        )
    forget_names(pipeline)
    if "n_jobs" in pipeline[-1].get_params() and "n_jobs" not in spec.algorithm.parameters:
        # This pod's processors are no property of the model.
        pipeline[-1].set_params(n_jobs=None)
    return pipeline
