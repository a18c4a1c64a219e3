"""The serving half of a cluster, played: Deployments get pods, and the pods answer over HTTP as the real ones do.

Every pod has an address of this machine's own loopback network, where a small server listens: as Envoy's statistics
for a router, as the sidecar's snapshot for a serving pod. A router routes by the files that its ConfigMap held when
its kubelet last brought them, which is when the pod began and whenever its plan annotation changed.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from redstart.kube.kinds import CONFIG_MAP, DEPLOYMENT, POD, Kind, Object
from tests.integration.api import Api

STATS_PORT = 9902
SNAPSHOT_PORT = 9102
PLAN = "redstart.dev/plan"
REVISION = "redstart.dev/revision"

Answer = Callable[[str], str | bytes | None]


class Endpoint:
    """An HTTP server of one pod; `answer` maps path and query to a body, or to None for 404."""

    def __init__(self, ip: str, port: int, answer: Answer) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = answer(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else (body or "").encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((ip, port), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nobody listens on the address any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Router:
    """Envoy, as far as its statistics tell of it."""

    files: Mapping[str, str]
    hosts: Callable[[str], list[str]]
    """The addresses of a revision's ready pods."""
    born: float = field(default_factory=time.monotonic)
    counts: Counter[tuple[str, str, int, str]] = field(default_factory=Counter)
    """By revision, address, priority and name."""

    @property
    def plan(self) -> str:
        return str(json.loads(self.files["rds.json"])["version_info"])

    def weights(self) -> dict[str, int]:
        """Percent by revision, as the routes draw it."""
        routes = json.loads(self.files["rds.json"])["resources"][0]["virtual_hosts"][0]["routes"]
        left, found = 100, {}
        for route in routes:
            drawn = route["match"].get("runtime_fraction")
            share = drawn["default_value"]["numerator"] if drawn else left
            found[_revision(route["route"]["cluster"])] = share
            left -= share
        return found

    def take(self, requests: int, failing: Mapping[str, float]) -> None:
        """That many requests of clients; `failing` is the share of a revision's first attempts that fail."""
        for revision, percent in self.weights().items():
            hosts = self.hosts(revision)
            share = requests * percent // 100
            if not hosts or not share:
                continue
            errors = int(share * failing.get(revision, 0.0))
            self.counts[revision, hosts[0], 0, "rq_error"] += errors
            self.counts[revision, hosts[0], 0, "rq_success"] += share - errors
            if (
                errors
            ):  # what is asked again: another priority's counts, which nobody may take for first attempts
                stable = next(reversed(self.weights()))
                self.counts[revision, self.hosts(stable)[0], 1, "rq_success"] += errors

    def answer(self, path: str) -> str | None:
        url = urlsplit(path)
        if url.path == "/stats":
            return self._stats(re.compile(parse_qs(url.query)["filter"][0]))
        return self._clusters() if path == "/clusters?format=json" else None

    def _stats(self, wanted: re.Pattern[str]) -> str:
        plan = json.loads(self.files["cds.json"])["version_info"]
        found = {
            "cluster_manager.cds.version_text": f'"{plan}"',
            "cluster_manager.warming_clusters": "0",
            "http.clients.rds.service.update_success": "3",
            "http.clients.rds.service.version_text": f'"{self.plan}"',
            "server.uptime": str(int(time.monotonic() - self.born)),
        }
        return "".join(f"{name}: {value}\n" for name, value in found.items() if wanted.search(name))

    def _clusters(self) -> str:
        statuses = []
        for cluster in json.loads(self.files["cds.json"])["resources"]:
            revision = _revision(cluster["name"])
            hosts = [
                self._host(revision, address, endpoint["priority"], cluster["name"].startswith("stable-"))
                for endpoint in cluster.get("load_assignment", {}).get("endpoints", [])
                for address in self.hosts(_named(endpoint))
            ]
            # As Envoy writes protobuf: what is empty is left out.
            statuses.append({"name": cluster["name"]} | ({"host_statuses": hosts} if hosts else {}))
        return json.dumps({"cluster_statuses": statuses})

    def _host(self, revision: str, address: str, priority: int, counted: bool) -> Object:
        """Each revision has two clusters, one for each role; the counts stand in one of them."""
        names = ("cx_total", "rq_error", "rq_success", "rq_total")
        counts = {name: self.counts[revision, address, priority, name] if counted else 0 for name in names}
        return {
            "address": {"socket_address": {"address": address, "port_value": 8080}},
            "stats": [
                {"name": name} | ({"value": str(value)} if value else {}) for name, value in counts.items()
            ],
            "health_status": {"eds_health_status": "HEALTHY"},
        } | ({"priority": priority} if priority else {})


def _revision(cluster: str) -> str:
    return cluster.partition("-")[2]


def _named(endpoint: Object) -> str:
    """The revision in an endpoint's DNS name."""
    address = endpoint["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"]
    return str(address).split(".", 1)[0].rpartition("-")[2]


@dataclass
class Running:
    """A pod that runs."""

    deployment: str
    revision: str
    ip: str
    endpoint: Endpoint
    router: Router | None = None
    ready: bool = True


class Nodes:
    """What Deployment controller and kubelets do with the pods of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.running: dict[str, Running] = {}
        self.unready: set[str] = set()
        """Revisions whose new pods do not become ready."""
        self.resolves = 1000
        """Of how many pods of a revision DNS tells the routers."""
        self.refused: dict[str, str] = {}
        """What the API server says to the pods of a Deployment, by its name: they are not made."""
        self.hindered: dict[str, Object] = {}
        """The status that a Deployment's new pods stay in, by its name."""
        self.last_errors: dict[str, Object] = {}
        """What a revision's pods say of the last request that they did not answer."""
        self.overdue: set[str] = set()
        """Deployments whose pods did not become ready for as long as they may take."""
        self.failing: dict[str, float] = {}
        """Share of a revision's first attempts that fail."""
        self.manifests: dict[str, bytes] = {}
        """Manifests by digest; a sidecar of an earlier release has none to show."""
        self.damaged: set[str] = set()
        """Revisions whose pods show another manifest than their artifact's."""
        self._api = api
        self._namespace = namespace
        self._plans: dict[str, str] = {}
        self._numbers = itertools.count(1)

    @property
    def routers(self) -> list[Router]:
        return [pod.router for pod in self.running.values() if pod.router is not None]

    def hosts(self, revision: str) -> list[str]:
        return [pod.ip for pod in self.running.values() if pod.revision == revision and pod.ready]

    def resolved(self, revision: str) -> list[str]:
        """The addresses that a router has for a revision."""
        return self.hosts(revision)[: self.resolves]

    def requests(self, number: int) -> None:
        """Clients send that many requests, to any router."""
        for router in self.routers[:1]:
            router.take(number, self.failing)

    def play(self) -> None:
        """Bring pods and files to what Deployments and ConfigMaps ask for now."""
        wanted = {
            f"{deployment['metadata']['name']}-{index}": deployment
            for deployment in self._api.list(DEPLOYMENT, self._namespace)
            for index in range(deployment["spec"]["replicas"])
        }
        for name in [name for name in self.running if name not in wanted]:
            self._end(name)
        for name, deployment in wanted.items():
            if name in self.running:
                continue
            made = deployment["metadata"]["name"]
            self.admit(made)
            if made in self.hindered:
                self._hinder(name, deployment)
            elif made not in self.refused:
                self._begin(name, deployment)
        for name, pod in self.running.items():
            if pod.router is not None:
                self._bring(name, pod)

    def report(self) -> None:
        """The kubelets tell of every pod once more, with nothing new but the time."""
        for name in self.running:
            self._tell(name)

    def close(self) -> None:
        for name in list(self.running):
            self.running.pop(name).endpoint.close()

    def _begin(self, name: str, deployment: Object) -> None:
        template = deployment["spec"]["template"]
        labels = template["metadata"]["labels"]
        router = REVISION not in labels
        if router and (files := self._files(deployment["metadata"]["name"])) is None:
            return  # the volume is not there, and the kubelet waits for it
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self._namespace, "labels": labels},
            "spec": template["spec"] | {"nodeName": "node-1"},
        }
        if self._api.get(POD, self._namespace, name) is None:
            self._api.create(pod)
        if router:
            envoy = Router(files or {}, self.resolved)
            ip, endpoint = listening(STATS_PORT, envoy.answer)
            self.running[name] = Running(deployment["metadata"]["name"], "", ip, endpoint, envoy)
        else:
            revision = labels[REVISION]
            snapshot = _snapshot(template, next(self._numbers))
            ip, endpoint = listening(SNAPSHOT_PORT, lambda path: self._sidecar(path, revision, snapshot))
            ready = revision not in self.unready
            self.running[name] = Running(deployment["metadata"]["name"], revision, ip, endpoint, ready=ready)
        self._tell(name)

    def admit(self, deployment: str) -> None:
        """The Deployment tells whether its pods may be made, and whether they have become ready in time."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        told = [
            ("ReplicaFailure", "True", "FailedCreate", self.refused.get(deployment, "")),
            ("Progressing", "False", "ProgressDeadlineExceeded", ""),
        ]
        holds = (deployment in self.refused, deployment in self.overdue)
        conditions = [
            {
                "type": type_,
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": now,
                "lastUpdateTime": now,
            }
            for (type_, status, reason, message), so in zip(told, holds, strict=True)
            if so
        ]
        path = f"{DEPLOYMENT.path(self._namespace, deployment)}/status"
        self._api.request(
            "PATCH", path, {"status": {"conditions": conditions}}, "application/merge-patch+json"
        )

    def _hinder(self, name: str, deployment: Object) -> None:
        """A pod that gets no further than its status says."""
        status = dict(self.hindered[deployment["metadata"]["name"]])
        template = deployment["spec"]["template"]
        node = (
            {}
            if any(c["type"] == "PodScheduled" for c in status.get("conditions", []))
            else {"nodeName": "node-1"}
        )
        if self._api.get(POD, self._namespace, name) is None:
            self._api.create(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": name,
                        "namespace": self._namespace,
                        "labels": template["metadata"]["labels"],
                    },
                    "spec": template["spec"] | node,
                }
            )
        path = f"{POD.path(self._namespace, name)}/status"
        self._api.request("PATCH", path, {"status": status}, "application/merge-patch+json")

    def _sidecar(self, path: str, revision: str, snapshot: Object) -> str | bytes | None:
        match urlsplit(path).path:
            case "/snapshot":
                return json.dumps(snapshot | {"lastError": self.last_errors.get(revision)})
            case "/manifest":
                return b"{}" if revision in self.damaged else self.manifests.get(snapshot["loadedDigest"])
        return None

    def _tell(self, name: str) -> None:
        pod = self.running[name]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        condition = {
            "type": "Ready",
            "status": str(pod.ready),
            "lastProbeTime": now,
            "lastTransitionTime": now,
        }
        status = {
            "phase": "Running",
            "podIP": pod.ip,
            "podIPs": [{"ip": pod.ip}],
            "conditions": [condition],
        }
        path = f"{POD.path(self._namespace, name)}/status"
        self._api.request("PATCH", path, {"status": status}, "application/merge-patch+json")

    def _bring(self, name: str, pod: Running) -> None:
        assert pod.router is not None
        live = self._api.get(POD, self._namespace, name)
        plan = ((live or {}).get("metadata") or {}).get("annotations", {}).get(PLAN, "")
        files = self._files(pod.deployment)
        if plan != self._plans.get(name, "") and files is not None:
            self._plans[name] = plan
            pod.router.files = files

    def _files(self, name: str) -> Mapping[str, str] | None:
        found = self._api.get(CONFIG_MAP, self._namespace, name)
        return None if found is None else dict(found["data"])

    def _end(self, name: str) -> None:
        self.running.pop(name).endpoint.close()
        self._plans.pop(name, None)
        self._api.request("DELETE", f"{POD.path(self._namespace, name)}?gracePeriodSeconds=0")


def _snapshot(template: Object, number: int) -> Object:
    """What the sidecar of a pod that loaded the right artifact says."""
    (server,) = template["spec"]["containers"]
    env = {entry["name"]: entry["value"] for entry in server["env"]}
    counts = {"requests": 0, "errors": 0, "status": {}}
    return {
        "epoch": f"epoch-{number}",
        "model": env["REDSTART_MODEL"],
        "version": env["REDSTART_VERSION"],
        "revision": env["REDSTART_REVISION"],
        "loadedDigest": env["REDSTART_DIGEST"],
        "ready": True,
        "message": None,
        "reference": {"rows": 256, "mismatched": 0, "first": None},
        "server": {"epoch": "server", "starts": 1, "age": 0.1},
        "first": counts | {"invalidOutputs": 0},
        "all": counts,
        "lost": 0,
        "latency": {"growth": 1.052, "smallest": 0.00005, "buckets": {}},
        "predictions": {},
    }


_addresses = itertools.count(1)


def listening(port: int, answer: Answer) -> tuple[str, Endpoint]:
    """A server on an address of 127.0.0.0/8 that nothing listens on, other runs of the tests included."""
    first, second = divmod(os.getpid() % (200 * 250), 250)
    for number in _addresses:
        ip = f"127.{16 + first}.{second}.{1 + number % 254}"
        try:
            return ip, Endpoint(ip, port, answer)
        except OSError:
            continue
    raise AssertionError("there is always another address")


def states(api: Api, kind: Kind, namespace: str, name: str, since: str) -> Iterable[Object]:
    """Every state of an object since a resourceVersion, up to the one that it is in now."""
    live = api.get(kind, namespace, name)
    assert live is not None
    query = f"watch=true&fieldSelector=metadata.name={name}&resourceVersion={since}&timeoutSeconds=30"
    for event in api.stream(f"{kind.path(namespace)}?{query}"):
        yield event["object"]
        if event["object"]["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]:
            return
