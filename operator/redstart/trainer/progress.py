"""How far the run is: GET :9105/progress while it lasts, and lines of a log that a data scientist can read."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic

import msgspec

PORT = 9105
_LOOK_SECONDS = 0.5
_TOLD_SECONDS = 2.0
"""What takes less is not told how long it has taken."""


class Progress:
    """The latest step; `step` is called by the run, `snapshot` by the HTTP server's threads."""

    def __init__(self) -> None:
        self._latest = (0, "starting")

    def step(self, percent: int, message: str) -> None:
        """The run is now at `percent`, doing what `message` says. It never goes back."""
        self._latest = (max(percent, self._latest[0]), message)

    @contextmanager
    def moving(
        self, start: int, end: int, message: str, done: Callable[[float], float | None] = lambda _: None
    ) -> Iterator[None]:
        """From `start` to `end` percent while something long goes on, of which only another thread can tell.

        Args:
            done: Called with the seconds since the beginning; the share that is done, 0 to 1, or None where nobody
                knows: then the message alone moves.
        """
        self.step(start, message)
        begun, over = monotonic(), threading.Event()

        def look() -> None:
            while not over.wait(_LOOK_SECONDS):
                seconds = monotonic() - begun
                share = done(seconds) or 0.0
                told = f"{message}, for {seconds:.0f} s" if seconds >= _TOLD_SECONDS else message
                self.step(start + int((end - start) * min(1.0, share)), told)

        thread = threading.Thread(target=look, name="looks at progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def snapshot(self) -> bytes:
        """The latest step as JSON."""
        percent, message = self._latest
        return msgspec.json.encode({"percent": percent, "message": message})


def say(topic: str, text: str) -> None:
    """One line of the log."""
    print(f"{topic:<11}{text}", flush=True)


@contextmanager
def served(progress: Progress, port: int | None = None) -> Iterator[int]:
    """Serve the progress, by default on REDSTART_PROGRESS_PORT or 9105; gives the port (0 asks for a free one)."""
    wanted = port if port is not None else int(os.environ.get("REDSTART_PROGRESS_PORT", PORT))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/progress"
            content = progress.snapshot() if found else b'{"error": "there is only /progress"}'
            self.send_response(200 if found else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Requests of the operator are no part of the run's log."""

    host = os.environ.get("REDSTART_HOST", "0.0.0.0")  # noqa: S104 - a pod has the addresses its network gives it

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

        def server_bind(self) -> None:
            if self.address_family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # "::" is IPv4 too
            super().server_bind()

    server = Server((host, wanted), Handler)
    threading.Thread(target=server.serve_forever, name="progress", daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
