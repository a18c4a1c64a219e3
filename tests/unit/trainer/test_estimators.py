"""Any estimator by name, and what is said of those that cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils import all_estimators

from redstart.api.v1alpha1.training_job import Algorithm
from redstart.trainer import estimators
from redstart.trainer.errors import TrainingError
from redstart.trainer.fitting import with_class_indices


def build(name: str, task: str = "Classification", **parameters: Any) -> Any:
    return estimators.build(Algorithm(estimator=name, parameters=parameters), task, 7)


def test_parameters_and_the_splits_seed_are_set() -> None:
    forest = build("RandomForestClassifier", n_estimators=20, max_depth=None)
    assert (forest.n_estimators, forest.max_depth, forest.random_state) == (20, None, 7)


def test_a_random_state_of_ones_own_is_kept() -> None:
    assert build("RandomForestClassifier", random_state=3).random_state == 3


@pytest.mark.parametrize(
    ("name", "parameter", "value", "expected"),
    [
        pytest.param("RandomForestClassifier", "max_features", "1", 1, id="one feature"),
        pytest.param("RandomForestClassifier", "max_features", "1.0", 1.0, id="all features"),
        pytest.param("RandomForestClassifier", "max_features", "sqrt", "sqrt", id="a name"),
        pytest.param("RandomForestClassifier", "max_features", 2, 2, id="two features"),
        pytest.param("RandomForestClassifier", "max_features", 0.5, 0.5, id="half of them"),
        pytest.param("RandomForestClassifier", "n_estimators", 1, 1, id="what is no share"),
        pytest.param("RandomForestClassifier", "min_samples_leaf", 1, 1, id="where 1.0 is no share"),
        pytest.param("HistGradientBoostingClassifier", "max_features", 1, 1.0, id="where 1 is no count"),
        pytest.param("HistGradientBoostingClassifier", "max_features", "1.0", 1.0, id="the same in quotes"),
        pytest.param("LogisticRegression", "C", 1, 1, id="any number"),
        pytest.param("RandomForestClassifier", "oob_score", True, True, id="a boolean"),
    ],
)
def test_a_count_and_a_share(name: str, parameter: str, value: Any, expected: Any) -> None:
    found = build(name, **{parameter: value}).get_params()[parameter]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(("kind", "task"), [("classifier", "Classification"), ("regressor", "Regression")])
def test_every_estimator_is_built_or_refused_with_a_reason(kind: str, task: str) -> None:
    refused = set()
    for name, cls in all_estimators(type_filter=kind):
        try:
            assert type(build(name, task)) is cls
        except TrainingError:
            refused.add(name)
    assert refused <= {
        "ClassifierChain", "FixedThresholdClassifier", "MultiOutputClassifier", "OneVsOneClassifier",
        "OneVsRestClassifier", "OutputCodeClassifier", "SelfTrainingClassifier", "StackingClassifier",
        "TunedThresholdClassifierCV", "VotingClassifier", "MultiOutputRegressor", "RegressorChain",
        "StackingRegressor", "VotingRegressor",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "task", "parameters", "reason", "message"),
    [
        pytest.param(
            "RandomForestClasifier", "Classification", {}, "EstimatorUnknown", "did you mean RandomForestClassifier",
            id="a misspelt name",
        ),
        pytest.param("XGBClassifier", "Classification", {}, "EstimatorUnknown", "no classifier XGB", id="not ours"),
        pytest.param(
            "Ridge", "Classification", {}, "EstimatorUnsuitable", "for task Regression", id="the other task's"
        ),
        pytest.param(
            "VotingClassifier", "Classification", {}, "EstimatorUnsuitable", "other estimators (estimators)",
            id="one made of others",
        ),
        pytest.param(
            "RandomForestClassifier", "Classification", {"n_estimator": 5}, "ParameterInvalid",
            "n_estimator: RandomForestClassifier has no such parameter; did you mean n_estimators",
            id="a misspelt parameter",
        ),
        pytest.param(
            "LinearRegression", "Regression", {"zzz": 5}, "ParameterInvalid", "it has copy_X", id="another parameter"
        ),
        pytest.param(
            "RandomForestClassifier", "Classification", {"n_estimators": -5}, "ParameterInvalid",
            "'n_estimators' parameter of RandomForestClassifier must be an int in the range [1, inf). Got -5",
            id="a value out of range",
        ),
        pytest.param(
            "RandomForestRegressor", "Regression", {"max_features": 1}, "ParameterInvalid",
            'algorithm.parameters.max_features: Kubernetes writes 1.0 as 1; write "1" or "1.0" in quotes',
            id="a 1 that may be 1.0",
        ),
        pytest.param(
            "RandomForestClassifier", "Classification", {"max_samples": "2"}, "ParameterInvalid",
            "'max_samples' parameter", id="other numbers as text",
        ),
        pytest.param(
            "SVC", "Classification", {"kernel": "rfb"}, "ParameterInvalid", "'kernel' parameter", id="no such choice"
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_built(
    name: str, task: str, parameters: dict[str, Any], reason: str, message: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        build(name, task, **parameters)
    assert caught.value.reason == reason
    assert message in str(caught.value)


def test_class_weights_are_given_by_label() -> None:
    estimator = with_class_indices(
        build("LogisticRegression", class_weight={"yes": 5, "no": 1}), ["no", "yes"]
    )
    assert estimator.class_weight == {1: 5, 0: 1}


@pytest.mark.parametrize(
    ("weights", "classes"),
    [
        pytest.param({"0.0": 1, "1.0": 5}, [0, 1], id="whole floats, as the file has them"),
        pytest.param({"False": 1, "TRUE": 5}, [False, True], id="booleans, as the file has them"),
    ],
)
def test_class_weights_are_read_as_labels_are(weights: dict[str, int], classes: list[Any]) -> None:
    estimator = with_class_indices(build("LogisticRegression", class_weight=weights), classes)
    assert estimator.class_weight == {0: 1, 1: 5}


def test_a_class_weight_of_no_class_is_named() -> None:
    with pytest.raises(TrainingError, match="class_weight: the target has no class 2; there are 0, 1"):
        with_class_indices(build("LogisticRegression", class_weight={"2": 5}), [0, 1])
