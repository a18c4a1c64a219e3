"""What Redstart expects of a cluster, tried with plain pods: here a failure is the cluster's own."""

from __future__ import annotations

from tests.e2e.kubernetes import Kubernetes, Object, eventually
from tests.e2e.pods import restricted

IMAGE = "localhost/redstart-runtime:dev"
DATA = {"name": "data", "mountPath": "/data"}
SIDECAR = """
import socket
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind('/run/shared/socket')
print(listener.recv(100).decode(), flush=True)
listener.recv(100)
"""
WRITER = """
import http.server, pathlib, socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'heard', '/run/shared/socket')
pathlib.Path('/data/greeting').write_text('hello')
http.server.test(http.server.SimpleHTTPRequestHandler, port=8080)
"""
READER = """
import pathlib, urllib.request
served = urllib.request.urlopen('http://writer/data/greeting', timeout=10).read().decode()
assert served == pathlib.Path('/data/greeting').read_text() == 'hello', served
"""


def test_two_pods_share_a_claim_of_the_default_class_a_name_and_a_native_sidecar(cluster: Kubernetes) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    service = {"selector": {"app": "writer"}, "ports": [{"port": 80, "targetPort": 8080}]}
    writer = restricted(
        {
            **python("writer", WRITER),
            "workingDir": "/",
            "volumeMounts": [DATA, {"name": "shared", "mountPath": "/run/shared"}],
            "readinessProbe": {"httpGet": {"path": "/data/greeting", "port": 8080}, "periodSeconds": 1},
        },
        volumes=[claimed(), {"name": "shared", "emptyDir": {}}],
    )
    sidecar = {
        **writer["containers"][0],
        **python("sidecar", SIDECAR),
        "restartPolicy": "Always",
        "readinessProbe": None,
        "startupProbe": {"exec": {"command": ["test", "-S", "/run/shared/socket"]}, "periodSeconds": 1},
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": claim},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "writer"}, "spec": service},
        pod("writer", writer | {"initContainers": [sidecar]}),
    )
    eventually(lambda: ready(cluster, "writer"), "the writer serves")
    assert cluster.logs("writer", container="sidecar").strip() == "heard"

    reader = restricted({**python("reader", READER), "volumeMounts": [DATA]}, volumes=[claimed()])
    cluster.apply(pod("reader", reader | {"restartPolicy": "Never"}))
    ended = eventually(lambda: termination(cluster, "reader"), "the reader ends")
    assert ended["exitCode"] == 0, cluster.logs("reader")


def test_a_pod_that_takes_more_memory_than_its_limit_is_killed_for_it(cluster: Kubernetes) -> None:
    hungry = {**python("hungry", "b'x' * 2**28"), "resources": {"limits": {"memory": "64Mi"}}}
    cluster.apply(pod("hungry", restricted(hungry) | {"restartPolicy": "Never"}))
    ended = eventually(lambda: termination(cluster, "hungry"), "the pod ends")
    assert ended["reason"] == "OOMKilled"


def test_use_of_memory_is_measured(kubernetes: Kubernetes) -> None:
    system = kubernetes.within("kube-system")
    measured = eventually(lambda: system.list("PodMetrics", {"k8s-app": "kube-dns"}), "CoreDNS is measured")
    assert measured[0]["containers"][0]["usage"]["memory"] != "0"


def python(name: str, program: str) -> Object:
    return {"name": name, "image": IMAGE, "command": ["python", "-c", program]}


def pod(name: str, spec: Object) -> Object:
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def claimed() -> Object:
    return {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


def ready(cluster: Kubernetes, name: str) -> bool:
    found = (cluster.get("Pod", name) or {}).get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in found)


def termination(cluster: Kubernetes, name: str) -> Object | None:
    found = (cluster.get("Pod", name) or {}).get("status", {}).get("containerStatuses", [{}])
    ended: Object | None = found[0].get("state", {}).get("terminated")
    return ended
