"""What is answered, refused and counted, through a connection's bytes."""

import gzip
import json
import threading
import zlib
from queue import SimpleQueue

import pytest
from tests.unit.server.sample_artifacts import ROW
from tests.unit.server.wire import Client, as_json, request

from redstart.api import durations
from redstart.api.v1alpha1.inference_service import Traffic
from redstart.server import admission
from redstart.server.application import MAX_BODY
from redstart.server.inference import InvalidOutputError, ModelError
from redstart.sidecar.report import LastError

BODY = json.dumps({"rows": [ROW]}).encode()
FIRST = {"x-redstart-route": "weighted", "x-envoy-attempt-count": "1"}


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
        pytest.param("/v1/models", {"models": ["machine-failure"]}, id="V1's list of models"),
        pytest.param("/v1/models/machine-failure", {"ready": True}, id="V1's readiness"),
        pytest.param("/v2?verbose=1", {"name": "redstart"}, id="a query, which says nothing"),
        pytest.param("/%76%32", {"name": "redstart"}, id="a path with escapes"),
        pytest.param("http://pod:8080/v2", {"name": "redstart"}, id="a proxy's absolute form"),
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
        "error": "rows[0].torque: expected a number or null, got the text 'x'",
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
        pytest.param(FIRST | {"x-envoy-attempt-count": "2"}, "other", id="a retry"),
        pytest.param(FIRST | {"x-redstart-route": "match"}, "other", id="a request that chose its arm"),
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


def test_v1_takes_lists_and_objects(client):
    wanted = json.loads(client.ask("/predict", as_json({"rows": [ROW, ROW]}))["body"])["prediction"]
    for instances in ([ROW, ROW], [list(ROW.values())] * 2):
        answer = client.ask("/v1/models/machine-failure:predict", as_json({"instances": instances}))
        assert json.loads(answer["body"]) == {"predictions": wanted}


@pytest.mark.parametrize(
    ("path", "body", "status", "hint"),
    [
        pytest.param(
            "/v1/models/machine-failure:predict",
            {"instances": [{**ROW, "torque": "x"}]},
            422,
            "instances[0].torque: expected a number",
            id="a wrong object of V1",
        ),
        pytest.param(
            "/v1/models/machine-failure:predict",
            {"rows": [ROW]},
            400,
            "the V1 protocol has `instances`; `rows` belong to POST /predict",
            id="rows to V1",
        ),
        pytest.param(
            "/predict", {"instances": [ROW]}, 422, "objects belong to rows", id="instances of objects"
        ),
        pytest.param(
            "/predict", {"rows": [[1, 2, "L"]]}, 422, "lists belong to instances", id="rows of lists"
        ),
        pytest.param(
            "/predict",
            {"dataframe_split": {"columns": ["torque"], "data": [[1]]}},
            400,
            "send rows (objects by input name)",
            id="MLflow's pandas split",
        ),
        pytest.param(
            "/predict", {"columns": ["torque"], "data": [[1]]}, 400, "to_dict('records')", id="a pandas split"
        ),
        pytest.param(
            "/predict",
            {"inputs": []},
            400,
            "Open Inference Protocol: POST them to /v2/models/machine-failure/infer",
            id="a V2 request to predict",
        ),
        pytest.param(
            "/v2/models/machine-failure/infer",
            {"instances": [[1, 2, "L"]]},
            400,
            "KServe's POST /v1/models/machine-failure:predict",
            id="V1's instances to V2",
        ),
        pytest.param("/invocations", {}, 404, "predictions are at POST /predict", id="MLflow's path"),
        pytest.param(
            "/v1/models/another:predict", {}, 404, "/v1/models/machine-failure:predict", id="another model"
        ),
        pytest.param(
            "/v2/models/another/infer", {}, 404, "at /v2/models/machine-failure/infer", id="another V2 model"
        ),
    ],
)
def test_what_another_protocol_sends_is_refused_with_what_to_send(path, body, status, hint, client):
    answer = client.ask(path, as_json(body))
    assert answer["status"] == status
    assert hint in json.loads(answer["body"])["error"]


def raw_deflate(body):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        pytest.param("gzip", gzip.compress, id="gzip"),
        pytest.param("GZIP", gzip.compress, id="in capitals"),
        pytest.param("x-gzip", gzip.compress, id="its old name"),
        pytest.param(
            "gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:]), id="in two parts"
        ),
        pytest.param("deflate", zlib.compress, id="deflate"),
        pytest.param("deflate", raw_deflate, id="deflate without zlib's frame"),
        pytest.param("identity", bytes, id="identity"),
    ],
)
def test_an_encoded_body_is_unpacked(encoding, pack, client):
    answer = client.ask("/predict", pack(BODY), headers={"content-encoding": encoding})
    assert (answer["status"], answer["body"]) == (200, client.ask("/predict", BODY)["body"])


@pytest.mark.parametrize(
    ("encoding", "body", "status", "message"),
    [
        pytest.param("br", BODY, 415, "'br' is not taken; send gzip or deflate", id="an encoding not taken"),
        pytest.param("gzip, gzip", BODY, 415, "'gzip, gzip' is not taken", id="two of them"),
        pytest.param("gzip", BODY, 400, "not encoded in gzip", id="no gzip"),
        pytest.param("gzip", gzip.compress(BODY)[:-9], 400, "ends before its gzip", id="half of it"),
        pytest.param("deflate", zlib.compress(BODY) + b"x", 400, "bytes follow the end", id="more than it"),
        pytest.param("gzip", b"", 400, "ends before its gzip", id="nothing"),
        pytest.param("gzip", gzip.compress(bytes(100_000_000)), 413, "when it is unpacked", id="a bomb"),
        pytest.param(
            "gzip", gzip.compress(bytes(3_000_000)) * 2, 413, "when it is unpacked", id="a bomb in parts"
        ),
        pytest.param("gzip", gzip.compress(b"") * 5000, 400, "bytes follow", id="many parts of nothing"),
    ],
)
def test_an_encoded_body_that_cannot_be_unpacked_is_refused(encoding, body, status, message, client):
    answer = client.ask("/predict", body, headers={"content-encoding": encoding})
    assert answer["status"] == status
    assert message in json.loads(answer["body"])["error"]
    assert (answer["headers"].get("accept-encoding") == "gzip, deflate") == (status == 415)


def test_the_length_of_the_json_stands_in_a_header_of_request_and_answer(client):
    tensor = {"name": "Air temperature [K]", "shape": [1], "datatype": "FP64"}
    text = as_json(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": 8}}],
            "parameters": {"binary_data_output": True},
        }
    )
    headers = {"inference-header-content-length": str(len(text))}
    answer = client.ask("/v2/models/machine-failure/infer", text + bytes(8), headers=headers)
    assert (answer["status"], answer["headers"]["content-type"]) == (200, "application/octet-stream")
    document = json.loads(answer["body"][: int(answer["headers"]["inference-header-content-length"])])
    assert document["outputs"][0]["parameters"] == {"binary_data_size": 8}
    refused = client.ask(
        "/v2/models/machine-failure/infer",
        text,
        headers={**headers, "x": "y"} | {"inference-header-content-length": "-1"},
    )
    assert refused["status"] == 400


class Slow:
    """A model that is waited for: each call is in `begun`, and goes on when `go` is called."""

    def __init__(self, model):
        self.model, self.begun, self._go = model, SimpleQueue(), SimpleQueue()

    def predict(self, tensors):
        self.begun.put(len(tensors[0]))
        self._go.get(timeout=60)
        return self.model.predict(tensors)

    def go(self):
        self._go.put(None)


@pytest.fixture
def slow(service, monkeypatch):
    """A client of a model that is known to take long: requests of one row take a second."""
    model = Slow(service.model)
    monkeypatch.setattr(service, "model", model)
    client = Client(service)
    client.model = model
    costs = client.application.schedule.costs
    for _ in range(30):
        costs.observe_processor(len(BODY), 1.0)
        costs.observe_elapsed(len(BODY), 1.0)
    yield client
    # No thread may be left that would meet the next test's model.
    while client.application.schedule._running:
        model.go()
        client.loop.one()


def another(client, headers=None):
    """One more request, on a connection of its own, which is returned with its transport."""
    client.connect()
    client.send(request("/predict", BODY, headers=headers))
    return client.connection, client.transport


def finish(client, transport):
    client.model.go()
    while not transport.written:
        client.loop.one()
    return transport.answers()


def test_health_is_answered_while_the_model_is_busy_and_requests_wait(slow):
    _, first = another(slow)
    _, second = another(slow)
    slow.model.begun.get(timeout=60)
    slow.connect()
    assert slow.ask("/v2/health/live")["status"] == 200
    assert slow.ask("/v2/health/ready")["status"] == 200
    assert not first.written
    assert not second.written
    assert [answer["status"] for answer in finish(slow, first) + finish(slow, second)] == [200, 200]


def test_what_would_wait_too_long_is_refused_at_once_and_says_when_to_ask_again(slow):
    admitted = [another(slow)[1] for _ in range(6)]
    refused = [another(slow)[1] for _ in range(20)]
    assert not any(transport.written for transport in admitted)
    for transport in refused:
        (answer,) = transport.answers()
        assert (answer["status"], answer["headers"]["retry-after"]) == (503, "1")
        assert "more requests wait than can be answered in time" in json.loads(answer["body"])["error"]
    assert [finish(slow, transport)[0]["status"] for transport in admitted] == [200] * 6
    assert slow.counted() == {"other": {200: 6, 503: 20}}


def test_refusing_leaves_the_processor_to_what_was_taken_in(slow, monkeypatch):
    monkeypatch.setattr("redstart.server.schedule._GIVE_WAY_SECONDS", 60.0)
    monkeypatch.setattr("redstart.server.schedule.process_time", lambda: 0.0)
    for _ in range(6):
        another(slow)
    (refused,) = another(slow)[1].answers()
    assert refused["status"] == 503, "at once, and the loop gives way afterwards"

    def compute():
        slow.model.begun.get(timeout=60)
        slow.model.go()

    model = threading.Thread(target=compute)
    model.start()
    slow.loop.one()
    model.join()
    assert slow.application.schedule._one_done.is_set()


def test_a_short_request_is_answered_beside_a_long_one(slow):
    many = as_json({"rows": [ROW] * 1000})
    schedule = slow.application.schedule
    schedule.costs.observe_processor(len(BODY), 0.0)
    for _ in range(40):
        schedule.costs.observe_processor(len(BODY), 0.0)
    schedule.costs.observe_processor(len(many), 1.0)
    slow.send(request("/predict", many))
    long = slow.transport
    assert slow.model.begun.get(timeout=60) == 1000
    slow.application.service.model = slow.model.model
    slow.connect()
    assert slow.ask("/predict", BODY)["status"] == 200
    assert not long.written
    assert finish(slow, long)[0]["status"] == 200


def test_a_request_whose_client_is_gone_is_not_computed(slow):
    _, first = another(slow)
    waiting = [another(slow) for _ in range(3)]
    slow.model.begun.get(timeout=60)
    for connection, _ in waiting:
        connection.connection_lost(None)
    assert finish(slow, first)[0]["status"] == 200
    slow.loop.run()
    assert slow.model.begun.empty()
    assert slow.counted() == {"other": {200: 1, 499: 3}}
    # And they leave their places to others.
    assert not another(slow)[1].written


def test_a_request_that_the_router_has_given_up_on_is_not_computed(slow):
    _, first = another(slow)
    _, late = another(slow, {"x-envoy-expected-rq-timeout-ms": "0"})
    (answer,) = late.answers()
    assert (answer["status"], answer["headers"]["retry-after"]) == (503, "1"), "it cannot be answered in time"
    finish(slow, first)
    _, only = another(slow, {"x-envoy-expected-rq-timeout-ms": "0"})
    slow.loop.run()
    assert "waited longer than its time limit" in json.loads(only.answers()[0]["body"])["error"]
    assert slow.model.begun.get(timeout=60) == 1
    assert slow.model.begun.empty()


def test_a_client_that_goes_while_its_request_is_computed_is_counted_as_gone(slow):
    connection, _ = another(slow)
    slow.model.begun.get(timeout=60)
    connection.connection_lost(None)
    slow.model.go()
    slow.loop.one()
    assert slow.counted() == {"other": {499: 1}}


def test_a_call_of_the_model_that_does_not_end_is_told_by_liveness(slow):
    another(slow)
    slow.model.begun.get(timeout=60)
    schedule = slow.application.schedule
    (asked,) = schedule._running
    schedule._running[asked] -= 59
    slow.connect()
    assert slow.ask("/v2/health/live")["status"] == 200
    schedule._running[asked] -= 2
    answer = slow.ask("/v2/health/live")
    assert answer["status"] == 503
    assert "at one request for 61 s" in json.loads(answer["body"])["error"]
    slow.model.go()


def test_bodies_that_are_held_are_bounded(client, monkeypatch):
    monkeypatch.setattr("redstart.server.application.MAX_BUFFERED", 250_000)
    half = [client.connect() for _ in range(4)]
    transports = []
    for connection in half:
        transports.append(connection._transport)
        connection.data_received(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
        connection.data_received(b" " * 99_999)
    assert [bool(transport.written) for transport in transports] == [False, False, True, True]
    assert transports[2].answers()[0]["status"] == 503
    half[0].connection_lost(None)
    client.connect()
    assert client.ask("/predict", BODY)["status"] == 200
    for connection in half[1:]:
        connection.connection_lost(None)
    assert client.application._buffered == 0


def test_a_body_is_refused_by_its_head_when_it_would_wait_too_long(slow):
    for _ in range(6):
        another(slow)
    slow.connect()
    slow.send(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n")
    assert slow.transport.answers()[0]["status"] == 503
    slow.send(b" " * 200_000 + request("/v2/health/live"))
    assert [answer["status"] for answer in slow.transport.answers()] == [200]
    for _ in range(6):
        slow.model.go()


def test_the_time_of_a_client_that_says_nothing_is_the_default_of_the_router():
    assert durations.seconds(Traffic.model_fields["timeout"].default) == admission.ANSWER_SECONDS


SECRET = "4111-1111"


def chained():
    try:
        float(SECRET)
    except ValueError as error:
        raise ModelError(f"cannot take {SECRET}") from error


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        pytest.param(
            FIRST, LastError(500, "", "ModelError from ValueError at test_application.py"), id="first attempt"
        ),
        pytest.param({}, None, id="a request that says nothing of the arm"),
    ],
)
def test_the_last_words_of_a_failure_are_its_kind_and_place_and_never_its_text(
    headers, wanted, service, monkeypatch
):
    client = Client(service)
    monkeypatch.setattr(
        service, "model", type("Model", (), {"predict": staticmethod(lambda tensors: chained())})
    )
    assert client.ask("/predict", BODY, headers=headers)["status"] == 500
    told = client.recorder.drain().last_error
    if wanted is None:
        assert told is None
        return
    assert told.status == 500
    assert SECRET not in told.error
    assert told.error.startswith(wanted.error)


def test_the_last_words_of_a_refusal_are_status_and_input(service):
    client = Client(service)
    wrong = json.dumps({"rows": [ROW | {"torque": {"card": SECRET}}]}).encode()
    assert client.ask("/predict", wrong, headers=FIRST)["status"] in (400, 422)
    told = client.recorder.drain().last_error
    assert told.status in (400, 422)
    assert told.error == ""
    assert SECRET not in told.field
