"""What a user would look at when something does not come about."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import yaml

from tests.e2e.kubernetes import Kubernetes, Object, RefusedError

KINDS = ("TrainingJob", "ModelVersion", "InferenceService")
OPERATOR = "redstart-system"


def of(kubernetes: Kubernetes) -> str:
    """Status of our kinds, pods, events and the operator's log, as text; never an error of its own."""
    try:
        return "\n".join(_lines(kubernetes))
    except (RefusedError, httpx.HTTPError) as error:
        return f"the cluster does not say: {error}"


def _lines(kubernetes: Kubernetes) -> Iterator[str]:
    for kind in KINDS:
        for obj in kubernetes.list(kind):
            yield f"{kind} {obj['metadata']['name']}, generation {obj['metadata']['generation']}:"
            yield yaml.safe_dump(obj.get("status", {}), sort_keys=False, width=200)
    for pod in kubernetes.list("Pod"):
        yield f"Pod {pod['metadata']['name']}: {pod['status'].get('phase')}"
        yield from _containers(kubernetes, pod)
    for event in sorted(kubernetes.list("Event"), key=_when):
        about = event["involvedObject"]
        yield (
            f"{_when(event)} {event['type']} {event['reason']} {about['kind']}/{about['name']}: {event['message']}"
        )
    operator = kubernetes.within(OPERATOR)
    for pod in operator.list("Pod", {"app.kubernetes.io/component": "operator"}):
        log = operator.logs(pod["metadata"]["name"], tail=2000).splitlines()
        ours = [line for line in log if kubernetes.namespace in line]
        yield f"Operator {pod['metadata']['name']}, the last of {len(ours)} lines about {kubernetes.namespace}:"
        yield from ours[-40:]


def _containers(kubernetes: Kubernetes, pod: Object) -> Iterator[str]:
    status = pod["status"]
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        name, restarts = container["name"], container["restartCount"]
        yield f"  {name}: ready {container['ready']}, restarts {restarts}, {container.get('state')}"
        if not container["ready"]:
            log = kubernetes.logs(pod["metadata"]["name"], container=name, tail=10)
            yield from (f"    {line[:400]}" for line in log.splitlines())


def _when(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])
