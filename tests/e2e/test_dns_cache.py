"""A cluster whose DNS keeps answers for half a minute, as many real ones do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.kubernetes import Kubernetes, Object, condition, eventually
from tests.e2e.operator import PATIENCE
from tests.e2e.test_rollout import RATE, SERVICE, last_rollout, nothing_failed, seen, service, serving
from tests.e2e.traffic import FOREVER, Traffic

pytestmark = pytest.mark.alone

CACHING = """
.:53 {
  errors
  health
  ready
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    ttl 30
  }
  cache 30
  forward . /etc/resolv.conf
}
"""
"""Unlike kubeadm's of today, which leaves the cluster's own names out of the cache."""


@pytest.fixture
def caching_dns(kubernetes: Kubernetes) -> Iterator[None]:
    """CoreDNS with a cache; as it was in the end."""
    system = kubernetes.within("kube-system")
    config = system.get("ConfigMap", "coredns")
    assert config is not None
    _configure(system, CACHING)
    try:
        yield
    finally:
        _configure(system, config["data"]["Corefile"])


def _configure(system: Kubernetes, corefile: str) -> None:
    pods = {"k8s-app": "kube-dns"}
    system.patch("ConfigMap", "coredns", {"data": {"Corefile": corefile}})
    for pod in (old := system.list("Pod", pods)):
        system.delete("Pod", pod["metadata"]["name"], grace=0)

    def replaced() -> bool:
        new = [pod for pod in system.list("Pod", pods) if pod["metadata"]["uid"] not in gone]
        return bool(new) and all(condition(pod, "Ready").get("status") == "True" for pod in new)

    gone = {pod["metadata"]["uid"] for pod in old}
    eventually(replaced, "CoreDNS with another configuration", patience=PATIENCE)


@pytest.mark.usefixtures("caching_dns")
def test_pods_that_go_are_known_to_be_gone_before_they_are(
    cluster: Kubernetes, artifact: Object, register: Callable[..., None]
):
    register(cluster)
    register(cluster, name="m-v2", number=2)
    serving(cluster)
    old = {"redstart.dev/revision": seen(cluster)["stable"]["revision"]}
    clients = Traffic(cluster, SERVICE, artifact["rows"])
    clients.start(rate=RATE, requests=FOREVER)

    cluster.apply(service(version="m-v2"))
    ended = eventually(lambda: last_rollout(cluster), "the rollout to end", patience=PATIENCE)
    assert ended["result"] == "Promoted"
    eventually(lambda: not cluster.list("Pod", old), "the pods that served to be gone", patience=PATIENCE)
    (pod,) = cluster.list("Pod", {"redstart.dev/revision": ended["revision"]})
    cluster.delete("Pod", pod["metadata"]["name"])
    eventually(
        lambda: cluster.get("Pod", pod["metadata"]["name"]) is None,
        "the deleted pod to be gone",
        patience=PATIENCE,
    )
    nothing_failed(clients.stop())
