"""Files of web servers that behave as web servers do."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redstart.artifacts import storage
from redstart.artifacts.storage import Location, Opened, StoreError
from redstart.artifacts.stores.web import Web
from tests.integration.artifacts.servers import ROWS, Behaviour, Request, secret, serving, tls


def located(url: str, root: Path, secret: str | None = None, waits: list[float] | None = None) -> Location:
    """A location that does not sleep between attempts, but notes for how long it would."""
    location = storage.locate(url, secret=secret, root=root)
    assert isinstance(location.store, Web)
    noted = waits if waits is not None else []
    return replace(location, store=replace(location.store, sleep=noted.append, attempts=3))


def content(opened: Opened) -> bytes:
    return b"".join(opened.chunks)


def only_get(status: int) -> Behaviour:
    def answer(request: Request) -> None:
        request.answer() if request.command == "GET" else request.answer(status, b"")

    return answer


def chunked(request: Request) -> None:
    request.answer(body=b"4\r\na,b\n\r\n4\r\n1,2\n\r\n0\r\n\r\n", transfer_encoding="chunked")


def without_length(request: Request) -> None:
    request.answer(connection="close")
    request.close_connection = True


def compressed(request: Request) -> None:
    request.answer(body=gzip.compress(ROWS), content_encoding="gzip")


def redirecting(request: Request) -> None:
    if request.path.startswith("/new"):
        request.answer()
    else:
        request.answer(302, b"", location="/new?x=1")


def raw(request: Request) -> None:
    request.answer() if request.path == "/a%20b/M%C3%A4rz.csv?raw=true" else request.answer(404, b"")


@pytest.mark.parametrize(
    ("behaviour", "path"),
    [
        pytest.param(only_get(405), "/a.csv", id="HEAD is not allowed"),
        pytest.param(only_get(400), "/a.csv", id="HEAD is a bad request"),
        pytest.param(only_get(403), "/a.csv", id="HEAD is forbidden, as with a signed query"),
        pytest.param(chunked, "/a.csv", id="a body in chunks"),
        pytest.param(without_length, "/a.csv", id="a body that ends with the connection"),
        pytest.param(compressed, "/a.csv", id="a body that is compressed without being asked"),
        pytest.param(redirecting, "/old.csv", id="a redirect"),
        pytest.param(raw, "/a b/März.csv?raw=true", id="a blank and an umlaut, and a query"),
        pytest.param(raw, "/a%20b/M%C3%A4rz.csv?raw=true", id="the same, encoded"),
    ],
)
def test_get_decides(tmp_path: Path, behaviour: Behaviour, path: str) -> None:
    with serving(behaviour) as server:
        assert content(storage.opened(located(server.url + path, tmp_path))) == ROWS
        assert {method for method, _, _ in server.seen} == {"GET"}


@pytest.mark.parametrize(
    ("headers", "name", "media"),
    [
        pytest.param({}, "download", None, id="nothing"),
        pytest.param({"content_type": "Text/CSV; charset=utf-8"}, "download", "text/csv", id="a type"),
        pytest.param(
            {"content_disposition": 'attachment; filename="a b.parquet"'}, "a b.parquet", None, id="a name"
        ),
        pytest.param(
            {"content_disposition": "attachment; filename*=UTF-8''M%C3%A4rz.csv"},
            "März.csv",
            None,
            id="an encoded name",
        ),
        pytest.param(
            {"content_disposition": "attachment; filename=../../x.csv"}, "x.csv", None, id="a way up"
        ),
        pytest.param({"content_disposition": "inline"}, "download", None, id="no name after all"),
    ],
)
def test_what_a_server_tells_of_a_file(
    tmp_path: Path, headers: dict[str, str], name: str, media: str | None
) -> None:
    with serving(lambda request: request.answer(**headers)) as server:
        opened = storage.opened(located(f"{server.url}/download?id=3", tmp_path))
        assert (opened.name, opened.media) == (name, media)
        assert content(opened) == ROWS


def expired(request: Request) -> None:
    request.answer(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")


@pytest.mark.parametrize(
    ("behaviour", "reason", "problem"),
    [
        pytest.param(lambda r: r.answer(401, b""), "StoreDenied", "401 Unauthorized; has its query expired", id="401"),
        pytest.param(expired, "StoreDenied", r"403 Forbidden \(AccessDenied: Request has expired\)", id="expired"),
        pytest.param(lambda r: r.answer(404, b""), "NotFound", "404 Not Found; mend the URI", id="404"),
        pytest.param(lambda r: r.answer(410, b""), "NotFound", "410 Gone", id="410"),
        pytest.param(lambda r: r.answer(400, b""), "BadLocation", "400 Bad Request, not 200", id="400"),
        pytest.param(lambda r: r.answer(405, b""), "BadLocation", "405 Method Not Allowed", id="405"),
        pytest.param(lambda r: r.answer(204, b""), "BadLocation", "204 No Content", id="204"),
        pytest.param(lambda r: r.answer(429, b""), "StoreUnreachable", "429 Too Many Requests", id="429"),
        pytest.param(lambda r: r.answer(503, b""), "StoreUnreachable", "503 Service Unavailable", id="503"),
        pytest.param(lambda r: r.answer(599, b""), "StoreUnreachable", "answers 599", id="a status that nobody knows"),
        pytest.param(lambda r: r.end(), "StoreUnreachable", "ended the connection", id="no answer"),
        pytest.param(
            lambda r: r.answer(302, b"", location="/a.csv?token=SIGNATURE"), "BadLocation", "redirects more than 10",
            id="redirects in a circle",
        ),
        pytest.param(
            lambda r: r.answer(302, b"", location="ftp://h/x"), "BadLocation", "no place to read from",
            id="a redirect to another scheme",
        ),
    ],
)  # fmt: skip
def test_answers_that_are_errors(tmp_path: Path, behaviour: Behaviour, reason: str, problem: str) -> None:
    with serving(behaviour) as server, pytest.raises(StoreError, match=problem) as caught:
        storage.opened(located(f"{server.url}/a.csv?token=SIGNATURE", tmp_path))
    assert caught.value.reason == reason
    assert "SIGNATURE" not in str(caught.value)
    assert "/a.csv?..." in str(caught.value)


def test_what_may_pass_is_tried_again_after_the_time_that_the_server_names(tmp_path: Path) -> None:
    def busy_at_first(request: Request) -> None:
        if len(request.server.seen) < 3:
            request.answer(429, b"", retry_after="7")
        else:
            request.answer()

    waits: list[float] = []
    with serving(busy_at_first) as server:
        assert content(storage.opened(located(f"{server.url}/a.csv", tmp_path, waits=waits))) == ROWS
    assert waits == [7, 7]


def test_what_is_lasting_is_not_tried_again(tmp_path: Path) -> None:
    with serving(lambda request: request.answer(403, b"")) as server:
        location = located(f"{server.url}/a.csv", tmp_path)
        with pytest.raises(StoreError):
            storage.opened(location)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"content_length": "100"}, id="a length that is longer than the body"),
        pytest.param({"transfer_encoding": "chunked"}, id="chunks that do not end"),
    ],
)
def test_a_body_that_is_cut_is_no_file(tmp_path: Path, headers: dict[str, str]) -> None:
    def cut(request: Request) -> None:
        request.answer(body=b"4\r\na,b\n\r\n", **headers)
        request.end()

    with serving(cut) as server:
        opened = storage.opened(located(f"{server.url}/a.csv", tmp_path))
        with pytest.raises(StoreError, match="ended the connection in mid-answer") as caught:
            content(opened)
    assert not caught.value.lasting


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        pytest.param(
            "http://nobody.invalid/a.csv", r"http://nobody\.invalid cannot be resolved", id="no such name"
        ),
        pytest.param(
            "http://localhost:1/a.csv", "http://localhost:1 refuses the connection", id="no such port"
        ),
    ],
)
def test_a_server_that_is_not_there(tmp_path: Path, uri: str, problem: str) -> None:
    with pytest.raises(StoreError, match=problem) as caught:
        storage.opened(located(uri, tmp_path))
    assert caught.value.reason == "StoreUnreachable"


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1, max_size=30))
def test_any_host_is_asked_or_refused(host: str) -> None:
    try:
        storage.locate(f"https://{host}/a.csv")
    except StoreError as error:
        refused = error
    else:
        return
    assert refused.reason == "BadLocation"
    assert refused.of_uri


@pytest.mark.parametrize("proxy", ["proxy.invalid:3128", "ftp://proxy", "http://["])
def test_a_proxy_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(StoreError, match="HTTPS_PROXY"):
        storage.opened(located("https://files.invalid/a.csv", tmp_path))


def test_token_and_password_are_sent_to_the_host_alone_and_only_over_tls(tmp_path: Path) -> None:
    context, authority = tls(tmp_path)
    with serving(lambda request: request.answer(), context) as other:

        def away(request: Request) -> None:
            request.answer(
                302, b"", location=f"{other.url}/signed.csv"
            ) if "far" in request.path else request.answer()

        with serving(away, context) as server:
            name = secret(tmp_path, TOKEN="t0ken\n", ca__crt=authority)
            content(storage.opened(located(f"{server.url}/near.csv", tmp_path, name)))
            content(storage.opened(located(f"{server.url}/far.csv", tmp_path, name)))
            (tmp_path / "secrets/keys/TOKEN").unlink()
            secret(tmp_path, username="müller", password="p:w")
            content(storage.opened(located(f"{server.url}/near.csv", tmp_path, name)))
            assert [sent for _, _, sent in server.seen] == [
                "Bearer t0ken",
                "Bearer t0ken",
                "Basic bcO8bGxlcjpwOnc=",
            ]
        assert [sent for _, _, sent in other.seen] == [None]


def test_a_redirect_to_http_is_not_followed(tmp_path: Path) -> None:
    context, authority = tls(tmp_path)
    with serving(lambda request: request.answer()) as plain:

        def down(request: Request) -> None:
            request.answer(301, b"", location=f"{plain.url}/a.csv")

        with serving(down, context) as server, pytest.raises(StoreError, match="which is not https"):
            storage.opened(located(f"{server.url}/a.csv", tmp_path, secret(tmp_path, ca__crt=authority)))
        assert not plain.seen


def test_a_denied_secret_is_named(tmp_path: Path) -> None:
    context, authority = tls(tmp_path)
    name = secret(tmp_path, TOKEN="t0ken", ca__crt=authority)
    with (
        serving(lambda request: request.answer(401, b"t0ken"), context) as server,
        pytest.raises(StoreError, match="is what the Secret keys of secretRef holds right") as caught,
    ):
        storage.opened(located(f"{server.url}/a.csv", tmp_path, name))
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "trusted", "problem"),
    [
        pytest.param(
            "localhost", False, "put the certificate of its authority .* under the key ca.crt", id="unknown"
        ),
        pytest.param(
            "elsewhere", True, "[Hh]ostname mismatch.*mend the server's certificate", id="another name"
        ),
    ],
)
def test_a_certificate_that_is_not_trusted(tmp_path: Path, host: str, trusted: bool, problem: str) -> None:
    context, authority = tls(tmp_path, host)
    name = secret(tmp_path, ca__crt=authority) if trusted else None
    with (
        serving(lambda request: request.answer(), context) as server,
        pytest.raises(StoreError, match=f"certificate .*{problem}") as caught,
    ):
        storage.opened(located(f"{server.url}/a.csv", tmp_path, name))
    assert caught.value.reason == "CertificateUntrusted"
    assert caught.value.lasting


def test_a_server_without_tls_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    with (
        serving(lambda request: request.answer()) as server,
        pytest.raises(StoreError, match="does not speak TLS; begin the URI with http://"),
    ):
        storage.opened(located(server.url.replace("http:", "https:") + "/a.csv", tmp_path))
