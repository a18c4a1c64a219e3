"""What the cache knows when the watch breaks: the API server behind a proxy that can cut and refuse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from redstart.kube.client import connect, session_over
from redstart.kube.controller import Context, Controller
from redstart.kube.credentials import Credentials
from redstart.kube.kinds import CONFIG_MAP, MODEL_VERSION, Key, Object
from redstart.kube.operator import Operator
from redstart.settings import Settings
from tests.integration.api import PATIENCE, Api, model_version


class Proxy:
    """Passes everything on. `cut` ends the watches of a resource and answers the next ones with an error
    event of this code; `healed` is set when one of them has got it.
    """

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server
        self._watches: dict[str, set[asyncio.Task[object]]] = {}
        self._refused: dict[str, int] = {}
        self.held = asyncio.Event()
        self.held.set()
        self.refused = asyncio.Event()

    async def hold(self, resource: str) -> None:
        """End the watches of a resource and let no new one begin until `refuse`."""
        self.held.clear()
        for task in self._watches.get(resource, set()):
            task.cancel()

    def refuse(self, resource: str, code: int) -> None:
        """Answer the next watch of the resource with an error event, later ones as ever."""
        self._refused[resource] = code
        self.held.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        resource = request.path.rstrip("/").split("/")[-1]
        if request.query.get("watch") == "true":
            await self.held.wait()
            if code := self._refused.pop(resource, 0):
                self.refused.set()
                error = {"kind": "Status", "code": code, "reason": "Expired", "message": "too old"}
                return web.json_response({"type": "ERROR", "object": error})
            task = asyncio.current_task()
            assert task is not None
            self._watches.setdefault(resource, set()).add(task)
            task.add_done_callback(self._watches[resource].discard)
        return await self._pass_on(request)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = {
            name: request.headers[name] for name in ("Content-Type", "Accept") if name in request.headers
        }
        async with self._session.request(
            request.method,
            self._server + request.path_qs,
            data=await request.read() or None,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            response.content_type = answer.content_type
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response


@asynccontextmanager
async def serving(proxy: Proxy) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        assert runner.addresses
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Seen:
    """A controller that writes nothing down but what it is asked, and gives the test the cache."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.context: Context | None = None
        self.again = asyncio.Event()

    async def reconcile(self, key: Key, context: Context) -> None:
        self.keys.append(key)
        self.context = context
        self.again.set()

    def names(self, namespace: str) -> set[str]:
        return {obj["metadata"]["name"] for obj in self._listed(namespace)}

    def _listed(self, namespace: str) -> list[Object]:
        return self.context.cluster.list(CONFIG_MAP, namespace) if self.context else []


async def until(true: object) -> None:
    assert callable(true)
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 (what it waits for has no event)
            await asyncio.sleep(0.02)


@pytest.fixture
async def proxy(account: Credentials) -> AsyncIterator[Proxy]:
    async with connect(account, connections=100) as session:
        yield Proxy(session, account.server)


@pytest.fixture
async def seen(
    proxy: Proxy, account: Credentials, api: Api, namespace: str, tmp_path: Path
) -> AsyncIterator[Seen]:
    """A running operator behind the proxy, whose cache is in sync."""
    seen = Seen()
    settings = Settings.model_validate(
        {
            "images": {"runtime": "r", "router": "r"},
            "watchNamespaces": [namespace],
            "leaderElection": {"enabled": False},
            "resyncInterval": "1h",
        }
    )
    async with serving(proxy) as server:
        behind = Credentials(server=server, ssl=account.ssl, namespace=namespace)
        async with (
            aiohttp.TCPConnector(limit=50) as connector,
            session_over(connector, behind) as session,
            aiohttp.ClientSession() as http,
        ):
            operator = Operator(
                [Controller(MODEL_VERSION, seen.reconcile)],
                settings=settings,
                settings_path=tmp_path / "settings.yaml",
                account=behind,
                connector=connector,
                session=session,
                http=http,
            )
            running = asyncio.create_task(operator.run())
            api.create(model_version(namespace, "owner-v1"))
            await until(lambda: running.done() or seen.context is not None)
            if running.done():
                await running  # raises what it died of
            yield seen
            operator.stop()
            await running


def child(owner: Object, name: str) -> Object:
    metadata = owner["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {"app.kubernetes.io/managed-by": "redstart"},
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                }
            ],
        },
    }


@pytest.mark.parametrize("lost", ["one of two", "the last one"])
async def test_what_was_deleted_while_the_watch_was_down_is_gone_after_a_410(
    proxy: Proxy, seen: Seen, api: Api, namespace: str, lost: str
) -> None:
    owner = api.get(MODEL_VERSION, namespace, "owner-v1")
    assert owner is not None
    names = {"kept", "lost"} if lost == "one of two" else {"lost"}
    for name in names:
        api.create(child(owner, name))
    await until(lambda: seen.names(namespace) == names)

    await proxy.hold("configmaps")
    api.delete(CONFIG_MAP, namespace, "lost")
    asked = len(seen.keys)
    proxy.refuse("configmaps", 410)
    await proxy.refused.wait()
    await until(lambda: "lost" not in seen.names(namespace))
    assert seen.names(namespace) == names - {"lost"}
    # Its owner was told.
    await until(lambda: len(seen.keys) > asked)
    assert seen.keys[-1] == Key(MODEL_VERSION, namespace, "owner-v1")


async def test_what_changed_while_the_watch_was_down_is_seen_when_it_is_back(
    proxy: Proxy, seen: Seen, api: Api, namespace: str
) -> None:
    owner = api.get(MODEL_VERSION, namespace, "owner-v1")
    assert owner is not None
    api.create(child(owner, "first"))
    await until(lambda: seen.names(namespace) == {"first"})
    await proxy.hold("configmaps")
    api.create(child(owner, "second"))
    proxy.held.set()
    await until(lambda: seen.names(namespace) == {"first", "second"})


async def test_an_error_event_that_is_no_410_ends_the_process(
    proxy: Proxy, account: Credentials, namespace: str, tmp_path: Path
) -> None:
    """Its cause is unknown, and the next process starts from a whole LIST."""
    settings = Settings.model_validate(
        {
            "images": {"runtime": "r", "router": "r"},
            "watchNamespaces": [namespace],
            "leaderElection": {"enabled": False},
        }
    )
    proxy.refuse("configmaps", 500)
    async with serving(proxy) as server:
        behind = Credentials(server=server, ssl=account.ssl, namespace=namespace)
        async with (
            aiohttp.TCPConnector(limit=50) as connector,
            session_over(connector, behind) as session,
            aiohttp.ClientSession() as http,
        ):
            operator = Operator(
                [],
                settings=settings,
                settings_path=tmp_path / "settings.yaml",
                account=behind,
                connector=connector,
                session=session,
                http=http,
            )
            with pytest.raises(Exception, match="too old"):
                await operator.run()
