"""A thread that receives what the server counted, and the WSGI application that shows the sums."""

from __future__ import annotations

import logging
import socket
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any
from wsgiref.util import FileWrapper

import msgspec

from redstart.sidecar import exposition, report
from redstart.sidecar.counters import Counters
from redstart.sidecar.exposition import Identity

MAX_DATAGRAM = 256 * 1024
RECEIVE_BUFFER = 4 * 1024 * 1024
CHUNK = 64 * 1024
READINESS_SECONDS = 2.0
"""What another server may take to say that it is ready."""

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


# The pod's environment may name a proxy, which knows nothing of the container beside this one.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def asked(url: str) -> bool:
    """Whether a server that does not report answers at this URL that it is ready."""
    try:
        with _DIRECT.open(url, timeout=READINESS_SECONDS) as answer:
            return bool(200 <= answer.status < 300)
    except OSError:
        return False


class Application:
    """/snapshot, /metrics, /manifest, /healthz, and in the server's place /v2/health/ready.

    A server answers that behind all the requests that wait for it, so a busy one would seem to be gone."""

    def __init__(
        self,
        counters: Counters,
        identity: Identity,
        ready: Callable[[], bool] | None = None,
        *,
        manifest: Path,
    ) -> None:
        """`ready`: whether the server is; by default, what it last reported. `manifest`: the artifact's, which says
        what the server takes and answers."""
        self._counters = counters
        self._identity = identity
        self._manifest = manifest
        self._ready = ready or (lambda: counters.ready(monotonic()))

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
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
            case "/manifest":
                return self._stored_manifest(start_response)
            case "/v2/health/ready":
                ready = self._ready()
                start_response(
                    "200 OK" if ready else "503 Service Unavailable", [("content-type", "application/json")]
                )
                return [b'{"ready":true}' if ready else b'{"ready":false}']
            case "/healthz":
                start_response("200 OK", [("content-type", "text/plain")])
                return [b"ok"]
            case _:
                start_response("404 Not Found", [("content-type", "text/plain")])
                return [b"there are /snapshot, /metrics, /manifest, /v2/health/ready and /healthz"]

    def _stored_manifest(self, start_response: StartResponse) -> Iterable[bytes]:
        """The bytes as they are, whose sha256 is the artifact's digest: whoever asks needs to trust nobody."""
        try:
            file = self._manifest.open("rb")
        except OSError as error:
            start_response("503 Service Unavailable", [("content-type", "text/plain")])
            return [f"{self._manifest.name} cannot be read: {error.strerror}".encode()]
        start_response("200 OK", [("content-type", "application/json")])
        return FileWrapper(file, CHUNK)
