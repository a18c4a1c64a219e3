"""A serving pod for one test: a small HTTP server on its own loopback address."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answers(status: int = 200, delay: float = 0.0) -> Behaviour:
    """Answers with this status after so many seconds."""

    async def behave(request: web.Request) -> web.StreamResponse:
        async for _ in request.content.iter_any():  # read() would answer 413 above 1 MiB
            pass
        await asyncio.sleep(delay)
        return web.Response(status=status)

    return behave


async def hangs(request: web.Request) -> web.StreamResponse:
    """Accepts and never answers."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


class Pod:
    """Serves `revision` on `address`; `received` are the headers of every request but health checks."""

    def __init__(self, revision: str, address: str, behaviour: Behaviour | None = None) -> None:
        self.revision = revision
        self.address = address
        self.behaviour = behaviour or answers()
        self.received: list[dict[str, str]] = []
        self._runner: web.ServerRunner | None = None

    async def start(self, port: int) -> None:
        """Listen."""
        # A handler that hangs must end with its connection, and stopping must not wait for it.
        self._runner = web.ServerRunner(
            web.Server(self._handle, handler_cancellation=True), shutdown_timeout=0
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, port, backlog=1024).start()

    async def stop(self) -> None:
        """Refuse connections from now on and cut those that are open."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def first_attempts(self) -> int:
        """Requests received that were no retries."""
        return sum(headers["x-envoy-attempt-count"] == "1" for headers in self.received)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/v2/health/ready":
            return web.Response()
        self.received.append({name.lower(): value for name, value in request.headers.items()})
        response = await self.behaviour(request)  # type: ignore[arg-type]
        response.headers["x-revision"] = self.revision
        return response
