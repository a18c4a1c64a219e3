"""What only events tell: that pods are refused (of a Job), and what keeps a pod from getting its volumes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from redstart.controllers import pod_status
from redstart.controllers.conditions import seconds
from redstart.controllers.storage import Problem
from redstart.kube.cluster import Cluster

Object = dict[str, Any]

PATIENCE = 5.0
"""Seconds that a Job may take to make its pod, and a pod to mount its volumes, before their events are asked."""
AGAIN_AFTER = 10.0
"""Seconds after which the events about a pod are asked again: each time is a LIST of the API server."""
_FORGOTTEN_AFTER = 600.0


async def hindrance(about: Object, cluster: Cluster) -> Problem | None:
    """What the newest event says to hinder a Job or pod; None where that is good news, or there is none."""
    newest = await cluster.newest_event(about)
    if newest is None or newest.get("type") != "Warning":
        return None
    reason = str(newest.get("reason") or "PodNotStarting")
    message = str(newest.get("message") or reason)
    return Problem(reason, pod_status.refusal(message) if reason == "FailedCreate" else message)


@dataclass
class Asked:
    """Answers about pods that wait for their volumes, kept between the looks of a rollout."""

    _known: dict[str, tuple[float, Problem | None]] = field(default_factory=dict)

    async def about(self, pod: Object, cluster: Cluster, now: float) -> Problem | None:
        """What hinders a pod that has no container yet; `now` in seconds since the epoch."""
        metadata = pod["metadata"]
        if not pod_status.waiting_for_volumes(pod) or now - seconds(metadata["creationTimestamp"]) < PATIENCE:
            return None
        at, problem = self._known.get(metadata["uid"], (0.0, None))
        if now - at >= AGAIN_AFTER:
            problem = await hindrance(pod, cluster)
            self._known = {
                uid: known for uid, known in self._known.items() if now - known[0] < _FORGOTTEN_AFTER
            }
            self._known[metadata["uid"]] = (now, problem)
        return problem
