"""Trainer processes, over a folder (pvc://) and over a real S3 server (versitygw)."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import polars as pl
import pytest

from redstart.artifacts import storage
from redstart.artifacts.fetch import fetch
from redstart.artifacts.manifest import Manifest, sha256
from redstart.artifacts.predictor import Predictor, load
from redstart.artifacts.storage import Location
from redstart.artifacts.termination import Report
from redstart.trainer.__main__ import main
from tests.cluster.control_plane import free_ports
from tests.cluster.programs import program

ACCESS = "redstart"
SECRET = "redstart-secret"  # of a server that lives as long as the test


@dataclass
class Run:
    """What a trainer's process left."""

    code: int
    output: str
    report: Report

    @property
    def details(self) -> dict[str, Any]:
        """The log's last line, checked against the report's digest."""
        line = self.output.rstrip("\n").rsplit("\n", 1)[-1]
        assert sha256(line.encode()) == self.report.details_digest
        found: dict[str, Any] = json.loads(line)
        return found


@dataclass
class Process:
    """A trainer that may still be running."""

    popen: subprocess.Popen[str]
    log: Path

    def wait(self) -> Run:
        output, _ = self.popen.communicate(timeout=300)
        content = (
            self.log.read_bytes() if self.log.exists() else b'{"result":"Failed","reason":"","message":""}'
        )
        return Run(self.popen.returncode, output, msgspec.json.decode(content, type=Report))


@dataclass
class Place:
    """Where a test's rows and models are: `uri` of both, and what a job needs to reach them."""

    root: Path
    uri: str
    secret: str | None
    folder: Path
    runs: int = field(default=0)

    def put(self, name: str, rows: pl.DataFrame) -> None:
        """Store rows as CSV or Parquet, through the same library that the trainer reads them with."""
        path = self.root / name
        if name.endswith(".csv"):
            rows.write_csv(path)
        else:
            rows.write_parquet(path)
        storage.write(self.at(f"data/{name}"), path)

    def at(self, path: str) -> Location:
        return storage.locate(f"{self.uri}/{path}", secret=self.secret, root=self.root)

    def spec(self, spec: dict[str, Any], files: str = "rows.csv") -> dict[str, Any]:
        """The spec with sources and output in this place."""
        reference = {"secretRef": {"name": self.secret}} if self.secret else {}
        data = {"sources": [{"uri": f"{self.uri}/data/{files}", **reference}], **spec.get("data", {})}
        output = {"uri": f"{self.uri}/models", **reference, **spec.get("output", {})}
        return {"model": "m", **spec, "data": data, "output": output}

    def run(self, spec: dict[str, Any], **options: Any) -> Run:
        """Run the trainer's main in this process, which has its imports already."""
        environment, log = self._prepare(spec, **options)
        output = io.StringIO()
        with patch.dict(os.environ, environment), redirect_stdout(output), redirect_stderr(output):
            code = main()
        return Run(code, output.getvalue(), msgspec.json.decode(log.read_bytes(), type=Report))

    def start(
        self, spec: dict[str, Any], *, wrap: Callable[[list[str]], list[str]] = list, **options: Any
    ) -> Process:
        """Start the trainer as the process that it is in a pod."""
        environment, log = self._prepare(spec, **options)
        popen = subprocess.Popen(
            wrap([sys.executable, "-m", "redstart.trainer"]),
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Process(popen, log)

    def _prepare(
        self, spec: dict[str, Any], *, files: str = "rows.csv", port: int = 0
    ) -> tuple[dict[str, str], Path]:
        self.runs += 1
        job = {
            "contract": 1,
            "namespace": "default",
            "trainingJob": "m",
            "run": self.runs,
            "spec": self.spec(spec, files),
            "allowedFormats": ["ONNX", "Skops"],
        }
        (self.root / f"job-{self.runs}.json").write_text(json.dumps(job))
        log = self.root / f"termination-{self.runs}"
        environment = {
            "REDSTART_ROOT": str(self.root),
            "REDSTART_JOB": str(self.root / f"job-{self.runs}.json"),
            "REDSTART_TERMINATION_LOG": str(log),
            "REDSTART_PROGRESS_PORT": str(port),
        }
        return environment, log

    def fetched(self, run: Run) -> tuple[Predictor, Manifest]:
        """The artifact of a run, fetched from the store as an init container would."""
        assert run.report.artifact is not None
        into = self.root / f"model-{self.runs}"
        location = storage.locate(run.report.artifact.uri, secret=self.secret, root=self.root)
        manifest = fetch(location, run.report.artifact.digest, into)
        return load(into, manifest), manifest

    def stored(self) -> list[str]:
        """Every file under models/m, without the artifacts' contents."""
        folder = self.folder / "models/m"
        paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return sorted(
            str(path) for path in paths if path.parts[0] != "artifacts" or path.name == "manifest.json"
        )


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of an S3 server, and the folder whose folders are its buckets."""
    folder = tmp_path_factory.mktemp("s3")
    (port,) = free_ports(1)
    command = [
        str(program("versitygw")),
        "--port",
        f"127.0.0.1:{port}",
        "--access",
        ACCESS,
        "--secret",
        SECRET,
    ]
    popen = subprocess.Popen(
        [*command, "posix", "--sidecar", str(tmp_path_factory.mktemp("metadata")), str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not answers(port):
            assert popen.poll() is None, "versitygw ended"
            assert time.monotonic() < deadline, "versitygw does not answer"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", folder
    finally:
        popen.terminate()
        popen.wait(timeout=30)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def volume(tmp_path: Path) -> Place:
    folder = tmp_path / "volumes/claim"
    folder.mkdir(parents=True)
    return Place(tmp_path, "pvc://claim", None, folder)


@pytest.fixture
def bucket(tmp_path: Path, s3: tuple[str, Path]) -> Place:
    address, folder = s3
    name = f"bucket-{os.urandom(4).hex()}"
    (folder / name).mkdir()
    keys = {
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
    }
    (tmp_path / "secrets/keys").mkdir(parents=True)
    for key, value in keys.items():
        (tmp_path / "secrets/keys" / key).write_text(value)
    return Place(tmp_path, f"s3://{name}/deep", "keys", folder / name / "deep")


@pytest.fixture(params=["pvc", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    """A volume, then a bucket."""
    found: Place = request.getfixturevalue("volume" if request.param == "pvc" else "bucket")
    return found
