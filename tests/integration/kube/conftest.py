"""Operator processes, started and ended by a test."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.control_plane import ControlPlane, free_ports
from tests.integration.api import PATIENCE, eventually

ROOT = Path(__file__).parents[3]


@dataclass
class Process:
    """One operator process."""

    popen: subprocess.Popen[bytes]
    user: str
    settings: Path
    log: Path
    health_port: int
    metrics_port: int

    def probe(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metrics(self) -> dict[str, float]:
        """Samples by name and labels, as the text format writes them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            lines = [line.decode() for line in answer if not line.startswith(b"#")]
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}

    def leads(self) -> bool:
        try:
            return self.metrics()["redstart_leader"] == 1
        except OSError:
            return False

    def ready(self) -> bool:
        assert self.popen.poll() is None, self.log.read_text()
        return self.probe("/readyz")[0] == 200

    def send(self, signal_: signal.Signals) -> None:
        self.popen.send_signal(signal_)

    def wait(self) -> int:
        return self.popen.wait(PATIENCE)


Start = Callable[..., Process]


@pytest.fixture
def start(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Start a process that watches the test's namespace and keeps its Lease there, as a user of its own.

    Its controller is that of echo.py unless `module` names another program. Keyword arguments are settings;
    `groups` the user's groups; `environment` more variables.
    """
    processes: list[Process] = []

    def run(
        user: str = "operator",
        groups: tuple[str, ...] = ("system:masters",),
        environment: dict[str, str] | None = None,
        plane: ControlPlane = control_plane,
        module: str = "tests.integration.kube.echo",
        **settings: Any,
    ) -> Process:
        number = len(processes) + 1
        health_port, metrics_port = free_ports(2)
        content = {
            "images": {"runtime": "runtime:1", "router": "router:1"},
            "watchNamespaces": [namespace],
            "leaderElection": {"leaseDuration": "3s", "renewDeadline": "2s", "retryPeriod": "200ms"},
            "healthPort": health_port,
            "metricsPort": metrics_port,
        } | settings
        path = tmp_path / f"settings-{number}.yaml"
        path.write_text(yaml.safe_dump(content))
        config = yaml.safe_load(plane.kubeconfig_of(user, groups).read_text())
        config["contexts"][0]["context"]["namespace"] = namespace
        kubeconfig = tmp_path / f"kubeconfig-{number}"
        kubeconfig.write_text(yaml.safe_dump(config))
        log = tmp_path / f"operator-{number}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [sys.executable, "-m", module, str(path)],
                cwd=ROOT,
                env={**os.environ, "KUBECONFIG": str(kubeconfig), **(environment or {})},
                stdout=output,
                stderr=output,
            )
        process = Process(popen, user, path, log, health_port, metrics_port)
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.wait()


@pytest.fixture
def ready(start: Start) -> Start:
    """`start`, and wait until the process is ready."""

    def run(*arguments: Any, **keywords: Any) -> Process:
        process = start(*arguments, **keywords)
        eventually(process.ready)
        return process

    return run
