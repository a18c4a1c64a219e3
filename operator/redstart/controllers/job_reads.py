"""What has to be asked of the API server about a Job's pods, because no watch tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redstart.controllers import pod_events, pod_status, reports
from redstart.controllers.conditions import seconds
from redstart.controllers.job_status import Ending
from redstart.controllers.storage import Problem
from redstart.kube import errors
from redstart.kube.cluster import Cluster

Object = dict[str, Any]

LOG_PATIENCE = 600.0
"""Seconds after a Job's end in which a log that cannot be read is asked for again."""


async def log(pod: Object, container: str, ended: Ending, cluster: Cluster, *, now: float) -> str | None:
    """The end of a container's log, long enough for its details, or None when it cannot be had.

    Raises:
        errors.Transient: the node does not answer, and may do so later.
    """
    metadata = pod["metadata"]
    try:
        return await cluster.logs(metadata["namespace"], metadata["name"], container, reports.DETAIL_LINES)
    except errors.Transient:
        if now - seconds(ended.at) < LOG_PATIENCE:
            raise
        return None
    except errors.ApiError:
        return None


async def warning(job: Object, pods: Sequence[Object], cluster: Cluster, *, now: float) -> Problem | None:
    """Why a Job has no pod, or a pod no container: quotas, admission and volumes tell it in events only."""
    if job["spec"].get("suspend"):
        return None
    alive = [pod for pod in pods if pod_status.is_alive(pod)]
    about = next((pod for pod in alive if pod_status.waiting_for_volumes(pod)), None) if alive else job
    if about is None or now - seconds(about["metadata"]["creationTimestamp"]) < pod_events.PATIENCE:
        return None
    return await pod_events.hindrance(about, cluster)
