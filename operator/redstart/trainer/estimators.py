"""Any scikit-learn estimator by name, its parameters checked before any row is read."""

from __future__ import annotations

import inspect
from numbers import Integral
from typing import Any

from sklearn.utils import all_estimators
from sklearn.utils._param_validation import Interval, RealNotInt

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
    for parameter, value in algorithm.parameters.items():
        if parameter not in known:
            raise TrainingError(
                "ParameterInvalid",
                f"algorithm.parameters.{parameter}: {name} has no such parameter"
                f"{did_you_mean(parameter, list(known)) or '; it has ' + ', '.join(sorted(known))}",
            )
        estimator.set_params(**{parameter: _count_or_share(cls, parameter, value)})
    if "random_state" in known and "random_state" not in algorithm.parameters:
        estimator.set_params(random_state=seed)
    try:
        estimator._validate_params()
    except ValueError as error:
        raise TrainingError("ParameterInvalid", f"algorithm.parameters: {last_line(error)}") from error
    return estimator


def _count_or_share(cls: Any, parameter: str, value: Any) -> Any:
    """The value, but for a 1 that may have been 1.0: Kubernetes keeps both as 1, and scikit-learn takes a whole number
    for a count and a fraction for a share. Where it takes both, text says which is meant."""
    if type(value) is not int and value not in ("1", "1.0"):
        return value
    allowed = cls._parameter_constraints.get(parameter, ())
    intervals = [entry for entry in allowed if isinstance(entry, Interval)]
    if not any(entry.type is RealNotInt and 1.0 in entry for entry in intervals):
        return value
    if not any(entry.type is Integral and 1 in entry for entry in intervals):
        return 1.0 if value in (1, "1.0") else value
    if value == 1:
        raise TrainingError(
            "ParameterInvalid",
            f'algorithm.parameters.{parameter}: Kubernetes writes 1.0 as 1; write "1" or "1.0" in quotes',
        )
    return {"1": 1, "1.0": 1.0}.get(value, value)
