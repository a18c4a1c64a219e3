"""Tensors in binary behind the JSON, as tritonclient and kserve's client send them by default."""

import json
import struct

import numpy as np
import pytest

from redstart.server import binary_tensors
from redstart.server.rows import InputError

ROWS = [
    {"torque": 40.5, "Air temperature [K]": 298.0, "product_type": "L"},
    {"torque": None, "Air temperature [K]": 300.0, "product_type": "M"},
]


def texts(*values):
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def request(*parts, outputs=None, parameters=None, size=None, **changes):
    """A body of these (name, datatype, data), and the length of its JSON."""
    tensors = [
        {"name": name, "shape": [2], "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
        for name, datatype, data in parts
    ]
    tensors[0] |= changes | ({"parameters": {"binary_data_size": size}} if size is not None else {})
    document = {"inputs": tensors, "outputs": outputs, "parameters": parameters}
    text = json.dumps(document).encode()
    return text + b"".join(data for _, _, data in parts), len(text)


TORQUE = ("torque", "FP32", np.array([40.5, np.nan], "<f4").tobytes())
TEMPERATURE = ("Air temperature [K]", "INT16", np.array([298, 300], "<i2").tobytes())
PRODUCT = ("product_type", "BYTES", texts(b"L", b"M"))


def wanted(service):
    return json.loads(service.predict(json.dumps({"rows": ROWS}).encode()).body)


def test_tensors_behind_the_json_are_read_and_nan_is_missing(service):
    answered = service.infer(*request(TORQUE, TEMPERATURE, PRODUCT))
    found = json.loads(answered.body)
    assert answered.json_length is None
    assert found["outputs"][0]["data"] == wanted(service)["prediction"]


def test_tensors_in_binary_and_in_json_may_stand_beside_each_other(service):
    body, length = request(PRODUCT, TORQUE)
    document = json.loads(body[:length])
    document["inputs"].insert(
        1, {"name": "Air temperature [K]", "shape": [2], "datatype": "FP64", "data": [298, 300]}
    )
    text = json.dumps(document).encode()
    found = json.loads(service.infer(text + body[length:], len(text)).body)
    assert found["outputs"][0]["data"] == wanted(service)["prediction"]


@pytest.mark.parametrize(
    ("outputs", "parameters", "expected"),
    [
        pytest.param(None, {"binary_data_output": True}, ["prediction", "probabilities"], id="all of them"),
        pytest.param(
            [{"name": "prediction", "parameters": {"binary_data": True}}],
            None,
            ["prediction"],
            id="one by name",
        ),
        pytest.param(
            [{"name": "prediction", "parameters": {"binary_data": False}}, {"name": "probabilities"}],
            {"binary_data_output": True},
            ["probabilities"],
            id="all but one",
        ),
        pytest.param([{"name": "prediction"}], {"binary_data_output": "yes"}, [], id="none"),
    ],
)
def test_outputs_are_in_binary_where_that_was_asked_for(outputs, parameters, expected, service):
    answered = service.infer(*request(TORQUE, TEMPERATURE, PRODUCT, outputs=outputs, parameters=parameters))
    length = len(answered.body) if answered.json_length is None else answered.json_length
    document, tail = json.loads(answered.body[:length]), answered.body[length:]
    values, binary = {}, []
    for output in document["outputs"]:
        if "data" in output:
            values[output["name"]] = output["data"]
            continue
        size = output["parameters"]["binary_data_size"]
        binary.append(output["name"])
        kind = {"INT64": "<i8", "FP64": "<f8"}[output["datatype"]]
        values[output["name"]], tail = np.frombuffer(tail[:size], kind).tolist(), tail[size:]
    assert (binary, tail) == (expected, b"")
    probabilities = [value for row in wanted(service)["probabilities"] for value in row]
    assert (
        values.items()
        <= {"prediction": wanted(service)["prediction"], "probabilities": probabilities}.items()
    )
    assert bool(expected) == (answered.json_length is not None)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        pytest.param((b"{}", 3), 400, "is 3, and the body has 2 bytes", id="a header beyond the body"),
        pytest.param(
            request(TORQUE, shape=[3]), 422, "3 values of FP32 take 12 bytes, not 8", id="too few bytes"
        ),
        pytest.param(
            request(("torque", "STRING", b"")), 422, "torque has datatype STRING", id="no such datatype"
        ),
        pytest.param(
            request(("product_type", "BYTES", texts(b"L"))), 422, "2 values of BYTES", id="a text less"
        ),
        pytest.param(
            request(("product_type", "BYTES", texts(b"L") + b"\xff\xff\xff\xffM")),
            422,
            "2 values of BYTES",
            id="a text that is longer than the body",
        ),
        pytest.param(
            request(("product_type", "BYTES", texts(b"L", b"\xff"))), 422, "can't decode byte", id="no UTF-8"
        ),
        pytest.param(
            request(TORQUE, size=99),
            400,
            "binary_data_size of 99",
            id="too large",
        ),
        pytest.param(
            request(TORQUE, size="8"),
            400,
            "no binary_data_size",
            id="a size in quotes",
        ),
        pytest.param(request(TORQUE, data=[1, 2]), 400, "8 bytes follow the JSON", id="data both ways"),
        pytest.param(
            request(TORQUE, shape=[2_000_000]), 422, "2000000 rows in one request", id="a shape without end"
        ),
    ],
)
def test_wrong_binary_data_is_refused(body, status, message, service):
    with pytest.raises(InputError) as caught:
        service.infer(*body)
    assert (caught.value.status, message in str(caught.value)) == (status, True), str(caught.value)


@pytest.mark.parametrize(
    ("values", "datatype"),
    [
        pytest.param([1, -2], "INT64", id="integers"),
        pytest.param([0.5, 1.0], "FP64", id="floats"),
        pytest.param([True, False], "BOOL", id="booleans"),
        pytest.param(["a", "ä"], "BYTES", id="texts"),
    ],
)
def test_what_is_written_is_read_back(values, datatype):
    data = binary_tensors.write(values, datatype)
    assert binary_tensors.read(memoryview(data), datatype, 2) == values
