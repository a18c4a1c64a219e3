"""The router's own children: Deployment, Service, ConfigMap, NetworkPolicy, PodDisruptionBudget. Pure.

How a router pod leaves without failing a request: it is taken out of its Service, so no new connection comes; each
connection that is left ends with its next answer once it is MAX_CONNECTION_SECONDS old; preStop waits until that
and the last request on them are over. It needs no shell in the image, and nobody who may ask for it on a port.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from redstart.api.v1alpha1.common import GROUP
from redstart.routing.envoy import FOLDER, MAX_CONNECTION_SECONDS, READY_PATH, files
from redstart.routing.plan import TrafficPlan

Object = dict[str, Any]

COMMAND = ("envoy",)
ARGS = (
    "--config-path",
    f"{FOLDER}/bootstrap.json",
    # As many threads as the machine has cores would each keep connections to every serving pod.
    "--concurrency",
    "2",
    "--log-level",
    "warning",
    # Hot restart wants shared memory and a parent process; a pod is replaced as a whole.
    "--disable-hot-restart",
)
ENDPOINT_REMOVAL_SECONDS = 5
"""What a cluster may take to stop sending new connections to a pod that is going."""
SYNC_ANNOTATION = f"{GROUP}/plan"
"""Set on each router pod to the plan's number after the ConfigMap was written: any change of a pod makes its
kubelet bring the ConfigMap's files up to date at once instead of within a minute."""
BOOTSTRAP_ANNOTATION = f"{GROUP}/bootstrap"

_USER = 65532
_FOR_EVER = 2**31 - 1
"""The most that a probe can be tried: a new router in place of one that waits would wait as well."""


def router_name(service: str) -> str:
    """Name of the router's Deployment, ConfigMap, NetworkPolicy and PodDisruptionBudget."""
    return f"{service}-router"


def drain_seconds(timeout_seconds: float) -> int:
    """How long a router pod stays after it has left its Service."""
    return math.ceil(ENDPOINT_REMOVAL_SECONDS + MAX_CONNECTION_SECONDS + timeout_seconds)


def config_map(
    plan: TrafficPlan, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None
) -> Object:
    """The plan's files; `annotations` carry what has to change in the same write."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(plan, labels) | ({"annotations": dict(annotations)} if annotations else {}),
        "data": files(plan),
    }


def deployment(
    plan: TrafficPlan,
    labels: Mapping[str, str],
    selector: Mapping[str, str],
    *,
    image: str,
    resources: Object,
    pull_policy: str = "IfNotPresent",
    replicas: int = 1,
) -> Object:
    """The router's pods. `selector` is the part of `labels` that never changes."""
    drain = drain_seconds(plan.timeout_seconds)
    container: Object = {
        "name": "envoy",
        "image": image,
        "imagePullPolicy": pull_policy,
        "command": list(COMMAND),
        "args": list(ARGS),
        "ports": [
            {"name": "http", "containerPort": plan.listen_port},
            {"name": "stats", "containerPort": plan.stats_port},
        ],
        "resources": resources,
        "volumeMounts": [{"name": "config", "mountPath": FOLDER, "readOnly": True}],
        # Envoy calls itself ready with a cluster in which DNS has not found anybody yet, and would answer 503. So
        # a router takes no clients before it has reached a server once; afterwards, a server that is gone is no
        # reason to take the router away.
        "startupProbe": {
            "httpGet": {"path": READY_PATH, "port": "http"},
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": _FOR_EVER,
        },
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": "stats"},
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": 3,
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": drain}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(plan, labels),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": dict(selector)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": {**labels, **selector},
                    # Envoy reads it only at its start, so a change of it has to replace the pods.
                    "annotations": {BOOTSTRAP_ANNOTATION: _digest(files(plan)["bootstrap.json"])},
                },
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": drain + 5,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": _USER,
                        "runAsGroup": _USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                    "volumes": [{"name": "config", "configMap": {"name": router_name(plan.service)}}],
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": dict(selector)},
                        }
                    ],
                },
            },
        },
    }


def service(plan: TrafficPlan, labels: Mapping[str, str], selector: Mapping[str, str]) -> Object:
    """Where clients go: the InferenceService's own name, port 80."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": plan.service, "namespace": plan.namespace, "labels": dict(labels)},
        "spec": {
            "ipFamilyPolicy": "PreferDualStack",
            "selector": dict(selector),
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def network_policy(
    plan: TrafficPlan, labels: Mapping[str, str], selector: Mapping[str, str], *, operator_namespace: str
) -> Object:
    """Clients from anywhere; statistics only for the operator's namespace."""
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(plan, labels),
        "spec": {
            "podSelector": {"matchLabels": dict(selector)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": [{"port": "http", "protocol": "TCP"}]},
                {"from": [operator], "ports": [{"port": "stats", "protocol": "TCP"}]},
            ],
        },
    }


def pod_disruption_budget(
    plan: TrafficPlan, labels: Mapping[str, str], selector: Mapping[str, str]
) -> Object:
    """One pod at a time. A single router may be evicted too: a budget of none would block every node's drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(plan, labels),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": dict(selector)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _metadata(plan: TrafficPlan, labels: Mapping[str, str]) -> Object:
    return {"name": router_name(plan.service), "namespace": plan.namespace, "labels": dict(labels)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
