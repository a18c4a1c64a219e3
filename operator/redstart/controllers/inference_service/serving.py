"""The children of one revision: Deployment, headless Service, PodDisruptionBudget. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from redstart.api.v1alpha1 import InferenceServiceSpec
from redstart.api.v1alpha1.common import GROUP, Artifact, PodTemplate, Resources
from redstart.controllers import pods, resources, storage
from redstart.controllers.inference_service.record import Role
from redstart.controllers.pods import FETCH
from redstart.routing.envoy import READY_PATH
from redstart.routing.plan import last_resort_name
from redstart.settings import Pods

Object = dict[str, Any]

COMPONENT = "server"
CONTAINERS = frozenset({"fetch", "metrics", "server"})
"""What a serving pod of ours consists of; others may inject more."""
REVISION_LABEL = f"{GROUP}/revision"
VERSION_LABEL = f"{GROUP}/version"
TEMPLATE_ANNOTATION = f"{GROUP}/template"
"""The pod template that a revision was made with, as JSON on each of its children: a later operator repairs drift
against it and never puts its own, newer template into a revision that exists. Where the Deployment was deleted, the
spec may by then ask for another template, so the others tell what it was."""

IGNORED_VARIABLE = "REDSTART_IGNORED_INPUTS"
_READINESS_VARIABLE = "REDSTART_READINESS_URL"

SECRET_OPTION = "--secret"  # noqa: S105 - its name
"""Of fetch."""

SERVER_PORT = 8080
SNAPSHOT_PORT = 9102
LIVE_PATH = "/v2/health/live"


@dataclass(frozen=True)
class Runtime:
    """What the operator's settings say about serving pods."""

    image: str
    pull_policy: str
    drain_seconds: int
    """How long a pod that is going away goes on answering: longer than the cluster's DNS cache."""
    formats: tuple[str, ...]
    """Which formats of models a server may load."""
    pods: Pods = Pods()  # noqa: RUF009 - frozen


def child_name(service: str, revision: str) -> str:
    """Name of every child of a revision."""
    return f"{service}-{revision}"


def pod_labels(service: str, model: str, role: Role) -> dict[str, str]:
    """Labels of a revision's pods and children."""
    return pods.labels(
        "InferenceService",
        service,
        COMPONENT,
        {REVISION_LABEL: role.revision, VERSION_LABEL: role.version, f"{GROUP}/model": model},
    )


def _selector(service: str, revision: str) -> dict[str, str]:
    return {pods.owner_label("InferenceService"): service, REVISION_LABEL: revision}


def is_own(template: PodTemplate) -> bool:
    """Whether the server is ours: another one reports nothing to the sidecar."""
    return template.image is None and template.command is None


def pod_template(
    service: str,
    spec: InferenceServiceSpec,
    role: Role,
    artifact: Artifact,
    runtime: Runtime,
    *,
    claims: Mapping[str, Object | None],
    timeout: float,
    ignored: Mapping[str, str],
) -> Object:
    """The pod: fetch and verify the artifact, then sidecar and server.

    `timeout`: the longest that a request may take, in seconds. `ignored`: inputs, with their types, that clients may
    send though the version does not use them. Only `fetch` has the store's credentials."""
    use = storage.Use(
        artifact.uri, artifact.secret_ref.name if artifact.secret_ref else None, folder_only=True
    )
    source, together = storage.mounts([use]), storage.together([use], claims)
    needs = runtime.pods.resources
    model = {"name": "model", "mountPath": "/redstart/model"}
    run = {"name": "run", "mountPath": "/redstart/run"}
    identity = {
        "REDSTART_MODEL": spec.model.name,
        "REDSTART_VERSION": role.version,
        "REDSTART_REVISION": role.revision,
        "REDSTART_DIGEST": role.digest,
        "REDSTART_HOST": runtime.pods.listen_on,
    }
    own_needs = needs.server
    if spec.predictor.resources is not None:
        merged = resources.merged(spec.predictor.resources, needs.server.to_dict())
        own_needs = Resources.model_validate(merged)
    fetch = pods.restricted_container(
        FETCH,
        runtime.image,
        pull_policy=runtime.pull_policy,
        command=["python", "-m", "redstart.artifacts", "fetch"],
        args=[
            *("--uri", artifact.uri, "--digest", artifact.digest, "--into", "/redstart/model"),
            *((SECRET_OPTION, use.secret) if use.secret else ()),
        ],
        needs=needs.fetch,
        mounts=[*source.mounts, model],
    )
    # A server that is not ours is asked by the sidecar.
    own = is_own(spec.predictor.template)
    asked = {} if own else {_READINESS_VARIABLE: f"http://127.0.0.1:{SERVER_PORT}{READY_PATH}"}
    sidecar = pods.restricted_container(
        "metrics",
        runtime.image,
        pull_policy=runtime.pull_policy,
        command=["python", "-m", "redstart.sidecar"],
        env=identity | asked,
        ports={"metrics": SNAPSHOT_PORT},
        needs=needs.sidecar,
        mounts=[run, {**model, "readOnly": True}],
        restartPolicy="Always",
    )
    server = pods.restricted_container(
        "server",
        runtime.image,
        pull_policy=runtime.pull_policy,
        command=["python", "-m", "redstart.server"],
        env=identity
        | {"REDSTART_FORMATS": ",".join(runtime.formats)}
        | ({IGNORED_VARIABLE: _unexpanded(ignored)} if ignored else {}),
        ports={"http": SERVER_PORT},
        needs=own_needs,
        mounts=[{**model, "readOnly": True}, run],
        readinessProbe={
            "httpGet": {"path": READY_PATH, "port": SNAPSHOT_PORT},
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": 3,
        },
        livenessProbe={
            "httpGet": {"path": LIVE_PATH, "port": "http"},
            "initialDelaySeconds": 10,
            "periodSeconds": 10,
            # Ours answers it whatever waits; another server may have only the thread that answers requests.
            "timeoutSeconds": 5 if own else patience(timeout),
            "failureThreshold": 3,
        },
        lifecycle={"preStop": {"sleep": {"seconds": runtime.drain_seconds}}},
    )
    made = pods.pod_template(
        pod_labels(service, spec.model.name, role) | together.labels,
        pods.pod_spec(
            [server],
            init_containers=[fetch, sidecar],
            volumes=[*source.volumes, {"name": "model", "emptyDir": {}}, {"name": "run", "emptyDir": {}}],
            affinity=together.affinity or None,
            terminationGracePeriodSeconds=grace(runtime.drain_seconds, timeout),
        ),
        annotations={
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(SNAPSHOT_PORT),
            "prometheus.io/path": "/metrics",
        },
    )
    return pods.dressed(made, spec.predictor.template, runtime.pods)


def _unexpanded(ignored: Mapping[str, str]) -> str:
    """As JSON without a dollar: the kubelet would take $(HOME) in a name for a variable, and $$ for $."""
    return json.dumps(ignored, ensure_ascii=False).replace("$", "\\u0024")


def patience(timeout: float) -> int:
    """Seconds that a server which may have only the thread that answers requests has for its liveness."""
    return max(5, math.ceil(timeout))


def grace(drain_seconds: int, timeout: float) -> int:
    """Seconds that a pod has to go: it drains, and answers the last request."""
    return drain_seconds + int(timeout) + 5


def children(
    service: str, model: str, role: Role, template: Object, *, replicas: int, progress_deadline: int
) -> list[Object]:
    """Everything that one revision consists of.

    `progress_deadline`: seconds after which pods that are not ready count as failed."""
    name = child_name(service, role.revision)
    metadata = {
        "name": name,
        "labels": pod_labels(service, model, role),
        "annotations": {TEMPLATE_ANNOTATION: json.dumps(template, sort_keys=True)},
    }
    selector = _selector(service, role.revision)
    deployment: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "progressDeadlineSeconds": progress_deadline,
            "selector": {"matchLabels": selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": template,
        },
    }
    budget: Object = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
    }
    last_resort: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**metadata, "name": last_resort_name(name)},
        "spec": {
            "selector": selector,
            "ports": [
                {"name": "http", "port": SERVER_PORT, "targetPort": "http", "protocol": "TCP"},
                {"name": "metrics", "port": SNAPSHOT_PORT, "targetPort": SNAPSHOT_PORT, "protocol": "TCP"},
            ],
        },
    }
    return [deployment, headless(service, role.revision, metadata), last_resort, budget]


def headless(service: str, revision: str, metadata: Object) -> Object:
    """A headless Service whose records are the revision's ready pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "clusterIP": "None",
            "selector": _selector(service, revision),
            "ports": [{"name": "http", "port": SERVER_PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def network_policy(service: str) -> Object:
    """Serving pods answer their routers only; their metrics may be read from anywhere."""
    owner = pods.owner_label("InferenceService")
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": f"{service}-server",
            "labels": pods.labels("InferenceService", service, COMPONENT),
        },
        "spec": {
            "podSelector": {"matchLabels": {owner: service, "app.kubernetes.io/component": COMPONENT}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {
                            "podSelector": {
                                "matchLabels": {owner: service, "app.kubernetes.io/component": "router"}
                            }
                        }
                    ],
                    "ports": [{"port": SERVER_PORT, "protocol": "TCP"}],
                },
                {"ports": [{"port": SNAPSHOT_PORT, "protocol": "TCP"}]},
            ],
        },
    }


def template_of(children: Iterable[Object], revision: str) -> Object | None:
    """The template that a revision was made with, by any child that is left of it."""
    of_revision = (
        child for child in children if child["metadata"].get("labels", {}).get(REVISION_LABEL) == revision
    )
    templates = (stored_template(child) for child in of_revision)
    return next((template for template in templates if template is not None), None)


def ignored_inputs(template: Object) -> dict[str, str]:
    """What the server of a template is told to ignore: types of inputs by name."""
    return dict(json.loads(_environment(template, "server").get(IGNORED_VARIABLE) or "{}"))


def reports_itself(template: Object) -> bool:
    """Whether the server of a template is ours, and not one that the sidecar has to ask."""
    return _READINESS_VARIABLE not in _environment(template, "metrics")


def _environment(template: Object, container: str) -> dict[str, str]:
    spec = template["spec"]
    return {
        entry["name"]: entry.get("value", "")
        for found in (*spec.get("initContainers", ()), *spec["containers"])
        if found["name"] == container
        for entry in found.get("env", ())
    }


def stored_template(child: Object) -> Object | None:
    """The template that a Deployment, or a revision, was made with; None where the annotation is gone or broken."""
    text = child["metadata"].get("annotations", {}).get(TEMPLATE_ANNOTATION)
    try:
        template = json.loads(text) if text else None
    except ValueError:
        return None
    return template if isinstance(template, dict) else None
