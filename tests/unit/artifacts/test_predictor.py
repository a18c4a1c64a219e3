"""Raw rows become tensors, and predictions become JSON values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.unit.artifacts.test_manifest import make

from redstart.artifacts.manifest import Input, Output, Tensor
from redstart.artifacts.predictor import Predictions, RowError, decide, side_by_side, tensors, typed

MANIFEST = make(
    inputs=[
        Input("torque", "Number"),
        Input("kind", "Category", values=["H", "L"], closed=True),
        Input("wear", "Number", nullable=False),
        Input("site", "Category", values=["a"]),
    ],
    tensors=[
        Tensor("numbers", "float", ["wear", "torque"]),
        Tensor("categories", "string", ["kind", "site"]),
    ],
)


def test_columns_are_in_the_order_of_the_tensors() -> None:
    numbers, categories = tensors(
        MANIFEST,
        [
            {"torque": 1.5, "kind": "L", "wear": 2, "site": "a"},
            {"site": "b", "wear": 3, "torque": 4, "kind": "H"},
        ],
    )
    assert numbers.dtype == np.float32
    assert numbers.tolist() == [[2, 1.5], [3, 4]]
    assert categories.tolist() == [["L", "a"], ["H", "b"]]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param({"wear": 1}, [1, math.nan, "", ""], id="what is left out is missing"),
        pytest.param(
            {"wear": 1, "torque": None, "kind": None, "site": None}, [1, math.nan, "", ""], id="null too"
        ),
        pytest.param({"wear": 1, "kind": "", "site": ""}, [1, math.nan, "", ""], id="empty text too"),
        pytest.param({"wear": True, "torque": False}, [1, 0, "", ""], id="true and false are 1 and 0"),
        pytest.param({"wear": 1, "site": 12}, [1, math.nan, "", "12"], id="a whole number is a category"),
        pytest.param({"wear": 1, "site": True}, [1, math.nan, "", "true"], id="true is a category"),
        pytest.param(
            {"wear": 1, "site": "new"}, [1, math.nan, "", "new"], id="an open category may be unseen"
        ),
        pytest.param(
            {"wear": -3.4e38}, [np.float32(-3.4e38), math.nan, "", ""], id="the ends of float32 fit"
        ),
    ],
)
def test_values_of_a_row(row: dict[str, Any], expected: list[Any]) -> None:
    numbers, categories = tensors(MANIFEST, [row])
    np.testing.assert_array_equal(numbers[0], np.array(expected[:2], dtype=np.float32))
    assert categories[0].tolist() == expected[2:]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param({}, "rows[1].wear: is required", id="a required number is missing"),
        pytest.param({"wear": None}, "rows[1].wear: is required", id="a required number is null"),
        pytest.param({"wear": 1, "tork": 2}, "rows[1].tork: is no input", id="an unknown field"),
        pytest.param(
            {"wear": "x"}, "rows[1].wear: must be a number, not the text 'x'", id="text for a number"
        ),
        pytest.param({"wear": [1]}, "rows[1].wear: must be a number, not list", id="a list for a number"),
        pytest.param({"wear": 1e39}, "rows[1].wear: is too large", id="more than a float32 holds"),
        pytest.param({"wear": 10**400}, "rows[1].wear: is too large", id="more than a float64 holds"),
        pytest.param({"wear": math.nan}, "rows[1].wear: is too large", id="no number"),
        pytest.param(
            {"wear": 1, "kind": 1.5}, "rows[1].kind: must be a string, not the fraction 1.5", id="a fraction"
        ),
        pytest.param(
            {"wear": 1, "kind": "M"}, "rows[1].kind: 'M' was not among", id="a closed category is unseen"
        ),
    ],
)
def test_a_row_that_does_not_fit_names_its_field(row: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError) as caught:
        tensors(MANIFEST, [{"wear": 1}, row])
    assert message in str(caught.value)
    assert caught.value.row == 1


PROBABILITIES = np.array([[0.7, 0.3], [0.61, 0.39], [0.6, 0.4], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("changes", "raw", "probabilities", "expected"),
    [
        pytest.param(
            {}, [0, 0, 0, 1], PROBABILITIES, [0, 0, 1, 1], id="the threshold decides, not the label"
        ),
        pytest.param({"threshold": None}, [0, 0, 0, 1], PROBABILITIES, [0, 0, 0, 1], id="the label decides"),
        pytest.param(
            {
                "threshold": None,
                "outputs": [Output("prediction", "Category", "l", values=["no", "yes"], indexed=True)],
            },
            [1, 0],
            None,
            ["yes", "no"],
            id="an index stands for its label",
        ),
        pytest.param(
            {"threshold": None, "outputs": [Output("prediction", "Category", "l", values=[5, 7])]},
            [7, 5],
            None,
            [7, 5],
            id="a label stands for itself",
        ),
        pytest.param(
            {"threshold": None, "task": "Regression", "outputs": [Output("prediction", "Number", "v")]},
            [1.5, -2.0],
            None,
            [1.5, -2.0],
            id="a number is a number",
        ),
    ],
)
def test_predictions_are_json_values(
    changes: dict[str, Any], raw: list[Any], probabilities: Any, expected: list[Any]
) -> None:
    found = decide(make(**changes), Predictions(np.array(raw), probabilities))
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_a_pipelines_matrix_holds_numbers_or_objects() -> None:
    numbers, categories = np.array([[1.5], [math.nan]]), np.array([["a"], [""]], dtype=object)
    assert side_by_side([numbers]).dtype == np.float64
    both = side_by_side([numbers, categories])
    assert both.dtype == object
    assert both[0].tolist() == [1.5, "a"]
    assert type(both[0, 0]) is float


def test_arrays_are_cast_to_the_tensors_types() -> None:
    numbers, categories = typed(MANIFEST, [np.ones((2, 2)), np.full((2, 2), "a", dtype=object)])
    assert (numbers.dtype, categories.dtype) == (np.float32, object)
