"""Real server and sidecar processes on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server import sample_artifacts

DEADLINE = 120.0


def eventually(condition: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
    """The condition's value as soon as it is true."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {deadline} s: {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Reply:
    """What a process answered."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(url: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
    """One request; an error status is an answer, too."""
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    request = urllib.request.Request(url, content, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Reply(response.status, response.read())
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.read())


@dataclass
class Pod:
    """A server and a sidecar as a pod runs them, with the files that they share."""

    folder: Path
    port: int
    snapshot_port: int
    stack: ExitStack

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        return os.environ | {
            "REDSTART_MODEL": "machine-failure",
            "REDSTART_VERSION": "machine-failure-v3",
            "REDSTART_REVISION": "6fd9c4a1b2",
            "REDSTART_MODEL_DIR": str(self.folder / "model"),
            "REDSTART_SOCKET": str(self.folder / "metrics.sock"),
            "REDSTART_HOST": "127.0.0.1",
            "REDSTART_PORT": str(self.port),
            "REDSTART_SNAPSHOT_PORT": str(self.snapshot_port),
            "REDSTART_TERMINATION_LOG": str(self.folder / "termination-log"),
        }

    def start(self, module: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start `python -m module`; it is stopped at the end of the test."""
        log = self.stack.enter_context((self.folder / f"{module}.log").open("ab"))
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=self.environ | environ,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self.stack.callback(stop, process)
        return process

    def server(self, **environ: str) -> subprocess.Popen[bytes]:
        return self.start("redstart.server", **environ)

    def sidecar(self, **environ: str) -> subprocess.Popen[bytes]:
        process = self.start("redstart.sidecar", **environ)
        eventually(lambda: self.reads("/healthz"), "the sidecar answers")
        return process

    def reads(self, path: str) -> Reply | None:
        try:
            return ask(f"http://127.0.0.1:{self.snapshot_port}{path}")
        except OSError:
            return None

    def snapshot(self, query: str = "") -> Any:
        reply = self.reads(f"/snapshot{query}")
        return reply.json if reply else None

    def health(self, kind: str = "ready") -> int:
        try:
            return ask(f"{self.url}/v2/health/{kind}").status
        except OSError:
            return 0

    def wait_ready(self) -> None:
        eventually(lambda: self.health() == 200, "the server is ready")

    def logged(self, module: str = "redstart.server") -> str:
        return (self.folder / f"{module}.log").read_text()


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for what does not listen."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running_pod(folder: Path) -> Iterator[Pod]:
    with ExitStack() as stack:
        yield Pod(folder, free_port(), free_port(), stack)


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """A pod whose artifact, the classifier, is in place; nothing runs yet."""
    sample_artifacts.write(tmp_path / "model", *sample_artifacts.classifier())
    with running_pod(tmp_path) as made:
        yield made
