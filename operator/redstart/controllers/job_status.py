"""Whether a Job has ended, and how. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redstart.controllers import pod_status
from redstart.controllers.conditions import seconds

Object = dict[str, Any]

GRACE = 30.0
"""Seconds after a Job's end in which its pod may still appear: Jobs and pods are watched apart."""


LINGERING = 10.0
"""Seconds after its main container's end in which a pod should end, and one that was asked to may go."""


class Ending(NamedTuple):
    """How a Job ended: `reason` and `message` are the Job controller's; `at` as Kubernetes writes a time."""

    complete: bool
    reason: str
    message: str
    at: str

    def is_fresh(self, now: float) -> bool:
        """Whether what its pods say may still be on its way to us."""
        return now - seconds(self.at) < GRACE


def ending(job: Mapping[str, Any]) -> Ending | None:
    """How the Job ended, or None while it has not."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return Ending(
                condition["type"] == "Complete",
                condition.get("reason") or "JobFailed",
                condition.get("message") or "the Job failed, and its pods are gone",
                str(condition["lastTransitionTime"]),
            )
    return None


def judged(job: Object, pods: Sequence[Object], container: str, *, now: float) -> Object:
    """The Job as its main container's own end says: complete also where something else keeps its pod running.

    An admission webhook may add containers to a pod that never end, and the Job controller waits for all of them."""
    for pod in pods if ending(job) is None else ():
        ended = left_running(pod, container, now=now)
        if ended is not None and ended.get("exitCode") == 0:
            condition = {
                "type": "Complete",
                "status": "True",
                "reason": "ContainerCompleted",
                "message": f"container {container} completed; its pod has others that run on",
                "lastTransitionTime": ended["finishedAt"],
            }
            return job | {"status": job.get("status", {}) | {"conditions": [condition]}}
    return job


def failed_beside_others(pods: Sequence[Object], container: str, *, now: float) -> Object | None:
    """A pod whose main container failed while something else keeps the pod running: nobody would try again."""
    for pod in pods:
        ended = left_running(pod, container, now=now)
        if ended is not None and ended.get("exitCode") != 0:
            return pod
    return None


def left_running(pod: Object, container: str, *, now: float) -> Mapping[str, Any] | None:
    """How the container ended, where it did so a while ago and its pod runs on."""
    ended = pod_status.terminated(pod, container) if pod_status.is_running(pod) else None
    return ended if ended is not None and now - seconds(str(ended["finishedAt"])) >= LINGERING else None


def newest_first(pods: Sequence[Object]) -> list[Object]:
    """The pods of a Job, the last attempt first."""
    return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
