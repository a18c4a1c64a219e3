"""What each column is for, and how rows become matrices."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.unit.trainer.specs import spec

from redstart.trainer.columns import assign_roles, matrix, texts
from redstart.trainer.errors import TrainingError
from redstart.trainer.target import read_target

ROWS = pl.DataFrame(
    {
        "at": ["2026-01-01", "2026-01-02", "2026-01-03"],
        "machine": ["a", "b", None],
        "torque": [1.5, None, 3.0],
        "wear": [1, 2, 3],
        "open": [True, False, None],
        "zip": [10115, None, 20095],
        "age": ["x", "y", "z"],
        "day": [date(2026, 1, 1)] * 3,
        "tags": [["a"], ["b"], []],
        "nothing": pl.Series([None] * 3, dtype=pl.Null),
        "failure": [0, 1, 0],
    }
)
CLEAN = ROWS.drop("day", "tags", "nothing")


def names(rows: pl.DataFrame = CLEAN, **changes: Any) -> list[str]:
    return [feature.name for feature in assign_roles(rows, spec(**changes)).features]


@pytest.mark.parametrize(
    ("changes", "features"),
    [
        pytest.param({}, ["at", "machine", "torque", "wear", "open", "zip", "age"], id="all but the target"),
        pytest.param(
            {"data__time": "at", "data__sensitive": ["age"]},
            ["machine", "torque", "wear", "open", "zip"],
            id="no time, nothing sensitive",
        ),
        pytest.param(
            {"split__strategy": "Group", "split__group": "machine"},
            ["at", "torque", "wear", "open", "zip", "age"],
            id="no group",
        ),
        pytest.param(
            {"data__features": {"include": ["wear", "torque"]}}, ["torque", "wear"], id="those included"
        ),
        pytest.param(
            {"data__features": {"exclude": ["at", "age"]}},
            ["machine", "torque", "wear", "open", "zip"],
            id="those not excluded",
        ),
    ],
)
def test_features(changes: dict[str, Any], features: list[str]) -> None:
    assert names(**changes) == features


@pytest.mark.parametrize(
    ("order", "features"),
    [
        pytest.param([], ["torque", "wear", "open"], id="no version before: the order of the columns"),
        pytest.param(
            ["open", "wear", "torque"], ["open", "wear", "torque"], id="the same inputs in any order"
        ),
        pytest.param(
            ["wear"], ["wear", "torque", "open"], id="what is new comes last, in the columns' order"
        ),
        pytest.param(["open", "gone", "wear"], ["open", "wear", "torque"], id="what is gone leaves no gap"),
        pytest.param(["failure", "age", "open"], ["open", "torque", "wear"], id="what is no input any more"),
    ],
)
def test_the_order_of_the_version_before_is_kept(order: list[str], features: list[str]) -> None:
    changes = {"data__features": {"include": ["torque", "wear", "open"]}}
    roles = assign_roles(CLEAN, spec(**changes), order)
    assert [feature.name for feature in roles.features] == features


@pytest.mark.parametrize(
    ("rows", "changes", "reason", "message"),
    [
        pytest.param(
            CLEAN, {"data__target": "failur"}, "ColumnMissing", "did you mean failure", id="misspelt"
        ),
        pytest.param(
            CLEAN, {"data__target": "qqq"}, "ColumnMissing", "there are at, machine", id="another target"
        ),
        pytest.param(CLEAN, {"data__time": "when"}, "ColumnMissing", "data.time", id="no time"),
        pytest.param(
            CLEAN, {"data__sensitive": ["sex"]}, "ColumnMissing", "data.sensitive", id="no such sensitive"
        ),
        pytest.param(
            CLEAN,
            {"data__features": {"exclude": ["tork"]}},
            "ColumnMissing",
            "features.exclude",
            id="no such feature",
        ),
        pytest.param(
            CLEAN,
            {"data__features": {"include": ["age"]}, "data__sensitive": ["age"]},
            "ColumnUnusable",
            "never features",
            id="a sensitive feature",
        ),
        pytest.param(
            ROWS.drop("day", "nothing"),
            {"split__strategy": "Group", "split__group": "tags"},
            "ColumnUnusable",
            r"split.group: tags holds List\(String\); name a column of text",
            id="a group of lists",
        ),
        pytest.param(
            CLEAN,
            {"split__strategy": "Group", "split__group": "site"},
            "ColumnMissing",
            "split.group",
            id="no such group",
        ),
        pytest.param(
            CLEAN, {"prepare__model__impute": {"x": "Mean"}}, "ColumnMissing", "impute", id="impute nothing"
        ),
        pytest.param(
            CLEAN,
            {"prepare__dataset__drop_missing": ["x"]},
            "ColumnMissing",
            "dropMissing",
            id="drop nothing",
        ),
        pytest.param(
            CLEAN,
            {"prepare__dataset__forward_fill": {"columns": ["x"]}, "data__time": "at"},
            "ColumnMissing",
            "forwardFill.columns",
            id="fill nothing",
        ),
        pytest.param(
            ROWS.select("wear", "day", "failure"), {}, "ColumnUnusable", "column day holds times", id="times"
        ),
        pytest.param(ROWS.select("wear", "tags", "failure"), {}, "ColumnUnusable", "column tags", id="lists"),
        pytest.param(
            CLEAN.with_columns(took=pl.lit(timedelta(1))),
            {},
            "ColumnUnusable",
            "took holds Duration",
            id="durations",
        ),
        pytest.param(
            ROWS.select("wear", "nothing", "failure"), {}, "ColumnUnusable", "no values", id="nothing"
        ),
        pytest.param(ROWS.select("failure"), {}, "NoFeatures", "no column is left", id="no column"),
    ],
)
def test_columns_that_cannot_be_used_are_named(
    rows: pl.DataFrame, changes: dict[str, Any], reason: str, message: str
) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        names(rows, **changes)
    assert caught.value.reason == reason


def test_numbers_and_categories_as_tensors() -> None:
    job = spec(
        data__expect={"columns": {"zip": {"type": "Category"}}}, data__features={"exclude": ["at", "age"]}
    )
    roles = assign_roles(CLEAN, job)
    assert (roles.numbers, roles.categories) == (["torque", "wear", "open"], ["machine", "zip"])
    numbers, categories = matrix(CLEAN, roles)
    np.testing.assert_array_equal(numbers, [[1.5, 1, 1], [np.nan, 2, 0], [3.0, 3, np.nan]])
    assert categories.tolist() == [["a", "10115"], ["b", ""], ["", "20095"]]


def test_text_that_is_expected_to_be_a_number_becomes_one() -> None:
    rows = pl.DataFrame({"a": ["1.5", None, "2"], "failure": [0, 1, 0]})
    roles = assign_roles(rows, spec(data__expect={"columns": {"a": {"type": "Number"}}}))
    np.testing.assert_array_equal(matrix(rows, roles)[0], [[1.5], [np.nan], [2]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1.0, None], ["1", ""], id="whole fractions"),
        pytest.param([1.2, 1.9], ["1.2", "1.9"], id="fractions"),
        pytest.param([1e19, 2.0], ["1e+19", "2.0"], id="floats above 2^63"),
        pytest.param([True, None], ["true", ""], id="booleans"),
    ],
)
def test_texts(values: list[Any], expected: list[str]) -> None:
    assert texts(pl.Series(values)).tolist() == expected


def test_infinite_values_are_counted() -> None:
    rows = pl.DataFrame({"a": [1.0, float("inf"), float("-inf")], "failure": [0, 1, 0]})
    with pytest.raises(TrainingError, match="column a holds 2 infinite values"):
        matrix(rows, assign_roles(rows, spec()))


@pytest.mark.parametrize(
    ("values", "classes", "codes"),
    [
        pytest.param([1, 0, 1], (0, 1), [1, 0, 1], id="whole numbers"),
        pytest.param(["b", "a", "b"], ("a", "b"), [1, 0, 1], id="text"),
        pytest.param([True, False, True], (False, True), [1, 0, 1], id="booleans"),
        pytest.param([2.0, 1.0, 2.0], (1, 2), [1, 0, 1], id="whole floats are whole numbers"),
        pytest.param([10, 9, -1], (-1, 9, 10), [2, 1, 0], id="numbers in their own order"),
    ],
)
def test_classes_keep_their_json_type(values: list[Any], classes: tuple[Any, ...], codes: list[int]) -> None:
    target = read_target(pl.Series("y", values), "Classification")
    assert target.classes == classes
    assert [type(label) for label in target.classes] == [type(label) for label in classes]
    assert target.values.tolist() == codes


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        pytest.param([0.5, 1.5], "Classification", "use task: Regression", id="fractions are no classes"),
        pytest.param(
            [1, 1], "Classification", "every value of y is 1; Classification needs two", id="one class"
        ),
        pytest.param([1.0, float("inf")], "Classification", "y holds 1 infinite", id="an infinite class"),
        pytest.param(
            [1.0, 1e300], "Classification", "y holds 1 values beyond 3.4e\\+38", id="a class above 2^63"
        ),
        pytest.param(list(range(1001)), "Classification", "1,001 distinct", id="too many classes"),
        pytest.param([date(2026, 1, 1)] * 2, "Classification", "no class", id="days are no classes"),
        pytest.param(
            [b"a", b"b"], "Classification", "holds Binary, which is no class", id="bytes are no classes"
        ),
        pytest.param(["a", "b"], "Regression", "needs numbers", id="text is no number"),
        pytest.param([2.0, 2.0], "Regression", "the same", id="a constant"),
    ],
)
def test_targets_that_cannot_be_learned(values: list[Any], task: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        read_target(pl.Series("y", values), task)
    assert caught.value.reason == "TargetUnusable"
    assert "y" in str(caught.value)
