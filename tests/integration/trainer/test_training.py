"""Training on real rows, over a volume and over S3: what is served afterwards is what scikit-learn says."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from redstart.artifacts import manifest as manifests
from redstart.cli.sample_data import generate
from redstart.trainer.splitting import fractions
from tests.integration.trainer.conftest import Place

LOADERS = {"cancer": load_breast_cancer, "diabetes": load_diabetes, "wine": load_wine}


def rows_of(name: str) -> pl.DataFrame:
    loaded = LOADERS[name]()
    names = [str(feature).replace(" ", "_") for feature in loaded.feature_names]
    return pl.DataFrame(loaded.data, schema=names).with_columns(target=pl.Series(loaded.target))


CASES = [
    pytest.param(
        "cancer", "Classification", {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 50}},
        RandomForestClassifier(50, random_state=7), id="a forest on breast cancer",
    ),
    pytest.param(
        "diabetes", "Regression", {"estimator": "Ridge"}, make_pipeline(StandardScaler(), Ridge()),
        id="a ridge regression on diabetes",
    ),
    pytest.param(
        "wine", "Classification", {"estimator": "LogisticRegression"},
        make_pipeline(StandardScaler(), LogisticRegression(random_state=7)), id="a logistic regression on wine",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "task", "algorithm", "model"), CASES)
def test_predictions_are_scikit_learns(
    place: Place, data: str, task: str, algorithm: dict[str, Any], model: Any
) -> None:
    rows = rows_of(data)
    place.put("rows.csv", rows)
    run = place.run(
        {"task": task, "data": {"target": "target"}, "algorithm": algorithm, "split": {"seed": 7}}
    )
    assert (run.code, run.report.result, run.report.number) == (0, "Succeeded", 1), run.output
    predictor, manifest = place.fetched(run)
    assert manifest.format == "ONNX"
    assert manifest.split is not None
    held = fractions(rows.select(manifest.split.columns), manifest.split.seed) < manifest.split.test_fraction
    features, target = rows.drop("target").to_numpy(), rows["target"].to_numpy()
    model.fit(features[~held], target[~held])
    answers = predictor.answer(rows.drop("target").to_dicts())
    found = np.array([answer.prediction for answer in answers])
    if task == "Classification":
        assert found.tolist() == model.predict(features).tolist()
        assert {type(answer.prediction) for answer in answers} == {int}
        probabilities = np.array([answer.probabilities for answer in answers])
        np.testing.assert_allclose(probabilities, model.predict_proba(features), atol=1e-5)
        expected = f1_score(target[held], model.predict(features[held]), average="macro")
        assert run.details["metrics"]["f1Macro"] == pytest.approx(expected)
    else:
        np.testing.assert_allclose(found, model.predict(features), rtol=1e-5)
        assert run.details["metrics"]["r2"] == pytest.approx(
            r2_score(target[held], model.predict(features[held]))
        )
    assert run.details["data"]["rows"] == {
        "read": len(rows), "dropped": [], "train": int((~held).sum()), "test": int(held.sum())
    }  # fmt: skip


EVERYTHING = {
    "task": "Classification",
    "data": {
        "target": "machine_failure",
        "time": "recorded_at",
        "features": {"exclude": ["machine_id"]},
        "sensitive": ["operator_age_group"],
        "expect": {
            "minRows": 1000,
            "columns": {
                "torque": {"type": "Number", "min": 0, "max": 200, "maxMissing": 0.1},
                "product_type": {"values": ["L", "M", "H"]},
            },
        },
    },
    "prepare": {
        "dataset": {
            "dropDuplicates": True,
            "forwardFill": {"columns": ["torque"], "groupBy": "machine_id", "limit": 3},
            "dropMissing": ["tool_wear"],
        },
        "model": {"impute": {"torque": "Median"}, "encode": {"unknown": "Reject"}},
    },
    "split": {"strategy": "Stratified", "seed": 7, "validation": {"folds": 3}},
    "algorithm": {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 50}, "refit": "All"},
    "evaluation": {"positiveClass": "1", "threshold": {"maximize": "f1"}},
    "gates": [{"metric": "f1", "atLeast": 0.5}, {"metric": "rocAuc", "atLeast": 0.8}],
}


def test_everything_together(place: Place) -> None:
    for month in ("2026-01", "2026-02"):
        made = generate(rows=3000, month=month, missing=0.02, duplicates=0.02, bias=0.0)
        place.put(f"{month}.parquet", pl.DataFrame(made, infer_schema_length=None))
    run = place.run(EVERYTHING, files="2026-*.parquet")
    assert (run.code, run.report.result) == (0, "Succeeded"), run.output
    details = run.details
    counts = details["data"]["rows"]
    assert counts["read"] > 6050
    assert {dropped["reason"] for dropped in counts["dropped"]} == {"DuplicateRows", "MissingValues"}
    dropped = sum(dropped["count"] for dropped in counts["dropped"])
    assert counts["read"] == counts["train"] + counts["test"] + dropped
    assert [gate["passed"] for gate in details["gates"]] == [True, True]
    assert details["importance"][0]["feature"] in ("torque", "tool_wear", "rotational_speed")
    predictor, manifest = place.fetched(run)
    assert manifest.split is None
    assert {f.name for f in manifest.inputs if not f.nullable} == {"tool_wear"}
    assert {f.name for f in manifest.inputs if f.closed} == {"product_type"}
    assert manifest.threshold is not None
    folder = place.root / f"model-{place.runs}"
    reference = manifests.decode_reference((folder / "reference.json").read_bytes())
    assert predictor.answer(reference.rows) == reference.answers
    assert len(reference.rows) > 200
    profile = manifests.decode_profile((folder / "profile.json").read_bytes())
    assert set(profile.features) == {feature.name for feature in manifest.inputs}


def test_a_sensitive_column_is_nowhere(volume: Place) -> None:
    made = generate(rows=2000, bias=0.5)
    for row in made:
        row["operator_age_group"] = f"secret-{row['operator_age_group']}"
    volume.put("rows.csv", pl.DataFrame(made))
    run = volume.run({**EVERYTHING, "split": {"strategy": "Random", "seed": 7}})
    assert run.code == 0, run.output
    assert "secret-" not in run.output
    assert "operator_age_group" not in run.output
    files = [path for path in (volume.folder / "models").rglob("*") if path.is_file()]
    assert len(files) >= 7
    for path in files:
        assert b"secret-" not in path.read_bytes()
        assert b"operator_age_group" not in path.read_bytes()


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        pytest.param(["bad", "good"], "good", id="text"),
        pytest.param([False, True], True, id="booleans"),
        pytest.param([3, 8], 8, id="numbers"),
    ],
)
def test_predictions_keep_the_targets_type(volume: Place, values: list[Any], answer: Any) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=400)
    target = [values[1] if value > 0 else values[0] for value in x]
    volume.put("rows.csv", pl.DataFrame({"x": x, "target": target}))
    run = volume.run(
        {
            "task": "Classification",
            "data": {"target": "target"},
            "algorithm": {"estimator": "LogisticRegression"},
        }
    )
    assert run.code == 0, run.output
    predictor, _ = volume.fetched(run)
    (found,) = predictor.answer([{"x": 3.0}])
    assert found.prediction == answer
    assert type(found.prediction) is type(answer)


def test_columns_that_only_rows_need_may_be_of_any_type(volume: Place) -> None:
    made = pl.DataFrame(generate(rows=600))
    volume.put(
        "rows.parquet",
        made.with_columns(
            product_type=pl.col("product_type").cast(pl.Categorical),
            tags=pl.concat_list("machine_id"),
            raw=pl.col("machine_id").cast(pl.Binary),
            took=pl.duration(minutes=pl.col("tool_wear")),
        ),
    )
    run = volume.run(
        {
            "task": "Classification",
            "data": {
                "target": "machine_failure",
                "features": {"exclude": ["recorded_at", "machine_id", "tags", "raw", "took"]},
                "expect": {
                    "columns": {"tags": {"maxMissing": 0}, "product_type": {"values": ["L", "M", "H"]}}
                },
            },
            "prepare": {"dataset": {"dropDuplicates": True}},
            "algorithm": {"estimator": "LogisticRegression"},
        },
        files="rows.parquet",
    )
    assert run.code == 0, run.output
    _, manifest = volume.fetched(run)
    assert manifest.split is not None
    assert not {"tags", "raw", "took"} & set(manifest.split.columns)
    assert next(f for f in manifest.inputs if f.name == "product_type").values == ["H", "L", "M"]


def test_a_category_of_whole_numbers_keeps_the_zeros_in_front(volume: Place) -> None:
    count = range(200)
    rows = pl.DataFrame({"row": count, "zip": ["01067", "10115"] * 100, "target": [0, 1] * 100})
    volume.put("rows.csv", rows)
    run = volume.run(
        {
            "task": "Classification",
            "data": {
                "target": "target",
                "features": {"include": ["zip"]},
                "expect": {"columns": {"zip": {"type": "Category"}, "target": {"type": "Category"}}},
            },
            "algorithm": {"estimator": "LogisticRegression"},
        }
    )
    assert run.code == 0, run.output
    predictor, manifest = volume.fetched(run)
    assert manifest.inputs[0].values == ["01067", "10115"]
    answers = predictor.answer([{"zip": "01067"}, {"zip": 10115}])
    assert [answer.prediction for answer in answers] == [0, 1]


def test_a_category_of_held_out_rows_alone_is_no_reference_row_where_it_is_refused(volume: Place) -> None:
    kinds = ["L", "M"] * 40 + ["L", "new"] * 10
    rows = pl.DataFrame({"at": range(100), "kind": kinds, "x": range(100), "target": [0, 1] * 50})
    volume.put("rows.csv", rows)
    run = volume.run(
        {
            "task": "Classification",
            "data": {"target": "target", "time": "at"},
            "prepare": {"model": {"encode": {"unknown": "Reject"}}},
            "split": {"strategy": "Time"},
            "algorithm": {"estimator": "LogisticRegression"},
        }
    )
    assert run.code == 0, run.output
    volume.fetched(run)
    content = (volume.root / f"model-{volume.runs}/reference.json").read_bytes()
    kept = {row["kind"] for row in manifests.decode_reference(content).rows}
    assert "L" in kept
    assert "new" not in kept


@pytest.mark.parametrize(
    "split",
    [
        pytest.param({"strategy": "Group", "group": "machine_id", "seed": 3}, id="by group"),
        pytest.param({"strategy": "Time", "gap": "6h"}, id="by time"),
    ],
)
def test_other_splits(volume: Place, split: dict[str, Any]) -> None:
    volume.put("rows.csv", pl.DataFrame(generate(rows=3000)))
    run = volume.run(
        {
            "task": "Classification",
            "data": {"target": "machine_failure", "time": "recorded_at"},
            "split": split,
            "algorithm": {"estimator": "HistGradientBoostingClassifier"},
            "evaluation": {"threshold": {"value": 0.3}},
        }
    )
    assert run.code == 0, run.output
    predictor, manifest = volume.fetched(run)
    assert "recorded_at" not in {feature.name for feature in manifest.inputs}
    assert manifest.threshold == manifests.Threshold(1, 0.3)
    assert manifest.split is not None
    assert manifest.split.strategy == split["strategy"]
    assert predictor.answer([{}])[0].prediction in (0, 1)
