"""Log lines as text for people or JSON for collectors; each carries the object that it is about."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from redstart.kube.kinds import Key
from redstart.settings import Log

_key: ContextVar[Key | None] = ContextVar("key", default=None)

# Their progress is not news; what they warn of is.
_QUIET = ("kopf", "aiohttp.access", "asyncio")


@contextmanager
def about(key: Key) -> Iterator[None]:
    """Lines that are logged within carry the key."""
    token = _key.set(key)
    try:
        yield
    finally:
        _key.reset(token)


def configure(settings: Log) -> None:
    """Set up the process's logging; may be called again when settings change."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel("DEBUG" if settings.level == "debug" else "WARNING")


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        key = _key.get()
        line = f"{_time(record)} {record.levelname} {f'[{key}] ' if key else ''}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object on a line: time, level, logger, message; kind, namespace and name; error with traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (key := _key.get()) is not None:
            line |= {"kind": key.kind.kind, "namespace": key.namespace, "name": key.name}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _time(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
