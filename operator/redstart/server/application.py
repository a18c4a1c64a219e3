"""The server's HTTP interface: docs/serving-api.md in code."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic, perf_counter

import msgspec

from redstart import __version__
from redstart.server import binary_tensors, encodings
from redstart.server.admission import MAX_BUFFERED
from redstart.server.counts import Observation, Recorder
from redstart.server.hints import Hints
from redstart.server.http import JSON, Connection, Exchange, error_body
from redstart.server.inference import InvalidOutputError, ModelError
from redstart.server.rows import InputError
from redstart.server.schedule import Ask, Asked, Outcome, Schedule
from redstart.server.service import Service
from redstart.sidecar.report import LastError

MAX_BODY = 4 * 1024 * 1024
"""Bytes in one request's body, packed or not; the router refuses more, too."""

GIVEN_UP = 499
"""Counted for a request whose client was gone before its answer; nginx's number for it, never sent to anybody."""

_SMALL_BODY = 64 * 1024
"""Up to here a request is judged once it has come; beyond, also by its head."""

_LOG_INTERVAL = 1.0
_RETRY_AFTER = JSON + b"retry-after: 1\r\n"
_ACCEPT_ENCODING = JSON + b"accept-encoding: " + encodings.ACCEPTED.encode() + b"\r\n"
_JSON_LENGTH = binary_tensors.HEADER.encode()

logger = logging.getLogger(__name__)


class _OverloadedError(InputError):
    def __init__(self, why: str) -> None:
        super().__init__(503, f"{why}; ask again in a second, or run more replicas")


class Application:
    """Routes requests; `service` is None, and `unready` says why, until the model may be asked."""

    def __init__(self, recorder: Recorder, model: str, version: str, threads: int = 1) -> None:
        self.service: Service | None = None
        self.unready = "the model is being loaded"
        self.closed = asyncio.Event()
        self._connections: set[Connection] = set()
        self._stopping = False
        self.schedule = Schedule(self._work, self._done, threads)
        self._record = recorder.record
        self._hints = Hints(model)
        self._buffered = 0
        self._logged = -_LOG_INTERVAL
        self._unlogged = 0
        self._asked: dict[str, Ask] = {
            "/predict": Service.predict,
            f"/v1/models/{model}:predict": Service.predict_v1,
        }
        self._read: dict[str, Callable[[], tuple[int, bytes]]] = {
            "/v2": lambda: (200, _server_metadata()),
            "/v2/health/live": self._live,
            "/v2/health/ready": lambda: self._loaded(lambda _: b'{"ready":true}'),
            "/openapi.json": lambda: self._loaded(lambda service: service.openapi),
            "/v1/models": lambda: (200, msgspec.json.encode({"models": [model]})),
        }
        ready = msgspec.json.encode({"name": model, "ready": True})
        self._read[f"/v1/models/{model}"] = lambda: self._loaded(lambda _: ready)
        for path in (f"/v2/models/{model}", f"/v2/models/{model}/versions/{version}"):
            self._asked[f"{path}/infer"] = Service.infer
            self._read[path] = lambda: self._loaded(lambda service: service.metadata)
            self._read[f"{path}/ready"] = lambda: self._loaded(lambda _: ready)

    # What connections call, in the event loop's thread

    def joined(self, connection: Connection) -> None:
        """Keep a connection in view."""
        self._connections.add(connection)

    def left(self, connection: Connection) -> None:
        """Forget a connection, and tell when it was the last one."""
        self._connections.discard(connection)
        if self._stopping and not self._connections:
            self.closed.set()

    def begin(self, exchange: Exchange) -> None:
        """Answer what is not about rows, and refuse what the head shows to be in vain."""
        ask = self._asked.get(exchange.path)
        if ask is None or exchange.method != b"POST":
            self._answer_read(exchange, known=ask is not None)
            return
        headers = exchange.headers
        # Stamped by the router: a retry, a mirrored request or one that chose its arm says nothing about the arm.
        first = (
            headers.get(b"x-envoy-attempt-count") == b"1" and headers.get(b"x-redstart-route") == b"weighted"
        )
        asked = exchange.own = Asked(exchange, ask, first=first)
        try:
            self._check_head(asked)
        except InputError as error:
            self._refuse(asked, error)

    def read(self, exchange: Exchange, length: int) -> bool:
        """Count bytes of a body, and refuse what is too much."""
        asked: Asked = exchange.own
        self._buffered += length
        if exchange.received > MAX_BODY:
            self._refuse(asked, _too_large())
        elif self._buffered > MAX_BUFFERED:
            self._refuse(asked, _OverloadedError("the server holds as many bodies as it may"))
        return not exchange.answered

    def complete(self, exchange: Exchange) -> None:
        """Take a whole request in."""
        asked: Asked = exchange.own
        if self.schedule.has_room(asked, len(exchange.body)):
            self.schedule.put(asked)
        else:
            self._refuse(asked, _OverloadedError("more requests wait than can be answered in time"))

    def lost(self, exchange: Exchange) -> None:
        """Forget a request that nobody waits for; one that is being answered is forgotten when that is done."""
        asked: Asked | None = exchange.own
        if asked is not None and not asked.running:
            if asked.lane is not None:
                asked.lane.leave(asked)
            self._given_up(asked)

    def check(self) -> None:
        """Close what takes too long."""
        now = monotonic()
        for connection in list(self._connections):
            connection.check(now)

    def stop(self) -> None:
        """Close each connection once what was begun on it is answered; `closed` tells when that is done."""
        self._stopping = True
        if not self._connections:
            self.closed.set()
        for connection in list(self._connections):
            connection.stop()

    # Requests for predictions

    def _check_head(self, asked: Asked) -> None:
        if self.service is None:
            raise InputError(503, f"the model is not ready: {self.unready}")
        headers = asked.exchange.headers
        length = int(headers.get(b"content-length", b"0"))
        if length > MAX_BODY:
            raise _too_large()
        if (encoding := headers.get(b"content-encoding")) is not None:
            asked.encoding = encodings.named(encoding)
        if (json_length := headers.get(_JSON_LENGTH)) is not None:
            if not json_length.isdigit() or len(json_length) > 9:
                raise InputError(400, f"{binary_tensors.HEADER} must be a number of bytes")
            asked.json_length = int(json_length)
        # What is left of the router's own time limit.
        told = headers.get(b"x-envoy-expected-rq-timeout-ms", b"")
        if told.isdigit() and len(told) < 10:
            asked.seconds, asked.told = int(told) / 1000, True
        if length > _SMALL_BODY:
            if self._buffered + length > MAX_BUFFERED:
                raise _OverloadedError("the server holds as many bodies as it may")
            if not self.schedule.has_room(asked, length):
                raise _OverloadedError("more requests wait than can be answered in time")

    def _work(self, asked: Asked) -> Outcome:
        """Answer a request; from any thread."""
        service, body = self.service, asked.exchange.body
        assert service is not None
        headers = JSON
        try:
            if asked.encoding is not None:
                body = encodings.unpack(body, asked.encoding, MAX_BODY)
            answered = asked.ask(service, body, asked.json_length)
            if answered.json_length is not None:
                headers = b"content-type: application/octet-stream\r\n%s: %d\r\n" % (
                    _JSON_LENGTH,
                    answered.json_length,
                )
            return Outcome(200, answered.body, headers, len(body), answered)
        except InputError as error:
            content = error_body(str(error), row=error.row, field=error.field)
            told = LastError(error.status, error.field or "")
            return Outcome(error.status, content, headers, len(body), error=told)
        except ModelError as error:
            self._log(f"the model failed: {error}")
            content = error_body(f"the model failed: {error}")
            invalid = isinstance(error, InvalidOutputError)
            return Outcome(
                500,
                content,
                headers,
                len(body),
                invalid_output=invalid,
                error=LastError(500, error=_raised(error)),
            )
        except Exception as error:
            self._log(f"the server failed: {error!r}", error)
            content = error_body("the server failed; its log says why")
            return Outcome(500, content, headers, len(body), error=LastError(500, error=_raised(error)))

    def _done(self, asked: Asked, outcome: Outcome | None) -> None:
        exchange = asked.exchange
        if exchange.gone:
            self._given_up(asked)
            return
        if outcome is None:
            self._refuse(asked, _OverloadedError("the request waited longer than its time limit"))
            return
        self._buffered -= exchange.received
        exchange.answer(outcome.status, outcome.body, outcome.headers)
        seconds = perf_counter() - exchange.started
        answered = outcome.answered
        if answered is not None:
            rows, predictions = answered.rows, answered.answers.predictions
            if asked.first:
                self._record(Observation(True, 200, seconds, rows.tensors, predictions, ignored=rows.ignored))
            else:
                self._record(Observation(False, 200, seconds, ignored=rows.ignored))
        else:
            self._record(
                Observation(
                    asked.first,
                    outcome.status,
                    seconds,
                    invalid_output=outcome.invalid_output,
                    error=outcome.error,
                )
            )

    def _refuse(self, asked: Asked, error: InputError) -> None:
        exchange = asked.exchange
        self._buffered -= exchange.received
        exchange.parts.clear()
        headers = JSON
        if isinstance(error, _OverloadedError):
            headers = _RETRY_AFTER
            self.schedule.refused()
        elif error.status == 415:
            headers = _ACCEPT_ENCODING
        told = LastError(error.status, error.field or "")
        self._record(Observation(asked.first, error.status, perf_counter() - exchange.started, error=told))
        exchange.answer(error.status, error_body(str(error)), headers, close=error.status == 413)

    def _given_up(self, asked: Asked) -> None:
        exchange = asked.exchange
        self._buffered -= exchange.received
        self._record(Observation(asked.first, GIVEN_UP, perf_counter() - exchange.started))

    # All else

    def _answer_read(self, exchange: Exchange, *, known: bool) -> None:
        path = exchange.path
        read = self._read.get(path)
        headers = JSON
        if read is not None and exchange.method in (b"GET", b"HEAD"):
            status, body = read()
        elif known or read is not None:
            allowed = "POST" if known else "GET, HEAD"
            status, body = 405, error_body(f"{path} takes {allowed}")
            headers = JSON + b"allow: " + allowed.encode() + b"\r\n"
        else:
            shown = path[:200]
            hint = self._hints.of_path(path)
            status = 404
            body = error_body(f"no such path: {shown}; /openapi.json describes those there are{hint}")
        exchange.answer(status, body, headers)

    def _loaded(self, read: Callable[[Service], bytes]) -> tuple[int, bytes]:
        if self.service is None:
            return 503, error_body(self.unready)
        return 200, read(self.service)

    def _live(self) -> tuple[int, bytes]:
        """Answered in the loop, ahead of all requests that wait: a server that is overloaded is not dead."""
        stuck = self.schedule.stuck(perf_counter())
        if stuck:
            return 503, error_body(f"the model has been at one request for {stuck:.0f} s")
        return 200, b'{"live":true}'

    def _log(self, message: str, error: Exception | None = None) -> None:
        """One line a second at most: a model that fails on everything must not fill the node's disk."""
        now = monotonic()
        if now - self._logged < _LOG_INTERVAL:
            self._unlogged += 1
            return
        more = f" ({self._unlogged} more since the last line)" if self._unlogged else ""
        self._logged, self._unlogged = now, 0
        logger.error("%s%s", message, more, exc_info=error)


def _raised(error: Exception) -> str:
    """The kinds of an error and of what caused it, and where the first of them was raised; never its text."""
    kinds = [type(error).__name__]
    first: BaseException = error
    while (cause := first.__cause__ or first.__context__) is not None:
        first = cause
        if type(first).__name__ != kinds[-1]:
            kinds.append(type(first).__name__)
    frames = traceback.extract_tb(first.__traceback__)
    at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{' from '.join(kinds)}{at}"[:200]


def _too_large() -> InputError:
    return InputError(413, f"the body has more than {MAX_BODY} bytes; send fewer rows in each request")


def _server_metadata() -> bytes:
    return msgspec.json.encode(
        {"name": "redstart", "version": __version__, "extensions": ["binary_tensor_data"]}
    )
