"""PersistentVolumeClaims of the default StorageClass, and files in them."""

from __future__ import annotations

from tests.e2e.kubernetes import Kubernetes, Object, eventually
from tests.e2e.pods import restricted
from tests.e2e.traffic import IMAGE


def claim(name: str) -> Object:
    """A claim of the default StorageClass."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}},
    }


def copy(cluster: Kubernetes, config_map: str, claim: str, folder: str) -> None:
    """Copy the files of a ConfigMap into a folder of a claim, by a pod."""
    command = f"mkdir -p /claim/{folder} && cp -vL /files/* /claim/{folder}"
    container = {
        "name": "copy",
        "image": IMAGE,
        "command": ["sh", "-c", command],
        "volumeMounts": [{"name": "files", "mountPath": "/files"}, {"name": "claim", "mountPath": "/claim"}],
    }
    volumes = [
        {"name": "files", "configMap": {"name": config_map}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": claim}},
    ]
    pod = f"copy-{config_map}"
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod},
            "spec": restricted(container, restartPolicy="Never", volumes=volumes),
        }
    )
    phase = eventually(lambda: _ended(cluster, pod), f"pod {pod} has copied files")
    assert phase == "Succeeded", cluster.logs(pod)
    cluster.delete("Pod", pod)


def _ended(cluster: Kubernetes, pod: str) -> str | None:
    phase = (cluster.get("Pod", pod) or {}).get("status", {}).get("phase")
    return phase if phase in ("Succeeded", "Failed") else None
