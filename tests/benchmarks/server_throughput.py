"""Throughput of one server process beside MLServer and FastAPI on the same models, machine and load generator.

    python -m tests.benchmarks.server_throughput [--seconds 10] [--connections 8]

Each server runs alone on the first core, wrk (Debian's package) on the second. Each model is asked one row at
a time, over connections that stay open; a run begins with two seconds that are not counted. MLServer gets a
virtual environment of its own, made in the cache folder, and so do FastAPI and uvicorn; both serve in the way
of their documentation: MLServer with mlserver-sklearn in its own process, asked for the label alone, FastAPI
with pydantic types, uvicorn's own loop and parser, and the same ONNX file that our server loads.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from redstart.artifacts import manifest as manifests
from redstart.artifacts.manifest import Input, Manifest, Output, Profile, Reference, Tensor
from redstart.artifacts.predictor import Predictor, load_model
from redstart.artifacts.publish import file_entries
from redstart.trainer import profile

FEATURES = 10
NAMES = [f"f{index}" for index in range(FEATURES)]
CACHE = Path(os.environ.get("REDSTART_CACHE", Path.home() / ".cache" / "redstart")) / "benchmarks"
ENVIRONMENTS = {
    "mlserver": ["mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22", "scikit-learn==1.9.1"],
    "pandas": ["pandas>=2.3,<4", "scikit-learn==1.9.1"],
    "fastapi": ["fastapi>=0.120", "uvicorn[standard]>=0.38", "onnxruntime==1.31.1", "numpy>=2,<3"],
}
SERVER_CORE, CLIENT_CORE = "0", "1"
WARM_UP = 2

FASTAPI = """
    import os

    import numpy as np
    import onnxruntime
    from fastapi import FastAPI
    from pydantic import BaseModel

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
    names = [output.name for output in session.get_outputs()]
    app = FastAPI()


    class Row(BaseModel):
        f0: float
        f1: float
        f2: float
        f3: float
        f4: float
        f5: float
        f6: float
        f7: float
        f8: float
        f9: float


    class Rows(BaseModel):
        rows: list[Row]


    @app.get("/ready")
    async def ready():
        return {}


    @app.post("/predict")
    async def predict(request: Rows):
        features = np.array([list(row.model_dump().values()) for row in request.rows], dtype=np.float32)
        labels, probabilities = session.run(names, {"X": features})
        return {"prediction": labels.tolist(), "probabilities": probabilities.tolist()}
"""


@dataclass(frozen=True)
class Figures:
    """One run: requests answered in a second, latencies in milliseconds, answers that were no success, and the
    processor time of the server in microseconds for each request, which other load on the machine changes least."""

    per_second: float
    p50: float
    p99: float
    failed: int
    cpu: float = 0.0


@dataclass(frozen=True)
class Asked:
    """A running server, and how it is asked."""

    pid: int
    url: str
    body: dict[str, Any]
    headers: dict[str, str]


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    results = compare(options.seconds, options.connections)
    print(table(results, options.seconds, options.connections))


def compare(seconds: int, connections: int) -> dict[str, dict[str, Figures]]:
    """The figures of each server for each model."""
    if shutil.which("wrk") is None:
        subprocess.run(["apt-get", "install", "--quiet", "--yes", "wrk"], check=True, stdout=sys.stderr)
    features, labels = make_classification(5000, FEATURES, random_state=0)
    row = [round(float(value), 3) for value in features[0]]
    estimators = {
        "RandomForest(100, depth 12)": RandomForestClassifier(100, max_depth=12, random_state=0),
        "LogisticRegression": LogisticRegression(),
    }
    results: dict[str, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="redstart-benchmark-") as folder:
        for number, (name, estimator) in enumerate(estimators.items()):
            estimator.fit(features, labels)
            model = Path(folder) / str(number)
            artifact(model / "artifact", estimator, features)
            joblib.dump(estimator, model / "model.joblib")
            results[name] = {}
            for server, start in {"Redstart": redstart, "FastAPI": fastapi, "MLServer": mlserver}.items():
                with start(model, row) as asked:
                    results[name][server] = measure(asked, model, seconds, connections)
                print(f"{name}, {server}: {results[name][server]}", file=sys.stderr)
    return results


def artifact(folder: Path, estimator: Any, features: Any) -> None:
    """Export the estimator as our trainer does: one tensor of numbers, reference rows, a profile."""
    graph = to_onnx(estimator, features[:1].astype(np.float32), options={"zipmap": False})
    content = graph.SerializeToString()
    outputs = [output.name for output in graph.graph.output]
    draft = Manifest(
        contract=manifests.CONTRACT,
        model="bench",
        task="Classification",
        format="ONNX",
        files=[],
        inputs=[Input(name, "Number") for name in NAMES],
        tensors=[Tensor("X", "float", NAMES)],
        outputs=[
            Output("prediction", "Category", outputs[0], values=[0, 1]),
            Output("probabilities", "Number", outputs[1], size=2),
        ],
    )
    rows: list[dict[str, Any]] = [
        dict(zip(NAMES, map(float, values), strict=True)) for values in features[:256]
    ]
    answers = Predictor(draft, load_model(content, draft)).answer(rows)
    bins = {name: profile.number(features[:, index]) for index, name in enumerate(NAMES)}
    predictions = profile.category([answer.prediction for answer in answers])
    files = {
        "model.onnx": content,
        manifests.REFERENCE: manifests.encode(Reference(rows, answers)),
        manifests.PROFILE: manifests.encode(Profile(len(features), dict(bins), predictions)),
    }
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_bytes(text)
    manifest = msgspec.structs.replace(draft, files=file_entries(files))
    (folder / manifests.MANIFEST).write_bytes(manifests.encode(manifest))


@contextmanager
def redstart(model: Path, row: list[float]) -> Iterator[Asked]:
    """Our server with its sidecar, every request counted as the router's would be."""
    environ = {
        "REDSTART_MODEL": "bench",
        "REDSTART_VERSION": "bench-v1",
        "REDSTART_MODEL_DIR": str(model / "artifact"),
        "REDSTART_SOCKET": str(model / "metrics.sock"),
        "REDSTART_HOST": "127.0.0.1",
        "REDSTART_PORT": str(free_port()),
        "REDSTART_SNAPSHOT_PORT": str(free_port()),
    }
    url = f"http://127.0.0.1:{environ['REDSTART_PORT']}"
    sidecar = [sys.executable, "-m", "redstart.sidecar"]
    server = [sys.executable, "-m", "redstart.server"]
    with process(sidecar, environ), process(server, environ) as pid:
        wait(f"{url}/v2/health/ready")
        yield Asked(
            pid,
            f"{url}/predict",
            {"rows": [dict(zip(NAMES, row, strict=True))]},
            {"x-redstart-route": "weighted", "x-envoy-attempt-count": "1"},
        )


@contextmanager
def fastapi(model: Path, row: list[float]) -> Iterator[Asked]:
    """FastAPI over ONNX Runtime."""
    python = environment("fastapi")
    (model / "app.py").write_text(textwrap.dedent(FASTAPI))
    port = free_port()
    command = [str(python), "-m", "uvicorn", "app:app", "--app-dir", str(model), "--port", str(port)]
    quiet = ["--log-level", "warning", "--no-access-log"]
    with process([*command, *quiet], {"MODEL": str(model / "artifact" / "model.onnx")}) as pid:
        wait(f"http://127.0.0.1:{port}/ready")
        yield Asked(
            pid, f"http://127.0.0.1:{port}/predict", {"rows": [dict(zip(NAMES, row, strict=True))]}, {}
        )


@contextmanager
def mlserver(model: Path, row: list[float]) -> Iterator[Asked]:
    """MLServer with its scikit-learn runtime, one worker, asked over V2."""
    python = environment("mlserver")
    folder = model / "mlserver"
    folder.mkdir()
    ports = {"http_port": free_port(), "grpc_port": free_port(), "metrics_port": free_port()}
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, **ports}
    (folder / "settings.json").write_text(json.dumps(settings))
    parameters = {"uri": str(model / "model.joblib"), "version": "v1"}
    (folder / "model-settings.json").write_text(
        json.dumps(
            {"name": "bench", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": parameters}
        )
    )
    url = f"http://127.0.0.1:{ports['http_port']}/v2/models/bench"
    with process([str(python.parent / "mlserver"), "start", str(folder)], {}) as pid:
        wait(f"{url}/ready")
        tensor = {"name": "predict", "shape": [1, FEATURES], "datatype": "FP32", "data": row}
        yield Asked(pid, f"{url}/infer", {"inputs": [tensor]}, {})


def environment(name: str) -> Path:
    """The Python of a virtual environment with this baseline's packages, made when it is not there."""
    folder = CACHE / name
    python = folder / "bin" / "python"
    done = folder / "requirements.txt"
    wanted = "\n".join(ENVIRONMENTS[name])
    if not done.exists() or done.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *ENVIRONMENTS[name]], check=True, stdout=sys.stderr
        )
        done.write_text(wanted)
    return python


@contextmanager
def process(command: list[str], environ: dict[str, str]) -> Iterator[int]:
    """A process on the server's core, by its id."""
    with tempfile.TemporaryFile() as log:
        started = subprocess.Popen(
            ["taskset", "--cpu-list", SERVER_CORE, *command], env=os.environ | environ, stdout=log, stderr=log
        )
        try:
            yield started.pid
        except BaseException:
            log.seek(0)
            print(log.read().decode(errors="replace")[-4000:], file=sys.stderr)
            raise
        finally:
            started.terminate()
            try:
                started.wait(30)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def wait(url: str, seconds: float = 120) -> None:
    """Until the address answers 200."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} did not answer within {seconds} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def measure(asked: Asked, folder: Path, seconds: int, connections: int) -> Figures:
    """Ask as fast as the server answers."""
    request = urllib.request.Request(
        asked.url, json.dumps(asked.body).encode(), {"content-type": "application/json", **asked.headers}
    )
    with urllib.request.urlopen(request) as response:
        print(f"  {asked.url} answers {response.read().decode()[:160]}", file=sys.stderr)
    script = folder / "ask.lua"
    headers = {"content-type": "application/json", **asked.headers}
    script.write_text(
        "wrk.method = 'POST'\n"
        + f"wrk.body = {lua(json.dumps(asked.body))}\n"
        + "".join(f"wrk.headers[{lua(name)}] = {lua(value)}\n" for name, value in headers.items())
        + "done = function(summary, latency, requests)\n"
        + "  local errors = summary.errors\n"
        + "  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout\n"
        + "  print(string.format('FIGURES %f %f %f %d', summary.requests / summary.duration * 1e6,\n"
        + "    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, failed))\n"
        + "end\n"
    )
    run(asked.url, script, WARM_UP, connections)
    before = processor_seconds(asked.pid)
    found = run(asked.url, script, seconds, connections)
    used = processor_seconds(asked.pid) - before
    return dataclasses.replace(found, cpu=used * 1e6 / (found.per_second * seconds))


def processor_seconds(pid: int) -> float:
    """User and system time of a process and all below it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(processor_seconds(int(child)) for child in children)


def lua(text: str) -> str:
    """A string literal; for ASCII, JSON's escapes are Lua's too."""
    return json.dumps(text)


def run(url: str, script: Path, seconds: int, connections: int) -> Figures:
    """One run of wrk."""
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    output = subprocess.run(
        ["taskset", "--cpu-list", CLIENT_CORE, *command, "--script", str(script), url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = re.search(r"FIGURES (\S+) (\S+) (\S+) (\d+)", output)
    if found is None:
        raise RuntimeError(f"wrk did not say what it measured: {output}")
    return Figures(float(found[1]), float(found[2]), float(found[3]), int(found[4]))


def table(results: dict[str, dict[str, Figures]], seconds: int, connections: int) -> str:
    """The figures in Markdown, with the ratio of our throughput to each baseline's."""
    lines = [
        "| model | server | requests/s | p50 ms | p99 ms | CPU µs/request | failed | Redstart: requests/s | CPU |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for model, servers in results.items():
        ours = servers["Redstart"]
        for server, found in servers.items():
            ratios = f"{ours.per_second / found.per_second:.1f}x | {found.cpu / ours.cpu:.1f}x"
            lines.append(
                f"| {model} | {server} | {found.per_second:,.0f} | {found.p50:.2f} | {found.p99:.2f} "
                f"| {found.cpu:,.0f} | {found.failed} | {ratios if found is not ours else ' | '} |"
            )
    load = os.getloadavg()[0]
    lines.append("")
    lines.append(
        f"One row for each request, {connections} connections, {seconds} s; server and load generator on one core "
        f"each of {platform.machine()}, Python {platform.python_version()}, load average {load:.1f} at the end."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
