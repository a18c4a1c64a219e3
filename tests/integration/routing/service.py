"""A Service in front of routers: each new connection goes to one of them and stays there, as kube-proxy does it."""

import asyncio
import contextlib
import itertools

from tests.integration.routing.router import Router


class Service:
    """`routers` are its endpoints; a connection that exists is kept when its endpoint goes."""

    def __init__(self, *routers: Router) -> None:
        self.routers = list(routers)
        self._turn = itertools.count()

    async def __aenter__(self) -> "Service":
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        router = self.routers[next(self._turn) % len(self.routers)]
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", router.listen_port)
        await asyncio.gather(_copy(reader, back_writer), _copy(back_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        writer.close()
