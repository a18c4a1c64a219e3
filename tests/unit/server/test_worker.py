"""The server's process."""

import asyncio
import socket
from contextlib import ExitStack

import pytest

from redstart.server.application import Application
from redstart.server.counts import Recorder
from redstart.server.worker import Listener, listening


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
async def test_all_connections_that_have_come_are_taken_at_once(host):
    app = Application(Recorder(), "m", "m-v1")
    listener = listening(host, 0)
    port = listener.getsockname()[1]
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        taking = Listener(asyncio.get_running_loop(), app, listener)
        turns = 0
        while len(app._connections) < 50:
            await asyncio.sleep(0)
            turns += 1
        assert turns < 25
        taking.close()
        app.stop()
    await app.closed.wait()
