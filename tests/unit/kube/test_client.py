"""What is sent to the API server, and what its answers mean."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from redstart.kube import errors
from redstart.kube.client import Client, connect, describe
from redstart.kube.credentials import Credentials, Token
from redstart.kube.kinds import CONFIG_MAP, Object


@pytest.mark.parametrize(
    ("method", "url", "query", "said"),
    [
        ("GET", "/api/v1/pods", {}, ("list", "pods")),
        ("GET", "/api/v1/pods", {"watch": "true"}, ("watch", "pods")),
        ("GET", "/api/v1/namespaces/a/pods", {}, ("list", "pods")),
        ("GET", "/api/v1/namespaces/a/pods/b", {}, ("get", "pods")),
        ("GET", "/api/v1/namespaces/a/pods/b/log", {}, ("get", "pods/log")),
        ("GET", "/api/v1/namespaces/a", {}, ("get", "namespaces")),
        ("GET", "/api/v1/namespaces", {}, ("list", "namespaces")),
        ("GET", "/apis/apps/v1/namespaces/a/deployments/b", {}, ("get", "deployments")),
        ("PATCH", "/apis/redstart.dev/v1alpha1/namespaces/a/jobs/b/status", {}, ("patch", "jobs/status")),
        ("POST", "/apis/batch/v1/namespaces/a/jobs", {}, ("create", "jobs")),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/a/leases/b", {}, ("update", "leases")),
        ("DELETE", "/api/v1/namespaces/a/services/b", {}, ("delete", "services")),
        ("GET", "/apis/apps/v1", {}, ("get", "discovery")),
        ("GET", "/api/v1", {}, ("get", "discovery")),
        ("GET", "/apis", {}, ("get", "discovery")),
    ],
)  # fmt: skip
def test_requests_are_named_as_rbac_names_them(
    method: str, url: str, query: dict[str, str], said: tuple[str, str]
) -> None:
    assert describe(method, url, query) == said


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, {"reason": "NotFound", "message": "no"}, errors.NotFound),
        (409, {"reason": "AlreadyExists", "message": "no"}, errors.AlreadyExists),
        (409, {"reason": "Conflict", "message": "no"}, errors.Conflict),
        (422, {"reason": "Invalid", "message": "no"}, errors.Invalid),
        (403, {"reason": "Forbidden", "message": "no"}, errors.Forbidden),
        (401, {"reason": "Unauthorized", "message": "no"}, errors.Transient),
        (429, "too many", errors.Transient),
        (500, {"reason": "InternalError", "message": "no"}, errors.Transient),
        (503, "<html>proxy</html>", errors.Transient),
        (400, {"reason": "BadRequest", "message": "no"}, errors.ApiError),
    ],
)
def test_answers_are_told_apart(status: int, body: object, kind: type[errors.ApiError]) -> None:
    error = errors.from_response(status, body)
    assert type(error) is kind
    assert error.status == status
    assert error.reason
    assert error.message


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), (None, None), ("Wed, 21 Oct", None)])
def test_the_server_may_say_when_to_come_back(header: str | None, seconds: float | None) -> None:
    error = errors.from_response(429, "", header)
    assert isinstance(error, errors.Transient)
    assert error.retry_after == seconds


class FakeServer:
    """Answers with what `answers` holds, in order; keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[web.StreamResponse] = []
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.hang = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name: request.headers.get(name, "") for name in ("Authorization", "Content-Type")}
        self.requests.append((request.method, request.path_qs, headers, await request.text()))
        if self.hang:
            await asyncio.Event().wait()
        return self.answers.pop(0)


@pytest.fixture
def fake() -> FakeServer:
    return FakeServer()


@pytest.fixture
async def url(fake: FakeServer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def account(url: str, token: Token | str | None = None) -> Credentials:
    return Credentials(server=url, ssl=ssl.create_default_context(), namespace="default", token=token)


OBJECT: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}


async def test_an_apply_says_who_applies(fake: FakeServer, url: str) -> None:
    fake.answers.append(web.json_response(OBJECT))
    async with connect(account(url, "secret"), 2) as session:
        assert await Client(session, url).apply(OBJECT, "status") == OBJECT
    method, path, headers, body = fake.requests[0]
    assert (method, path) == (
        "PATCH",
        "/api/v1/namespaces/b/configmaps/a/status?fieldManager=redstart&force=true",
    )
    assert headers == {"Authorization": "Bearer secret", "Content-Type": "application/apply-patch+yaml"}
    assert body == '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"b"}}'


async def test_a_long_list_is_read_in_pages(fake: FakeServer, url: str) -> None:
    fake.answers += [
        web.json_response(
            {"metadata": {"resourceVersion": "7", "continue": "next"}, "items": [{"metadata": {}}]}
        ),
        web.json_response({"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {}}]}),
    ]
    async with connect(account(url), 2) as session:
        objects, version = await Client(session, url).list(CONFIG_MAP, "b", "a=b")
    assert version == "7"
    assert objects == [{"metadata": {}, "apiVersion": "v1", "kind": "ConfigMap"}] * 2
    assert [path for _, path, _, _ in fake.requests] == [
        "/api/v1/namespaces/b/configmaps?limit=500&labelSelector=a%3Db",
        "/api/v1/namespaces/b/configmaps?limit=500&labelSelector=a%3Db&continue=next",
    ]


async def test_a_token_that_is_refused_is_read_anew(fake: FakeServer, url: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    fake.answers += [web.json_response(OBJECT), web.Response(status=401), web.json_response(OBJECT)]
    async with connect(account(url, Token(file)), 2) as session:
        client = Client(session, url)
        await client.get(CONFIG_MAP, "b", "a")
        file.write_text("new\n")
        assert await client.get(CONFIG_MAP, "b", "a") == OBJECT
    sent = [headers["Authorization"] for _, _, headers, _ in fake.requests]
    assert sent == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_token_that_is_refused_twice_is_an_error(fake: FakeServer, url: str) -> None:
    fake.answers += [web.Response(status=401)]
    async with connect(account(url, "secret"), 2) as session:
        with pytest.raises(errors.Transient, match="401"):
            await Client(session, url).get(CONFIG_MAP, "b", "a")


def test_a_token_is_read_again_after_a_minute(tmp_path: Path) -> None:
    now = 0.0
    file = tmp_path / "token"
    file.write_text("old")
    token = Token(file, lambda: now)
    assert token() == "old"
    file.write_text("new")
    assert token() == "old"
    now = 61.0
    assert token() == "new"


async def test_no_write_is_sent_when_it_is_not_ours_to_make(fake: FakeServer, url: str) -> None:
    def lost() -> None:
        raise errors.LeadershipLost("lost")

    fake.answers.append(web.json_response(OBJECT))
    async with connect(account(url), 2) as session:
        client = Client(session, url, before_write=lost)
        for write in (
            client.create(OBJECT),
            client.apply(OBJECT),
            client.merge_patch(OBJECT, {}),
            client.replace(OBJECT),
            client.delete(OBJECT, {}),
        ):
            with pytest.raises(errors.LeadershipLost):
                await write
        assert fake.requests == []
        assert await client.get(CONFIG_MAP, "b", "a") == OBJECT


async def test_a_write_is_given_up_before_another_leader_may_start(fake: FakeServer, url: str) -> None:
    fake.hang = True
    async with connect(account(url), 2) as session:
        with pytest.raises(errors.Transient, match="PATCH /api/v1/namespaces/b/configmaps/a"):
            await Client(session, url, write_timeout=0.05).apply(OBJECT)
