"""What keeps a pod from starting, and why one failed, in words for its user. Pure.

The kubelet tells these in half a dozen places of a pod's status; a message of ours ends in a condition, so it
names the pod's part, the fault and the mend.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from redstart.controllers.conditions import seconds
from redstart.controllers.storage import Problem

Pod = Mapping[str, Any]
Container = Mapping[str, Any]

_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
_CONFIG = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError"}
)
# Each attempt has another name: "pods "iris-7d9f-x2x1k" is forbidden: exceeded quota ...".
_REFUSED_POD = re.compile(r'^(?:Error creating: )?pods "[^"]*" is forbidden: ')
# The kubelet alternates between the two while it waits for the next attempt; one sentence for both.
_BACK_OFF = re.compile(r'^Back-off pulling image "[^"]*"(: ErrImagePull)?(: |$)')


OUR_CONTAINERS = frozenset({"trainer", "fetch", "verify", "server", "metrics", "envoy"})


def blocked(pod: Pod) -> Problem | None:
    """Why a pod that has not ended makes no progress, or None while nothing is known to hinder it."""
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            told = condition.get("message") or "the scheduler has not said why"
            return Problem(condition.get("reason") or "Unschedulable", f"no node can take the pod: {told}")
    for container in _containers(pod):
        waiting = container.get("state", {}).get("waiting")
        if waiting and (found := _waiting(container, waiting)):
            return found
    return None


def refused(deployment: Mapping[str, Any]) -> Problem | None:
    """Why the pods of a Deployment cannot be made: a quota, a LimitRange, pod security or a webhook; or None."""
    for condition in deployment.get("status", {}).get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            told = condition.get("message") or "it has not said why"
            return Problem(condition.get("reason") or "FailedCreate", refusal(told))
    return None


def refusal(message: str) -> str:
    """The API server's sentence about a pod that may not be made, without the name that it would have had."""
    return f"the API server refuses the pod: {_REFUSED_POD.sub('forbidden: ', message)}"


def waiting_for_volumes(pod: Pod) -> bool:
    """Whether a scheduled pod has no container yet: the kubelet is mounting volumes or making its sandbox.

    What hinders it, for instance a Secret that does not exist, it tells in events only.
    """
    if not is_alive(pod) or "nodeName" not in pod.get("spec", {}):
        return False
    states = [container.get("state", {}) for container in _containers(pod)]
    return all(
        state.get("waiting", {}).get("reason") in ("ContainerCreating", "PodInitializing") for state in states
    ) and not any("running" in state or "terminated" in state for state in states)


def seconds_running(pod: Pod, now: float) -> float:
    """Since the first container of the pod started; 0 when none has. `now` in seconds since the epoch."""
    started = [at for container in _containers(pod) for at in _moments(container, "startedAt")]
    return max(0.0, now - min(started)) if started else 0.0


def seconds_still(pod: Pod, now: float) -> float:
    """Since a container of the pod last started or ended, or its node could first start one; 0 before that."""
    moments = [at for container in _containers(pod) for at in _moments(container, "startedAt", "finishedAt")]
    # PodReadyToStartContainers: volumes are mounted and the sandbox is there (Kubernetes 1.29).
    moments.extend(
        seconds(condition["lastTransitionTime"])
        for condition in pod.get("status", {}).get("conditions", [])
        if condition["type"] == "PodReadyToStartContainers" and condition["status"] == "True"
    )
    return max(0.0, now - max(moments)) if moments else 0.0


def _moments(container: Container, *names: str) -> Iterator[float]:
    for state in ("state", "lastState"):
        for told in (container.get(state) or {}).values():
            yield from (seconds(told[name]) for name in names if told.get(name))


def failure(pod: Pod) -> Problem | None:
    """Why a pod or its last attempt failed: out of memory, evicted, or the exit code; None when it did not."""
    status = pod.get("status", {})
    if ended_by_node(pod):
        told = status.get("message") or "the node has not said why"
        return Problem(status["reason"], f"the pod was ended by its node: {told}")
    for container in _containers(pod):
        ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get(
            "terminated"
        )
        if ended and ended.get("exitCode", 0) != 0:
            return _ended(container, ended)
    return None


def ended_by_node(pod: Pod) -> bool:
    """Whether the node ended the pod for a reason of its own, such as eviction.

    A pod with an active deadline is one that we had ended, because a container of somebody else kept it running."""
    status = pod.get("status", {})
    ours = status.get("reason") == "DeadlineExceeded" and "activeDeadlineSeconds" in pod.get("spec", {})
    return bool(status.get("phase") == "Failed" and status.get("reason") and not ours)


def terminated(pod: Pod, container: str) -> Mapping[str, Any] | None:
    """How that container ended, as the kubelet tells it, or None while it has not."""
    for status in _containers(pod):
        if status["name"] == container:
            ended: Mapping[str, Any] | None = status.get("state", {}).get("terminated")
            return ended
    return None


def image_id(pod: Pod, container: str) -> str | None:
    """The container's image as the node resolved it."""
    return next((c.get("imageID") or None for c in _containers(pod) if c["name"] == container), None)


def is_alive(pod: Pod) -> bool:
    """Whether the pod may still run something."""
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def is_running(pod: Pod) -> bool:
    """Whether the pod's containers have started and not all ended."""
    return bool(pod.get("status", {}).get("phase") == "Running")


def _containers(pod: Pod) -> Iterator[Container]:
    """Those that we make first: an admission webhook may add others, before or after them."""
    status = pod.get("status", {})
    told = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    yield from sorted(told, key=lambda container: container.get("name") not in OUR_CONTAINERS)


def _waiting(container: Container, waiting: Mapping[str, Any]) -> Problem | None:
    reason, told = waiting.get("reason", ""), waiting.get("message") or ""
    name = container["name"]
    if reason in _IMAGE:
        cause = _BACK_OFF.sub("", told)
        return Problem(
            "ImagePullBackOff" if reason == "ErrImagePull" else reason,
            f'image "{container.get("image", "")}" of container {name} cannot be pulled'
            + (f": {cause}" if cause else ""),
        )
    if reason in _CONFIG:
        return Problem(reason, f"container {name} cannot start: {told or 'the node has not said why'}")
    if reason == "CrashLoopBackOff":
        last = container.get("lastState", {}).get("terminated", {})
        why = _ended(container, last).message if last else told
        return Problem(reason, f"container {name} keeps failing: {why}")
    return None


def _ended(container: Container, ended: Mapping[str, Any]) -> Problem:
    name, code = container["name"], ended.get("exitCode", 0)
    if ended.get("reason") == "OOMKilled":
        limit = container.get("resources", {}).get("limits", {}).get("memory")
        of = f"its limit of {limit}" if limit else "the node has"
        return Problem("OOMKilled", f"container {name} was killed because it needed more memory than {of}")
    said = (ended.get("message") or "").strip().splitlines()
    return Problem(
        "ContainerFailed", f"container {name} ended with exit code {code}" + (f": {said[-1]}" if said else "")
    )
