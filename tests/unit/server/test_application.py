"""The HTTP interface, called as a WSGI server calls it."""

import io
import json

import pytest
from tests.unit.server.sample_artifacts import ROW

from redstart.server.application import MAX_BODY, Application
from redstart.server.counts import Recorder
from redstart.server.inference import InvalidOutputError

BODY = json.dumps({"rows": [ROW]}).encode()
FIRST = {"HTTP_X_REDSTART_ROUTE": "weighted", "HTTP_X_ENVOY_ATTEMPT_COUNT": "1"}


class Client:
    """An application with its recorder."""

    def __init__(self, service):
        self.recorder = Recorder()
        self.application = Application(self.recorder, "machine-failure", "machine-failure-v3")
        self.application.service = service

    def ask(self, path, body=None, *, method=None, headers=None, length=True):
        answered = {}

        def start_response(status, headers):
            answered.update(status=int(status.split()[0]), headers=dict(headers))

        environ = {
            "PATH_INFO": path,
            "REQUEST_METHOD": method or ("GET" if body is None else "POST"),
            "wsgi.input": io.BytesIO(body or b""),
            **({"CONTENT_LENGTH": str(len(body))} if body is not None and length else {}),
            **(headers or {}),
        }
        answered["body"] = b"".join(self.application(environ, start_response))
        return answered

    def counted(self):
        return self.recorder.drain().requests


@pytest.fixture
def client(service):
    return Client(service)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/v2", {"name": "redstart"}, id="server metadata"),
        pytest.param("/v2/health/live", {"live": True}, id="liveness"),
        pytest.param("/v2/health/ready", {"ready": True}, id="readiness"),
        pytest.param("/v2/models/machine-failure", {"name": "machine-failure"}, id="model metadata"),
        pytest.param(
            "/v2/models/machine-failure/versions/machine-failure-v3",
            {"platform": "onnxruntime_onnx"},
            id="of it",
        ),
        pytest.param("/v2/models/machine-failure/ready", {"ready": True}, id="readiness of the model"),
        pytest.param(
            "/v2/models/machine-failure/versions/machine-failure-v3/ready",
            {"ready": True},
            id="of the version",
        ),
        pytest.param("/openapi.json", {"openapi": "3.1.0"}, id="the interface's description"),
    ],
)
def test_what_can_be_read(path, expected, client):
    answer = client.ask(path)
    assert (answer["status"], answer["headers"]["content-type"]) == (200, "application/json")
    assert json.loads(answer["body"]).items() >= expected.items()
    assert client.counted() == {}


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        pytest.param("/", "GET", 404, id="the root"),
        pytest.param("/v2/models/another", "GET", 404, id="another model"),
        pytest.param(
            "/v2/models/machine-failure/versions/machine-failure-v2/infer", "POST", 404, id="another version"
        ),
        pytest.param("/predict", "GET", 405, id="GET of predict"),
        pytest.param("/v2/health/ready", "POST", 405, id="POST of health"),
    ],
)
def test_what_is_not_there(path, method, status, client):
    answer = client.ask(path, method=method)
    assert answer["status"] == status
    assert "error" in json.loads(answer["body"])
    assert ("allow" in answer["headers"]) == (status == 405)


def test_a_wrong_row_is_answered_with_its_place(client):
    answer = client.ask("/predict", json.dumps({"rows": [{**ROW, "torque": "x"}]}).encode())
    assert answer["status"] == 422
    assert json.loads(answer["body"]) == {
        "error": "rows[0].torque: expected a number or null, got str",
        "row": 0,
        "field": "torque",
    }


@pytest.mark.parametrize("length", [pytest.param(True, id="announced"), pytest.param(False, id="chunked")])
def test_a_body_that_is_too_large_is_a_413(length, client):
    assert client.ask("/predict", b" " * (MAX_BODY + 1), length=length)["status"] == 413


def test_a_body_without_a_length_is_read(client):
    assert client.ask("/predict", BODY, length=False)["status"] == 200


def test_before_the_model_is_loaded_only_liveness_holds():
    client = Client(None)
    assert client.ask("/v2/health/live")["status"] == 200
    for path, body in [("/v2/health/ready", None), ("/openapi.json", None), ("/predict", BODY)]:
        answer = client.ask(path, body)
        assert answer["status"] == 503
        assert "the model is being loaded" in json.loads(answer["body"])["error"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(
            RuntimeError("Non-zero status code"), "the model failed: Non-zero status code", id="it raises"
        ),
        pytest.param(InvalidOutputError("NaN"), "the model failed: NaN", id="an output that is not finite"),
    ],
)
def test_a_models_fault_is_a_short_500(error, message, service, monkeypatch, caplog):
    def fail(tensors):
        raise error

    client = Client(service)
    monkeypatch.setattr(service, "model", type("Model", (), {"predict": staticmethod(fail)}))
    answer = client.ask("/predict", BODY)
    assert (answer["status"], json.loads(answer["body"])) == (500, {"error": message})
    client.ask("/predict", BODY)
    assert len(caplog.records) == 1, "one line a second at most"


def test_a_fault_of_ours_is_a_500_without_details(service, monkeypatch):
    monkeypatch.setattr(service, "_suffix", None)
    client = Client(service)
    answer = client.ask("/predict", BODY)
    assert (answer["status"], json.loads(answer["body"])) == (
        500,
        {"error": "the server failed; its log says why"},
    )


@pytest.mark.parametrize(
    ("headers", "scope"),
    [
        pytest.param(FIRST, "first", id="a weighted first attempt"),
        pytest.param(FIRST | {"HTTP_X_ENVOY_ATTEMPT_COUNT": "2"}, "other", id="a retry"),
        pytest.param(FIRST | {"HTTP_X_REDSTART_ROUTE": "match"}, "other", id="a request that chose its arm"),
        pytest.param({}, "other", id="a request that did not come through the router"),
    ],
)
def test_only_weighted_first_attempts_count_as_first(headers, scope, client):
    client.ask("/predict", BODY, headers=headers)
    client.ask("/predict", b"{", headers=headers)
    assert client.counted() == {scope: {200: 1, 400: 1}}


def test_infer_requests_are_counted_too(client):
    body = {"inputs": [{"name": "Air temperature [K]", "shape": [1], "datatype": "FP32", "data": [298.1]}]}
    assert (
        client.ask("/v2/models/machine-failure/infer", json.dumps(body).encode(), headers=FIRST)["status"]
        == 200
    )
    counts = client.recorder.drain()
    assert counts.requests == {"first": {200: 1}}
    assert sum(counts.predictions.values()) == 1
