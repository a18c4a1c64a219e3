"""Whole commands against an API server that answers from a table: what is printed, and the exit code."""

import _thread
import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.cli import objects

from redstart.cli import status
from redstart.cli.app import run

ROOT = "/apis/redstart.dev/v1alpha1/namespaces/default"
EVENTS = "/api/v1/namespaces/default/events"
PROXY = "/api/v1/namespaces/default/services/machine-failure:http/proxy"


def refusal(status: int, message: str) -> tuple[int, Any]:
    return status, {"kind": "Status", "apiVersion": "v1", "code": status, "message": message}


NO_ANSWER = (0, None)
"""The connection is closed instead."""


class Server(ThreadingHTTPServer):
    """Answers by method and path; `answers` holds (status, body), `asked` every request's body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {
            ("GET", EVENTS): (200, {"items": objects.EVENTS})
        }
        self.turns: dict[tuple[str, str], Iterator[tuple[int, Any]]] = {}
        self.asked: list[Any] = []
        self.authorization = ""

    def answer(self, path: str, body: Any, status: int = 200, method: str = "GET") -> None:
        self.answers[method, path] = (status, body)

    def take_turns(self, path: str, answers: Sequence[tuple[int, Any]]) -> None:
        """One answer after the other; the first request after the last one interrupts who asks, as Ctrl-C does."""
        self.turns["GET", path] = iter(answers)

    def next(self, method: str, path: str) -> tuple[int, Any]:
        turns = self.turns.get((method, path))
        if turns is None:
            return self.answers.get((method, path), refusal(404, f"{path} not found"))
        try:
            return next(turns)
        except StopIteration:
            _thread.interrupt_main()
            return NO_ANSWER

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.authorization = self.headers.get("Authorization", "")
        length = int(self.headers.get("Content-Length") or 0)
        self.server.asked.append(json.loads(self.rfile.read(length)) if length else None)
        status, body = self.server.next(self.command, self.path.partition("?")[0])
        if not status:
            self.close_connection = True
            return
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": running.url}}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        monkeypatch.setenv("COLUMNS", "100")
        yield running
        running.shutdown()
        thread.join()


def redstart(*arguments: str) -> int:
    return run(["/usr/bin/redstart", *arguments])


@pytest.mark.parametrize(
    ("typed", "plural", "obj", "shown"),
    [
        ("machine-failure", "inferenceservices", objects.IN_CANARY, "step 2 of 3"),
        ("InferenceService/machine-failure", "inferenceservices", objects.IN_CANARY, "step 2 of 3"),
        ("tjob/machine-failure", "trainingjobs", objects.RUNNING, "fitting fold 3 of 5"),
        ("modelversions/machine-failure", "modelversions", objects.MODEL_VERSION, "✓ verified"),
    ],
)
def test_status_shows_each_kind(
    server: Server, capsys: pytest.CaptureFixture[str], typed: str, plural: str, obj: Any, shown: str
) -> None:
    server.answer(f"{ROOT}/{plural}/machine-failure", obj)
    assert redstart("status", typed) == 0
    assert shown in capsys.readouterr().out
    assert server.authorization == "Bearer secret"


def test_status_as_json_has_the_object_and_its_events(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer(f"{ROOT}/inferenceservices/machine-failure", objects.IN_CANARY)
    assert redstart("status", "machine-failure", "-o", "json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["status"] == objects.IN_CANARY["status"]
    assert "managedFields" not in printed["metadata"]
    assert [event["reason"] for event in printed["events"]] == ["WeightRaised", "RolledBack"]


def test_a_name_that_is_nearly_right_is_told(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answer(f"{ROOT}/inferenceservices", {"items": [objects.IN_CANARY]})
    assert redstart("status", "machine-failur") == 1
    told = capsys.readouterr().err
    assert 'there is no InferenceService "machine-failur" in namespace default' in told
    assert "Did you mean machine-failure?" in told


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        (f"{ROOT}/inferenceservices", (200, {"items": []}), "There is none in this namespace"),
        (f"{ROOT}/none", (404, {}), "Redstart is not installed there"),
        (
            f"{ROOT}/inferenceservices/x",
            refusal(403, 'User "u" cannot get'),
            "you may not read InferenceService",
        ),
        (f"{ROOT}/inferenceservices/x", refusal(401, "Unauthorized"), "does not accept your credentials"),
        (f"{ROOT}/inferenceservices/x", refusal(500, "etcd is down"), "etcd is down"),
    ],
    ids=["none", "not installed", "forbidden", "unauthorized", "broken"],
)
def test_a_refusal_is_a_sentence_and_exit_code_1(
    server: Server, capsys: pytest.CaptureFixture[str], path: str, answer: tuple[int, Any], sentence: str
) -> None:
    server.answer(path, answer[1], answer[0])
    assert redstart("status", "x") == 1
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.out == ""
    assert "Traceback" not in told.err


def test_events_that_may_not_be_read_are_said_to_be_so(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer(f"{ROOT}/inferenceservices/machine-failure", objects.IN_CANARY)
    server.answer(EVENTS, refusal(403, "no")[1], 403)
    assert redstart("status", "machine-failure") == 0
    assert "Events may not be read by you" in capsys.readouterr().out


CHANGED = {**objects.IN_CANARY, "metadata": {**objects.IN_CANARY["metadata"], "resourceVersion": "11"}}
COUNTED = [{**objects.EVENTS[0], "count": 2}, *objects.EVENTS[1:]]


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A shell starts what it runs in the background with SIGINT ignored, and Python then leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def watched(server: Server, services: Sequence[tuple[int, Any]], events: Sequence[tuple[int, Any]]) -> None:
    server.take_turns(f"{ROOT}/inferenceservices/machine-failure", services)
    server.take_turns(EVENTS, events)


@pytest.mark.parametrize(
    ("services", "events", "printed"),
    [
        pytest.param([objects.IN_CANARY] * 3, [objects.EVENTS] * 3, 1, id="what stays is printed once"),
        pytest.param([objects.IN_CANARY, CHANGED], [objects.EVENTS] * 2, 2, id="a change is printed"),
        pytest.param(
            [objects.IN_CANARY] * 2, [objects.EVENTS, COUNTED], 2, id="an event that came again is a change"
        ),
        pytest.param(
            [objects.IN_CANARY] * 2,
            [objects.EVENTS, list(reversed(COUNTED))],
            2,
            id="as many other events are a change",
        ),
    ],
)
@pytest.mark.parametrize("options", [["-o", "json"], []], ids=["json", "text without a terminal"])
def test_watch_prints_each_change_until_it_is_interrupted(
    server: Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    services: list[Any],
    events: list[Any],
    printed: int,
    options: list[str],
) -> None:
    monkeypatch.setattr(status, "INTERVAL", 0.0)
    watched(server, [(200, each) for each in services], [(200, {"items": each}) for each in events])
    assert redstart("status", "machine-failure", "--watch", *options) == 0
    shown = capsys.readouterr()
    assert shown.out.count('"apiVersion"' if options else "InferenceService in default") == printed


@pytest.mark.parametrize("options", [["-o", "json"], []], ids=["json", "text without a terminal"])
def test_watch_tells_once_that_the_cluster_does_not_answer_and_asks_again(
    server: Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
) -> None:
    monkeypatch.setattr(status, "INTERVAL", 0.0)
    shown = [(200, objects.IN_CANARY), NO_ANSWER, NO_ANSWER, (200, CHANGED), NO_ANSWER]
    watched(server, shown, [(200, {"items": []})] * 2)
    assert redstart("status", "machine-failure", "--watch", *options) == 0
    told = capsys.readouterr()
    assert told.out.count('"apiVersion"' if options else "InferenceService in default") == 2
    assert told.err.count("does not answer") == 2
    if options:
        assert [json.loads(line)["metadata"]["resourceVersion"] for line in told.out.splitlines()] == [
            "10",
            "11",
        ]


def test_watch_ends_where_the_first_look_fails(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answer(f"{ROOT}/inferenceservices/machine-failure", None, 0)
    assert redstart("status", "machine-failure", "--watch") == 1
    assert "does not answer" in capsys.readouterr().err


def test_no_kubeconfig_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert redstart("status", "x") == 1
    assert "no cluster to talk to: there is no kubeconfig at" in capsys.readouterr().err


def test_a_cluster_that_is_down_is_told(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    config = Path(os.environ["KUBECONFIG"])
    config.write_text(config.read_text().replace(server.url, "http://127.0.0.1:1"))
    assert redstart("status", "x") == 1
    assert "does not answer: [Errno 111] Connection refused" in capsys.readouterr().err


def test_an_unknown_context_is_told(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert redstart("status", "x", "--context", "other") == 1
    assert "other" in capsys.readouterr().err


def openapi(server: Server, prefix: str = PROXY) -> None:
    inputs = {"torque": {"type": ["number", "null"]}, "product_type": {"type": "string"}}
    label = {"enum": [0, 1]}
    answer = {"properties": {"prediction": {"oneOf": [{"type": "array", "items": label}, label]}}}
    content = {"application/json": {"schema": answer}}
    server.answer(
        f"{prefix}/openapi.json",
        {
            "paths": {"/predict": {"post": {"responses": {"200": {"content": content}}}}},
            "components": {"schemas": {"Row": {"properties": inputs}}},
        },
    )


def model(server: Server, rows: int, prefix: str = PROXY) -> None:
    answer = {
        "prediction": [1] * rows,
        "probabilities": [[0.25, 0.75]] * rows,
        "model": "machine-failure",
        "version": "machine-failure-v2",
    }
    openapi(server, prefix)
    server.answer(f"{prefix}/predict", answer, method="POST")


def test_predict_goes_through_the_api_server(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    model(server, rows=2)
    assert redstart("predict", "machine-failure", "-r", '{"torque": 40}', "-r", '{"torque": 80}') == 0
    assert server.asked[-1] == {"rows": [{"torque": 40}, {"torque": 80}]}
    header, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == ["torque", "prediction", "p(0)", "p(1)", "version"]
    assert first == ["40", "1", "0.2500", "0.7500", "machine-failure-v2"]
    assert second[0] == "80"


def test_names_and_values_are_printed_as_they_are(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    model(server, rows=1)
    row = {"Rotational speed [rpm]": 1400, "[/x]": "[bold]:x:"}
    assert redstart("predict", "machine-failure", "-r", json.dumps(row)) == 0
    header, answer = capsys.readouterr().out.splitlines()
    assert header.startswith("Rotational speed [rpm]")
    assert "[/x]" in header
    assert "[bold]:x:" in answer


def test_inputs_that_do_not_fit_the_terminal_are_left_away_and_the_answers_never(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model(server, rows=1)
    monkeypatch.setenv("COLUMNS", "60")
    assert (
        redstart("predict", "machine-failure", "-r", json.dumps({f"a_long_input_{n}": n for n in range(9)}))
        == 0
    )
    header, answer = capsys.readouterr().out.splitlines()
    assert header.split() == ["prediction", "p(0)", "p(1)", "version"]
    assert answer.split() == ["1", "0.2500", "0.7500", "machine-failure-v2"]


def test_predict_goes_by_url_and_prints_json(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    model(server, rows=1, prefix="")
    assert redstart("predict", "--url", f"{server.url}/predict", "--row", '{"torque": 40}', "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "prediction": 1,
            "probabilities": [0.25, 0.75],
            "model": "machine-failure",
            "version": "machine-failure-v2",
        }
    ]


def test_predict_sends_of_a_file_what_the_model_takes(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model(server, rows=1)
    (tmp_path / "rows.csv").write_text("product_type,torque,machine_failure\n1,40,0\n")
    assert redstart("predict", "machine-failure", "--file", str(tmp_path / "rows.csv")) == 0
    assert server.asked[-1] == {"rows": [{"product_type": "1", "torque": 40.0}]}
    assert "left out, being no inputs of the model: machine_failure" in capsys.readouterr().err


def test_predict_refuses_a_file_without_inputs_of_the_model(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model(server, rows=1)
    (tmp_path / "rows.csv").write_text("Torque;machine_failure\n40,5;0\n")
    assert redstart("predict", "machine-failure", "--file", str(tmp_path / "rows.csv")) == 1
    told = capsys.readouterr().err
    assert "rows.csv has no torque, product_type, which the model takes" in told.replace("\n", " ")
    assert not [body for body in server.asked if body]


def test_predict_takes_how_a_file_is_written(server: Server, tmp_path: Path) -> None:
    model(server, rows=1)
    (tmp_path / "rows.csv").write_bytes("product_type#torque\ngroß#1,234\n".encode("cp1252"))
    options = ["--separator", "#", "--decimal", ",", "--encoding", "cp1252"]
    assert redstart("predict", "machine-failure", "--file", str(tmp_path / "rows.csv"), *options) == 0
    assert server.asked[-1] == {"rows": [{"product_type": "groß", "torque": 1.234}]}


def test_predict_sends_many_rows_in_several_requests(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model(server, rows=500)
    (tmp_path / "rows.json").write_text(json.dumps([{"torque": number} for number in range(1000)]))
    assert redstart("predict", "machine-failure", "--file", str(tmp_path / "rows.json"), "-o", "json") == 0
    sent = [body["rows"] for body in server.asked if body]
    assert [len(rows) for rows in sent] == [500, 500]
    assert sent[1][0] == {"torque": 500}
    assert len(json.loads(capsys.readouterr().out)) == 1000


@pytest.mark.parametrize("by", ["service", "url"])
def test_predict_sends_what_json_has_no_word_for_as_missing_or_as_text(
    server: Server, tmp_path: Path, by: str
) -> None:
    model(server, rows=2, prefix=PROXY if by == "service" else "")
    (tmp_path / "rows.csv").write_text("torque,product_type\nNaN,L\ninf,L\n")
    whom = ["machine-failure"] if by == "service" else ["--url", server.url]
    assert redstart("predict", *whom, "--file", str(tmp_path / "rows.csv")) == 0
    assert server.asked[-1] == {
        "rows": [{"torque": None, "product_type": "L"}, {"torque": "inf", "product_type": "L"}]
    }


def test_predict_by_url_sends_half_a_surrogate_pair_for_the_server_to_refuse(server: Server) -> None:
    model(server, rows=1, prefix="")
    assert redstart("predict", "--url", server.url, "--row", '{"product_type": "\\ud800"}', "-o", "json") == 0
    assert server.asked[-1] == {"rows": [{"product_type": "\ud800"}]}


@pytest.mark.parametrize("by", ["service", "url"])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"<html>sign in</html>", id="a page"),
        pytest.param(["L"], id="a list"),
        pytest.param("prediction", id="a text"),
        pytest.param({"status": "ok"}, id="another answer"),
        pytest.param({"prediction": 1}, id="no list"),
        pytest.param({"prediction": [1, 0]}, id="more predictions than rows"),
        pytest.param({"prediction": [1], "probabilities": []}, id="fewer probabilities than rows"),
    ],
)
def test_an_answer_that_is_no_models_is_told(
    server: Server, capsys: pytest.CaptureFixture[str], by: str, answer: Any
) -> None:
    prefix = PROXY if by == "service" else ""
    openapi(server, prefix)
    server.answer(f"{prefix}/predict", answer, method="POST")
    whom = ["machine-failure"] if by == "service" else ["--url", f"{server.url}/"]
    assert redstart("predict", *whom, "--row", '{"torque": 40}') == 1
    name = 'InferenceService "machine-failure"' if by == "service" else server.url
    assert f"{name} answers, but not as a model does" in capsys.readouterr().err


def test_a_row_of_a_later_piece_is_told_by_its_own_number(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    openapi(server)
    answer = {"prediction": [1] * 500}
    refused = {"error": "rows[5].torque: expected a number or null, got str", "row": 5, "field": "torque"}
    server.turns["POST", f"{PROXY}/predict"] = iter([(200, answer), (422, refused)])
    (tmp_path / "rows.json").write_text(json.dumps([{"torque": number} for number in range(600)]))
    assert redstart("predict", "machine-failure", "--file", str(tmp_path / "rows.json")) == 1
    assert "row 506 was refused: torque: expected a number or null, got str" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            (422, {"error": "rows[0].torque: expected a number, got str", "row": 0, "field": "torque"}),
            "row 1 was refused: torque: expected a number",
        ),
        (
            (422, {"error": "rows[0]: Expected `object`, got `int`", "row": 0}),
            "row 1 was refused: Expected `object`, got `int`",
        ),
        ((400, {"error": "the body is not JSON"}), "the rows were refused: the body is not JSON"),
        (
            (500, {"error": "the model failed: overflow"}),
            "the model did not answer: the model failed: overflow",
        ),
        ((502, "bad gateway"), "the model did not answer"),
        (
            refusal(403, "User cannot create services/proxy"),
            "you may not ask InferenceService default/machine-failure",
        ),
        (refusal(503, "no endpoints available"), '"machine-failure" is not ready: no pod is ready'),
    ],
    ids=["422", "422 without a field", "400", "500", "502", "forbidden", "not ready"],
)
def test_predict_tells_why_there_is_no_answer(
    server: Server, capsys: pytest.CaptureFixture[str], answer: tuple[int, Any], sentence: str
) -> None:
    openapi(server)
    server.answer(f"{PROXY}/predict", answer[1], answer[0], "POST")
    unready = objects.inference_service(
        conditions=[objects.condition("Ready", "False", "PodsNotReady", "no pod is ready")]
    )
    server.answer(f"{ROOT}/inferenceservices/machine-failure", unready)
    assert redstart("predict", "machine-failure", "--row", '{"torque": 40}') == 1
    assert sentence in capsys.readouterr().err


def test_predict_for_a_service_that_is_not_there_tells_so(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer(f"{ROOT}/inferenceservices", {"items": [objects.IN_CANARY]})
    assert redstart("predict", "machine-failure", "--row", "{}") == 1
    assert 'there is no InferenceService "machine-failure"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predict", "--row", "{}"], "say whom to ask"),
        (["predict", "a", "--url", "http://b", "--row", "{}"], "say whom to ask"),
        (["predict", "a", "--row", "{}", "--file", "b.csv"], "both given"),
        (["predict", "--url", "http://127.0.0.1:1", "--row", "{}"], "http://127.0.0.1:1 does not answer"),
        (["status", "pod/a"], '"pod" is no kind of Redstart'),
        (["status", "tjob/"], "names no object"),
        (["sample-data", "--rows", "0"], "rows: 0 is not between 1 and"),
        (["sample-data", "--month", "May"], "'May' is no month"),
        (["sample-data", "--output", "rows.xls"], "write a .csv or a .parquet file"),
        (["sample-data", "--output", "/nowhere/rows.csv"], "cannot be written: No such file"),
        (["sample-data", "--output", "/nowhere/rows.parquet"], "cannot be written: No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    assert redstart(*arguments) == 1
    assert sentence in capsys.readouterr().err


def test_wrong_options_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert redstart("status", "x", "--output", "yaml") == 2
    assert "yaml" in capsys.readouterr().err


def test_as_a_plugin_it_calls_itself_kubectl_redstart(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["/usr/local/bin/kubectl-redstart", "status", "--help"]) == 0
    assert "kubectl redstart status" in capsys.readouterr().out


def test_version_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert redstart("version") == 0
    number = capsys.readouterr().out.removeprefix("redstart ").strip()
    assert redstart("version", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == {"version": number}


def test_sample_data_goes_to_standard_output_as_csv_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert redstart("sample-data", "--rows", "20", "--seed", "3") == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert redstart("sample-data", "--rows", "20", "--seed", "3", "--output", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert header.split(",") == list(rows[0])
    assert [line.split(",") for line in lines] == [[str(value) for value in row.values()] for row in rows]


def test_sample_data_goes_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.parquet"
    assert redstart("sample-data", "--rows", "20", "--output", str(path)) == 0
    assert path.read_bytes()[:4] == b"PAR1"
    assert "20 rows of 2026-01" in capsys.readouterr().err
