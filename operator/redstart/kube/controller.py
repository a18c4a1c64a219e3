"""What a controller is to the operator, and the workers that run its reconciles."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import aiohttp

from redstart.kube import errors, logs, metrics
from redstart.kube.cluster import Cluster
from redstart.kube.informer import Related
from redstart.kube.kinds import Key, Kind
from redstart.kube.queue import WorkQueue
from redstart.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Context:
    """What a reconcile may use. `now` is seconds since the epoch; `http` is for pods, not for the API server;
    `namespace` is the operator's own."""

    cluster: Cluster
    settings: Settings
    now: Callable[[], float]
    http: aiohttp.ClientSession
    namespace: str = "default"


Reconcile = Callable[[Key, Context], Awaitable[float | None]]


@dataclass(frozen=True)
class Controller:
    """`reconcile` makes one object so and returns the seconds after which to look again, or None.

    It is never run twice at once for one key. Whatever it raises is logged and tried again with back-off.
    `related` maps a changed object of a kind to other keys that have to look at it.
    """

    kind: Kind
    reconcile: Reconcile
    related: Mapping[Kind, Related] = field(default_factory=dict)


async def work(
    queue: WorkQueue[Key], reconciles: Mapping[Kind, Reconcile], context: Callable[[], Context]
) -> None:
    """One worker: take keys until the queue is closed. Raises only LeadershipLost."""
    while (key := await queue.get()) is not None:
        try:
            with logs.about(key):
                await _reconcile(key, queue, reconciles[key.kind], context())
        finally:
            queue.done(key)


async def _reconcile(key: Key, queue: WorkQueue[Key], reconcile: Reconcile, context: Context) -> None:
    started = time.monotonic()
    result = "error"
    try:
        again = await reconcile(key, context)
    except errors.LeadershipLost:
        raise
    except errors.Conflict as error:
        result = "conflict"
        delay = queue.retry(key)
        log.debug("read again in %.1f s: %s", delay, error)
    except errors.Transient as error:
        result = "transient"
        delay = queue.retry(key, at_least=error.retry_after or 0.0)
        log.warning("again in %.1f s: %s", delay, error)
    except Exception:
        delay = queue.retry(key)
        log.exception("reconcile failed; again in %.1f s", delay)
    else:
        result = "ok" if again is None else "requeue"
        queue.forget(key)
        if again is not None:
            queue.add_after(key, again)
    finally:
        metrics.RECONCILES.labels(key.kind.kind, result).inc()
        metrics.RECONCILE_SECONDS.labels(key.kind.kind).observe(time.monotonic() - started)


async def drain(workers: list[asyncio.Task[None]], seconds: float) -> None:
    """Let the workers of a closed queue finish what they have, for at most so many seconds."""
    _, late = await asyncio.wait(workers, timeout=seconds)
    for worker in late:
        worker.cancel()
    if late:
        log.warning("%d reconciles were cut off after %.0f s", len(late), seconds)
        await asyncio.wait(late)
