"""A server process that gets more than it can answer, or bodies that are meant to stop it."""

import http.client
import json
import signal
import threading
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sklearn.neighbors import KNeighborsRegressor

from tests.integration.server.conftest import ask, eventually
from tests.unit.server import sample_artifacts
from tests.unit.server.sample_artifacts import ROW

MANY = json.dumps({"rows": [{"torque": 40.0, "Air temperature [K]": 300.0}] * 1000}).encode()
ONE = json.dumps({"rows": [{"torque": 40.0, "Air temperature [K]": 300.0}]}).encode()
PATIENT = {"x_envoy_expected_rq_timeout_ms": "600000"}
INFER = "/v2/models/machine-failure/infer"


@pytest.fixture
def slow(pod):
    """A running pod whose model takes some hundredths of a second for a thousand rows."""
    estimator = KNeighborsRegressor(n_neighbors=5, algorithm="brute")
    sample_artifacts.write(pod.folder / "model", *sample_artifacts.regression(estimator, times=40))
    pod.sidecar()
    pod.process = pod.server()
    pod.wait_ready()
    return pod


def connect(pod):
    return http.client.HTTPConnection("127.0.0.1", pod.port, timeout=120)


def post(connection, body, path="/predict", **headers):
    connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def test_excess_is_refused_at_once_and_what_was_taken_in_is_answered(slow):
    seen, lock, done = [], threading.Lock(), threading.Event()

    def client():
        connection = connect(slow)
        while not done.is_set():
            found = post(connection, MANY)
            with lock:
                seen.append(found)

    def statuses():
        return Counter(status for status, _, _ in seen)

    health = []
    with ThreadPoolExecutor(40) as clients:
        for _ in range(40):
            clients.submit(client)
        try:
            eventually(
                lambda: health.append(slow.health("live")) or statuses()[200] >= 20, "it goes on answering"
            )
        finally:
            done.set()
    assert set(statuses()) == {200, 503}
    assert set(health) == {200}
    for status, headers, body in seen:
        assert (headers.get("retry-after") == "1") == (status == 503)
        assert status == 200 or "more requests wait" in json.loads(body)["error"]
    assert slow.process.poll() is None
    assert post(connect(slow), ONE)[0] == 200
    counted = statuses() + Counter({200: 1})
    wanted = {str(status): count for status, count in counted.items()}
    eventually(lambda: slow.snapshot()["all"]["status"] == wanted, "each is counted as it was answered")
    assert (slow.snapshot()["server"]["starts"], slow.snapshot()["ready"]) == (1, True)


def test_short_requests_and_health_are_answered_while_a_long_one_is_computed(slow):
    with ThreadPoolExecutor(1) as clients:
        long = clients.submit(post, connect(slow), MANY, **PATIENT)
        connection, beside = connect(slow), 0
        while not long.done():
            assert post(connection, ONE, **PATIENT)[0] == 200
            assert slow.health("live") == slow.health() == 200
            beside += 1
    assert long.result()[0] == 200
    assert beside > 0


def test_requests_that_clients_gave_up_on_are_not_computed(slow):
    # From the first on the server knows that these take long, and answers them one after another beside its loop.
    assert post(connect(slow), MANY, **PATIENT)[0] == 200
    # It stands still until all have come and gone, however fast it is and however busy the machine.
    slow.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(6):
            connection = connect(slow)
            connection.request("POST", "/predict", MANY, {"x-envoy-expected-rq-timeout-ms": "600000"})
            connection.close()
    finally:
        slow.process.send_signal(signal.SIGCONT)
    assert post(connect(slow), MANY, **PATIENT)[0] == 200
    eventually(lambda: slow.snapshot()["all"]["requests"] == 8, "all are counted")
    # The first was at the model before its client was seen to be gone; its answer was nobody's all the same.
    assert slow.snapshot()["all"]["status"] == {"200": 2, "499": 6}


def bomb(size):
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1_000_000)
    return b"".join(packer.compress(zeros) for _ in range(size // len(zeros))) + packer.flush()


def peak(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.parametrize(
    ("path", "body", "headers", "statuses"),
    [
        pytest.param("/predict", bomb(400_000_000), {"content_encoding": "gzip"}, {413}, id="a gzip bomb"),
        pytest.param("/predict", b"[" * 4_000_000, {}, {400}, id="brackets"),
        pytest.param(
            "/predict", b'{"rows":[{"torque":' + b"9" * 4_000_000 + b"}]}", {}, {400, 422}, id="digits"
        ),
        pytest.param(
            INFER,
            b'{"inputs":[{"name":"torque","shape":[600000],"datatype":"FP64","data":['
            + b"0," * 600_000
            + b"[" * 900
            + b"1"
            + b"]" * 900
            + b"]}]}",
            {},
            {422},
            id="600,000 values and one nested deep",
        ),
        pytest.param(
            INFER,
            b'{"inputs":[{"name":"torque","shape":['
            + b"9007199254740991," * 200_000
            + b'1],"datatype":"FP64","data":[]}]}',
            {},
            {400},
            id="a shape whose product has millions of digits",
        ),
    ],
)
def test_no_body_stops_the_server_or_takes_its_memory(path, body, headers, statuses, pod):
    process = pod.server()
    pod.wait_ready()
    assert ask(f"{pod.url}/predict", {"rows": [ROW]}).status == 200
    before = peak(process)
    for _ in range(5):
        assert post(connect(pod), body, path, **headers)[0] in statuses
    assert ask(f"{pod.url}/predict", {"rows": [ROW]}).status == 200
    assert peak(process) - before < 150_000_000
