"""The API server without the operator's client: what a user or another controller does to it."""

import itertools
import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import yaml

from redstart.kube.kinds import (
    MODEL_VERSION,
    Kind,
    Object,
    kind_of,
)
from tests.cluster.control_plane import ControlPlane

MANIFESTS = Path(__file__).parents[2] / "manifests"
CRDS: list[Object] = [
    yaml.safe_load(path.read_text()) for path in sorted((MANIFESTS / "crds").glob("redstart.dev_*.yaml"))
]
PATIENCE = 60.0  # seconds; for a machine that is busy with other things
KEPT = 30.0  # seconds; the API server ends a connection that is idle for 90

NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
CRD = Kind(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")

T = TypeVar("T")
_numbers = itertools.count(1)


class RefusedError(Exception):
    """The API server's answer, with `status` and `message`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Api:
    url: str
    context: ssl.SSLContext = field(repr=False)
    _kept: threading.local = field(default_factory=threading.local, repr=False)

    @classmethod
    def of(
        cls, control_plane: ControlPlane, user: str = "admin", groups: Iterable[str] = ("system:masters",)
    ) -> Self:
        context = ssl.create_default_context(cafile=str(control_plane.certificate_authority))
        pair = control_plane.client(user, list(groups))
        context.load_cert_chain(pair.certificate, pair.key)
        return cls(control_plane.url, context)

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        try:
            return self.request("GET", kind.path(namespace, name))
        except RefusedError as refused:
            if refused.status == 404:
                return None
            raise

    def list(self, kind: Kind, namespace: str | None = None) -> "list[Object]":
        items: list[Object] = self.request("GET", kind.path(namespace))["items"]
        return items

    def create(self, obj: Object, manager: str = "user") -> Object:
        kind = _kind(obj)
        path = kind.path(obj["metadata"].get("namespace"))
        return self.request("POST", f"{path}?fieldManager={manager}", obj)

    def patch(self, kind: Kind, namespace: str, name: str, patch: Any, manager: str = "user") -> Object:
        """A JSON merge patch, as `kubectl edit` sends it."""
        path = f"{kind.path(namespace, name)}?fieldManager={manager}"
        return self.request("PATCH", path, patch, "application/merge-patch+json")

    def apply(self, obj: Object, manager: str, *, force: bool = False) -> Object:
        path = _kind(obj).path(obj["metadata"]["namespace"], obj["metadata"]["name"])
        query = f"?fieldManager={manager}&force={str(force).lower()}"
        return self.request("PATCH", path + query, obj, "application/apply-patch+yaml")

    def delete(self, kind: Kind, namespace: str | None, name: str) -> None:
        self.request("DELETE", kind.path(namespace, name))

    def new_namespace(self) -> str:
        name = f"test-{next(_numbers)}-{time.time_ns() % 1_000_000_007:x}"
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    def install(self, crd: Object) -> None:
        """Create a custom resource and wait until it is served."""
        self.create(crd)
        spec = crd["spec"]
        path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        eventually(lambda: self.request("GET", path), retried=RefusedError)

    def stream(self, path: str) -> Iterator[Object]:
        """What a watch tells, one event after the other."""
        with urllib.request.urlopen(self.url + path, context=self.context, timeout=30) as answer:
            for line in answer:
                yield json.loads(line)

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Any:
        connection = self._connection()
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {"Content-Type": content_type})
            answer = connection.getresponse()
            text = answer.read()
        except BaseException:
            connection.close()  # it may still hold half an answer
            raise
        self._kept.used = time.monotonic()
        if answer.status < 300:
            return json.loads(text)
        try:
            message = json.loads(text)["message"]
        except ValueError:
            message = text.decode()
        raise RefusedError(answer.status, message)

    def _connection(self) -> HTTPSConnection:
        """One for each thread: a handshake takes longer than most requests."""
        known: HTTPSConnection | None = getattr(self._kept, "connection", None)
        if known is not None and time.monotonic() - self._kept.used < KEPT:
            return known
        if known is not None:
            known.close()
        url = urlsplit(self.url)
        made = HTTPSConnection(url.hostname or "", url.port, context=self.context, timeout=30)
        self._kept.connection, self._kept.used = made, time.monotonic()
        return made


def eventually(look: Callable[[], T], retried: type[Exception] = AssertionError) -> T:
    """What `look` returns as soon as it is true and raises nothing of `retried`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        problem: Exception | None = None
        try:
            if found := look():
                return found
        except retried as error:
            problem = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE:.0f} s") from problem
        time.sleep(0.05)


def model_version(namespace: str, name: str) -> Object:
    """A valid ModelVersion; `name` is <model>-v<number>."""
    model, _, number = name.rpartition("-v")
    return {
        "apiVersion": MODEL_VERSION.api_version,
        "kind": MODEL_VERSION.kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "model": model,
            "number": int(number),
            "artifact": {
                "uri": f"pvc://models/{model}/artifacts/{'0' * 64}",
                "digest": f"sha256:{'0' * 64}",
                "format": "ONNX",
            },
        },
    }


def _kind(obj: Object) -> Kind:
    for kind in (NAMESPACE, CRD, ROLE, ROLE_BINDING):
        if kind.kind == obj["kind"]:
            return kind
    return kind_of(obj)
