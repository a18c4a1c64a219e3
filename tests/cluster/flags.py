"""The command lines of the control plane: the same for tests that want only the API and for the cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.pki import Authority, KeyPair, kubeconfig, signing_key

SERVICE_NETWORK = "10.96.0.0/16"
KUBERNETES_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
POD_NETWORK = "10.244.0.0/24"


@dataclass(frozen=True)
class Ports:
    """Where the control plane listens on 127.0.0.1 (the API server on every address)."""

    api: int = 6443
    etcd: int = 2379
    etcd_peer: int = 2380
    controller_manager: int = 10257

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.api}"


@dataclass(frozen=True)
class Identities:
    """Who is who in one cluster: its authorities, and each program's certificate under `folder`."""

    folder: Path
    address: str  # the node's own, which pods reach the API server under

    @property
    def authority(self) -> Authority:
        return Authority(self.folder, "ca")

    @property
    def front_proxy(self) -> Authority:
        """Vouches for the API server towards aggregated APIs; must not vouch for users."""
        return Authority(self.folder, "front-proxy-ca")

    def api_server(self) -> KeyPair:
        names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        hosts = [*names, "127.0.0.1", KUBERNETES_ADDRESS, self.address]
        return self.authority.issue("apiserver", "kube-apiserver", hosts=hosts)

    def user(self, name: str, url: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for this user, under the name's last part."""
        short = name.rpartition(":")[2]
        pair = self.authority.issue(short, name, groups)
        return kubeconfig(self.folder / f"{short}.kubeconfig", url, self.authority.pair, pair)


def etcd(programs: Path, data: Path, ports: Ports) -> list[str | Path]:
    """One member. Its data need not survive a loss of power, so it does not wait for the disk."""
    client, peer = f"http://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
    return [
        programs / "etcd",
        "--name=redstart",
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=redstart={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(programs: Path, identities: Identities, ports: Ports) -> list[str | Path]:
    """With RBAC, and with what aggregated APIs (metrics-server) need."""
    authority, front = identities.authority, identities.front_proxy
    serving = identities.api_server()
    kubelet = authority.issue("apiserver-kubelet-client", "kube-apiserver", ["system:masters"])
    proxy = front.issue("front-proxy-client", "front-proxy-client")
    public, private = signing_key(identities.folder, "service-accounts")
    return [
        programs / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        f"--secure-port={ports.api}",
        f"--advertise-address={identities.address}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        f"--client-ca-file={authority.pair.certificate}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={public}",
        f"--service-account-signing-key-file={private}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        # The node's name resolves nowhere: without this, logs and exec fail.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={authority.pair.certificate}",
        f"--kubelet-client-certificate={kubelet.certificate}",
        f"--kubelet-client-key={kubelet.key}",
        f"--requestheader-client-ca-file={front.pair.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={proxy.certificate}",
        f"--proxy-client-key-file={proxy.key}",
        # Straight to the pod of an aggregated API, whatever state kube-proxy is in.
        "--enable-aggregator-routing=true",
    ]


def controller_manager(programs: Path, identities: Identities, ports: Ports) -> list[str | Path]:
    """Every controller, each with its own ServiceAccount's rights."""
    config = identities.user("system:kube-controller-manager", ports.url)
    authority = identities.authority.pair
    _, private = signing_key(identities.folder, "service-accounts")
    return [
        programs / "kube-controller-manager",
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports.controller_manager}",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={private}",
        f"--root-ca-file={authority.certificate}",
        f"--cluster-signing-cert-file={authority.certificate}",
        f"--cluster-signing-key-file={authority.key}",
        "--allocate-node-cidrs=false",
        "--leader-elect=false",
    ]


def scheduler(programs: Path, identities: Identities, ports: Ports) -> list[str | Path]:
    """On its default port, 10259, of the loopback address."""
    config = identities.user("system:kube-scheduler", ports.url)
    return [
        programs / "kube-scheduler",
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ]
