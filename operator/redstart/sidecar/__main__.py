"""`python -m redstart.sidecar`: keeps the server's counts, and shows them on a port of its own.

The kubelet stops a native sidecar after the containers that it stands beside, so on SIGTERM there is no server
left to wait for.

The HTTP server is the standard library's, as it is in prometheus-client: the operator and Prometheus ask a few
times a minute, and a server for thousands of requests a second would double the sidecar's memory.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from redstart.artifacts.manifest import MANIFEST
from redstart.sidecar.application import Application, asked, bind, receive
from redstart.sidecar.counters import Counters
from redstart.sidecar.exposition import Identity


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each connection in a thread, so that a slow one holds nobody up."""

    daemon_threads = True

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # "::" is IPv4 too
        super().server_bind()


class _Handler(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:
        """Write no access log."""


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Receive and serve until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    port = environ.get("REDSTART_SNAPSHOT_PORT", "9102")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        print(f"error: REDSTART_SNAPSHOT_PORT is {port!r}; it must be a port number", file=sys.stderr)
        return 2
    names = ("REDSTART_MODEL", "REDSTART_VERSION", "REDSTART_REVISION")
    counters, identity = Counters(), Identity(*(environ.get(name, "") for name in names))
    receiver = bind(Path(environ.get("REDSTART_SOCKET", "/redstart/run/metrics.sock")))
    threading.Thread(target=receive, args=(receiver, counters), name="receiver", daemon=True).start()
    host = environ.get("REDSTART_HOST", "0.0.0.0")  # noqa: S104 - a pod has one address, given by its network
    _Server.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
    url = environ.get("REDSTART_READINESS_URL")
    manifest = Path(environ.get("REDSTART_MODEL_DIR", "/redstart/model")) / MANIFEST
    application = Application(counters, identity, partial(asked, url) if url else None, manifest=manifest)
    server = make_server(host, int(port), application, _Server, _Handler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    stop.wait()
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
