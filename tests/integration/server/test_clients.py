"""A client of the Open Inference Protocol that nobody here wrote, with its defaults."""

import numpy as np
import pytest
from tritonclient import http
from tritonclient.utils import InferenceServerException

from tests.integration.server.conftest import ask
from tests.unit.server import sample_artifacts

ROWS = [
    {"torque": 40.5, "Air temperature [K]": 298.0, "product_type": "L"},
    {"torque": None, "Air temperature [K]": 300.0, "product_type": "M"},
]


@pytest.fixture
def client(pod):
    pod.server()
    pod.wait_ready()
    with http.InferenceServerClient(f"127.0.0.1:{pod.port}") as made:
        yield made


def tensors(**more):
    torque = http.InferInput("torque", [2], "FP32")
    torque.set_data_from_numpy(np.array([40.5, np.nan], np.float32), **more)
    temperature = http.InferInput("Air temperature [K]", [2, 1], "FP64")
    temperature.set_data_from_numpy(np.array([[298.0], [300.0]]), **more)
    product = http.InferInput("product_type", [2], "BYTES")
    product.set_data_from_numpy(np.array(["L", "M"], dtype=np.object_), **more)
    return [torque, temperature, product]


def wanted(pod):
    return ask(f"{pod.url}/predict", {"rows": ROWS}).json


@pytest.mark.parametrize(
    ("outputs", "more"),
    [
        pytest.param(None, {}, id="by default"),
        pytest.param(["prediction", "probabilities"], {}, id="with outputs by name"),
        pytest.param(None, {"request_compression_algorithm": "gzip"}, id="in gzip"),
        pytest.param(None, {"request_compression_algorithm": "deflate"}, id="in deflate"),
        pytest.param(None, {"parameters": {"tags": "a"}, "request_id": "7"}, id="with parameters"),
        pytest.param(None, {"model_version": "machine-failure-v3"}, id="with the version"),
    ],
)
def test_tritonclient_is_answered(outputs, more, client, pod):
    asked = outputs and [http.InferRequestedOutput(name) for name in outputs]
    found = client.infer("machine-failure", tensors(), outputs=asked, **more)
    assert found.as_numpy("prediction").tolist() == wanted(pod)["prediction"]
    assert found.as_numpy("probabilities").tolist() == wanted(pod)["probabilities"]
    assert all("binary_data_size" in output["parameters"] for output in found.get_response()["outputs"])


def test_tritonclient_is_answered_in_json(client, pod):
    asked = [http.InferRequestedOutput("prediction", binary_data=False)]
    # In JSON there is no NaN, and the client writes it: a row without it.
    known = [*tensors(binary_data=False)[1:]]
    found = client.infer("machine-failure", known, outputs=asked)
    rows = [{name: row[name] for name in ("Air temperature [K]", "product_type")} for row in ROWS]
    assert (
        found.as_numpy("prediction").tolist() == ask(f"{pod.url}/predict", {"rows": rows}).json["prediction"]
    )


def test_tritonclient_reads_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("machine-failure")
    assert client.is_model_ready("machine-failure", "machine-failure-v3")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    inputs = client.get_model_metadata("machine-failure")["inputs"]
    assert [tensor["name"] for tensor in inputs] == ["torque", "Air temperature [K]", "product_type"]


def test_tritonclient_is_told_what_is_wrong(client):
    with pytest.raises(InferenceServerException, match=r"Air temperature \[K\] is required"):
        client.infer("machine-failure", tensors()[:1])


def test_one_tensor_of_all_inputs_is_answered(pod):
    sample_artifacts.write(pod.folder / "model", *sample_artifacts.regression())
    pod.server()
    pod.wait_ready()
    matrix = http.InferInput("predict", [2, 2], "FP32")
    matrix.set_data_from_numpy(np.array([[40.5, 298.0], [10.0, 300.0]], np.float32))
    with http.InferenceServerClient(f"127.0.0.1:{pod.port}") as client:
        found = client.infer("machine-failure", [matrix]).as_numpy("prediction").tolist()
    assert (
        found == ask(f"{pod.url}/predict", {"instances": [[40.5, 298.0], [10.0, 300.0]]}).json["prediction"]
    )
