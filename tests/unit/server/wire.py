"""A connection of the server without a socket: bytes in, answers out, and an event loop that is turned by hand."""

from __future__ import annotations

import json
from queue import SimpleQueue
from typing import Any

from redstart.server.application import Application
from redstart.server.counts import Recorder
from redstart.server.http import Connection


class Loop:
    """What the schedule needs of an event loop; callbacks wait until `run`."""

    def __init__(self) -> None:
        self._ready: SimpleQueue[Any] = SimpleQueue()

    def call_soon(self, callback: Any, *arguments: Any) -> None:
        self._ready.put((callback, arguments))

    call_soon_threadsafe = call_soon

    def run(self) -> None:
        """All that is ready."""
        while not self._ready.empty():
            self.one()

    def one(self) -> None:
        """The next one, once there is one."""
        callback, arguments = self._ready.get(timeout=60)
        callback(*arguments)


class Transport:
    """What a connection writes, and whether it is closed."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = self.ended = self.aborted = self.paused = False
        self.reads = True  # whether the client does

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0 if self.reads else len(self.written)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def answers(self) -> list[dict[str, Any]]:
        """What was written since the last call, as `status`, `headers` and `body`."""
        found, rest = [], self.written
        self.written = b""
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            line, *lines = head.split(b"\r\n")
            pairs = [line.partition(b": ") for line in lines]
            headers = {name.decode(): value.decode() for name, _, value in pairs}
            length = int(headers.get("content-length", 0))
            found.append({"status": int(line.split()[1]), "headers": headers, "body": rest[:length]})
            rest = rest[length:]
        return found


class Client:
    """An application with its recorder and one connection."""

    def __init__(self, service: Any, threads: int = 1) -> None:
        self.recorder = Recorder()
        self.application = Application(self.recorder, "machine-failure", "machine-failure-v3", threads)
        self.application.service = service
        self.loop = Loop()
        # Measured at load: a machine that is busy elsewhere must not make the first request seem long.
        self.application.schedule.costs.observe_processor(1, 0.0)
        self.application.schedule.start(self.loop)  # type: ignore[arg-type]
        self.connect()

    def connect(self) -> Connection:
        """Another connection in place of the last."""
        self.transport = Transport()
        self.connection = Connection(self.application)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]
        return self.connection

    def send(self, data: bytes) -> None:
        """Bytes of the client arrive."""
        self.connection.data_received(data)

    def ask(self, path: str, body: bytes | None = None, **more: Any) -> dict[str, Any]:
        """One request and its answer, whichever thread it comes from."""
        if self.transport.closed or self.transport.ended:
            self.connect()
        self.send(request(path, body, **more))
        while not self.transport.written:
            self.loop.one()
        self.loop.run()
        (answer,) = self.transport.answers()
        return answer

    def counted(self) -> Any:
        """Requests by scope and status since the last call."""
        return self.recorder.drain().requests


def request(
    path: str,
    body: bytes | None = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    length: bool = True,
) -> bytes:
    """The bytes of a request; without `length` its body is chunked."""
    lines = [f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1", "host: x"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    content = body or b""
    if body is not None and not length:
        lines.append("transfer-encoding: chunked")
        content = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    elif body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + content


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
