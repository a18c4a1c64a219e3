"""Exports: exact in ONNX, or Skops with the reason and the largest difference."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from sklearn.neighbors import NearestCentroid

from redstart.artifacts.manifest import Output
from redstart.artifacts.predictor import Predictor, load_model
from redstart.trainer import export
from redstart.trainer.convert import in_order
from redstart.trainer.errors import TrainingError
from redstart.trainer.export import Exported
from redstart.trainer.parity import UNSEEN
from redstart.trainer.preparing import Prepared
from redstart.trainer.reference import LIMIT, reference
from tests.unit.trainer.fitted import fitted


def exported(estimator: str, task: str = "Classification", **changes: Any) -> tuple[Prepared, Any, Exported]:
    prepared, pipeline, draft = fitted(estimator, task, **changes)
    deviation = float(np.std(prepared.train.learnable.target)) if task == "Regression" else None
    return (
        prepared,
        pipeline,
        export.export(pipeline, draft, prepared.test.tensors, deviation, ["ONNX", "Skops"]),
    )


@pytest.mark.parametrize(
    ("estimator", "task", "changes"),
    [
        pytest.param("RandomForestClassifier", "Classification", {"algorithm": {"parameters": {"n_estimators": 20}}},
                     id="a forest"),
        pytest.param("LogisticRegression", "Classification", {"evaluation__threshold": {"maximize": "f1"}},
                     id="a linear classifier with a threshold"),
        pytest.param("LinearSVC", "Classification", {}, id="one without probabilities"),
        pytest.param("Ridge", "Regression", {"prepare__model__impute": {"kind": "MostFrequent"}}, id="a regression"),
    ],
)  # fmt: skip
def test_an_exact_graph_answers_as_scikit_learn_does(
    estimator: str, task: str, changes: dict[str, Any]
) -> None:
    prepared, pipeline, made = exported(estimator, task, **changes)
    assert made.conversion.format == "ONNX"
    predictor = Predictor(made.manifest, load_model(made.content, made.manifest))
    names = [feature.name for feature in made.manifest.inputs]
    rows = prepared.rows.select(names)[prepared.parts.test].to_dicts()
    answers = predictor.answer(rows)
    matrix = prepared.test.learnable.matrix
    if task == "Regression":
        found = np.array([answer.prediction for answer in answers])
        np.testing.assert_allclose(found, pipeline.predict(matrix), rtol=1e-5)
        return
    if made.manifest.threshold is None:
        assert [answer.prediction for answer in answers] == pipeline.predict(matrix).tolist()
    if made.manifest.probabilities is not None:
        found = np.array([answer.probabilities for answer in answers])
        np.testing.assert_allclose(found, pipeline.predict_proba(matrix), atol=1e-4)
    if made.manifest.threshold is not None:
        high = pipeline.predict_proba(matrix)[:, 1] >= made.manifest.threshold.value
        assert [answer.prediction for answer in answers] == high.astype(int).tolist()


def test_operator_sets_have_one_order() -> None:
    content = exported("LogisticRegression")[2].content
    turned = onnx.load_from_string(content)
    sets = list(reversed(turned.opset_import))
    assert len(sets) > 1
    del turned.opset_import[:]
    turned.opset_import.extend(sets)
    assert turned.SerializeToString() != content
    assert in_order(turned).SerializeToString() == content


def test_what_has_no_onnx_form_becomes_skops_with_the_reason() -> None:
    prepared, pipeline, made = exported("NearestCentroid")
    assert type(pipeline[-1]) is NearestCentroid
    assert made.manifest.format == "Skops"
    assert "shape calculator" in made.conversion.reason
    found = load_model(made.content, made.manifest).predict(prepared.test.tensors)
    assert found.raw.tolist() == pipeline.predict(prepared.test.learnable.matrix).tolist()


def test_a_graph_that_differs_becomes_skops_with_the_largest_difference() -> None:
    """Histogram boosting compares doubles; its graph compares float32."""
    _, _, made = exported("HistGradientBoostingRegressor", "Regression")
    assert made.conversion.format == "Skops"
    assert re.search(r"differs by up to [0-9.]+, agrees on 9[0-9.]+% of rows", made.conversion.reason)


def test_a_conversion_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TIME_LIMIT", 0.05)
    _, _, made = exported("LogisticRegression")
    assert made.conversion.format == "Skops"
    assert "took more than 0.05 s" in made.conversion.reason


def test_a_conversion_that_is_killed_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], returncode=-9, stdout=b"", stderr=b"")
    monkeypatch.setattr(export.subprocess, "run", lambda *a, **k: done)
    _, _, made = exported("LogisticRegression")
    assert "ended by signal 9" in made.conversion.reason


def test_where_skops_is_not_allowed_there_is_no_version() -> None:
    prepared, pipeline, draft = fitted("NearestCentroid")
    with pytest.raises(TrainingError, match="Skops is not allowed") as caught:
        export.export(pipeline, draft, prepared.test.tensors, None, ["ONNX"])
    assert caught.value.reason == "FormatNotAllowed"


@pytest.mark.parametrize("kind", ["Skops", "Joblib"])
def test_formats_that_are_asked_for(kind: str) -> None:
    _, _, made = exported("LogisticRegression", output__format=kind)
    assert (made.manifest.format, made.conversion.reason) == (kind, "asked for by output.format")
    assert made.conversion.largest_difference == 0.0


def test_reference_rows_hold_what_may_come() -> None:
    prepared, _, made = exported("LogisticRegression")
    predictor = Predictor(made.manifest, load_model(made.content, made.manifest))
    found = reference(predictor, prepared.test.tensors, prepared.test.learnable.target)
    assert len(found.rows) == len(found.answers) <= LIMIT
    assert {answer.prediction for answer in found.answers} == {0, 1}
    names = {feature.name for feature in made.manifest.inputs}
    assert all(set(row) == names for row in found.rows)
    assert all(any(row[name] is None for row in found.rows) for name in names)
    assert any(row["kind"] == UNSEEN for row in found.rows)
    assert any(all(value is None for value in row.values()) for row in found.rows)
    again = msgspec.json.decode(msgspec.json.encode(found.rows))
    assert predictor.answer(again) == found.answers


def test_outputs_say_what_comes_back() -> None:
    _, _, made = exported("LogisticRegression")
    assert made.manifest.outputs == [
        Output("prediction", "Category", "label", values=[0, 1], indexed=True),
        Output("probabilities", "Number", "probabilities", size=2),
    ]
    assert [(t.name, t.type) for t in made.manifest.tensors] == [
        ("numbers", "float"),
        ("categories", "string"),
    ]
