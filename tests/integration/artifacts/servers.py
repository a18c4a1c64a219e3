"""Web servers on this machine that answer as each test says, also with TLS."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.cluster.pki import Authority

ROWS = b"a,b\n1,2\n"


class Request(BaseHTTPRequestHandler):
    """A request, with what a test needs to answer it."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append((self.command, self.path, self.headers.get("authorization")))
        self.server.behaviour(self)

    do_HEAD = do_PUT = do_GET  # noqa: N815 - the base class looks for these names

    def answer(self, status: int = 200, body: bytes = ROWS, **headers: str) -> None:
        """Answer with headers, whose names have _ for -; a Content-Length is added where no length is told."""
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if not {"content-length", "transfer-encoding", "connection"} & set(named):
            named["content-length"] = str(len(body))
        for name, value in named.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def end(self) -> None:
        """Cut the connection."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(2)

    def log_message(self, format: str, *args: Any) -> None:
        pass


Behaviour = Callable[[Request], None]


class Server(ThreadingHTTPServer):
    """`seen` holds method, path with query, and Authorization of every request."""

    daemon_threads = True

    def __init__(self, behaviour: Behaviour, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.behaviour = behaviour
        self.seen: list[tuple[str, str, str | None]] = []
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"{'https' if context else 'http'}://localhost:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that end a connection are what some tests are about."""


@contextmanager
def serving(behaviour: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(behaviour, context)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def tls(folder: Path, host: str = "localhost") -> tuple[ssl.SSLContext, str]:
    """A server's TLS for a name, and the certificate (PEM) of the authority that issued it."""
    authority = Authority(folder, "ca")
    pair = authority.issue("server", "server", hosts=[host])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    return context, authority.pair.certificate.read_text()


def secret(root: Path, **keys: str) -> str:
    """A mounted Secret; `__` stands for a dot in a key's name."""
    folder = root / "secrets/keys"
    folder.mkdir(parents=True, exist_ok=True)
    for key, value in keys.items():
        (folder / key.replace("__", ".")).write_text(value)
    return "keys"
