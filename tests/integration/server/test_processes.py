"""Server and sidecar as processes: what is answered, counted and kept when one of them goes."""

import json
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from sklearn.neighbors import KNeighborsRegressor

from redstart.artifacts import manifest as manifests
from redstart.artifacts.manifest import Answer
from tests.integration.server.conftest import DEADLINE, ask, eventually, stop
from tests.unit.server import sample_artifacts
from tests.unit.server.sample_artifacts import ROW

FIRST = {"x-redstart-route": "weighted", "x-envoy-attempt-count": "1"}


def predict(pod, rows=1, headers=FIRST):
    return ask(f"{pod.url}/predict", {"rows": [ROW] * rows}, headers)


def requests(pod):
    return (pod.snapshot() or {}).get("first", {}).get("requests", 0)


def test_what_is_answered_is_counted(pod):
    pod.sidecar()
    pod.server()
    pod.wait_ready()
    assert predict(pod).json["version"] == "machine-failure-v3"
    assert predict(pod, rows=3).status == 200
    assert ask(f"{pod.url}/predict", {"rows": [{**ROW, "torque": "x"}]}, FIRST).json["field"] == "torque"
    assert predict(pod, headers={}).status == 200
    eventually(lambda: pod.snapshot()["all"]["requests"] == 4, "all four requests are counted")
    found = pod.snapshot("?features=true")
    assert found["first"]["status"] == {"200": 2, "422": 1}
    assert found["all"]["status"] == {"200": 3, "422": 1}
    assert found["predictions"] == {"0": 4}
    assert found["features"]["product_type"] == {"bins": {"L": 4}}
    assert found["features"]["torque"] == {"bins": {"(20.0,40.1]": 4}}
    assert (found["ready"], found["lost"], found["reference"]["mismatched"]) == (True, 0, 0)
    assert found["loadedDigest"] == manifests.sha256((pod.folder / "model" / "manifest.json").read_bytes())
    assert b'redstart_serving_requests_total{scope="first",status="422"} 1' in pod.reads("/metrics").body


def test_what_is_ignored_is_counted(pod):
    pod.sidecar()
    pod.server(REDSTART_IGNORED_INPUTS='{"tool_wear": "Number", "torque": "Number"}')
    pod.wait_ready()
    for headers in (FIRST, {}):
        assert ask(f"{pod.url}/predict", {"rows": [{**ROW, "tool_wear": 5}] * 2}, headers).status == 200
    assert ask(f"{pod.url}/predict", {"rows": [{**ROW, "tool_waer": 5}]}, FIRST).json["field"] == "tool_waer"
    eventually(lambda: pod.snapshot()["ignoredInputs"] == {"tool_wear": 4}, "four rows are counted")
    assert b'redstart_serving_ignored_input_rows_total{input="tool_wear"} 4' in pod.reads("/metrics").body


def test_the_sidecar_shows_the_manifest_as_it_is(pod):
    pod.sidecar()
    content = (pod.folder / "model" / "manifest.json").read_bytes()
    found = pod.reads("/manifest")
    assert (found.status, found.body) == (200, content)
    (pod.folder / "model" / "manifest.json").unlink()
    assert pod.reads("/manifest").status == 503


def test_the_counts_outlive_the_server(pod):
    pod.sidecar()
    first = pod.server()
    pod.wait_ready()
    predict(pod)
    eventually(lambda: requests(pod) == 1, "the request is counted")
    kill_container(first)
    assert requests(pod) == 1
    eventually(lambda: not pod.snapshot()["ready"], "a silent server is not ready")
    pod.server()
    pod.wait_ready()
    predict(pod)
    eventually(lambda: requests(pod) == 2, "the new server adds to the sum")
    assert pod.snapshot()["server"]["starts"] == 2


def test_a_sidecar_that_was_restarted_begins_a_new_epoch(pod):
    first = pod.sidecar()
    pod.server()
    pod.wait_ready()
    predict(pod)
    eventually(lambda: requests(pod) == 1, "the request is counted")
    epoch = pod.snapshot()["epoch"]
    stop(first)
    assert first.returncode == 0
    for _ in range(3):
        predict(pod)
    pod.sidecar()
    eventually(lambda: requests(pod) == 3, "what was counted in between arrives")
    found = pod.snapshot()
    assert found["epoch"] != epoch
    assert (found["ready"], found["lost"]) == (True, 0)


def test_a_server_that_stops_answers_what_it_has_begun_and_reports_it(pod):
    pod.sidecar()
    server = pod.server()
    pod.wait_ready()
    answered, failed = [], []
    stopping = threading.Event()

    def steadily():
        while True:
            try:
                answered.append(predict(pod).status)
            except OSError as error:
                if not stopping.is_set():
                    failed.append(error)
                return

    with ThreadPoolExecutor(4) as clients:
        for _ in range(4):
            clients.submit(steadily)
        eventually(lambda: len(answered) > 200, "the clients are under way")
        stopping.set()
        server.terminate()
    assert server.wait(DEADLINE) == 0
    assert (set(answered), failed) == ({200}, [])
    eventually(lambda: requests(pod) >= len(answered), "the last counts arrived")
    found = pod.snapshot()
    assert (found["ready"], found["message"], found["lost"]) == (False, "the server has stopped", 0)


def test_load_from_many_clients_is_counted_exactly(pod):
    pod.sidecar()
    pod.server()
    pod.wait_ready()
    with ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(lambda _: predict(pod).status, range(500)))
    assert statuses == [200] * 500
    eventually(lambda: requests(pod) == 500, "every request is counted")
    assert sum(pod.snapshot()["latency"]["buckets"].values()) == 500


def test_a_server_that_is_busy_is_still_ready(pod):
    slow = KNeighborsRegressor(n_neighbors=5, algorithm="brute")
    sample_artifacts.write(pod.folder / "model", *sample_artifacts.regression(slow, times=400))
    pod.sidecar()
    pod.server()
    eventually(lambda: pod.reads("/v2/health/ready").status == 200, "the sidecar says that it is ready")
    many = {"rows": [{"torque": 40.0, "Air temperature [K]": 300.0}] * 1000}
    patient = {"x-envoy-expected-rq-timeout-ms": "600000"}
    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(ask, f"{pod.url}/predict", many, patient) for _ in range(4)]
        meanwhile = []
        while not any(request.done() for request in asked):
            meanwhile.append(pod.reads("/v2/health/ready").status)
    assert {request.result().status for request in asked} == {200}
    assert len(meanwhile) > 1
    assert set(meanwhile) == {200}


@pytest.mark.parametrize(
    ("command", "status"),
    [
        pytest.param(("redstart.server", {}), 200, id="that is ready"),
        pytest.param(("redstart.server", {"REDSTART_DIGEST": "sha256:" + "0" * 64}), 503, id="that is not"),
        pytest.param(None, 503, id="that is not there"),
    ],
)
def test_a_server_that_does_not_report_is_asked(pod, command, status):
    if command is not None:
        module, environ = command
        pod.start(module, **environ, REDSTART_SOCKET=str(pod.folder / "nobody.sock"))
        eventually(lambda: pod.health() == status, "the server answers")
    pod.sidecar(REDSTART_READINESS_URL=f"{pod.url}/v2/health/ready")
    assert pod.reads("/v2/health/ready").status == status


def test_another_digest_than_the_expected_is_reported_and_never_ready(pod):
    pod.sidecar()
    pod.server(REDSTART_DIGEST="sha256:" + "0" * 64)
    eventually(lambda: (pod.snapshot() or {}).get("message"), "the mismatch is reported")
    found = pod.snapshot()
    assert found["loadedDigest"] == manifests.sha256((pod.folder / "model" / "manifest.json").read_bytes())
    assert f"expected sha256:{'0' * 64}" in found["message"]
    assert not found["ready"]
    assert (pod.health(), pod.health("live")) == (503, 200)
    assert predict(pod).status == 503


def test_wrong_answers_to_the_reference_rows_are_reported_and_never_ready(pod):
    manifest, files = sample_artifacts.classifier()
    reference = manifests.decode_reference(files[manifests.REFERENCE])
    answers = [*reference.answers[:9], Answer(1, [0.125, 0.875]), *reference.answers[10:]]
    wrong = files | {
        manifests.REFERENCE: manifests.encode(msgspec.structs.replace(reference, answers=answers))
    }
    sample_artifacts.write(pod.folder / "model", *sample_artifacts.with_files(manifest, wrong))
    pod.sidecar()
    pod.server()
    eventually(lambda: (pod.snapshot() or {}).get("reference"), "the check is reported")
    found = pod.snapshot()["reference"]
    assert (found["rows"], found["mismatched"]) == (32, 1)
    assert found["first"].startswith("reference row 9: expected probabilities [0.125, 0.875], got [")
    assert '"product_type":"L"' in found["first"]
    assert "reference row 9" in ask(f"{pod.url}/v2/health/ready").json["error"]


def test_a_model_that_cannot_be_loaded_ends_the_container_with_the_reason(pod):
    (pod.folder / "model" / "model.onnx").write_bytes(b"damaged")
    pod.sidecar()
    server = pod.server()
    assert server.wait(DEADLINE) == 1
    report = json.loads((pod.folder / "termination-log").read_bytes())
    assert (report["result"], report["reason"]) == ("Failed", "DigestMismatch")
    assert "model.onnx has 7 bytes" in report["message"]
    assert pod.snapshot()["message"].startswith("DigestMismatch: model.onnx has 7 bytes")


def test_a_skops_model_is_served(pod):
    sample_artifacts.write(pod.folder / "model", *sample_artifacts.regression())
    pod.server()
    pod.wait_ready()
    found = ask(f"{pod.url}/predict", {"features": [10, 300]}).json
    assert found["prediction"] == pytest.approx(320.0, abs=0.5)


def test_a_variable_that_is_missing_is_named(pod):
    server = pod.server(REDSTART_VERSION="")
    assert server.wait(DEADLINE) == 2
    assert "REDSTART_VERSION is not set" in pod.logged()


def test_bytes_that_are_no_http_harm_nobody(pod):
    pod.server()
    pod.wait_ready()
    for content in (
        b"\x00" * 1000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", pod.port), timeout=5) as raw:
            raw.sendall(content)
            raw.shutdown(socket.SHUT_WR)
            reply = raw.recv(100)
            assert b"200 OK" not in reply
    assert predict(pod).status == 200


def test_an_idle_connection_stays_open(pod):
    """The router closes idle connections; a server that did so first would break requests that are on their way."""
    pod.server()
    pod.wait_ready()
    body = json.dumps({"rows": [ROW]}).encode()
    request = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    with socket.create_connection(("127.0.0.1", pod.port), timeout=5) as connection:
        for _ in range(2):
            connection.sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)


def test_nothing_but_a_report_is_counted(pod):
    pod.sidecar()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for junk in (b"", b"junk", b"\x81\xa5epoch\xa1x"):
            sender.sendto(junk, str(pod.folder / "metrics.sock"))
    pod.server()
    pod.wait_ready()
    predict(pod)
    eventually(lambda: requests(pod) == 1, "reports are read after junk")
    assert "is no report of a server" in pod.logged("redstart.sidecar")


def kill_container(process):
    """SIGKILL to all processes at once, as the kernel does with a container."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_server_and_sidecar_answer_both_families(pod, host):
    pod.sidecar(REDSTART_HOST="::")
    pod.server(REDSTART_HOST="::")
    pod.wait_ready()
    assert ask(f"http://{host}:{pod.port}/predict", {"rows": [ROW]}).status == 200
    assert ask(f"http://{host}:{pod.snapshot_port}/v2/health/ready").status == 200
