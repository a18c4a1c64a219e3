"""The cluster on a machine without Docker: real programs as processes of this machine, one node.

One per machine, as its ports and network are. `up` compares what should run with what does and mends the
difference, so it is also how a cluster is repaired.
"""

import os
import shutil
import socket
import string
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import flags, scratch
from tests.cluster.commands import run, succeeds, timed
from tests.cluster.machine import CLUSTER, require
from tests.cluster.node import NAME, SOCKET, Node, own_address
from tests.cluster.processes import Daemon, boot_id, wait
from tests.cluster.programs import cache, directory, locked

ROOT = cache() / "cluster" / "native"
ADDONS = Path(__file__).parent / "addons"
PORTS = flags.Ports()
# In the order in which they start.
DAEMONS = {
    name: Daemon(name, ROOT / "run", ROOT / "logs")
    for name in (
        "etcd",
        "containerd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
    )
}


def up(kubeconfig: Path) -> None:
    """Start what does not run, wait until pods can start, and write the administrator's kubeconfig."""
    if os.geteuid():
        raise SystemExit("Without Docker and kind, the cluster's programs run on this machine and need root.")
    require(CLUSTER)
    programs = directory()
    images = {
        name: scratch.image_of(programs / name)
        for name in ("coredns", "metrics-server", "local-path-provisioner")
    }
    images |= {"busybox": scratch.busybox(), "pause": scratch.pause()}
    with locked(ROOT / "lock"), timed("cluster"):
        node = Node(ROOT, own_address())
        identities = flags.Identities(ROOT / "pki", node.address)
        forget_previous_boot(node)
        with timed("control plane"):
            kubectl = start_control_plane(programs, identities)
        with timed("node"):
            start_node(node, programs, identities, images, kubectl)
        with timed("DNS and storage"):
            run([*kubectl, "apply", "--server-side", "--force-conflicts", "-f", "-"], addons(images, node))
            for deployment in ("kube-system/coredns", "local-path-storage/local-path-provisioner"):
                namespace, name = deployment.split("/")
                rollout = ["rollout", "status", f"deployment/{name}", "--timeout=120s"]
                run([*kubectl, *rollout, f"--namespace={namespace}"])
            # The status may be from before a restart; this goes through kube-proxy to the present CoreDNS.
            if not wait(lambda: connects(flags.DNS_ADDRESS, 53), 60):
                raise SystemExit(
                    f"Nothing answers at {flags.DNS_ADDRESS}:53:\n{tail(DAEMONS['kube-proxy'].log)}"
                )
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(admin(identities), kubeconfig)


def start_control_plane(programs: Path, identities: flags.Identities) -> list[str | Path]:
    """Start etcd, API server, scheduler and controllers; return the administrator's kubectl."""
    start("etcd", flags.etcd(programs, ROOT / "etcd", PORTS))
    start("kube-apiserver", flags.api_server(programs, identities, PORTS))
    kubectl: list[str | Path] = [programs / "kubectl", f"--kubeconfig={admin(identities)}"]
    await_(("etcd", "kube-apiserver"), [*kubectl, "get", "--raw", "/readyz"])
    start("kube-controller-manager", flags.controller_manager(programs, identities, PORTS))
    start("kube-scheduler", flags.scheduler(programs, identities, PORTS))
    return kubectl


def start_node(
    node: Node,
    programs: Path,
    identities: flags.Identities,
    images: dict[str, tuple[str, Path]],
    kubectl: list[str | Path],
) -> None:
    """Start containerd, kubelet and kube-proxy, and wait until the node takes pods."""
    node.volumes.mkdir(parents=True, exist_ok=True)
    node.connect()
    start("containerd", node.containerd(images["pause"][0]))
    await_(("containerd",), ctr("version"))
    import_images(dict(images.values()))
    start("kubelet", node.kubelet(programs, identities, PORTS.url))
    start("kube-proxy", node.kube_proxy(programs, identities, PORTS.url))
    for probe in (
        ["wait", "--for=condition=Ready", f"node/{NAME}", "--timeout=5s"],
        # That condition may be of a kubelet that ran before; this asks the present one.
        ["get", "--raw", f"/api/v1/nodes/{NAME}/proxy/healthz"],
    ):
        await_(("kube-apiserver", "containerd", "kubelet"), [*kubectl, *probe])


def down() -> None:
    """Stop everything and delete what it left, but for the images: importing them again takes longest."""
    if not ROOT.exists():
        return
    with locked(ROOT / "lock"), timed("stop"):
        for daemon in reversed(DAEMONS.values()):
            daemon.stop(grace=2)  # all that they could still write is deleted
        node = Node(ROOT, "")
        node.clear()
        if (ROOT / "containerd").exists():
            forget_containers(node)
        for path in ROOT.iterdir():
            if path.name not in ("containerd", "lock"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def status() -> dict[str, int | None]:
    """Each program's pid, None for one that does not run."""
    return {name: daemon.running() for name, daemon in DAEMONS.items()}


def admin(identities: flags.Identities) -> Path:
    """The administrator's kubeconfig."""
    return identities.user("admin", PORTS.url, ["system:masters"])


def forget_previous_boot(node: Node) -> None:
    """After a restart of the machine, nothing that the node wrote down about the running is true any more."""
    record = ROOT / "boot"
    if not record.exists() or record.read_text() != boot_id():
        node.forget_running()
        record.write_text(boot_id())


def start(name: str, command: list[str | Path]) -> None:
    """Start a program unless it runs."""
    DAEMONS[name].ensure(command)


def await_(names: Sequence[str], probe: list[str | Path], seconds: float = 60.0) -> None:
    """Wait until the probe succeeds; one of these programs that ends meanwhile ends the wait."""

    def answered() -> bool:
        if succeeds(probe):
            return True
        for name in names:
            if DAEMONS[name].running() is None:
                raise SystemExit(f"{name} ended:\n{tail(DAEMONS[name].log)}")
        return False

    if not wait(answered, seconds, interval=0.1):
        raise SystemExit(
            f"{names[-1]} does not answer after {seconds:.0f} s:\n{tail(DAEMONS[names[-1]].log)}"
        )


def connects(address: str, port: int) -> bool:
    """Whether something accepts TCP connections there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def tail(log: Path) -> str:
    """The end of a log, and where the rest is."""
    return f"{log.read_text(errors='replace')[-2000:]}\n(the whole log: {log})"


def ctr(*arguments: str) -> list[str | Path]:
    """containerd's own client, in the namespace that the kubelet uses."""
    return ["ctr", f"--address={SOCKET}", "--namespace=k8s.io", *arguments]


def import_images(archives: dict[str, Path]) -> None:
    """Import those that the node does not have under this name."""
    there = run(ctr("images", "ls", "--quiet")).split()
    for name, archive in archives.items():
        if name not in there:
            run(ctr("images", "import", str(archive)))


def forget_containers(node: Node) -> None:
    """Let containerd delete what it keeps of containers that have ended, or delete all that it keeps when
    it cannot."""
    try:
        start("containerd", node.containerd("localhost/pause:3.10"))
        await_(("containerd",), ctr("version"))
        if names := run(ctr("containers", "ls", "--quiet")).split():
            run(ctr("containers", "delete", *names))
    except SystemExit as error:
        print(f"containerd's images are deleted, too: {error}", file=sys.stderr)
        DAEMONS["containerd"].stop()
        shutil.rmtree(ROOT / "containerd")
    DAEMONS["containerd"].stop()
    node.clear()


def addons(images: dict[str, tuple[str, Path]], node: Node) -> str:
    """The manifests of what every cluster offers: DNS, storage, metrics."""
    values = {name.replace("-", "_"): image for name, (image, _) in images.items()}
    values["dns_address"] = flags.DNS_ADDRESS
    values["volumes"] = str(node.volumes)
    authority = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    values["kubelet_trust"] = f"--kubelet-certificate-authority={authority}"
    files = ("coredns", "storage", "metrics-server")
    return "\n---\n".join(
        string.Template((ADDONS / f"{file}.yaml").read_text()).substitute(values) for file in files
    )
