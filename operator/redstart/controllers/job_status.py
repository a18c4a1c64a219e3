"""Whether a Job has ended, and how. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redstart.controllers.conditions import seconds

Object = dict[str, Any]

GRACE = 30.0
"""Seconds after a Job's end in which its pod may still appear: Jobs and pods are watched apart."""


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


def newest_first(pods: Sequence[Object]) -> list[Object]:
    """The pods of a Job, the last attempt first."""
    return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
