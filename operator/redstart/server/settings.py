"""What the server is told: the environment of its container."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from redstart.artifacts.manifest import Format

SAFE_FORMATS: tuple[Format, ...] = ("ONNX", "Skops")


@dataclass(frozen=True)
class Settings:
    """See docs/internals.md for the variables' names.

    `threads` Python threads answer requests that take long; short ones are the event loop's. More than one help where
    inference itself, outside the interpreter, takes most of a request and there are processors for it.
    """

    model: str
    version: str
    digest: str
    model_dir: Path
    socket: Path
    host: str
    port: int
    formats: tuple[Format, ...]
    threads: int
    ignored_inputs: tuple[str, ...]


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the environment.

    Raises:
        ValueError: a variable is missing or cannot be read; the message names it.
    """
    missing = [name for name in ("REDSTART_MODEL", "REDSTART_VERSION") if not environ.get(name)]
    if missing:
        raise ValueError(f"{missing[0]} is not set")
    return Settings(
        model=environ["REDSTART_MODEL"],
        version=environ["REDSTART_VERSION"],
        digest=environ.get("REDSTART_DIGEST", ""),
        model_dir=Path(environ.get("REDSTART_MODEL_DIR", "/redstart/model")),
        socket=Path(environ.get("REDSTART_SOCKET", "/redstart/run/metrics.sock")),
        host=environ.get("REDSTART_HOST", "0.0.0.0"),  # noqa: S104 - a pod has one address, given by its network
        port=_number(environ, "REDSTART_PORT", 8080),
        formats=formats(environ.get("REDSTART_FORMATS", ",".join(SAFE_FORMATS))),
        threads=_number(environ, "REDSTART_THREADS", 1),
        ignored_inputs=_names(environ, "REDSTART_IGNORED_INPUTS"),
    )


def formats(text: str) -> tuple[Format, ...]:
    """Read a list such as `ONNX,Skops`."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in get_args(Format):
            raise ValueError(f"{name!r} is no format; known are {', '.join(get_args(Format))}")
    return cast("tuple[Format, ...]", names)


def _names(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The keys of a JSON object."""
    try:
        found = json.loads(environ.get(name) or "{}")
    except ValueError as error:
        raise ValueError(f"{name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} must be a JSON object whose keys are inputs")
    return tuple(found)


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError(f"{name} is {text!r}; it must be a whole number from 1 to 65535")
    return int(text)
