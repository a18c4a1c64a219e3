"""What the trainer writes is what the server serves."""

import json
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from tests.integration.server.conftest import ask
from tests.integration.trainer.conftest import Place, volume  # noqa: F401 - a fixture


def categories() -> tuple[pl.DataFrame, str]:
    random = np.random.default_rng(3)
    kinds = random.choice(["L", "M", "H", None], 400)
    torque = random.normal(40, 10, 400).round(1)
    fails = (torque + np.where(kinds == "L", 8, 0) > 48).astype(int)
    known = [None if index % 20 == 0 else float(value) for index, value in enumerate(torque)]
    return pl.DataFrame({"torque": known, "kind": kinds.tolist(), "fails": fails}), "fails"


def breast_cancer() -> tuple[pl.DataFrame, str]:
    return frame(load_breast_cancer()), "target"


def diabetes() -> tuple[pl.DataFrame, str]:
    return frame(load_diabetes()), "target"


def frame(data) -> pl.DataFrame:
    columns = zip(map(str, data.feature_names), data.data.T, strict=True)
    return pl.DataFrame(dict(columns)).with_columns(target=pl.Series(data.target))


@pytest.mark.parametrize(
    ("made", "task", "algorithm", "expected"),
    [
        pytest.param(
            categories,
            "Classification",
            {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 20}},
            "ONNX",
            id="a forest over a number and a category, both with missing values",
        ),
        pytest.param(
            breast_cancer,
            "Classification",
            {"estimator": "LogisticRegression"},
            "ONNX",
            id="breast cancer, linear",
        ),
        pytest.param(
            diabetes,
            "Regression",
            {"estimator": "KernelRidge"},
            "Skops",
            id="diabetes, by an estimator that has no graph",
        ),
    ],
)
def test_a_trained_model_is_verified_and_served(made, task, algorithm, expected, pod, volume: Place):  # noqa: F811
    rows, target = made()
    volume.put("rows.csv", rows)
    run = volume.run({"task": task, "data": {"target": target}, "algorithm": algorithm})
    assert run.report.result == "Succeeded", run.output
    predictor, manifest = volume.fetched(run)
    assert manifest.format == expected
    folder = volume.root / "model-1"
    verified = subprocess.run(
        [sys.executable, "-m", "redstart.server", "verify", "--model-dir", folder],
        env=os.environ | {"REDSTART_TERMINATION_LOG": str(volume.root / "verified")},
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads((volume.root / "verified").read_bytes())
    assert (verified.returncode, report["result"]) == (0, "Verified"), report
    details = json.loads(verified.stdout.splitlines()[-1])
    trained = run.details
    for shown in ("inputs", "outputs", "importance"):
        assert details[shown] == trained[shown]

    pod.sidecar()
    pod.server(REDSTART_MODEL_DIR=str(folder), REDSTART_DIGEST=run.report.artifact.digest)
    pod.wait_ready()
    names = [feature.name for feature in manifest.inputs]
    asked = rows.select(names).head(200).to_dicts()
    answers = predictor.answer(asked)
    found = ask(f"{pod.url}/predict", {"rows": asked}).json
    assert found["prediction"] == [answer.prediction for answer in answers]
    assert found.get("probabilities") == (
        None if answers[0].probabilities is None else [answer.probabilities for answer in answers]
    )
    snapshot = pod.snapshot()
    assert (snapshot["ready"], snapshot["loadedDigest"]) == (True, run.report.artifact.digest)
    assert snapshot["reference"]["rows"] > 50
