"""`prepare.model`: what the exported pipeline does to a raw row before the estimator sees it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from redstart.api.v1alpha1.training_job import PrepareModel
from redstart.trainer.columns import Feature, Roles
from redstart.trainer.errors import TrainingError

_STRATEGIES = {"Mean": "mean", "Median": "median", "MostFrequent": "most_frequent"}

# What compares numbers only with thresholds needs no scaling, and float32 thresholds on scaled numbers would make
# the exported model inexact; naive Bayes models either do not need it or need numbers that are not negative.
_UNSCALED = ("sklearn.tree", "sklearn.ensemble", "sklearn.naive_bayes", "sklearn.dummy")


def build(roles: Roles, prepare: PrepareModel, estimator: Any) -> Pipeline:
    """A pipeline over one matrix: numbers first, then categories, as the tensors lie side by side.

    Raises:
        TrainingError: ImputeInvalid, when a strategy does not fit its column.
    """
    steps = []
    order = roles.numbers + roles.categories
    for (kind, impute), names in _by_treatment(roles, prepare).items():
        transformer = (
            _numbers(impute, _scaler(prepare, estimator)) if kind == "Number" else _categories(impute)
        )
        steps.append((f"{kind}:{impute}", transformer, [order.index(name) for name in names]))
    return Pipeline([("prepare", ColumnTransformer(steps, sparse_threshold=0)), ("model", estimator)])


def _by_treatment(roles: Roles, prepare: PrepareModel) -> dict[tuple[str, str], list[str]]:
    treatments: dict[tuple[str, str], list[str]] = defaultdict(list)
    for feature in sorted(roles.features, key=lambda feature: feature.type == "Category"):
        treatments[feature.type, _impute(feature, prepare)].append(feature.name)
    return treatments


def _impute(feature: Feature, prepare: PrepareModel) -> str:
    default = "Median" if feature.type == "Number" else ""
    impute = prepare.impute.get(feature.name, default)
    field = f"prepare.model.impute.{feature.name}"
    if feature.type == "Category" and impute in ("Mean", "Median"):
        raise TrainingError(
            "ImputeInvalid", f"{field}: {impute} is for numbers; use MostFrequent or Constant:VALUE"
        )
    if feature.type == "Number" and impute.startswith("Constant:"):
        try:
            float(impute.removeprefix("Constant:"))
        except ValueError:
            raise TrainingError(
                "ImputeInvalid", f"{field}: {impute} is no number, the column holds numbers"
            ) from None
    return impute


def _numbers(impute: str, scaler: Any | None) -> Any:
    if impute.startswith("Constant:"):
        imputer = SimpleImputer(strategy="constant", fill_value=float(impute.removeprefix("Constant:")))
    else:
        imputer = SimpleImputer(strategy=_STRATEGIES[impute])
    return make_pipeline(imputer, scaler) if scaler is not None else imputer


def _categories(impute: str) -> Any:
    # Missing text is "" in training and server alike; a string imputer for None or NaN has no ONNX form.
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    if impute.startswith("Constant:"):
        value = impute.removeprefix("Constant:")
        return make_pipeline(SimpleImputer(missing_values="", strategy="constant", fill_value=value), encoder)
    if impute == "MostFrequent":
        return make_pipeline(SimpleImputer(missing_values="", strategy="most_frequent"), encoder)
    return encoder


def _scaler(prepare: PrepareModel, estimator: Any) -> Any | None:
    if prepare.scale == "MinMax":
        return MinMaxScaler()
    if prepare.scale == "None" or (
        prepare.scale == "Auto" and type(estimator).__module__.startswith(_UNSCALED)
    ):
        return None
    return StandardScaler()
