"""Any scikit-learn estimator by name, its parameters checked before any row is read."""

from __future__ import annotations

import inspect
from typing import Any

from sklearn.utils import all_estimators

from redstart.api.v1alpha1.training_job import Algorithm
from redstart.trainer.columns import did_you_mean
from redstart.trainer.errors import TrainingError, last_line

_KINDS = {"Classification": "classifier", "Regression": "regressor"}


def estimator_class(name: str, task: str) -> type:
    """The estimator of that name.

    Raises:
        TrainingError: EstimatorUnknown, with close names, or EstimatorUnsuitable.
    """
    known = dict(all_estimators(type_filter=_KINDS[task]))
    if name in known:
        return known[name]  # type: ignore[no-any-return]
    other = "Regression" if task == "Classification" else "Classification"
    if name in dict(all_estimators(type_filter=_KINDS[other])):
        raise TrainingError(
            "EstimatorUnsuitable", f"algorithm.estimator: {name} is for task {other}, the task is {task}"
        )
    hint = did_you_mean(name, list(known))
    raise TrainingError(
        "EstimatorUnknown", f"algorithm.estimator: scikit-learn has no {_KINDS[task]} {name}{hint}"
    )


def build(algorithm: Algorithm, task: str, seed: int) -> Any:
    """An unfitted estimator with its parameters, and `random_state` from the split's seed.

    Raises:
        TrainingError: EstimatorUnknown, EstimatorUnsuitable, or ParameterInvalid naming the parameter.
    """
    cls = estimator_class(algorithm.estimator, task)
    name = algorithm.estimator
    required = [
        parameter.name
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.default is inspect.Parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if required:
        raise TrainingError(
            "EstimatorUnsuitable",
            f"algorithm.estimator: {name} is built from other estimators ({', '.join(required)}), "
            "which YAML cannot hold; name the estimator itself",
        )
    estimator = cls()
    known = estimator.get_params()
    for parameter in algorithm.parameters:
        if parameter not in known:
            raise TrainingError(
                "ParameterInvalid",
                f"algorithm.parameters.{parameter}: {name} has no such parameter"
                f"{did_you_mean(parameter, list(known)) or '; it has ' + ', '.join(sorted(known))}",
            )
    estimator.set_params(**algorithm.parameters)
    if "random_state" in known and "random_state" not in algorithm.parameters:
        estimator.set_params(random_state=seed)
    try:
        estimator._validate_params()
    except ValueError as error:
        raise TrainingError("ParameterInvalid", f"algorithm.parameters: {last_line(error)}") from error
    return estimator
