"""A real S3 server in the cluster, and what tests keep in it."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import obstore
from obstore.store import S3Store

from tests.cluster import images
from tests.cluster.programs import program
from tests.e2e.kubernetes import KUBECONFIG, Kubernetes, Object, eventually
from tests.e2e.pods import restricted

NAME, PORT, BUCKET, REGION = "s3", 7070, "models", "us-east-1"
ACCESS_KEY, SECRET_KEY = (
    "redstart-tests",
    "not-a-secret-of-anyone",
)  # of a server that lives as long as the tests


@dataclass(frozen=True)
class Store:
    """The S3 server of one namespace, with one bucket."""

    namespace: str

    @property
    def endpoint(self) -> str:
        """Where pods reach it."""
        return f"http://{NAME}.{self.namespace}.svc:{PORT}"

    def uri(self, path: str) -> str:
        """A path of the bucket, as the resources name it."""
        return f"s3://{BUCKET}/{path}"

    def secret(self, name: str = "store", **options: str) -> Object:
        """The Secret that a secretRef names; `options` replace some of its keys."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": {
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_ENDPOINT_URL": self.endpoint,
                "AWS_ALLOW_HTTP": "true",
                "AWS_REGION": REGION,
                **options,
            },
        }

    def put(self, path: str, content: bytes) -> None:
        """Write a file of the bucket, whatever was there."""
        with self._bucket() as bucket:
            obstore.put(bucket, path, content)

    def get(self, path: str) -> bytes:
        """Read a file of the bucket."""
        with self._bucket() as bucket:
            return bytes(obstore.get(bucket, path).bytes())

    def delete(self, folder: str) -> None:
        """Delete all files below a folder of the bucket."""
        paths = self.list(folder)
        with self._bucket() as bucket:
            obstore.delete(bucket, paths)

    def list(self, folder: str) -> list[str]:
        """The paths of all files below a folder of the bucket."""
        with self._bucket() as bucket:
            return sorted(item["path"] for chunk in obstore.list(bucket, prefix=folder) for item in chunk)

    @contextmanager
    def _bucket(self) -> Iterator[S3Store]:
        """The bucket as this process reaches it, for a moment: a port-forward works in every kind of cluster."""
        command = [str(program("kubectl")), f"--kubeconfig={KUBECONFIG}", f"--namespace={self.namespace}"]
        forward = [*command, "port-forward", f"service/{NAME}", f":{PORT}", "--address=127.0.0.1"]
        with subprocess.Popen(
            forward, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                assert process.stdout is not None
                said = process.stdout.readline()
                assert said.startswith("Forwarding from"), f"{said}{process.stdout.read()}"
                address = said.removeprefix("Forwarding from").split()[0]
                yield S3Store(
                    BUCKET,
                    endpoint=f"http://{address}",
                    access_key_id=ACCESS_KEY,
                    secret_access_key=SECRET_KEY,
                    region=REGION,
                    client_options={"allow_http": True},
                )
            finally:
                process.terminate()


def start(kubernetes: Kubernetes) -> Store:
    """Start a server in a namespace of its own; it is ready when this returns."""
    images.build([images.STORE])
    store = Store(f"redstart-e2e-{uuid.uuid4().hex[:8]}")
    inside = kubernetes.within(store.namespace)
    inside.apply(namespace(store.namespace), store.secret(NAME), _service(), _deployment())
    eventually(lambda: _is_ready(inside), "the S3 server is ready")
    return store


def namespace(name: str) -> Object:
    """A namespace that takes only pods of the level "restricted"."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _is_ready(kubernetes: Kubernetes) -> bool:
    found = kubernetes.get("Deployment", NAME) or {}
    return bool(found.get("status", {}).get("readyReplicas"))


def _service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": PORT}]},
    }


def _deployment() -> Object:
    def of_secret(variable: str, key: str) -> Object:
        return {"name": variable, "valueFrom": {"secretKeyRef": {"name": NAME, "key": key}}}

    container = {
        "name": NAME,
        "image": images.STORE.reference,
        # To this server a folder of its root is a bucket. What else S3 keeps of a file goes to the sidecar folder, so
        # that nothing depends on extended attributes; lock files are for several servers of one root.
        "args": [
            "--quiet",
            "--health=/health",
            "posix",
            "--sidecar=/attributes",
            "--disable-object-lock-file",
            "/buckets",
        ],
        "env": [
            of_secret("ROOT_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            of_secret("ROOT_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
        ],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "files", "mountPath": f"/buckets/{BUCKET}", "subPath": BUCKET},
            {"name": "files", "mountPath": "/attributes", "subPath": "attributes"},
            {"name": "files", "mountPath": "/tmp", "subPath": "tmp"},
        ],
    }
    pod = restricted(container, volumes=[{"name": "files", "emptyDir": {}}])
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "selector": {"matchLabels": {"app": NAME}},
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": {"app": NAME}}, "spec": pod},
        },
    }
