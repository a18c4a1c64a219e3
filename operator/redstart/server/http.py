"""HTTP/1.1 on a socket: heads, bodies, limits, and answers in the order of the requests.

No task, no future and no thread is made for a request: what the parser calls back is handed to a Handler at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from email.utils import formatdate
from http import HTTPStatus
from time import monotonic, perf_counter
from typing import Any, Protocol, cast
from urllib.parse import unquote

import httptools
import msgspec

MAX_HEAD = 64 * 1024
"""Bytes of one request's line and headers."""

REQUEST_SECONDS = 60.0
"""What a client may take to send one request, or to read the answers that wait for it."""

IDLE_SECONDS = 2 * 60 * 60.0
"""An idle connection stays open longer than Envoy's hour, so that the server never closes one that the router is
about to use."""

LINGER_SECONDS = 5.0
"""How long a connection that is about to be closed is still read, so that its client can read why."""

_MAX_PIPELINED = 32

_MAX_UNREAD = 8 * 1024 * 1024
"""Bytes of answers that one client has not read. Pausing does not bound them: one read of the socket may bring
thousands of requests of a few bytes, each for an answer of some hundred KiB."""

_KEPT = frozenset(
    {
        b"content-encoding",
        b"content-length",
        b"inference-header-content-length",
        b"x-envoy-attempt-count",
        b"x-envoy-expected-rq-timeout-ms",
        b"x-redstart-route",
    }
)
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
JSON = b"content-type: application/json\r\n"


class Exchange:
    """One request and its answer. `started` is on perf_counter's clock; `body` is there once all of it has come; `own`
    is the handler's."""

    __slots__ = (
        "answered",
        "body",
        "close",
        "connection",
        "headers",
        "keep_alive",
        "method",
        "own",
        "parts",
        "path",
        "received",
        "response",
        "started",
    )

    def __init__(self, connection: Connection, method: bytes, path: str, headers: dict[bytes, bytes]) -> None:
        self.connection = connection
        self.method = method
        self.path = path
        self.headers = headers
        self.started = perf_counter()
        self.body = b""
        self.parts: list[bytes] = []
        self.received = 0
        self.response: bytes | None = None
        self.keep_alive = b""
        self.close = False
        self.answered = False
        self.own: Any = None

    @property
    def gone(self) -> bool:
        """Whether nobody is there any more to read the answer."""
        return self.connection.lost

    def answer(self, status: int, body: bytes, headers: bytes = JSON, *, close: bool = False) -> None:
        """Give the answer, once; it is sent when those before it are."""
        self.answered = True
        self.close = self.close or close
        connection = self.connection
        if connection.lost:
            return
        self.response = response = b"".join(
            (
                b"HTTP/1.1 %d %s\r\ndate: %s\r\n" % (status, _REASONS[status].encode(), Clock.date),
                headers,
                b"connection: close\r\n" if self.close else self.keep_alive,
                b"content-length: %d\r\n\r\n" % len(body),
                b"" if self.method == b"HEAD" else body,
            )
        )
        connection.hold(len(response))
        connection.flush()


def error_body(message: str, *, row: int | None = None, field: str | None = None) -> bytes:
    """An error as JSON."""
    document: dict[str, Any] = {"error": message}
    if row is not None:
        document["row"] = row
    if field is not None:
        document["field"] = field
    return msgspec.json.encode(document)


class Handler(Protocol):
    """What is done with requests."""

    def joined(self, connection: Connection) -> None:
        """A client has come."""

    def left(self, connection: Connection) -> None:
        """A connection is closed."""

    def begin(self, exchange: Exchange) -> None:
        """The head has come. Answered here, the body is dropped as it comes."""

    def read(self, exchange: Exchange, length: int) -> bool:
        """So many more bytes of the body have come; False when it was answered instead of going on."""

    def complete(self, exchange: Exchange) -> None:
        """The body has come, and the request was not answered before."""

    def lost(self, exchange: Exchange) -> None:
        """A request that was begun and not answered will not be completed, or nobody will read its answer."""


class Clock:
    """The time of day as HTTP writes it, set once a second."""

    date = formatdate(usegmt=True).encode()

    @classmethod
    def tick(cls) -> None:
        """Set it."""
        cls.date = formatdate(usegmt=True).encode()


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, handler: Handler) -> None:
        self.lost = False
        self._handler = handler
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._pending: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head = 0
        self._expects = False
        self._ending = False
        self._refusal = (400, "the request is no HTTP/1.1")
        self._paused = False
        # On the monotonic clock: when what is going on began, and when the client stopped reading.
        self._since = monotonic()
        self._receiving = False
        self._blocked: float | None = None
        # Bytes of answers that wait for one before them.
        self._held = 0

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = cast("asyncio.Transport", transport)
        self._handler.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by whom ever."""
        self.lost = True
        self._current = None
        for exchange in self._pending:
            if not exchange.answered:
                self._handler.lost(exchange)
        self._pending.clear()
        self._handler.left(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come; those of a connection that is about to be closed are dropped."""
        if self._ending:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end_after_last()
        except httptools.HttpParserError:
            self._refuse(*self._refusal)

    def pause_writing(self) -> None:
        """The client reads slower than we answer."""
        self._blocked = monotonic()
        self._throttle()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._blocked = None
        self._throttle()

    # The parser's side

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._held + self._transport.get_write_buffer_size() > _MAX_UNREAD:
            self._refusal = (
                429,
                f"more than {_MAX_UNREAD} bytes of answers wait to be read on this connection",
            )
            raise ValueError(self._refusal[1])
        self._url, self._headers, self._head, self._expects = b"", {}, 0, False
        self._receiving, self._since = True, monotonic()

    def on_url(self, url: bytes) -> None:
        """A part of the path has come."""
        self._url += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come."""
        self._grow(len(name) + len(value) + 4)
        name = name.lower()
        if name in _KEPT:
            self._headers[name] = value
        elif name == b"expect":
            self._expects = value.strip().lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """The head has come."""
        exchange = Exchange(self, self._parser.get_method(), _path(self._url), self._headers)
        if not self._parser.should_keep_alive():
            exchange.close = True
        elif self._parser.get_http_version() == "1.0":
            exchange.keep_alive = b"connection: keep-alive\r\n"
        self._current = exchange
        self._pending.append(exchange)
        self._handler.begin(exchange)
        if self._expects and not exchange.answered and self._pending[0] is exchange:
            self._transport.write(_CONTINUE)

    def on_body(self, data: bytes) -> None:
        """A part of the body has come."""
        exchange = self._current
        if exchange is None or exchange.answered:
            return
        exchange.received += len(data)
        if self._handler.read(exchange, len(data)):
            exchange.parts.append(data)

    def on_message_complete(self) -> None:
        """The request is whole."""
        exchange, self._current = self._current, None
        self._receiving, self._since = False, monotonic()
        if exchange is None or exchange.answered:
            if self._ending:
                self._transport.close()
            elif len(self._pending) > _MAX_PIPELINED:
                self._throttle()
            return
        parts = exchange.parts
        exchange.body = parts[0] if len(parts) == 1 else b"".join(parts)
        exchange.parts = []
        self._handler.complete(exchange)
        if len(self._pending) > _MAX_PIPELINED:
            self._throttle()

    # Answers

    def hold(self, size: int) -> None:
        """Count an answer until it is sent."""
        self._held += size

    def flush(self) -> None:
        """Send all answers that are next in order."""
        pending = self._pending
        while pending and (response := pending[0].response) is not None:
            exchange = pending.popleft()
            self._held -= len(response)
            self._transport.write(response)
            if exchange.close:
                self._end(whole=self._current is not exchange)
                return
        if self._paused:
            self._throttle()

    def stop(self) -> None:
        """Close once what was begun is answered."""
        if self._pending or self._current is not None:
            self._end_after_last()
        else:
            self._end(whole=True)

    def check(self, now: float) -> None:
        """Close what takes too long; `now` is on the monotonic clock."""
        age = now - self._since
        if self._ending:
            if age > LINGER_SECONDS:
                self._transport.abort()
        elif self._blocked is not None:
            if now - self._blocked > REQUEST_SECONDS:
                self._transport.abort()
        elif self._receiving:
            if age > REQUEST_SECONDS:
                self._refuse(408, f"the request did not come within {REQUEST_SECONDS:g} s")
        elif not self._pending and age > IDLE_SECONDS:
            self._end(whole=True)

    def _end_after_last(self) -> None:
        if self._pending:
            self._pending[-1].close = True
        else:
            self._end(whole=self._current is None)

    def _refuse(self, status: int, message: str) -> None:
        """Answer what cannot be read on, behind all that was read before."""
        exchange = self._current
        if exchange is None:
            exchange = self._current = Exchange(self, b"", "", {})
            self._pending.append(exchange)
        elif exchange.answered:  # and more of its body was to come
            self._end_after_last()
            return
        else:
            self._handler.lost(exchange)
        exchange.answer(status, error_body(message), close=True)

    def _end(self, *, whole: bool) -> None:
        """Close after what was written. Unread bytes would make that a reset, which can overtake the answer: they are
        read and dropped for a while."""
        self._ending, self._since = True, monotonic()
        if whole or self._transport.is_closing():
            self._transport.close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()

    def _grow(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            self._refusal = (431, f"the request's head has more than {MAX_HEAD} bytes")
            raise ValueError(self._refusal[1])

    def _throttle(self) -> None:
        pause = self._blocked is not None or len(self._pending) > _MAX_PIPELINED
        if pause != self._paused and not self._transport.is_closing():
            self._paused = pause
            (self._transport.pause_reading if pause else self._transport.resume_reading)()


def _path(url: bytes) -> str:
    path = url.partition(b"?")[0].decode("latin-1")
    if not path.startswith("/"):  # a proxy's absolute form
        path = "/" + path.partition("://")[2].partition("/")[2]
    return unquote(path) if "%" in path else path
