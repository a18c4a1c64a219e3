"""HTTP/1.1 as clients speak it, well and badly."""

import itertools
import json
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.server.sample_artifacts import ROW
from tests.unit.server.wire import Client, as_json, request

from redstart.server import http
from redstart.server.application import MAX_BODY
from redstart.server.http import IDLE_SECONDS, LINGER_SECONDS, MAX_HEAD, REQUEST_SECONDS

BODY = as_json({"rows": [ROW]})
PREDICT = request("/predict", BODY)
LIVE = request("/v2/health/live")
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n"
ANY_CLIENT = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def client(service):
    return Client(service)


def statuses(client):
    client.loop.run()
    return [answer["status"] for answer in client.transport.answers()]


@ANY_CLIENT
@given(cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_requests_are_answered_in_order_wherever_they_are_cut(cuts, service):
    client = Client(service)
    data = PREDICT + LIVE + request("/predict", BODY, length=False) + request("/nowhere") + PREDICT
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(edges):
        client.send(data[start:end])
        client.loop.run()
    assert statuses(client) == [200, 200, 200, 404, 200]


@ANY_CLIENT
@given(
    pieces=st.lists(
        st.binary(max_size=40)
        | st.sampled_from([PREDICT, LIVE, PREDICT[:50], HEAD % 5, b"\r\n\r\n", b"0\r\n\r\n", b"HTTP/1.1"]),
        max_size=5,
    ),
    leaves=st.booleans(),
)
def test_whatever_is_sent_is_answered_or_the_connection_ends(pieces, leaves, service):
    client = Client(service)
    for piece in pieces:
        client.send(piece)
    if leaves:
        client.connection.connection_lost(None)
    assert set(statuses(client)) <= {200, 400, 404, 405, 408, 431}
    if not leaves:
        client.connection.check(monotonic() + REQUEST_SECONDS + 1)
        client.connection.connection_lost(None)
    assert client.application._buffered == 0
    assert client.application.schedule._inline.waiting == 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"\x00" * 100, 400, id="zeroes"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", 400, id="another version"),
        pytest.param(b"POST /predict HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400, id="a length that is none"),
        pytest.param(
            b"POST /predict HTTP/1.1\r\ncontent-length: " + b"9" * 30 + b"\r\n\r\n",
            400,
            id="a length without end",
        ),
        pytest.param(
            HEAD % 3 + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400, id="two ways to say the length"
        ),
        pytest.param(
            b"POST /predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            400,
            id="chunks that are none",
        ),
        pytest.param(b"GET /" + b"x" * MAX_HEAD + b" HTTP/1.1\r\n\r\n", 431, id="a path without end"),
        pytest.param(
            b"GET /v2 HTTP/1.1\r\n" + b"a: b\r\n" * MAX_HEAD + b"\r\n", 431, id="headers without end"
        ),
    ],
)
def test_what_is_no_request_is_told_and_the_connection_closed(data, status, client):
    client.send(data)
    (answer,) = client.transport.answers()
    assert (answer["status"], answer["headers"]["connection"]) == (status, "close")
    assert "error" in json.loads(answer["body"])
    assert client.transport.ended
    client.send(PREDICT)
    assert client.transport.written == b"", "nothing more is read"
    client.connection.check(monotonic() + LINGER_SECONDS + 1)
    assert client.transport.closed


def test_what_came_before_bytes_that_are_no_request_is_answered_first(client):
    client.send(PREDICT + b"\x00\x00")
    assert statuses(client) == [200, 400]


def test_a_body_that_is_too_large_is_refused_before_it_comes(client):
    client.send(HEAD % (MAX_BODY + 1) + b"\r\n")
    assert statuses(client) == [413]
    assert client.transport.ended
    assert not client.transport.closed, "a reset would overtake the answer"
    client.send(b" " * 1000)
    client.connection.check(monotonic() + LINGER_SECONDS + 1)
    assert client.transport.closed


def test_a_client_that_asks_whether_to_send_is_told(client):
    client.send(HEAD % len(BODY) + b"expect: 100-continue\r\n\r\n")
    assert client.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.transport.written = b""
    client.send(BODY)
    assert statuses(client) == [200]
    client.send(HEAD % (MAX_BODY + 1) + b"expect: 100-continue\r\n\r\n")
    assert statuses(client) == [413]


def test_the_answer_to_head_has_the_length_and_no_body(client):
    client.send(request("/v2", method="HEAD") + LIVE)
    head, _, rest = client.transport.written.partition(b"\r\n\r\n")
    assert b"content-length: " in head
    assert rest.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("version", "header", "stays"),
    [
        pytest.param(b"1.1", b"", True, id="1.1"),
        pytest.param(b"1.1", b"connection: close\r\n", False, id="1.1 that says close"),
        pytest.param(b"1.0", b"", False, id="1.0"),
        pytest.param(b"1.0", b"connection: keep-alive\r\n", True, id="1.0 that says keep-alive"),
    ],
)
def test_a_connection_stays_as_the_client_says(version, header, stays, client):
    client.send(PREDICT.replace(b"1.1", version, 1).replace(b"host", header + b"host", 1))
    client.loop.run()
    (answer,) = client.transport.answers()
    assert answer["headers"].get("connection") == (
        "close" if not stays else "keep-alive" if version == b"1.0" else None
    )
    assert client.transport.closed != stays


def test_an_upgrade_is_not_taken(client):
    client.send(b"GET /v2 HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
    assert statuses(client) == [200]
    assert client.transport.closed or client.transport.ended


@pytest.mark.parametrize(
    ("sent", "seconds", "status"),
    [
        pytest.param(PREDICT[:20], REQUEST_SECONDS, [408], id="half a head"),
        pytest.param(PREDICT[:-1], REQUEST_SECONDS, [408], id="most of a body"),
        pytest.param(PREDICT, REQUEST_SECONDS, [200], id="a whole request, and idle since"),
        pytest.param(PREDICT, IDLE_SECONDS, [200], id="idle for hours"),
    ],
)
def test_a_client_that_is_too_slow_is_told(sent, seconds, status, client):
    client.send(sent)
    client.loop.run()
    client.connection.check(monotonic() + seconds - 1)
    assert not client.transport.ended
    assert not client.transport.closed
    client.connection.check(monotonic() + seconds + 1)
    assert statuses(client) == status
    assert client.transport.ended == (status == [408])
    assert client.transport.closed == (seconds == IDLE_SECONDS)


def test_a_client_that_does_not_read_is_not_read(client):
    client.connection.pause_writing()
    assert client.transport.paused
    client.connection.resume_writing()
    assert not client.transport.paused
    client.connection.pause_writing()
    client.connection.check(monotonic() + REQUEST_SECONDS + 1)
    assert client.transport.aborted


def test_a_client_that_sends_many_requests_ahead_waits(client):
    client.send(PREDICT * 100)
    assert client.transport.paused
    assert statuses(client) == [200] * 100
    assert not client.transport.paused


@pytest.mark.parametrize(
    ("first", "reads"),
    [
        pytest.param(b"", False, id="of which none is read"),
        pytest.param(PREDICT, True, id="behind an answer that is not there yet"),
    ],
)
def test_answers_to_short_requests_in_one_read_are_bounded(first, reads, client, monkeypatch):
    bound = 100_000
    monkeypatch.setattr(http, "_MAX_UNREAD", bound)
    client.transport.reads = reads
    one = len(client.application.service.openapi)
    client.send(first + request("/openapi.json") * 1000)
    assert client.connection._held + len(client.transport.written) < bound + 2 * one + 1000
    found = statuses(client)
    assert set(found[:-1]) == {200}, "what was taken before is answered"
    assert found[-1] == 429
    assert client.transport.ended


def test_answers_that_wait_for_one_before_them_pause_reading(client):
    client.send(PREDICT + LIVE * 40)
    assert client.transport.paused
    assert statuses(client) == [200] * 41
    assert not client.transport.paused


def test_at_the_end_idle_connections_close_and_others_with_their_answer(client):
    idle, transport = client.connection, client.transport
    client.connect()
    client.send(PREDICT)
    client.application.stop()
    assert transport.closed
    idle.connection_lost(None)
    assert not client.transport.closed
    client.loop.run()
    (answer,) = client.transport.answers()
    assert (answer["status"], answer["headers"]["connection"]) == (200, "close")
    assert client.transport.closed
    assert not client.application.closed.is_set()
    client.connection.connection_lost(None)
    assert client.application.closed.is_set()
