"""The cluster as its user sees it, over the API server: nothing of the operator's own client is used."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import httpx

from redstart.kube.credentials import from_kubeconfig

Object = dict[str, Any]
T = TypeVar("T")

KUBECONFIG = Path(__file__).parents[2] / ".cluster" / "kubeconfig"
PATIENCE = 120.0
"""Seconds that a condition may take on a busy machine."""

_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ResourceQuota": "/api/v1/namespaces/{}/resourcequotas",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "Event": "/api/v1/namespaces/{}/events",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "PodMetrics": "/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
    "TrainingJob": "/apis/redstart.dev/v1alpha1/namespaces/{}/trainingjobs",
    "ModelVersion": "/apis/redstart.dev/v1alpha1/namespaces/{}/modelversions",
    "InferenceService": "/apis/redstart.dev/v1alpha1/namespaces/{}/inferenceservices",
}


class RefusedError(Exception):
    """The API server's refusal, with the sentence that kubectl shows."""


class Kubernetes:
    """One namespace of the cluster."""

    def __init__(self, namespace: str, http: httpx.Client | None = None) -> None:
        self.namespace = namespace
        self._http = http or _connect()

    def within(self, namespace: str) -> Kubernetes:
        """The same connection, another namespace."""
        return Kubernetes(namespace, self._http)

    def apply(self, *objects: Object) -> None:
        """As `kubectl apply --server-side`."""
        for obj in objects:
            name = obj["metadata"]["name"]
            self._request(
                "PATCH",
                f"{self._path(obj['kind'])}/{name}?fieldManager=kubectl&force=true",
                obj,
                "application/apply-patch+yaml",
            )

    def patch(self, kind: str, name: str, patch: Object) -> None:
        """As `kubectl patch --type merge`."""
        self._request("PATCH", f"{self._path(kind)}/{name}", patch, "application/merge-patch+json")

    def get(self, kind: str, name: str) -> Object | None:
        """The object, or None."""
        answer = self._http.get(f"{self._path(kind)}/{name}")
        return None if answer.status_code == 404 else self._body(answer)

    def events(self, name: str) -> list[Object]:
        """Events about the objects of that name."""
        return [event for event in self.list("Event") if event["involvedObject"]["name"] == name]

    def list(self, kind: str, labels: Mapping[str, str] | None = None) -> list[Object]:
        """All of a kind that carry the labels."""
        selector = ",".join(f"{name}={value}" for name, value in (labels or {}).items())
        items: list[Object] = self._body(
            self._http.get(self._path(kind), params={"labelSelector": selector})
        )["items"]
        return items

    def watch(self, kind: str, name: str | None, stop: Event) -> Iterator[Object]:
        """Every state of an object, or of all of a kind, that there is from now until `stop` is set."""
        version = ""
        while not stop.is_set():
            params = {"watch": "true", "timeoutSeconds": "5"}
            if name is not None:
                params["fieldSelector"] = f"metadata.name={name}"
            with self._http.stream(
                "GET", self._path(kind), params=params | {"resourceVersion": version}
            ) as lines:
                for line in lines.raise_for_status().iter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # too long ago: begin anew
                        version = ""
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    yield event["object"]

    def delete(self, kind: str, name: str, *, grace: int | None = None) -> None:
        """As `kubectl delete --wait=false`."""
        body = {"propagationPolicy": "Background"} | ({} if grace is None else {"gracePeriodSeconds": grace})
        answer = self._http.request("DELETE", f"{self._path(kind)}/{name}", json=body)
        if answer.status_code != 404:
            self._body(answer)

    def logs(self, pod: str, *, container: str | None = None, tail: int | None = None) -> str:
        """A pod's log."""
        params: dict[str, Any] = {} if container is None else {"container": container}
        if tail is not None:
            params["tailLines"] = tail
        answer = self._http.get(f"{self._path('Pod')}/{pod}/log", params=params)
        return answer.text if answer.is_success else ""

    def service(self, method: str, name: str, path: str, body: Any = None) -> httpx.Response:
        """A request to a Service through the API server's proxy, from outside the cluster."""
        return self._http.request(
            method, f"/api/v1/namespaces/{self.namespace}/services/{name}:http/proxy{path}", json=body
        )

    def pod(self, name: str, port: int, path: str) -> httpx.Response:
        """GET of a pod's port through the API server's proxy."""
        return self._http.get(f"/api/v1/namespaces/{self.namespace}/pods/{name}:{port}/proxy{path}")

    def read(self, path: str) -> Object:
        """GET of any path of the API server."""
        return self._body(self._http.get(path))

    def _path(self, kind: str) -> str:
        return _PATHS[kind].format(self.namespace)

    def _request(self, method: str, path: str, body: Any, content_type: str) -> Object:
        answer = self._http.request(
            method, path, content=json.dumps(body), headers={"Content-Type": content_type}
        )
        return self._body(answer)

    @staticmethod
    def _body(answer: httpx.Response) -> Object:
        if answer.is_success:
            body: Object = answer.json()
            return body
        try:
            message = answer.json()["message"]
        except ValueError:
            message = answer.text
        raise RefusedError(message)


def _connect() -> httpx.Client:
    account = from_kubeconfig([KUBECONFIG])
    return httpx.Client(base_url=account.server, verify=account.ssl, timeout=30)


def eventually(
    look: Callable[[], T | None], what: str, *, patience: float = PATIENCE, every: float = 0.25
) -> T:
    """What `look` returns as soon as it is true; what it saw last is in the failure."""
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {patience:.0f} s; last seen: {found!r}")
        time.sleep(every)


def condition(obj: Object | None, type_: str) -> Object:
    """That condition of an object's status, or an empty one."""
    found: Iterable[Object] = ((obj or {}).get("status") or {}).get("conditions", [])
    return next((entry for entry in found if entry["type"] == type_), {})


def is_ready(obj: Object | None) -> bool:
    """Whether Ready is True for the spec as it is now."""
    ready = condition(obj, "Ready")
    return bool(
        obj and ready.get("status") == "True" and ready["observedGeneration"] == obj["metadata"]["generation"]
    )
