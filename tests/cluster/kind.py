"""The cluster where a Docker engine runs: kind, which brings DNS, storage and the node itself."""

import shutil
import string
from pathlib import Path

from tests.cluster.commands import run, succeeds
from tests.cluster.programs import program

NAME = "redstart"
REPOSITORY = Path(__file__).parents[2]
METRICS_SERVER_IMAGE = "registry.k8s.io/metrics-server/metrics-server:v0.9.0"


def available() -> bool:
    """Whether kind is installed and a Docker engine answers."""
    return bool(shutil.which("kind") and shutil.which("docker")) and succeeds(["docker", "info"])


def up(kubeconfig: Path) -> None:
    """Make the cluster, or start its node again, and write the administrator's kubeconfig."""
    kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    nodes = run(["kind", "get", "nodes", "--name", NAME]).split()
    if nodes:
        run(["docker", "start", *nodes], shown=True)
        run(["kind", "export", "kubeconfig", "--name", NAME, "--kubeconfig", str(kubeconfig)], shown=True)
    else:
        config = str(REPOSITORY / "kind-config.yaml")
        create = ["kind", "create", "cluster", "--name", NAME, "--config", config]
        run([*create, "--kubeconfig", str(kubeconfig), "--wait", "180s"], shown=True)
    manifest = (Path(__file__).parent / "addons" / "metrics-server.yaml").read_text()
    # kind's kubelet signs its own serving certificate.
    values = {"metrics_server": METRICS_SERVER_IMAGE, "kubelet_trust": "--kubelet-insecure-tls"}
    kubectl = [str(program("kubectl")), f"--kubeconfig={kubeconfig}"]
    run([*kubectl, "wait", "--for=condition=Ready", "node", "--all", "--timeout=180s"], shown=True)
    apply = [*kubectl, "apply", "--server-side", "--force-conflicts", "-f", "-"]
    run(apply, string.Template(manifest).substitute(values))


def down() -> None:
    """Delete the cluster."""
    run(["kind", "delete", "cluster", "--name", NAME], shown=True)


def status() -> dict[str, str]:
    """Each node's state."""
    nodes = run(["kind", "get", "nodes", "--name", NAME]).split()
    return {node: run(["docker", "inspect", "--format", "{{.State.Status}}", node]).strip() for node in nodes}


def load(image: str) -> None:
    """Give an image of the Docker engine to the cluster's node."""
    run(["kind", "load", "docker-image", image, "--name", NAME], shown=True)
