"""Inputs that an earlier version took: sent on, not looked at, counted."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from tests.unit.server import sample_artifacts
from tests.unit.server.sample_artifacts import ROW

from redstart.server import inference, loading
from redstart.server.ignored import MAX_COUNTED, IgnoredInputs
from redstart.server.rows import InputError
from redstart.server.service import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The classifier, behind clients that may still send tool_wear and site."""
    folder = tmp_path_factory.mktemp("model")
    sample_artifacts.write(folder, *sample_artifacts.classifier())
    artifact = loading.open_artifact(folder, ("ONNX",))
    return Service(artifact, inference.load(artifact), "m", "m-v2", ["tool_wear", "torque", "site"])


def tensor(name: str, *data: Any, datatype: str = "FP64") -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": list(data)}


OWN = [
    tensor("torque", 40.1),
    tensor("Air temperature [K]", 298.1),
    tensor("product_type", "L", datatype="BYTES"),
]


@pytest.mark.parametrize(
    ("rows", "counted"),
    [
        pytest.param([ROW], {}, id="rows without one"),
        pytest.param([ROW | {"tool_wear": 5}, ROW], {"tool_wear": 1}, id="a row with one"),
        pytest.param([ROW | {"tool_wear": None}] * 2, {"tool_wear": 2}, id="null is sent too"),
        pytest.param(
            [ROW | {"site": {"any": ["JSON"]}, "tool_wear": "x"}],
            {"tool_wear": 1, "site": 1},
            id="whatever its value",
        ),
    ],
)
def test_rows(service: Service, rows: list[dict[str, Any]], counted: dict[str, int]) -> None:
    answered = service.predict(json.dumps({"rows": rows}).encode())
    assert answered.rows.ignored == counted
    assert answered.body == service.predict(json.dumps({"rows": [ROW] * len(rows)}).encode()).body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param({"rows": [ROW | {"tool_waer": 5}]}, "tool_waer: is no input of the model", id="a typo"),
        pytest.param(
            {"rows": [ROW | {"torque": "x"}]}, "torque: expected a number", id="an input of its own"
        ),
        pytest.param({"instances": [[1, 2, "L", 5]]}, "take 3 values", id="a list of the earlier length"),
    ],
)
def test_what_nobody_knows_is_still_refused(service: Service, body: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        service.predict(json.dumps(body).encode())
    assert caught.value.status == 422


def test_lists_hold_nothing_to_ignore(service: Service) -> None:
    answered = service.predict(b'{"instances": [[40.1, 298.1, "L"]]}')
    assert answered.rows.ignored == {}


def test_tensors(service: Service) -> None:
    wear, site = tensor("tool_wear", 1, 2, 3), {**tensor("site"), "shape": [-7], "datatype": "STRANGE"}
    answered = service.infer(json.dumps({"inputs": [*OWN, wear, site]}).encode())
    assert answered.rows.ignored == {"tool_wear": 1, "site": 1}
    assert answered.body == service.infer(json.dumps({"inputs": OWN}).encode()).body


def test_tensors_in_binary_are_passed_over(service: Service) -> None:
    text = json.dumps(
        {
            "inputs": [
                {"name": "site", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5}},
                tensor("Air temperature [K]", 298.1),
                {"name": "torque", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}},
            ]
        }
    )
    answered = service.infer(text.encode() + b"12345" + struct.pack("<d", 40.1), len(text))
    assert answered.rows.ignored == {"site": 1}
    assert answered.rows.tensors[0].tolist()[0][0] == pytest.approx(40.1)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param([*OWN, tensor("tool_waer", 1)], "'tool_waer' is no input", id="a typo"),
        pytest.param([*OWN, *[tensor("site", 1)] * 2], "site is given twice", id="one twice"),
        pytest.param([tensor("site", 1)], "there is none", id="nothing else"),
    ],
)
def test_tensors_that_are_still_refused(service: Service, inputs: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        service.infer(json.dumps({"inputs": inputs}).encode())


def test_they_are_described_as_deprecated(service: Service) -> None:
    properties = json.loads(service.openapi)["components"]["schemas"]["Row"]["properties"]
    assert [name for name, schema in properties.items() if schema.get("deprecated")] == ["tool_wear", "site"]


def test_many_share_one_count() -> None:
    manifest, _ = sample_artifacts.classifier()
    names = [f"old{number}" for number in range(MAX_COUNTED + 10)]
    counted = IgnoredInputs(names, manifest).counted(dict.fromkeys(names, 2))
    assert len(counted) == MAX_COUNTED + 1
    assert (counted["old0"], counted["(other)"]) == (2, 20)
