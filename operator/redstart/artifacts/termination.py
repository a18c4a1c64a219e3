"""What a Job's pod says at its end: the termination message, at most 4,096 bytes of JSON."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Literal

import msgspec

from redstart.artifacts.manifest import Format

LIMIT = 4096
"""Bytes that the kubelet keeps."""

Result = Literal["Succeeded", "Rejected", "SameInputs", "Failed", "Verified"]


class Artifact(msgspec.Struct, frozen=True):
    """The artifact that the pod wrote or found."""

    uri: str
    digest: str
    format: Format


class Report(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """See docs/internals.md; only `result`, `reason` and `message` are always there."""

    result: Result
    reason: str
    message: str
    number: int | None = None
    input_digest: str | None = None
    data_digest: str | None = None
    rows: int | None = None
    artifact: Artifact | None = None
    details_digest: str | None = None


def encode(report: Report, limit: int = LIMIT) -> bytes:
    """The report as JSON of at most `limit` bytes: a long message is cut, never the JSON around it."""
    content = msgspec.json.encode(report)
    message = report.message
    while len(content) > limit and message:
        # Every character that goes frees at least one byte; the second term makes room for the ellipsis.
        message = message[: -max(1, (len(content) - limit) // 6 + 3)]
        content = msgspec.json.encode(msgspec.structs.replace(report, message=message + "..."))
    return content


def write(report: Report) -> None:
    """Leave the report where the kubelet reads it; outside a pod, where REDSTART_TERMINATION_LOG says."""
    path = Path(os.environ.get("REDSTART_TERMINATION_LOG", "/dev/termination-log"))
    if path.exists() or "REDSTART_TERMINATION_LOG" in os.environ:
        path.write_bytes(encode(report))


def end_on_sigterm() -> None:
    """End at once when the pod is deleted or suspended.

    The first process of a container ignores SIGTERM unless it handles it, and a handler of Python's waits until native
    code returns; the byte that the interpreter writes to its wake-up descriptor does not.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.set_wakeup_fd(write)

    def wait() -> None:
        while signal.SIGTERM not in os.read(read, 1):
            pass
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=wait, name="sigterm", daemon=True).start()
