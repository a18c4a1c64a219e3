"""Open Inference Protocol V2."""

import copy
import json

import pytest
from tests.unit.server import sample_artifacts

from redstart.server.rows import InputError

TORQUE = {"name": "torque", "shape": [2], "datatype": "FP64", "data": [40.1, None]}
TEMPERATURE = {"name": "Air temperature [K]", "shape": [2], "datatype": "FP32", "data": [298.1, 300]}
PRODUCT = {"name": "product_type", "shape": [2], "datatype": "BYTES", "data": ["L", "M"]}
REQUEST = {"id": "42", "inputs": [TORQUE, TEMPERATURE, PRODUCT]}

ROWS = [
    {"torque": 40.1, "Air temperature [K]": 298.1, "product_type": "L"},
    {"torque": None, "Air temperature [K]": 300, "product_type": "M"},
]


def infer(service, request):
    return json.loads(service.infer(json.dumps(request).encode()).body)


def changed(index, **fields):
    request = copy.deepcopy(REQUEST)
    request["inputs"][index] |= fields
    return request


def outputs(answer):
    return {output["name"]: output for output in answer["outputs"]}


def test_an_infer_request_is_answered_as_predict_answers(service):
    answer = infer(service, REQUEST)
    wanted = json.loads(service.predict(json.dumps({"rows": ROWS}).encode()).body)
    assert (answer["model_name"], answer["model_version"], answer["id"]) == (
        "machine-failure",
        "machine-failure-v3",
        "42",
    )
    found = outputs(answer)
    assert found["prediction"] == {
        "name": "prediction",
        "shape": [2],
        "datatype": "INT64",
        "data": wanted["prediction"],
    }
    assert (found["probabilities"]["shape"], found["probabilities"]["datatype"]) == ([2, 2], "FP64")
    assert found["probabilities"]["data"] == [value for row in wanted["probabilities"] for value in row]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(changed(0, shape=[2, 1]), id="a column of shape [rows, 1]"),
        pytest.param(changed(0, shape=[2, 1], data=[[40.1], [None]]), id="nested data"),
        pytest.param(changed(0, parameters={"content_type": "np"}), id="parameters, which say nothing to us"),
        pytest.param(REQUEST | {"parameters": {"priority": 3}}, id="parameters of the request"),
        pytest.param(
            REQUEST | {"parameters": {"a": [1, {}], "b": {"c": None}}},
            id="parameters that are lists and objects",
        ),
        pytest.param(REQUEST | {"parameters": None, "outputs": None, "id": None}, id="explicit nulls"),
        pytest.param(changed(0, parameters=None), id="a tensor whose parameters are null"),
        pytest.param(REQUEST | {"outputs": []}, id="no outputs in particular"),
        pytest.param(
            REQUEST
            | {
                "outputs": [
                    {"name": "prediction", "parameters": None},
                    {"name": "probabilities", "parameters": {"classification": 2}},
                ]
            },
            id="both outputs by name",
        ),
        pytest.param(
            changed(0, shape=[2, 1, 1], data=[[[40.1]], [[None]]]), id="data nested as the shape is"
        ),
        pytest.param({"inputs": [PRODUCT, TEMPERATURE, TORQUE]}, id="another order of the tensors, no id"),
    ],
)
def test_requests_that_mean_the_same_have_the_same_answer(request_, service):
    assert infer(service, request_)["outputs"] == infer(service, REQUEST)["outputs"]


def test_without_an_id_the_answer_has_none(service):
    assert "id" not in infer(service, {"inputs": REQUEST["inputs"]})


def test_an_optional_input_may_be_left_out(service):
    assert outputs(infer(service, {"inputs": [TEMPERATURE]}))["prediction"]["shape"] == [2]


def test_only_the_outputs_that_were_asked_for_are_sent(service):
    assert list(outputs(infer(service, REQUEST | {"outputs": [{"name": "probabilities"}]}))) == [
        "probabilities"
    ]


WRONG = [
    pytest.param(REQUEST | {"inputs": []}, "inputs: there is none", None, id="no tensors"),
    pytest.param(
        {"inputs": [TORQUE]}, "inputs: Air temperature [K] is required", "Air temperature [K]", id="one less"
    ),
    pytest.param(
        changed(0, name="torqe"), "'torqe' is no input of the model", "torqe", id="an unknown tensor"
    ),
    pytest.param({"inputs": [TORQUE, TORQUE]}, "torque is given twice", "torque", id="the same tensor twice"),
    pytest.param(
        changed(0, datatype="STRING"), "torque has datatype STRING; expected", "torque", id="no such datatype"
    ),
    pytest.param(
        changed(2, datatype="FP32", data=[1, 1.5]),
        "product_type[1]: expected a string or null, got the fraction 1.5",
        "product_type",
        id="a fraction for a category",
    ),
    pytest.param(changed(0, shape=[1, 2]), "torque has shape [1, 2]; expected [rows]", "torque", id="a row"),
    pytest.param(changed(0, shape=[]), "torque has shape []", "torque", id="no shape"),
    pytest.param(changed(0, shape=[-1, -2]), "torque has shape [-1, -2]", "torque", id="a negative shape"),
    pytest.param(
        changed(0, data=[[[40.1]], [[None]]]),
        "torque[0]: expected a number or null, got array",
        "torque",
        id="data nested deeper than the shape",
    ),
    pytest.param(
        changed(0, shape=[600_000], data=[0] * 600_000), "600000 rows in one request", None, id="too many"
    ),
    pytest.param(changed(0, name="x" * 100_000), "xxx...xxx", None, id="a name without end"),
    pytest.param(changed(0, shape=[3]), "torque has shape [3] and 2 values", "torque", id="too few values"),
    pytest.param(
        changed(0, shape=[1], data=[1]), "torque has 1 rows, Air temperature [K] has 2", None, id="uneven"
    ),
    pytest.param(
        changed(1, data=[1, None]), "Air temperature [K][1]: expected a number, got null", None, id="a null"
    ),
    pytest.param(
        changed(0, data=[1, "x"]),
        "torque[1]: expected a number or null, got the text",
        "torque",
        id="a string",
    ),
    pytest.param(
        changed(0, data=[1e39, 1]), "torque[0]: expected a number or null, the number", "torque", id="huge"
    ),
    pytest.param(
        REQUEST | {"outputs": [{"name": "x"}]}, "no output 'x'; the model has prediction", None, id="output"
    ),
]


@pytest.mark.parametrize(("request_", "message", "field"), WRONG)
def test_a_wrong_tensor_is_a_422_that_names_it(request_, message, field, service):
    with pytest.raises(InputError) as caught:
        infer(service, request_)
    assert caught.value.status == 422
    assert message in str(caught.value)
    assert field is None or caught.value.field == field


def test_a_category_that_a_closed_input_does_not_know_is_named_as_a_tensor(make_service):
    closed = make_service(*sample_artifacts.classifier(closed=True))
    with pytest.raises(InputError) as caught:
        infer(closed, changed(2, data=["L", "X"]))
    assert str(caught.value).startswith("inputs: product_type[1]: expected one of 'L', 'M', 'H'")
    assert str(caught.value).endswith(", got 'X'")
    assert (caught.value.status, caught.value.row, caught.value.field) == (422, 1, "product_type")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{}", id="no inputs"),
        pytest.param(b'{"inputs": 1}', id="inputs that are no list"),
        pytest.param(b'{"inputs": [{"name": "torque"}]}', id="a tensor without data"),
        pytest.param(b"nonsense", id="no JSON"),
        pytest.param(
            b'{"inputs": [{"name": "torque", "shape": [1], "datatype": "FP32", "data": '
            + b"[" * 5000
            + b"]}]}",
            id="brackets without end",
        ),
        pytest.param(
            json.dumps(changed(0, shape=[2**60] * 2)).encode(), id="a shape of numbers that no array has"
        ),
        pytest.param(json.dumps(changed(0, shape=[1] * 100_000)).encode(), id="a shape without end"),
        pytest.param(
            b'{"inputs": [{"name": "torque", "datatype": "FP32", "shape": [' + b"9" * 100_000 + b"]}]}",
            id="a size without end",
        ),
    ],
)
def test_a_body_of_another_shape_is_a_400(body, service):
    with pytest.raises(InputError) as caught:
        service.infer(body)
    assert caught.value.status == 400


MATRIX = {"name": "input-0", "shape": [2, 2], "datatype": "FP64", "data": [[40.1, 298.1], [None, 300]]}


@pytest.fixture
def numbers(make_service):
    return make_service(*sample_artifacts.regression())


@pytest.mark.parametrize(
    "tensor",
    [
        pytest.param({}, id="nested, as numpy's tolist gives it"),
        pytest.param({"data": [40.1, 298.1, None, 300]}, id="flat"),
        pytest.param({"name": "torque"}, id="by the name of one input"),
        pytest.param({"datatype": "INT64", "data": [40, 298, 41, 300]}, id="of integers"),
    ],
)
def test_one_tensor_of_all_inputs_is_read_by_position(tensor, numbers):
    matrix = MATRIX | tensor
    flat = [value for row in matrix["data"] for value in (row if isinstance(row, list) else [row])]
    rows = {"instances": [flat[:2], flat[2:]]}
    wanted = json.loads(numbers.predict(json.dumps(rows).encode()).body)["prediction"]
    assert outputs(infer(numbers, {"inputs": [matrix]}))["prediction"]["data"] == wanted


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        pytest.param({"shape": [2, 3]}, "or one tensor of shape [rows, 2] for all", id="of another width"),
        pytest.param(
            {"data": [[1, 2], [3, "x"]]}, "Air temperature [K][1]: expected a number", id="a string"
        ),
        pytest.param({"data": [[1, 2]]}, "input-0 has shape [2, 2] and 2 values", id="a row less"),
        pytest.param(
            {"datatype": "STRING"}, "input-0 has datatype STRING; expected", id="of no such datatype"
        ),
        pytest.param({"shape": [5000, 2]}, "5000 rows in one request", id="too many rows"),
        pytest.param({"shape": [-1, 2]}, "input-0 has shape [-1, 2]", id="of a negative size"),
    ],
)
def test_a_wrong_tensor_of_all_inputs_is_a_422(tensor, message, numbers):
    with pytest.raises(InputError) as caught:
        infer(numbers, {"inputs": [MATRIX | tensor]})
    assert caught.value.status == 422
    assert message in str(caught.value)


def test_a_model_with_categories_takes_no_tensor_of_all_inputs(service):
    with pytest.raises(InputError, match=r"its inputs are torque.*; send one tensor for each$"):
        infer(service, {"inputs": [{**MATRIX, "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}]})


def test_metadata_names_the_tensors(service):
    found = json.loads(service.metadata)
    assert found["name"] == "machine-failure"
    assert found["versions"] == ["machine-failure-v3"]
    assert found["platform"] == "onnxruntime_onnx"
    assert [(tensor["name"], tensor["datatype"]) for tensor in found["inputs"]] == [
        ("torque", "FP64"),
        ("Air temperature [K]", "FP64"),
        ("product_type", "BYTES"),
    ]
    assert found["outputs"][1] == {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]}
