"""kopf's part: the watch streams, and nothing else.

Every handler is `on.event`, so kopf writes no annotation, no finalizer and no event of its own; it lists and
watches over our session, and hands each object to the informer.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import aiohttp
import kopf

from redstart.kube.client import describe, session_over
from redstart.kube.credentials import Credentials
from redstart.kube.informer import Informer, selector
from redstart.kube.kinds import WATCHED_KINDS, Kind, Object
from redstart.kube.queue import Priority

# kopf would make one up from the user's name, which a container's bare number does not have.
_IDENTITY: Any = "redstart"
WATCH_SECONDS = 300  # the server ends a watch after it; a client that hears nothing gives up a little later


def streams(namespaces: Sequence[str]) -> int:
    """How many watches are open at once, each on a connection of its own."""
    return len(WATCHED_KINDS) * max(len(namespaces), 1)


async def watch(
    connector: aiohttp.BaseConnector,
    credentials: Credentials,
    namespaces: Sequence[str],
    informer: Informer,
    *,
    listing: Callable[[str], None],
    started: Callable[[], None],
) -> None:
    """Feed the informer until cancelled; raises when a watch fails for good (403, or an error event but 410).

    `listing` is called with the plural of a kind that kopf lists: at the start, and anew after a 410, when it
    may have missed deletions. `started` is called once kopf has taken the process's signal handlers, for the
    caller to take them back.
    """

    async def tell_lists(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        verb, kind = describe(request.method, request.url.raw_path, request.url.query)
        if verb == "list":
            listing(kind)
        return await handler(request)

    async with session_over(connector, credentials, tell_lists) as session:
        await _watch(session, credentials.server, namespaces, informer, started)


async def _watch(
    session: aiohttp.ClientSession,
    server: str,
    namespaces: Sequence[str],
    informer: Informer,
    started: Callable[[], None],
) -> None:
    stop = asyncio.Event()
    registry = kopf.OperatorRegistry()
    settings = _settings()
    _log_in(registry, session, server)
    for kind in WATCHED_KINDS:
        if labels := selector(kind):
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = labels
        _listen(registry, kind, informer)
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=settings,
        namespaces=list(namespaces),
        clusterwide=not namespaces,
        standalone=True,
        identity=_IDENTITY,
        stop_flag=stop,
    )
    started()
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise RuntimeError("kopf stopped watching without a reason")
    finally:
        # Not kopf.run_tasks, which cancels every task of the loop that began after its own, and never returns
        # after the failure of a watch: it cancels what the other watches wait for before the watches.
        stop.set()
        await _end(task for task in asyncio.all_tasks() if task.get_name().startswith("watcher for "))
        await _end(tasks)


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in (tasks := list(tasks)):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_SECONDS + 30
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 60
    return settings


def _log_in(registry: kopf.OperatorRegistry, session: aiohttp.ClientSession, server: str) -> None:
    @kopf.on.login(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    def log_in(**_: Any) -> kopf.AiohttpSession:
        if session.closed:
            # kopf closes a session that got 401, and ours had read its token anew by then.
            raise kopf.PermanentError("the API server refuses the operator's credentials")
        return kopf.AiohttpSession(server=server, aiohttp_session=session)


def _listen(registry: kopf.OperatorRegistry, kind: Kind, informer: Informer) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)
    # Not a plain function: kopf would call it in a thread, beside the event loop that owns cache and queue.
    async def heard(event: Any, **_: Any) -> None:
        obj: Object = {**event["object"], "apiVersion": kind.api_version, "kind": kind.kind}
        if event["type"] == "DELETED":
            informer.gone(obj)
        else:
            informer.saw(obj, Priority.LOW if event["type"] is None else Priority.HIGH)
