"""What the kubelet and Prometheus ask: /healthz and /readyz on one port, /metrics on another.

Liveness is the queue's progress, not the event loop's: a reconcile that never returns, or keys that nobody
takes, are what a restart mends. A standby is ready and alive without taking keys.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from redstart.kube.kinds import Key
from redstart.kube.metrics import REGISTRY
from redstart.kube.queue import WorkQueue

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LONGEST_RECONCILE = 300.0  # seconds
LONGEST_WAIT = 300.0


class Health:
    """The state that the probes tell. `leading` and `synced` are set by the operator as they become true."""

    def __init__(self, queue: WorkQueue[Key]) -> None:
        self._queue = queue
        self.leading = False
        self.synced = False
        self.waiting_for = "its first LIST of the cluster"

    def dead(self) -> str | None:
        """Why a restart is due, or None."""
        if (seconds := self._queue.longest_run()) > LONGEST_RECONCILE:
            return f"a reconcile has run for {seconds:.0f} s"
        if self.leading and (seconds := self._queue.longest_wait()) > LONGEST_WAIT:
            return f"a ready key has waited {seconds:.0f} s for a worker"
        return None

    def unready(self) -> str | None:
        return None if self.synced else f"waiting for {self.waiting_for}"


@asynccontextmanager
async def serve(
    health: Health, health_port: int, metrics_port: int, host: str | None = None
) -> AsyncIterator[None]:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async with (
        _listening(host, health_port, {"/healthz": _probe(health.dead), "/readyz": _probe(health.unready)}),
        _listening(host, metrics_port, {"/metrics": metrics}),
    ):
        yield


def _probe(trouble: Callable[[], str | None]) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        reason = trouble()
        return web.Response(status=503 if reason else 200, text=f"{reason or 'ok'}\n")

    return answer


@asynccontextmanager
async def _listening(host: str | None, port: int, routes: dict[str, Handler]) -> AsyncIterator[None]:
    app = web.Application()
    app.add_routes([web.get(path, handler) for path, handler in routes.items()])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
