"""The one node of the native cluster: containerd, kubelet, kube-proxy, the pods' network, and their traces."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster.files import write_atomically
from tests.cluster.flags import DNS_ADDRESS, POD_NETWORK, Identities
from tests.cluster.processes import descendants, kill, with_argument

NAME = "redstart"
RUN = Path("/run/redstart-containerd")
SOCKET = RUN / "containerd.sock"
TABLE = "redstart"  # of nftables
CNI_PLUGINS = Path("/usr/lib/cni")  # where Debian's containernetworking-plugins puts them


@dataclass(frozen=True)
class Node:
    """All that the node keeps is under `root`, but for the sockets and mounts under RUN."""

    root: Path
    address: str

    @property
    def volumes(self) -> Path:
        """Where PersistentVolumes are made."""
        return self.root / "volumes"

    @property
    def kubelet_root(self) -> Path:
        return self.root / "kubelet"

    @property
    def _leases(self) -> Path:
        return self.root / "cni" / "leases"

    def containerd(self, pause_image: str) -> list[str | Path]:
        """Write its configuration and return its command line."""
        config = _configuration(
            self.root / "containerd.toml",
            f"""\
version = 2
root = "{self.root}/containerd"
state = "{RUN}"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  # Without CAP_SYS_RESOURCE nobody may lower a process's oom_score_adj.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{self.root}/cni/conf"
""",
        )
        return ["containerd", f"--config={config}"]

    def kubelet(self, programs: Path, identities: Identities, url: str) -> list[str | Path]:
        """Write its configuration and return its command line."""
        authority = identities.authority
        serving = authority.issue(
            "kubelet-serving", f"system:node:{NAME}", hosts=[NAME, self.address, "127.0.0.1"]
        )
        settings = {
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority.pair.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(serving.certificate),
            "tlsPrivateKeyFile": str(serving.key),
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            # Lets it go on where it may not write sysctls or oom_score_adj.
            "featureGates": {"KubeletInUserNamespace": True},
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
                "nodefs.inodesFree": "1%",
            },
            # A full disk must not make it delete images that no registry could give back.
            "imageGCHighThresholdPercent": 100,
            "maxPods": 250,
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": str(resolver()),
            "syncFrequency": "10s",
            # Chains for kube-proxy's iptables mode, which nobody would delete.
            "makeIPTablesUtilChains": False,
        }
        api = "kubelet.config.k8s.io/v1beta1"
        text = yaml.safe_dump({"apiVersion": api, "kind": "KubeletConfiguration", **settings})
        config = _configuration(self.root / "kubelet.yaml", text)
        return [
            programs / "kubelet",
            f"--config={config}",
            f"--kubeconfig={identities.user(f'system:node:{NAME}', url, ['system:nodes'])}",
            f"--hostname-override={NAME}",
            f"--node-ip={self.address}",
            f"--root-dir={self.kubelet_root}",
        ]

    def kube_proxy(self, programs: Path, identities: Identities, url: str) -> list[str | Path]:
        """Write its configuration and return its command line."""
        settings = {
            "mode": "nftables",
            "clusterCIDR": POD_NETWORK,
            "hostnameOverride": NAME,
            "clientConnection": {"kubeconfig": str(identities.user("system:kube-proxy", url))},
            # 0 leaves the machine's own limits of connection tracking alone.
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
        api = "kubeproxy.config.k8s.io/v1alpha1"
        text = yaml.safe_dump({"apiVersion": api, "kind": "KubeProxyConfiguration", **settings})
        config = _configuration(self.root / "kube-proxy.yaml", text)
        return [programs / "kube-proxy", f"--config={config}"]

    def connect(self) -> None:
        """Set up the pods' network: a veth pair for each pod, routed, and masqueraded towards the world.

        Routed and not bridged: on a bridge, an answer between two pods would pass by the address
        translation of Services wherever br_netfilter is not loaded.
        """
        plugin = {
            "type": "ptp",
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "dataDir": str(self._leases),
                "ranges": [[{"subnet": POD_NETWORK}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        conf = self.root / "cni" / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        content = {"cniVersion": "1.0.0", "name": NAME, "plugins": [plugin]}
        (conf / "10-redstart.conflist").write_text(json.dumps(content))
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
        rules = f"""
            table ip {TABLE} {{}}
            delete table ip {TABLE}
            table ip {TABLE} {{
              chain postrouting {{
                type nat hook postrouting priority srcnat;
                ip saddr {POD_NETWORK} ip daddr != {POD_NETWORK} masquerade
              }}
            }}"""
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)

    def forget_running(self) -> None:
        """Delete what names processes, mounts, network namespaces and addresses of pods."""
        unmount(RUN)
        shutil.rmtree(RUN, ignore_errors=True)
        shutil.rmtree(self._leases, ignore_errors=True)

    def clear(self) -> None:
        """End every container that is left, and take away mounts, routes and rules. containerd must be
        stopped. Finds the containers by their shims, so it works whatever was lost."""
        shims = with_argument(str(SOCKET))
        kill([*shims, *descendants(shims)])
        unmount(self.root)
        unmount(RUN)
        shutil.rmtree(RUN, ignore_errors=True)
        for family, table in (("ip", TABLE), ("ip", "kube-proxy"), ("ip6", "kube-proxy")):
            subprocess.run(["nft", "delete", "table", family, table], capture_output=True, check=False)
        for result in Path("/var/lib/cni/results").glob(f"{NAME}-*"):
            result.unlink()
        # Deepest first; a group that is not ours still holds processes or children and stays.
        for group in sorted(Path("/sys/fs/cgroup").glob("**/kubepods/**/"), reverse=True):
            try:
                group.rmdir()
            except OSError:
                continue


def resolver() -> Path:
    """The resolv.conf for pods: not the one that names systemd-resolved at a loopback address."""
    upstream = Path("/run/systemd/resolve/resolv.conf")
    return upstream if upstream.exists() else Path("/etc/resolv.conf")


def own_address() -> str:
    """The address of this machine that reaches others; asks the routing table and sends nothing."""
    route = subprocess.run(
        ["ip", "-json", "-4", "route", "get", "192.0.2.1"], capture_output=True, text=True, check=False
    )
    if route.returncode == 0:
        return str(json.loads(route.stdout)[0]["prefsrc"])
    raise SystemExit(
        "This machine has no IPv4 route to anywhere; the node needs an address that pods can reach."
    )


def unmount(folder: Path) -> None:
    """Unmount all that is mounted at or below this folder, innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted(points, reverse=True):
        if Path(point).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", point], check=True)


def _configuration(path: Path, text: str) -> Path:
    """Write a configuration under a name that changes with it: a program is started anew when its command
    line differs, and kube-proxy ends by itself when its file is touched."""
    named = path.with_stem(f"{path.stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}")
    if not named.exists():
        write_atomically(named, text.encode())
    return named
