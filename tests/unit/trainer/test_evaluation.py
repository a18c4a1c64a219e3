"""Metrics are scikit-learn's where they are defined, and absent where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from redstart.api.v1alpha1.training_job import Evaluation
from redstart.artifacts.manifest import Label
from redstart.trainer.errors import TrainingError
from redstart.trainer.evaluation import best_threshold, classification, positive_class, regression
from redstart.trainer.fitting import scores


def test_two_classes_as_scikit_learn_scores_them() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 300)
    scores = np.clip(truth * 0.4 + random.random(300) * 0.6, 0, 1)
    probabilities = np.column_stack([1 - scores, scores])
    predicted = (scores > 0.5).astype(int)
    found = classification(truth, predicted, probabilities, ["no", "yes"], 1)
    assert found.metrics == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, predicted),
            "precision": metrics.precision_score(truth, predicted),
            "recall": metrics.recall_score(truth, predicted),
            "f1": metrics.f1_score(truth, predicted),
            "precisionMacro": metrics.precision_score(truth, predicted, average="macro"),
            "recallMacro": metrics.recall_score(truth, predicted, average="macro"),
            "f1Macro": metrics.f1_score(truth, predicted, average="macro"),
            "rocAuc": metrics.roc_auc_score(truth, scores),
        }
    )
    assert found.confusion == {
        "labels": ["no", "yes"],
        "counts": metrics.confusion_matrix(truth, predicted).tolist(),
    }
    assert found.report is not None
    assert found.report["yes"]["recall"] == pytest.approx(found.metrics["recall"])


def test_the_positive_class_may_be_the_first() -> None:
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    found = classification(truth, predicted, None, ["fault", "fine"], 0)
    assert (found.metrics["precision"], found.metrics["recall"]) == (1.0, 0.5)
    assert "rocAuc" not in found.metrics


def test_several_classes_as_scikit_learn_scores_them() -> None:
    features, truth = load_wine(return_X_y=True)
    model = LogisticRegression(max_iter=50).fit(features[:, :2], truth)
    predicted, probabilities = model.predict(features[:, :2]), model.predict_proba(features[:, :2])
    found = classification(truth, predicted, probabilities, [0, 1, 2], None)
    assert found.metrics["f1Macro"] == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    expected = metrics.roc_auc_score(truth, probabilities, multi_class="ovr")
    assert found.metrics["rocAuc"] == pytest.approx(expected)
    assert not {"f1", "precision", "recall"} & set(found.metrics)
    one = classification(truth, predicted, probabilities, [0, 1, 2], 2)
    assert one.metrics["f1"] == pytest.approx(metrics.f1_score(truth, predicted, average=None)[2])


@pytest.mark.parametrize(
    ("truth", "predicted", "absent"),
    [
        pytest.param([0, 0, 1], [0, 0, 0], {"precision", "precisionMacro"}, id="nothing predicted positive"),
        pytest.param([0, 0, 0], [0, 0, 1], {"recall", "recallMacro", "rocAuc"}, id="nothing positive"),
        pytest.param([0, 0, 0], [0, 0, 0], {"precision", "recall", "f1", "rocAuc"}, id="neither"),
    ],
)
def test_an_undefined_metric_is_absent(truth: list[int], predicted: list[int], absent: set[str]) -> None:
    scores = np.array([[0.5, 0.5]] * 3)
    found = classification(np.array(truth), np.array(predicted), scores, [0, 1], 1)
    everything = {
        "accuracy", "precision", "recall", "f1", "precisionMacro", "recallMacro", "f1Macro", "rocAuc",
    }  # fmt: skip
    assert everything - set(found.metrics) == absent


def test_regressions_as_scikit_learn_scores_them() -> None:
    truth, predicted = np.array([1.0, 2, 4]), np.array([1.5, 2, 3])
    assert regression(truth, predicted).metrics == pytest.approx(
        {"mae": 0.5, "rmse": np.sqrt(1.25 / 3), "r2": metrics.r2_score(truth, predicted)}
    )
    assert "r2" not in regression(np.array([2.0, 2.0]), np.array([1.0, 3.0])).metrics


@pytest.mark.parametrize(
    ("name", "classes", "index"),
    [
        pytest.param(None, ["a", "b"], 1, id="the greater of two by default"),
        pytest.param(None, ["a", "b", "c"], None, id="none of three by default"),
        pytest.param("a", ["a", "b"], 0, id="by name"),
        pytest.param("1", [0, 1, 2], 1, id="a number by its text"),
        pytest.param("false", [False, True], 0, id="a boolean by its text"),
    ],
)
def test_positive_class(name: str | None, classes: list[str], index: int | None) -> None:
    assert positive_class(Evaluation(positive_class=name), classes) == index


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        pytest.param("1", [0, 1], id="as it is read"),
        pytest.param("1.0", [0, 1], id="as the file has it"),
        pytest.param("True", [False, True], id="a boolean"),
    ],
)
def test_a_positive_class_is_read_as_labels_are(name: str, classes: list[Label]) -> None:
    assert positive_class(Evaluation(positive_class=name), classes) == 1


def test_an_unknown_positive_class_is_named() -> None:
    with pytest.raises(TrainingError, match="no class yess; did you mean yes"):
        positive_class(Evaluation(positive_class="yess"), ["no", "yes"])


@pytest.mark.parametrize("metric", ["f1", "accuracy", "f1Macro"])
@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better_than_the_chosen_one(metric: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.random(200) < 0.2
    probability = np.round(np.clip(truth * 0.3 + random.random(200) * 0.7, 0, 1), 2)

    def value(threshold: float) -> float:
        predicted = probability >= threshold
        if metric == "accuracy":
            return float(metrics.accuracy_score(truth, predicted))
        average = "binary" if metric == "f1" else "macro"
        return float(metrics.f1_score(truth, predicted, average=average, zero_division=0))

    chosen = best_threshold(truth, probability, metric)
    assert value(chosen) == pytest.approx(max(value(cut) for cut in np.linspace(0.0, 1.0, 401)))
    assert np.abs(probability - chosen).min() > 1e-6


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        pytest.param([0.9, 0.8, 0.7, 0.2, 0.1], 0.95, id="none is positive"),
        pytest.param([1.0, 0.8, 0.7, 0.2, 0.1], 0.45, id="no threshold is above a probability of one"),
    ],
)
def test_accuracy_may_be_best_where_nothing_is_predicted_positive(
    probability: list[float], expected: float
) -> None:
    truth = np.array([False, False, True, False, False])
    assert best_threshold(truth, np.array(probability), "accuracy") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shape", "classes", "columns"),
    [
        pytest.param("ovr", 3, 3, id="one value for each class"),
        pytest.param("ovo", 3, None, id="one for each pair of classes is none for a class"),
        pytest.param("ovo", 2, 1, id="two classes are one pair"),
    ],
)
def test_decision_values_are_scores_where_they_are_of_classes(
    shape: str, classes: int, columns: int | None
) -> None:
    features, truth = load_wine(return_X_y=True)
    features, truth = features[truth < classes], truth[truth < classes]
    found = scores(make_pipeline(SVC(decision_function_shape=shape)).fit(features, truth), features)
    assert (None if found is None else found.reshape(len(truth), -1).shape[1]) == columns
