"""A thread that receives what the server counted, and the WSGI application that shows the sums."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from redstart.sidecar import exposition, report
from redstart.sidecar.counters import Counters
from redstart.sidecar.exposition import Identity

MAX_DATAGRAM = 256 * 1024
RECEIVE_BUFFER = 4 * 1024 * 1024

StartResponse = Callable[[str, list[tuple[str, str]]], object]

logger = logging.getLogger(__name__)


def bind(path: Path) -> socket.socket:
    """The socket that the server sends to, in place of what an earlier process left there."""
    path.unlink(missing_ok=True)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    receiver.bind(str(path))
    return receiver


def receive(receiver: socket.socket, counters: Counters) -> None:
    """Add up datagrams for ever."""
    while True:
        datagram = receiver.recv(MAX_DATAGRAM)
        try:
            counters.receive(report.decode(datagram))
        except (msgspec.DecodeError, KeyError):
            counters.reject()
            logger.warning("a datagram of %d bytes is no report of a server", len(datagram))


class Application:
    """/snapshot, /metrics and /healthz."""

    def __init__(self, counters: Counters, identity: Identity) -> None:
        self._counters = counters
        self._identity = identity

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> list[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("allow", "GET, HEAD")])
            return [b""]
        match environ["PATH_INFO"]:
            case "/snapshot":
                features = environ.get("QUERY_STRING", "") == "features=true"
                document = exposition.snapshot(self._counters, self._identity, monotonic(), features=features)
                start_response(
                    "200 OK", [("content-type", "application/json"), ("cache-control", "no-store")]
                )
                return [msgspec.json.encode(document)]
            case "/metrics":
                start_response("200 OK", [("content-type", exposition.CONTENT_TYPE)])
                return [exposition.metrics(self._counters, self._identity, monotonic()).encode()]
            case "/healthz":
                start_response("200 OK", [("content-type", "text/plain")])
                return [b"ok"]
            case _:
                start_response("404 Not Found", [("content-type", "text/plain")])
                return [b"there are /snapshot, /metrics and /healthz"]
