"""A model that was trained elsewhere becomes an artifact that answers as it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.datasets import load_diabetes, load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from redstart.artifacts import manifest as manifests
from redstart.artifacts import storage
from redstart.artifacts.__main__ import main
from redstart.artifacts.fetch import fetch
from redstart.artifacts.predictor import load

FIELDS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "volumes/models").mkdir(parents=True)
    folder = tmp_path / "iris"
    folder.mkdir()
    features, species = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(features, species)
    graph = to_onnx(model, features[:1].astype(np.float32), options={"zipmap": False})
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    rows = [dict(zip(FIELDS, row, strict=True)) for row in features[::10].tolist()]
    (folder / "rows.json").write_text(json.dumps(rows))
    return folder


def run(folder: Path, *options: str) -> int:
    root = folder.parent
    return main(
        ["pack", str(folder), "--model", "iris", "--output", "pvc://models", "--root", str(root), *options]
    )


def test_a_classifier_is_packed_and_answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--classes", "[0, 1, 2]") == 0
    made = json.loads(capsys.readouterr().out)
    into = folder.parent / "model"
    manifest = fetch(storage.locate(made["uri"], root=folder.parent), made["digest"], into)
    reference = manifests.decode_reference((into / "reference.json").read_bytes())
    assert load(into, manifest).answer(reference.rows) == reference.answers
    features, species = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(features, species)
    assert [answer.prediction for answer in reference.answers] == model.predict(features[::10]).tolist()
    found = np.array([answer.probabilities for answer in reference.answers])
    np.testing.assert_allclose(found, model.predict_proba(features[::10]), atol=1e-5)


def test_a_regressor_with_one_input_for_each_field_is_packed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.preprocessing import FunctionTransformer

    features, target = load_diabetes(return_X_y=True)
    model = make_pipeline(FunctionTransformer(), LinearRegression()).fit(features[:, :2], target)
    types = [("age", FloatTensorType([None, 1])), ("sex", FloatTensorType([None, 1]))]
    (folder / "model.onnx").write_bytes(to_onnx(model, initial_types=types).SerializeToString())
    rows = [dict(zip(["age", "sex"], row, strict=True)) for row in features[:5, :2].tolist()]
    (folder / "rows.json").write_text(json.dumps(rows))
    assert run(folder, "--task", "Regression") == 0
    made = json.loads(capsys.readouterr().out)
    manifest = fetch(storage.locate(made["uri"], root=folder.parent), made["digest"], folder.parent / "m")
    answers = load(folder.parent / "m", manifest).answer(rows)
    found = [answer.prediction for answer in answers]
    np.testing.assert_allclose(found, model.predict(features[:5, :2]), rtol=1e-5)
    assert [tensor.features for tensor in manifest.tensors] == [["age"], ["sex"]]


def test_what_no_row_lacks_is_required(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads((folder / "rows.json").read_text())
    rows[1]["petal_width"] = None
    del rows[2]["petal_length"]
    (folder / "rows.json").write_text(json.dumps(rows))
    features, species = load_iris(return_X_y=True)
    model = make_pipeline(SimpleImputer(), LogisticRegression(max_iter=1000)).fit(features, species)
    graph = to_onnx(model, features[:1].astype(np.float32), options={"zipmap": False})
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    assert run(folder, "--classes", "[0, 1, 2]") == 0
    made = json.loads(capsys.readouterr().out)
    manifest = fetch(storage.locate(made["uri"], root=folder.parent), made["digest"], folder.parent / "m")
    assert {f.name for f in manifest.inputs if f.nullable} == {"petal_length", "petal_width"}


def test_a_file_that_is_no_graph_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "model.onnx").write_bytes(b"garbage")
    assert run(folder, "--classes", "[0, 1, 2]") == 3
    error = capsys.readouterr().err
    assert "model.onnx is no ONNX graph that ONNX Runtime loads: " in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        pytest.param(None, (), "--classes is needed", id="a classifier needs its labels"),
        pytest.param([], ("--classes", "[0, 1, 2]"), "1 to 256 rows", id="there are rows"),
        pytest.param([{"a": [1]}], ("--classes", "[0, 1, 2]"), "rows.json", id="rows hold numbers and text"),
        pytest.param(
            [{"a": 1}], ("--classes", "[0, 1, 2]"), "does not answer rows.json", id="the graph takes the rows"
        ),
        pytest.param(
            [{"a": 1}, {"a": "x"}], ("--classes", "[0, 1, 2]"), "a holds both", id="a field has one type"
        ),
        pytest.param(
            None, ("--classes", "[0, 1]"), "probabilities", id="there is a label for each probability"
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], rows: Any, options: tuple[str, ...], message: str
) -> None:
    if rows is not None:
        (folder / "rows.json").write_text(json.dumps(rows))
    assert run(folder, *options) == 3
    assert message in capsys.readouterr().err
    assert not (folder.parent / "volumes/models/iris").exists()
