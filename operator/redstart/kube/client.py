"""The API server over one bounded aiohttp session: plain REST on dicts.

The official client costs 20 MB of memory before its first request and models every field of every kind;
what the operator needs of it are these few verbs.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from redstart import __version__
from redstart.kube import errors, metrics
from redstart.kube.credentials import Credentials
from redstart.kube.kinds import MANAGER, Kind, Object, kind_of

READ_TIMEOUT = 30.0  # seconds
PAGE = 500  # objects in one chunk of a LIST

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@asynccontextmanager
async def connect(credentials: Credentials, connections: int) -> AsyncIterator[aiohttp.ClientSession]:
    """A session to the API server; `connections` bounds it, watches included."""
    connector = aiohttp.TCPConnector(limit=connections, ssl=credentials.ssl)
    async with connector, session_over(connector, credentials) as session:
        yield session


def session_over(
    connector: aiohttp.BaseConnector, credentials: Credentials, *middlewares: aiohttp.ClientMiddlewareType
) -> aiohttp.ClientSession:
    """One more session over the same bounded connections; it authorizes and counts its requests."""
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=False,
        headers={"User-Agent": f"redstart-operator/{__version__}", "Accept": "application/json"},
        middlewares=(*middlewares, _counting, _authorizing(credentials)),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=READ_TIMEOUT, sock_connect=10),
    )


async def _counting(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    verb, kind = describe(request.method, request.url.raw_path, request.url.query)
    code = "0"
    try:
        response = await handler(request)
        code = str(response.status)
    finally:
        metrics.API_REQUESTS.labels(verb, kind, code).inc()
    return response


def _authorizing(credentials: Credentials) -> aiohttp.ClientMiddlewareType:
    async def authorize(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        _authorize(request)
        response = await handler(request)
        if response.status == 401 and credentials.expire():
            response.release()
            _authorize(request)
            response = await handler(request)
        return response

    def _authorize(request: aiohttp.ClientRequest) -> None:
        if authorization := credentials.authorization():
            request.headers["Authorization"] = authorization

    return authorize


def describe(method: str, path: str, query: Mapping[str, str]) -> tuple[str, str]:
    """The verb and the resource of a request, as RBAC and audit logs name them."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    named = len(rest) > 1
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
        named = len(rest) > 1
    resource = rest[0] if rest else "discovery"
    if len(rest) > 2:
        resource = f"{resource}/{rest[2]}"
    if method != "GET":
        return _VERBS.get(method, method.lower()), resource
    if query.get("watch") == "true":
        return "watch", resource
    return ("get" if named or not rest else "list"), resource


class Client:
    """The verbs. `before_write` is called right before each write and may raise; `write_timeout` in seconds
    bounds how long after that call a write can still be under way.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: str,
        *,
        before_write: Callable[[], None] = lambda: None,
        write_timeout: float = 10.0,
    ) -> None:
        self.session = session
        self.server = server
        self._before_write = before_write
        self._write_timeout = aiohttp.ClientTimeout(total=write_timeout, sock_connect=write_timeout)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        try:
            return dict(await self._request("GET", kind.path(namespace, name)))
        except errors.NotFound:
            return None

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        """Every object, and the resourceVersion at which that was so."""
        params = {"limit": str(PAGE)} | ({"labelSelector": labels} if labels else {})
        params |= {"fieldSelector": fields} if fields else {}
        objects: list[Object] = []
        while True:
            page = await self._request("GET", kind.path(namespace), params=params)
            for item in page.get("items") or ():
                # Items of built-in kinds carry neither, unlike objects that are read one by one.
                item["apiVersion"], item["kind"] = kind.api_version, kind.kind
                objects.append(item)
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return objects, metadata["resourceVersion"]
            params["continue"] = metadata["continue"]

    async def create(self, obj: Object) -> Object:
        path = kind_of(obj).path(obj["metadata"].get("namespace"))
        return dict(await self._request("POST", path, body=obj, params={"fieldManager": MANAGER}))

    async def apply(self, obj: Object, subresource: str = "") -> Object:
        """Server-side apply as field manager `redstart`, forced: fields of ours are ours."""
        params = {"fieldManager": MANAGER, "force": "true"}
        # JSON is YAML: the server takes it under this type.
        return await self._patch(obj, "application/apply-patch+yaml", obj, params, subresource)

    async def merge_patch(self, obj: Object, patch: Object) -> Object:
        params = {"fieldManager": MANAGER}
        return await self._patch(obj, "application/merge-patch+json", patch, params)

    async def replace(self, obj: Object) -> Object:
        metadata = obj["metadata"]
        path = kind_of(obj).path(metadata.get("namespace"), metadata["name"])
        return dict(await self._request("PUT", path, body=obj, params={"fieldManager": MANAGER}))

    async def delete(self, obj: Object, preconditions: Mapping[str, str]) -> None:
        """Delete with the given `uid` and `resourceVersion` preconditions; dependents go in the background."""
        metadata = obj["metadata"]
        options = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": dict(preconditions),
        }
        path = kind_of(obj).path(metadata.get("namespace"), metadata["name"])
        await self._request("DELETE", path, body=options)

    async def logs(self, namespace: str, pod: str, container: str, tail_lines: int) -> str:
        params = {"container": container, "tailLines": str(tail_lines)}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        return str(await self._request("GET", path, params=params, text=True))

    async def resources(self, group: str, version: str) -> set[str]:
        """The plurals that a group and version serves; empty when it serves none."""
        try:
            answer = await self._request("GET", f"/apis/{group}/{version}" if group else f"/api/{version}")
        except errors.NotFound:
            return set()
        return {resource["name"] for resource in answer["resources"]}

    async def _patch(
        self, obj: Object, content_type: str, body: Object, params: Mapping[str, str], subresource: str = ""
    ) -> Object:
        metadata = obj["metadata"]
        path = kind_of(obj).path(metadata.get("namespace"), metadata["name"])
        if subresource:
            path = f"{path}/{subresource}"
        return dict(await self._request("PATCH", path, body=body, params=params, content_type=content_type))

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        text: bool = False,
    ) -> Any:
        options: dict[str, Any] = {}
        if body is not None:
            options["data"] = json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
            options["headers"] = {"Content-Type": content_type}
        if method != "GET":
            self._before_write()
            options["timeout"] = self._write_timeout
        try:
            async with self.session.request(method, self.server + path, params=params, **options) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            what = str(error) or type(error).__name__
            raise errors.Transient(0, "NoAnswer", f"{method} {path}: {what}") from error
        if response.status < 300:
            return raw.decode(errors="replace") if text else json.loads(raw)
        raise errors.from_response(response.status, _parsed(raw), response.headers.get("Retry-After"))


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
