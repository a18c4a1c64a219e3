"""What goes wrong: the reason that a data scientist needs, and nothing half-done in the store."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.integration.trainer.conftest import Place

ROWS = pl.DataFrame(
    {
        "torque": [float(number) for number in range(100)],
        "kind": ["L", "M"] * 50,
        "at": [f"2026-01-{1 + number % 28:02d}" for number in range(100)],
        "failure": [0, 1, 1, 0] * 25,
    }
)
SPEC: dict[str, Any] = {
    "task": "Classification",
    "data": {"target": "failure", "features": {"exclude": ["at"]}},
    "algorithm": {"estimator": "LogisticRegression"},
}


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        pytest.param({"data": {"target": "failur"}}, "ColumnMissing", "did you mean failure", id="no such target"),
        pytest.param({"data": {"target": "failure"}}, "ColumnUnusable", "column at holds times", id="times"),
        pytest.param(
            {"data": {"target": "failure", "expect": {"columns": {"torque": {"max": 50}}}}},
            "ExpectationFailed", "columns.torque: max 50: 49 of 100 values are above", id="a broken expectation",
        ),
        pytest.param(
            {"algorithm": {"estimator": "LogisticRegresion"}},
            "EstimatorUnknown", "did you mean LogisticRegression", id="a misspelt estimator",
        ),
        pytest.param(
            {"algorithm": {"estimator": "LogisticRegression", "parameters": {"C": -1}}},
            "ParameterInvalid", "'C' parameter of LogisticRegression", id="a parameter out of range",
        ),
        pytest.param(
            {"algorithm": {"estimator": "MultinomialNB"}, "prepare": {"model": {"scale": "Standard"}}},
            "FitFailed", "MultinomialNB could not be fitted: ValueError: Negative values", id="a fit that fails",
        ),
        pytest.param(
            {"gates": [{"metric": "rocAuc", "atLeast": 0.1}], "algorithm": {"estimator": "NearestCentroid",
             "parameters": {"metric": "manhattan"}}},
            "MetricUndefined", "rocAuc is not defined", id="an undefined metric",
        ),
        pytest.param(
            {"evaluation": {"positiveClass": "2"}}, "PositiveClassUnknown", "no class 2", id="no such class"
        ),
        pytest.param(
            {"evaluation": {"threshold": {"maximize": "f1"}}, "algorithm": {"estimator": "RidgeClassifier"}},
            "ThresholdImpossible", "gives no probabilities", id="a threshold without probabilities",
        ),
        pytest.param({"output": {"format": "Joblib"}}, "FormatNotAllowed", "runs code", id="a format not allowed"),
        pytest.param(
            {"data": {"target": "failure", "sources": [{"uri": "pvc://claim/data/none-*.csv"}]}},
            "SourceNotFound", "none-*.csv: no file matches", id="no such file",
        ),
        pytest.param(
            {"data": {"target": "failure", "sources": [{"uri": "pvc://other/rows.csv"}]}},
            "SourceNotFound", "not mounted", id="no such volume",
        ),
        pytest.param(
            {"output": {"uri": "pvc://other"}}, "StoreNotFound", "output.uri: pvc://other is not mounted",
            id="no such volume for models",
        ),
        pytest.param({"task": "Clustering"}, "JobInvalid", "spec.task", id="no such task"),
    ],
)  # fmt: skip
def test_a_failure_that_would_come_back(
    volume: Place, change: dict[str, Any], reason: str, message: str
) -> None:
    volume.put("rows.csv", ROWS)
    run = volume.run({**SPEC, **change})
    assert (run.code, run.report.result, run.report.reason) == (3, "Failed", reason), run.output
    assert message in run.report.message
    assert "Traceback" not in run.output
    assert volume.stored() == []


def test_rows_that_were_written_with_their_index(volume: Place) -> None:
    volume.put("rows.csv", ROWS.select(pl.int_range(100).alias(""), pl.all()))
    run = volume.run(SPEC)
    assert (run.code, run.report.reason) == (3, "SourceInvalid"), run.output
    assert "pvc://claim/data/rows.csv: column 1 has no name" in run.report.message


def test_held_out_rows_that_a_server_would_all_refuse(volume: Place) -> None:
    volume.put("rows.csv", ROWS.with_columns(at=pl.int_range(100), kind=pl.Series(["L"] * 80 + ["M"] * 20)))
    data = {"target": "failure", "time": "at"}
    prepare = {"model": {"encode": {"unknown": "Reject"}}}
    run = volume.run({**SPEC, "data": data, "prepare": prepare, "split": {"strategy": "Time"}})
    assert (run.code, run.report.reason) == (3, "SplitImpossible"), run.output
    assert "encode.unknown: Reject refuses every held-out row" in run.report.message
    assert volume.stored() == []


def test_a_failed_gate_rejects_and_keeps_the_version(place: Place) -> None:
    place.put("rows.csv", ROWS)
    run = place.run(
        {**SPEC, "gates": [{"metric": "f1", "atLeast": 0.99}, {"metric": "accuracy", "atLeast": 0.0}]}
    )
    assert (run.code, run.report.result, run.report.reason) == (0, "Rejected", "GateFailed"), run.output
    assert run.report.message.startswith("f1 0.")
    assert run.report.message.endswith(" < 0.99")
    assert run.report.number == 1
    assert [gate["passed"] for gate in run.details["gates"]] == [False, True]
    assert place.fetched(run)[0].answer([{"torque": 1.0}])


def test_a_store_that_does_not_answer(bucket: Place) -> None:
    (bucket.root / "secrets/keys/AWS_ENDPOINT_URL").write_text("http://127.0.0.1:1")
    run = bucket.run(SPEC)
    assert (run.code, run.report.result, run.report.reason) == (1, "Failed", "StoreUnreachable"), run.output


def test_credentials_that_are_wrong(bucket: Place) -> None:
    bucket.put("rows.csv", ROWS)
    (bucket.root / "secrets/keys/AWS_SECRET_ACCESS_KEY").write_text("wrong")
    run = bucket.run(SPEC)
    assert (run.code, run.report.reason) == (3, "StoreDenied"), run.output
    assert "wrong" not in run.output


@pytest.mark.parametrize(
    ("key", "value", "code", "reason", "message"),
    [
        pytest.param(
            "AWS_ENDPOINT_URL", "minio:9000", 3, "BadLocation",
            "AWS_ENDPOINT_URL must have the form http://host:port or https://host, not 'minio:9000'",
            id="an endpoint without http://",
        ),
        pytest.param(
            "AWS_ALLOW_HTTP", "false", 3, "BadLocation", "AWS_ALLOW_HTTP is false", id="http that is not allowed"
        ),
        pytest.param("AWS_RGION", "x", 3, "StoreDenied", "did you mean AWS_REGION", id="a misspelled option"),
        pytest.param("README", "not an option", 0, "Trained", "", id="a key that is no option"),
        pytest.param("AWS_SESSION_TOKEN", "\n", 0, "Trained", "", id="an empty option"),
    ],
)  # fmt: skip
def test_options_of_a_store(
    bucket: Place, key: str, value: str, code: int, reason: str, message: str
) -> None:
    bucket.put("rows.csv", ROWS)
    (bucket.root / "secrets/keys" / key).write_text(value)
    run = bucket.run(SPEC)
    assert (run.code, run.report.reason) == (code, reason), run.output
    assert message in run.report.message


def test_a_bucket_that_is_not_there(bucket: Place) -> None:
    bucket.put("rows.csv", ROWS)
    run = bucket.run({**SPEC, "output": {"uri": "s3://no-such-bucket/models"}})
    assert (run.code, run.report.result, run.report.reason) == (3, "Failed", "StoreNotFound"), run.output
    assert run.report.message.startswith(
        "output.uri: s3://no-such-bucket/models/m: there is no bucket no-such-bucket"
    )


@pytest.mark.parametrize("size", ["8k", "24k", "40k", "64k"])
def test_a_full_volume(volume: Place, size: str) -> None:
    """Wherever the space runs out, the reason is said, and what was written is no version."""
    random = np.random.default_rng(0)
    rows = pl.DataFrame(
        {"x": random.normal(size=2000), "y": random.normal(size=2000), "failure": [0, 1] * 1000}
    )
    volume.put("rows.csv", rows)
    full = volume.root / "volumes/full"
    full.mkdir()
    spec = {
        "task": "Classification",
        "data": {"target": "failure"},
        "algorithm": {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 20}},
        "output": {"uri": "pvc://full"},
    }

    def in_a_namespace(command: list[str]) -> list[str]:
        script = (
            f"mount -t tmpfs -o size={size} none {full} && "
            f"\"$@\"; code=$?; find {full} -path '*/runs/*' -o -name manifest.json | sed 's/^/LEFT /'; exit $code"
        )
        return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", *command]

    run = volume.start(spec, wrap=in_a_namespace).wait()
    assert (run.code, run.report.result, run.report.reason) == (1, "Failed", "DiskFull"), run.output
    assert "no space left" in run.report.message
    assert "LEFT" not in run.output


def test_messages_are_never_too_long(volume: Place) -> None:
    names = [f"column_{number}" * 12 for number in range(60)]
    volume.put("rows.csv", pl.DataFrame({name: [1, 2] for name in names}))
    expect = {"columns": {name: {"max": 0} for name in names}}
    run = volume.run({**SPEC, "data": {"target": names[0], "expect": expect}})
    assert run.code == 3, run.output
    content = (volume.root / f"termination-{volume.runs}").read_bytes()
    assert 3000 < len(content) <= 4096
    assert json.loads(content)["reason"] == "ExpectationFailed"
