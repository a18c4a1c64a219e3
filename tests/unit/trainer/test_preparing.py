"""Dataset preparation, in its order, and what is exported with the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from tests.unit.trainer.specs import spec

from redstart.api.v1alpha1.training_job import DataReport, ForwardFill, PrepareModel
from redstart.trainer import dataset, details, preprocessing
from redstart.trainer.columns import Feature, Roles
from redstart.trainer.errors import TrainingError
from redstart.trainer.findings import Finding
from redstart.trainer.preparing import prepare

ROLES = Roles((Feature("kind", "Category"), Feature("torque", "Number")), "failure", "at", None, ())


def test_duplicates_are_equal_in_every_column() -> None:
    rows = pl.DataFrame({"a": [1, 1, 1, None, None], "b": ["x", "x", "y", "z", "z"]})
    found = dataset.without_duplicates(rows)
    assert found.rows() == [(1, "x"), (1, "y"), (None, "z")]


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        pytest.param({}, [1, 1, 1, 1, 2, 2], id="to the end"),
        pytest.param({"limit": 1}, [1, 1, None, None, 2, 2], id="one at most"),
        pytest.param({"group_by": "m"}, [1, None, 1, None, 2, 2], id="within groups"),
    ],
)
def test_forward_fill(fill: dict[str, Any], expected: list[float | None]) -> None:
    rows = pl.DataFrame({"m": ["a", "b", "a", "b", "a", "a"], "torque": [1.0, None, None, None, 2.0, None]})
    assert dataset.filled(rows, ForwardFill(columns=["torque"], **fill))["torque"].to_list() == expected


def test_values_are_not_carried_from_training_into_the_test_part() -> None:
    rows = pl.DataFrame(
        {
            "at": list(range(10)),
            "torque": [1.0, 2, 3, 4, 5, 6, 7, 8, None, 9],
            "failure": [0, 1] * 5,
        }
    )
    fill = {"columns": ["torque"]}
    made = prepare(rows, spec(data__time="at", split__strategy="Time", prepare__dataset__forward_fill=fill))
    assert made.parts.test.tolist() == [8, 9]
    np.testing.assert_array_equal(made.test.tensors[0], [[np.nan], [9]])


def test_the_order_is_duplicates_expectations_missing_split() -> None:
    rows = pl.DataFrame(
        {"at": [2, 1, 1, 3, 4] * 20, "x": [5.0, 4, 4, None, 1] * 20, "failure": [0, 1, 1, 0, None] * 20}
    )
    rows = rows.with_columns(at=pl.col("at") + 10 * (pl.int_range(100) // 5))
    changes = {"prepare__dataset": {"dropDuplicates": True, "dropMissing": ["x"]}, "data__time": "at"}
    made = prepare(rows, spec(data__expect={"minRows": 80}, **changes))
    assert (made.read, made.rows.height) == (100, 40)
    assert made.rows["at"].is_sorted()
    assert made.train.rows + made.test.rows == 40
    with pytest.raises(TrainingError, match="80 rows, at least 81"):
        prepare(rows, spec(data__expect={"minRows": 81}, **changes))


def test_what_is_found_is_counted_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    made = np.random.default_rng(3).normal(size=200)
    failure = [int(value > 0) if at % 40 else None for at, value in enumerate(made)]
    rows = pl.DataFrame(
        {
            "Unnamed: 0": range(200),
            "x": np.where(made > 0, made / 9 + 1, made / 9),
            "noise": [at * 7 % 13 if at % 50 else None for at in range(200)],
            "always": ["a"] * 200,
            "secret": ["hidden-value"] * 200,
            "failure": failure,
        },
        strict=False,
    )
    changes = {"prepare__dataset": {"dropMissing": ["noise"]}, "data__sensitive": ["secret"]}
    guessed = Finding("", "Guessed", 1, (), "a.csv was read as separated by ;")
    prepared = prepare(pl.concat([rows, rows[1:3]]), spec(**changes), found=[guessed])
    kinds = [(finding.kind, finding.column, finding.count) for finding in prepared.findings]
    assert kinds == [
        ("Guessed", "", 1),
        ("IndexColumn", "Unnamed: 0", 202),
        ("MissingTarget", "failure", 5),
        ("MissingValues", "noise", 3),
        ("Constant", "always", 194),
        ("LeakageSuspected", "x", prepared.train.rows),
    ]
    printed = capsys.readouterr().out
    assert all(finding.message in printed for finding in prepared.findings)
    told = details.data(prepared.findings, prepared.read, prepared.train.rows, prepared.test.rows)
    report = DataReport.model_validate(told)
    assert [(dropped.reason, dropped.count) for dropped in report.rows.dropped] == [
        ("MissingTarget", 5),
        ("MissingValues", 3),
    ]
    assert report.rows.read == report.rows.train + report.rows.test + 8
    assert [warning.kind for warning in report.warnings] == [
        "LeakageSuspected",
        "IndexColumn",
        "Guessed",
        "Constant",
    ]
    assert "hidden-value" not in printed + str(told)


def test_at_most_fifty_warnings_are_reported() -> None:
    many = [Finding(f"x{number}", "Constant", 5, (), "constant " * 100) for number in range(60)]
    report = DataReport.model_validate(details.data(many, 5, 4, 1))
    assert (len(report.warnings), report.omitted) == (50, 10)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            {"x": [None] * 30, "y": [1.0] * 30}, "column x holds no values", id="a column without values"
        ),
        pytest.param(
            {"x": [f"{n}" for n in range(30)] * 50}, "at most 1,000 can be encoded", id="an identifier"
        ),
        pytest.param({"x": [1.0] * 30, "failure": [None] * 30}, "no row is left", id="no target"),
    ],
)
def test_what_nothing_can_be_learned_from(rows: dict[str, list[Any]], message: str) -> None:
    size = len(rows["x"])
    if size > 100:
        rows["x"] = [f"id-{number}" for number in range(size)]
    frame = pl.DataFrame({"failure": [0, 1, 1] * (size // 3), **rows})
    with pytest.raises(TrainingError, match=message):
        prepare(frame, spec())


def pipeline(estimator: Any = None, **changes: Any) -> Any:
    return preprocessing.build(
        ROLES, PrepareModel(**changes), LogisticRegression() if estimator is None else estimator
    )


MATRIX = np.array([[1.0, "a"], [np.nan, "a"], [3.0, ""], [5.0, "b"], [5.0, "a"]], dtype=object)
TARGET = np.array([0, 1, 0, 1, 1])


@pytest.mark.parametrize(
    ("changes", "first", "missing", "unseen"),
    [
        pytest.param(
            {}, [1, 0, 1, 0], [4, 1, 0, 0], [1, 0, 0, 0], id="median, and missing text is its own category"
        ),
        pytest.param({"impute": {"torque": "Mean"}}, [1, 0, 1, 0], [3.5, 1, 0, 0], [1, 0, 0, 0], id="mean"),
        pytest.param(
            {"impute": {"torque": "MostFrequent"}}, [1, 0, 1, 0], [5, 1, 0, 0], [1, 0, 0, 0], id="mode"
        ),
        pytest.param(
            {"impute": {"torque": "Constant:-1"}}, [1, 0, 1, 0], [-1, 1, 0, 0], [1, 0, 0, 0], id="constant"
        ),
        pytest.param(
            {"impute": {"kind": "MostFrequent"}}, [1, 1, 0], [4, 1, 0], [1, 0, 0], id="the most frequent text"
        ),
        pytest.param({"impute": {"kind": "Constant:b"}}, [1, 1, 0], [4, 0, 1], [1, 0, 0], id="a text"),
    ],
)
def test_imputing_and_encoding(
    changes: dict[str, Any], first: list[float], missing: list[float], unseen: list[float]
) -> None:
    step = pipeline(scale="None", **changes).fit(MATRIX, TARGET)[:-1]
    rows = np.array([[1.0, "a"], [np.nan, ""], [1.0, "zzz"]], dtype=object)
    np.testing.assert_array_equal(step.transform(rows), [first, missing, unseen])


@pytest.mark.parametrize(
    ("scale", "estimator", "scaler"),
    [
        pytest.param("Auto", LogisticRegression(), StandardScaler, id="auto scales what needs it"),
        pytest.param("Auto", RandomForestClassifier(), None, id="auto leaves forests alone"),
        pytest.param("Auto", MultinomialNB(), None, id="auto leaves counts alone"),
        pytest.param("Standard", RandomForestClassifier(), StandardScaler, id="asked for"),
        pytest.param("MinMax", LogisticRegression(), MinMaxScaler, id="to 0 and 1"),
        pytest.param("None", LogisticRegression(), None, id="none"),
    ],
)
def test_scaling(scale: str, estimator: Any, scaler: type | None) -> None:
    numbers = pipeline(estimator, scale=scale)["prepare"].transformers[0][1]
    assert type(getattr(numbers, "steps", [[None, None]])[-1][1]) is (scaler or type(None))


@pytest.mark.parametrize(
    ("impute", "message"),
    [
        pytest.param({"kind": "Median"}, "impute.kind: Median is for numbers", id="the median of text"),
        pytest.param(
            {"torque": "Constant:x"}, "impute.torque: Constant:x is no number", id="text for a number"
        ),
    ],
)
def test_an_imputation_that_does_not_fit(impute: dict[str, str], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        pipeline(impute=impute)


@pytest.mark.parametrize("group", [None, "^b.*$"], ids=["alone", "within groups"])
def test_a_name_that_looks_like_a_regular_expression_fills_only_its_own_column(group):
    rows = pl.DataFrame(
        {"^a.*$": [1.0, None, None], "ab": [1.0, None, 2.0], "^b.*$": [1, 1, 2], "bb": [1, 2, 1]}
    )
    found = dataset.filled(rows, ForwardFill(columns=["^a.*$"], group_by=group))
    assert found["^a.*$"].to_list() == [1.0, 1.0, None if group else 1.0]
    assert found["ab"].to_list() == [1.0, None, 2.0]
