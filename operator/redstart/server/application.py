"""The server's HTTP interface, as a WSGI application: docs/serving-api.md in code.

WSGI, because a row of a small model is answered in less time than an event loop takes to hand a request over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import monotonic, perf_counter
from typing import Any

import msgspec

from redstart import __version__
from redstart.server.counts import Observation, Recorder
from redstart.server.inference import InvalidOutputError, ModelError
from redstart.server.rows import InputError
from redstart.server.service import Answered, Service

MAX_BODY = 4 * 1024 * 1024
"""Bytes in one request's body; the router refuses more, too."""

_LOG_INTERVAL = 1.0
_HEADERS = [("content-type", "application/json")]
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

StartResponse = Callable[[str, list[tuple[str, str]]], object]

logger = logging.getLogger(__name__)


class Application:
    """Routes requests; `service` is None, and `unready` says why, until the model may be asked."""

    def __init__(self, recorder: Recorder, model: str, version: str) -> None:
        self.service: Service | None = None
        self.unready = "the model is being loaded"
        self._record = recorder.record
        self._logged = -_LOG_INTERVAL
        self._unlogged = 0
        self._asked: dict[str, Callable[[Service, bytes], Answered]] = {"/predict": Service.predict}
        self._read: dict[str, Callable[[], tuple[int, bytes]]] = {
            "/v2": lambda: (200, _server_metadata()),
            "/v2/health/live": lambda: (200, b'{"live":true}'),
            "/v2/health/ready": lambda: self._loaded(lambda _: b'{"ready":true}'),
            "/openapi.json": lambda: self._loaded(lambda service: service.openapi),
        }
        ready = msgspec.json.encode({"name": model, "ready": True})
        for path in (f"/v2/models/{model}", f"/v2/models/{model}/versions/{version}"):
            self._asked[f"{path}/infer"] = Service.infer
            self._read[path] = lambda: self._loaded(lambda service: service.metadata)
            self._read[f"{path}/ready"] = lambda: self._loaded(lambda _: ready)

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> list[bytes]:
        path = environ["PATH_INFO"]
        ask = self._asked.get(path)
        if ask is not None and environ["REQUEST_METHOD"] == "POST":
            return self._ask(ask, environ, start_response)
        headers = _HEADERS
        read = self._read.get(path)
        if read is not None and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            status, body = read()
        elif ask is not None or read is not None:
            allowed = "POST" if ask is not None else "GET, HEAD"
            status, body = 405, error_body(f"{path} takes {allowed}")
            headers = [*_HEADERS, ("allow", allowed)]
        else:
            status, body = 404, error_body(f"no such path: {path}; /openapi.json describes those there are")
        start_response(_STATUS_LINES[status], headers)
        return [body]

    def _ask(
        self, ask: Callable[[Service, bytes], Answered], environ: Mapping[str, Any], start: StartResponse
    ) -> list[bytes]:
        started = perf_counter()
        # Stamped by the router: a retry, a mirrored request or one that chose its arm says nothing about the arm.
        first = (
            environ.get("HTTP_X_ENVOY_ATTEMPT_COUNT") == "1"
            and environ.get("HTTP_X_REDSTART_ROUTE") == "weighted"
        )
        answered: Answered | None = None
        invalid_output = False
        try:
            body = read_body(environ)
            if self.service is None:
                raise InputError(503, f"the model is not ready: {self.unready}")
            answered = ask(self.service, body)
            status, content = 200, answered.body
        except InputError as error:
            status, content = error.status, error_body(str(error), row=error.row, field=error.field)
        except ModelError as error:
            invalid_output = isinstance(error, InvalidOutputError)
            status, content = 500, error_body(f"the model failed: {error}")
            self._log(f"the model failed: {error}")
        except Exception as error:
            status, content = 500, error_body("the server failed; its log says why")
            self._log(f"the server failed: {error!r}", error)
        start(_STATUS_LINES[status], _HEADERS)
        seconds = perf_counter() - started
        if answered is not None:
            rows, predictions = answered.rows, answered.answers.predictions
            self._record(
                Observation(
                    first,
                    status,
                    seconds,
                    rows.tensors if first else None,
                    predictions if first else None,
                    ignored=rows.ignored,
                )
            )
        else:
            self._record(Observation(first, status, seconds, invalid_output=invalid_output))
        return [content]

    def _loaded(self, read: Callable[[Service], bytes]) -> tuple[int, bytes]:
        if self.service is None:
            return 503, error_body(self.unready)
        return 200, read(self.service)

    def _log(self, message: str, error: Exception | None = None) -> None:
        """One line a second at most: a model that fails on everything must not fill the node's disk."""
        now = monotonic()
        if now - self._logged < _LOG_INTERVAL:
            self._unlogged += 1
            return
        more = f" ({self._unlogged} more since the last line)" if self._unlogged else ""
        self._logged, self._unlogged = now, 0
        logger.error("%s%s", message, more, exc_info=error)


def read_body(environ: Mapping[str, Any]) -> bytes:
    """The request's body.

    Raises:
        InputError: 413 when it is larger than MAX_BODY.
    """
    length = environ.get("CONTENT_LENGTH")
    if length is None:
        body: bytes = environ["wsgi.input"].read(MAX_BODY + 1)
        if len(body) <= MAX_BODY:
            return body
    elif int(length) <= MAX_BODY:
        whole: bytes = environ["wsgi.input"].read()
        return whole
    raise InputError(413, f"the body has more than {MAX_BODY} bytes; send fewer rows in each request")


def error_body(message: str, *, row: int | None = None, field: str | None = None) -> bytes:
    """An error as JSON."""
    document: dict[str, Any] = {"error": message}
    if row is not None:
        document["row"] = row
    if field is not None:
        document["field"] = field
    return msgspec.json.encode(document)


def _server_metadata() -> bytes:
    return msgspec.json.encode({"name": "redstart", "version": __version__, "extensions": []})
