"""The installed operator's pods and processes, for tests that kill and freeze them."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from typing import Any

from tests.e2e import node
from tests.e2e.kubernetes import Kubernetes, Object, condition, eventually

NAMESPACE = "redstart-system"
NAME = "redstart"
LEASE = "redstart-operator"
PATIENCE = 180.0
"""Seconds; a pod that is killed starts again after a back-off that grows with each time."""


class Operator:
    """The one that is installed; all tests share it, so each leaves it as it was."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._cluster = kubernetes.within(NAMESPACE)
        deployment = self._cluster.get("Deployment", NAME)
        assert deployment is not None, f"there is no Deployment {NAMESPACE}/{NAME}"
        self._replicas: int = deployment["spec"]["replicas"]
        self._labels: dict[str, str] = deployment["spec"]["selector"]["matchLabels"]
        self._frozen: set[str] = set()

    def pods(self) -> list[Object]:
        """Those that are not on their way out."""
        found = self._cluster.list("Pod", self._labels)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def leader(self) -> Object:
        """The pod that holds the Lease."""
        return eventually(self._leader, "a pod that leads", patience=PATIENCE)

    def _leader(self) -> Object | None:
        lease = self._cluster.get("Lease", LEASE)
        holder = str((lease or {}).get("spec", {}).get("holderIdentity") or "")
        return next((pod for pod in self.pods() if holder.startswith(f"{pod['metadata']['name']}_")), None)

    def scale(self, replicas: int) -> None:
        """Run so many, all of them ready, one of them leading."""
        self._cluster.patch("Deployment", NAME, {"spec": {"replicas": replicas}})
        eventually(lambda: self._ready(replicas), f"{replicas} operators to be ready", patience=PATIENCE)
        self.leader()

    def _ready(self, replicas: int) -> bool:
        pods = self.pods()
        return len(pods) == replicas and all(condition(pod, "Ready").get("status") == "True" for pod in pods)

    def delete(self, pod: Object) -> None:
        """As `kubectl delete --grace-period=0`."""
        self._cluster.delete("Pod", pod["metadata"]["name"], grace=0)

    def kill(self, process: str) -> None:
        """As the kernel does when memory runs out: at once, and nothing in the process can help it."""
        _signal(process, signal.SIGKILL)

    def freeze(self, process: str) -> None:
        """Stop a process in the middle of whatever it does."""
        self._frozen.add(process)
        _signal(process, signal.SIGSTOP)

    def wake(self, process: str) -> None:
        """Let a frozen process go on as if nothing had happened."""
        _signal(process, signal.SIGCONT)
        self._frozen.remove(process)

    def process(self, pod: Object) -> str:
        """The pod's process, as the node numbers it."""
        uid = str(pod["metadata"]["uid"])
        (found,) = node.processes(uid, "redstart.kube.operator")
        return found

    def container(self, pod: Object) -> Any:
        """The status of the pod's container."""
        found = self._cluster.get("Pod", pod["metadata"]["name"])
        assert found is not None
        (container,) = found["status"]["containerStatuses"]
        return container

    def restore(self) -> None:
        """As many as there were, ready, and none of them frozen."""
        for process in self._frozen:
            with suppress(subprocess.CalledProcessError):  # it has ended
                _signal(process, signal.SIGCONT)
        self._frozen.clear()
        self.scale(self._replicas)


def _signal(process: str, signal_: signal.Signals) -> None:
    node.run("kill", f"-{signal_.value}", process)
