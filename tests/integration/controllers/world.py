"""The operator's controllers against a real API server, with everything else of a cluster played by the test.

No kubelet and no controller manager run here: the test makes pods, ends Jobs and collects what lost its owner.
The operator is our reconciles, called until nothing is left to write; it can be killed before any write, and
the next one has nothing in memory.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Any

import aiohttp

from redstart.controllers.conditions import timestamp
from redstart.controllers.registry import CONTROLLERS
from redstart.kube.client import Client
from redstart.kube.cluster import Cluster
from redstart.kube.controller import Context
from redstart.kube.events import Events
from redstart.kube.informer import selector
from redstart.kube.kinds import (
    CONFIG_MAP,
    EVENT,
    JOB,
    MODEL_VERSION,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    TRAINING_JOB,
    WATCHED_KINDS,
    Key,
    Kind,
    Object,
    key_of,
)
from redstart.kube.store import Store
from redstart.settings import Settings
from tests.integration.api import Api

KINDS = (TRAINING_JOB, MODEL_VERSION)
RECONCILES = {controller.kind: controller.reconcile for controller in CONTROLLERS}
SETTINGS = Settings.model_validate({"images": {"runtime": "runtime:1", "router": "router:1"}})


class Killed(BaseException):
    """The operator's process ends here: nothing in it may catch this."""


class PlayedCluster(Cluster):
    """Logs come from a kubelet, of which there is none."""

    def __init__(self, client: Client, store: Store, events: Events, logs: dict[str, str]) -> None:
        super().__init__(client, store, events)
        self._played = logs

    async def logs(self, namespace: str, pod: str, container: str, tail_lines: int) -> str:
        return self._played[pod]


class CountingClient(Client):
    """Counts the writes that the API server took."""

    taken = 0

    async def _request(self, method: str, path: str, **options: Any) -> Any:
        answer = await super()._request(method, path, **options)
        self.taken += method != "GET"
        return answer


class World:
    """One namespace, its operator, and the parts of the cluster that the test plays."""

    def __init__(self, api: Api, session: aiohttp.ClientSession, server: str, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.writes = 0
        """Writes that were tried."""
        self.kill_before: int | None = None
        """The number of the write before which the operator is killed, once."""
        self.kills = 0
        self.later = 0.0
        """Seconds that the operator's clock is ahead."""
        self.logs: dict[str, str] = {}
        self.client = CountingClient(session, server, before_write=self._before_write)
        self.settings = SETTINGS
        self._session = session
        self.restart()

    def restart(self) -> None:
        """Another process, with nothing in memory."""
        self.store = Store()
        self.cluster = PlayedCluster(self.client, self.store, Events(self.client, self.now), self.logs)

    def now(self) -> float:
        return time.time() + self.later

    def _before_write(self) -> None:
        self.writes += 1
        if self.writes == self.kill_before:
            self.kill_before = None
            self.kills += 1
            raise Killed

    # The operator

    async def sync(self) -> None:
        """Let the cache see everything, as the watches do in time."""
        answers = await asyncio.gather(
            *(self.client.list(kind, self.namespace, selector(kind)) for kind in WATCHED_KINDS)
        )
        for kind, (listed, at) in zip(WATCHED_KINDS, answers, strict=True):
            for obj in listed:
                self.store.saw(obj)
            for ghost in self.store.ghosts(kind, self.namespace, listed, int(at)):
                self.store.gone(ghost)

    async def operate(self, *kinds: Kind, passes: int = 20) -> None:
        """Reconcile everything, after being killed too, until the API server takes nothing more.

        Raises:
            AssertionError: it never comes to rest.
        """
        for _ in range(passes):
            before, kills = self.client.taken, self.kills
            try:
                await self.sync()
                for key in self._keys(kinds or KINDS):
                    await RECONCILES[key.kind](key, self.context())
            except Killed:
                self.restart()
            self._collect()
            if self.client.taken == before and self.kills == kills:
                return
        raise AssertionError(f"the operator still writes after {passes} passes")

    def context(self) -> Context:
        return Context(self.cluster, self.settings, self.now, self._session)

    def _keys(self, kinds: Iterable[Kind]) -> list[Key]:
        found = [key_of(obj) for kind in kinds for obj in self.store.list(kind, self.namespace)]
        return sorted(found, key=lambda key: (key.kind.kind, key.name))

    # The user

    def create(self, obj: Object) -> Object:
        return self.api.create(obj | {"metadata": {"namespace": self.namespace} | obj["metadata"]})

    def training_job(self, name: str = "iris", **spec: Any) -> Object:
        return self.create(
            {
                "apiVersion": TRAINING_JOB.api_version,
                "kind": TRAINING_JOB.kind,
                "metadata": {"name": name},
                "spec": {
                    "model": "iris",
                    "task": "Classification",
                    "data": {"sources": [{"uri": "pvc://data/iris.csv"}], "target": "species"},
                    "algorithm": {"estimator": "RandomForestClassifier"},
                    "output": {"uri": "pvc://models"},
                }
                | spec,
            }
        )

    def claim(self, name: str, mode: str = "ReadWriteMany") -> Object:
        return self.create(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name},
                "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}},
            }
        )

    def edit(self, kind: Kind, name: str, patch: Object) -> Object:
        return self.api.patch(kind, self.namespace, name, patch)

    def get(self, kind: Kind, name: str) -> Object:
        found = self.api.get(kind, self.namespace, name)
        assert found is not None, f"{kind} {name} does not exist"
        return found

    def names(self, kind: Kind) -> list[str]:
        return sorted(
            obj["metadata"]["name"]
            for obj in self.api.list(kind, self.namespace)
            if obj["metadata"]["name"] != "kube-root-ca.crt"
        )

    def condition(self, kind: Kind, name: str, type_: str = "Ready") -> tuple[str, str, str]:
        status = self.get(kind, name)["status"]
        for found in status["conditions"]:
            if found["type"] == type_:
                return found["status"], found["reason"], found["message"]
        return "", "", ""

    def events(self) -> list[str]:
        found = self.api.list(EVENT, self.namespace)
        return sorted({f"{event['involvedObject']['name']}: {event['reason']}" for event in found})

    # The kubelet and the Job controller

    def start_pod(self, job: str, name: str = "", **status: Any) -> str:
        """Make a Job's pod, running unless `status` says otherwise."""
        owner = self.get(JOB, job)
        name = name or f"{job}-pod"
        self.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "labels": owner["spec"]["template"]["metadata"]["labels"],
                    "ownerReferences": [
                        {
                            "apiVersion": "batch/v1",
                            "kind": "Job",
                            "name": job,
                            "uid": owner["metadata"]["uid"],
                            "controller": True,
                        }
                    ],
                },
                "spec": owner["spec"]["template"]["spec"] | {"nodeName": "node-1"},
            }
        )
        self.set_status(POD, name, {"phase": "Running"} | status)
        return name

    def end_pod(self, name: str, container: str, code: int, message: Any = "") -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        pod = self.get(POD, name)
        init = any(c["name"] == container for c in pod["spec"].get("initContainers", []))
        now = timestamp(time.time())
        status = {
            "name": container,
            "image": "runtime:1",
            "imageID": "runtime@sha256:1",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "message": text, "startedAt": now, "finishedAt": now}},
        }
        phase = "Succeeded" if code == 0 else "Failed"
        self.set_status(
            POD, name, {"phase": phase, "initContainerStatuses" if init else "containerStatuses": [status]}
        )

    def end_job(self, name: str, *, complete: bool, reason: str = "Ended", ago: float = 0) -> None:
        then = timestamp(time.time() - ago)

        def condition(type_: str) -> Object:
            return {
                "type": type_,
                "status": "True",
                "reason": reason,
                "message": f"{name} ended",
                "lastProbeTime": then,
                "lastTransitionTime": then,
            }

        if complete:
            types, result = ("SuccessCriteriaMet", "Complete"), {"succeeded": 1, "completionTime": then}
        else:
            types, result = ("FailureTarget", "Failed"), {"failed": 1}
        conditions = [condition(type_) for type_ in types]
        self.set_status(JOB, name, {"startTime": then, "conditions": conditions, **result})

    def set_status(self, kind: Kind, name: str, status: Object) -> None:
        path = f"{kind.path(self.namespace, name)}/status"
        self.api.request("PATCH", path, {"status": status}, "application/merge-patch+json")

    def _collect(self) -> None:
        """What the garbage collector does: pods whose Job is gone go too."""
        uids = {job["metadata"]["uid"] for job in self.api.list(JOB, self.namespace)}
        for pod in self.api.list(POD, self.namespace):
            owners = pod["metadata"].get("ownerReferences", [])
            if owners and not any(owner["uid"] in uids for owner in owners):
                path = POD.path(self.namespace, pod["metadata"]["name"])
                self.api.request("DELETE", f"{path}?gracePeriodSeconds=0")

    # What is left in the end

    def snapshot(self) -> list[Object]:
        """Every object that the operator made or reports on, without what differs from run to run."""
        kinds = (TRAINING_JOB, JOB, CONFIG_MAP, MODEL_VERSION, PERSISTENT_VOLUME_CLAIM)
        return [
            _plain(obj) | {"kind": kind.kind}
            for kind in kinds
            for obj in self.api.list(kind, self.namespace)
            if obj["metadata"]["name"] != "kube-root-ca.crt"
        ]


_DIFFERS = {
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "namespace",
    "ownerReferences",
    "lastTransitionTime",
    "lastProbeTime",
    "startTime",
    "completionTime",
    "startedAt",
    "finishedAt",
    "data",
    "batch.kubernetes.io/controller-uid",
    "controller-uid",
    "redstart.dev/applied",
}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in _DIFFERS}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
