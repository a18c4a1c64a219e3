"""What a data scientist is told when training cannot succeed: the words are the test."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tests.e2e.datasets import breast_cancer
from tests.e2e.kubernetes import Kubernetes, Object, condition, eventually
from tests.e2e.store import Store
from tests.e2e.training import SECRET, config_map, settled, training_job

DATA = breast_cancer()
LARGE = int((DATA.rows["mean radius"] > 20).sum())


def job(store: Store, folder: str, source: str = "configmap://rows/all.csv", **spec: Any) -> Object:
    """One that would succeed; `spec` replaces fields."""
    output = {"uri": store.uri(folder), "secretRef": SECRET}
    return training_job("m", DATA, source, output, estimator="LogisticRegression", **spec)


def data(**fields: Any) -> Object:
    return {"sources": [{"uri": "configmap://rows/all.csv"}], "target": "diagnosis", **fields}


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        pytest.param(
            {"data": data(target="diagnose")},
            "ColumnMissing",
            ["data.target", "no column diagnose", "did you mean diagnosis"],
            id="a target that is no column",
        ),
        pytest.param(
            {"data": data(features={"exclude": ["mean radus"]})},
            "ColumnMissing",
            ["data.features.exclude", "no column mean radus", "did you mean mean radius"],
            id="a feature that is no column",
        ),
        pytest.param(
            {"data": data(expect={"columns": {"mean radius": {"max": 20}}})},
            "ExpectationFailed",
            ["data.expect.columns.mean radius", "max 20", f"{LARGE} of 569 values are above"],
            id="a column above what is expected of it",
        ),
        pytest.param(
            {"data": data(expect={"minRows": 1000})},
            "ExpectationFailed",
            ["data.expect.minRows", "569 rows, at least 1,000 are expected"],
            id="fewer rows than expected",
        ),
        pytest.param(
            {"algorithm": {"estimator": "RandomForrestClassifier"}},
            "EstimatorUnknown",
            [
                "algorithm.estimator",
                "no classifier RandomForrestClassifier",
                "did you mean RandomForestClassifier",
            ],
            id="an estimator that scikit-learn does not have",
        ),
        pytest.param(
            {"algorithm": {"estimator": "Ridge"}},
            "EstimatorUnsuitable",
            ["algorithm.estimator", "Ridge is for task Regression"],
            id="an estimator of the other task",
        ),
        pytest.param(
            {"algorithm": {"estimator": "LogisticRegression", "parameters": {"max_iters": 50}}},
            "ParameterInvalid",
            [
                "algorithm.parameters.max_iters",
                "LogisticRegression has no such parameter",
                "did you mean max_iter",
            ],
            id="a parameter that the estimator does not have",
        ),
        pytest.param(
            {"algorithm": {"estimator": "LogisticRegression", "parameters": {"C": -1.0}}},
            "ParameterInvalid",
            ["algorithm.parameters", "'C'", "must be", "Got -1"],
            id="a parameter out of its range",
        ),
    ],
)
def test_a_spec_or_data_at_fault_is_named(
    cluster: Kubernetes, store: Store, spec: Object, reason: str, words: list[str]
) -> None:
    cluster.apply(store.secret(), config_map("rows", all=DATA.csv()))
    cluster.apply(job(store, cluster.namespace, **spec))
    assert_failed(cluster, reason, words)
    assert cluster.list("ModelVersion") == []


def test_files_whose_columns_differ_are_named(cluster: Kubernetes, store: Store) -> None:
    folder = cluster.namespace
    other = DATA.rows.with_columns(pl.lit("broken").alias("mean area"))
    store.put(f"{folder}/rows/1.csv", DATA.csv().encode())
    store.put(f"{folder}/rows/2.csv", other.write_csv().encode())
    cluster.apply(store.secret(), job(store, folder, store.uri(f"{folder}/rows/*.csv")))
    uri = store.uri(f"{folder}/rows")
    assert_failed(
        cluster, "SchemaMismatch", [f"column mean area is text in {uri}/2.csv and numbers in {uri}/1.csv"]
    )


def test_a_glob_that_matches_no_file_is_named(cluster: Kubernetes, store: Store) -> None:
    uri = store.uri(f"{cluster.namespace}/nothing/*.parquet")
    cluster.apply(store.secret(), job(store, cluster.namespace, uri))
    assert_failed(cluster, "SourceNotFound", [uri, "no file matches"])


def test_wrong_credentials_are_named_and_mended_by_the_secret(cluster: Kubernetes, store: Store) -> None:
    cluster.apply(
        store.secret(AWS_SECRET_ACCESS_KEY="no-key-of-this-store"), config_map("rows", all=DATA.csv())
    )
    cluster.apply(job(store, cluster.namespace))
    assert_failed(cluster, "StoreDenied", [store.uri(cluster.namespace), "access denied"])
    cluster.apply(store.secret())
    cluster.patch("TrainingJob", "m", {"metadata": {"annotations": {"redstart.dev/train": "again"}}})
    eventually(lambda: status(cluster).get("phase") == "Succeeded", "the run with the right credentials")


def test_a_store_that_cannot_be_reached_is_named_and_tried_again(cluster: Kubernetes, store: Store) -> None:
    nowhere = f"http://nowhere.{cluster.namespace}.svc:7070"
    cluster.apply(store.secret(AWS_ENDPOINT_URL=nowhere), config_map("rows", all=DATA.csv()))
    cluster.apply(job(store, cluster.namespace, backoffLimit=1))
    assert_failed(
        cluster, "StoreUnreachable", [store.uri(cluster.namespace), nowhere, "the last of 2 attempts"]
    )


def test_missing_objects_are_named_and_waited_for(cluster: Kubernetes, store: Store) -> None:
    cluster.apply(job(store, cluster.namespace, "pvc://rows/all.csv"))
    assert_waiting(cluster, "ClaimNotFound", ['PersistentVolumeClaim "rows" does not exist'])

    cluster.apply(job(store, cluster.namespace, "configmap://rows/all.csv"))
    assert_waiting(cluster, "ConfigMapNotFound", ['ConfigMap "rows"', "does not exist"])

    cluster.apply(config_map("others", first=DATA.csv()))
    cluster.apply(job(store, cluster.namespace, "configmap://others/all.csv"))
    assert_waiting(cluster, "ConfigMapKeyNotFound", ['has no key "all.csv"', "first.csv"])

    cluster.apply(config_map("others", all=DATA.csv()))
    assert_waiting(cluster, "FailedMount", ['secret "store" not found'])

    cluster.apply(store.secret())
    assert settled(cluster, "m")["status"]["phase"] == "Succeeded"


def assert_failed(cluster: Kubernetes, reason: str, words: list[str]) -> None:
    """The run failed for that reason, and every place where a user looks says so in these words."""
    found = settled(cluster, "m")
    told = found["status"]["run"]["message"]
    assert (found["status"]["phase"], found["status"]["run"]["reason"]) == ("Failed", reason), told
    for word in words:
        assert word in told
    stalled = condition(found, "Stalled")
    assert (stalled["status"], stalled["reason"], stalled["message"]) == ("True", reason, told)
    eventually(
        lambda: any(told in event["message"] for event in cluster.events("m")), "an event says the same"
    )


def assert_waiting(cluster: Kubernetes, reason: str, words: list[str]) -> None:
    """The job waits for that reason, in these words."""

    def look() -> bool:
        found = condition(cluster.get("TrainingJob", "m"), "Reconciling")
        if (found.get("status"), found.get("reason")) != ("True", reason):
            return False
        return all(word in found["message"] for word in words)

    eventually(look, f"TrainingJob waits with {reason}: {words}")


def status(cluster: Kubernetes) -> Object:
    found: Object = (cluster.get("TrainingJob", "m") or {}).get("status") or {}
    return found
