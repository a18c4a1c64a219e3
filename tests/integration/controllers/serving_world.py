"""A world that serves: the operator's InferenceService reconciler, looked at second by second."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp

from redstart.artifacts.manifest import Manifest, encode, sha256
from redstart.controllers.inference_service.reconcile import InferenceServiceReconciler
from redstart.kube.controller import Context
from redstart.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    INFERENCE_SERVICE,
    MODEL_VERSION,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Key,
    Object,
)
from tests.integration.api import Api, model_version
from tests.integration.controllers.nodes import Nodes, states
from tests.integration.controllers.world import Killed, World

NAME = "iris"
ROUTER = f"{NAME}-router"
TRAFFIC = "redstart.dev/traffic"
KINDS = (DEPLOYMENT, SERVICE, CONFIG_MAP, POD_DISRUPTION_BUDGET, NETWORK_POLICY)
LOOKS = 60
"""More than any scenario takes."""


def service(version: str | None = None, **spec: Any) -> Object:
    """An InferenceService that follows iris, or serves one version of it; steps of 20 and 50 percent."""
    return {
        "apiVersion": INFERENCE_SERVICE.api_version,
        "kind": INFERENCE_SERVICE.kind,
        "metadata": {"name": NAME},
        "spec": {
            "model": {"name": "iris"} | ({"version": version} if version else {}),
            "rollout": {
                "steps": [{"weight": 20, "hold": "2s"}, {"weight": 50, "hold": "2s"}],
                "analysis": {"errorRate": {"maxIncrease": 0.05}},
                "minSamples": 50,
            },
            "traffic": {"timeout": "2s"},
        }
        | spec,
    }


class ServingWorld(World):
    """One namespace with its operator, its nodes and its clients."""

    def __init__(self, api: Api, session: aiohttp.ClientSession, server: str, namespace: str) -> None:
        self.nodes = Nodes(api, namespace)
        self.requests = 500
        """What clients send between two looks."""
        super().__init__(api, session, server, namespace)
        self.begun = api.request("GET", CONFIG_MAP.path(namespace))["metadata"]["resourceVersion"]

    def restart(self) -> None:
        super().restart()
        self.reconciler = InferenceServiceReconciler()

    def context(self) -> Context:
        """The operator runs in the same namespace, as a process of its own that a test starts does."""
        return replace(super().context(), namespace=self.namespace)

    async def look(self) -> None:
        """A second passes, and the operator looks at the service."""
        self.nodes.play()
        self.nodes.requests(self.requests)
        self.later += 1.0
        try:
            await self.sync()
            await self.reconciler.reconcile(Key(INFERENCE_SERVICE, self.namespace, NAME), self.context())
        except Killed:
            self.restart()

    async def until(self, reached: Callable[[], Any]) -> None:
        """Look until that is so."""
        for _ in range(LOOKS):
            if reached():
                return
            await self.look()
        raise AssertionError(f"not after {LOOKS} looks: {json.dumps(self.status, indent=1)}")

    async def rest(self) -> None:
        """Look until the operator has nothing more to write."""
        for _ in range(LOOKS):
            before, kills = self.client.taken, self.kills
            await self.look()
            if (self.client.taken, self.kills) == (before, kills) and not self.rolling_out:
                return
        raise AssertionError(
            f"the operator still writes after {LOOKS} looks: {json.dumps(self.status, indent=1)}"
        )

    def version(self, number: int, manifest: Manifest | None = None, **spec: Any) -> str:
        """A version of iris that is ready to be served; without a manifest its pods show none."""
        made = model_version(self.namespace, f"iris-v{number}")
        content = b"" if manifest is None else encode(manifest)
        digest = f"{number:x}" * 64 if manifest is None else sha256(content).removeprefix("sha256:")
        if manifest is not None:
            self.nodes.manifests[f"sha256:{digest}"] = content
        made["spec"]["artifact"] |= {
            "uri": f"pvc://models/iris/artifacts/{digest}",
            "digest": f"sha256:{digest}",
        }
        made["spec"] |= spec
        created = self.api.create(made)
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "Verified",
            "message": "all 256 rows match",
            "lastTransitionTime": created["metadata"]["creationTimestamp"],
            "observedGeneration": 1,
        }
        name = str(made["metadata"]["name"])
        self.set_status(
            MODEL_VERSION, name, {"phase": "Ready", "observedGeneration": 1, "conditions": [ready]}
        )
        return name

    async def serve(self, version: str | None = None, manifest: Manifest | None = None) -> None:
        """The first version serves."""
        self.claim("models")
        self.version(1, manifest)
        self.create(service(version))
        await self.rest()
        assert self.status["phase"] == "Serving", self.status

    @property
    def status(self) -> Any:
        return self.get(INFERENCE_SERVICE, NAME).get("status") or {}

    @property
    def record(self) -> Any:
        """What the router's ConfigMap carries of the rollout."""
        return traffic(self.get(CONFIG_MAP, ROUTER))

    @property
    def rolling_out(self) -> bool:
        config_map = self.api.get(CONFIG_MAP, self.namespace, ROUTER)
        return config_map is not None and "rollout" in traffic(config_map)

    @property
    def revisions(self) -> list[str]:
        """Names of the revisions that have a Deployment."""
        found = (
            obj["metadata"]["labels"].get("redstart.dev/revision")
            for obj in self.api.list(DEPLOYMENT, self.namespace)
        )
        return sorted(revision for revision in found if revision)

    def plans(self) -> list[Any]:
        """Every traffic record that there was, in order."""
        return [traffic(state) for state in states(self.api, CONFIG_MAP, self.namespace, ROUTER, self.begun)]

    def children(self) -> dict[str, Object]:
        """Every object that the operator made for the service, by kind and name."""
        return {
            f"{kind.kind} {obj['metadata']['name']}": obj
            | {"apiVersion": kind.api_version, "kind": kind.kind}
            for kind in KINDS
            for obj in self.api.list(kind, self.namespace)
            if obj["metadata"]["name"] not in ("kube-root-ca.crt", "kubernetes")
        }


def traffic(config_map: Object) -> Any:
    return json.loads(config_map["metadata"]["annotations"][TRAFFIC])
