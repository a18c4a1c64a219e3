"""Real data, trained and served on a real cluster: predictions are those of scikit-learn in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, r2_score, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from redstart.trainer.splitting import fractions
from tests.e2e.datasets import Dataset, breast_cancer, diabetes
from tests.e2e.kubernetes import Kubernetes, Object, eventually, is_ready
from tests.e2e.serving import predict, serve
from tests.e2e.store import Store
from tests.e2e.training import SECRET, config_map, train, training_job
from tests.e2e.volumes import claim, copy

SEED, HELD_OUT = 11, 0.25
PROBABILITY = 1e-4
"""How far a served probability may be from scikit-learn's."""
DEVIATIONS = 1e-5
"""How far a served number may be from scikit-learn's, in standard deviations of the target."""


def with_gaps(data: Dataset) -> Dataset:
    """The diabetes data with the sex as text, and some values missing."""
    every = pl.int_range(pl.len())
    rows = data.rows.with_columns(
        pl.when(pl.col("sex") == 1).then(pl.lit("one")).otherwise(pl.lit("other")).alias("sex"),
        pl.when(every % 7 != 3).then(pl.col("bmi")).alias("bmi"),
    )
    return Dataset(rows, data.target, data.task)


def held_out(data: Dataset) -> np.ndarray[Any, Any]:
    """Which rows [rows] a Random split holds out: as said in the docs, by a hash of their values and the seed."""
    return fractions(data.rows, SEED) < HELD_OUT


def fitted(data: Dataset, estimator: Any, *, scaled: bool, every_row: bool) -> Pipeline:
    """scikit-learn's own pipeline, as the spec describes it."""
    matrix, target = arrays(data)
    numbers = [at for at, kind in enumerate(data.features.dtypes) if kind.is_numeric()]
    imputed = make_pipeline(SimpleImputer(strategy="median"), *([StandardScaler()] if scaled else []))
    encoded = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    others = [at for at in range(matrix.shape[1]) if at not in numbers]
    prepare = ColumnTransformer([("numbers", imputed, numbers), ("categories", encoded, others)])
    part = np.ones(len(target), bool) if every_row else ~held_out(data)
    return make_pipeline(prepare, estimator).fit(matrix[part], target[part])


def arrays(data: Dataset) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The features [rows, features], NaN where a number is missing, and the target [rows]."""
    filled = data.features.fill_null(float("nan"))
    return np.array(filled.rows(), dtype=object), data.rows[data.target].to_numpy()


def from_parquet(cluster: Kubernetes, store: Store, data: Dataset, folder: str) -> str:
    half = len(data.rows) // 2
    for name, rows in (("a", data.rows[:half]), ("b", data.rows[half:])):
        store.put(f"{folder}/month-{name}/rows.parquet", Dataset(rows, data.target, data.task).parquet())
    store.put(f"{folder}/notes/rows.parquet", b"no rows: the glob does not match this folder")
    return store.uri(f"{folder}/month-*/rows.parquet")


def from_csv(cluster: Kubernetes, store: Store, data: Dataset, folder: str) -> str:
    store.put(f"{folder}/rows.csv", data.csv().encode())
    return store.uri(f"{folder}/rows.csv")


def from_config_map(cluster: Kubernetes, store: Store, data: Dataset, folder: str) -> str:
    cluster.apply(config_map("rows", all=data.csv()))
    return "configmap://rows/all.csv"


def from_volume(cluster: Kubernetes, store: Store, data: Dataset, folder: str) -> str:
    cluster.apply(config_map("rows", all=data.csv()))
    copy(cluster, "rows", "models", "rows")
    return "pvc://models/rows/*.csv"


@pytest.mark.parametrize(
    ("data", "source", "output", "estimator", "scaled", "refit", "format_"),
    [
        pytest.param(
            breast_cancer(),
            from_parquet,
            "s3",
            LogisticRegression(random_state=SEED),
            True,
            "TrainOnly",
            "ONNX",
            id="breast cancer from Parquet files in S3, to S3",
        ),
        pytest.param(
            breast_cancer(),
            from_volume,
            "pvc",
            RandomForestClassifier(n_estimators=30, random_state=SEED),
            False,
            "TrainOnly",
            "ONNX",
            id="breast cancer from a volume, to that volume",
        ),
        pytest.param(
            with_gaps(diabetes()),
            from_csv,
            "s3",
            Ridge(alpha=2.0, random_state=SEED),
            True,
            "All",
            "ONNX",
            id="diabetes with gaps and text from CSV in S3, to S3, fitted again on all rows",
        ),
        pytest.param(
            diabetes(),
            from_config_map,
            "pvc",
            GradientBoostingRegressor(n_estimators=40, random_state=SEED),
            False,
            "TrainOnly",
            "ONNX",
            id="diabetes from a ConfigMap, to a volume",
        ),
        pytest.param(
            diabetes(),
            from_config_map,
            "s3",
            KernelRidge(alpha=0.5, kernel="rbf"),
            True,
            "All",
            "Skops",
            id="diabetes by an estimator that has no ONNX form, to S3",
        ),
    ],
)
def test_predictions_are_those_of_scikit_learn(
    cluster: Kubernetes,
    store: Store,
    data: Dataset,
    source: Callable[[Kubernetes, Store, Dataset, str], str],
    output: str,
    estimator: BaseEstimator,
    scaled: bool,
    refit: str,
    format_: str,
) -> None:
    cluster.apply(store.secret(), claim("models"))
    folder = cluster.namespace
    outputs: dict[str, Object] = {
        "s3": {"uri": store.uri(folder), "secretRef": SECRET},
        "pvc": {"uri": "pvc://models/made"},
    }
    changed = {
        name: value
        for name, value in estimator.get_params().items()
        if value != type(estimator)().get_params()[name] and name != "random_state"
    }
    job = train(
        cluster,
        training_job(
            "model",
            data,
            source(cluster, store, data, folder),
            outputs[output],
            estimator=type(estimator).__name__,
            algorithm={"estimator": type(estimator).__name__, "parameters": changed, "refit": refit},
            split={"testFraction": HELD_OUT, "seed": SEED},
        ),
    )
    status = job["status"]
    version = eventually(
        lambda: found if is_ready(found := cluster.get("ModelVersion", "model-v1")) else None,
        "the version is ready",
    )
    assert version["spec"]["artifact"]["format"] == format_, status["conversion"]
    assert status["run"]["rows"] == len(data.rows)
    assert_metrics(version["spec"]["metrics"], data, fitted(data, estimator, scaled=scaled, every_row=False))

    serve(cluster, "model")
    answer = predict(cluster, "model", data.requests)

    assert (answer["model"], answer["version"]) == ("model", "model-v1")
    reference = fitted(data, estimator, scaled=scaled, every_row=refit == "All")
    wanted = reference.predict(arrays(data)[0])
    if data.task == "Classification":
        assert answer["prediction"] == wanted.tolist()
        probabilities = reference.predict_proba(arrays(data)[0])
        np.testing.assert_allclose(answer["probabilities"], probabilities, rtol=0, atol=PROBABILITY)
    else:
        spread = float(np.std(data.rows[data.target].to_numpy()))
        np.testing.assert_allclose(answer["prediction"], wanted, rtol=0, atol=DEVIATIONS * spread)


def assert_metrics(reported: dict[str, float], data: Dataset, reference: Pipeline) -> None:
    """The reported metrics are scikit-learn's, of the rows that were held out."""
    matrix, target = arrays(data)
    part = held_out(data)
    predicted = reference.predict(matrix[part])
    if data.task == "Classification":
        malignant = reference.predict_proba(matrix[part])[:, 1]
        wanted = {
            "accuracy": accuracy_score(target[part], predicted),
            "f1": f1_score(target[part], predicted, pos_label="malignant"),
            "rocAuc": roc_auc_score(target[part] == "malignant", malignant),
        }
    else:
        wanted = {
            "mae": mean_absolute_error(target[part], predicted),
            "r2": r2_score(target[part], predicted),
        }
    assert {name: reported[name] for name in wanted} == pytest.approx(wanted, rel=1e-6)
