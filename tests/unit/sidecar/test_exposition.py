"""What the sidecar shows."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from redstart.sidecar.application import Application
from redstart.sidecar.counters import Counters
from redstart.sidecar.exposition import Identity, metrics, snapshot
from redstart.sidecar.report import BUCKETS, Counts, Delta, LastError, Latency, Reference, State

IDENTITY = Identity("machine-failure", "machine-failure-v3", "6fd9c4a1b2")
STATE = State(ready=True, digest="sha256:1", reference=Reference(256, 0))


@pytest.fixture
def counters():
    made = Counters(epoch="b1c2")
    counts = Counts(
        {"first": {200: 1220, 422: 11, 500: 3}, "other": {200: 66}},
        {"first": Latency({0: 1000, 9: 200, BUCKETS: 34}, 12.5), "other": Latency({4: 66}, 0.5)},
        {"0": 1190, "1": 30},
        [("torque", "bin", "(1.0,2.0]", 7), ("torque", "missing", "", 1), ('say "hi"\\\n', "unseen", "", 2)],
        1,
        {"tool_wear": 40},
        LastError(422, "torque"),
    )
    made.receive(Delta("server", 1, STATE, counts), now=100.0)
    return made


def test_the_snapshot_is_what_the_operator_reads(counters):
    found = snapshot(counters, IDENTITY, 100.25, features=False)
    assert found == {
        "epoch": "b1c2",
        "model": "machine-failure",
        "version": "machine-failure-v3",
        "revision": "6fd9c4a1b2",
        "loadedDigest": "sha256:1",
        "ready": True,
        "message": None,
        "reference": {"rows": 256, "mismatched": 0, "first": None},
        "server": {"epoch": "server", "starts": 1, "age": 0.25},
        "first": {
            "requests": 1234,
            "errors": 3,
            "status": {"200": 1220, "422": 11, "500": 3},
            "invalidOutputs": 1,
        },
        "all": {"requests": 1300, "errors": 3, "status": {"200": 1286, "422": 11, "500": 3}},
        "lost": 0,
        "latency": {
            "growth": pytest.approx(1.5**0.125),
            "smallest": 50e-6,
            "buckets": {"0": 1000, "9": 200, str(BUCKETS): 34},
        },
        "predictions": {"0": 1190, "1": 30},
        "ignoredInputs": {"tool_wear": 40},
        "lastError": {"status": 422, "field": "torque", "error": None},
    }


def test_features_are_shown_when_asked_for(counters):
    found = snapshot(counters, IDENTITY, 100.25, features=True)["features"]
    assert found["torque"] == {"bins": {"(1.0,2.0]": 7}, "missing": 1}


def test_before_the_first_datagram_nothing_is_known():
    found = snapshot(Counters(), IDENTITY, 5.0, features=True)
    assert (found["ready"], found["loadedDigest"], found["reference"]) == (False, None, None)
    assert found["server"] == {"epoch": None, "starts": 0, "age": None}
    assert found["first"]["requests"] == 0


def samples(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_the_metrics(counters):
    found = samples(metrics(counters, IDENTITY, 100.25))
    name = "redstart_serving_"
    assert found[f"{name}requests_total", ("scope", "first"), ("status", "500")] == 3
    assert found[f"{name}ready",] == 1
    assert found[f"{name}reference_rows", ("result", "matched")] == 256
    assert found[f"{name}predictions_total", ("prediction", "1")] == 30
    assert (
        found[f"{name}feature_rows_total", ("bin", "(1.0,2.0]"), ("cell", "bin"), ("feature", "torque")] == 7
    )
    assert (
        found[f"{name}feature_rows_total", ("bin", ""), ("cell", "unseen"), ("feature", 'say "hi"\\\n')] == 2
    )
    assert found[f"{name}ignored_input_rows_total", ("input", "tool_wear")] == 40
    assert found[f"{name}report_age_seconds",] == 0.25


def test_histogram_buckets_are_cumulative(counters):
    found = samples(metrics(counters, IDENTITY, 100.25))
    buckets = [
        (float(dict(labels)["le"]), value)
        for (name, *labels), value in found.items()
        if name == "redstart_serving_request_duration_seconds_bucket" and dict(labels)["scope"] == "first"
    ]
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    assert buckets[0] == (pytest.approx(50e-6 * 1.5 ** (7 / 8), rel=1e-5), 1000)
    assert buckets[1][1] == 1200
    assert buckets[-1] == (float("inf"), 1234)
    assert found["redstart_serving_request_duration_seconds_count", ("scope", "first")] == 1234


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/snapshot", 200, id="snapshot"),
        pytest.param("GET", "/metrics", 200, id="metrics"),
        pytest.param("GET", "/healthz", 200, id="health"),
        pytest.param("GET", "/v2/health/ready", 503, id="readiness of a server that was silent lately"),
        pytest.param("GET", "/manifest", 503, id="the manifest of an artifact that is not there"),
        pytest.param("GET", "/", 404, id="anything else"),
        pytest.param("POST", "/snapshot", 405, id="nothing can be written"),
    ],
)
def test_paths(method, path, status, counters, tmp_path):
    answered = []
    Application(counters, IDENTITY, manifest=tmp_path / "manifest.json")(
        {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": ""},
        lambda line, _: answered.append(line),
    )
    assert int(answered[0].split()[0]) == status
