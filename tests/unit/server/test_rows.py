"""Rows as clients send them."""

import json

import numpy as np
import pytest
from tests.unit.server.sample_artifacts import PRODUCT, ROW, TEMPERATURE, TORQUE

from redstart.artifacts.manifest import CONTRACT, File, Input, Manifest, Output, Tensor
from redstart.server.rows import MAX_ROWS, InputError, RowDecoder

CLOSED = Input("product_type", "Category", nullable=False, values=["L", "M", "H"], closed=True)


def manifest(*inputs: Input, tensors: list[Tensor] | None = None) -> Manifest:
    numbers = [feature.name for feature in inputs if feature.type == "Number"]
    strings = [feature.name for feature in inputs if feature.type == "Category"]
    made = [Tensor("numbers", "float", numbers)] if numbers else []
    made += [Tensor("categories", "string", strings)] if strings else []
    return Manifest(
        contract=CONTRACT,
        model="m",
        task="Regression",
        format="ONNX",
        files=[File("model.onnx", 0, "sha256:" + "0" * 64)],
        inputs=list(inputs),
        tensors=tensors or made,
        outputs=[Output("prediction", "Number")],
    )


def decode(body, *inputs: Input):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RowDecoder(manifest(*(inputs or (TORQUE, TEMPERATURE, PRODUCT)))).decode(content)


def test_rows_by_name_become_one_array_for_each_tensor():
    found = decode({"rows": [ROW, {"product_type": "M", "Air temperature [K]": 300, "torque": 1}]})
    numbers, categories = found.tensors
    assert numbers.dtype == np.float32
    assert numbers.tolist() == [[np.float32(40.1), np.float32(298.1)], [1.0, 300.0]]
    assert categories.tolist() == [["L"], ["M"]]
    assert not found.single


def test_instances_are_rows_in_the_order_of_the_inputs():
    by_name, by_place = decode({"rows": [ROW]}), decode({"instances": [[40.1, 298.1, "L"]]})
    assert [a.tolist() for a in by_name.tensors] == [a.tolist() for a in by_place.tensors]


def test_features_are_one_row():
    found = decode({"features": [40.1, 298.1, "L"]})
    assert found.single
    assert [array.shape for array in found.tensors] == [(1, 2), (1, 1)]


def test_columns_follow_the_tensors_whatever_the_order_of_the_inputs():
    a, b, c = (Input(name, "Number") for name in "abc")
    crossed = manifest(a, b, c, tensors=[Tensor("x", "double", ["c", "a"]), Tensor("y", "float", ["b"])])
    found = RowDecoder(crossed).decode(b'{"instances": [[1, 2, 3], [4, 5, 6]]}')
    assert [array.tolist() for array in found.tensors] == [[[3, 1], [6, 4]], [[2], [5]]]
    assert [array.dtype for array in found.tensors] == [np.float64, np.float32]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, "nan", id="null is missing"),
        pytest.param(True, "1.0", id="true is 1"),
        pytest.param(False, "0.0", id="false is 0"),
        pytest.param(3, "3.0", id="an integer is a number"),
        pytest.param(-0.5, "-0.5", id="a fraction"),
    ],
)
def test_what_a_number_may_be(value, expected):
    assert str(float(decode({"rows": [{**ROW, "torque": value}]}).tensors[0][0, 0])) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, "", id="null is missing"),
        pytest.param("", "", id="the empty string is missing"),
        pytest.param(3, "3", id="an integer is its decimal text"),
        pytest.param(True, "true", id="true"),
        pytest.param(False, "false", id="false"),
        pytest.param("never seen", "never seen", id="a value that training did not see"),
    ],
)
def test_what_a_category_may_be(value, expected):
    assert decode({"rows": [{**ROW, "product_type": value}]}).tensors[1].tolist() == [[expected]]


def test_a_nullable_input_may_be_left_out():
    numbers, categories = decode({"rows": [{"Air temperature [K]": 298.1}]}).tensors
    assert np.isnan(numbers[0, 0])
    assert categories.tolist() == [[""]]


MALFORMED = [
    pytest.param(b"", "the body is empty", id="nothing"),
    pytest.param(b"{", "not JSON", id="half an object"),
    pytest.param(b"\xff\xfe", "not JSON", id="no text"),
    pytest.param(b'{"rows": [{"torque": NaN}]}', "send null for a missing value", id="Python's NaN"),
    pytest.param(
        b'{"rows": [{"torque": -Infinity}]}', "send null for a missing value", id="Python's infinity"
    ),
    pytest.param(b"[]", "send an object with one of rows, instances, features", id="a list"),
    pytest.param(b"{}", "exactly one of rows, instances, features; it has 0", id="an empty object"),
    pytest.param(b'{"row": []}', "unknown field `row`", id="a misspelt key"),
    pytest.param(b'{"rows": {}}', "rows: Expected `array`, got `object`", id="rows that are no list"),
    pytest.param(b'{"rows": [], "instances": []}', "it has 2", id="two kinds of rows"),
]


@pytest.mark.parametrize(("body", "message"), MALFORMED)
def test_a_body_of_another_shape_is_a_400(body, message):
    with pytest.raises(InputError) as caught:
        decode(body)
    assert caught.value.status == 400
    assert message in str(caught.value)


WRONG = [
    pytest.param(
        {"rows": [ROW, {**ROW, "torque": "x"}]},
        (1, "torque", "rows[1].torque: expected a number or null, got the text 'x'"),
        id="text for a number",
    ),
    pytest.param(
        {"rows": [{**ROW, "Air temperature [K]": None}]},
        (0, "Air temperature [K]", "rows[0].Air temperature [K]: is required; expected a number, got null"),
        id="null for a required number whose name holds brackets",
    ),
    pytest.param(
        {"rows": [{"torque": 1}]},
        (0, "Air temperature [K]", "rows[0].Air temperature [K]: is required; expected a number"),
        id="a required input left out",
    ),
    pytest.param(
        {"rows": [{**ROW, "torqe": 1}]},
        (
            0,
            "torqe",
            "rows[0].torqe: is no input of the model; its inputs are torque, Air temperature [K], product_type",
        ),
        id="a misspelt input",
    ),
    pytest.param(
        {"rows": [{**ROW, "product_type": 1.5}]},
        (0, "product_type", "rows[0].product_type: expected a string or null, got the fraction 1.5"),
        id="a fraction for a category",
    ),
    pytest.param(
        {"rows": [{**ROW, "torque": 1e39}]},
        (
            0,
            "torque",
            "rows[0].torque: the number is too large; at most 3.4e+38 either side of 0 is expected",
        ),
        id="a number that fits no float32",
    ),
    pytest.param(
        {"rows": [{**ROW, "torque": [1]}]},
        (0, "torque", "rows[0].torque: expected a number or null, got array"),
        id="a list for a number",
    ),
    pytest.param(
        {"rows": [3]}, (0, None, "rows[0]: Expected `object`, got `int`"), id="a row that is no object"
    ),
    pytest.param(
        {"instances": [[1, 2, "L"], [1, "x", "L"]]},
        (1, "Air temperature [K]", "instances[1].Air temperature [K]: expected a number, got the text 'x'"),
        id="text for a number, by place",
    ),
    pytest.param(
        {"instances": [[1, 2]]},
        (0, None, "instances[0]: expected 3 values, in the order torque, Air temperature [K], product_type"),
        id="too few values",
    ),
    pytest.param(
        {"instances": [[1, 2, "L", 4]]},
        (
            None,
            None,
            "instances and features take 3 values for each row, in the order torque, Air temperature [K], product_type",
        ),
        id="too many values",
    ),
    pytest.param(
        {"features": [1, 2, {}]},
        (0, "product_type", "features.product_type: expected a string or null, got object"),
        id="an object for a category of the one row",
    ),
    pytest.param(
        {"features": [1]},
        (0, None, "features: expected 3 values, in the order torque, Air temperature [K], product_type"),
        id="too few values of the one row",
    ),
    pytest.param({"rows": []}, (None, None, "there are no rows; send at least one"), id="no rows"),
    pytest.param(
        {"rows": [ROW] * (MAX_ROWS + 1)},
        (None, None, f"{MAX_ROWS + 1} rows in one request; send at most {MAX_ROWS}"),
        id="too many rows",
    ),
]


@pytest.mark.parametrize(("body", "expected"), WRONG)
def test_a_wrong_value_is_a_422_that_names_row_and_field(body, expected):
    with pytest.raises(InputError) as caught:
        decode(body)
    row, field, message = expected
    assert (caught.value.status, str(caught.value)) == (422, message)
    assert (caught.value.row, caught.value.field) == (row, field)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        pytest.param("X", "'X'", id="an unknown one"),
        pytest.param("", "''", id="the empty string, which is missing"),
    ],
)
def test_a_closed_category_takes_only_what_training_saw(value, got):
    with pytest.raises(InputError) as caught:
        decode({"rows": [{"product_type": "L"}, {"product_type": value}]}, CLOSED)
    assert str(caught.value) == f"rows[1].product_type: expected one of 'L', 'M', 'H', got {got}"
    assert (caught.value.status, caught.value.row, caught.value.field) == (422, 1, "product_type")


@pytest.mark.parametrize(
    ("body", "path", "row"),
    [
        pytest.param({"instances": [["L"], ["X"]]}, "instances[1].product_type", 1, id="by place"),
        pytest.param({"features": ["X"]}, "features.product_type", 0, id="of the one row"),
    ],
)
def test_an_unknown_category_is_named_by_the_clients_own_path(body, path, row):
    with pytest.raises(InputError) as caught:
        decode(body, CLOSED)
    assert str(caught.value) == f"{path}: expected one of 'L', 'M', 'H', got 'X'"
    assert caught.value.row == row
