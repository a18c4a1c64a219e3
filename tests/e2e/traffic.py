"""Client traffic from a pod of the cluster, and what its clients saw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.e2e.kubernetes import Kubernetes, Object, eventually
from tests.e2e.pods import restricted

SCRIPT = Path(__file__).with_name("load.py")
FOREVER = 60_000
"""Requests; the clients are stopped before."""
IMAGE = "localhost/redstart-runtime:dev"


class Traffic:
    """Steady requests to one InferenceService. Runs from `start` until they are all sent."""

    def __init__(self, cluster: Kubernetes, service: str, rows: Sequence[Object]) -> None:
        self._cluster = cluster
        self._service = service
        self._rows = rows
        self._pod = f"{service}-clients"

    def start(self, *, rate: float, requests: int) -> None:
        """Begin; returns once the first requests were answered."""
        lines = "\n".join(json.dumps(row) for row in self._rows)
        self._cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": self._pod},
                "data": {"load.py": SCRIPT.read_text(), "rows.jsonl": lines},
            },
            self._clients(rate, requests),
        )
        eventually(lambda: self.seen().get("answered"), "the first answers")

    def _clients(self, rate: float, requests: int) -> Object:
        url = f"http://{self._service}.{self._cluster.namespace}.svc/predict"
        arguments = ["--url", url, "--rate", str(rate), "--requests", str(requests)]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self._pod},
            "spec": restricted(
                {
                    "name": "clients",
                    "image": IMAGE,
                    "command": ["python", "/load/load.py", *arguments, "--rows", "/load/rows.jsonl"],
                    # Without a request, a busy machine lets it stand still until its own timeouts have passed.
                    "resources": {"requests": {"cpu": "300m", "memory": "64Mi"}},
                    "volumeMounts": [{"name": "load", "mountPath": "/load"}],
                },
                restartPolicy="Never",
                volumes=[{"name": "load", "configMap": {"name": self._pod}}],
            ),
        }

    def seen(self) -> dict[str, Any]:
        """What the clients have seen so far."""
        for line in reversed(self._cluster.logs(self._pod, tail=3).splitlines()):
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        return {}

    def stop(self) -> dict[str, Any]:
        """Send nothing more; what they saw in all."""
        # The kubelet ends a pod by its deadline as it ends any other, but keeps it, and so what it said.
        self._cluster.patch("Pod", self._pod, {"spec": {"activeDeadlineSeconds": 1}})
        return self.finish(patience=60)

    def finish(self, *, patience: float = 180.0) -> dict[str, Any]:
        """What they saw in all, once every request was answered or failed."""
        return eventually(
            lambda: seen if (seen := self.seen()).get("total") else None,
            "the last answers",
            patience=patience,
        )
